//! Logs that lie: entries that are not valid, lengths and targets that can not be, rings made to cost time.

use limits::image::{FILE_LEN_MAX, LOG_CHECKSUM_LAPS_MAX};
use uuid::{Uuid, uuid};
use vhdx_format::forge::{Change, Image, LogEntry, Ring, SparseFile, edit_header, torn, with_checksum};
use vhdx_format::{LogState, Problem, Structure};

use crate::support::{
    BAT, HEADERS, LOG, MIB, TABLES, assert_corrupt, assert_reads, dynamic, open, put, shortage,
};

const ID: Uuid = uuid!("0a0b0c0d-1111-2222-3333-445566778899");

/// An entry that changes nothing that anybody reads, followed by valid ones in `numbers`.
fn entry(sequence_number: u64, changes: Vec<Change>) -> LogEntry {
    LogEntry { log: ID, sequence_number, tail: 0, flushed: 0, last: 4 * MIB, changes }
}

fn data(at: u64) -> Change {
    Change::Data { at, bytes: Vec::new() }
}

/// A dirty file whose ring begins with these bytes.
fn with_ring(image: &Image, bytes: &[u8]) -> SparseFile {
    let mut file = image.build();
    Ring::of(&file).expect("a header").put(&mut file, 0, bytes);
    for which in 0..2 {
        edit_header(&mut file, which, |header| header[48..64].copy_from_slice(&ID.to_bytes_le()));
    }
    file
}

fn replayed(file: &SparseFile) -> (u64, u64) {
    match open(file).expect("a dirty image").outline().log_state() {
        LogState::Replayed { entries, head } => (entries, head),
        LogState::Clean => panic!("nothing was replayed"),
    }
}

#[track_caller]
fn assert_no_sequence(file: &SparseFile) {
    assert_corrupt(file, Structure::Log, LOG, Problem::NoActiveSequence { log_guid: ID });
}

#[test]
fn a_dirty_log_without_a_valid_entry_is_never_taken_for_clean() {
    assert_no_sequence(&with_ring(&dynamic(), &[]));
    assert_no_sequence(&with_ring(&dynamic(), &vec![0xFF; 1 << 20]));
    let foreign = LogEntry { log: Uuid::max(), ..entry(1, Vec::new()) };
    assert_no_sequence(&with_ring(&dynamic(), &foreign.to_bytes()));
}

/// Each of them would be the newest without the other, and they leave different files behind.
#[test]
fn two_newest_entries_of_one_number_are_no_choice() {
    let at = |sector: u32, number| LogEntry { tail: sector * 4096, ..entry(number, Vec::new()) }.to_bytes();
    let rivals = [at(0, 5), vec![0; 4096], at(2, 5)].concat();
    assert_corrupt(&with_ring(&dynamic(), &rivals), Structure::Log, LOG, Problem::AmbiguousLog(5));
    let newer = [rivals.clone(), vec![0; 4096], at(4, 6)].concat();
    assert_eq!(replayed(&with_ring(&dynamic(), &newer)), (1, 6));
    let newer_before = [at(0, 6), vec![0; 4096], rivals[8192..].to_vec(), vec![0; 4096], at(4, 5)].concat();
    assert_eq!(replayed(&with_ring(&dynamic(), &newer_before)), (1, 6));
}

