//! A block device as the target: the disk is written over what the device held.
//!
//! A device has no second name to be written under, so nothing here can be taken back: from the first piece on its old
//! content is gone. What can be promised is that half a disk does not begin like a whole one. The first MiB, where boot
//! loaders, partition tables and most file systems announce themselves, is zeroed before anything else and written after
//! everything else was read back; a sink that is dropped unpublished zeroes it again.
//!
//! Whether the device may be written is `guard.rs`, with `made_of.rs` and `openers.rs`, how zeros get onto it `zeroing.rs`, the device itself `block.rs`, and
//! whether it holds what was written `read_back.rs`.

#[cfg(target_os = "linux")]
mod block;
#[cfg(not(target_os = "linux"))]
#[path = "elsewhere.rs"]
mod block;
mod error;
#[cfg(target_os = "linux")]
mod guard;
#[cfg(target_os = "linux")]
mod made_of;
#[cfg(target_os = "linux")]
mod openers;
mod read_back;
mod zeroing;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use vhdx_format::{DiskOffset, DiskRange, Geometry, ReadAt, VirtualDisk};

use self::zeroing::{Ladder, write_zeros};
use crate::raw::position_of;
use crate::sink::WriteAt;
use crate::{
    Artifact, DigestSource, Doing, Encode, ExportError, FileIdentity, FilledPiece, Run, Sink, SinkError,
};

pub use self::block::BlockDevice;
pub(crate) use self::block::made_of;
pub use self::error::{DeviceError, NotKept, ReadBackError, Usage};
pub use self::read_back::read_back;
pub use self::zeroing::Clearing;

/// Length in bytes of the start of the disk that is written last: what a mark of [`crate::BlockSums`] stands for.
///
/// Partition tables and the superblocks that a mount looks for begin in it. Not everything does: the second table of a
/// GPT, md's formats 0.90 and 1.0 and half of the labels of ZFS lie at the end, and are found there without a start.
pub const HEAD_LEN: u64 = 1 << 20;

/// The device that a disk goes to, and what must not be harmed.
#[derive(Clone, Debug)]
pub struct DeviceTarget {
    path: PathBuf,
    forbidden: Vec<FileIdentity>,
}

impl DeviceTarget {
    /// The device that `path` leads to. Links are followed: most names of a device that stay the same are links.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), forbidden: Vec::new() }
    }

    /// Adds files that must not be written, whatever they are called: all that is read.
    #[must_use]
    pub fn forbid(mut self, sources: impl IntoIterator<Item = FileIdentity>) -> Self {
        self.forbidden.extend(sources);
        self
    }

    /// The name that was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The beginning of a device; what lies behind the disk's size stays as it is.
///
/// The device is checked and held exclusively from here on, and stays unchanged until the first piece is encoded: what
/// else there is to ask for can be asked with the sink in hand. Zeros are really zeroed, since the device holds old data.
pub fn to_device(target: &DeviceTarget, disk: &dyn VirtualDisk) -> Result<DeviceSink, ExportError> {
    let geometry = *disk.geometry();
    let device = block::open(target, geometry.size())?;
    Ok(DeviceSink::new(device, geometry))
}

/// What a disk is written to in place.
pub trait Medium: WriteAt + ReadAt {
    /// Makes a range read as zeros without writing it byte by byte. The range is whole sectors. After an error it may
    /// hold anything.
    fn clear(&self, how: Clearing, range: DiskRange) -> io::Result<()>;

    /// Makes everything written so far durable.
    fn sync(&self) -> io::Result<()>;

    /// Makes reads ask the medium instead of the memory of this machine, as far as everything is synced.
    fn forget(&self) -> io::Result<()>;

    /// Length of its logical sector in bytes.
    fn sector_size(&self) -> u32;
}

/// See [`to_device`]. Dropped unpublished, it leaves a device whose first [`HEAD_LEN`] bytes are zeros, or that is
/// unchanged if no piece was encoded; the rest of the disk's range may hold anything.
///
/// The block digests of the content ([`crate::DigestChoice::blksum`]) are what [`read_back`] compares with, so an export to
/// a device should ask for them.
#[derive(Debug)]
pub struct DeviceSink<M: Medium = BlockDevice> {
    device: Arc<Device<M>>,
    /// The start of the disk, as far as its last byte that is not known to be zero; all of it once the sink is complete.
    head: Vec<u8>,
    start: Start,
}

/// Where the start of the disk is.
#[derive(Debug)]
enum Start {
    /// In memory alone.
    Held,
    /// On the device, perhaps in part, which is still to be zeroed again unless it stays.
    Written,
    /// There to stay.
    Published,
}

impl<M: Medium> DeviceSink<M> {
    /// Writes a disk onto a device that is large enough and nobody else's.
    pub fn new(medium: M, geometry: Geometry) -> Self {
        let device = Device { medium, geometry, ladder: Ladder::default(), begun: Mutex::new(false) };
        Self { device: Arc::new(device), head: Vec::new(), start: Start::Held }
    }

    /// Length of the device's logical sector in bytes. Where it is not the disk's own, partition tables and file
    /// systems on the disk, which count in sectors, may mean nothing there.
    #[must_use]
    pub fn sector_size(&self) -> u32 {
        self.device.medium.sector_size()
    }
}

