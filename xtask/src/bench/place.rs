//! A folder where disks, flattened disks and results lie during a benchmark, and how much room it has.
//!
//! Whatever lies there goes when the place is dropped, except for the disks of a folder that keeps them for the next
//! time.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::disks::DiskName;
use super::make;

/// Left free in memory for the programs that run.
const SPARE_MEMORY: u64 = 1 << 30;
const RESULTS: &str = "out";
const FLAT: &str = "flat";

/// What a command reads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Input {
    /// The chain of images.
    Disk(DiskName),
    /// The flattened disk as a raw file.
    Flat(DiskName),
}

impl Input {
    /// The disk that it comes from.
    pub(super) fn disk(self) -> DiskName {
        match self {
            Self::Disk(name) | Self::Flat(name) => name,
        }
    }

    /// About how much room it takes.
    pub(super) fn room(self) -> u64 {
        match self {
            Self::Disk(name) => make::room(&name.disk()),
            Self::Flat(name) => name.disk().data.len() * super::sector_map::SECTOR,
        }
    }
}

/// What becomes of the disks in a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Keep {
    /// They stay for the next benchmark.
    Disks,
    /// They go as soon as nobody needs them any more: memory is dear.
    Nothing,
}

/// The folder, held by this process alone.
pub(super) struct Place {
    root: PathBuf,
    keep: Keep,
    _lock: File,
}

/// Why a folder is no place for a benchmark.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    #[error("cannot use {}", root.display())]
    Unusable { root: PathBuf, source: io::Error },
    #[error("another benchmark is running in {}", .0.display())]
    Taken(PathBuf),
    #[error("cannot learn how much room {} has", root.display())]
    Unknown { root: PathBuf, source: io::Error },
}

impl Place {
    /// Takes the folder, which is made if need be. What a benchmark that was killed left there goes first.
    pub(super) fn take(root: PathBuf, keep: Keep) -> Result<Self, PlaceError> {
        let unusable = |source| PlaceError::Unusable { root: root.clone(), source };
        fs::create_dir_all(&root).map_err(unusable)?;
        let lock = File::create(root.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(PlaceError::Taken(root)),
            Err(fs::TryLockError::Error(source)) => return Err(unusable(source)),
        }
        let place = Self { root: root.clone(), keep, _lock: lock };
        place.remove(FLAT).and_then(|()| place.clear_results()).map_err(unusable)?;
        Ok(place)
    }

    /// Commands run here: their paths are relative to it.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// What becomes of the disks made here.
    pub(super) fn keep(&self) -> Keep {
        self.keep
    }

    /// How many bytes it can take in now.
    pub(super) fn room(&self) -> Result<u64, PlaceError> {
        room_of(&self.root).map_err(|source| PlaceError::Unknown { root: self.root.clone(), source })
    }

    /// How many bytes `input` would still take: nothing if it is there.
    pub(super) fn missing(&self, input: Input) -> u64 {
        let is_there = match input {
            Input::Disk(name) => make::is_made(&name.disk(), &self.root),
            Input::Flat(name) => self.has_flat(name),
        };
        if is_there { 0 } else { input.room() }
    }

    /// Whether the flattened disk is there.
    pub(super) fn has_flat(&self, name: DiskName) -> bool {
        self.root.join(flat(name)).exists()
    }

    /// Makes the disk if it is not there. Its leaf, relative to the place, and whether it is new.
    pub(super) fn make(&self, name: DiskName) -> io::Result<(String, bool)> {
        let made = make::ensure(&name.disk(), &self.root)?;
        Ok((name.leaf(), !made.found))
    }

    /// Makes room for a flattened disk. Its path, relative to the place.
    pub(super) fn flat(&self, name: DiskName) -> io::Result<String> {
        fs::create_dir_all(self.root.join(FLAT))?;
        Ok(flat(name))
    }

    /// An empty folder for results, whatever was in there before.
    pub(super) fn clear_results(&self) -> io::Result<()> {
        self.remove(RESULTS)?;
        fs::create_dir(self.root.join(RESULTS))
    }