#[test]
fn every_field_of_an_entry_must_be_in_order() {
    let good = entry(5, vec![data(TABLES[1] + 4096), Change::Zero { at: 3 << 40, len: 4096 }]).to_bytes();
    assert_eq!(replayed(&with_ring(&dynamic(), &good)), (1, 5));
    let cases: [(&str, usize, &[u8]); 16] = [
        ("signature", 0, b"LOGE"),
        ("length 0", 8, &[0, 0, 0, 0]),
        ("length of no whole sectors", 8, &[1, 0x20, 0, 0]),
        ("length past the ring", 8, &[0, 0, 0x20, 0]),
        ("length of 4 GiB", 8, &[0, 0xF0, 0xFF, 0xFF]),
        ("a sector too many", 8, &[0, 0x30, 0, 0]),
        ("tail of no whole sectors", 12, &[1, 0, 0, 0]),
        ("tail past the ring", 12, &[0, 0, 0x10, 0]),
        ("number 0", 16, &[0; 8]),
        ("a descriptor less", 24, &[0, 0, 0, 0]),
        ("a descriptor more", 24, &[3, 0, 0, 0]),
        ("descriptors without end", 24, &[0xFF; 4]),
        ("descriptor's signature", 64, b"DESC"),
        ("descriptor's target", 64 + 16, &[1]),
        ("descriptor's number", 64 + 24, &[6]),
        ("zero range's length", 96 + 8, &[1]),
    ];
    for (name, at, bytes) in cases {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        // A ring of zeros behind it, so that a longer entry has a right checksum, too.
        let len = u32::from_le_bytes(bad[8..12].try_into().expect("4 bytes")) as usize;
        bad.resize(len.clamp(bad.len(), 1 << 20), 0);
        let file = with_ring(&dynamic(), &with_checksum(bad));
        match open(&file) {
            Err(error) => assert!(error.to_string().contains("active sequence"), "{name}: {error}"),
            Ok(_) => panic!("{name} was replayed"),
        }
    }
    for (name, at) in [("signature", 4096), ("high half", 4100), ("low half", 8188)] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(open(&with_ring(&dynamic(), &with_checksum(bad))).is_err(), "data sector's {name}");
    }
}

#[test]
fn a_damaged_byte_anywhere_in_the_only_entry_ends_the_log() {
    let good = entry(5, vec![data(TABLES[1] + 4096)]).to_bytes();
    for at in [4, 63, 64, 95, 96, 4095, 4096, 5000, 8191] {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        assert_no_sequence(&with_ring(&dynamic(), &bad));
    }
}

#[test]
fn a_log_may_not_change_headers_or_itself() {
    for at in [0, HEADERS[0], HEADERS[1], TABLES[0] - 4096, LOG, LOG + MIB - 4096] {
        assert_no_sequence(&with_ring(&dynamic(), &entry(1, vec![data(at)]).to_bytes()));
        let zeros = Change::Zero { at, len: 4096 };
        assert_no_sequence(&with_ring(&dynamic(), &entry(1, vec![zeros]).to_bytes()));
    }
    // A range that begins before the log and ends in it or behind it.
    for len in [MIB - 0x5_0000 + 4096, 3 * MIB, 1 << 60] {
        let zeros = Change::Zero { at: 0x5_0000, len };
        assert_no_sequence(&with_ring(&dynamic(), &entry(1, vec![zeros]).to_bytes()));
    }
    let beside = vec![Change::Zero { at: 0x5_0000, len: MIB - 0x5_0000 }, data(LOG - 4096)];
    assert_eq!(replayed(&with_ring(&dynamic(), &entry(1, beside).to_bytes())), (1, 1));
}

#[test]
fn targets_at_the_end_of_64_bits_do_not_wrap() {
    assert_no_sequence(&with_ring(&dynamic(), &entry(1, vec![data(u64::MAX - 4095)]).to_bytes()));
    let file = with_ring(&dynamic(), &entry(1, vec![data(1 << 62)]).to_bytes());
    assert_eq!(shortage(&file), (Structure::File, FILE_LEN_MAX, (1 << 62) + 4096));
    for last in [FILE_LEN_MAX + 1, u64::MAX] {
        let entry = LogEntry { last, ..entry(1, Vec::new()) };
        let file = with_ring(&dynamic(), &entry.to_bytes());
        assert_eq!(shortage(&file), (Structure::File, FILE_LEN_MAX, last));
    }
    let entry = LogEntry { flushed: u64::MAX, ..entry(1, Vec::new()) };
    let file = with_ring(&dynamic(), &entry.to_bytes());
    assert_eq!(shortage(&file), (Structure::File, u64::MAX, file.len()));
}

#[test]
fn a_log_may_reach_behind_the_files_end() {
    let mut image = dynamic();
    let file = image.build();
    let end = file.len();
    // Block 7 comes into being with the table's sector and is never written: zeros behind the file's end.
    let mut table = file.read(BAT, 4096);
    put(&mut table, 7 * 8, end | 6);
    let change = Change::Data { at: BAT, bytes: table };
    let grown = LogEntry { last: end + MIB, ..entry(1, vec![change]) };
    let file = with_ring(&image, &grown.to_bytes());
    image.blocks.insert(7, vhdx_format::forge::Block::full(Vec::new()));
    assert_reads(&file, &image);
    assert_eq!(open(&file).expect("an image").block_counts().fully_present, 3);
}

