//! Structures whose work goes by what they claim: images that no single changed byte makes, built to cost time or memory.
//!
//! Each is held against the promise, 256 MiB and 2 seconds, and against the work that it can ask for at most. Nothing
//! here is as large in memory as it claims: what is repeated is made while it is read.

use std::io;
use std::sync::Arc;

use limits::Limit;
use limits::image::{DISK_SIZE_MAX, LOG_CHECKSUM_LAPS_MAX};
use uuid::{Uuid, uuid};
use vhdx_format::forge::{Change, Image, LogEntry, SparseFile, edit_header, item_id};
use vhdx_format::{
    BlockSize, DiskOffset, DiskRange, FileOffset, Geometry, LayerStack, ReadAt, SectorSize, VirtualDisk,
};

use crate::mutant::Work;
use crate::outcome::{Refusal, open_chain};
use crate::subjects::MIB;
use crate::sweep::{TIME_MAX, processor_time};

/// What a log may have without being asked for.
const LOG_LEN_MAX: u64 = Limit::LogSize.usual();
/// The same of a metadata item.
const ITEM_LEN_MAX: u64 = Limit::MetadataSize.usual();
const LOG: u64 = MIB;
const LOG_ID: Uuid = uuid!("0a0b0c0d-1111-2222-3333-445566778899");
const SECTOR: u64 = 4096;

/// A file whose log is made up sector by sector.
struct Claim<F> {
    file: SparseFile,
    ring_len: u64,
    sector: F,
    work: Arc<Work>,
}

impl<F: Fn(u64, &mut [u8]) + Send + Sync> ReadAt for Claim<F> {
    fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
        self.work.count(buf.len());
        if at.0 != LOG {
            return self.file.read_exact_at(at, buf);
        }
        assert_eq!(buf.len() as u64, self.ring_len, "the ring is read at once");
        for (number, sector) in (0..).zip(buf.chunks_mut(SECTOR as usize)) {
            (self.sector)(number, sector);
        }
        Ok(())
    }

    fn byte_len(&self) -> io::Result<u64> {
        Ok(self.file.len())
    }
}

/// What came of it, and the work it took.
struct Taken {
    outcome: Result<LayerStack, Refusal>,
    work: Arc<Work>,
}

/// Opens an image and walks it from end to end, within the promise. Nothing else runs meanwhile.
#[track_caller]
fn take(name: &str, source: impl FnOnce(Arc<Work>) -> Box<dyn ReadAt>) -> Taken {
    let work = Arc::new(Work::default());
    // Forging it may have taken more than reading it will.
    crate::MEMORY.reset_peak_usage();
    let held_before = crate::MEMORY.current_usage();
    let source = source(Arc::clone(&work));
    let before = processor_time();
    let outcome = open_chain(vec![source]);
    let runs = outcome.as_ref().map_or(0, |stack| {
        let whole = DiskRange::new(DiskOffset(0), DiskOffset(stack.geometry().size()));
        stack
            .extents(whole)
            .inspect(|extent| assert!(extent.is_ok(), "what was opened can be walked"))
            .count()
    });
    let time = processor_time().saturating_sub(before);
    println!(
        "{name}: {}, {runs} runs, {} KiB in {} reads, {time:.1?}, at most {} MiB held besides the image",
        outcome.as_ref().map_or_else(ToString::to_string, |_| "opened".to_owned()),
        work.bytes() >> 10,
        work.reads(),
        crate::peak_memory().saturating_sub(held_before) >> 20,
    );
    assert!(time < TIME_MAX, "{name}: {time:?}");
    if let Err(refusal) = &outcome {
        assert!(refusal.has_position(), "no position: {refusal}");
    }
    Taken { outcome, work }
}

fn geometry(size: u64) -> Geometry {
    Geometry::new(size, SectorSize::B512, SectorSize::B4096).expect("a possible disk")
}

/// A dirty image with a log of that length and nothing in it.
fn with_log(len: u64) -> SparseFile {
    let mut image = Image::dynamic("claim", geometry(MIB));
    image.log_len = u32::try_from(len).expect("a length that a header can state");
    let mut file = image.build();
    for which in 0..2 {
        edit_header(&mut file, which, |header| header[48..64].copy_from_slice(&LOG_ID.to_bytes_le()));
    }
    file
}

