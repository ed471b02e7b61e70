//! A block device of Linux: opened exclusively, and what is asked of it.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, FallocateFlags, Mode, OFlags, SeekFrom};
use rustix::io::{Errno, retry_on_intr};
use vhdx_format::{DiskRange, FileOffset, ReadAt};

use super::guard::System;
use super::made_of::{self, DeviceNumber};
use super::{Clearing, DeviceError, DeviceTarget, Medium, Usage};
use crate::sink::WriteAt;
use crate::{Doing, FileIdentity, Place, SinkError};

/// A block device that is held exclusively: nobody mounts it, or builds anything on it, meanwhile. Who just opens it is not
/// kept out.
#[derive(Debug)]
pub struct BlockDevice {
    file: File,
    path: PathBuf,
    sector_size: u32,
}

/// The file, and all that it is made of where it is a device.
pub(crate) fn made_of(file: &FileIdentity) -> Result<Vec<FileIdentity>, SinkError> {
    let strata = made_of::strata(Path::new(made_of::SYS), file)?;
    Ok(strata.into_iter().map(|stratum| stratum.what).collect())
}

/// Opens a device that may be written and has room for `need` bytes. Worst first: no device, a source, in use, too small.
///
/// Who uses it is looked up before it is opened: it tells them by name, and opening it exclusively fails only for those who
/// did the same.
pub(super) fn open(target: &DeviceTarget, need: u64) -> Result<BlockDevice, SinkError> {
    let path = &target.path;
    // Before opening: opening a pipe or a tape can do things.
    let named = fs::metadata(path).map_err(|error| failed(Doing::Inspect, path, error))?;
    let number = number_of(path, &named)?;
    System::running().check(path, number, &target.forbidden)?;
    let file = open_exclusively(path)?;
    let opened = file.metadata().map_err(|error| failed(Doing::Inspect, path, error))?;
    if number_of(path, &opened)? != number {
        return Err(DeviceError::Replaced(path.clone()).into());
    }
    let sector_size = retry_on_intr(|| rustix::fs::ioctl_blksszget(&file))
        .map_err(|error| failed(Doing::Inspect, path, error.into()))?;
    let device = BlockDevice { file, path: path.clone(), sector_size };
    let have = device.byte_len().map_err(|error| failed(Doing::Inspect, path, error))?;
    if have < need {
        return Err(DeviceError::TooSmall { device: path.clone(), have, need }.into());
    }
    Ok(device)
}

fn number_of(path: &Path, metadata: &Metadata) -> Result<DeviceNumber, DeviceError> {
    if !metadata.file_type().is_block_device() {
        return Err(DeviceError::NotADevice(path.to_owned()));
    }
    Ok(DeviceNumber::of(metadata.rdev()))
}

fn open_exclusively(path: &Path) -> Result<File, SinkError> {
    let flags = OFlags::RDWR | OFlags::EXCL | OFlags::CLOEXEC;
    let device = path.to_owned();
    match retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty())) {
        Ok(file) => Ok(File::from(file)),
        Err(Errno::BUSY) => Err(DeviceError::InUse { device, part: None, usage: Usage::Exclusive }.into()),
        Err(Errno::ROFS) => Err(DeviceError::ReadOnly(device).into()),
        Err(error) => Err(failed(Doing::Open, path, error.into())),
    }
}

fn failed(doing: Doing, path: &Path, error: io::Error) -> SinkError {
    SinkError::from_io(doing, Place::File(path.to_owned()), error)
}

#[cfg(test)]
impl BlockDevice {
    /// A file that stands for a device.
    pub(crate) fn stand_in(file: File, path: PathBuf, sector_size: u32) -> Self {
        Self { file, path, sector_size }
    }
}

impl Medium for BlockDevice {
    fn clear(&self, how: Clearing, range: DiskRange) -> io::Result<()> {
        let way = match how {
            Clearing::Punch => FallocateFlags::PUNCH_HOLE,
            Clearing::ZeroRange => FallocateFlags::ZERO_RANGE,
        };
        let flags = way | FallocateFlags::KEEP_SIZE;
        let (start, len) = (range.start().0, range.len());
        Ok(retry_on_intr(|| rustix::fs::fallocate(&self.file, flags, start, len))?)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn forget(&self) -> io::Result<()> {
        Ok(rustix::fs::fadvise(&self.file, 0, None, Advice::DontNeed)?)
    }

    fn sector_size(&self) -> u32 {
        self.sector_size
    }
}

impl WriteAt for BlockDevice {
    fn write_all_at(&self, at: FileOffset, bytes: &[u8]) -> io::Result<()> {
        FileExt::write_all_at(&self.file, bytes, at.0)
    }

    fn place(&self) -> Place {
        Place::File(self.path.clone())
    }
}

impl ReadAt for BlockDevice {
    fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
        FileExt::read_exact_at(&self.file, buf, at.0)
    }

    /// The metadata of a device know no length. Reads and writes here go by position, so the cursor is free to move.
    fn byte_len(&self) -> io::Result<u64> {
        Ok(rustix::fs::seek(&self.file, SeekFrom::End(0))?)
    }
}
