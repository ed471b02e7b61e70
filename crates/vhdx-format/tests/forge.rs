//! The forge against bytes that an independent reference script computed, and against a second, naive look at what it
//! made. Readers are tested with the forge, so the forge is tested without them.

use std::io::Write;

use sha2::{Digest, Sha256};
use uuid::{Uuid, uuid};
use vhdx_format::blocks::BlockSet;
use vhdx_format::forge::{
    Block, Change, Image, Item, Kind, Locator, LogEntry, Object, Order, SectorSet, SparseFile, edit_header,
    edit_region_table, item_flag, item_id, torn, with_checksum,
};
use vhdx_format::geometry::{BlockIndex, BlockLayout};
use vhdx_format::writer::{Allocation, Identities, ImageLayout, ImageSpec};
use vhdx_format::{BlockSize, DiskOffset, Geometry, SectorSize};

const MIB: u64 = 1 << 20;
const DATA_WRITE: Uuid = uuid!("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee");
const IDS: Identities = Identities {
    file_write: uuid!("11111111-2222-3333-4444-555555555555"),
    data_write: DATA_WRITE,
    virtual_disk: uuid!("01234567-89ab-cdef-0123-456789abcdef"),
};

fn geometry(size: u64, physical: SectorSize) -> Geometry {
    Geometry::new(size, SectorSize::B512, physical).expect("a possible disk")
}

