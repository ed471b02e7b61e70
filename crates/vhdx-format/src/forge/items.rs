//! Metadata items (MS-VHDX 2.6) with any identity, flags, bytes and place.

use uuid::Uuid;
use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

use crate::seal;
use crate::wire::metadata::{self, TABLE_LEN};

/// One entry of the metadata table and the bytes it points to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// Says what the item is.
    pub id: Uuid,
    /// Bits of [`item_flag`].
    pub flags: u32,
    /// The item; none makes an entry of offset 0 and length 0.
    pub bytes: Vec<u8>,
    /// Offset in the region, in bytes. `None` packs the item behind the one before it.
    pub at: Option<u32>,
}

impl Item {
    /// An item that is packed behind the one before it.
    #[must_use]
    pub fn new(id: Uuid, flags: u32, bytes: &[u8]) -> Self {
        Self { id, flags, bytes: bytes.to_vec(), at: None }
    }
}

/// Bits of an entry's flags.
pub mod item_flag {
    use crate::wire::metadata;

    /// Defined by a user, not by the system.
    pub const USER: u32 = metadata::FLAG_USER;
    /// A property of the disk, not of the file.
    pub const VIRTUAL_DISK: u32 = metadata::FLAG_VIRTUAL_DISK;
    /// A reader that does not know the item must refuse the file.
    pub const REQUIRED: u32 = metadata::FLAG_REQUIRED;
}

/// The items that the format defines.
pub mod item_id {
    use uuid::Uuid;

    use crate::wire::metadata;

    /// Block size and kind.
    pub const FILE_PARAMETERS: Uuid = metadata::FILE_PARAMETERS;
    /// Size of the disk.
    pub const VIRTUAL_DISK_SIZE: Uuid = metadata::VIRTUAL_DISK_SIZE;
    /// The sector a guest addresses.
    pub const LOGICAL_SECTOR_SIZE: Uuid = metadata::LOGICAL_SECTOR_SIZE;
    /// The sector the disk claims to be built from.
    pub const PHYSICAL_SECTOR_SIZE: Uuid = metadata::PHYSICAL_SECTOR_SIZE;
    /// The disk's identity on page 83.
    pub const VIRTUAL_DISK_ID: Uuid = metadata::VIRTUAL_DISK_ID;
    /// Where the parent is.
    pub const PARENT_LOCATOR: Uuid = metadata::PARENT_LOCATOR;
    /// Empty and required while a creation, merge or copy has not finished.
    pub const INCOMPLETE_FILE: Uuid = metadata::INCOMPLETE_FILE;
}

/// The region's bytes: the table and its items. An item with a place of its own leaves a stale copy where packing
/// would have put it, which readers that follow the table never see.
pub(super) fn region(items: &[Item]) -> Vec<u8> {
    let sealed: Vec<_> = items
        .iter()
        .map(|item| seal::Item { id: item.id, flags: item.flags, bytes: item.bytes.clone() })
        .collect();
    let mut bytes = seal::metadata(&sealed);
    for (index, item) in items.iter().enumerate() {
        if let Some(at) = item.at {
            move_item(&mut bytes, index, at, &item.bytes);
        }
    }
    bytes
}

fn move_item(region: &mut Vec<u8>, index: usize, at: u32, item: &[u8]) {
    let entry_at = size_of::<metadata::TableHeader>() + index * size_of::<metadata::Entry>();
    if let Ok((entry, _)) = metadata::Entry::mut_from_prefix(&mut region[entry_at..TABLE_LEN]) {
        entry.offset = U32::new(at);
    }
    let at = at as usize;
    region.resize(region.len().max(at + item.len()), 0);
    region[at..at + item.len()].copy_from_slice(item);
}
