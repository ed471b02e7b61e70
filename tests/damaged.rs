//! Damaged and unsupported images: exit code 6, the place and what was expected there, and nothing left behind.
//!
//! Each starts as a whole image with one defect. All are tried alone and as the parent of a good child, for every
//! format and for each command that reads them.

use uuid::Uuid;
use vhdx_format::forge::{Block, Image, Item, Object, Region, SparseFile, edit_header, item_flag};

use crate::harness::{Bench, guid, small_base};

const MIB: u64 = 1 << 20;

/// The defect must be refused, whoever meets it, with all of these texts.
#[track_caller]
fn is_refused(file: &SparseFile, texts: &[&str]) {
    let bench = Bench::new();
    bench.save("vm/base.vhdx", file);
    let tool_says = |args: &[&str]| bench.run(args).fails(6).says(texts).says(&["base.vhdx"]);
    tool_says(&["vm/base.vhdx", "--out", "out/merged.raw"]);
    tool_says(&["vm/base.vhdx", "--out", "out/merged.vhdx"]);
    tool_says(&["vm/base.vhdx", "--out", "-", "--format", "raw"]);
    tool_says(&["vm/base.vhdx", "--out", "-", "--format", "vhdx"]);
    tool_says(&["info", "vm/base.vhdx"]);
    tool_says(&["map", "--json", "vm/base.vhdx"]);
    tool_says(&["vm", "--out", "out/merged.raw"]);
}

/// A child of the damaged image finds no parent that it can trust, whether the base's identity can be read or not.
#[track_caller]
fn is_no_parent(image: &Image, file: &SparseFile, code: i32, texts: &[&str]) {
    let bench = Bench::new();
    bench.save("vm/base.vhdx", file);
    bench.forge("vm/child.avhdx", &Image::child("child", image, "base.vhdx"));
    bench.run(&["vm/child.avhdx", "--out", "out/merged.raw"]).fails(code).says(texts).says(&["base.vhdx"]);
}

fn base() -> Image {
    small_base("base")
}

#[test]
fn what_is_no_vhdx_is_not_read() {
    let bench = Bench::new();
    bench.write("vm/letter.vhdx", b"Dear reader, this is no image.");
    bench.write("vm/empty.vhdx", b"");
    bench.write("vm/old.vhd", &[b"conectix".as_slice(), &[0; 504]].concat());
    for name in ["vm/letter.vhdx", "vm/empty.vhdx", "vm/old.vhd"] {
        for args in [&[name, "--out", "out/merged.raw"][..], &["info", name], &["map", name]] {
            bench.run(args).fails(6).says(&[name, "not a VHDX image", "begin with `vhdxfile`"]);
        }
    }
}

#[test]
fn without_a_valid_header_nothing_is_known() {
    let (image, mut file) = (base(), base().build());
    file.write(64 << 10, b"torn");
    let one_is_enough = Bench::new();
    one_is_enough.save("vm/base.vhdx", &file);
    one_is_enough.run(&["vm/base.vhdx", "--out", "out/merged.raw"]).succeeds();

    file.write(128 << 10, &[0xEE; 4096]);
    let texts = ["header 1: expected the signature `head`", "header 2: expected the signature `head`"];
    is_refused(&file, &texts);
    is_no_parent(&image, &file, 5, &texts);
}

#[test]
fn a_header_with_a_wrong_checksum_is_said_with_both_sums() {
    let mut file = base().build();
    for header in [64_u64 << 10, 128 << 10] {
        file.write(header + 8, &[0x55]);
    }
    is_refused(&file, &["checksum expected 0x", ", found 0x"]);
}

#[test]
fn a_log_that_can_not_be_replayed_is_not_ignored() {
    let image = Image { log_guid: guid(0xA), ..base() };
    let texts = ["log at 0x100000", "expected an active sequence", "00000000000a}", "found none"];
    is_refused(&image.build(), &texts);
    is_no_parent(&image, &image.build(), 6, &texts);
}

