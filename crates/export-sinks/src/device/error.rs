//! Why a device may not be written, and why one that was written is not believed.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use vhdx_format::DiskRange;

use crate::{Cancelled, ExportError, Place, SinkError};

/// A device may not be written. Nothing was.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// This build can not find out who uses a device.
    #[error("`{0}` is not written: devices are targets on Linux only")]
    Unsupported(PathBuf),
    /// Something else has that name.
    #[error("`{0}` is not a block device")]
    NotADevice(PathBuf),
    /// It is one of the files that are being read, or holds one, or is made of one.
    #[error("`{0}` is one of the sources")]
    IsSource(PathBuf),
    /// It, or a source, is made of a file that can not be looked at.
    #[error("cannot look at `{backing}`, which {device} is made of: it may be source and target at once")]
    UnknownBacking {
        /// The device, as the system calls it.
        device: String,
        /// The file, as the system calls it.
        backing: PathBuf,
        /// Why it can not be looked at.
        source: io::Error,
    },
    /// Somebody uses it, or something that shares its bytes.
    #[error("{}", in_use(.device, .part.as_deref(), .usage))]
    InUse {
        /// The device.
        device: PathBuf,
        /// What is in use, where it is not the device itself: one of its partitions, or the disk that it is one of.
        part: Option<String>,
        /// How.
        usage: Usage,
    },
    /// It was made read-only.
    #[error("`{0}` is read-only")]
    ReadOnly(PathBuf),
    /// The disk does not fit.
    #[error("`{device}` has {have} bytes, but the disk needs {need}")]
    TooSmall {
        /// The device.
        device: PathBuf,
        /// Its size in bytes.
        have: u64,
        /// The disk's size in bytes.
        need: u64,
    },
    /// Its name went to another device while it was being opened.
    #[error("`{0}` became another device while it was being opened")]
    Replaced(PathBuf),
}

fn in_use(device: &Path, part: Option<&str>, usage: &Usage) -> String {
    let device = device.display();
    match part {
        None => format!("`{device}` is {usage}"),
        Some(part) => format!("`{device}` is in use: {part} is {usage}"),
    }
}

/// How a device is used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Usage {
    /// Its file system is mounted, there and perhaps elsewhere.
    MountedAt(PathBuf),
    /// It holds memory that was swapped out.
    Swap,
    /// Another device of that name is made of it: an LVM volume, an array, an encrypted device.
    HeldBy(String),
    /// Another process has it open.
    OpenedBy {
        /// What the process calls itself.
        process: String,
        /// Its number.
        id: u32,
    },
    /// The system does not say who has opened it for themselves alone.
    Exclusive,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MountedAt(path) => write!(f, "mounted at `{}`", path.display()),
            Self::Swap => f.write_str("used as swap space"),
            Self::HeldBy(name) => write!(f, "held by {name}"),
            Self::OpenedBy { process, id } => write!(f, "open in {process} (process {id})"),
            Self::Exclusive => f.write_str("in exclusive use by something else"),
        }
    }
}

/// A device that was written is not known to hold the disk.
#[derive(Debug, thiserror::Error)]
pub enum ReadBackError {
    /// The export did not ask for [`crate::DigestChoice::blksum`].
    #[error("there are no block digests to compare {0} with")]
    NotDigested(Place),
    /// It holds something else.
    #[error(transparent)]
    Differs(#[from] NotKept),
    /// The system gave no reads from the medium itself.
    #[error(transparent)]
    Forget(#[from] SinkError),
    /// It could not be read.
    #[error("cannot read {place} back")]
    Read {
        /// The device.
        place: Place,
        /// What happened.
        source: ExportError,
    },
    /// The comparison was stopped from outside.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// A device holds something else than what was written to it.
#[derive(Debug, thiserror::Error)]
#[error(
    "{place} does not hold what was written to it: \
     the first difference is in the {len} bytes at {start}",
    len = .range.len(),
    start = .range.start()
)]
pub struct NotKept {
    /// The device.
    pub place: Place,
    /// Where the first difference lies: one MiB, or 64 of them where a closer look says nothing.
    pub range: DiskRange,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_who_uses_what() {
        let device = || PathBuf::from("/dev/sdb");
        let mounted = Usage::MountedAt("/data".into());
        let error = DeviceError::InUse { device: device(), part: None, usage: mounted.clone() };
        assert_eq!(error.to_string(), "`/dev/sdb` is mounted at `/data`");
        let error = DeviceError::InUse { device: device(), part: Some("sdb1".into()), usage: mounted };
        assert_eq!(error.to_string(), "`/dev/sdb` is in use: sdb1 is mounted at `/data`");
        let usage = Usage::HeldBy("dm-3".into());
        let error = DeviceError::InUse { device: device(), part: None, usage };
        assert_eq!(error.to_string(), "`/dev/sdb` is held by dm-3");
        let usage = Usage::OpenedBy { process: "qemu".into(), id: 4711 };
        let error = DeviceError::InUse { device: device(), part: Some("sdb1".into()), usage };
        assert_eq!(error.to_string(), "`/dev/sdb` is in use: sdb1 is open in qemu (process 4711)");
        let error = DeviceError::TooSmall { device: device(), have: 512, need: 1024 };
        assert_eq!(error.to_string(), "`/dev/sdb` has 512 bytes, but the disk needs 1024");
    }
}
