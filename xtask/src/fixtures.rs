//! `cargo xtask fixtures`: disk images for tests, each with the disk it holds or the error it must give, and a VM.
//!
//! The same source gives the same images, so that a change of one is a change of this task. This file writes them,
//! or compares them with what is there; which images there are is for the modules below to say. `fixtures/README.md`
//! is written by hand and not touched.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use fixture::Fixture;
use vhdx_format::forge::SparseFile;

use crate::workspace_root;

mod damaged;
mod damaged_chains;
mod data_volume;
mod demo_checkpoints;
mod demo_vm;
mod dirty_logs;
mod file_system;
mod fixture;
mod manifest;
mod pattern;
mod synthetic;
mod synthetic_chains;

/// Makes all fixtures and writes those that are not there yet or differ; with `check`, names them instead.
/// Returns 0 if everything is, or was already, as it should be, else 1.
pub(crate) fn run(check: bool) -> u8 {
    let folder = workspace_root().join("fixtures");
    match all().and_then(|fixtures| compare(&fixtures, &folder, !check)) {
        Ok(differences) => {
            for (name, difference) in &differences {
                println!("fixtures/{name}: {}", difference.describe(check));
            }
            println!("fixtures: {} differences", differences.len());
            let failed = |difference: &Difference| check || *difference == Difference::Unknown;
            u8::from(differences.values().any(failed))
        }
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(cause) = std::error::Error::source(&error) {
                eprintln!("  caused by: {cause}");
            }
            1
        }
    }
}

/// Why the fixtures could not be made or compared.
#[derive(Debug, thiserror::Error)]
enum FixturesError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot make the file system of the demo VM")]
    FileSystem(#[source] io::Error),
    #[error("cannot write the manifest as TOML")]
    Manifest(#[source] toml::ser::Error),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Difference {
    /// Not there, or other bytes.
    Content,
    /// There, but not made here.
    Unknown,
}

impl Difference {
    fn describe(self, check: bool) -> &'static str {
        match self {
            Self::Content if check => "differs from what `cargo xtask fixtures` makes; run it",
            Self::Content => "written",
            Self::Unknown => "not made by `cargo xtask fixtures`; remove it, or make it there",
        }
    }
}

/// Compares the folder with what it should hold, and writes what differs if asked to.
fn compare(
    fixtures: &[Fixture],
    folder: &Path,
    write: bool,
) -> Result<BTreeMap<String, Difference>, FixturesError> {
    let mut differences = BTreeMap::new();
    for name in files_below(folder)? {
        let known = name == "README.md"
            || name == manifest::NAME
            || fixtures.iter().any(|fixture| fixture.stored_name() == name);
        if !known {
            differences.insert(name, Difference::Unknown);
        }
    }
    for fixture in fixtures {
        let name = fixture.stored_name();
        if !is_stored(&folder.join(&name), fixture)? {
            if write {
                store(&folder.join(&name), fixture)?;
            }
            differences.insert(name, Difference::Content);
        }
    }
    let text = manifest::text(fixtures).map_err(FixturesError::Manifest)?;
    let path = folder.join(manifest::NAME);
    if read(&path)?.as_deref() != Some(text.as_bytes()) {
        if write {
            fs::write(&path, text).map_err(|source| FixturesError::Write { path, source })?;
        }
        differences.insert(manifest::NAME.to_owned(), Difference::Content);
    }
    Ok(differences)
}

fn all() -> Result<Vec<Fixture>, FixturesError> {
    let mut fixtures = demo_vm::fixtures().map_err(FixturesError::FileSystem)?;
    fixtures.extend(demo_checkpoints::fixtures());
    fixtures.extend(synthetic::fixtures());
    fixtures.extend(synthetic_chains::fixtures());
    fixtures.extend(dirty_logs::fixtures());
    fixtures.extend(damaged::fixtures());
    fixtures.extend(damaged_chains::fixtures());
    Ok(fixtures)
}

