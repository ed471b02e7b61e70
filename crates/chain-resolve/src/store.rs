//! Opening files of this machine, read-only: the only place in the project that opens a source.
//!
//! What is opened is a regular file, known by its identity rather than its name, so that a cycle, a hard link or a
//! target that is a source is seen whatever it is called. A block device is opened only for a user who names it as a
//! whole disk. Where a name may lead is for [`crate::SearchPolicy`] to say; that it leads there is seen to while it is
//! opened.

use std::fs::{File, FileType, Metadata, ReadDir};
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

#[cfg(unix)]
use rustix::fs::OFlags;
use vhdx_format::{FileOffset, ReadAt};

use crate::chain::{Change, ChangeError};
use crate::page_cache::{CacheUse, Reading};
use crate::policy::SearchPolicy;

/// Which file it is, whatever its name. Of a block device, which of its names: two of them are two files.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FileId {
    /// The file system's device number.
    pub device: u64,
    /// The file's number in it.
    pub inode: u64,
}

/// A file as it was when it was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceFile {
    /// The name it was opened by.
    pub path: PathBuf,
    /// Which file it is.
    pub id: FileId,
    /// Length in bytes.
    pub len: u64,
    /// Bytes that the file system has allocated for it; where it does not say, and of a device, the length.
    pub allocated: u64,
    /// When it was last written to, where the file system knows; no device knows.
    pub modified: Option<SystemTime>,
}

/// Why a file was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The system refused.
    #[error("cannot open `{}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Folders, devices, FIFOs and sockets are no sources.
    #[error("`{}` is {found}, expected {expected}", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
        /// What it may be.
        expected: SourceKinds,
        /// What it is instead.
        found: &'static str,
    },
    /// It lies in none of the folders that may be searched.
    #[error("`{}` lies outside the folders that are searched", .0.display())]
    Outside(PathBuf),
    /// Between looking where it lies and opening it, a link took the place of a name on the way.
    #[error("`{}` was replaced while it was being opened", .0.display())]
    Replaced(PathBuf),
}

impl StoreError {
    /// The same of a file that is called otherwise.
    fn with_path(self, path: &Path) -> Self {
        let path = path.to_path_buf();
        match self {
            Self::Open { source, .. } => Self::Open { path, source },
            Self::NotAFile { expected, found, .. } => Self::NotAFile { path, expected, found },
            Self::Outside(_) => Self::Outside(path),
            Self::Replaced(_) => Self::Replaced(path),
        }
    }
}

/// What may be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SourceKinds {
    /// Regular files, which is where images lie.
    Files,
    /// Block devices as well, which hold a disk as a whole.
    FilesAndDevices,
}

impl std::fmt::Display for SourceKinds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Files => "a regular file",
            Self::FilesAndDevices => "a regular file or a block device",
        })
    }
}

/// An open regular file or block device, for reading by position.
#[derive(Debug)]
pub struct OpenFile {
    pub(crate) file: File,
    pub(crate) source: SourceFile,
    is_device: bool,
    reading: Reading,
}

impl OpenFile {
    /// The file as it was when it was opened.
    #[must_use]
    pub fn source(&self) -> &SourceFile {
        &self.source
    }

    /// The open file, for sharing its blocks with a target.
    #[must_use]
    pub fn handle(&self) -> &File {
        &self.file
    }

    /// Whether it is a block device.
    #[must_use]
    pub fn is_device(&self) -> bool {
        self.is_device
    }

    /// The logical sector size of a block device, in bytes; `None` of a file, and of a device that does not say.
    #[must_use]
    pub fn sector_size(&self) -> Option<u32> {
        if self.is_device { device_sector(&self.file) } else { None }
    }

    /// Says that all of it is about to be read, and what is to become of that in the page cache. Whoever looks at the
    /// metadata alone has nothing to say.
    pub fn expect_reading(&self, cache: CacheUse) {
        self.reading.expect(&self.file, cache);
    }

    /// Asks whether it still is what it was when it was opened. Ask before publishing what was read. A device has no
    /// time of change: of one, only another length is noticed.
    pub fn check_unchanged(&self) -> Result<(), ChangeError> {
        let path = || self.source.path.clone();
        match self.change() {
            Ok(None) => Ok(()),
            Ok(Some(change)) => Err(ChangeError::Changed { path: path(), change }),
            Err(source) => Err(ChangeError::Io { path: path(), source }),
        }
    }