#[test]
fn a_file_cut_in_its_tables_is_truncated() {
    let mut file = base().build();
    let end_of_metadata = 3 * MIB;
    file.set_len(end_of_metadata);
    is_refused(&file, &["truncated", "block allocation table needs 4194304 bytes", "has 3145728"]);
}

#[test]
fn a_file_cut_in_its_payload_is_refused_before_anything_is_written() {
    let image = base();
    let mut file = image.build();
    let block = image.offset_of(Object::Block(2)).unwrap();
    file.set_len(block + MIB / 2);
    is_refused(&file, &["block allocation table at 0x", "entry 2", "expected an offset", "found 0x"]);
}

#[test]
fn a_required_region_that_is_not_known_is_refused_and_an_optional_one_is_not() {
    let region = |required| Region { id: guid(0xBEEF), required, len: 1 << 20, bytes: vec![1; 100] };
    let with = |required| Image { extra_regions: vec![region(required)], ..base() };
    is_refused(&with(1).build(), &["requires a region", &guid(0xBEEF).to_string()]);
    let bench = Bench::with_stack(&[with(0)]);
    bench.run(&["vm/0.vhdx", "--out", "out/merged.raw"]).succeeds();
}

#[test]
fn a_required_metadata_item_that_is_not_known_is_refused_and_an_optional_one_is_not() {
    let with = |flags| {
        let mut image = base();
        image.items_mut().push(Item::new(guid(0xF00D), flags, b"something"));
        image
    };
    is_refused(&with(item_flag::REQUIRED).build(), &["requires a metadata item", &guid(0xF00D).to_string()]);
    let bench = Bench::with_stack(&[with(0)]);
    bench.run(&["vm/0.vhdx", "--out", "out/merged.raw"]).succeeds();
}

#[test]
fn a_block_behind_the_end_of_the_file_is_refused() {
    let mut image = base();
    image.blocks.insert(1, Block { entry_offset: Some(900 * MIB), ..Block::full(Vec::new()) });
    is_refused(
        &image.build(),
        &[
            "block allocation table at 0x300008",
            "entry 1",
            "expected an offset from 0x100000 to 0x",
            "found 0x38400000",
        ],
    );
}

#[test]
fn a_block_over_the_tables_is_refused() {
    let mut image = base();
    image.blocks.insert(1, Block { entry_offset: Some(2 * MIB), ..Block::full(Vec::new()) });
    is_refused(&image.build(), &["payload block at 0x200000", "overlaps the metadata table at 0x200000"]);
}

#[test]
fn two_blocks_in_one_place_are_refused() {
    let mut image = base();
    let first = image.offset_of(Object::Block(0)).unwrap();
    image.blocks.insert(1, Block { entry_offset: Some(first), ..Block::full(Vec::new()) });
    is_refused(&image.build(), &["payload block at 0x400000", "overlaps the block of another entry"]);
}

#[test]
fn a_later_version_is_not_guessed_at() {
    is_refused(&Image { version: 2, ..base() }.build(), &["version 2 is not supported"]);
}

#[test]
fn two_headers_that_contradict_each_other_are_refused() {
    let mut file = Image { sequence_numbers: [9, 9], ..base() }.build();
    edit_header(&mut file, 1, |header| header[16..32].copy_from_slice(&Uuid::max().to_bytes_le()));
    is_refused(&file, &["both headers have sequence number 0x9 but differ"]);
}

#[test]
fn random_bytes_behind_the_signature_are_refused_in_words() {
    let mut random = vhdx_format::forge::random::Random::new(2);
    for _ in 0..20 {
        let mut bytes = b"vhdxfile".to_vec();
        let len = random.below(2 << 20) as usize;
        bytes.extend(random.bytes(len));
        let bench = Bench::new();
        bench.write("vm/noise.vhdx", &bytes);
        bench.run(&["vm/noise.vhdx", "--out", "out/merged.raw"]).fails(6);
        bench.run(&["vm", "--out", "out/merged.vhdx"]).fails(6);
    }
}
