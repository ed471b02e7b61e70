//! Block devices where nobody can be asked who uses them: none is ever opened.

use std::io;

use vhdx_format::{DiskRange, FileOffset, ReadAt};

use super::{Clearing, DeviceError, DeviceTarget, Medium};
use crate::sink::WriteAt;
use crate::{FileIdentity, Place, SinkError};

/// A block device; there are none here.
#[derive(Debug)]
pub enum BlockDevice {}

/// The file: what it is made of is not known here.
#[expect(clippy::unnecessary_wraps, reason = "on Linux it can fail")]
pub(crate) fn made_of(file: &FileIdentity) -> Result<Vec<FileIdentity>, SinkError> {
    Ok(vec![file.clone()])
}

pub(super) fn open(target: &DeviceTarget, _need: u64) -> Result<BlockDevice, SinkError> {
    let _ = &target.forbidden;
    Err(DeviceError::Unsupported(target.path.clone()).into())
}

impl Medium for BlockDevice {
    fn clear(&self, _how: Clearing, _range: DiskRange) -> io::Result<()> {
        match *self {}
    }

    fn sync(&self) -> io::Result<()> {
        match *self {}
    }

    fn forget(&self) -> io::Result<()> {
        match *self {}
    }

    fn sector_size(&self) -> u32 {
        match *self {}
    }
}

impl WriteAt for BlockDevice {
    fn write_all_at(&self, _at: FileOffset, _bytes: &[u8]) -> io::Result<()> {
        match *self {}
    }

    fn place(&self) -> Place {
        match *self {}
    }
}

impl ReadAt for BlockDevice {
    fn read_exact_at(&self, _at: FileOffset, _buf: &mut [u8]) -> io::Result<()> {
        match *self {}
    }

    fn byte_len(&self) -> io::Result<u64> {
        match *self {}
    }
}
