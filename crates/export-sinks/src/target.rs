//! The name that an artifact is to get, and whether it may have it.
//!
//! Everything here is looked up before any work is done. Writing the file is `staged.rs`; giving it the name without
//! racing anybody is `publish.rs`.

use std::ffi::OsString;
use std::fs::{self, FileType, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use crate::{Doing, Place, Reflink, SinkError, device};

/// What to do when the name is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overwrite {
    /// Leave what is there alone and fail.
    Refuse,
    /// Replace it, once the new file is complete. Only files are replaced. A symbolic link is replaced itself; what
    /// it points to stays as it is, since nobody named it.
    Replace,
}

/// Where a file artifact goes, and what must not be harmed.
#[derive(Clone, Debug)]
pub struct Target {
    path: PathBuf,
    overwrite: Overwrite,
    forbidden: Vec<FileIdentity>,
    checks_space: bool,
    reflink: Reflink,
    caches: bool,
    readers: Readers,
}

/// Whether others than its owner may read a file.
///
/// An artifact holds all that its sources hold, so nobody may read it who may not read each of them. Its group is another than
/// a source's in general, so only what everybody may read is for others than its owner. The umask decides what is left, and
/// about writing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Readers {
    anybody: bool,
}

impl Readers {
    /// No more than the umask allows.
    pub const ANYBODY: Self = Self { anybody: true };

    /// Those of an open file. Elsewhere than on Unix the folder decides.
    pub fn of_open(file: &fs::File) -> io::Result<Self> {
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::MetadataExt::mode(&file.metadata()?);
            Ok(Self { anybody: mode & 0o044 == 0o044 })
        }
        #[cfg(not(unix))]
        {
            file.metadata().map(|_| Self::ANYBODY)
        }
    }

    /// Those who are among both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { anybody: self.anybody && other.anybody }
    }

    /// The permissions of a new file, before the umask.
    #[cfg(unix)]
    pub(crate) fn mode(self) -> u32 {
        if self.anybody { 0o666 } else { 0o600 }
    }
}

/// A target may not be written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TargetError {
    /// Something has that name already, be it a link that leads nowhere.
    #[error("`{0}` exists")]
    Exists(PathBuf),
    /// It is one of the files that are being read, under this or another name. No [`Overwrite`] changes that.
    #[error("`{0}` is one of the sources")]
    IsSource(PathBuf),
    /// Something other than a file has that name.
    #[error("`{path}` is {kind}", path = .path.display())]
    NotAFile {
        /// The name.
        path: PathBuf,
        /// What it is.
        kind: NotAFile,
    },
    /// The directory that it would lie in is none or does not exist.
    #[error("`{0}` is no directory")]
    NoDirectory(PathBuf),
    /// Another run is writing this partial file.
    #[error("`{0}` is being written by another process")]
    Busy(PathBuf),
    /// Somebody who ignores locks has removed or replaced this partial file while it was written.
    #[error("`{0}` was removed or replaced while it was being written")]
    Lost(PathBuf),
}

/// What lies where a file should.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotAFile {
    /// A directory, or a path that ends like one.
    #[error("a directory")]
    Directory,
    /// A symbolic link, where none is followed.
    #[error("a symbolic link")]
    Link,
    /// A device, a pipe, a socket.
    #[error("neither a file nor a directory")]
    Special,
}

impl NotAFile {
    fn of(kind: FileType) -> Option<Self> {
        if kind.is_file() {
            None
        } else if kind.is_dir() {
            Some(Self::Directory)
        } else if kind.is_symlink() {
            Some(Self::Link)
        } else {
            Some(Self::Special)
        }
    }
}

