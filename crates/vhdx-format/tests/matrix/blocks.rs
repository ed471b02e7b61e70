//! Block tables that lie: states that mean nothing, blocks outside the file or on top of something else.

use vhdx_format::forge::{Block, Image, Object, SparseFile};
use vhdx_format::{FileOffset, LayerContent, Problem, Structure};

use crate::support::{
    BAT, LOG, METADATA, MIB, assert_corrupt, assert_reads, child, dynamic, geometry, mib, open, value,
};

fn with_entry(mut image: Image, index: u64, entry: u64) -> SparseFile {
    image.raw_entries.insert(index, entry);
    image.build()
}

fn entry_at(index: u64) -> u64 {
    BAT + index * 8
}

fn state(entry: u64, state: u8, expected: &'static str) -> Problem {
    Problem::BlockState { entry, state, expected }
}

#[test]
fn reserved_states_are_refused() {
    for image in [dynamic(), child()] {
        for found in [4, 5] {
            let file = with_entry(image.clone(), 3, u64::from(found));
            let problem = state(3, found, "one of the states 0, 1, 2, 3, 6, 7");
            assert_corrupt(&file, Structure::Bat, entry_at(3), problem);
        }
    }
}

#[test]
fn a_partial_block_needs_a_parent() {
    let file = with_entry(dynamic(), 1, (4 * MIB) | 7);
    let problem = state(1, 7, "no state 7, because the image has no parent");
    assert_corrupt(&file, Structure::Bat, entry_at(1), problem);
}

#[test]
fn a_partial_block_needs_a_bitmap() {
    let expected = "a sector bitmap, because a block of its chunk is in state 7";
    let mut image = child();
    image.bitmaps.insert(0, false);
    // 2048 blocks of 2 MiB share a bitmap; its entry follows theirs.
    assert_corrupt(&image.build(), Structure::Bat, entry_at(2048), state(2048, 0, expected));
    for found in [1, 2, 3, 4, 5, 7] {
        let problem = state(2048, found, "one of the states 0, 6");
        let file = with_entry(child(), 2048, (4 * MIB) | u64::from(found));
        assert_corrupt(&file, Structure::Bat, entry_at(2048), problem);
    }
}

#[test]
fn each_chunk_needs_its_own_bitmap() {
    let mut image = Image::child("x", &Image::dynamic("y", geometry(6 << 30)), "y.vhdx");
    image.block_size = mib(256);
    let partial = || Block::partial([0].into_iter().collect(), Vec::new());
    image.blocks.insert(2, partial());
    image.blocks.insert(20, partial());
    open(&image.build()).expect("two bitmaps");
    image.bitmaps.insert(0, false);
    let expected = "a sector bitmap, because a block of its chunk is in state 7";
    assert_corrupt(&image.build(), Structure::Bat, entry_at(16), state(16, 0, expected));
    image.bitmaps.clear();
    image.bitmaps.insert(1, false);
    assert_corrupt(&image.build(), Structure::Bat, entry_at(33), state(33, 0, expected));
}

#[test]
fn a_chunk_without_partial_blocks_needs_no_bitmap_of_its_own() {
    let mut image = Image::child("x", &Image::dynamic("y", geometry(6 << 30)), "y.vhdx");
    image.block_size = mib(256);
    image.blocks.insert(2, Block::partial([0].into_iter().collect(), Vec::new()));
    open(&image.build()).expect("one bitmap, for the first of two chunks");
}

/// The bitmap's empty entry between two chunks looks like one more absent block.
#[test]
fn a_run_of_absent_blocks_does_not_count_the_entry_between_chunks() {
    let mut image = Image::dynamic("x", geometry(6 << 30));
    image.block_size = mib(256);
    image.blocks.insert(16, Block::full(vec![(0, vec![0xC1; 512])]));
    let at = image.offset_of(Object::Block(16)).expect("block 16 is there");
    let layer = open(&image.build()).expect("an image");
    let said: Vec<_> = layer
        .extents(geometry(6 << 30).range())
        .map(|extent| extent.map(|extent| (extent.start.0, extent.content)).expect("an extent"))
        .collect();
    let expected = [
        (0, LayerContent::Zero),
        (16 << 28, LayerContent::Stored(FileOffset(at))),
        (17 << 28, LayerContent::Zero),
    ];
    assert_eq!(said, expected);
}

#[test]
fn a_bitmap_without_partial_blocks_is_in_order() {
    let mut image = child();
    image.blocks.clear();
    image.blocks.insert(2, Block::full(Vec::new()));
    image.bitmaps.insert(0, true);
    open(&image.build()).expect("a bitmap nobody needs");
    image.bitmaps.insert(0, false);
    open(&image.build()).expect("a whole block needs none");
}

