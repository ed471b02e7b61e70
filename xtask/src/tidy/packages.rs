//! Rules on packages: which crate may use which, the licences in the lock file, a reason for each dependency.
//!
//! Asks `cargo metadata` for the facts; the list of accepted licences is deny.toml's, the reasons are
//! in crates/README.md. Only normal dependencies count: a crate's tests may use what they like.

use std::path::Path;

use serde::Deserialize;

use super::{Finding, TidyError, licence, read};
use crate::cargo;

/// Findings in the manifests and in the lock file of the workspace at `root`.
pub(super) fn check(root: &Path) -> Result<Vec<Finding>, TidyError> {
    let metadata = ask_cargo()?;
    let members = metadata.members();
    let mut findings = Vec::new();
    for package in &members {
        let manifest = package.manifest_path.strip_prefix(root).unwrap_or(&package.manifest_path);
        let manifest = manifest.to_string_lossy().replace('\\', "/");
        findings.extend(direction(package, &members, &manifest, &read(&package.manifest_path)?));
    }
    let deny: Deny = parse("deny.toml", &read(&root.join("deny.toml"))?)?;
    findings.extend(licences(&metadata.packages, &deny.licenses.allow, &read(&root.join("Cargo.lock"))?));
    let manifest = read(&root.join("Cargo.toml"))?;
    findings.extend(reasons(&manifest, &read(&root.join("crates/README.md"))?)?);
    Ok(findings)
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    manifest_path: std::path::PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `None` for a normal dependency, else `dev` or `build`.
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct RootManifest {
    workspace: Workspace,
}

#[derive(Deserialize)]
struct Workspace {
    dependencies: toml::Table,
}

impl Metadata {
    fn members(&self) -> Vec<&Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id)).collect()
    }
}

fn ask_cargo() -> Result<Metadata, TidyError> {
    let output = cargo()
        .args(["metadata", "--all-features", "--format-version", "1"])
        .output()
        .map_err(TidyError::StartMetadata)?;
    if !output.status.success() {
        return Err(TidyError::Metadata { stderr: String::from_utf8_lossy(&output.stderr).into_owned() });
    }
    serde_json::from_slice(&output.stdout).map_err(TidyError::ParseMetadata)
}

fn parse<T: for<'de> Deserialize<'de>>(file: &'static str, text: &str) -> Result<T, TidyError> {
    toml::from_str(text).map_err(|source| TidyError::ParseToml { file, source })
}

/// Checks one crate of the workspace against the dependency direction of crates/README.md.
fn direction(package: &Package, members: &[&Package], file: &str, manifest: &str) -> Vec<Finding> {
    let normal = package.dependencies.iter().filter(|dependency| dependency.kind.is_none());
    normal
        .filter_map(|dependency| {
            let name = dependency.name.as_str();
            let is_member = members.iter().any(|member| member.name == name);
            let problem = refusal(&package.name, name, is_member)?;
            let line = line_of_key(manifest, name);
            Some(Finding::new(file, line, format!("{} depends on `{name}`; {problem}", package.name)))
        })
        .collect()
}

/// Why `package` may not depend on `dependency`, if so.
fn refusal(package: &str, dependency: &str, is_member: bool) -> Option<&'static str> {
    if matches!(package, "vhdx-export" | "xtask") {
        return None;
    }
    if (package, dependency) == ("export-manifest", "serde_json") {
        return None;
    }
    if matches!(dependency, "clap" | "clap_complete" | "indicatif" | "serde_json") {
        return Some("only the binary knows the command line, the terminal and JSON: move the code there");
    }
    match (package, dependency) {
        ("limits", _) if is_member => {
            Some("it is the lowest crate: it holds bounds, and nothing to apply them to")
        }
        _ if !is_member || dependency == "limits" => None,
        ("vhdx-format", _) => Some("it is the lowest crate: move what is needed down, or the caller up"),
        ("raw-format" | "chain-resolve" | "export-sinks", "vhdx-format")
        // It writes the frames that raw-format reads.
        | ("export-sinks", "raw-format")
        | ("export-manifest", "export-sinks") => None,
        ("raw-format" | "chain-resolve" | "export-sinks", _) => {
            Some("it may know vhdx-format alone: join the two in the binary")
        }
        _ => Some(
            "this crate has no place in the dependency direction yet: give it one in crates/README.md and here",
        ),
    }
}

/// Checks the licence of every package in the lock file, the workspace's own included.
fn licences(packages: &[Package], accepted: &[String], lock: &str) -> Vec<Finding> {
    let refused = packages.iter().filter(|package| {
        !package.license.as_deref().is_some_and(|expression| licence::is_accepted(expression, accepted))
    });
    refused
        .map(|package| {
            let stated = package.license.as_deref().unwrap_or("none stated");
            let wanted = format!("name = \"{}\"", package.name);
            let line = line_where(lock, |line| line == wanted);
            let message = format!(
                "licence of {} {} is not accepted ({stated}); replace the package, or accept it in deny.toml",
                package.name, package.version
            );
            Finding::new("Cargo.lock", line, message)
        })
        .collect()
}

/// Checks that `readme` names every foreign dependency that the root `manifest` offers to the workspace.
fn reasons(manifest: &str, readme: &str) -> Result<Vec<Finding>, TidyError> {
    let root: RootManifest = parse("Cargo.toml", manifest)?;
    let dependencies = root.workspace.dependencies.iter();
    let foreign = dependencies.filter(|(_, value)| value.get("path").is_none());
    let unexplained = foreign.filter(|(name, _)| !readme.contains(&format!("`{name}`")));
    Ok(unexplained
        .map(|(name, _)| {
            let message = format!(
                "`{name}` has no reason; give it a line with its name in backticks in crates/README.md"
            );
            Finding::new("Cargo.toml", line_of_key(manifest, name), message)
        })
        .collect())
}

