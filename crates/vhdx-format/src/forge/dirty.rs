//! Makes a clean image dirty without changing its disk: parts of it move into the log, and stale bytes take their place.
//!
//! A reader that replays the log right reads the same disk as before; one that skips it, or replays too much, does not.

use std::ops::Range;

use uuid::Uuid;

use super::{Change, LogEntry, Ring, SparseFile, edit_header, torn};
use crate::offset::MIB;
use crate::wire::log::{SECTOR, SECTOR_LEN};

/// What goes into the log, and how. The default is a log of one empty entry.
#[derive(Clone, Debug)]
pub struct DirtyLog {
    /// The log's GUID, for both headers.
    pub log: Uuid,
    /// Sequence number of the oldest entry; Windows starts anywhere in 64 bits.
    pub first_sequence_number: u64,
    /// Offset in the ring of the oldest entry, in bytes: near the ring's end the sequence wraps, even inside an entry.
    pub start: u64,
    /// File offsets of the 4 KiB sectors that move into the log.
    pub sectors: Vec<u64>,
    /// How many of them an entry holds.
    pub sectors_per_entry: usize,
    /// What is left in their place.
    pub stale: Stale,
    /// Ranges, multiples of 4 KiB, that one zero descriptor each clears: what the file has there is overwritten with
    /// garbage. Sectors in there that are not zero move into the log, too, behind the zero descriptor.
    pub zeroed: Vec<Range<u64>>,
    /// Whether an earlier entry of the replayed ones puts garbage into everything that later ones put right.
    pub superseded: bool,
    /// File offsets of sectors, payload maybe, that entries before the tail fill with garbage: one entry each. They
    /// must not be replayed.
    pub before_tail: Vec<u64>,
    /// Whether a torn entry follows the newest whole one.
    pub torn: bool,
    /// Whether a valid entry of another log, with the next sequence number, follows all that.
    pub foreign: bool,
    /// `FlushedFileOffset` of all entries; `None` is the file's length, rounded down to 1 MiB.
    pub flushed: Option<u64>,
    /// `LastFileOffset` of all entries; `None` is the file's length, rounded up to 1 MiB.
    pub last: Option<u64>,
}

/// What a sector that moved into the log leaves behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stale {
    /// Zeros, as in a file whose tables were never written.
    Zeros,
    /// Garbage.
    Garbage,
}

impl Default for DirtyLog {
    fn default() -> Self {
        Self {
            log: uuid::uuid!("0a0b0c0d-1111-2222-3333-445566778899"),
            first_sequence_number: 0x3CA9_3A92_0D19_0A97,
            start: 0,
            sectors: Vec::new(),
            sectors_per_entry: 4,
            stale: Stale::Zeros,
            zeroed: Vec::new(),
            superseded: false,
            before_tail: Vec::new(),
            torn: false,
            foreign: false,
            flushed: None,
            last: None,
        }
    }
}

/// Moves parts of a clean image into its log, as `dirty` says. The disk read through a right replay stays the same.
///
/// # Panics
///
/// Where the log has no room for the entries: the oldest would be overwritten and the image would be lost.
pub fn make_dirty(file: &mut SparseFile, dirty: &DirtyLog) {
    let Some(ring) = Ring::of(file) else { return };
    let plan = Plan::new(file, dirty);
    let mut log = Appender::new(file, ring, dirty);
    for change in plan.before_tail {
        log.append(file, vec![change]);
    }
    log.tail = Some(log.position as u32);
    for changes in plan.replayed {
        log.append(file, changes);
    }
    if dirty.torn {
        let entry = log.entry(plan.garbage.clone()).to_bytes();
        log.put(file, &torn(entry));
    }
    if dirty.foreign {
        // Its tail is itself, so that it could be replayed if its GUID did not matter.
        let entry = LogEntry { log: Uuid::max(), tail: log.position as u32, ..log.entry(plan.garbage) };
        log.put(file, &entry.to_bytes());
    }
    assert!(
        log.used <= ring.len,
        "the log of {} bytes has no room for {} bytes of entries",
        ring.len,
        log.used
    );
    leave_stale(file, dirty, &plan.moved);
    for which in 0..2 {
        edit_header(file, which, |header| header[48..64].copy_from_slice(&dirty.log.to_bytes_le()));
    }
}

