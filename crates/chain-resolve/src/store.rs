//! Opening files of this machine, read-only: the only place in the project that opens a source.
//!
//! What is opened is a regular file, known by its identity rather than its name, so that a cycle, a hard link or a
//! target that is a source is seen whatever it is called. Where a name may lead is for [`crate::SearchPolicy`] to say.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use vhdx_format::{FileOffset, ReadAt};

/// Which file it is, whatever its name.
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
    /// Bytes that the file system has allocated for it; where it does not say, the length.
    pub allocated: u64,
    /// When it was last written to, where the file system knows.
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
    #[error("`{}` is {found}, expected a regular file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: &'static str,
    },
}

/// An open file, for reading by position.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: File,
    pub(crate) source: SourceFile,
}

impl ReadAt for OpenFile {
    fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(at, buf)
    }

    fn byte_len(&self) -> io::Result<u64> {
        self.file.byte_len()
    }
}

/// Opens a regular file for reading. Asks what it is before and after: opening a FIFO would wait for a writer, and
/// what stands under the name may change in between.
pub(crate) fn open(path: &Path) -> Result<OpenFile, StoreError> {
    let failed = |source| StoreError::Open { path: path.to_path_buf(), source };
    check_regular(path, &std::fs::metadata(path).map_err(failed)?)?;
    let file = open_read_only(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    check_regular(path, &metadata)?;
    let source = SourceFile {
        path: path.to_path_buf(),
        id: file_id(path, &metadata).map_err(failed)?,
        len: metadata.len(),
        allocated: allocated(&metadata),
        modified: metadata.modified().ok(),
    };
    Ok(OpenFile { file, source })
}

impl SourceFile {
    /// Whether an open file still has the length and time it had when it was opened.
    pub(crate) fn is_unchanged(&self, file: &File) -> io::Result<bool> {
        let metadata = file.metadata()?;
        Ok(metadata.len() == self.len && metadata.modified().ok() == self.modified)
    }
}

fn check_regular(path: &Path, metadata: &std::fs::Metadata) -> Result<(), StoreError> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let found = if kind.is_dir() { "a folder" } else { special_kind(kind) };
    Err(StoreError::NotAFile { path: path.to_path_buf(), found })
}

#[cfg(unix)]
fn special_kind(kind: std::fs::FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_block_device() || kind.is_char_device() {
        "a device"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a special file"
    }
}

#[cfg(not(unix))]
fn special_kind(_: std::fs::FileType) -> &'static str {
    "a special file"
}

/// Never waits, whatever the name has become meanwhile, and never makes a terminal ours.
#[cfg(unix)]
fn open_read_only(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

#[cfg(not(unix))]
fn open_read_only(path: &Path) -> io::Result<File> {
    File::open(path)
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere the answer takes a look at the file system")]
fn file_id(_: &Path, metadata: &std::fs::Metadata) -> io::Result<FileId> {
    use std::os::unix::fs::MetadataExt;
    Ok(FileId { device: metadata.dev(), inode: metadata.ino() })
}

#[cfg(unix)]
fn allocated(metadata: &std::fs::Metadata) -> u64 {
    // The unit of st_blocks is 512 bytes, whatever the file system's block size.
    std::os::unix::fs::MetadataExt::blocks(metadata).saturating_mul(512)
}

#[cfg(not(unix))]
fn allocated(metadata: &std::fs::Metadata) -> u64 {
    metadata.len()
}

/// Without stable file numbers, the resolved name stands in for them.
#[cfg(not(unix))]
fn file_id(path: &Path, _: &std::fs::Metadata) -> io::Result<FileId> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    std::fs::canonicalize(path)?.hash(&mut hasher);
    Ok(FileId { device: 0, inode: hasher.finish() })
}