impl Target {
    /// A target of that name.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, overwrite: Overwrite) -> Self {
        Self {
            path: path.into(),
            overwrite,
            forbidden: Vec::new(),
            checks_space: true,
            reflink: Reflink::Auto,
            caches: true,
            readers: Readers::ANYBODY,
        }
    }

    /// Adds files that must not be written, whatever they are called: all that is read.
    #[must_use]
    pub fn forbid(mut self, sources: impl IntoIterator<Item = FileIdentity>) -> Self {
        self.forbidden.extend(sources);
        self
    }

    /// Starts even if the file system seems too small: for file systems that compress, and for sources that store so
    /// many zeros that the holes will make room.
    #[must_use]
    pub fn without_space_check(mut self) -> Self {
        self.checks_space = false;
        self
    }

    /// Whether blocks are shared with the sources; otherwise they are where the file system can.
    #[must_use]
    pub fn with_reflink(mut self, reflink: Reflink) -> Self {
        self.reflink = reflink;
        self
    }

    /// Whether blocks are shared with the sources.
    pub(crate) fn reflink(&self) -> Reflink {
        self.reflink
    }

    /// Lets as little as possible of the file stay in the page cache, for artifacts that push out what others read.
    #[must_use]
    pub fn without_caching(mut self) -> Self {
        self.caches = false;
        self
    }

    /// Lets nobody else read the file.
    #[must_use]
    pub fn readable_by(mut self, readers: Readers) -> Self {
        self.readers = readers;
        self
    }

    pub(crate) fn readers(&self) -> Readers {
        self.readers
    }

    /// The final name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name the file has while it is written: the final one with `.partial` added, so in the same directory.
    #[must_use]
    pub fn partial(&self) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(".partial");
        name.into()
    }

    /// What to do when the name is taken.
    #[must_use]
    pub fn overwrite(&self) -> Overwrite {
        self.overwrite
    }

    pub(crate) fn checks_space(&self) -> bool {
        self.checks_space
    }

    pub(crate) fn caches(&self) -> bool {
        self.caches
    }

    /// The directory that the file lies in.
    pub(crate) fn directory(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    /// Whether the name may be written, as things are now. Worst first: a source, no file, taken.
    pub fn check(&self) -> Result<(), SinkError> {
        self.check_name()?;
        let Some(named) = found(&self.path, fs::symlink_metadata(&self.path))? else { return Ok(()) };
        let behind = found(&self.path, fs::metadata(&self.path))?;
        if let Some(behind) = &behind {
            self.refuse_source(&self.path, behind)?;
            if let Some(kind) = NotAFile::of(behind.file_type()) {
                return Err(TargetError::NotAFile { path: self.path.clone(), kind }.into());
            }
        }
        match self.overwrite {
            Overwrite::Replace if named.is_file() || named.is_symlink() => Ok(()),
            _ => Err(TargetError::Exists(self.path.clone()).into()),
        }
    }

    /// That `found`, which lies at `path`, is a regular file and none of the sources.
    pub(crate) fn check_leftover(&self, path: &Path, found: &Metadata) -> Result<(), SinkError> {
        if let Some(kind) = NotAFile::of(found.file_type()) {
            return Err(TargetError::NotAFile { path: path.to_owned(), kind }.into());
        }
        self.refuse_source(path, found)
    }

    fn check_name(&self) -> Result<(), SinkError> {
        let directory = self.directory();
        if !found(directory, fs::metadata(directory))?.is_some_and(|found| found.is_dir()) {
            return Err(TargetError::NoDirectory(directory.to_owned()).into());
        }
        // `file_name` looks past a final slash, but `disk.raw/` asks for a directory.
        let bytes = self.path.as_os_str().as_encoded_bytes();
        let ends_in_separator = bytes.last().is_some_and(|&last| std::path::is_separator(char::from(last)));
        if self.path.file_name().is_none() || ends_in_separator {
            return Err(TargetError::NotAFile { path: self.path.clone(), kind: NotAFile::Directory }.into());
        }
        Ok(())
    }

    /// Nor may it be what a source is made of: the file that a loop device shows.
    fn refuse_source(&self, path: &Path, found: &Metadata) -> Result<(), SinkError> {
        for source in &self.forbidden {
            if device::made_of(source)?.iter().any(|part| part.is(path, found)) {
                return Err(TargetError::IsSource(path.to_owned()).into());
            }
        }
        Ok(())
    }
}

/// The metadata, if there is such a file.
pub(crate) fn found(path: &Path, metadata: io::Result<Metadata>) -> Result<Option<Metadata>, SinkError> {
    match metadata {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(SinkError::from_io(Doing::Inspect, Place::File(path.to_owned()), error)),
    }
}

/// Which file it is, whatever it is called.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FileIdentity(Identity);

/// What tells files apart.
#[cfg(unix)]
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Identity {
    /// A block device, by its number: any number of nodes may lead to it.
    Device(u64),
    /// Anything else, by the device it lies on and its inode.
    Inode(u64, u64),
}
/// The canonical path: all that the standard library knows elsewhere. It sees through links, but not hard links.
#[cfg(not(unix))]
type Identity = PathBuf;

impl FileIdentity {
    /// The file that `path` leads to, links followed.
    pub fn of(path: &Path) -> io::Result<Self> {
        Self::from_parts(path, &fs::metadata(path)?)
    }

    /// The open file; `path`, under which it was opened, counts only where handles have no identity.
    pub fn of_open(path: &Path, file: &fs::File) -> io::Result<Self> {
        Self::from_parts(path, &file.metadata()?)
    }

    #[cfg(unix)]
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    fn from_parts(_path: &Path, metadata: &Metadata) -> io::Result<Self> {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        Ok(Self(if metadata.file_type().is_block_device() {
            Identity::Device(metadata.rdev())
        } else {
            Identity::Inode(metadata.dev(), metadata.ino())
        }))
    }

    #[cfg(not(unix))]
    fn from_parts(path: &Path, _metadata: &Metadata) -> io::Result<Self> {
        Ok(Self(fs::canonicalize(path)?))
    }

    /// The block device of that number.
    #[cfg(target_os = "linux")]
    pub(crate) fn of_device(number: u64) -> Self {
        Self(Identity::Device(number))
    }

    /// Its number, if it is a block device.
    #[cfg(target_os = "linux")]
    pub(crate) fn device_number(&self) -> Option<u64> {
        match self.0 {
            Identity::Device(number) => Some(number),
            Identity::Inode(..) => None,
        }
    }

    pub(crate) fn is(&self, path: &Path, metadata: &Metadata) -> bool {
        Self::from_parts(path, metadata).is_ok_and(|other| other == *self)
    }
}