/// The line where a manifest says `name = ..` or `name.workspace = ..`.
fn line_of_key(manifest: &str, name: &str) -> usize {
    line_where(manifest, |line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('.') || rest.trim_start().starts_with('='))
    })
}

/// The first such line, counted from 1, or 1: a finding without its exact line is still a finding.
fn line_where(text: &str, is_wanted: impl Fn(&str) -> bool) -> usize {
    text.lines().zip(1..).find(|(line, _)| is_wanted(line)).map_or(1, |(_, number)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, license: Option<&str>, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependency = |(name, kind): &(&str, Option<&str>)| Dependency {
            name: (*name).into(),
            kind: kind.map(Into::into),
        };
        Package {
            id: name.into(),
            name: name.into(),
            version: "1.2.3".into(),
            license: license.map(Into::into),
            manifest_path: "Cargo.toml".into(),
            dependencies: dependencies.iter().map(dependency).collect(),
        }
    }

    fn refused(package_name: &str, dependency: &str, kind: Option<&str>) -> bool {
        let members = [
            "vhdx-format",
            "raw-format",
            "chain-resolve",
            "export-sinks",
            "export-manifest",
            "vhdx-export",
            "xtask",
            "other",
        ]
        .map(|name| package(name, None, &[]));
        let subject = package(package_name, None, &[(dependency, kind)]);
        !direction(&subject, &members.each_ref(), "Cargo.toml", "").is_empty()
    }

    #[test]
    fn the_format_depends_on_no_crate_of_the_workspace() {
        assert!(refused("vhdx-format", "chain-resolve", None));
        assert!(refused("vhdx-format", "export-sinks", None));
        assert!(refused("vhdx-format", "xtask", None));
        assert!(!refused("vhdx-format", "uuid", None));
    }

    #[test]
    fn resolve_sinks_and_raw_disks_know_the_format_and_of_each_other_only_frames() {
        assert!(!refused("raw-format", "vhdx-format", None));
        assert!(refused("raw-format", "chain-resolve", None));
        assert!(refused("raw-format", "export-sinks", None));
        assert!(!refused("chain-resolve", "vhdx-format", None));
        assert!(!refused("export-sinks", "vhdx-format", None));
        assert!(refused("chain-resolve", "export-sinks", None));
        assert!(refused("chain-resolve", "raw-format", None));
        assert!(refused("export-sinks", "chain-resolve", None));
        assert!(!refused("export-sinks", "raw-format", None));
        assert!(refused("export-sinks", "vhdx-export", None));
    }

    #[test]
    fn only_the_binary_and_xtask_know_the_command_line() {
        for dependency in ["clap", "clap_complete", "indicatif", "serde_json"] {
            for library in ["vhdx-format", "chain-resolve", "export-sinks"] {
                assert!(refused(library, dependency, None), "{library} {dependency}");
            }
            assert!(!refused("vhdx-export", dependency, None), "{dependency}");
            assert!(!refused("xtask", dependency, None), "{dependency}");
        }
    }

    #[test]
    fn the_manifest_knows_json_and_the_digests_of_the_sinks() {
        assert!(!refused("export-manifest", "serde_json", None));
        assert!(!refused("export-manifest", "export-sinks", None));
        assert!(refused("export-manifest", "clap", None));
        assert!(refused("export-manifest", "chain-resolve", None));
        assert!(refused("export-sinks", "export-manifest", None));
    }

    #[test]
    fn a_new_crate_needs_a_place_in_the_direction() {
        assert!(refused("other", "vhdx-format", None));
    }

    #[test]
    fn dependencies_of_tests_are_free() {
        assert!(!refused("export-sinks", "chain-resolve", Some("dev")));
    }

    #[test]
    fn a_wrong_dependency_is_shown_at_its_line() {
        let sinks = package("export-sinks", None, &[("clap", None)]);
        let manifest = "[dependencies]\nclap_lex = \"1\"\nclap.workspace = true\n";
        let found = direction(&sinks, &[&sinks], "crates/export-sinks/Cargo.toml", manifest);
        assert!(
            found[0]
                .to_string()
                .starts_with("crates/export-sinks/Cargo.toml:3: export-sinks depends on `clap`;")
        );
    }

    #[test]
    fn a_licence_that_is_missing_or_not_listed_is_found() {
        let packages = [
            package("good", Some("MIT OR Apache-2.0"), &[]),
            package("bad", Some("GPL-3.0-only"), &[]),
            package("silent", None, &[]),
        ];
        let lock = "name = \"bad\"\nname = \"good\"\nname = \"silent\"\n";
        let found: Vec<String> =
            licences(&packages, &["MIT".to_owned()], lock).iter().map(Finding::to_string).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("Cargo.lock:1: licence of bad 1.2.3 is not accepted (GPL-3.0-only);"));
        assert!(found[1].starts_with("Cargo.lock:3: licence of silent 1.2.3 is not accepted (none stated);"));
    }

    #[test]
    fn a_dependency_without_a_reason_is_found() {
        let manifest = "[workspace.dependencies]\nours = { path = \"ours\" }\nuuid = \"1\"\nzstd = { version = \"0\" }\n";
        let found = reasons(manifest, "- `uuid`: identities\n- zstd without backticks\n").unwrap();
        assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [4]);
        assert!(reasons(manifest, "`uuid` `zstd`\n").unwrap().is_empty());
    }
}
