//! The test matrix of the format's implementers, row by row: the classic ways to read an image wrongly.

use uuid::{Uuid, uuid};
use vhdx_format::forge::{
    Block, Change, DirtyLog, Image, Item, Kind, Locator, LogEntry, Object, Ring, SectorSet, SparseFile,
    Stale, disk_of, edit, edit_header, item_flag, item_id, make_dirty,
};
use vhdx_format::{
    FileOffset, Geometry, LayerContent, LinkError, Linkage, LogState, OpenStack, Problem, SectorSize,
    Structure, Unsupported,
};

use crate::support::{
    BAT, HEADERS, LOG, METADATA, MIB, TABLES, assert_corrupt, assert_reads, bytes, child, corruption, disk,
    dynamic, geometry, mib, open, shortage, stack, unsupported,
};

const LOG_ID: Uuid = uuid!("0a0b0c0d-1111-2222-3333-445566778899");

/// The number of the header that was taken.
fn current(file: &SparseFile) -> u64 {
    open(file).expect("one valid header").outline().header().sequence_number
}

#[test]
fn row_1_one_damaged_header_leaves_the_other_and_two_leave_nothing() {
    let clean = dynamic().build();
    assert_eq!(current(&clean), 8);
    let mut file = clean.clone();
    edit(&mut file, HEADERS[0] + 4095, 1, |byte| byte[0] = 1);
    assert_eq!(current(&file), 8);
    let mut file = clean.clone();
    edit(&mut file, HEADERS[1] + 4095, 1, |byte| byte[0] = 1);
    assert_eq!(current(&file), 7);
    assert_reads(&file, &dynamic());
    edit(&mut file, HEADERS[0], 1, |byte| byte[0] = b'H');
    let found = corruption(&file);
    assert_eq!((found.structure, found.at), (Structure::Headers, FileOffset(HEADERS[0])));
    let Problem::NoValidHeader { first, second } = found.problem else { panic!("{}", found.problem) };
    assert_eq!(*first, Problem::Signature { expected: "head" });
    assert!(matches!(*second, Problem::Checksum { .. }), "{second}");
}

#[test]
fn row_2_equal_numbers_need_equal_headers() {
    let mut image = dynamic();
    image.sequence_numbers = [5, 5];
    let mut file = image.build();
    assert_eq!(current(&file), 5);
    edit_header(&mut file, 1, |header| header[4000] = 1);
    assert_corrupt(&file, Structure::Headers, HEADERS[0], Problem::AmbiguousHeaders(5));
}

fn entry(changes: Vec<Change>) -> LogEntry {
    LogEntry { log: LOG_ID, sequence_number: 77, tail: 0, flushed: 4 * MIB, last: 4 * MIB, changes }
}

/// Puts entries at the ring's start and says in both headers whose log that is.
fn with_log(file: &mut SparseFile, log: Uuid, entries: &[LogEntry]) {
    let ring = Ring::of(file).expect("a header");
    let mut position = 0;
    for entry in entries {
        position = ring.put(file, position, &entry.to_bytes());
    }
    for which in 0..2 {
        edit_header(file, which, |header| header[48..64].copy_from_slice(&log.to_bytes_le()));
    }
}

#[test]
fn row_3_without_a_log_guid_valid_entries_are_stale() {
    let mut file = dynamic().build();
    let garbage = Change::Data { at: BAT, bytes: vec![0xFF; 4096] };
    let entry = LogEntry { log: Uuid::nil(), ..entry(vec![garbage]) };
    with_log(&mut file, Uuid::nil(), &[entry]);
    assert_eq!(open(&file).expect("a clean image").outline().log_state(), LogState::Clean);
    assert_reads(&file, &dynamic());
}

