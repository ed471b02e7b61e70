//! What the system can do to get bytes of one file into another without passing them through this program.
//!
//! When that is worth while is for `sharing.rs` to say.

use std::fs::File;
use std::io;

use vhdx_format::FileOffset;

/// Makes the empty file `target` share all blocks of `source`.
#[cfg(target_os = "linux")]
pub(crate) fn clone(target: &File, source: &File) -> io::Result<()> {
    Ok(rustix::io::retry_on_intr(|| rustix::fs::ioctl_ficlone(target, source))?)
}

/// Shares or copies up to `len` bytes and says how many. Whole blocks are shared where [`clone`] succeeds.
#[cfg(target_os = "linux")]
pub(crate) fn copy(
    target: &File,
    at: FileOffset,
    source: &File,
    from: FileOffset,
    len: u64,
) -> io::Result<u64> {
    // More than this is not done at once anyway, and less on systems with smaller lengths.
    let len = usize::try_from(len.min(1 << 30)).unwrap_or(usize::MAX);
    let copied = rustix::io::retry_on_intr(|| {
        let (mut from, mut at) = (from.0, at.0);
        rustix::fs::copy_file_range(source, Some(&mut from), target, Some(&mut at), len)
    })?;
    Ok(copied as u64)
}

/// What decides, besides the file system itself, with which files a file can share blocks: its file system, and whether it
/// is one that btrfs writes in place and keeps no checksums of.
pub(crate) type Kind = (u64, bool);

/// Of which kind the file is, where the system says.
#[cfg(target_os = "linux")]
pub(crate) fn kind(file: &File) -> Option<Kind> {
    use std::os::unix::fs::MetadataExt;
    let device = file.metadata().ok()?.dev();
    let flags = rustix::fs::ioctl_getflags(file).unwrap_or(rustix::fs::IFlags::empty());
    Some((device, flags.contains(rustix::fs::IFlags::NOCOW)))
}

/// Whether the file lies on a file server that can copy by itself: NFS (4.2), SMB, Ceph.
#[cfg(target_os = "linux")]
pub(crate) fn is_served(file: &File) -> bool {
    /// Of statfs(2): NFS, CIFS, SMB2, Ceph.
    const SERVED: [i128; 4] = [0x6969, 0xFF53_4D42, 0xFE53_4D42, 0x00C3_6400];
    // 32 bits, in a type that differs from processor to processor.
    rustix::fs::fstatfs(file).is_ok_and(|found| SERVED.contains(&(i128::from(found.f_type) & 0xFFFF_FFFF)))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn clone(_: &File, _: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn copy(_: &File, _: FileOffset, _: &File, _: FileOffset, _: u64) -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn kind(_: &File) -> Option<Kind> {
    None
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn is_served(_: &File) -> bool {
    false
}
