//! Region tables that lie: unknown, missing, misplaced and overlapping regions.

use uuid::Uuid;
use vhdx_format::forge::{Image, Object, Region, edit, edit_region_table};
use vhdx_format::{FileOffset, Problem, Structure, Unsupported};

use crate::support::{
    BAT, LOG, METADATA, MIB, TABLES, assert_corrupt, assert_reads, corruption, dynamic, put, shortage,
    unsupported, value,
};

const TABLE: Structure = Structure::RegionTable(1);
const UNKNOWN: Uuid = Uuid::max();

/// Where entry `number` lies in a table: the block table's is 0, the metadata's 1, others follow.
fn entry(number: usize) -> usize {
    16 + 32 * number
}

fn entry_at(number: usize) -> u64 {
    TABLES[0] + entry(number) as u64
}

/// What lies behind the entries says nothing, so it may differ.
#[test]
fn two_valid_tables_that_name_other_regions_are_not_believed() {
    let mut file = dynamic().build();
    edit_region_table(&mut file, 1, |table| table[65_535] = 1);
    assert_reads(&file, &dynamic());
    for at in [entry(0) + 18, entry(1) + 28] {
        let mut file = dynamic().build();
        edit_region_table(&mut file, 1, |table| table[at] ^= 1);
        let second = Structure::RegionTable(2);
        assert_corrupt(&file, second, TABLES[1], Problem::AmbiguousRegionTables);
    }
}

fn with_region(required: u32) -> Image {
    let mut image = dynamic();
    image.extra_regions.push(Region { id: UNKNOWN, required, len: 1 << 20, bytes: vec![1] });
    image
}

#[test]
fn the_second_table_stands_in_for_the_first() {
    let mut file = dynamic().build();
    edit(&mut file, TABLES[0] + 65_535, 1, |byte| byte[0] = 1);
    assert_reads(&file, &dynamic());
    edit(&mut file, TABLES[1], 4, |signature| signature.fill(0));
    let found = corruption(&file);
    assert_eq!((found.structure, found.at), (TABLE, FileOffset(TABLES[0])));
    let Problem::NoValidRegionTable { first, second } = found.problem else { panic!("{}", found.problem) };
    assert!(matches!(*first, Problem::Checksum { .. }), "{first}");
    assert_eq!(*second, Problem::Signature { expected: "regi" });
}

#[test]
fn errors_of_the_second_table_name_the_second_table() {
    let mut file = dynamic().build();
    edit(&mut file, TABLES[0], 1, |byte| byte[0] = 0);
    edit_region_table(&mut file, 1, |table| put(table, entry(1) + 16, 0));
    let problem = value("FileOffset", "whole MiBs, from 1 MiB on", 0);
    assert_corrupt(&file, Structure::RegionTable(2), TABLES[1] + entry(1) as u64, problem);
}

#[test]
fn a_table_of_more_entries_than_fit_is_not_valid() {
    for count in [2048, u32::MAX] {
        let mut file = dynamic().build();
        for which in 0..2 {
            edit_region_table(&mut file, which, |table| table[8..12].copy_from_slice(&count.to_le_bytes()));
        }
        let one = Box::new(Problem::TooLarge { field: "EntryCount", most: 2047, found: count.into() });
        let problem = Problem::NoValidRegionTable { first: one.clone(), second: one };
        assert_corrupt(&file, TABLE, TABLES[0], problem);
    }
}

#[test]
fn unknown_regions_are_ignored_unless_they_are_required() {
    assert_reads(&with_region(0).build(), &dynamic());
    assert_eq!(unsupported(&with_region(1).build()), Unsupported::RequiredRegion(UNKNOWN));
}

