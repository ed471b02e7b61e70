//! The search for key tables where the object tables do not lead to them.
//!
//! Tables begin on pages and their headers have a checksum, so a page that passes is a table or was one. Old tables in
//! free regions lose later against current ones of their index by their sequence. The log is left out: its payloads
//! are copies of tables' beginnings.

use std::collections::BTreeSet;

use super::bytes;
use super::entry;
use super::header::Header;
use super::table::{self, Place};
use super::wire::{self, EntryHeader, entry_kind};

/// Every key table outside the log that is not yet known, each reaching at most to the next one.
pub(super) fn key_tables(file: &[u8], header: Option<&Header>, known: &BTreeSet<usize>) -> Vec<Place> {
    let log = header.map_or(0..0, |header| header.log_at..header.log_at.saturating_add(header.log_size));
    let all: Vec<usize> = (wire::FIRST_OBJECT_TABLE..file.len())
        .step_by(wire::PAGE)
        .filter(|at| known.contains(at) || !log.contains(at) && is_key_table(file, *at))
        .collect();
    let ends = all.iter().skip(1).copied().chain([file.len()]);
    all.iter()
        .zip(ends)
        .filter(|(at, _)| !known.contains(at))
        .map(|(at, end)| Place { at: *at, len: end.saturating_sub(*at), cut: false, found: true })
        .collect()
}

/// A header that holds, and a first key that does, in the first page: all tables seen are one page, and the search must
/// not go through the same bytes once for every page. A table that begins with a page of free space is missed.
fn is_key_table(file: &[u8], at: usize) -> bool {
    if !table::has_sealed_header(file, at) {
        return false;
    }
    let page = file.get(at..at.saturating_add(wire::PAGE).min(file.len())).unwrap_or(&[]);
    let mut pos = size_of::<wire::KeyTableHeader>();
    while let Some(header) = bytes::get::<EntryHeader>(page, pos) {
        let size = bytes::length(header.size.get());
        let Some(whole) = bytes::slice(page, pos, size) else { return false };
        if header.kind != entry_kind::FREE || size < size_of::<EntryHeader>() {
            return entry::is_sealed(whole);
        }
        pos = pos.saturating_add(size);
    }
    false
}
