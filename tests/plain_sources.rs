//! Raw disks, bare or in frames of zstd, as sources of every command; and what looks like one and is none.

use std::fs::File;
use std::os::unix::fs::FileExt;

use serde_json::Value;
use vhdx_format::forge::disk_of;

use crate::harness::{Bench, Content, Digests, chain, geometry, has_tool, small_base, sparse_chain};

const MIB: u64 = 1 << 20;

/// A bench with a sparse disk as `vm/d.raw` and `vm/d.raw.zst`, and what it holds.
fn bare() -> (Bench, Vec<u8>) {
    let stack = sparse_chain("vm");
    let disk = disk_of(&stack);
    let bench = Bench::with_stack(&stack);
    for name in ["vm/d.raw", "vm/d.raw.zst"] {
        // Written as targets and moved: nothing may be written beside the sources.
        bench
            .run(&["vm/2.vhdx", "--out", "out/made", "--format", &name[5..], "--manifest", "none"])
            .succeeds();
        std::fs::rename(bench.path("out/made"), bench.path(name)).unwrap();
    }
    for number in 0..3 {
        bench.remove(&format!("vm/{number}.vhdx"));
    }
    (bench, disk)
}

#[test]
fn a_disk_goes_through_every_format_and_stays_the_same() {
    let (bench, disk) = bare();
    let digests = Digests::of(&disk);
    let mut source = "vm/d.raw".to_owned();
    for (number, format) in ["vhdx", "raw.zst", "raw", "raw.zst", "vhdx", "raw"].iter().enumerate() {
        let target = format!("out/{number}.{format}");
        bench.run(&[&source, "--out", &target]).succeeds();
        let manifest = bench.json(&format!("{target}.manifest.json"));
        assert_eq!(manifest["content"], digests.document(), "{source} to {target}");
        assert_eq!(bench.run(&["hash", &target]).succeeds().text(), digests.lines());
        bench.run(&["verify", &target]).succeeds();
        source = target;
    }
    let disk = Content::of(&disk);
    for raw in ["out/2.raw", "out/5.raw"] {
        assert_eq!(bench.content(raw), disk);
    }
    // The same disk gives the same bytes, however it came here.
    for (a, b) in [("out/0.vhdx", "out/4.vhdx"), ("out/1.raw.zst", "out/3.raw.zst")] {
        assert_eq!(bench.content(a), bench.content(b), "{a} {b}");
    }
}

#[test]
fn the_same_content_gives_the_same_vhdx_and_other_content_another_identity() {
    let (bench, _) = bare();
    let written = |source: &str, options: &[&str]| {
        bench.run(&[&[source, "--out", "out/m.vhdx", "--force"], options].concat()).succeeds();
        let info = bench.run(&["info", "--json", "out/m.vhdx"]).succeeds().json();
        (bench.content("out/m.vhdx"), info["virtual-disk-id"].clone(), info["data-write-guid"].clone())
    };
    let first = written("vm/d.raw", &[]);
    assert_eq!(first, written("vm/d.raw", &[]));
    assert_eq!(first, written("vm/d.raw.zst", &[]));
    assert_ne!(first.1, written("vm/d.raw", &["--block-size", "4M"]).1);
    File::options().write(true).open(bench.path("vm/d.raw")).unwrap().write_all_at(&[1], 100 * MIB).unwrap();
    let other = written("vm/d.raw", &[]);
    assert_ne!(first.1, other.1);
    assert_ne!(first.2, other.2);
    bench
        .run(&["vm/d.raw", "--out", "out/k.vhdx", "--disk-id", "keep"])
        .fails(2)
        .says(&["--disk-id keep makes no sense for a source that is raw"]);
}

/// Zeros that are stored in a raw file are not stored in the image, whether the file has holes or not.
#[test]
fn stored_zeros_become_blocks_that_are_not_there() {
    let bench = Bench::new();
    let mut disk = vec![0; 40 << 20];
    disk[(9 << 20) + 5] = 1;
    bench.write("vm/full.raw", &disk);
    bench.run(&["vm/full.raw", "--out", "out/m.vhdx"]).succeeds();
    assert!(bench.content("out/m.vhdx").len < 8 * MIB);
    let info = bench.run(&["info", "--json", "out/m.vhdx"]).succeeds().json();
    assert_eq!(info["blocks"]["fully-present"], 1);
    assert_eq!(bench.disk_content("out/m.vhdx"), Content::of(&disk));
    bench.run(&["vm/full.raw", "--out", "out/m.raw.zst"]).succeeds();
    bench.run(&["out/m.raw.zst", "--out", "out/n.vhdx"]).succeeds();
    assert_eq!(bench.content("out/n.vhdx"), bench.content("out/m.vhdx"));
    let fixed = ["vm/full.raw", "--out", "out/f.vhdx", "--fixed"];
    bench.run(&fixed).succeeds();
    assert!(bench.content("out/f.vhdx").len > 40 * MIB);
    assert_eq!(bench.disk_content("out/f.vhdx"), Content::of(&disk));
}