#[test]
fn both_known_regions_must_be_there() {
    for (number, what) in [(0, "a BAT region"), (1, "a metadata region")] {
        let mut file = dynamic().build();
        edit_region_table(&mut file, 0, |table| table[entry(number)..entry(number) + 16].fill(9));
        edit_region_table(&mut file, 0, |table| table[entry(number) + 28] = 0);
        assert_corrupt(&file, TABLE, TABLES[0], Problem::Missing { what });
    }
    let mut file = dynamic().build();
    edit_region_table(&mut file, 0, |table| table[8] = 0);
    assert_corrupt(&file, TABLE, TABLES[0], Problem::Missing { what: "a BAT region" });
}

#[test]
fn a_region_is_there_once() {
    let mut image = with_region(0);
    image.extra_regions.push(image.extra_regions[0].clone());
    let problem = Problem::Duplicate { what: "region", id: UNKNOWN };
    assert_corrupt(&image.build(), TABLE, entry_at(3), problem);
}

#[test]
fn a_region_lies_in_whole_mibs_behind_the_header_area() {
    for number in [0, 1] {
        for at in [0, MIB - 4096, BAT + 512, u64::MAX] {
            let mut file = dynamic().build();
            edit_region_table(&mut file, 0, |table| put(table, entry(number) + 16, at));
            let problem = value("FileOffset", "whole MiBs, from 1 MiB on", at);
            assert_corrupt(&file, TABLE, entry_at(number), problem);
        }
        for len in [0, 4096, u32::MAX] {
            let mut file = dynamic().build();
            let at = entry(number) + 24;
            edit_region_table(&mut file, 0, |table| table[at..at + 4].copy_from_slice(&len.to_le_bytes()));
            let problem = value("Length", "whole MiBs, at least one", len.into());
            assert_corrupt(&file, TABLE, entry_at(number), problem);
        }
    }
}

#[test]
fn a_region_past_the_files_end_is_truncated_whatever_the_numbers() {
    let cases = [(0, Structure::Bat), (1, Structure::MetadataTable), (2, Structure::OtherRegion)];
    for (number, structure) in cases {
        for at in [1 << 40, u64::MAX - MIB + 1] {
            let mut file = with_region(0).build();
            edit_region_table(&mut file, 0, |table| put(table, entry(number) + 16, at));
            assert_eq!(shortage(&file), (structure, at.saturating_add(MIB), file.len()));
        }
    }
    let mut file = dynamic().build();
    edit_region_table(&mut file, 0, |table| {
        table[entry(0) + 24..entry(0) + 28].copy_from_slice(&0xFFF0_0000_u32.to_le_bytes());
    });
    assert_eq!(shortage(&file), (Structure::Bat, BAT + 0xFFF0_0000, file.len()));
}

#[test]
fn regions_and_log_do_not_overlap() {
    let overlap = |other, at| Problem::Overlap { other, other_at: FileOffset(at) };
    let cases = [
        (Object::Bat, LOG, Structure::Bat, overlap(Structure::Log, LOG)),
        (Object::Metadata, LOG, Structure::MetadataTable, overlap(Structure::Log, LOG)),
        (Object::Bat, METADATA, Structure::MetadataTable, overlap(Structure::Bat, METADATA)),
        (Object::Region(0), BAT, Structure::OtherRegion, overlap(Structure::Bat, BAT)),
    ];
    for (object, at, structure, problem) in cases {
        let mut image = with_region(0);
        for (object, at) in [(Object::Log, LOG), (Object::Metadata, METADATA), (Object::Bat, BAT)] {
            image.placement.fixed.insert(object, at);
        }
        image.placement.fixed.insert(object, at);
        assert_corrupt(&image.build(), structure, at, problem);
    }
}

#[test]
fn a_region_that_reaches_into_the_next_overlaps_it() {
    let mut file = dynamic().build();
    for which in 0..2 {
        edit_region_table(&mut file, which, |table| table[entry(1) + 26] = 0x20);
    }
    let problem = Problem::Overlap { other: Structure::MetadataTable, other_at: FileOffset(METADATA) };
    assert_corrupt(&file, Structure::Bat, BAT, problem);
}
