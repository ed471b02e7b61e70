//! Where parents may be looked for: the folders the operator named, and nothing outside them.
//!
//! A stored path comes from a file that may be hostile. It is taken apart here, followed without regard to letter
//! case, and refused as soon as it leaves every root; what lies outside is not even asked whether it exists.

use std::ffi::{OsStr, OsString};
use std::fs::DirEntry;
use std::io;
use std::path::{Component, Path, PathBuf};

use limits::Limits;

use crate::store;

/// The folders below which sources may lie, resolved to their real names, and the limits on what lies there.
#[derive(Clone, Debug)]
pub struct SearchPolicy {
    roots: Vec<PathBuf>,
    limits: Limits,
}

/// Why a stored path leads to no candidate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No file of that name.
    #[error("not there")]
    NotThere,
    /// The path leaves the folders that may be searched.
    #[error("outside the folders that are searched")]
    Outside,
    /// The path is none that an image may store as relative.
    #[error("not a relative path")]
    NotRelative,
    /// Names that differ only in letter case, none of them exactly the one stored.
    #[error("{0} names differ from it only in letter case")]
    AmbiguousCase(usize),
    /// The folder can not be listed.
    #[error("its folder cannot be read: {0}")]
    Unreadable(io::Error),
}

impl SearchPolicy {
    /// Allows the folders and everything below them, within the usual limits.
    pub fn new(folders: impl IntoIterator<Item = PathBuf>) -> io::Result<Self> {
        let mut roots: Vec<PathBuf> = Vec::new();
        for folder in folders {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
            let root = std::fs::canonicalize(folder)?;
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
        Ok(Self { roots, limits: Limits::default() })
    }

    /// The same folders, within other limits.
    #[must_use]
    pub fn within(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The limits on the files that lie there.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The folders, by their real names.
    #[must_use]
    pub fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// Follows a stored relative path from `folder`, a real name.
    pub(crate) fn follow(&self, folder: &Path, stored: &str) -> Result<PathBuf, Refusal> {
        let wanted = join_stored(folder, stored)?;
        let root =
            self.roots.iter().find(|root| strip_root(root, &wanted).is_some()).ok_or(Refusal::Outside)?;
        let mut found = root.clone();
        for name in strip_root(root, &wanted).unwrap_or_default() {
            // Confined at each step: a link may lead out, and there nothing is looked at.
            found = self.confine(&step(&found, name)?)?;
        }
        Ok(found)
    }

    /// The root that a real name lies below, and its names from there on.
    pub(crate) fn below<'a>(&'a self, real: &'a Path) -> Option<(&'a Path, &'a Path)> {
        self.roots.iter().find_map(|root| Some((root.as_path(), real.strip_prefix(root).ok()?)))
    }

    /// The real name of a file, if it lies below a root; a symbolic link may not lead out.
    pub(crate) fn confine(&self, path: &Path) -> Result<PathBuf, Refusal> {
        let real = std::fs::canonicalize(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Refusal::NotThere,
            _ => Refusal::Unreadable(error),
        })?;
        if self.below(&real).is_some() { Ok(real) } else { Err(Refusal::Outside) }
    }
}

/// The names of a stored path, whichever separator it uses.
pub(crate) fn stored_names(stored: &str) -> impl Iterator<Item = &str> {
    stored.split(['\\', '/']).filter(|name| !name.is_empty() && *name != ".")
}

/// The last name of a stored path, if it is one.
pub(crate) fn stored_basename(stored: &str) -> Option<&str> {
    stored_names(stored).last().filter(|name| *name != ".." && !name.contains([':', '\0']))
}

/// `folder` and a stored path below or beside it, by names alone: `..` takes a name away.
fn join_stored(folder: &Path, stored: &str) -> Result<Vec<OsString>, Refusal> {
    let absolute = stored.starts_with(['\\', '/']);
    if absolute || stored.contains([':', '\0']) || stored_names(stored).next().is_none() {
        return Err(Refusal::NotRelative);
    }
    let mut names: Vec<OsString> = folder.components().map(|part| part.as_os_str().to_os_string()).collect();
    for name in stored_names(stored) {
        if name != ".." {
            names.push(name.into());
        } else if names.len() > 1 {
            names.pop();
        } else {
            return Err(Refusal::Outside);
        }
    }
    Ok(names)
}