#[test]
fn the_map_of_a_bare_disk_leads_to_its_bytes() {
    let (bench, disk) = bare();
    for (source, is_compressed) in [("vm/d.raw", false), ("vm/d.raw.zst", true)] {
        let map = bench.run(&["map", "--json", source]).succeeds().json();
        let mut at = 0;
        for entry in map.as_array().unwrap() {
            let number = |name: &str| entry[name].as_u64().unwrap() as usize;
            assert_eq!(number("start"), at);
            let part = &disk[at..at + number("length")];
            at += part.len();
            if entry["data"] == true {
                assert_eq!(entry["compressed"], is_compressed);
                assert!(entry["filename"].as_str().unwrap().ends_with(source));
                // In a bare file everything is where it is on the disk; in frames it is nowhere.
                let offset = if is_compressed { Value::Null } else { entry["start"].clone() };
                assert_eq!(entry["offset"], offset);
            } else {
                assert!(part.iter().step_by(61).all(|byte| *byte == 0), "{source}: data in a hole at {at}");
                assert_eq!(entry["zero"], true);
            }
        }
        assert_eq!(at, disk.len());
        let text = bench.run(&["map", source]).succeeds();
        let lines: Vec<_> = text.text().lines().collect();
        assert_eq!(lines.len(), map.as_array().unwrap().len() + 1);
        assert!(lines[0].starts_with("Offset") && lines[1].ends_with(source), "{}", lines[1]);
        assert!(text.text().contains("zeros"), "{source} has no holes");
    }
}

#[test]
fn the_sector_size_of_a_bare_disk_is_what_it_is_said_to_be() {
    let bench = Bench::new();
    bench.write("vm/d.raw", &vec![7; 3 << 20]);
    bench.write("vm/odd.raw", &vec![7; (3 << 20) + 512]);
    for (options, sector) in
        [(&[][..], 512), (&["--sector-size", "512"], 512), (&["--sector-size", "4096"], 4096)]
    {
        let args = ["vm/d.raw", "--out", "out/m.vhdx", "--force"];
        bench.run(&[&args[..], options].concat()).succeeds();
        let info = bench.run(&["info", "--json", "out/m.vhdx"]).succeeds().json();
        assert_eq!(info["logical-sector-size"], sector);
        assert_eq!(bench.json("out/m.vhdx.manifest.json")["disk"]["logical_sector_size"], sector);
        bench.run(&["verify", "out/m.vhdx"]).succeeds();
        bench.run(&["verify", "vm/d.raw", "--manifest", "out/m.vhdx.manifest.json"]).succeeds();
    }
    bench.run(&["vm/d.raw", "--out", "out/x.raw", "--sector-size", "1024"]).fails(2).says(&["512 or 4096"]);
    for command in [&["--out", "out/x.vhdx"][..], &["--out", "out/x.raw"], &["hash"], &["map"]] {
        let args = match command {
            [name] => vec![*name, "vm/odd.raw", "--sector-size", "4096"],
            out => [out, &["vm/odd.raw", "--sector-size", "4096"]].concat(),
        };
        bench.run(&args).fails(6).says(&["`vm/odd.raw` holds no disk", "hint: "]);
    }
}

#[test]
fn a_file_that_is_not_whole_sectors_holds_no_disk() {
    let bench = Bench::new();
    for (number, len) in [1, 511, 513, 1_000_000].into_iter().enumerate() {
        let source = format!("vm/{number}.raw");
        bench.write(&source, &vec![1; len]);
        for args in [&[&source, "--out", "out/m.vhdx"][..], &["hash", &source], &["map", &source]] {
            bench.run(args).fails(6).says(&["holds no disk", "hint: is it the file of a whole disk?"]);
        }
    }
    bench.write("vm/empty.raw", b"");
    bench.run(&["vm/empty.raw", "--out", "out/m.raw"]).fails(6).says(&["`vm/empty.raw` holds no disk"]);
}

#[test]
fn what_must_be_unpacked_first_is_refused_with_the_way_to_do_it() {
    let bench = Bench::with_stack(&chain("vm"));
    for (format, tool) in [("raw.gz", "gzip"), ("raw.xz", "xz")] {
        let image = format!("out/m.{format}");
        bench.run(&["vm/2.vhdx", "--out", &image]).succeeds();
        let hint = format!("`{tool} -dc {image} | vhdx-export verify - --manifest …` verifies it");
        for args in [
            &[&image, "--out", "out/x.raw"][..],
            &[&image, "--out", "out/x.vhdx"],
            &["hash", &image],
            &["map", &image],
            &["verify", &image],
        ] {
            bench.run(args).fails(6).says(&["can only be read from front to back", &hint]);
        }
    }
}

#[test]
fn zstd_without_a_table_is_refused_in_words_of_its_own() {
    if !has_tool("zstd", "zstd") {
        return;
    }
    let bench = Bench::new();
    bench.write("vm/plain.raw", &vec![5; 1 << 20]);
    bench.shell("vm", "zstd -q plain.raw -o plain.raw.zst");
    for args in [&["vm/plain.raw.zst", "--out", "out/m.raw"][..], &["hash", "vm/plain.raw.zst"]] {
        bench.run(args).fails(6).says(&[
            "vm/plain.raw.zst",
            "it does not end with a seek table",
            "hint: ",
            "`zstd -d` may unpack it",
        ]);
    }
}