fn mib(count: u32) -> BlockSize {
    BlockSize::from_bytes(count << 20).expect("a possible block size")
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(|pair| byte(pair).expect("hexadecimal")).collect()
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

fn whole(file: &SparseFile) -> Vec<u8> {
    file.read(0, usize::try_from(file.len()).expect("a small file"))
}

/// A small file worked out by hand: two bytes on a disk of 5 MiB and a sector.
fn golden(kind: &Kind) -> Image {
    let geometry = geometry(5 * MIB + 512, SectorSize::B512);
    let mut image = match kind {
        Kind::Fixed => Image::fixed("golden", geometry),
        _ => Image::dynamic("golden", geometry),
    };
    image.block_size = mib(2);
    "golden 1".clone_into(&mut image.creator);
    image.ids = IDS;
    image.sequence_numbers = [1, 2];
    image.default_state = if *kind == Kind::Fixed { 6 } else { 2 };
    image.blocks.insert(1, Block::full(vec![(5, vec![0xAA])]));
    image.blocks.insert(2, Block::full(vec![(MIB + 511, vec![0x55])]));
    image
}

#[test]
fn the_golden_headers_and_region_tables_come_out() {
    let file = golden(&Kind::Dynamic).build();
    let mut header = hex("686561642996c350010000000000000011111111222233334444555555555555
        aaaaaaaabbbbccccddddeeeeeeeeeeee00000000000000000000000000000000
        00000100000010000000100000000000");
    header.resize(4096, 0);
    assert_eq!(file.read(0x1_0000, 4096), header);
    assert_eq!(file.read(0x2_0004, 4), u32::to_le_bytes(0xD226_4441));
    let mut table = hex("72656769ae8c6bc602000000000000006677c22d23f600429d64115e9bfd4a08
        0000300000000000000010000100000006a27c8b90479a4bb8fe575f050f886e
        00002000000000000000100001000000");
    table.resize(0x1_0000, 0);
    assert_eq!(file.read(0x3_0000, 0x1_0000), table);
    assert_eq!(file.read(0x4_0000, 0x1_0000), table);
}

#[test]
fn the_golden_metadata_comes_out() {
    let mut image = Image::dynamic("golden", geometry(10 * MIB, SectorSize::B4096));
    image.block_size = mib(2);
    image.ids = IDS;
    let file = image.build();
    let table = hex("6d65746164617461000005000000000000000000000000000000000000000000
        3767a1ca36fa434db3b633f0aa44e76b00000100080000000400000000000000
        2442a52f1bcd7648b2115dbed83bf4b808000100080000000600000000000000
        1dbf41816fa90947ba47f233a8faab5f10000100040000000600000000000000
        c748a3cd5d4471449cc9e9885251c55614000100040000000600000000000000
        ab12cabee6b2234593efc309e000c74618000100100000000600000000000000");
    assert_eq!(file.read(2 * MIB, 192), table);
    assert!(file.read(2 * MIB + 192, 0x1_0000 - 192).iter().all(|&byte| byte == 0));
    let items = hex("00002000000000000000a00000000000000200000010000067452301ab89efcd0123456789abcdef");
    assert_eq!(file.read(2 * MIB + 0x1_0000, 40), items);
}

#[test]
fn the_golden_locator_comes_out() {
    let locator = Locator::empty().linkage(DATA_WRITE).relative_path(".\\base.vhdx");
    let golden = hex("b7ef4ab09ed1814ab78925b8e9445913000002002c000000480000001c004c00
        94000000ae0000001a00160070006100720065006e0074005f006c0069006e00
        6b006100670065007b00610061006100610061006100610061002d0062006200
        620062002d0063006300630063002d0064006400640064002d00650065006500
        6500650065006500650065006500650065007d00720065006c00610074006900
        760065005f0070006100740068002e005c0062006100730065002e0076006800
        64007800");
    assert_eq!(locator.to_bytes(), golden);
}

#[test]
fn the_golden_log_entries_come_out() {
    let first = LogEntry {
        log: uuid!("0a0b0c0d-1111-2222-3333-445566778899"),
        sequence_number: 0x1234_5678_9ABC_DEF0,
        tail: 0,
        flushed: 0xB0_0000,
        last: 0xB0_0000,
        changes: Vec::new(),
    };
    let mut golden = hex("6c6f67650fce50750010000000000000f0debc9a785634120000000000000000
        0d0c0b0a1111222233334455667788990000b000000000000000b00000000000");
    golden.resize(4096, 0);
    assert_eq!(first.to_bytes(), golden);

    let entries = [0x40_0006_u64, 2, 0x50_0006, 0x60_0006, 0x70_0006, 0x80_0006, 0x90_0006, 0xA0_0006];
    let bytes = entries.into_iter().flat_map(u64::to_le_bytes).collect();
    let changes = vec![Change::Data { at: 0x30_0000, bytes }];
    let second =
        LogEntry { sequence_number: first.sequence_number + 1, tail: 0x1000, changes, ..first }.to_bytes();
    assert_eq!(second.len(), 8192);
    assert_eq!(second[4..8], u32::to_le_bytes(0x5E4E_A187));
    assert_eq!(second[64..96], hex("646573630000000006004000000000000000300000000000f1debc9a78563412"));
    assert_eq!(second[4096..4112], hex("64617461 78563412 0200000000000000"));
    assert_eq!(second[8188..], hex("f1debc9a"));
}

/// The whole files worked out by hand, by the forge and by the streaming writer with the payload put in by hand.
#[test]
fn the_golden_files_come_out_of_forge_and_writer() {
    let dynamic = "4dacc88dca3ebac9d2f3e1c95a1bb60d07fb4f0513b2623391ea6d3c367c6490";
    let fixed = "9dd6f79f9f15fbb98f6b9614a7f34831c7f765552d53f25302cf43ef31fadc03";
    for (kind, allocation, len, digest) in [
        (Kind::Dynamic, Allocation::Dynamic, 8_388_608, dynamic),
        (Kind::Fixed, Allocation::Fixed, 10_485_760, fixed),
    ] {
        let forged = whole(&golden(&kind).build());
        assert_eq!(forged.len(), len);
        assert_eq!(sha256(&forged), hex(digest), "forge, {allocation:?}");

        let layout = writer_layout(allocation);
        let mut streamed = Vec::new();
        layout.write_prologue(&mut streamed).unwrap();
        streamed.resize(usize::try_from(layout.file_len()).unwrap(), 0);
        for (at, byte) in [(2 * MIB + 5, 0xAA), (5 * MIB + 511, 0x55)] {
            let position = layout.position_of(DiskOffset(at)).unwrap();
            streamed[usize::try_from(position.0).unwrap()] = byte;
        }
        assert_eq!(sha256(&streamed), hex(digest), "writer, {allocation:?}");
    }
}

fn writer_layout(allocation: Allocation) -> ImageLayout {
    let spec = ImageSpec {
        geometry: geometry(5 * MIB + 512, SectorSize::B512),
        block_size: mib(2),
        allocation,
        identities: IDS,
        creator: "golden 1".to_owned(),
    };
    let blocks = BlockLayout::new(spec.geometry, spec.block_size, false);
    ImageLayout::new(spec, BlockSet::collect(&blocks, [(BlockIndex(1), BlockIndex(3))]))
}

/// An example of MS-VHDX 2.5: Windows' order is bitmap, then the blocks of its chunk, and bits count from the least
/// significant one.
#[test]
fn a_childs_bitmap_lies_before_its_blocks() {
    let base = Image::dynamic("base", geometry(4 * MIB, SectorSize::B4096));
    let mut child = Image::child("child", &base, "base.vhdx");
    let data = vec![(512, vec![7; 512])];
    child.blocks.insert(1, Block::partial(SectorSet::from_iter([1, 9, 4095]), data));
    let file = child.build();
    let entry = |index: u64| u64::from_le_bytes(file.read(3 * MIB + index * 8, 8).try_into().unwrap());
    assert_eq!([entry(0), entry(1), entry(2048)], [0, 0x50_0007, 0x40_0006]);
    let mut bits = vec![0_u8; 512];
    (bits[0], bits[1], bits[511]) = (0b10, 0b10, 0x80);
    assert_eq!(file.read(4 * MIB, 512), [0; 512]);
    assert_eq!(file.read(4 * MIB + 512, 512), bits);
    assert_eq!(file.read(5 * MIB + 512, 512), [7; 512]);
    assert_eq!(file.len(), 7 * MIB);
}

#[test]
fn a_windows_locator_has_five_pairs_at_the_known_places() {
    let bytes = Locator::windows(DATA_WRITE, "base.vhdx").to_bytes();
    assert_eq!(bytes[18..20], [5, 0]);
    assert_eq!(bytes[20..32], hex("50000000 6c000000 1c00 4c00"));
}

#[test]
fn nothing_overlaps_unless_asked_to() {
    for seed in 0..200 {
        let mut image =
            Image::child("x", &Image::dynamic("y", geometry(64 * MIB, SectorSize::B512)), "y.vhdx");
        image.placement.order = Order::Shuffled(seed);
        image.placement.fixed.insert(Object::Log, 9 * MIB);
        image.placement.fixed.insert(Object::Block(3), 20 * MIB);
        for number in 0..8 {
            image.blocks.insert(number, Block::full(Vec::new()));
        }
        image.bitmaps.insert(0, true);
        let mut ranges: Vec<_> = image.places().into_values().collect();
        ranges.sort_by_key(|range| range.start);
        assert_eq!(ranges.len(), 3 + 8 + 1);
        assert!(ranges[0].start >= MIB);
        assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start), "seed {seed}: {ranges:?}");
        assert!(ranges.iter().all(|range| range.start % MIB == 0));
        assert_eq!(image.offset_of(Object::Log), Some(9 * MIB));
        assert_eq!(image.offset_of(Object::Block(3)), Some(20 * MIB));
        assert_eq!(image.build().len(), ranges[ranges.len() - 1].end);
    }
}

#[test]
fn whatever_is_asked_for_comes_out() {
    let mut image = Image::dynamic("odd", geometry(64 * MIB, SectorSize::B512));
    image.items_mut().insert(0, Item::new(item_id::INCOMPLETE_FILE, item_flag::REQUIRED, &[]));
    image.items_mut()[2].at = Some(0x2_0000);
    image.blocks.insert(0, Block { entry_offset: Some(77 * MIB), ..Block::absent(3) });
    image.blocks.insert(1, Block::anchored(5, vec![(0, b"here".to_vec())]));
    image.raw_entries.insert(40_000, 0xDEAD);
    let file = image.build();
    assert_eq!(
        file.read(2 * MIB + 32, 32),
        hex("f085cc71691b284e9558c3bf83ae75d3 0000000000000000 04000000 00000000")
    );
    assert_eq!(file.read(2 * MIB + 32 + 64 + 16, 8), hex("00000200 08000000"));
    assert_eq!(file.read(2 * MIB + 0x2_0000, 8), u64::to_le_bytes(64 * MIB));
    assert_eq!(
        file.read(3 * MIB, 16),
        [u64::to_le_bytes((77 * MIB) | 3), u64::to_le_bytes((4 * MIB) | 5)].concat()
    );
    assert_eq!(file.read(4 * MIB, 4), b"here");
    assert_eq!(file.read(3 * MIB + 320_000, 8), u64::to_le_bytes(0xDEAD));
}

#[test]
fn edits_renew_the_checksum_and_tearing_breaks_it() {
    let clean = golden(&Kind::Dynamic).build();
    let mut file = clean.clone();
    edit_header(&mut file, 1, |header| header[8] = 1);
    assert_eq!(file.read(0x2_0000, 4096), file.read(0x1_0000, 4096));
    edit_region_table(&mut file, 0, |table| table[16] = 0);
    assert_ne!(file.read(0x3_0004, 4), clean.read(0x3_0004, 4));
    edit_region_table(&mut file, 0, |table| table[16] = 0x66);
    assert_eq!(file.read(0x3_0000, 0x1_0000), clean.read(0x3_0000, 0x1_0000));
    let header = clean.read(0x1_0000, 4096);
    assert_eq!(with_checksum(header.clone()), header);
    let torn = torn(header.clone());
    assert_ne!(with_checksum(torn.clone()), torn);
}

#[test]
fn a_saved_file_holds_the_same_bytes() {
    let file = golden(&Kind::Dynamic).build();
    let mut saved = tempfile::tempfile().unwrap();
    saved.write_all(b"something longer lived").unwrap();
    file.save(&saved).unwrap();
    let mut bytes = Vec::new();
    std::io::Seek::rewind(&mut saved).unwrap();
    std::io::Read::read_to_end(&mut saved, &mut bytes).unwrap();
    assert_eq!(sha256(&bytes), sha256(&whole(&file)));
}