/// Makes a file dirty, and asserts that it reads as before only thanks to the log.
fn assert_replayed(image: &Image, dirty: &DirtyLog, entries: u64) {
    let mut file = image.build();
    make_dirty(&mut file, dirty);
    match open(&file).expect("a dirty image").outline().log_state() {
        LogState::Replayed { entries: found, .. } => assert_eq!(found, entries),
        LogState::Clean => panic!("the log was not replayed"),
    }
    assert_reads(&file, image);
    for which in 0..2 {
        edit_header(&mut file, which, |header| header[48..64].fill(0));
    }
    let unreplayed = open(&file).ok().map(|_| disk(&[file]) == disk_of(std::slice::from_ref(image)));
    assert_ne!(unreplayed, Some(true), "the log made no difference");
}

fn metadata_sectors(image: &Image) -> Vec<u64> {
    image.metadata_sectors(&image.build())
}

#[test]
fn row_4_an_entry_that_wraps_round_the_rings_end_is_replayed() {
    let image = dynamic();
    let sectors = metadata_sectors(&image);
    assert!(sectors.len() > 2);
    for sectors_before_end in [1, 2, sectors.len() as u64] {
        let start = MIB - sectors_before_end * 4096;
        let dirty =
            DirtyLog { start, sectors: sectors.clone(), sectors_per_entry: 100, ..DirtyLog::default() };
        assert_replayed(&image, &dirty, 1);
    }
}

#[test]
fn row_5_a_torn_newest_entry_leaves_the_one_before_it_as_head() {
    let image = dynamic();
    let dirty = DirtyLog {
        sectors: metadata_sectors(&image),
        sectors_per_entry: 100,
        torn: true,
        ..DirtyLog::default()
    };
    assert_replayed(&image, &dirty, 1);
}

#[test]
fn row_6_a_tail_outside_the_run_makes_it_unusable() {
    for tail in [4096, 8192, (MIB - 4096) as u32] {
        let mut file = dynamic().build();
        with_log(&mut file, LOG_ID, &[LogEntry { tail, ..entry(Vec::new()) }]);
        assert_corrupt(&file, Structure::Log, LOG, Problem::NoActiveSequence { log_guid: LOG_ID });
    }
}

#[test]
fn row_6_a_tail_inside_an_entry_is_no_tail() {
    let mut file = dynamic().build();
    let data = |at| Change::Data { at, bytes: Vec::new() };
    let first = entry(vec![data(TABLES[1])]);
    let second = LogEntry { sequence_number: 78, tail: 4096, ..entry(Vec::new()) };
    with_log(&mut file, LOG_ID, &[first, second]);
    assert_corrupt(&file, Structure::Log, LOG, Problem::NoActiveSequence { log_guid: LOG_ID });
}

#[test]
fn row_7_entries_before_the_tail_are_not_applied() {
    let image = dynamic();
    let payload = image.offset_of(Object::Block(1)).expect("block 1 is there");
    let dirty = DirtyLog {
        sectors: vec![BAT],
        before_tail: vec![payload, BAT, METADATA],
        stale: Stale::Zeros,
        ..DirtyLog::default()
    };
    assert_replayed(&image, &dirty, 1);
}

#[test]
fn row_8_a_file_below_its_flushed_length_is_truncated() {
    let mut file = dynamic().build();
    let have = file.len();
    with_log(&mut file, LOG_ID, &[LogEntry { flushed: have + MIB, ..entry(Vec::new()) }]);
    assert_eq!(shortage(&file), (Structure::File, have + MIB, have));
}

#[test]
fn row_8_between_flushed_and_last_length_there_are_zeros() {
    let mut image = dynamic();
    image.blocks.insert(7, Block::full(Vec::new()));
    let mut file = image.build();
    let whole = file.len();
    file.set_len(whole - MIB);
    let mut cut = file.clone();
    with_log(&mut file, LOG_ID, &[LogEntry { last: whole, ..entry(Vec::new()) }]);
    assert_reads(&file, &image);
    with_log(&mut cut, LOG_ID, &[LogEntry { last: whole - MIB, ..entry(Vec::new()) }]);
    let problem = Problem::BlockOffset { entry: 7, least: MIB, most: whole - 2 * MIB, found: whole - MIB };
    assert_corrupt(&cut, Structure::Bat, BAT + 7 * 8, problem);
}

