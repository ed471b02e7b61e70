//! Key tables: reading one, and choosing among those that claim one index.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use super::bytes;
use super::entry::{self, Entry};
use super::error::{Problem, Structure, Warnings};
use super::header::is_later;
use super::wire::{self, KeyTableHeader};
use limits::configuration::{ENTRIES_MAX, TABLE_BYTES_MAX};

/// Where a key table lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) at: usize,
    /// Within the file.
    pub(super) len: usize,
    /// Whether the file ends before the table does.
    pub(super) cut: bool,
    /// Whether it was found by searching, so that its true end is not known.
    pub(super) found: bool,
}

/// A key table with its entries in the order of their places.
#[derive(Debug)]
pub(super) struct Table<'a> {
    pub(super) at: usize,
    pub(super) index: u16,
    sequence: u16,
    sealed: bool,
    pub(super) entries: Vec<Entry<'a>>,
}

/// What may still be read of a store's key tables.
pub(super) struct Budget {
    bytes: usize,
    pub(super) entries: usize,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { bytes: TABLE_BYTES_MAX, entries: ENTRIES_MAX }
    }
}

/// Whether a key table's header stands there with a checksum that holds.
pub(super) fn has_sealed_header(file: &[u8], at: usize) -> bool {
    bytes::get::<KeyTableHeader>(file, at).is_some_and(|header| {
        header.signature.get() == wire::KEY_TABLE_SIGNATURE
            && header_checksum(file, at) == header.checksum.get()
    })
}

/// Reads a table as far as it goes; `None` with a warning if none is there.
pub(super) fn read<'a>(
    file: &'a [u8],
    place: &Place,
    budget: &mut Budget,
    warnings: &mut Warnings,
) -> Option<Table<'a>> {
    let (structure, at) = (Structure::KeyTable, place.at);
    let whole = bytes::slice(file, at, place.len)?;
    let Some(header) = bytes::get::<KeyTableHeader>(whole, 0) else {
        let (need, have) = (bytes::offset(size_of::<KeyTableHeader>()), bytes::offset(place.len));
        warnings.push(at, Problem::Truncated { structure, need, have });
        return None;
    };
    let (expected, found) = (wire::KEY_TABLE_SIGNATURE, header.signature.get());
    if found != expected {
        let (expected, found) = (expected.into(), found.into());
        warnings.push(at, Problem::Signature { structure, expected, found });
        return None;
    }
    let Some(left) = budget.bytes.checked_sub(place.len) else {
        warnings.push(at, Problem::TooMany { structure, limit: TABLE_BYTES_MAX });
        return None;
    };
    budget.bytes = left;
    let (expected, found) = (header_checksum(file, at), header.checksum.get());
    if found != expected {
        warnings.push(at, Problem::Checksum { structure, expected, found });
    }
    let entries = entry::walk(whole, place, header.index.get(), budget, warnings);
    let (index, sequence) = (header.index.get(), header.sequence.get());
    Some(Table { at, index, sequence, sealed: expected == found, entries })
}

/// One table per index: of two the one whose header is sound, then the later one, then the first.
///
/// No real store was seen with two tables of one index, so each is reported.
pub(super) fn current<'a>(tables: Vec<Table<'a>>, warnings: &mut Warnings) -> Vec<Table<'a>> {
    let mut by_index: BTreeMap<u16, Table<'a>> = BTreeMap::new();
    for table in tables {
        let lost = match by_index.entry(table.index) {
            Slot::Vacant(slot) => {
                slot.insert(table);
                continue;
            }
            Slot::Occupied(mut slot) if table.beats(slot.get()) => slot.insert(table),
            Slot::Occupied(_) => table,
        };
        let (index, sequence) = (lost.index, lost.sequence);
        warnings.push(lost.at, Problem::DuplicateTable { index, sequence });
    }
    by_index.into_values().collect()
}

impl Table<'_> {
    fn beats(&self, other: &Self) -> bool {
        match (self.sealed, other.sealed) {
            (true, false) => true,
            (false, true) => false,
            _ => is_later(self.sequence, other.sequence),
        }
    }
}

fn header_checksum(file: &[u8], at: usize) -> u32 {
    let header = bytes::slice(file, at, size_of::<KeyTableHeader>()).unwrap_or(&[]);
    bytes::checksum(header, wire::checksum_at::KEY_TABLE)
}