/// What reading everything but the log and the block table takes at most.
const REST_BYTES: u64 = 2 * MIB;

fn entry(changes: Vec<Change>) -> LogEntry {
    LogEntry { log: LOG_ID, sequence_number: 1, tail: 0, flushed: 0, last: 4 * MIB, changes }
}

/// A ring of that length that is one entry, from its middle on and round its end: the most that is held at once. Its
/// data sectors are alike, so only the descriptors are kept.
fn one_entry(ring_len: u64, mut entry: LogEntry) -> impl Fn(Arc<Work>) -> Box<dyn ReadAt> {
    let start = ring_len / 2 / SECTOR * SECTOR;
    entry.tail = u32::try_from(start).expect("a position in a ring");
    let data = entry.changes.iter().filter(|change| matches!(change, Change::Data { .. })).count() as u64;
    let mut bytes = entry.to_bytes();
    assert_eq!(bytes.len() as u64, ring_len);
    let area = bytes.len() - (data * SECTOR) as usize;
    let template = bytes[bytes.len() - SECTOR as usize..].to_vec();
    bytes.truncate(area);
    bytes.shrink_to_fit();
    let (bytes, template) = (Arc::new(bytes), Arc::new(template));
    move |work| {
        let (bytes, template) = (Arc::clone(&bytes), Arc::clone(&template));
        let sectors = ring_len / SECTOR;
        let sector = move |number: u64, buf: &mut [u8]| {
            let index = (number + sectors - start / SECTOR) % sectors;
            let from = bytes.get((index * SECTOR) as usize..).and_then(|rest| rest.get(..SECTOR as usize));
            buf.copy_from_slice(from.unwrap_or(&template));
        };
        Box::new(Claim { file: with_log(ring_len), ring_len, sector, work })
    }
}

#[test]
fn a_ring_of_overlapping_claims() {
    let _alone = crate::alone();
    let mut claim = entry(Vec::new()).to_bytes();
    claim[8..12].copy_from_slice(&u32::try_from(LOG_LEN_MAX).expect("a length").to_le_bytes());
    let sector = move |_, buf: &mut [u8]| buf.copy_from_slice(&claim);
    let taken = take("ring of overlapping claims", |work| {
        Box::new(Claim { file: with_log(LOG_LEN_MAX), ring_len: LOG_LEN_MAX, sector, work })
    });
    let refusal = taken.outcome.expect_err("no entry is valid").to_string();
    assert!(refusal.contains(&format!("limit of {LOG_CHECKSUM_LAPS_MAX}")), "{refusal}");
    assert!(taken.work.bytes() <= LOG_LEN_MAX + REST_BYTES);
}

#[test]
fn the_longest_log_full_of_data() {
    let _alone = crate::alone();
    // n descriptors and their sectors: 64 + 32 n bytes in whole sectors, and n sectors.
    let sectors = LOG_LEN_MAX / SECTOR;
    let count = (1..sectors).rfind(|n| (64 + 32 * n).div_ceil(SECTOR) + n <= sectors).expect("a number");
    let mut changes: Vec<_> =
        (0..count).map(|n| Change::Data { at: (5 << 40) + n * 2 * SECTOR, bytes: Vec::new() }).collect();
    let spare = sectors - count - (64 + 32 * count).div_ceil(SECTOR);
    changes.extend((0..spare * 128).map(|_| Change::Zero { at: 4 << 40, len: SECTOR }));
    let taken = take("longest log, data", one_entry(LOG_LEN_MAX, entry(changes)));
    taken.outcome.expect("a valid log");
    assert!(taken.work.bytes() <= LOG_LEN_MAX + REST_BYTES);
}