#[test]
fn a_damaged_frame_is_a_damaged_source() {
    let (bench, _) = bare();
    let image = File::options().write(true).open(bench.path("vm/d.raw.zst")).unwrap();
    image.write_all_at(&[0x55; 8], 5000).unwrap();
    for args in [
        &["vm/d.raw.zst", "--out", "out/m.raw"][..],
        &["vm/d.raw.zst", "--out", "out/m.vhdx"],
        &["hash", "vm/d.raw.zst"],
    ] {
        bench.run(args).fails(6).says(&[
            "cannot read `vm/d.raw.zst`",
            "frame 0 at 0x0",
            "can not be decompressed",
        ]);
    }
}

/// What a guest writes at the beginning of its disk never makes this an image that leads to other files.
#[test]
fn a_raw_disk_stays_raw_whatever_it_begins_with() {
    let stack = chain("vm");
    let bench = Bench::with_stack(&stack);
    let child = bench.bytes("vm/2.vhdx");
    assert!(child.starts_with(b"vhdxfile") && child.len().is_multiple_of(512));
    bench.write("vm/guest.raw", &child);
    bench.write("vm/guest.IMG", &child);
    for source in ["vm/guest.raw", "vm/guest.IMG"] {
        assert_eq!(bench.disk_content(source), Content::of(&child));
        assert_eq!(bench.run(&["hash", source]).succeeds().text(), Digests::of(&child).lines());
        bench.run(&[source, "--out", "out/m.raw.zst", "--force"]).succeeds();
        assert_eq!(bench.disk_content("out/m.raw.zst"), Content::of(&child));
        let chain = &bench.json("out/m.raw.zst.manifest.json")["source"]["chain"];
        assert_eq!(chain.as_array().unwrap().len(), 1);
        assert_eq!(chain[0]["format"], "raw");
    }
    // The other way round, a raw disk is no image for being called one.
    bench.write("vm/raw.vhdx", &vec![3; 1 << 20]);
    bench.run(&["vm/raw.vhdx", "--out", "out/x.raw"]).fails(6).says(&["hint: is it a raw disk?"]);
    bench.run(&["vm/guest.raw", "--checkpoint", "2", "--out", "out/x.raw"]).fails(2).says(&["--checkpoint"]);
}

#[test]
fn a_bare_source_is_never_the_target_nor_what_stands_beside_it() {
    let bench = Bench::new();
    bench.write("vm/d.raw", &vec![3; 1 << 20]);
    bench.write("vm/e.raw.manifest.json.raw", &vec![3; 1 << 20]);
    bench.link("out/link.raw", "../vm/d.raw");
    for args in [
        &["vm/d.raw", "--out", "vm/d.raw"][..],
        &["vm/d.raw", "--out", "out/link.raw"],
        &["vm/d.raw", "--out", "out/m.raw", "--manifest", "vm/d.raw"],
    ] {
        bench.run(&[args, &["--force"]].concat()).fails(7).says(&["is one of the sources"]);
    }
}

/// What a file is called is what it is taken for later, so it is not called otherwise.
#[test]
fn a_name_that_says_something_else_than_the_format_is_refused() {
    let bench = Bench::with_stack(&chain("vm"));
    for (name, format) in [("m.raw", "raw.zst"), ("m.raw.zst", "raw"), ("m.vhdx", "raw"), ("m.img", "vhdx")] {
        let args = ["vm/2.vhdx", "--out", &format!("out/{name}"), "--format", format];
        bench.run(&args).fails(2).says(&["is called otherwise", "hint: "]);
    }
    for name in ["m.vhdx.zst", "m.qcow2.gz"] {
        bench.run(&["vm/2.vhdx", "--out", &format!("out/{name}")]).fails(2).says(&["cannot tell the format"]);
    }
    bench.write("vm/2.vhdx.zst", &bench.bytes("vm/2.vhdx"));
    bench.run(&["hash", "vm/2.vhdx.zst"]).fails(6).says(&["hint: unpack it first"]);
    bench.run(&["vm/2.vhdx", "--out", "out/m.raw", "--manifest", "-"]).fails(2).says(&["hint: name a file"]);
}

/// A raw image does not say that its sectors are large.
#[test]
fn large_sectors_are_mentioned_where_the_format_does_not_keep_them() {
    let bench = Bench::new();
    let mut image = small_base("base");
    image.geometry = geometry(8 << 20, 4096);
    bench.forge("vm/0.vhdx", &image);
    let text = "--sector-size 4096";
    bench.run(&["vm/0.vhdx", "--out", "out/m.raw"]).succeeds().says(&[text]);
    assert!(bench.json("out/m.raw.manifest.json")["warnings"][0].as_str().unwrap().contains(text));
    bench.run(&["vm/0.vhdx", "--out", "out/m.vhdx"]).succeeds().says_nothing_of(text);
}
