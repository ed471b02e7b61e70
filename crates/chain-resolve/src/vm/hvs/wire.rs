//! The on-disk structures of a store as plain bytes: layout only, no judgement.
//!
//! Everything is packed and little-endian; offsets are from the start of the file unless said otherwise.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// Where the two file headers lie.
pub(super) const HEADER_OFFSETS: [usize; 2] = [0, 0x1000];
/// Where the first object table lies, whatever the alignment.
pub(super) const FIRST_OBJECT_TABLE: usize = 0x2000;
/// The grain of everything in a store; larger alignments are multiples of it.
pub(super) const PAGE: usize = 0x1000;

pub(super) const HEADER_SIGNATURE: u32 = 0x0128_2014;
pub(super) const OBJECT_TABLE_SIGNATURE: u32 = 0x0111_0001;
pub(super) const LOG_SIGNATURE: u32 = 0x0111_0003;
pub(super) const KEY_TABLE_SIGNATURE: u16 = 0x0002;

/// Where in each structure its checksum stands.
pub(super) mod checksum_at {
    pub(in super::super) const HEADER: usize = 4;
    pub(in super::super) const OBJECT_SLOT: usize = 1;
    pub(in super::super) const KEY_TABLE: usize = 6;
    pub(in super::super) const KEY_ENTRY: usize = 12;
    pub(in super::super) const LOG: usize = 4;
    pub(in super::super) const LOG_ENTRY: usize = 20;
}

#[derive(Clone, Copy, Debug, FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct FileHeader {
    pub(super) signature: U32,
    /// CRC-32 of these 46 bytes with this field zero.
    pub(super) checksum: U32,
    /// The newer copy is current; wraps.
    pub(super) sequence: U16,
    /// Major in the second lowest byte, minor in the lowest.
    pub(super) version: U32,
    pub(super) data_version: U32,
    pub(super) flags: U32,
    pub(super) alignment: U32,
    pub(super) log_offset: U64,
    /// Of the whole region; the file may end before it does.
    pub(super) log_size: U64,
    /// Of the log's header and entries; payloads follow.
    pub(super) log_header_size: U32,
}

#[derive(Clone, Copy, Debug, FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct ObjectTableHeader {
    pub(super) signature: U32,
    pub(super) slots: U32,
}

#[derive(Clone, Copy, Debug, FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct ObjectSlot {
    pub(super) kind: u8,
    /// CRC-32 of these 18 bytes with this field zero.
    pub(super) checksum: U32,
    pub(super) offset: U64,
    pub(super) size: U32,
    /// 1 on every used slot of real files; not needed.
    pub(super) flags: u8,
}

/// Types of objects; the others (file objects, free regions and logs) lead to no keys.
pub(super) mod object_kind {
    pub(in super::super) const EMPTY: u8 = 0;
    pub(in super::super) const OBJECT_TABLE: u8 = 1;
    pub(in super::super) const KEY_TABLE: u8 = 2;
}

#[derive(Clone, Copy, Debug, FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct KeyTableHeader {
    pub(super) signature: U16,
    /// From 1; what the parent fields of entries name.
    pub(super) index: U16,
    /// Counts rewrites; wraps.
    pub(super) sequence: U16,
    /// CRC-32 of these 10 bytes with this field zero.
    pub(super) checksum: U32,
}

#[derive(Clone, Copy, Debug, FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct EntryHeader {
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// Of the entry with everything, slack too: the distance to the next one.
    pub(super) size: U32,
    /// Index of the parent's table; 0 with offset 0 for children of the root.
    pub(super) parent_table: U16,
    /// Of the parent in its table.
    pub(super) parent_offset: U32,
    /// CRC-32 of header, name and data with this field zero; slack is not covered.
    pub(super) checksum: U32,
    /// Ascends among siblings, with gaps.
    pub(super) insertion: U32,
    /// With the terminator.
    pub(super) name_len: u8,
}

/// Types of entries. Type 2 is known to exist, not what it is, and was never seen.
pub(super) mod entry_kind {
    pub(in super::super) const FREE: u8 = 1;
    pub(in super::super) const INT: u8 = 3;
    pub(in super::super) const UINT: u8 = 4;
    pub(in super::super) const DOUBLE: u8 = 5;
    pub(in super::super) const STRING: u8 = 6;
    pub(in super::super) const BYTES: u8 = 7;
    pub(in super::super) const BOOL: u8 = 8;
    pub(in super::super) const NODE: u8 = 9;
}

/// The flag of an entry whose value lies elsewhere; its data is then a [`FileObject`].
pub(super) const FLAG_FILE_OBJECT: u8 = 1;

#[derive(Clone, Copy, Debug, FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct FileObject {
    /// The true length in bytes.
    pub(super) size: U32,
    pub(super) offset: U64,
}

#[derive(Clone, Copy, Debug, FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct LogHeader {
    pub(super) signature: U32,
    /// CRC-32 of these 34 bytes with this field zero.
    pub(super) checksum: U32,
    /// Pending entries; 0 in a store that was closed cleanly, whatever the slots hold.
    pub(super) count: U32,
    pub(super) reserved: u8,
    pub(super) count_max: U32,
    pub(super) change_tracking: [u8; 17],
}

#[derive(Clone, Copy, Debug, FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct LogEntry {
    pub(super) destination: U64,
    pub(super) size: U32,
    /// From the start of the log's region.
    pub(super) payload: U64,
    /// CRC-32 of these 28 bytes with this field zero and the next one filled in.
    pub(super) checksum: U32,
    pub(super) payload_checksum: U32,
}

const _: () = assert!(size_of::<FileHeader>() == 46 && size_of::<ObjectTableHeader>() == 8);
const _: () = assert!(size_of::<ObjectSlot>() == 18 && size_of::<KeyTableHeader>() == 10);
const _: () = assert!(size_of::<EntryHeader>() == 21 && size_of::<FileObject>() == 12);
const _: () = assert!(size_of::<LogHeader>() == 34 && size_of::<LogEntry>() == 28);
