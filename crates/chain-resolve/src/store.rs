//! Opening files of this machine, read-only: the only place in the project that opens a source.
//!
//! What is opened is a regular file, known by its identity rather than its name, so that a cycle, a hard link or a
//! target that is a source is seen whatever it is called. A block device is opened only for a user who names it as a
//! whole disk. Where a name may lead is for [`crate::SearchPolicy`] to say.

use std::fs::{File, FileType, Metadata, ReadDir};
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use vhdx_format::{FileOffset, ReadAt};

use crate::chain::{Change, ChangeError};
use crate::page_cache::{CacheUse, Reading};

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

/// Opens a regular file for reading.
pub(crate) fn open(path: &Path) -> Result<OpenFile, StoreError> {
    open_plain(path, SourceKinds::Files)
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

fn check_kind(path: &Path, metadata: &Metadata, kinds: SourceKinds) -> Result<(), StoreError> {
    let kind = metadata.file_type();
    let is_wanted_device = kinds == SourceKinds::FilesAndDevices && is_block_device(kind);
    if kind.is_file() || is_wanted_device {
        return Ok(());
    }
    let found = if kind.is_dir() { "a folder" } else { special_kind(kind) };
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
fn special_kind(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_block_device() {
        "a block device"
    } else if kind.is_char_device() {
        "a character device"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a special file"
    }
}

#[cfg(not(unix))]
fn special_kind(_: FileType) -> &'static str {
    "a special file"
}

/// Whether it is the way to the file that failed, so that another try may succeed: a medium, a server, a signal.
pub(crate) fn may_pass(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkDown, NetworkUnreachable,
        NotConnected, OutOfMemory, ResourceBusy, StaleNetworkFileHandle, TimedOut, WouldBlock,
    };
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) {
        return true;
    }
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | NotConnected
            | OutOfMemory
            | ResourceBusy
            | StaleNetworkFileHandle
            | TimedOut
            | WouldBlock
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

/// Never waits, whatever the name has become meanwhile, and never makes a terminal ours.
#[cfg(unix)]
fn open_read_only(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::io::retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()));
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
