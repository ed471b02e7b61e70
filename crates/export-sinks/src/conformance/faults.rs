//! A thin layer under a sink that makes the n-th thing it does to its file or stream fail.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vhdx_format::FileOffset;

use crate::sink::{Room, Stage, WriteAt};
use crate::{Doing, Place, SinkError};

/// What becomes of the step that is hit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// The medium does not answer.
    Io,
    /// There is no room.
    Full,
    /// A signal comes before anything is done. Of single system calls only: who does more than one makes them again.
    Interrupted,
    /// A write takes a part. Of single system calls only.
    Short,
}

impl Kind {
    fn error(self) -> io::Error {
        match self {
            Self::Io => io::Error::other("injected"),
            Self::Full => io::ErrorKind::StorageFull.into(),
            Self::Interrupted | Self::Short => io::ErrorKind::Interrupted.into(),
        }
    }
}

/// Counts down to a failure; clones share the count.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    left: Arc<AtomicU64>,
    kind: Kind,
}

impl Faults {
    /// Everything succeeds.
    pub(crate) fn none() -> Self {
        Self::at(u64::MAX, Kind::Io)
    }

    /// The `nth` step fails, counted from 0.
    pub(crate) fn at(nth: u64, kind: Kind) -> Self {
        Self { left: Arc::new(AtomicU64::new(nth)), kind }
    }

    /// Counts anew: the `nth` step from now on fails.
    #[cfg(target_os = "linux")]
    pub(crate) fn restart(&self, nth: u64) {
        self.left.store(nth, Ordering::Relaxed);
    }

    /// Whether the step that fails has come.
    pub(crate) fn has_struck(&self) -> bool {
        self.left.load(Ordering::Relaxed) > u64::MAX / 2
    }

    fn strikes(&self) -> bool {
        self.left.fetch_sub(1, Ordering::Relaxed) == 0
    }

    pub(crate) fn step(&self) -> io::Result<()> {
        if self.strikes() { Err(self.kind.error()) } else { Ok(()) }
    }

    fn step_placed(&self, doing: Doing) -> Result<(), SinkError> {
        self.step().map_err(|source| SinkError::from_io(doing, Place::Stream, source))
    }
}

/// A file in the making that may fail, and may have no room of its own.
pub(crate) struct FaultyStage<S> {
    pub inner: S,
    pub faults: Faults,
    /// Claims that the file system can not allocate, and fills the file with ones: whatever a sink does not write,
    /// shows.
    pub unallocated: bool,
}

pub(crate) struct FaultyWriter<W> {
    inner: Arc<W>,
    faults: Faults,
}

impl<S: Stage> Stage for FaultyStage<S> {
    type Writer = FaultyWriter<S::Writer>;

    fn writer(&self) -> Arc<Self::Writer> {
        Arc::new(FaultyWriter { inner: self.inner.writer(), faults: self.faults.clone() })
    }

    fn set_len(&self, len: u64) -> Result<(), SinkError> {
        self.faults.step_placed(Doing::Allocate)?;
        self.inner.set_len(len)
    }

    fn allocate(&self, len: u64) -> Result<Room, SinkError> {
        self.faults.step_placed(Doing::Allocate)?;
        if !self.unallocated {
            return self.inner.allocate(len);
        }
        self.inner.writer().put(FileOffset(0), &vec![0xFF; usize::try_from(len).unwrap()])?;
        Ok(Room::Unallocated)
    }

    fn allocate_holes(&self, len: u64) -> Result<(), SinkError> {
        self.faults.step_placed(Doing::Allocate)?;
        self.inner.allocate_holes(len)
    }

    fn sync(&self) -> Result<(), SinkError> {
        self.faults.step_placed(Doing::Sync)?;
        self.inner.sync()
    }

    fn publish(self) -> Result<(), SinkError> {
        self.faults.step_placed(Doing::Publish)?;
        self.inner.publish()
    }
}

impl<W: WriteAt> WriteAt for FaultyWriter<W> {
    fn write_all_at(&self, at: FileOffset, bytes: &[u8]) -> io::Result<()> {
        self.faults.step()?;
        self.inner.write_all_at(at, bytes)
    }

    fn place(&self) -> Place {
        self.inner.place()
    }
}

/// A stream that may fail.
pub(crate) struct FaultyOut<W> {
    pub inner: W,
    pub faults: Faults,
}

impl<W: Write> Write for FaultyOut<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.faults.strikes() {
            false => self.inner.write(bytes),
            true if self.faults.kind == Kind::Short => self.inner.write(&bytes[..bytes.len().div_ceil(3)]),
            true => Err(self.faults.kind.error()),
        }
    }

    /// No system call of a file or a pipe, which have nothing to flush.
    fn flush(&mut self) -> io::Result<()> {
        if matches!(self.faults.kind, Kind::Io | Kind::Full) {
            self.faults.step()?;
        }
        self.inner.flush()
    }
}
