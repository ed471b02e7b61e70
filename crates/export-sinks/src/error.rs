//! Why an export failed, split by who is at fault: the disk that was read, the target that was named, the room it has,
//! the reader of a stream, or the system. Exit codes and hints are the binary's.

use std::fmt;
use std::io;
use std::path::PathBuf;

use vhdx_format::{DiskOffset, ReadError};

use crate::device::{DeviceError, NotKept};
use crate::{Cancelled, NotShared, TargetError};

/// An export failed; nothing stands under the name of its target. What that means for a device is [`crate::device`]'s.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The disk could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The extents of the disk leave a gap, overlap or end early: a defect of the [`vhdx_format::VirtualDisk`].
    #[error("the extents of the disk go on at {found} instead of {expected}")]
    BrokenExtents {
        /// Where the next extent had to start.
        expected: DiskOffset,
        /// Where it starts, or where the extents end.
        found: DiskOffset,
    },
    /// The artifact could not be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The export was stopped from outside.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The system gave no thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

impl From<TargetError> for ExportError {
    fn from(error: TargetError) -> Self {
        Self::Sink(error.into())
    }
}

/// An artifact could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The target may not be written at all.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The device may not be written at all.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The device did not keep the start of the disk, which is gone from it again.
    #[error(transparent)]
    NotKept(#[from] NotKept),
    /// There is no room for the artifact.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// Blocks of a source can not be shared, though they have to.
    #[error(transparent)]
    NotShared(#[from] NotShared),
    /// The reader of the stream has gone away.
    #[error("the reader of the stream has closed it")]
    BrokenPipe,
    /// A block that had no data when the block table was written has some now: a source was changed meanwhile.
    #[error("the disk has data at {at}, where it had none when the block table was written")]
    Changed {
        /// Where the block's data lies on the disk.
        at: DiskOffset,
    },
    /// The system refused.
    #[error("cannot {doing} {place}")]
    Io {
        /// What was being done.
        doing: Doing,
        /// To what.
        place: Place,
        /// What the system said.
        source: io::Error,
    },
}

/// There is no room for the artifact.
#[derive(Debug, thiserror::Error)]
pub enum SpaceError {
    /// Found before the first byte was written.
    #[error("{place} needs {need} bytes, but its file system has {have} free")]
    Short {
        /// The file.
        place: Place,
        /// Bytes that the artifact will take.
        need: u64,
        /// Bytes that are free for this user.
        have: u64,
    },
    /// The file system or the user's quota is full.
    #[error("no space left to {doing} {place}")]
    Full {
        /// What was being done.
        doing: Doing,
        /// To what.
        place: Place,
        /// What the system said.
        source: io::Error,
    },
    /// The file system, or a limit of this process, does not allow files that large.
    #[error("{place} becomes too large for its file system")]
    TooLarge {
        /// The file.
        place: Place,
        /// What the system said.
        source: io::Error,
    },
}

impl SinkError {
    /// Finds out what an error of the system means here.
    #[must_use]
    pub fn from_io(doing: Doing, place: Place, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::BrokenPipe => Self::BrokenPipe,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                SpaceError::Full { doing, place, source }.into()
            }
            io::ErrorKind::FileTooLarge => SpaceError::TooLarge { place, source }.into(),
            _ => Self::Io { doing, place, source },
        }
    }
}

/// Where an artifact goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// A file, or a device.
    File(PathBuf),
    /// A stream.
    Stream,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "`{}`", path.display()),
            Self::Stream => f.write_str("the stream"),
        }
    }
}

/// What was being done when the system refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doing {
    /// Finding out what a path names.
    Inspect,
    /// Creating a file.
    Create,
    /// Opening a device.
    Open,
    /// Keeping other runs away from a file.
    Lock,
    /// Giving a file its length, or room for it.
    Allocate,
    /// Compressing what goes there.
    Compress,
    /// Writing.
    Write,
    /// Making a file or a directory durable.
    Sync,
    /// Having what was written read from the medium, not from memory.
    Forget,
    /// Reading what was written.
    ReadBack,
    /// Giving a file its final name.
    Publish,
    /// Removing what a killed run left behind.
    Remove,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inspect => "inspect",
            Self::Create => "create",
            Self::Open => "open",
            Self::Lock => "lock",
            Self::Allocate => "make room for",
            Self::Compress => "compress",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Forget => "drop the cached content of",
            Self::ReadBack => "read back",
            Self::Publish => "give its final name to",
            Self::Remove => "remove",
        })
    }
}
