//! A thin layer under a sink that makes the n-th thing it does to its file or stream fail.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vhdx_format::FileOffset;

use crate::sink::{Room, Stage, WriteAt};
use crate::{Doing, Place, SinkError};

/// Counts down to a failure; clones share the count.
#[derive(Clone, Debug)]
pub(crate) struct Faults(Arc<AtomicU64>);

impl Faults {
    /// Everything succeeds.
    pub(crate) fn none() -> Self {
        Self::at(u64::MAX)
    }

    /// The `nth` step fails, counted from 0.
    pub(crate) fn at(nth: u64) -> Self {
        Self(Arc::new(AtomicU64::new(nth)))
    }

    /// Counts anew: the `nth` step from now on fails.
    #[cfg(target_os = "linux")]
    pub(crate) fn restart(&self, nth: u64) {
        self.0.store(nth, Ordering::Relaxed);
    }

    pub(crate) fn step(&self) -> io::Result<()> {
        match self.0.fetch_sub(1, Ordering::Relaxed) {
            0 => Err(io::Error::other("injected")),
            _ => Ok(()),
        }
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
        self.faults.step()?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.faults.step()?;
        self.inner.flush()
    }
}
