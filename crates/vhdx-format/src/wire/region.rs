//! The two region tables (MS-VHDX 2.2.3), at 192 KiB and 256 KiB, 64 KiB each.

use uuid::{Uuid, uuid};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Guid;

/// Where table 1 and table 2 lie, in bytes.
pub(crate) const OFFSETS: [u64; 2] = [0x3_0000, 0x4_0000];

/// Bytes under the checksum.
pub(crate) const LEN: usize = 0x1_0000;

pub(crate) const SIGNATURE: &[u8; 4] = b"regi";

/// As many entries as fit behind the table's header (2.2.3.1).
pub(crate) const ENTRIES_MAX: u32 = 2047;

/// The block allocation table.
pub(crate) const BAT: Uuid = uuid!("2DC27766-F623-4200-9D64-115E9BFD4A08");

/// The metadata region.
pub(crate) const METADATA: Uuid = uuid!("8B7CA206-4790-4B9A-B8FE-575F050F886E");

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct TableHeader {
    pub(crate) signature: [u8; 4],
    /// CRC-32C of the 64 KiB with this field zero.
    pub(crate) checksum: U32,
    pub(crate) entry_count: U32,
    pub(crate) reserved: U32,
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Entry {
    pub(crate) guid: Guid,
    /// A multiple of 1 MiB, at least 1 MiB.
    pub(crate) file_offset: U64,
    /// Bytes; a multiple of 1 MiB, not 0.
    pub(crate) length: U32,
    /// Bit 0: a reader that does not know the region must refuse the file.
    pub(crate) required: U32,
}

const _: () = assert!(size_of::<TableHeader>() == 16 && size_of::<Entry>() == 32);
