//! Structures as the bytes that go to disk, checksums filled in: shared by the writer and the forge.

use uuid::Uuid;
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32};

use crate::checksum;
use crate::wire::{header, identifier, metadata, region};

/// Length of the file type identifier, in bytes (MS-VHDX 2.2.1).
const IDENTIFIER_LEN: usize = 0x1_0000;

/// The file type identifier with as much of `creator` as fits: 255 UTF-16 units and a terminator.
pub(crate) fn identifier(creator: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(IDENTIFIER_LEN);
    bytes.extend_from_slice(identifier::SIGNATURE);
    bytes.extend(creator.encode_utf16().take(identifier::CREATOR_LEN / 2 - 1).flat_map(u16::to_le_bytes));
    bytes.resize(IDENTIFIER_LEN, 0);
    bytes
}

/// A header's 4096 bytes.
pub(crate) fn header(header: &header::Header) -> Vec<u8> {
    let mut bytes = header.as_bytes().to_vec();
    bytes.resize(header::LEN, 0);
    with_checksum(bytes)
}

/// A region table's 64 KiB.
pub(crate) fn region_table(entries: &[region::Entry]) -> Vec<u8> {
    let head = region::TableHeader {
        signature: *region::SIGNATURE,
        checksum: U32::ZERO,
        entry_count: U32::new(u32::try_from(entries.len()).unwrap_or(u32::MAX)),
        reserved: U32::ZERO,
    };
    let mut bytes = head.as_bytes().to_vec();
    bytes.extend_from_slice(entries.as_bytes());
    bytes.resize(region::LEN, 0);
    with_checksum(bytes)
}

/// One metadata item to be written.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) id: Uuid,
    pub(crate) flags: u32,
    pub(crate) bytes: Vec<u8>,
}

/// A metadata table and its items, packed without gaps behind it as Windows does. An item of no bytes has offset 0.
pub(crate) fn metadata(items: &[Item]) -> Vec<u8> {
    let head = metadata::TableHeader {
        signature: *metadata::SIGNATURE,
        reserved: U16::ZERO,
        entry_count: U16::new(u16::try_from(items.len()).unwrap_or(u16::MAX)),
        reserved2: [0; 20],
    };
    let mut table = head.as_bytes().to_vec();
    let mut packed = Vec::new();
    for item in items {
        let offset = if item.bytes.is_empty() { 0 } else { metadata::TABLE_LEN.saturating_add(packed.len()) };
        let entry = metadata::Entry {
            item_id: item.id.into(),
            offset: U32::new(u32::try_from(offset).unwrap_or(u32::MAX)),
            length: U32::new(u32::try_from(item.bytes.len()).unwrap_or(u32::MAX)),
            flags: U32::new(item.flags),
            reserved: U32::ZERO,
        };
        table.extend_from_slice(entry.as_bytes());
        packed.extend_from_slice(&item.bytes);
    }
    table.resize(metadata::TABLE_LEN, 0);
    table.extend_from_slice(&packed);
    table
}

/// Fills in the CRC-32C that headers, region tables and log entries keep in their bytes 4 to 7.
pub(crate) fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = checksum::with_blank_field(&bytes, checksum::FIELD);
    if let Some(field) = bytes.get_mut(checksum::FIELD..).and_then(|rest| rest.first_chunk_mut::<4>()) {
        *field = crc.to_le_bytes();
    }
    bytes
}