    /// Removes what is not among `needed` any more.
    pub(super) fn forget_all_but(&self, needed: &BTreeSet<Input>) -> io::Result<()> {
        for name in DiskName::ALL {
            if !needed.contains(&Input::Flat(name)) {
                self.remove(&flat(name))?;
            }
            if self.keep == Keep::Nothing && !needed.contains(&Input::Disk(name)) {
                self.remove(name.name())?;
            }
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.root.join(name);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let gone = self.forget_all_but(&BTreeSet::new());
        let gone = gone.and(self.remove(RESULTS)).and(self.remove(FLAT)).and(self.remove("usage"));
        if let Err(error) = gone.and(self.remove("lock")) {
            eprintln!("warning: not all of {} could be removed: {error}", self.root.display());
        }
        // It stays if it holds disks, or somebody else's files.
        let _ = fs::remove_dir(&self.root);
    }
}

fn flat(name: DiskName) -> String {
    format!("{FLAT}/{}.raw", name.name())
}

/// What the file system has left, and no more than the memory has, where it lies there.
fn room_of(folder: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(folder)?;
    let room = found.f_bavail.saturating_mul(found.f_frsize);
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    if file_system_of(&folder.canonicalize()?, &mounts) != Some("tmpfs") {
        return Ok(room);
    }
    let memory = memory("MemAvailable").unwrap_or(u64::MAX);
    Ok(room.min(memory.saturating_sub(SPARE_MEMORY)))
}

/// The file system that a folder lies on, as `/proc/mounts` calls its kind.
pub(super) fn file_system_of<'a>(folder: &Path, mounts: &'a str) -> Option<&'a str> {
    let mut best: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let mut words = line.split(' ').skip(1);
        let (Some(at), Some(kind)) = (words.next(), words.next()) else { continue };
        // Later mounts lie over earlier ones.
        if folder.starts_with(at) && best.is_none_or(|(len, _)| at.len() >= len) {
            best = Some((at.len(), kind));
        }
    }
    best.map(|(_, kind)| kind)
}

/// A line of `/proc/meminfo`, in bytes.
pub(super) fn memory(key: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_in(root: &Path) -> Vec<String> {
        let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn only_disks_stay_and_only_where_they_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("bench");
        for (keep, left) in [(Keep::Disks, vec!["small"]), (Keep::Nothing, vec![])] {
            let place = Place::take(root.clone(), keep).unwrap();
            let (leaf, is_new) = place.make(DiskName::Small).unwrap();
            assert_eq!(is_new, keep == Keep::Disks);
            assert!(root.join(leaf).exists());
            fs::write(root.join("out/result"), "").unwrap();
            fs::write(root.join(place.flat(DiskName::Small).unwrap()), "").unwrap();
            place.forget_all_but(&[Input::Disk(DiskName::Small)].into()).unwrap();
            assert!(root.join("small").exists() && !root.join("flat/small.raw").exists());
            drop(place);
            assert_eq!(left_in(&root), left);
        }
        assert!(!root.exists());
    }

    #[test]
    fn a_place_is_had_by_one_benchmark_and_knows_what_it_still_takes() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let place = Place::take(root.clone(), Keep::Nothing).unwrap();
        assert!(matches!(Place::take(root.clone(), Keep::Nothing), Err(PlaceError::Taken(_))));
        assert!(place.missing(Input::Disk(DiskName::Small)) > 40_000_000);
        place.make(DiskName::Small).unwrap();
        assert_eq!(place.missing(Input::Disk(DiskName::Small)), 0);
        assert!(place.room().is_ok());
    }

    #[test]
    fn what_a_killed_benchmark_left_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["flat", "out"] {
            fs::create_dir(folder.path().join(path)).unwrap();
            fs::write(folder.path().join(path).join("left"), "").unwrap();
        }
        let _place = Place::take(folder.path().to_owned(), Keep::Nothing).unwrap();
        assert!(!folder.path().join("flat").exists() && left_in(&folder.path().join("out")).is_empty());
    }

    #[test]
    fn a_folder_lies_on_the_innermost_mount_and_the_latest_there() {
        let mounts =
            "/dev/a / ext4 rw 0 0\ntmpfs /mnt tmpfs rw 0 0\n/dev/b /mnt xfs rw 0 0\nx /mnt/a/b zfs rw 0 0\n";
        let of = |folder: &str| file_system_of(Path::new(folder), mounts);
        assert_eq!(of("/home"), Some("ext4"));
        assert_eq!(of("/mntx"), Some("ext4"));
        assert_eq!(of("/mnt/a"), Some("xfs"));
        assert_eq!(of("/mnt/a/b/c"), Some("zfs"));
    }
}
