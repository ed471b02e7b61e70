//! The two headers (MS-VHDX 2.2.2), at 64 KiB and 128 KiB, 4096 bytes each.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Guid;

/// Where header 1 and header 2 lie, in bytes.
pub(crate) const OFFSETS: [u64; 2] = [0x1_0000, 0x2_0000];

/// Bytes under the checksum.
pub(crate) const LEN: usize = 4096;

pub(crate) const SIGNATURE: &[u8; 4] = b"head";

/// All the bytes under the checksum.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Sector {
    pub(crate) header: Header,
    pub(crate) reserved: [u8; 4016],
}

/// The fields; what follows them is reserved and zero.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) signature: [u8; 4],
    /// CRC-32C of the 4096 bytes with this field zero.
    pub(crate) checksum: U32,
    /// The larger valid one is current.
    pub(crate) sequence_number: U64,
    /// New before the first write of any kind after an open.
    pub(crate) file_write_guid: Guid,
    /// New before the first change that a guest could see: the identity that children link to.
    pub(crate) data_write_guid: Guid,
    /// Zero: the log is empty.
    pub(crate) log_guid: Guid,
    pub(crate) log_version: U16,
    pub(crate) version: U16,
    /// Bytes; a multiple of 1 MiB.
    pub(crate) log_length: U32,
    /// A multiple of 1 MiB.
    pub(crate) log_offset: U64,
}

const _: () = assert!(size_of::<Header>() == 80 && size_of::<Sector>() == LEN);
