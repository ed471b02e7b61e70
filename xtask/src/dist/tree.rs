//! Files of a package, in memory: a name, what is in it, and whether it can be executed. Sorted by name.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{DistError, read};

/// A file of a package.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) bytes: Vec<u8>,
    pub(super) mode: u32,
}

/// Files by their names, with `/` between folders.
#[derive(Clone, Default)]
pub(super) struct Tree {
    entries: BTreeMap<String, Entry>,
}

impl Tree {
    pub(super) fn add(&mut self, name: &str, bytes: Vec<u8>) {
        self.entries.insert(name.to_owned(), Entry { bytes, mode: 0o644 });
    }

    pub(super) fn add_executable(&mut self, name: &str, bytes: Vec<u8>) {
        self.entries.insert(name.to_owned(), Entry { bytes, mode: 0o755 });
    }

    pub(super) fn add_below(&mut self, folder: &str, other: &Self) {
        for (name, entry) in &other.entries {
            self.entries.insert(format!("{folder}/{name}"), entry.clone());
        }
    }

    /// A file, or a folder with all that is in it. With an empty name, what is in it gets no folder.
    pub(super) fn add_from_disk(&mut self, name: &str, path: &Path) -> Result<(), DistError> {
        let unreadable = |source| DistError::Read { path: path.to_owned(), source };
        let metadata = fs::metadata(path).map_err(unreadable)?;
        if metadata.is_file() {
            let bytes = read(path)?;
            if is_executable(&metadata) {
                self.add_executable(name, bytes);
            } else {
                self.add(name, bytes);
            }
            return Ok(());
        }
        for below in fs::read_dir(path).map_err(unreadable)? {
            let below = below.map_err(unreadable)?;
            let last = below.file_name().to_string_lossy().into_owned();
            let name = if name.is_empty() { last } else { format!("{name}/{last}") };
            self.add_from_disk(&name, &below.path())?;
        }
        Ok(())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }
}

#[cfg(unix)]
fn is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &fs::Metadata) -> bool {
    false
}