#[test]
fn row_9_a_zero_range_of_any_length_costs_nothing() {
    let image = dynamic();
    let last = image.offset_of(Object::Block(5)).expect("block 5 is there");
    let mut file = image.build();
    let changes = vec![Change::Zero { at: last, len: 1 << 60 }, Change::Zero { at: 1 << 62, len: 1 << 62 }];
    with_log(&mut file, LOG_ID, &[entry(changes)]);
    let mut without = image;
    without.blocks.insert(5, Block::full(Vec::new()));
    assert_reads(&file, &without);
    assert_eq!(open(&file).expect("an image").outline().file_len(), file.len());
}

#[test]
fn row_9_a_zero_range_that_leaves_64_bits_makes_its_entry_invalid() {
    let mut file = dynamic().build();
    let changes = vec![Change::Zero { at: BAT, len: u64::MAX - 4095 }];
    with_log(&mut file, LOG_ID, &[entry(changes)]);
    assert_corrupt(&file, Structure::Log, LOG, Problem::NoActiveSequence { log_guid: LOG_ID });
}

#[test]
fn row_10_every_structure_that_may_be_logged_is_read_from_the_log() {
    let (base, child) = (dynamic(), child());
    let expected = disk_of(&[base.clone(), child.clone()]);
    let bitmap = child.offset_of(Object::Bitmap(0)).expect("a sector bitmap");
    for sector in [TABLES[0], METADATA, METADATA + 0x1_0000, BAT, bitmap] {
        for stale in [Stale::Zeros, Stale::Garbage] {
            let clean = child.build();
            let mut sectors = vec![sector];
            // A damaged first table alone is no damage: the second one stands in.
            sectors.extend((sector == TABLES[0]).then_some(TABLES[1]));
            let mut file = clean.clone();
            make_dirty(&mut file, &DirtyLog { sectors, stale, ..DirtyLog::default() });
            assert!(disk(&[base.build(), file.clone()]) == expected, "{sector:#x} {stale:?}");
            for which in 0..2 {
                edit_header(&mut file, which, |header| header[48..64].fill(0));
            }
            let opened = open(&file).map(|_| disk(&[base.build(), file.clone()]) == expected);
            assert!(!opened.unwrap_or(false), "{sector:#x} {stale:?}: the log made no difference");
        }
    }
}

#[test]
fn row_11_states_0_to_3_hide_the_parent_or_not() {
    let mut base = dynamic();
    for (number, state) in [(2, 0), (3, 1), (4, 2), (6, 3)] {
        base.blocks.insert(number, Block::anchored(state, vec![(0, vec![0xAB; 9000])]));
    }
    let base_file = base.build();
    assert_reads(&base_file, &base);
    let zeros = disk(std::slice::from_ref(&base_file));
    assert!(zeros[2 << 20..5 << 20].iter().chain(&zeros[6 << 20..]).all(|&byte| byte == 0));

    for state in 0..4 {
        let mut child = child();
        child.block_size = mib(1);
        child.blocks.clear();
        child.blocks.insert(5, Block::anchored(state, vec![(0, vec![0xCD; 9000])]));
        let found = disk(&[base_file.clone(), child.build()]);
        let visible = &found[(5 << 20) + 100..(5 << 20) + 5100];
        let expected = if state == 0 { 0xD5 } else { 0 };
        assert!(visible.iter().all(|&byte| byte == expected), "state {state}");
        assert!(found == disk_of(&[base.clone(), child]), "state {state}");
    }
}

