//! Key entries: the walk through a table, and one entry's parts.
//!
//! Entries lie one behind the other to the table's last byte. Behind the data of an entry there may be slack of any
//! length, with the rests of older values in it: it is never read. What the data means is decoded in `value`.

use super::bytes;
use super::error::{Problem, Structure, Warnings};
use super::table::{Budget, Place};
use super::wire::{self, EntryHeader, entry_kind};
use limits::configuration::ENTRIES_MAX;

/// Position of an entry in a store: the table's index and the offset in that table.
pub(super) type Id = (u16, u32);

/// The parent of the first level, which is not stored.
pub(super) const ROOT: Id = (0, 0);

/// A key as stored.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// In the file.
    pub(super) at: usize,
    pub(super) id: Id,
    pub(super) parent: Id,
    /// Ascends among siblings.
    pub(super) insertion: u32,
    pub(super) kind: u8,
    /// Whether the value is a reference to elsewhere.
    pub(super) elsewhere: bool,
    pub(super) name: &'a [u8],
    /// Without slack; the error if it is longer than the entry.
    pub(super) data: Data<'a>,
    /// What the checksum should be and is.
    pub(super) checksums: (u32, u32),
}

type Data<'a> = Result<&'a [u8], Overlong>;

/// Data that is longer than what is left of its entry, both in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Overlong {
    pub(super) need: usize,
    pub(super) have: usize,
}

impl Entry<'_> {
    pub(super) fn verified(&self) -> bool {
        self.data.is_ok() && self.checksums.0 == self.checksums.1
    }
}

/// The keys of a table; free entries are no keys.
pub(super) fn walk<'a>(
    table: &'a [u8],
    place: &Place,
    index: u16,
    budget: &mut Budget,
    warnings: &mut Warnings,
) -> Vec<Entry<'a>> {
    let mut entries = Vec::new();
    let mut pos = size_of::<wire::KeyTableHeader>();
    while let Some(rest) = table.get(pos..).filter(|rest| !rest.is_empty()) {
        let at = place.at.saturating_add(pos);
        let Some((header, whole)) = take(rest, at, place, warnings) else { break };
        if place.found && pos.is_multiple_of(wire::PAGE) && !is_sealed(whole) {
            break;
        }
        let Some(left) = budget.entries.checked_sub(1) else {
            warnings.push(at, Problem::TooMany { structure: Structure::KeyEntry, limit: ENTRIES_MAX });
            break;
        };
        budget.entries = left;
        let offset = u32::try_from(pos).unwrap_or(u32::MAX);
        entries.extend(key(header, whole, (index, offset), at, warnings));
        pos = pos.saturating_add(whole.len());
    }
    entries
}

/// The entry at the beginning of `rest`; `None` where the walk must end, with a warning unless that is its proper end.
fn take<'a>(
    rest: &'a [u8],
    at: usize,
    place: &Place,
    warnings: &mut Warnings,
) -> Option<(&'a EntryHeader, &'a [u8])> {
    if rest.iter().all(|byte| *byte == 0) {
        return None;
    }
    let header = bytes::get::<EntryHeader>(rest, 0);
    let size = header.map(|header| bytes::length(header.size.get()));
    let whole = size.filter(|size| *size >= size_of::<EntryHeader>()).and_then(|size| rest.get(..size));
    if let (Some(header), Some(whole)) = (header, whole) {
        return Some((header, whole));
    }
    // Of a table that the end of the file cuts, a free entry may be cut without loss. Where the end of a table is not
    // known, what does not fit is that end.
    let free = place.cut && rest.first() == Some(&entry_kind::FREE);
    if !free && !place.found {
        let (most, found) = (bytes::offset(rest.len()), bytes::offset(size.unwrap_or(rest.len())));
        warnings.push(at, Problem::EntrySize { most, found });
    }
    None
}

/// Whether this is a key whose checksum holds: the proof that a table goes on, or that it is one.
pub(super) fn is_sealed(whole: &[u8]) -> bool {
    let Some(header) = bytes::get::<EntryHeader>(whole, 0) else { return false };
    parts(header, whole).is_some_and(|(_, data)| data.is_ok() && checksums(header, whole, data).is_ok())
}

fn key<'a>(
    header: &EntryHeader,
    whole: &'a [u8],
    id: Id,
    at: usize,
    warnings: &mut Warnings,
) -> Option<Entry<'a>> {
    match header.kind {
        entry_kind::FREE => {
            // What was freed loses both; with them, the type is what is damaged.
            if header.name_len != 0 && header.checksum.get() != 0 {
                warnings.push(at, Problem::FreeWithName { name_len: header.name_len });
            }
            return None;
        }
        entry_kind::INT..=entry_kind::NODE => {}
        other => {
            warnings.push(at, Problem::EntryType(other));
            return None;
        }
    }
    let Some((name, data)) = parts(header, whole) else {
        let most = bytes::offset(whole.len().saturating_sub(size_of::<EntryHeader>()));
        warnings.push(at.saturating_add(20), Problem::NameLength { most, found: header.name_len });
        return None;
    };
    let found = header.checksum.get();
    let expected = checksums(header, whole, data).err().unwrap_or(found);
    Some(Entry {
        at,
        id,
        parent: (header.parent_table.get(), header.parent_offset.get()),
        insertion: header.insertion.get(),
        kind: header.kind,
        elsewhere: is_elsewhere(header),
        name: name.strip_suffix(&[0]).unwrap_or(name),
        data,
        checksums: (expected, found),
    })
}

fn is_elsewhere(header: &EntryHeader) -> bool {
    header.flags & wire::FLAG_FILE_OBJECT != 0
}

/// The name with its terminator, and the data.
fn parts<'a>(header: &EntryHeader, whole: &'a [u8]) -> Option<(&'a [u8], Data<'a>)> {
    let rest = whole.get(size_of::<EntryHeader>()..)?;
    let (name, rest) = rest.split_at_checked(header.name_len.into()).filter(|(name, _)| !name.is_empty())?;
    let need = data_len(header, rest);
    Some((name, rest.get(..need).ok_or(Overlong { need, have: rest.len() })))
}

fn data_len(header: &EntryHeader, data: &[u8]) -> usize {
    if is_elsewhere(header) {
        return size_of::<wire::FileObject>();
    }
    match header.kind {
        entry_kind::NODE => 12,
        entry_kind::BOOL => 4,
        entry_kind::STRING | entry_kind::BYTES => {
            let len = bytes::get::<zerocopy::little_endian::U32>(data, 0);
            len.map_or(0, |len| bytes::length(len.get())).saturating_add(4)
        }
        _ => 8,
    }
}

/// Whether the checksum holds; the error is what it should be. It covers what is known of the entry and no slack.
fn checksums(header: &EntryHeader, whole: &[u8], data: Data<'_>) -> Result<(), u32> {
    let len = size_of::<EntryHeader>().saturating_add(header.name_len.into());
    let covered = whole.get(..len.saturating_add(data.map_or(0, <[u8]>::len))).unwrap_or(whole);
    let expected = bytes::checksum(covered, wire::checksum_at::KEY_ENTRY);
    if expected == header.checksum.get() { Ok(()) } else { Err(expected) }
}
