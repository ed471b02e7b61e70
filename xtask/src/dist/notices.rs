//! The licences of what is linked into the executable: most of them ask that their text goes where the code goes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{DistError, output, read};
use crate::cargo;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    /// `None` for what lies in the workspace.
    source: Option<String>,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
    root: Option<String>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    /// `None` for what is linked, else `dev` or `build`.
    kind: Option<String>,
}

/// One text with the licences of all packages that the executable is made of.
pub(super) fn of(target: &str) -> Result<String, DistError> {
    let said =
        output(cargo().args(["metadata", "--locked", "--format-version", "1", "--filter-platform", target]))?;
    let metadata: Metadata = serde_json::from_slice(&said).map_err(DistError::Metadata)?;
    let linked = linked(&metadata.resolve);
    let mut text = String::from(
        "vhdx-export is linked with the packages below, each under the licence that follows it.\n",
    );
    let mut packages: Vec<&Package> = metadata
        .packages
        .iter()
        .filter(|package| package.source.is_some() && linked.contains(package.id.as_str()))
        .collect();
    packages.sort_by_key(|package| (&package.name, &package.version));
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    for package in packages {
        let name = format!("{} {}", package.name, package.version);
        let licence = package.license.as_deref().unwrap_or("licence as below");
        let _ = write!(text, "\n{0}\n{name} ({licence})\n{0}\n", "=".repeat(80));
        let notices = notices(package.manifest_path.parent().unwrap_or(Path::new("")))?;
        if notices.is_empty() {
            return Err(DistError::NoNotice(name));
        }
        for (file, notice) in notices {
            // The same text as it stands above already: the Apache licence, mostly.
            if let Some(first) = told.get(&notice) {
                let _ = write!(text, "\n{file}: the text is that of {first}\n");
                continue;
            }
            let _ = write!(text, "\n{file}:\n\n{notice}\n");
            told.insert(notice, format!("{file} of {name}"));
        }
    }
    Ok(text)
}

/// The packages that can be reached from the root without tests and build scripts.
fn linked(resolve: &Resolve) -> BTreeSet<&str> {
    let nodes: BTreeMap<&str, &Node> = resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = resolve.root.as_deref().into_iter().collect();
    while let Some(id) = open.pop() {
        if let Some(node) = nodes.get(id).filter(|_| found.insert(id)) {
            let deps = node.deps.iter().filter(|edge| edge.dep_kinds.iter().any(|kind| kind.kind.is_none()));
            open.extend(deps.map(|edge| edge.pkg.as_str()));
        }
    }
    found
}

/// The licences in a package's folder, and in those just below it, where libraries of others lie.
fn notices(folder: &Path) -> Result<BTreeMap<String, String>, DistError> {
    let mut found = BTreeMap::new();
    for path in listed(folder)? {
        let below = if path.is_dir() { listed(&path)? } else { vec![path] };
        for path in below.into_iter().filter(|path| path.is_file() && is_notice(path)) {
            let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
            let text = String::from_utf8_lossy(&read(&path)?).trim().replace('\r', "");
            found.insert(name, text);
        }
    }
    Ok(found)
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>, DistError> {
    let unreadable = |source| DistError::Read { path: folder.to_owned(), source };
    let entries = fs::read_dir(folder).map_err(unreadable)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(unreadable)).collect()
}

fn is_notice(path: &Path) -> bool {
    let is_code = path.extension().is_some_and(|extension| extension == "rs" || extension == "py");
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
    !is_code
        && ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"].iter().any(|word| name.starts_with(word))
}