#[test]
fn row_12_a_child_of_2_mib_blocks_reads_over_parents_of_1_and_32() {
    for parent_mib in [1, 32] {
        let mut base = Image::dynamic("base", geometry(33 * MIB + 512));
        base.block_size = mib(parent_mib);
        for number in 0..base.layout().block_count() {
            let data = (0..2).map(|part| (part * 700_000, vec![number as u8 + 1; 250_000])).collect();
            base.blocks.insert(number, Block::full(data));
        }
        let mut child = Image::child("child", &base, "base.vhdx");
        let alternating: SectorSet = (0..4096).step_by(2).collect();
        child.blocks.insert(0, Block::partial(alternating, vec![(0, vec![0xEE; 2 << 20])]));
        child.blocks.insert(8, Block::full(vec![(0, vec![0xEE; 2 << 20])]));
        child.blocks.insert(15, Block::absent(2));
        child.blocks.insert(16, Block::partial([2048].into_iter().collect(), vec![(MIB, vec![9; 512])]));
        assert!(disk(&[base.build(), child.build()]) == disk_of(&[base, child]), "{parent_mib} MiB");
    }
}

/// 16 blocks of 256 MiB share a sector bitmap of 512-byte sectors, so block 16 has the 18th entry.
#[test]
fn row_13_the_bitmaps_entry_behind_each_chunk_is_skipped() {
    let mut base = Image::dynamic("base", geometry(5 << 30));
    base.block_size = mib(256);
    for number in [15, 16] {
        base.blocks.insert(number, Block::full(vec![(0, vec![number as u8; 512])]));
    }
    // Older QEMU leaves something in the entry that no dynamic image needs.
    base.raw_entries.insert(16, u64::MAX);
    let mut child = Image::child("child", &base, "base.vhdx");
    child.block_size = mib(256);
    child.blocks.insert(16, Block::partial([1].into_iter().collect(), vec![(512, vec![0xC6; 512])]));
    child.blocks.insert(17, Block::partial([0].into_iter().collect(), vec![(0, vec![0xC7; 512])]));

    let files = [base.build(), child.build()];
    assert_eq!(u64::from_le_bytes(files[0].read(BAT + 17 * 8, 8).try_into().expect("8 bytes")) & 7, 6);
    let stack = stack(&files);
    assert_eq!(bytes(&stack, 15 << 28, 512), [15; 512]);
    assert_eq!(bytes(&stack, 16 << 28, 1024), [[16; 512], [0xC6; 512]].concat());
    assert_eq!(bytes(&stack, 17 << 28, 1024), [[0xC7; 512], [0; 512]].concat());
}

#[test]
fn row_14_a_child_with_4_kib_sectors_has_its_bitmap_entry_at_16384() {
    let size = 4 * MIB;
    let geometry = Geometry::new(size, SectorSize::B4096, SectorSize::B4096).expect("a disk");
    let mut base = Image::dynamic("base", geometry);
    base.blocks.insert(0, Block::full(vec![(0, vec![1; 4 << 20])]));
    let mut child = Image::child("child", &base, "base.vhdx");
    child.blocks.insert(1, Block::partial([0, 3, 511].into_iter().collect(), vec![(0, vec![2; 2 << 20])]));
    let file = child.build();
    assert_eq!(file.read(BAT + 16384 * 8, 1), [6]);
    let found = disk(&[base.build(), file]);
    assert!(found == disk_of(&[base, child]));
    assert_eq!((found[3 << 20], found[(2 << 20) + 3 * 4096]), (1, 2));
}

#[test]
fn row_15_behind_a_shorter_parent_there_are_zeros_and_a_longer_one_is_clipped() {
    for size in [5 * MIB + 512, 16 * MIB] {
        let mut middle = child();
        middle.geometry = geometry(size);
        middle.blocks.clear();
        let mut leaf = Image::child("leaf", &middle, "child.avhdx");
        leaf.geometry = geometry(8 * MIB);
        let images = [dynamic(), middle, leaf];
        let found = disk(&images.each_ref().map(Image::build));
        assert!(found == disk_of(&images), "{size}");
        // The base has bytes up to 5 MiB + 5100; the shorter one in between ends inside them.
        let expected = if size < 8 * MIB { 0 } else { 0xD5 };
        assert_eq!(found[(5 << 20) + 1000], expected);
        assert_eq!(found[(5 << 20) + 500], 0xD5);
    }
}

