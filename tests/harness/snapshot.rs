//! Everything below a folder as it is now: names, kinds, lengths, times and bytes, so that any change shows.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Content, content_of};

/// What is below a folder, by relative name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Snapshot(BTreeMap<PathBuf, Entry>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Entry {
    Folder,
    File { modified: SystemTime, content: Content },
    Link(PathBuf),
    Special(SystemTime),
}

impl Snapshot {
    pub(super) fn of(folder: &Path) -> Self {
        let mut entries = BTreeMap::new();
        let mut folders = vec![folder.to_path_buf()];
        while let Some(at) = folders.pop() {
            for entry in fs::read_dir(&at).unwrap() {
                let path = entry.unwrap().path();
                let metadata = fs::symlink_metadata(&path).unwrap();
                if metadata.is_dir() {
                    folders.push(path.clone());
                }
                let name = path.strip_prefix(folder).unwrap().to_path_buf();
                entries.insert(name, Entry::of(&path, &metadata));
            }
        }
        Self(entries)
    }

    /// What differs, one name a line; empty if nothing does.
    pub(super) fn changes_to(&self, later: &Self) -> String {
        let mut changes: Vec<String> = Vec::new();
        for name in self.0.keys().chain(later.0.keys()) {
            let change = match (self.0.get(name), later.0.get(name)) {
                (Some(before), Some(after)) if before == after => continue,
                (Some(before), Some(after)) => format!("{}: was {before:?}, is {after:?}", name.display()),
                (None, _) => format!("{}: is new", name.display()),
                (_, None) => format!("{}: is gone", name.display()),
            };
            changes.push(change);
        }
        changes.dedup();
        changes.join("\n")
    }
}

impl Entry {
    fn of(path: &Path, metadata: &Metadata) -> Self {
        let modified = metadata.modified().unwrap();
        let kind = metadata.file_type();
        if kind.is_dir() {
            Self::Folder
        } else if kind.is_symlink() {
            Self::Link(fs::read_link(path).unwrap())
        } else if kind.is_file() {
            Self::File { modified, content: content_of(path) }
        } else {
            Self::Special(modified)
        }
    }
}