#[cfg(test)]
impl<M: Medium> DeviceSink<M> {
    pub(crate) fn medium(&self) -> &M {
        &self.device.medium
    }
}

impl<M: Medium> Sink for DeviceSink<M> {
    type Encoder = DeviceEncoder<M>;

    fn encoder(&self) -> Self::Encoder {
        DeviceEncoder(Arc::clone(&self.device))
    }

    /// Keeps the start of the disk; all other bytes are where they belong.
    fn accept(&mut self, _piece: &FilledPiece, head: Vec<u8>) -> Result<(), SinkError> {
        if !head.is_empty() {
            self.head = head;
        }
        Ok(())
    }

    /// Makes all but the start of the disk durable. The start stays in memory, so that what reads the rest back reads a
    /// device that does not begin yet.
    fn complete(&mut self) -> Result<Artifact, SinkError> {
        self.head.resize(self.device.head_range().len() as usize, 0);
        self.device.sync()?;
        Ok(Artifact { len: self.device.geometry.size(), sha256: None, shared: 0 })
    }

    /// Writes the start of the disk, which is what a device has for a name, and lets it stay if the medium kept it.
    fn publish(mut self) -> Result<(), SinkError> {
        self.start = Start::Written;
        self.device.put_head(&self.head)?;
        self.start = Start::Published;
        Ok(())
    }

    fn digest_source(&self) -> DigestSource {
        DigestSource::Content
    }
}

impl<M: Medium> Drop for DeviceSink<M> {
    fn drop(&mut self) {
        if matches!(self.start, Start::Written) {
            // There is nobody to tell; the error that brought us here is on its way already.
            let _ = self.device.zero_head();
        }
    }
}

/// What the sink and its encoders share.
#[derive(Debug)]
struct Device<M> {
    medium: M,
    geometry: Geometry,
    ladder: Ladder,
    /// Whether the start of the device is zeroed.
    begun: Mutex<bool>,
}

impl<M: Medium> Device<M> {
    /// Zeroes the start of the device, durably, unless that was done before. Whoever comes meanwhile waits, for
    /// one who waits for the device alone.
    fn begin(&self) -> Result<(), SinkError> {
        // Poisoned: another thread panicked in there and left the flag unset.
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if !*begun {
            self.zero_head()?;
            *begun = true;
        }
        Ok(())
    }

    fn head_range(&self) -> DiskRange {
        DiskRange::new(DiskOffset(0), DiskOffset(HEAD_LEN.min(self.geometry.size())))
    }

    fn zero_head(&self) -> Result<(), SinkError> {
        write_zeros(&self.medium, self.head_range())?;
        self.sync()
    }

    /// Writes the start of the disk, durably, and reads it again from the medium.
    fn put_head(&self, head: &[u8]) -> Result<(), SinkError> {
        let at = position_of(DiskOffset(0));
        self.medium.put(at, head)?;
        self.sync()?;
        self.forget()?;
        let mut found = vec![0; head.len()];
        self.medium.read_exact_at(at, &mut found).map_err(|error| self.failed(Doing::ReadBack, error))?;
        if found != head {
            return Err(NotKept { place: self.medium.place(), range: self.head_range() }.into());
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), SinkError> {
        self.medium.sync().map_err(|error| self.failed(Doing::Sync, error))
    }

    fn forget(&self) -> Result<(), SinkError> {
        self.medium.forget().map_err(|error| self.failed(Doing::Forget, error))
    }

    fn failed(&self, doing: Doing, error: io::Error) -> SinkError {
        SinkError::from_io(doing, self.medium.place(), error)
    }
}

/// Writes what lies behind the start of the disk where it belongs, data and zeros.
#[derive(Debug)]
pub struct DeviceEncoder<M>(Arc<Device<M>>);

impl<M: Medium> Encode for DeviceEncoder<M> {
    /// The part of the piece that belongs to the start of the disk, without zeros at its end.
    type Encoded = Vec<u8>;

    fn encode(&mut self, piece: &FilledPiece) -> Result<Vec<u8>, SinkError> {
        self.0.begin()?;
        let mut head = Vec::new();
        for run in piece.runs() {
            match run {
                Run::Zeros(range) => {
                    let behind = DiskRange::new(range.start().max(DiskOffset(HEAD_LEN)), range.end());
                    self.0.ladder.zero(&self.0.medium, behind)?;
                }
                Run::Data { at, bytes } => {
                    let (first, behind) = bytes.split_at(len_in_head(at).min(bytes.len()));
                    hold(&mut head, at, first);
                    let start = DiskOffset(at.0.saturating_add(first.len() as u64));
                    self.0.medium.put(position_of(start), behind)?;
                }
            }
        }
        Ok(head)
    }
}

/// How many of the bytes from `at` on belong to the start of the disk.
fn len_in_head(at: DiskOffset) -> usize {
    HEAD_LEN.saturating_sub(at.0) as usize
}

/// Adds bytes that lie at `at`, zeros between.
fn hold(head: &mut Vec<u8>, at: DiskOffset, bytes: &[u8]) {
    if !bytes.is_empty() {
        head.resize(at.0 as usize, 0);
        head.extend_from_slice(bytes);
    }
}
