//! The metadata region (MS-VHDX 2.6): a 64 KiB table of entries, then the items.

use uuid::{Uuid, uuid};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Guid;

/// Length of the table in bytes; items lie behind it.
pub(crate) const TABLE_LEN: usize = 0x1_0000;

pub(crate) const SIGNATURE: &[u8; 8] = b"metadata";

/// As many entries as fit behind the table's header (2.6.1.1).
pub(crate) const ENTRIES_MAX: u16 = 2047;

pub(crate) const FILE_PARAMETERS: Uuid = uuid!("CAA16737-FA36-4D43-B3B6-33F0AA44E76B");
pub(crate) const VIRTUAL_DISK_SIZE: Uuid = uuid!("2FA54224-CD1B-4876-B211-5DBED83BF4B8");
pub(crate) const LOGICAL_SECTOR_SIZE: Uuid = uuid!("8141BF1D-A96F-4709-BA47-F233A8FAAB5F");
pub(crate) const PHYSICAL_SECTOR_SIZE: Uuid = uuid!("CDA348C7-445D-4471-9CC9-E9885251C556");
pub(crate) const VIRTUAL_DISK_ID: Uuid = uuid!("BECA12AB-B2E6-4523-93EF-C309E000C746");
pub(crate) const PARENT_LOCATOR: Uuid = uuid!("A8D35F2D-B30B-454D-ABF7-D3D84834AB0C");

/// Present, required and empty while a creation, merge or copy has not finished. Known from Microsoft's own reader.
pub(crate) const INCOMPLETE_FILE: Uuid = uuid!("71CC85F0-1B69-4E28-9558-C3BF83AE75D3");

/// Entry flag bit 0: defined by a user, not by the system.
pub(crate) const FLAG_USER: u32 = 1;
/// Entry flag bit 1: a property of the disk, not of the file.
pub(crate) const FLAG_VIRTUAL_DISK: u32 = 2;
/// Entry flag bit 2: a reader that does not know the item must refuse the file.
pub(crate) const FLAG_REQUIRED: u32 = 4;

/// File parameters bit 0: blocks stay allocated, a fixed image.
pub(crate) const LEAVE_BLOCK_ALLOCATED: u32 = 1;
/// File parameters bit 1: a differencing image.
pub(crate) const HAS_PARENT: u32 = 2;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct TableHeader {
    pub(crate) signature: [u8; 8],
    pub(crate) reserved: U16,
    pub(crate) entry_count: U16,
    pub(crate) reserved2: [u8; 20],
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Entry {
    pub(crate) item_id: Guid,
    /// Bytes from the start of the region; 0 for an empty item.
    pub(crate) offset: U32,
    /// Bytes.
    pub(crate) length: U32,
    pub(crate) flags: U32,
    pub(crate) reserved: U32,
}

/// The file parameters item (2.6.2.1).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct FileParameters {
    /// Bytes.
    pub(crate) block_size: U32,
    pub(crate) flags: U32,
}

const _: () = assert!(size_of::<TableHeader>() == 32 && size_of::<Entry>() == 32);
const _: () = assert!(size_of::<FileParameters>() == 8);