#[test]
fn reserved_bits_are_refused_in_every_state() {
    for (found, offset) in [(0, 0), (1, 0), (2, 0), (3, 0), (6, 4 * MIB)] {
        for bit in [3, 19] {
            let file = with_entry(dynamic(), 1, offset | 1 << bit | found);
            let problem = value("Reserved", "0", 1 << bit);
            assert_corrupt(&file, Structure::Bat, entry_at(1), problem);
        }
    }
}

#[test]
fn a_block_lies_inside_the_file() {
    let len = dynamic().build().len();
    for offset in [0, len, 1 << 40, 1 << 62, !0xF_FFFF] {
        let problem = Problem::BlockOffset { entry: 3, least: MIB, most: len - MIB, found: offset };
        let file = with_entry(dynamic(), 3, offset | 6);
        assert_corrupt(&file, Structure::Bat, entry_at(3), problem);
    }
    let len = child().build().len();
    for offset in [0, len, !0xF_FFFF] {
        let problem = Problem::BlockOffset { entry: 2048, least: MIB, most: len - MIB, found: offset };
        let file = with_entry(child(), 2048, offset | 6);
        assert_corrupt(&file, Structure::Bat, entry_at(2048), problem);
    }
}

#[test]
fn a_block_shares_its_bytes_with_nothing() {
    let image = dynamic();
    let block_5 = image.offset_of(Object::Block(5)).expect("block 5 is there");
    let overlap = |other, at| Problem::Overlap { other, other_at: FileOffset(at) };
    let cases = [
        (LOG, Structure::Log),
        (METADATA, Structure::MetadataTable),
        (BAT, Structure::Bat),
        (block_5, Structure::OtherBlock),
    ];
    for (at, other) in cases {
        let file = with_entry(image.clone(), 6, at | 6);
        assert_corrupt(&file, Structure::PayloadBlock, at, overlap(other, at));
    }
}

#[test]
fn a_block_that_reaches_into_the_next_overlaps_it() {
    let mut image = Image::dynamic("x", geometry(8 * MIB));
    image.block_size = mib(2);
    image.blocks.insert(0, Block::full(Vec::new()));
    image.blocks.insert(1, Block::full(Vec::new()));
    image.placement.fixed.insert(Object::Block(0), 9 * MIB);
    image.placement.fixed.insert(Object::Block(1), 8 * MIB);
    let problem = Problem::Overlap { other: Structure::OtherBlock, other_at: FileOffset(8 * MIB) };
    assert_corrupt(&image.build(), Structure::PayloadBlock, 8 * MIB, problem);
    // One MiB further down it does not.
    image.placement.fixed.insert(Object::Block(1), 7 * MIB);
    assert_reads(&image.build(), &image);
    // A block may begin before a region and still reach into it.
    image.placement.fixed.insert(Object::Block(1), 4 * MIB);
    image.placement.fixed.insert(Object::Bat, 5 * MIB);
    let problem = Problem::Overlap { other: Structure::Bat, other_at: FileOffset(5 * MIB) };
    assert_corrupt(&image.build(), Structure::PayloadBlock, 4 * MIB, problem);
}

#[test]
fn a_last_block_cut_short_by_the_disks_end_still_has_its_bytes_to_itself() {
    let mut image = Image::dynamic("x", geometry(MIB + 512));
    image.block_size = mib(1);
    image.blocks.insert(0, Block::full(Vec::new()));
    image.raw_entries.insert(1, (4 * MIB) | 6);
    let problem = Problem::Overlap { other: Structure::OtherBlock, other_at: FileOffset(4 * MIB) };
    assert_corrupt(&image.build(), Structure::PayloadBlock, 4 * MIB, problem);
}

#[test]
fn a_bitmap_shares_its_bytes_with_nothing() {
    let block = child().offset_of(Object::Block(2)).expect("block 2 is there");
    let overlap = |other, at| Problem::Overlap { other, other_at: FileOffset(at) };
    for (at, other) in [(block, Structure::OtherBlock), (LOG, Structure::Log)] {
        let file = with_entry(child(), 2048, at | 6);
        assert_corrupt(&file, Structure::SectorBitmap, at, overlap(other, at));
    }
}

#[test]
fn entries_of_blocks_that_do_not_exist_mean_nothing() {
    // Padding of the last chunk, and what older QEMU leaves behind the table's end.
    for index in [4, 2047, 2049, 131_071] {
        open(&with_entry(child(), index, u64::MAX)).expect("an entry nobody asks for");
    }
    assert_reads(&with_entry(dynamic(), 8, u64::MAX), &dynamic());
}

#[test]
fn a_table_longer_than_its_region_is_corrupt() {
    let mut image = child();
    image.geometry = geometry(256 << 30);
    image.bat_len = Some(1 << 20);
    let found = 64 * 2049 * 8;
    let problem = Problem::TooLarge { field: "length of the table that the disk needs", most: MIB, found };
    assert_corrupt(&image.build(), Structure::Bat, BAT, problem);
}
