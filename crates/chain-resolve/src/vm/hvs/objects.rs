//! The object tables: where the key tables lie.
//!
//! Tables form a chain by slots of type 1, honoured in any place. A slot with a bad checksum is reported and tried
//! nevertheless: what it leads to has a signature of its own.

use std::collections::HashSet;

use super::bytes;
use super::error::{Problem, Structure, Warnings};
use super::header::Header;
use super::table::{self, Place};
use super::wire::{self, ObjectSlot, ObjectTableHeader, object_kind};
use limits::configuration::{OBJECT_SLOTS_MAX, OBJECT_TABLES_MAX};

/// What the object tables lead to.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// Key tables in the order of their slots, no offset twice.
    pub(super) places: Vec<Place>,
    /// Whether a table of the chain could not be read, so that key tables may be missing.
    pub(super) broken: bool,
}

/// Follows the chain from its fixed beginning.
pub(super) fn key_tables(file: &[u8], header: Option<&Header>, warnings: &mut Warnings) -> Listed {
    // Before 0x301 the checksums of slots were computed wrongly by a bug of the writer.
    let mut chain = Chain {
        file,
        trust_checksums: header.is_none_or(|header| header.version >= 0x301),
        slots_left: OBJECT_SLOTS_MAX,
        next: vec![wire::FIRST_OBJECT_TABLE],
        seen_places: HashSet::new(),
        listed: Listed::default(),
    };
    let mut seen = HashSet::new();
    while let Some(at) = chain.next.pop() {
        if !seen.insert(at) {
            warnings.push(at, Problem::ObjectTableLoop);
        } else if seen.len() > OBJECT_TABLES_MAX {
            warnings.push(at, too_many(OBJECT_TABLES_MAX));
            break;
        } else if chain.read(at, warnings).is_none() {
            chain.listed.broken = true;
        }
    }
    chain.listed
}

fn too_many(limit: usize) -> Problem {
    Problem::TooMany { structure: Structure::ObjectTable, limit }
}

struct Chain<'a> {
    file: &'a [u8],
    trust_checksums: bool,
    slots_left: usize,
    next: Vec<usize>,
    seen_places: HashSet<usize>,
    listed: Listed,
}

impl Chain<'_> {
    /// One table; `None` if it is none or not whole.
    fn read(&mut self, at: usize, warnings: &mut Warnings) -> Option<()> {
        let structure = Structure::ObjectTable;
        let have = self.file.len().saturating_sub(at);
        let truncated = |need| Problem::Truncated { structure, need, have: bytes::offset(have) };
        let Some(header) = bytes::get::<ObjectTableHeader>(self.file, at) else {
            warnings.push(at, truncated(bytes::offset(size_of::<ObjectTableHeader>())));
            return None;
        };
        let (expected, found) = (wire::OBJECT_TABLE_SIGNATURE, header.signature.get());
        if found != expected {
            warnings.push(at, Problem::Signature { structure, expected, found });
            return None;
        }
        let slots = bytes::length(header.slots.get());
        for i in 0..slots {
            let slot_at = i
                .saturating_mul(size_of::<ObjectSlot>())
                .saturating_add(at)
                .saturating_add(size_of::<ObjectTableHeader>());
            let Some(whole) = bytes::slice(self.file, slot_at, size_of::<ObjectSlot>()) else {
                let need = slots.saturating_mul(size_of::<ObjectSlot>()).saturating_add(8);
                warnings.push(slot_at, truncated(bytes::offset(need)));
                return None;
            };
            let Some(left) = self.slots_left.checked_sub(1) else {
                warnings.push(slot_at, too_many(OBJECT_SLOTS_MAX));
                return None;
            };
            self.slots_left = left;
            self.slot(slot_at, whole, warnings);
        }
        Some(())
    }

    fn slot(&mut self, at: usize, whole: &[u8], warnings: &mut Warnings) {
        let Some(slot) = bytes::get::<ObjectSlot>(whole, 0) else { return };
        let sealed = self.check(at, whole, slot, warnings);
        let target = bytes::position(slot.offset.get());
        let inside = (wire::FIRST_OBJECT_TABLE..self.file.len()).contains(&target);
        let leads_on = matches!(slot.kind, object_kind::OBJECT_TABLE | object_kind::KEY_TABLE);
        if leads_on && !inside {
            let (end, found) = (bytes::offset(self.file.len()), slot.offset.get());
            warnings.push(at, Problem::ObjectOffset { kind: slot.kind, end, found });
        } else if slot.kind == object_kind::OBJECT_TABLE {
            self.next.push(target);
        } else if slot.kind == object_kind::KEY_TABLE
            || !sealed && inside && table::has_sealed_header(self.file, target)
        {
            // A damaged slot whose type was lost is still taken at the word of what it leads to.
            self.place(at, target, bytes::length(slot.size.get()), warnings);
        }
    }

    fn place(&mut self, slot_at: usize, at: usize, size: usize, warnings: &mut Warnings) {
        let have = self.file.len().saturating_sub(at);
        if size > have {
            let (need, have) = (bytes::offset(size), bytes::offset(have));
            warnings.push(slot_at, Problem::Truncated { structure: Structure::KeyTable, need, have });
        }
        if self.seen_places.insert(at) {
            self.listed.places.push(Place { at, len: size.min(have), cut: size > have, found: false });
        }
    }

    /// Whether the slot's checksum holds. A slot of nothing but zeros is empty beyond doubt.
    fn check(&self, at: usize, whole: &[u8], slot: &ObjectSlot, warnings: &mut Warnings) -> bool {
        let (expected, found) = (bytes::checksum(whole, wire::checksum_at::OBJECT_SLOT), slot.checksum.get());
        let empty = slot.kind == object_kind::EMPTY && whole.iter().all(|byte| *byte == 0);
        if expected == found || empty || !self.trust_checksums {
            return true;
        }
        warnings.push(at, Problem::Checksum { structure: Structure::ObjectSlot, expected, found });
        false
    }
}
