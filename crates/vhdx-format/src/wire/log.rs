//! Log entries (MS-VHDX 2.3.1): a header, descriptors, and one data sector per data descriptor.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Guid;

/// Unit of the ring in bytes, whatever the disk's sector size.
pub(crate) const SECTOR: usize = 4096;

/// The same as a file length.
pub(crate) const SECTOR_LEN: u64 = 4096;

pub(crate) const ENTRY_SIGNATURE: &[u8; 4] = b"loge";
pub(crate) const ZERO_SIGNATURE: &[u8; 4] = b"zero";
pub(crate) const DATA_SIGNATURE: &[u8; 4] = b"desc";
pub(crate) const SECTOR_SIGNATURE: &[u8; 4] = b"data";

/// Bytes of a descriptor.
pub(crate) const DESCRIPTOR_LEN: usize = 32;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct EntryHeader {
    pub(crate) signature: [u8; 4],
    /// CRC-32C of the whole entry with this field zero.
    pub(crate) checksum: U32,
    /// Bytes; a multiple of 4096.
    pub(crate) entry_length: U32,
    /// Byte offset, from the start of the log, of the oldest entry that must be replayed.
    pub(crate) tail: U32,
    pub(crate) sequence_number: U64,
    pub(crate) descriptor_count: U32,
    pub(crate) reserved: U32,
    pub(crate) log_guid: Guid,
    /// File length that was on stable storage when the entry was written.
    pub(crate) flushed_file_offset: U64,
    /// File length that holds every allocated structure.
    pub(crate) last_file_offset: U64,
}

/// A zero descriptor (2.3.1.2).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct ZeroDescriptor {
    pub(crate) signature: [u8; 4],
    pub(crate) reserved: U32,
    pub(crate) zero_length: U64,
    pub(crate) file_offset: U64,
    pub(crate) sequence_number: U64,
}

/// A data descriptor (2.3.1.3): it keeps the twelve bytes of its sector that the data sector's own fields displace.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct DataDescriptor {
    pub(crate) signature: [u8; 4],
    /// Bytes 4092 to 4095 of the target. The trailing field comes first.
    pub(crate) trailing_bytes: [u8; 4],
    /// Bytes 0 to 7 of the target.
    pub(crate) leading_bytes: [u8; 8],
    pub(crate) file_offset: U64,
    pub(crate) sequence_number: U64,
}

/// A data sector (2.3.1.4).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct DataSector {
    pub(crate) signature: [u8; 4],
    pub(crate) sequence_high: U32,
    /// Bytes 8 to 4091 of the target.
    pub(crate) data: [u8; 4084],
    pub(crate) sequence_low: U32,
}

const _: () = assert!(size_of::<EntryHeader>() == 64);
const _: () = assert!(size_of::<ZeroDescriptor>() == DESCRIPTOR_LEN);
const _: () = assert!(size_of::<DataDescriptor>() == DESCRIPTOR_LEN);
const _: () = assert!(size_of::<DataSector>() == SECTOR);
