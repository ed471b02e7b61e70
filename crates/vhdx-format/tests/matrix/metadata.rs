//! Metadata that lies: unknown, missing, misplaced and impossible items.

use uuid::Uuid;
use vhdx_format::forge::{Image, Item, Kind, Locator, SparseFile, edit, item_flag, item_id};
use vhdx_format::{Problem, Structure, Unsupported};

use crate::support::{
    METADATA, MIB, assert_corrupt, assert_reads, child, dynamic, item, open, shortage, unsupported, value,
};

const TABLE: Structure = Structure::MetadataTable;

/// The known items in Windows' order: structure, how a missing one is called, offset in the region, length.
const ITEMS: [(Structure, &str, u64, usize); 5] = [
    (Structure::FileParameters, "the file parameters", 0x1_0000, 8),
    (Structure::VirtualDiskSize, "the virtual disk size", 0x1_0008, 8),
    (Structure::LogicalSectorSize, "the logical sector size", 0x1_0010, 4),
    (Structure::PhysicalSectorSize, "the physical sector size", 0x1_0014, 4),
    (Structure::VirtualDiskId, "the virtual disk ID", 0x1_0018, 16),
];

fn entry_at(number: u64) -> u64 {
    METADATA + 32 + 32 * number
}

fn with_entry(number: u64, field: u64, found: u32) -> SparseFile {
    let mut file = dynamic().build();
    file.write(entry_at(number) + field, &found.to_le_bytes());
    file
}

#[test]
fn a_region_without_a_table_is_corrupt() {
    let mut file = dynamic().build();
    file.write(METADATA, b"metadat!");
    assert_corrupt(&file, TABLE, METADATA, Problem::Signature { expected: "metadata" });
}

#[test]
fn a_table_of_more_entries_than_fit_is_corrupt() {
    for count in [2048, u16::MAX] {
        let mut file = dynamic().build();
        file.write(METADATA + 10, &count.to_le_bytes());
        let problem = Problem::TooLarge { field: "EntryCount", most: 2047, found: count.into() };
        assert_corrupt(&file, TABLE, METADATA, problem);
    }
}

#[test]
fn every_mandatory_item_must_be_there() {
    for (number, (_, what, ..)) in ITEMS.into_iter().enumerate() {
        let mut image = dynamic();
        image.items_mut().remove(number);
        assert_corrupt(&image.build(), TABLE, METADATA, Problem::Missing { what });
        // A user's item of the same name is another item.
        let mut image = dynamic();
        item(&mut image, number).flags = item_flag::USER;
        assert_corrupt(&image.build(), TABLE, METADATA, Problem::Missing { what });
    }
}

#[test]
fn every_mandatory_item_has_its_own_length() {
    for (number, (structure, _, at, len)) in ITEMS.into_iter().enumerate() {
        for wrong in [len - 1, len + 1, 60_000] {
            let mut image = dynamic();
            item(&mut image, number).bytes.resize(wrong, 0);
            let problem = Problem::Length { expected: len as u64, found: wrong as u64 };
            assert_corrupt(&image.build(), structure, METADATA + at, problem);
        }
        let mut image = dynamic();
        item(&mut image, number).bytes.clear();
        let problem = Problem::Length { expected: len as u64, found: 0 };
        assert_corrupt(&image.build(), structure, METADATA, problem);
    }
}

#[test]
fn unknown_items_are_ignored_unless_they_are_required() {
    let with = |flags| {
        let mut image = dynamic();
        image.items_mut().insert(2, Item::new(Uuid::max(), flags, b"unknown"));
        image.build()
    };
    for flags in [0, item_flag::USER, item_flag::VIRTUAL_DISK, !7] {
        assert_reads(&with(flags), &dynamic());
    }
    for flags in [item_flag::REQUIRED, item_flag::REQUIRED | item_flag::USER] {
        assert_eq!(unsupported(&with(flags)), Unsupported::RequiredMetadata(Uuid::max()));
    }
}

#[test]
fn a_user_may_name_an_item_like_the_systems_but_neither_is_there_twice() {
    let second = |flags| {
        let mut image = dynamic();
        image.items_mut().push(Item::new(item_id::VIRTUAL_DISK_SIZE, flags, &[1]));
        image.build()
    };
    assert_reads(&second(item_flag::USER), &dynamic());
    let problem = Problem::Duplicate { what: "metadata item", id: item_id::VIRTUAL_DISK_SIZE };
    assert_corrupt(&second(item_flag::REQUIRED), TABLE, entry_at(5), problem);
}

#[test]
fn items_lie_behind_the_table_and_inside_the_region() {
    let before = |found| value("Offset", "at least 64 KiB", found);
    let behind = |found| value("Offset", "an item that ends inside the region", found);
    let cases = [
        (0, before(0)),
        (0xFFFF, before(0xFFFF)),
        (0xF_FFF9, behind(0xF_FFF9)),
        (u32::MAX, behind(u32::MAX.into())),
    ];
    for (offset, problem) in cases {
        assert_corrupt(&with_entry(1, 16, offset), TABLE, entry_at(1), problem);
    }
    // Without alignment, up to the region's last byte.
    let mut image = dynamic();
    item(&mut image, 1).at = Some(0xF_FFF8);
    assert_reads(&image.build(), &dynamic());
}