#[test]
fn row_16_a_zero_second_linkage_matches_nothing() {
    let mut base = dynamic();
    base.ids.data_write = Uuid::nil();
    let mut image = child();
    let other = uuid!("7584f8fb-36d3-4091-afb5-b1afe587bfa8");
    image.kind = Kind::Differencing(Locator::windows(other, "dynamic.vhdx"));
    let mut stack = OpenStack::new(open(&image.build()).expect("a child"));
    let error = stack.push(open(&base.build()).expect("a base")).expect_err("not the parent");
    let wanted = Linkage { first: other, second: None };
    assert_eq!(error, LinkError::Identity { wanted, found: Uuid::nil() });
}

#[test]
fn row_17_qemus_images_open_and_the_current_header_says_who_they_are() {
    let mut image = dynamic();
    image.regions_required = false;
    "QEMU v10.0.2".clone_into(&mut image.creator);
    let mut file = image.build();
    edit_header(&mut file, 0, |header| header[32..48].fill(0x11));
    let layer = open(&file).expect("an image");
    assert_eq!(layer.outline().header().data_write_guid, image.ids.data_write);
    assert_eq!(layer.outline().creator(), "QEMU v10.0.2");
    edit_header(&mut file, 0, |header| header[8] = 9);
    let layer = open(&file).expect("an image");
    assert_eq!(layer.outline().header().data_write_guid, Uuid::from_bytes([0x11; 16]));
}

#[test]
fn row_18_a_fixed_image_may_say_zero_of_blocks_that_are_there() {
    let mut image = Image::fixed("fixed", geometry(6 * MIB));
    for number in 0..3 {
        image.blocks.insert(number, Block::anchored(2, vec![(0, vec![0xFF; 4096])]));
    }
    image.blocks.insert(1, Block::full(vec![(0, vec![1; 4096])]));
    let file = image.build();
    let layer = open(&file).expect("a fixed image");
    assert_eq!((layer.block_counts().zero, layer.block_counts().fully_present), (2, 1));
    assert_reads(&file, &image);
    let found = disk(&[file]);
    assert!(found[..2 << 20].iter().all(|&byte| byte == 0) && found[2 << 20] == 1);
}

#[test]
fn row_19_a_file_may_end_anywhere_behind_what_the_disk_needs() {
    let mut image = Image::dynamic("odd", geometry(2 * MIB + 1024));
    image.block_size = mib(1);
    image.blocks.insert(2, Block::full(vec![(0, vec![7; 1024])]));
    let at = image.offset_of(Object::Block(2)).expect("block 2 is there");
    for len in [at + 1024, at + 1025, at + MIB + 512] {
        let mut file = image.build();
        file.set_len(len);
        assert_reads(&file, &image);
    }
    let mut file = image.build();
    file.set_len(at + 1023);
    let problem = Problem::BlockOffset { entry: 2, least: MIB, most: at - 1, found: at };
    assert_corrupt(&file, Structure::Bat, BAT + 2 * 8, problem);
}

#[test]
fn row_20_a_file_that_was_never_finished_is_refused() {
    let mut image = dynamic();
    image.items_mut().push(Item::new(item_id::INCOMPLETE_FILE, item_flag::REQUIRED, &[]));
    assert_eq!(unsupported(&image.build()), Unsupported::IncompleteFile);
}

/// What a layer alone says is what the rule says.
#[test]
fn a_layer_alone_says_stored_zero_or_inherited() {
    let layer = open(&child().build()).expect("a child");
    let said: Vec<_> = layer
        .extents(geometry(8 * MIB).range())
        .map(|extent| extent.map(|extent| (extent.start.0, extent.content)).expect("an extent"))
        .collect();
    let at = child().offset_of(Object::Block(2)).expect("block 2 is there");
    assert_eq!(
        said,
        [
            (0, LayerContent::Inherited),
            (4 * MIB, LayerContent::Stored(FileOffset(at))),
            (4 * MIB + 1024, LayerContent::Inherited)
        ]
    );
}
