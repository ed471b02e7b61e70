//! How much room a file system has, and taking it.
//!
//! What an artifact needs is its sink's to say; what a full file system means is `error.rs`'.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;

use vhdx_format::{Content, ReadError, VirtualDisk};

use crate::sink::Room;

/// Bytes of the disk that some image stores: what a sparse copy takes at most.
pub fn stored_len(disk: &dyn VirtualDisk) -> Result<u64, ReadError> {
    let mut len = 0_u64;
    for extent in disk.extents(disk.geometry().range()) {
        let extent = extent?;
        if matches!(extent.content, Content::Data { .. }) {
            len = len.saturating_add(extent.len);
        }
    }
    Ok(len)
}

/// The unit in which the file system gives out its room, in bytes.
#[cfg(unix)]
pub(crate) fn block_size(file: &File) -> io::Result<NonZeroU64> {
    Ok(NonZeroU64::new(rustix::fs::fstatvfs(file)?.f_frsize).unwrap_or(NonZeroU64::MIN))
}

/// Not to be had from the standard library; nothing is shared in it here.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
pub(crate) fn block_size(_file: &File) -> io::Result<NonZeroU64> {
    Ok(NonZeroU64::MIN)
}

/// Bytes that this user may still write to the file system; `None` where it does not say, as some that live in user
/// space.
#[cfg(unix)]
pub(crate) fn free(file: &File) -> io::Result<Option<u64>> {
    let found = rustix::fs::fstatvfs(file)?;
    Ok((found.f_blocks > 0).then(|| found.f_bavail.saturating_mul(found.f_frsize)))
}

/// Bytes that this user may still write to the file system: not to be had from the standard library.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
pub(crate) fn free(_file: &File) -> io::Result<Option<u64>> {
    Ok(None)
}

/// Bytes that this user may still write to the file system of a folder; `None` where it does not say.
pub fn free_room(folder: &std::path::Path) -> io::Result<Option<u64>> {
    free(&File::open(folder)?)
}

/// Gives a file at least that length and all the room for it; what it holds stays.
#[cfg(target_os = "linux")]
pub(crate) fn allocate(file: &File, len: u64) -> io::Result<Room> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;

    match rustix::io::retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, len)) {
        Ok(()) => Ok(Room::Allocated),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            file.set_len(len)?;
            Ok(Room::Unallocated)
        }
        Err(error) => Err(error.into()),
    }
}

/// Gives a file of that length room where it has holes.
#[cfg(target_os = "linux")]
pub(crate) fn allocate_holes(file: &File, len: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, SeekFrom, fallocate, seek};
    use rustix::io::{Errno, retry_on_intr};

    let mut at = 0;
    while at < len {
        let hole = seek(file, SeekFrom::Hole(at))?;
        let end = match seek(file, SeekFrom::Data(hole)) {
            Ok(end) => end.min(len),
            Err(Errno::NXIO) => len,
            Err(error) => return Err(error.into()),
        };
        if hole < end {
            retry_on_intr(|| fallocate(file, FallocateFlags::empty(), hole, end.saturating_sub(hole)))?;
        }
        at = end;
    }
    Ok(())
}

/// Gives a file of that length all the room for it; where that is not to be had by parts, as a whole.
#[cfg(not(target_os = "linux"))]
pub(crate) fn allocate_holes(file: &File, len: u64) -> io::Result<()> {
    allocate(file, len).map(drop)
}

/// Gives an empty file its length and all the room for it: on NTFS that is what setting the length does, as long as
/// nobody makes the file sparse.
#[cfg(windows)]
pub(crate) fn allocate(file: &File, len: u64) -> io::Result<Room> {
    file.set_len(len)?;
    Ok(Room::Allocated)
}

/// Gives an empty file its length; there is no call here that also gives it room.
#[cfg(not(any(target_os = "linux", windows)))]
pub(crate) fn allocate(file: &File, len: u64) -> io::Result<Room> {
    file.set_len(len)?;
    Ok(Room::Unallocated)
}