#[test]
fn an_item_is_no_longer_than_1_mib_and_an_empty_one_lies_nowhere() {
    for len in [MIB as u32 + 1, u32::MAX] {
        assert_eq!(shortage(&with_entry(1, 20, len)), (TABLE, MIB, len.into()));
    }
    let problem = value("Offset", "0 for an empty item", 0x1_0008);
    assert_corrupt(&with_entry(1, 20, 0), TABLE, entry_at(1), problem);
}

#[test]
fn items_do_not_overlap() {
    // The size begins inside the file parameters.
    let problem = Problem::Overlap { other: TABLE, other_at: vhdx_format::FileOffset(entry_at(0)) };
    assert_corrupt(&with_entry(1, 16, 0x1_0007), TABLE, entry_at(1), problem);
}

#[test]
fn impossible_numbers_are_refused_where_they_stand() {
    let block = "a power of two from 1 MiB to 256 MiB";
    let mut cases: Vec<(usize, Vec<u8>, Problem)> = Vec::new();
    for bytes in [0, 1, 512, 3 << 20, 512 << 20, u32::MAX] {
        let item = [bytes, 0].map(u32::to_le_bytes).concat();
        cases.push((0, item, value("BlockSize", block, bytes.into())));
    }
    let sizes = [
        (0, "at least one sector"),
        ((64 << 40) + 512, "at most 64 TiB"),
        (u64::MAX, "at most 64 TiB"),
        (8 * MIB + 1, "a multiple of the logical sector size"),
    ];
    for (size, expected) in sizes {
        cases.push((1, size.to_le_bytes().to_vec(), value("VirtualDiskSize", expected, size)));
    }
    for number in [2, 3] {
        for bytes in [0_u32, 513, 1024, 8192, u32::MAX] {
            let problem = value("SectorSize", "512 or 4096", bytes.into());
            cases.push((number, bytes.to_le_bytes().to_vec(), problem));
        }
    }
    for (number, bytes, problem) in cases {
        let mut image = dynamic();
        item(&mut image, number).bytes = bytes;
        let (structure, _, at, _) = ITEMS[number];
        assert_corrupt(&image.build(), structure, METADATA + at, problem);
    }
}

#[test]
fn a_disk_of_64_tib_needs_more_table_than_there_is() {
    let mut image = dynamic();
    item(&mut image, 1).bytes = u64::to_le_bytes(64 << 40).to_vec();
    let problem = Problem::TooLarge {
        field: "length of the table that the disk needs",
        most: MIB,
        found: 67_125_247 * 8,
    };
    assert_corrupt(&image.build(), Structure::Bat, 3 * MIB, problem);
}

#[test]
fn flags_that_are_not_known_are_refused() {
    for flags in [4, 0x8000_0000, u32::MAX] {
        let mut image = dynamic();
        item(&mut image, 0).bytes = [1 << 20, flags].map(u32::to_le_bytes).concat();
        assert_eq!(unsupported(&image.build()), Unsupported::FileParametersFlags(flags));
    }
}

#[test]
fn has_parent_and_a_locator_come_together() {
    let parameters_at = METADATA + 0x1_0000;
    let mut image = child();
    image.items_mut().pop();
    let problem = Problem::Missing { what: "a parent locator, because HasParent is set" };
    assert_corrupt(&image.build(), Structure::FileParameters, parameters_at, problem);

    let mut image = dynamic();
    let locator = Locator::windows(Uuid::max(), "base.vhdx").to_bytes();
    image.items_mut().push(Item::new(item_id::PARENT_LOCATOR, item_flag::REQUIRED, &locator));
    let problem = Problem::Unexpected { what: "parent locator, because HasParent is not set" };
    assert_corrupt(&image.build(), Structure::FileParameters, parameters_at, problem);
}

/// Leaving blocks allocated means nothing where there is a parent.
#[test]
fn has_parent_outranks_the_fixed_flag() {
    let mut image = child();
    item(&mut image, 0).bytes = [2 << 20, 3].map(u32::to_le_bytes).concat();
    let layer = open(&image.build()).expect("a child");
    assert_eq!(layer.outline().kind(), vhdx_format::ImageKind::Differencing);
    assert!(layer.outline().parent().is_some() && matches!(image.kind, Kind::Differencing(_)));
}

#[test]
fn an_unfinished_file_is_refused_however_its_item_is_marked() {
    let mut image: Image = dynamic();
    image.items_mut().insert(0, Item::new(item_id::INCOMPLETE_FILE, 0, &[]));
    assert_eq!(unsupported(&image.build()), Unsupported::IncompleteFile);
}

/// What is not under a checksum may be damaged anywhere; here the reserved fields are, which mean nothing.
#[test]
fn reserved_bytes_mean_nothing() {
    let mut file = dynamic().build();
    edit(&mut file, METADATA + 12, 20, |bytes| bytes.fill(0xFF));
    edit(&mut file, entry_at(0) + 28, 4, |bytes| bytes.fill(0xFF));
    assert_reads(&file, &dynamic());
}