/// The changes of every entry, taken from the file while it is clean.
struct Plan {
    before_tail: Vec<Change>,
    replayed: Vec<Vec<Change>>,
    garbage: Vec<Change>,
    moved: Vec<u64>,
}

impl Plan {
    fn new(file: &SparseFile, dirty: &DirtyLog) -> Self {
        let mut moved = dirty.sectors.clone();
        moved.extend(file.pages().filter(|page| dirty.zeroed.iter().any(|range| range.contains(page))));
        moved.sort_unstable();
        moved.dedup();
        let garbage_at = |&at: &u64| Change::Data { at, bytes: garbage(at) };
        let garbage: Vec<_> = moved.iter().take(4).map(garbage_at).collect();
        let mut replayed = Vec::new();
        let per_entry = dirty.sectors_per_entry.max(1);
        if dirty.superseded {
            let first_zeroed = dirty.zeroed.iter().map(|range| range.start);
            let wrong: Vec<u64> = moved.iter().copied().chain(first_zeroed).collect();
            replayed.extend(wrong.chunks(per_entry).map(|some| some.iter().map(garbage_at).collect()));
        }
        let clear = |range: &Range<u64>| Change::Zero { at: range.start, len: range.end - range.start };
        if !dirty.zeroed.is_empty() {
            replayed.push(dirty.zeroed.iter().map(clear).collect());
        }
        let right = |&at: &u64| Change::Data { at, bytes: file.read(at, SECTOR) };
        replayed.extend(moved.chunks(per_entry).map(|some| some.iter().map(right).collect()));
        if replayed.is_empty() {
            // Windows' own first entry after an open.
            replayed.push(Vec::new());
        }
        Self { before_tail: dirty.before_tail.iter().map(garbage_at).collect(), replayed, garbage, moved }
    }
}

/// The end of a growing log.
struct Appender<'a> {
    dirty: &'a DirtyLog,
    ring: Ring,
    position: u64,
    sequence_number: u64,
    /// `None`: every entry is its own tail.
    tail: Option<u32>,
    file_len: u64,
    used: u64,
}

impl<'a> Appender<'a> {
    fn new(file: &SparseFile, ring: Ring, dirty: &'a DirtyLog) -> Self {
        Self {
            dirty,
            ring,
            position: dirty.start % ring.len,
            sequence_number: dirty.first_sequence_number,
            tail: None,
            file_len: file.len(),
            used: 0,
        }
    }

    fn entry(&self, changes: Vec<Change>) -> LogEntry {
        LogEntry {
            log: self.dirty.log,
            sequence_number: self.sequence_number,
            tail: self.tail.unwrap_or(self.position as u32),
            flushed: self.dirty.flushed.unwrap_or(self.file_len / MIB * MIB),
            last: self.dirty.last.unwrap_or(self.file_len.next_multiple_of(MIB)),
            changes,
        }
    }

    fn append(&mut self, file: &mut SparseFile, changes: Vec<Change>) {
        let entry = self.entry(changes);
        self.put(file, &entry.to_bytes());
        self.sequence_number += 1;
    }

    fn put(&mut self, file: &mut SparseFile, bytes: &[u8]) {
        self.position = self.ring.put(file, self.position, bytes);
        self.used += bytes.len() as u64;
    }
}

fn leave_stale(file: &mut SparseFile, dirty: &DirtyLog, moved: &[u64]) {
    let len = file.len();
    for &at in moved {
        match dirty.stale {
            Stale::Zeros => file.zero(at, SECTOR_LEN),
            Stale::Garbage => file.write(at, &garbage(at)),
        }
    }
    for range in &dirty.zeroed {
        for at in (range.start..range.end.min(len)).step_by(SECTOR) {
            file.write(at, &garbage(at));
        }
    }
    file.set_len(len);
}

/// A sector that no structure looks like: none of its bytes is zero, and neighbours differ.
fn garbage(at: u64) -> Vec<u8> {
    vec![(at / SECTOR_LEN) as u8 | 0x80; SECTOR]
}