/// Compares images, not compressed bytes: another release of zstd may compress differently, and what is committed
/// should not change for that.
fn is_stored(path: &Path, fixture: &Fixture) -> Result<bool, FixturesError> {
    let Some(bytes) = read(path)? else { return Ok(false) };
    // What can not be decompressed is no more than different.
    let image = if fixture.is_compressed() { zstd::decode_all(&bytes[..]).ok() } else { Some(bytes) };
    Ok(image.is_some_and(|image| image == whole(&fixture.image)))
}

fn store(path: &Path, fixture: &Fixture) -> Result<(), FixturesError> {
    /// The best that needs no more memory to decompress.
    const LEVEL: i32 = 19;
    let failed = |source| FixturesError::Write { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    if fixture.is_compressed() {
        let bytes = zstd::encode_all(&whole(&fixture.image)[..], LEVEL).map_err(failed)?;
        fs::write(path, bytes).map_err(failed)
    } else {
        fixture.image.save(&File::create(path).map_err(failed)?).map_err(failed)
    }
}

fn whole(image: &SparseFile) -> Vec<u8> {
    image.read(0, image.len() as usize)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, FixturesError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FixturesError::Read { path: path.to_owned(), source }),
    }
}

/// The files below `folder`, relative to it, with `/` between names. A folder that is not there has none.
fn files_below(folder: &Path) -> Result<Vec<String>, FixturesError> {
    let mut found = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(name) = folders.pop() {
        let at = folder.join(&name);
        let unreadable = |source| FixturesError::Read { path: at.clone(), source };
        let entries = match fs::read_dir(&at) {
            Ok(entries) => entries,
            Err(error) if name.is_empty() && error.kind() == io::ErrorKind::NotFound => break,
            Err(source) => return Err(unreadable(source)),
        };
        for entry in entries {
            let entry = entry.map_err(unreadable)?;
            let own = entry.file_name().to_string_lossy().into_owned();
            let path = if name.is_empty() { own } else { format!("{name}/{own}") };
            let is_folder = entry.file_type().map_err(unreadable)?.is_dir();
            if is_folder { folders.push(path) } else { found.push(path) }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_has_no_differences_and_every_change_is_one() {
        let mut fixtures = all().unwrap();
        fixtures.retain(|fixture| fixture.parent.is_none() && fixture.file.ends_with("/web01.vhdx"));
        fixtures.extend(synthetic::fixtures().into_iter().take(2));
        let compare = |folder: &Path, write| compare(&fixtures, folder, write).unwrap();

        let folder = tempfile::tempdir().unwrap();
        assert_eq!(compare(folder.path(), false).len(), 4);
        assert_eq!(compare(folder.path(), true).len(), 4);
        fs::write(folder.path().join("README.md"), "by hand").unwrap();
        assert!(compare(folder.path(), false).is_empty());

        let image = folder.path().join(demo_vm::FOLDER).join("web01.vhdx");
        let mut bytes = fs::read(&image).unwrap();
        bytes[5 << 20] ^= 1;
        fs::write(image, bytes).unwrap();
        fs::write(folder.path().join("synthetic/fixed.vhdx.zst"), "no zstd").unwrap();
        fs::remove_file(folder.path().join(manifest::NAME)).unwrap();
        fs::write(folder.path().join("synthetic/mine.vhdx"), "").unwrap();
        let found = compare(folder.path(), false);
        let names: Vec<_> = found.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "MANIFEST.toml",
                "demo-vm/Virtual Hard Disks/web01.vhdx",
                "synthetic/fixed.vhdx.zst",
                "synthetic/mine.vhdx",
            ]
        );
        assert!(found["synthetic/mine.vhdx"] == Difference::Unknown);
    }

    #[test]
    fn no_two_fixtures_have_one_name_even_where_letter_case_does_not_count() {
        let fixtures = all().unwrap();
        let names: std::collections::BTreeSet<_> =
            fixtures.iter().map(|fixture| fixture.stored_name().to_lowercase()).collect();
        assert_eq!(names.len(), fixtures.len());
    }
}