    /// Whether it has another length or time than it had when it was opened.
    fn change(&self) -> io::Result<Option<Change>> {
        let (is, modified) = if self.is_device {
            (self.byte_len()?, None)
        } else {
            let metadata = self.file.metadata()?;
            (metadata.len(), metadata.modified().ok())
        };
        let was = self.source.len;
        let is_newer = modified != self.source.modified;
        Ok(if is == was { is_newer.then_some(Change::Time) } else { Some(Change::Length { was, is }) })
    }
}

impl ReadAt for OpenFile {
    fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
        self.reading.read_exact_at(&self.file, at, buf)
    }

    fn byte_len(&self) -> io::Result<u64> {
        if self.is_device { device_len(&self.file) } else { self.file.byte_len() }
    }

    /// What the file system says of holes; devices have none. A file that takes all the room of its
    /// length is not asked: it may have holes, but none that save much.
    fn next_data(&self, at: FileOffset, end: FileOffset) -> io::Result<Range<FileOffset>> {
        let may_have_holes = !self.is_device && self.source.allocated < self.source.len && at < end;
        Ok(if may_have_holes { next_data(&self.file, at, end) } else { at..end })
    }

    /// Itself; the blocks of a device are its own.
    fn file_of(&self, _: FileOffset, _: FileOffset) -> Option<&File> {
        (!self.is_device).then_some(&self.file)
    }
}

/// Opens a regular file that lies below one of the policy's roots, whatever links lead to it.
pub(crate) fn open(path: &Path, policy: &SearchPolicy) -> Result<OpenFile, StoreError> {
    let failed = |source| StoreError::Open { path: path.to_path_buf(), source };
    // Opening says what it is that has no place below a root, such as a FIFO.
    check_kind(path, &std::fs::metadata(path).map_err(failed)?, SourceKinds::Files)?;
    let real = std::fs::canonicalize(path).map_err(failed)?;
    let file = open_real(&real, policy).map_err(|error| error.with_path(path))?;
    Ok(OpenFile { source: SourceFile { path: path.to_path_buf(), ..file.source }, ..file })
}

/// Opens a regular file by its real name, which has no link in it.
///
/// Whoever may write below a root can put a link in the place of any name there, also after the real name was found. So
/// each name from the root on is opened in the folder that was opened before, and none of them may be a link: what is
/// opened lies below the root whatever happens meanwhile.
pub(crate) fn open_real(real: &Path, policy: &SearchPolicy) -> Result<OpenFile, StoreError> {
    let (root, names) = policy.below(real).ok_or_else(|| StoreError::Outside(real.to_path_buf()))?;
    let file = open_below(root, names, real)?;
    let failed = |source| StoreError::Open { path: real.to_path_buf(), source };
    let metadata = file.metadata().map_err(failed)?;
    check_kind(real, &metadata, SourceKinds::Files)?;
    let source = regular(real, &metadata).map_err(failed)?;
    Ok(OpenFile { source, file, is_device: false, reading: Reading::default() })
}

/// Opens what the user names, whatever it holds: nothing of it is read here, and nothing of it leads anywhere.
///
/// Asks what it is before and after: opening a FIFO would wait for a writer, and what stands under the name may change
/// in between.
pub fn open_plain(path: &Path, kinds: SourceKinds) -> Result<OpenFile, StoreError> {
    let failed = |source| StoreError::Open { path: path.to_path_buf(), source };
    check_kind(path, &std::fs::metadata(path).map_err(failed)?, kinds)?;
    let file = open_read_only(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    check_kind(path, &metadata, kinds)?;
    let is_device = is_block_device(metadata.file_type());
    let source = if is_device { device(path, &file, &metadata) } else { regular(path, &metadata) };
    Ok(OpenFile { source: source.map_err(failed)?, file, is_device, reading: Reading::default() })
}

fn regular(path: &Path, metadata: &Metadata) -> io::Result<SourceFile> {
    Ok(SourceFile {
        path: path.to_path_buf(),
        id: file_id(path, metadata)?,
        len: metadata.len(),
        allocated: allocated(metadata),
        modified: metadata.modified().ok(),
    })
}

/// What is recorded of a device is recorded of its name, but for its length.
fn device(path: &Path, file: &File, metadata: &Metadata) -> io::Result<SourceFile> {
    let len = device_len(file)?;
    let id = file_id(path, metadata)?;
    Ok(SourceFile { path: path.to_path_buf(), id, len, allocated: len, modified: None })
}

/// The end of a device is where a seek to its end leads. That moves the cursor, which reading by position ignores.
fn device_len(mut file: &File) -> io::Result<u64> {
    file.seek(SeekFrom::End(0))
}

#[cfg(unix)]
fn open_below(root: &Path, names: &Path, real: &Path) -> Result<File, StoreError> {
    use rustix::fs::{AtFlags, CWD, FileType as Kind, Mode, open, openat, statat};
    use rustix::io::{Errno, retry_on_intr as again};
    let failed = |error: Errno| match error {
        // The real name has no links in it, and nothing but folders before its end.
        Errno::LOOP | Errno::NOTDIR => StoreError::Replaced(real.to_path_buf()),
        error => StoreError::Open { path: real.to_path_buf(), source: error.into() },
    };
    let mut folder = again(|| open(root, FOLDER, Mode::empty())).map_err(failed)?;
    for name in names.parent().into_iter().flat_map(Path::components) {
        folder = again(|| openat(&folder, name.as_os_str(), FOLDER | OFlags::NOFOLLOW, Mode::empty()))
            .map_err(failed)?;
    }
    let Some(name) = names.file_name() else {
        // The root itself.
        return Ok(File::from(
            again(|| openat(CWD, real, FILE | OFlags::NOFOLLOW, Mode::empty())).map_err(failed)?,
        ));
    };
    // Asked before, too: opening a device can do things.
    let stat = again(|| statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)).map_err(failed)?;
    match Kind::from_raw_mode(stat.st_mode) {
        Kind::RegularFile => {}
        Kind::Symlink => return Err(StoreError::Replaced(real.to_path_buf())),
        kind => {
            let (path, expected) = (real.to_path_buf(), SourceKinds::Files);
            return Err(StoreError::NotAFile { path, expected, found: kind_name(kind) });
        }
    }
    Ok(File::from(again(|| openat(&folder, name, FILE | OFlags::NOFOLLOW, Mode::empty())).map_err(failed)?))
}

