//! File type identifier (MS-VHDX 2.2.1): offset 0, written once.

/// Offset 0, 8 bytes.
pub(crate) const SIGNATURE: &[u8; 8] = b"vhdxfile";

/// Offset of the creator: UTF-16LE, NUL-terminated unless it fills its field. Diagnostic only.
pub(crate) const CREATOR_AT: u64 = 8;

/// Length of the creator field in bytes.
pub(crate) const CREATOR_LEN: usize = 512;
