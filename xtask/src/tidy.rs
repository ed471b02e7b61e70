//! `cargo xtask tidy`: the rules of this project that neither rustfmt nor clippy can hold.
//!
//! Finds the files and prints the findings as `file:line: what is wrong; what to do`. The rules are in
//! the modules below, each a function from text to findings, so that tests can show each one fail.
//! Files are found by walking the tree, not by asking git: an unpacked archive is checked as well.

use std::fmt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::workspace_root;

mod format_crate;
mod fuzz_lock;
mod licence;
mod packages;
mod promises;
mod text;

/// Checks the whole workspace and prints what was found. Returns 0 if nothing was, else 1.
pub(crate) fn run() -> u8 {
    match check_workspace(workspace_root()) {
        Ok(findings) => {
            for finding in &findings {
                eprintln!("{finding}");
            }
            println!("tidy: {} findings", findings.len());
            u8::from(!findings.is_empty())
        }
        Err(error) => {
            eprintln!("error: {error}");
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                eprintln!("  caused by: {cause}");
                source = cause.source();
            }
            1
        }
    }
}

/// One breach of one rule. `line` counts from 1.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    file: String,
    line: usize,
    message: String,
}

impl Finding {
    fn new(file: &str, line: usize, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// Why the rules could not be applied at all.
#[derive(Debug, thiserror::Error)]
enum TidyError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot start cargo metadata")]
    StartMetadata(#[source] io::Error),
    #[error("cargo metadata failed: {stderr}")]
    Metadata { stderr: String },
    #[error("cargo metadata printed something else than expected")]
    ParseMetadata(#[source] serde_json::Error),
    #[error("cannot parse {file}")]
    ParseToml { file: &'static str, source: toml::de::Error },
}

fn check_workspace(root: &Path) -> Result<Vec<Finding>, TidyError> {
    let mut findings = Vec::new();
    for file in text_files(root)? {
        let text = read(&root.join(&file))?;
        findings.extend(text::check(&file, &text));
        findings.extend(format_crate::check(&file, &text));
    }
    let promises = read(&root.join(promises::FILE))?;
    findings.extend(promises::check(&promises, |path| root.join(path).exists()));
    findings.extend(packages::check(root)?);
    findings
        .extend(fuzz_lock::check(&read(&root.join("fuzz/Cargo.lock"))?, &read(&root.join("Cargo.lock"))?));
    Ok(findings)
}

fn read(path: &Path) -> Result<String, TidyError> {
    fs::read_to_string(path).map_err(|source| TidyError::Read { path: path.to_owned(), source })
}

/// The text files below `root`, relative to it, with `/` between names, sorted.
fn text_files(root: &Path) -> Result<Vec<String>, TidyError> {
    let mut found = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let at = root.join(&folder);
        let unreadable = |source| TidyError::Read { path: at.clone(), source };
        for entry in fs::read_dir(&at).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            // No file of the project has a name that is not UTF-8, and symbolic links are not followed.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let kind = entry.file_type().map_err(unreadable)?;
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            if kind.is_dir() && !matches!(name.as_str(), ".git" | "target") {
                folders.push(path);
            } else if kind.is_file() && text::is_text(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_prints_as_a_place_an_editor_can_open() {
        assert_eq!(Finding::new("src/a.rs", 7, "tab; use spaces").to_string(), "src/a.rs:7: tab; use spaces");
    }

    #[test]
    fn text_files_are_found_in_all_folders_but_gits_and_cargos() {
        let root = tempfile::tempdir().unwrap();
        for file in [".ci/run", "a/b.rs", "a/target/c.rs", ".git/d.md", "disk.vhdx", "README.md"] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        assert_eq!(text_files(root.path()).unwrap(), [".ci/run", "README.md", "a/b.rs"]);
    }
}