/// Without folders that can be held open, the name is all there is: a link that is put in its place in the same moment
/// is followed.
#[cfg(not(unix))]
fn open_below(_: &Path, _: &Path, real: &Path) -> Result<File, StoreError> {
    let failed = |source| StoreError::Open { path: real.to_path_buf(), source };
    check_kind(real, &std::fs::metadata(real).map_err(failed)?, SourceKinds::Files)?;
    open_read_only(real).map_err(failed)
}

fn check_kind(path: &Path, metadata: &Metadata, kinds: SourceKinds) -> Result<(), StoreError> {
    let kind = metadata.file_type();
    let is_wanted_device = kinds == SourceKinds::FilesAndDevices && is_block_device(kind);
    if kind.is_file() || is_wanted_device {
        return Ok(());
    }
    let found = found_kind(metadata);
    Err(StoreError::NotAFile { path: path.to_path_buf(), expected: kinds, found })
}

#[cfg(unix)]
fn is_block_device(kind: FileType) -> bool {
    std::os::unix::fs::FileTypeExt::is_block_device(&kind)
}

#[cfg(not(unix))]
fn is_block_device(_: FileType) -> bool {
    false
}

#[cfg(target_os = "linux")]
fn device_sector(file: &File) -> Option<u32> {
    rustix::fs::ioctl_blksszget(file).ok()
}

#[cfg(not(target_os = "linux"))]
fn device_sector(_: &File) -> Option<u32> {
    None
}

/// `at` lies before `end`. Whatever the file system does not say is data: that costs time, and is never wrong.
#[cfg(target_os = "linux")]
fn next_data(file: &File, at: FileOffset, end: FileOffset) -> Range<FileOffset> {
    use rustix::fs::SeekFrom::{Data, Hole};
    use rustix::io::Errno;
    let start = match rustix::fs::seek(file, Data(at.0)) {
        Ok(start) if start >= end.0 => return end..end,
        Ok(start) => start.max(at.0),
        // No data up to the end of the file. What lies behind that is no hole, but missing.
        Err(Errno::NXIO) if file.byte_len().is_ok_and(|len| len >= end.0) => return end..end,
        Err(_) => return at..end,
    };
    let hole = rustix::fs::seek(file, Hole(start)).unwrap_or(end.0);
    FileOffset(start)..FileOffset(hole.max(start))
}

#[cfg(not(target_os = "linux"))]
fn next_data(_: &File, at: FileOffset, end: FileOffset) -> Range<FileOffset> {
    at..end
}

#[cfg(unix)]
fn found_kind(metadata: &Metadata) -> &'static str {
    kind_name(rustix::fs::FileType::from_raw_mode(std::os::unix::fs::MetadataExt::mode(metadata)))
}

#[cfg(unix)]
fn kind_name(kind: rustix::fs::FileType) -> &'static str {
    use rustix::fs::FileType as Kind;
    match kind {
        Kind::Directory => "a folder",
        Kind::Fifo => "a FIFO",
        Kind::BlockDevice => "a block device",
        Kind::CharacterDevice => "a character device",
        Kind::Socket => "a socket",
        _ => "a special file",
    }
}