#[test]
fn the_longest_log_full_of_scattered_zeros() {
    let _alone = crate::alone();
    let count = (LOG_LEN_MAX - 64) / 32;
    let changes = (0..count).map(|n| Change::Zero { at: (5 << 40) + n * 2 * SECTOR, len: SECTOR }).collect();
    let last = (5 << 40) + count * 2 * SECTOR;
    let scattered = LogEntry { last: last.next_multiple_of(MIB), ..entry(changes) };
    let taken = take("longest log, scattered zeros", one_entry(LOG_LEN_MAX, scattered));
    taken.outcome.expect("a valid log");
}

#[test]
fn the_longest_log_full_of_zeros_without_end() {
    let _alone = crate::alone();
    let count = (LOG_LEN_MAX - 64) / 32;
    let changes =
        (0..count).map(|n| Change::Zero { at: (5 << 40) + n % 97 * SECTOR, len: 1 << 60 }).collect();
    let taken = take("longest log, zeros without end", one_entry(LOG_LEN_MAX, entry(changes)));
    taken.outcome.expect("a valid log");
}

/// 513 MiB of table for blocks that are not there: the longest that any disk needs.
#[test]
fn the_table_of_the_largest_disk() {
    let _alone = crate::alone();
    let mut image = Image::dynamic("largest", geometry(DISK_SIZE_MAX));
    image.block_size = BlockSize::MIN;
    let table = image.layout().entry_count() * 8;
    let file = image.build();
    let taken = take("table of the largest disk", |work| Box::new(Counted { file, work }));
    taken.outcome.expect("a valid image");
    // Once to judge the table, once to walk it.
    assert!(taken.work.bytes() <= 2 * table.next_multiple_of(MIB) + REST_BYTES);
}

/// Every known item is as long as an item can be, which is found out after it was read.
#[test]
fn metadata_items_of_the_greatest_length() {
    let _alone = crate::alone();
    let mut image = Image::dynamic("items", geometry(MIB));
    image.metadata_len = 8 << 20;
    for (number, item) in (1..).zip(image.items_mut()) {
        item.bytes.resize(ITEM_LEN_MAX as usize, 0);
        item.at = Some(number << 20);
    }
    let file = image.build();
    let taken = take("longest metadata items", |work| Box::new(Counted { file, work }));
    taken.outcome.expect_err("file parameters of 8 bytes");
    assert!(taken.work.bytes() <= 6 * ITEM_LEN_MAX + REST_BYTES);
}

/// As many pairs as are read, each with a key and a value of 64 KiB out of the same 1 MiB.
#[test]
fn a_locator_whose_texts_share_their_bytes() {
    let _alone = crate::alone();
    let parent = Image::dynamic("parent", geometry(MIB));
    let mut image = Image::child("child", &parent, "parent.vhdx");
    let locator = &mut image.items_mut().iter_mut().find(|item| item.id == item_id::PARENT_LOCATOR);
    let bytes = &mut locator.as_mut().expect("a child's locator").bytes;
    let pairs = 256_u16;
    let mut texts: Vec<u8> =
        (0..500_000_u32).flat_map(|n| (0x4E00 + n as u16 % 0x5000).to_le_bytes()).collect();
    texts.resize(1_000_000, 0);
    bytes.truncate(16);
    bytes.extend([0, 0]);
    bytes.extend(pairs.to_le_bytes());
    for pair in 0..u32::from(pairs) {
        let text = 20 + 12 * u32::from(pairs) + 2 * pair;
        bytes.extend([text, text].map(u32::to_le_bytes).concat());
        bytes.extend([0xFE, 0xFF, 0xFE, 0xFF]);
    }
    bytes.extend(texts);
    image.metadata_len = 2 << 20;
    let file = image.build();
    let taken = take("locator of shared texts", |work| Box::new(Counted { file, work }));
    let refusal = taken.outcome.expect_err("none of them is parent_linkage").to_string();
    assert!(refusal.contains("parent_linkage"), "{refusal}");
    assert!(taken.work.bytes() <= ITEM_LEN_MAX + REST_BYTES);
}

/// A file as it is, counted.
struct Counted {
    file: SparseFile,
    work: Arc<Work>,
}

impl ReadAt for Counted {
    fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
        self.work.count(buf.len());
        self.file.read_exact_at(at, buf)
    }

    fn byte_len(&self) -> io::Result<u64> {
        self.file.byte_len()
    }
}