/// What is left of `names` below `root`, without regard to letter case.
fn strip_root<'a>(root: &Path, names: &'a [OsString]) -> Option<&'a [OsString]> {
    let root: Vec<Component<'_>> = root.components().collect();
    let (above, below) = names.split_at_checked(root.len())?;
    let same = root.iter().zip(above).all(|(part, name)| {
        part.as_os_str() == name
            || matches!((part.as_os_str().to_str(), name.to_str()), (Some(part), Some(name)) if same_name(part, name))
    });
    same.then_some(below)
}

/// The entry of `folder` with that name: exactly, else the only one that differs in letter case.
fn step(folder: &Path, name: &OsStr) -> Result<PathBuf, Refusal> {
    let exact = folder.join(name);
    if exact.symlink_metadata().is_ok() {
        return Ok(exact);
    }
    let name = name.to_str().ok_or(Refusal::NotThere)?;
    let alike = |entry: &DirEntry| entry.file_name().to_str().is_some_and(|found| same_name(found, name));
    let mut found: Vec<DirEntry> = Vec::new();
    for entry in store::list(folder).map_err(Refusal::Unreadable)? {
        // One by one: the folder may have any number of names.
        found.extend(Some(entry.map_err(Refusal::Unreadable)?).filter(alike));
    }
    match found.as_slice() {
        [] => Err(Refusal::NotThere),
        [only] => Ok(only.path()),
        several => Err(Refusal::AmbiguousCase(several.len())),
    }
}

/// Equal as Windows would have it: without regard to letter case.
pub(crate) fn same_name(a: &str, b: &str) -> bool {
    a == b || a.chars().flat_map(char::to_lowercase).eq(b.chars().flat_map(char::to_lowercase))
}

/// A name such that two are equal exactly where [`same_name`] says so.
pub(crate) fn folded(name: &str) -> String {
    name.chars().flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (tempfile::TempDir, SearchPolicy, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("vm").join("Disks");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::create_dir(dir.path().join("outside")).unwrap();
        for file in ["vm/Disks/Base.vhdx", "vm/top.vhdx", "outside/secret", "vm/a.vhdx", "vm/A.VHDX"] {
            std::fs::write(dir.path().join(file), file).unwrap();
        }
        let policy = SearchPolicy::new([dir.path().join("vm")]).unwrap();
        let folder = std::fs::canonicalize(folder).unwrap();
        (dir, policy, folder)
    }

    #[test]
    fn names_are_found_whatever_their_case_and_separator() {
        let (_dir, policy, folder) = tree();
        for stored in [
            ".\\Base.vhdx",
            "base.VHDX",
            "./BASE.vhdx",
            "..\\disks\\Base.vhdx",
            "..\\..\\VM\\disks\\base.vhdx",
        ] {
            assert_eq!(policy.follow(&folder, stored).unwrap(), folder.join("Base.vhdx"), "{stored}");
        }
        assert!(policy.follow(&folder, "..\\top.vhdx").is_ok());
        assert!(matches!(policy.follow(&folder, "..\\a.Vhdx"), Err(Refusal::AmbiguousCase(2))));
        assert!(policy.follow(&folder, "..\\a.vhdx").is_ok());
    }

    #[test]
    fn nothing_outside_the_roots_is_followed() {
        let (dir, policy, folder) = tree();
        let outside = [
            "..\\..\\outside\\secret",
            "..\\..\\outside\\absent",
            "..\\..\\..\\..\\..\\..\\..\\..\\etc\\passwd",
        ];
        for stored in outside {
            assert!(matches!(policy.follow(&folder, stored), Err(Refusal::Outside)), "{stored}");
        }
        for stored in
            ["C:\\base.vhdx", "\\\\server\\x", "/etc/passwd", "", ".", "a\0b", "x:y", "\\\\?\\Volume{1}\\a"]
        {
            assert!(matches!(policy.follow(&folder, stored), Err(Refusal::NotRelative)), "{stored:?}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(dir.path().join("outside/secret"), folder.join("link.vhdx")).unwrap();
            assert!(matches!(policy.follow(&folder, "link.vhdx"), Err(Refusal::Outside)));
        }
        drop(dir);
    }
}