#[cfg(not(unix))]
fn found_kind(metadata: &Metadata) -> &'static str {
    if metadata.is_dir() { "a folder" } else { "a special file" }
}

/// Whether it may be the way to the file that failed (a medium, a server, a signal), and not the file: whatever is not known
/// to say that the name leads to nothing that this user may read. Another try may succeed then.
pub(crate) fn may_pass(error: &io::Error) -> bool {
    use io::ErrorKind::{
        InvalidFilename, InvalidInput, IsADirectory, NotADirectory, NotFound, PermissionDenied, Unsupported,
    };
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
        return false;
    }
    !matches!(
        error.kind(),
        InvalidFilename
            | InvalidInput
            | IsADirectory
            | NotADirectory
            | NotFound
            | PermissionDenied
            | Unsupported
    )
}

/// Lists a folder. On a network file system a signal can interrupt that, and the standard library does not try again.
pub(crate) fn list(folder: &Path) -> io::Result<ReadDir> {
    loop {
        match std::fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            listed => return listed,
        }
    }
}

/// How a folder is opened to look names up in it, which asks for no right to list it.
#[cfg(target_os = "linux")]
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(all(unix, not(target_os = "linux")))]
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// How a file is opened: never waiting, whatever the name has become meanwhile, and never making a terminal ours.
#[cfg(unix)]
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

#[cfg(unix)]
fn open_read_only(path: &Path) -> io::Result<File> {
    let opened = rustix::io::retry_on_intr(|| rustix::fs::open(path, FILE, rustix::fs::Mode::empty()));
    Ok(File::from(opened?))
}

#[cfg(not(unix))]
fn open_read_only(path: &Path) -> io::Result<File> {
    File::open(path)
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere the answer takes a look at the file system")]
fn file_id(_: &Path, metadata: &Metadata) -> io::Result<FileId> {
    use std::os::unix::fs::MetadataExt;
    Ok(FileId { device: metadata.dev(), inode: metadata.ino() })
}

#[cfg(unix)]
fn allocated(metadata: &Metadata) -> u64 {
    // The unit of st_blocks is 512 bytes, whatever the file system's block size.
    std::os::unix::fs::MetadataExt::blocks(metadata).saturating_mul(512)
}

#[cfg(not(unix))]
fn allocated(metadata: &Metadata) -> u64 {
    metadata.len()
}

/// Without stable file numbers, the resolved name stands in for them.
#[cfg(not(unix))]
fn file_id(path: &Path, _: &Metadata) -> io::Result<FileId> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    std::fs::canonicalize(path)?.hash(&mut hasher);
    Ok(FileId { device: 0, inode: hasher.finish() })
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder that may be searched with the file `disks/a.vhdx`, a secret beside it, and the file's real name.
    fn tree() -> (tempfile::TempDir, SearchPolicy, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        for (folder, file) in [("vm/disks", "a.vhdx"), ("outside", "a.vhdx")] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
            std::fs::write(dir.path().join(folder).join(file), folder).unwrap();
        }
        let policy = SearchPolicy::new([dir.path().join("vm")]).unwrap();
        let real = policy.confine(&dir.path().join("vm/disks/a.vhdx")).unwrap();
        (dir, policy, real)
    }

    #[test]
    fn a_link_that_takes_the_place_of_a_file_that_was_looked_at_is_not_followed() {
        let (dir, policy, real) = tree();
        assert_eq!(open_real(&real, &policy).unwrap().source.len, 8);
        std::fs::remove_file(&real).unwrap();
        symlink(dir.path().join("outside/a.vhdx"), &real).unwrap();
        assert!(matches!(open_real(&real, &policy), Err(StoreError::Replaced(path)) if path == real));
    }

    #[test]
    fn nor_is_one_that_takes_the_place_of_its_folder() {
        let (dir, policy, real) = tree();
        std::fs::rename(dir.path().join("vm/disks"), dir.path().join("vm/moved")).unwrap();
        symlink("../outside", dir.path().join("vm/disks")).unwrap();
        assert!(matches!(open_real(&real, &policy), Err(StoreError::Replaced(path)) if path == real));
    }

    #[test]
    fn what_lies_below_no_root_is_not_opened() {
        let (dir, policy, real) = tree();
        let outside = std::fs::canonicalize(dir.path().join("outside/a.vhdx")).unwrap();
        assert!(matches!(open_real(&outside, &policy), Err(StoreError::Outside(_))));
        std::fs::remove_file(&real).unwrap();
        symlink(&outside, &real).unwrap();
        assert!(matches!(open(&real, &policy), Err(StoreError::Outside(path)) if path == real));
    }
}