#[test]
fn the_last_sequence_number_has_no_successor() {
    let last = entry(u64::MAX, Vec::new()).to_bytes();
    assert_eq!(replayed(&with_ring(&dynamic(), &last)), (1, u64::MAX));
    let after = LogEntry { tail: 4096, ..entry(1, Vec::new()) }.to_bytes();
    assert_eq!(replayed(&with_ring(&dynamic(), &[last, after].concat())), (1, u64::MAX));
}

#[test]
fn the_sequence_with_the_newest_head_is_the_active_one() {
    let at = |sequence_number, tail| LogEntry { tail, ..entry(sequence_number, Vec::new()) }.to_bytes();
    let gap = vec![0; 4096];
    let ring = [at(7, 0), at(8, 0), gap.clone(), at(20, 0x3000), gap, at(3, 0x5000), at(4, 0x5000)].concat();
    assert_eq!(replayed(&with_ring(&dynamic(), &ring)), (1, 20));
    // A torn one behind the newest is what a crash leaves.
    let ring = [at(7, 0), at(8, 0), torn(at(9, 0))].concat();
    assert_eq!(replayed(&with_ring(&dynamic(), &ring)), (2, 8));
}

/// Entries 7 to 10 were written, and 9 was damaged since. What 7 and 8 say is a disk of the past.
#[test]
fn an_entry_that_is_newer_than_the_active_sequence_proves_that_others_were_lost() {
    let at = |sequence_number| entry(sequence_number, Vec::new()).to_bytes();
    let ring = [at(7), at(8), torn(at(9)), at(10)].concat();
    let lost = Problem::LostEntry { newer: 10, head: 8 };
    assert_corrupt(&with_ring(&dynamic(), &ring), Structure::Log, LOG + 0x3000, lost);
    // Not where the newest one needs none of those before it.
    let free = LogEntry { tail: 0x3000, ..entry(10, Vec::new()) }.to_bytes();
    let ring = [at(7), at(8), torn(at(9)), free].concat();
    assert_eq!(replayed(&with_ring(&dynamic(), &ring)), (1, 10));
}

#[test]
fn a_full_ring_is_gone_round_once() {
    let entries = (0..256).flat_map(|n| LogEntry { tail: 0, ..entry(100 + n, Vec::new()) }.to_bytes());
    assert_eq!(replayed(&with_ring(&dynamic(), &entries.collect::<Vec<u8>>())), (256, 355));
}

#[test]
fn an_entry_as_long_as_the_ring_is_replayed() {
    // 253 data sectors and 2 more of descriptors; the header's sector makes 256.
    let changes: Vec<_> = (0..253).map(|n| data((5 << 40) + n * 4096)).collect();
    let zeros = (0..3).map(|_| Change::Zero { at: 5 << 40, len: 4096 });
    let whole = entry(9, changes.into_iter().chain(zeros).collect()).to_bytes();
    assert_eq!(whole.len(), 1 << 20);
    assert_eq!(replayed(&with_ring(&dynamic(), &whole)), (1, 9));
}

/// Every sector claims an entry as long as the ring, none with a right checksum: judging them all would take 256 laps.
#[test]
fn overlapping_candidates_run_out_of_checksums_early() {
    let mut claim = entry(1, Vec::new()).to_bytes();
    claim[8..12].copy_from_slice(&(1_u32 << 20).to_le_bytes());
    let file = with_ring(&dynamic(), &claim.repeat(256));
    let laps = LOG_CHECKSUM_LAPS_MAX;
    assert_eq!(shortage(&file), (Structure::Log, laps, laps + 1));
}

#[test]
fn torn_candidates_within_the_budget_are_passed_over() {
    let mut claim = entry(1, Vec::new()).to_bytes();
    claim[8..12].copy_from_slice(&(1_u32 << 16).to_le_bytes());
    let good = LogEntry { tail: 200 * 4096, ..entry(1, Vec::new()) }.to_bytes();
    let file = with_ring(&dynamic(), &[claim.repeat(200), good].concat());
    assert_eq!(replayed(&file), (1, 1));
    assert_reads(&file, &dynamic());
}
