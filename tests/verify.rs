//! `verify`: a right copy is right whatever holds it, a wrong one is never, and where it is wrong is said.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Stdio;

use serde_json::{Value, json};
use vhdx_format::forge::disk_of;
use vhdx_format::forge::random::Random;

use crate::harness::{Bench, MARK, RANGE, chain, sparse_chain};

const MIB: u64 = 1 << 20;

/// A bench with a disk of three ranges exported in every format that is read here, as `out/m.FORMAT`.
fn exported(formats: &[&str]) -> (Bench, Vec<u8>) {
    let stack = sparse_chain("vm");
    let bench = Bench::with_stack(&stack);
    for format in formats {
        bench.run(&["vm/2.vhdx", "--out", &format!("out/m.{format}")]).succeeds();
    }
    (bench, disk_of(&stack))
}

/// Changes the byte at a place; twice is as before.
fn flip(bench: &Bench, name: &str, at: u64, mask: u8) {
    let file = File::options().read(true).write(true).open(bench.path(name)).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ mask], at).unwrap();
}

fn len_of(bench: &Bench, name: &str) -> u64 {
    std::fs::metadata(bench.path(name)).unwrap().len()
}

fn cut_to(bench: &Bench, name: &str, len: u64) {
    File::options().write(true).open(bench.path(name)).unwrap().set_len(len).unwrap();
}

/// Verifies a copy that is not right: exit code 3, a message, nothing on standard output. Gives what `--json` prints.
#[track_caller]
fn differs(bench: &Bench, args: &[&str]) -> Value {
    bench.run(&[&["verify"], args].concat()).fails(3);
    bench.run(&[&["verify", "--json"], args].concat()).ends_with(3).leaves_nothing().json()
}

#[test]
fn every_right_copy_is_right() {
    let (bench, disk) = exported(&["raw", "raw.zst", "raw.gz", "raw.xz", "vhdx"]);
    let formats = ["raw", "raw.zst", "vhdx"];
    // Any of them against the manifest of any other.
    for format in formats {
        let image = format!("out/m.{format}");
        for of in ["raw", "raw.gz", "vhdx"] {
            let manifest = format!("out/m.{of}.manifest.json");
            let verified = bench.run(&["verify", &image, "--manifest", &manifest]).succeeds();
            let first = format!("verified  {image} holds the disk of {manifest}");
            assert!(verified.text().contains(&first), "{}", verified.text());
            assert!(verified.text().contains("compared  blksum of the whole disk and of 3 ranges"));
        }
        bench.run(&["verify", &image]).succeeds();
        let quiet = bench.run(&["verify", &image, "--quiet"]).succeeds();
        assert_eq!((quiet.text(), quiet.stderr.as_str()), ("", ""));
    }
    // So is the chain itself, and the bare bytes of whatever writes them.
    bench.run(&["verify", "vm/2.vhdx", "--manifest", "out/m.raw.manifest.json"]).succeeds();
    let stream = ["verify", "-", "--manifest", "out/m.raw.gz.manifest.json"];
    bench.call(&stream).stdin(File::open(bench.path("out/m.raw")).unwrap()).run().succeeds();
    for packed in ["gzip -dc m.raw.gz", "xz -dc m.raw.xz", "zstd -dc m.raw.zst"] {
        let mut words = packed.split(' ');
        let Ok(mut unpacking) = std::process::Command::new(words.next().unwrap())
            .args(words)
            .current_dir(bench.path("out"))
            .stdout(Stdio::piped())
            .spawn()
        else {
            continue;
        };
        bench.call(&stream).stdin(unpacking.stdout.take().unwrap()).run().succeeds();
        assert!(unpacking.wait().unwrap().success());
    }
    // A device is mostly longer than the disk.
    bench.shell("out", "cp --sparse=always m.raw long.raw");
    cut_to(&bench, "out/long.raw", disk.len() as u64 + MIB + 17);
    flip(&bench, "out/long.raw", disk.len() as u64 + 3, 0xff);
    let verified = bench.run(&["verify", "out/long.raw", "--manifest", "out/m.raw.manifest.json"]).succeeds();
    assert!(
        verified.text().contains("note      1 MiB behind the disk were not looked at"),
        "{}",
        verified.text()
    );
    let report = bench
        .run(&["verify", "out/long.raw", "--manifest", "out/m.raw.manifest.json", "--json"])
        .succeeds()
        .json();
    assert_eq!(report["bytes_behind"], MIB + 17);
}

#[test]
fn the_json_document_says_what_the_text_says() {
    let (bench, disk) = exported(&["raw"]);
    let manifest = bench.json("out/m.raw.manifest.json");
    let report = bench.run(&["verify", "--json", "out/m.raw"]).succeeds().json();
    assert_eq!(
        report,
        json!({
            "image": "out/m.raw",
            "manifest": "out/m.raw.manifest.json",
            "result": "equal",
            "virtual_size": disk.len(),
            "compared": {"by": "blksum", "ranges": 3, "of_ranges": 3},
            "differences": [],
            "bytes_behind": 0,
            "check": {
                "command": format!("head -c {} out/m.raw | sha256sum", disk.len()),
                "sha256": manifest["content"]["sha256"],
            },
        })
    );
    flip(&bench, "out/m.raw", 130 * MIB + 4096, 0x80);
    let report = differs(&bench, &["out/m.raw"]);
    assert_eq!(report["result"], "different");
    let last = disk.len() - 2 * RANGE;
    assert_eq!(
        report["differences"],
        json!([{"offset": 2 * RANGE, "length": last, "first_block": 130 * MIB, "block_length": MIB}])
    );
    bench.run(&["verify", "out/m.raw"]).fails(3).says(&[
        "error: `out/m.raw` differs from the disk of `out/m.raw.manifest.json` in 1 of 3 ranges",
        "at 0x8000000, 22 MiB, first in the 1 MiB at 0x8200000",
        // And how anybody can see it.
        &format!("to see for yourself: head -c {} out/m.raw | sha256sum", disk.len()),
    ]);
}

/// The places to damage in a file: its ends, the borders of ranges and marks, and any.
fn places(len: u64, number: usize) -> Vec<u64> {
    let mut random = Random::new(len);
    let borders = [0, 1, MARK as u64 - 1, MARK as u64, RANGE as u64 - 1, RANGE as u64, 2 * RANGE as u64];
    let mut places: Vec<u64> = borders.into_iter().chain([len - 1, len - 512, len - 513]).collect();
    places.retain(|at| *at < len);
    places.extend((0..number).map(|_| random.below(len)));
    places
}

#[test]
fn a_flipped_bit_anywhere_in_a_raw_copy_is_found_where_it_is() {
    let (bench, disk) = exported(&["raw"]);
    let size = disk.len() as u64;
    let (range, mark) = (RANGE as u64, MARK as u64);
    for at in places(size, 24) {
        flip(&bench, "out/m.raw", at, 1 << (at % 8));
        let report = bench.run(&["verify", "--json", "out/m.raw"]).ends_with(3).json();
        let offset = at / range * range;
        let expected = json!([{
            "offset": offset,
            "length": range.min(size - offset),
            "first_block": at / mark * mark,
            "block_length": mark.min(size - at / mark * mark),
        }]);
        assert_eq!(report["differences"], expected, "at {at}");
        assert_eq!(report["result"], "different");
        flip(&bench, "out/m.raw", at, 1 << (at % 8));
    }
    bench.run(&["verify", "out/m.raw"]).succeeds();
    // The first of two blocks is named, and each range.
    for at in [7 * MIB, 9 * MIB, 100 * MIB] {
        flip(&bench, "out/m.raw", at, 1);
    }
    let report = differs(&bench, &["out/m.raw"]);
    let ranges = report["differences"].as_array().unwrap();
    let blocks: Vec<_> = ranges.iter().map(|range| range["first_block"].clone()).collect();
    assert_eq!(blocks, [7 * MIB, 100 * MIB]);
}

/// In frames, in the table behind them, in what no reader looks at: the file is not what was written.
#[test]
fn a_flipped_bit_anywhere_in_a_compressed_copy_is_found() {
    let (bench, disk) = exported(&["raw.zst"]);
    let len = len_of(&bench, "out/m.raw.zst");
    let table = 17 + 8 * (disk.len() as u64).div_ceil(4 * MIB);
    let in_table = (len - table..len).step_by(19);
    for at in places(len, 24).into_iter().chain(in_table) {
        let mask = 1 << (at % 8);
        flip(&bench, "out/m.raw.zst", at, mask);
        let report = bench.run(&["verify", "--json", "out/m.raw.zst"]).ends_with(3).json();
        assert_ne!(report["result"], "equal", "at {at}");
        if report["result"] == "different" {
            assert_eq!(report["differences"].as_array().unwrap().len(), 1, "at {at}: {report:#}");
        }
        flip(&bench, "out/m.raw.zst", at, mask);
    }
    bench.run(&["verify", "out/m.raw.zst"]).succeeds();
}

/// In both headers, the tables, the metadata, the blocks and between them.
#[test]
fn a_flipped_bit_anywhere_in_a_vhdx_is_found() {
    let (bench, _) = exported(&["vhdx"]);
    let image = bench.bytes("out/m.vhdx");
    let structures = image[..4 << 20].iter().enumerate().filter(|(_, byte)| **byte != 0);
    let structures: Vec<u64> = structures.map(|(at, _)| at as u64).step_by(17).collect();
    for at in places(image.len() as u64, 12).into_iter().chain(structures) {
        let mask = 1 << (at % 8);
        flip(&bench, "out/m.vhdx", at, mask);
        let report = bench.run(&["verify", "--json", "out/m.vhdx"]).ends_with(3).json();
        assert_ne!(report["result"], "equal", "at {at}");
        flip(&bench, "out/m.vhdx", at, mask);
    }
    bench.run(&["verify", "out/m.vhdx"]).succeeds();
}

#[test]
fn a_copy_that_was_cut_short_is_said_to_be() {
    let (bench, disk) = exported(&["raw", "raw.zst", "vhdx"]);
    for format in ["raw", "raw.zst", "vhdx"] {
        let image = format!("out/m.{format}");
        let whole = len_of(&bench, &image);
        // What the last block of an image holds behind its data are zeros, in the file or behind its end.
        let least = if format == "vhdx" { 2 * MIB } else { 1 };
        for len in [whole - least, whole * 3 / 4, whole / 2, whole / 4, 1, 0] {
            cut_to(&bench, &image, len);
            let report = differs(&bench, &[&image]);
            assert_ne!(report["result"], "equal", "{image} of {len} bytes");
            if format != "vhdx" {
                assert_eq!(report["result"], "truncated", "{image} of {len} bytes: {report:#}");
            }
        }
    }
    // A stream that ends early.
    let (size, manifest) = (disk.len(), "out/m.raw.manifest.json");
    for len in [0, 1, RANGE, size - 1] {
        bench.write("part", &disk[..len]);
        let args = ["verify", "-", "--manifest", manifest];
        let part = || File::open(bench.path("part")).unwrap();
        bench.call(&args).stdin(part()).run().fails(3).says(&[&format!("it has {len} of {size} bytes")]);
    }
}

#[test]
fn the_manifest_of_another_disk_is_asked_about() {
    let (bench, disk) = exported(&["raw"]);
    // Another disk of that size, of which no range is the same.
    let mut other = disk.clone();
    for range in other.chunks_mut(RANGE) {
        range[range.len() / 2] ^= 1;
    }
    bench.write("vm/other.raw", &other);
    let hint = "hint: is it the manifest of another disk or checkpoint?";
    bench
        .run(&["verify", "vm/other.raw", "--manifest", "out/m.raw.manifest.json"])
        .fails(3)
        .says(&["in 3 of 3 ranges", hint]);
    bench.remove("vm/other.raw");
    flip(&bench, "out/m.raw", 5, 1);
    bench.run(&["verify", "out/m.raw"]).fails(3).says_nothing_of("hint: ");
    // Disks of another size: a raw copy may be longer, an image has a size of its own.
    bench.forge("vm/small.vhdx", &chain("small")[0]);
    for target in ["s.vhdx", "s.raw.zst", "s.raw"] {
        bench.run(&["vm/small.vhdx", "--out", &format!("out/{target}")]).succeeds();
        let image = format!("out/{target}");
        let report = differs(&bench, &[&image, "--manifest", "out/m.raw.manifest.json"]);
        let result = if target == "s.raw" { "truncated" } else { "other-size" };
        assert_eq!(report["result"], result, "{target}");
    }
    bench
        .run(&["verify", "out/s.vhdx", "--manifest", "out/m.raw.manifest.json"])
        .fails(3)
        .says(&["holds a disk of 4198400 bytes", "hint: is it the manifest of another disk or checkpoint?"]);
}

#[test]
fn a_manifest_that_can_not_be_used_is_the_manifests_fault() {
    let (bench, _) = exported(&["raw"]);
    let good = bench.bytes("out/m.raw.manifest.json");
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut manifest: Value = serde_json::from_slice(&good).unwrap();
        edit(&mut manifest);
        serde_json::to_vec(&manifest).unwrap()
    };
    let flipped = |text: &mut Value| {
        let digits = text.as_str().unwrap().to_owned();
        let other = if digits.starts_with('0') { "1" } else { "0" };
        *text = json!(format!("{other}{}", &digits[1..]));
    };
    let cases: [(Vec<u8>, &str); 12] = [
        (good[..good.len() / 2].to_vec(), "not a JSON document"),
        (Vec::new(), "not a JSON document"),
        (b"vhdxfile".to_vec(), "not a JSON document"),
        (b"{}".to_vec(), "is no manifest of an export"),
        (
            edited(&|all| all["schema_version"] = json!(2)),
            "its schema is version 2, this program knows version 1",
        ),
        (edited(&|all| all["extra"] = json!(1)), "it does not fit its schema"),
        (edited(&|all| all["content"]["md5"] = json!("00")), "it does not fit its schema"),
        (edited(&|all| all["disk"]["virtual_size"] = json!(512)), "it contradicts itself"),
        (edited(&|all| all["content"]["blksum"]["range_size"] = json!(1)), "it contradicts itself"),
        (
            edited(&|all| flipped(&mut all["content"]["blksum"]["ranges"][0])),
            "it does not have the digest that it states of itself",
        ),
        (
            edited(&|all| flipped(&mut all["content"]["blksum"]["ranges"][2])),
            "it does not have the digest that it states of itself",
        ),
        (
            edited(&|all| flipped(&mut all["content"]["blksum"]["value"])),
            "it does not have the digest that it states of itself",
        ),
    ];
    for (manifest, text) in cases {
        bench.write("out/edited.json", &manifest);
        for json in [&[][..], &["--json"]] {
            let args = ["verify", "out/m.raw", "--manifest", "out/edited.json"];
            bench.run(&[&args[..], json].concat()).fails(6).says(&["`out/edited.json`", text, "hint: "]);
        }
    }
    bench
        .run(&["verify", "out/m.raw", "--manifest", "out/absent.json"])
        .fails(4)
        .says(&["cannot use the manifest `out/absent.json`", "hint: name the manifest"]);
    bench.remove("out/m.raw.manifest.json");
    bench.run(&["verify", "out/m.raw"]).fails(4).says(&["`out/m.raw.manifest.json`"]);
    bench.run(&["verify", "out/absent.raw", "--manifest", "out/edited.json"]).fails_with_one_of(&[4, 6]);
    bench.run(&["verify", "-"]).fails(2).says(&["--manifest is missing"]);
    bench.run(&["verify"]).fails(2);
}

#[test]
fn a_manifest_with_fewer_digests_proves_what_it_can() {
    let (bench, _) = exported(&[]);
    bench.run(&["vm/2.vhdx", "--out", "out/n.raw", "--digest", "none"]).succeeds();
    bench.run(&["verify", "out/n.raw"]).fails(6).says(&[
        "it has no digest of the disk",
        "--digest none",
        "hint: ",
    ]);
    bench.run(&["verify", "--quick", "out/n.raw"]).fails(6).says(&["it has no digest of the disk"]);
    for format in ["raw", "raw.zst", "vhdx"] {
        let image = format!("out/s.{format}");
        bench.run(&["vm/2.vhdx", "--out", &image, "--digest", "sha256"]).succeeds();
        let verified = bench.run(&["verify", &image]).succeeds();
        assert!(verified.text().contains("compared  SHA-256 of the whole disk"), "{}", verified.text());
        bench
            .run(&["verify", "--quick", &image])
            .fails(2)
            .says(&["no digests of ranges", "hint: leave --quick out"]);
    }
    flip(&bench, "out/s.raw", 12_345, 1);
    bench
        .run(&["verify", "out/s.raw"])
        .fails(3)
        .says(&["differs", "hint: the manifest has no digests of ranges, so where is not known"]);
    let report = differs(&bench, &["out/s.raw"]);
    assert_eq!(report["compared"], json!({"by": "sha256"}));
    assert_eq!(report["differences"], json!([]));
    // A frame that can not be unpacked is damage to the copy, wherever it is.
    flip(&bench, "out/s.raw.zst", 5000, 1);
    differs(&bench, &["out/s.raw.zst"]);
    bench.run(&["vm/2.vhdx", "--out", "out/b.raw", "--digest", "blksum"]).succeeds();
    let verified = bench.run(&["verify", "out/b.raw"]).succeeds();
    assert!(!verified.text().contains("check "), "{}", verified.text());
}

#[test]
fn a_quick_look_finds_gross_damage_and_says_that_it_proves_nothing() {
    let (bench, disk) = exported(&["raw", "raw.zst", "vhdx"]);
    for format in ["raw", "raw.zst", "vhdx"] {
        let image = format!("out/m.{format}");
        let sampled = bench.run(&["verify", "--quick", &image]).succeeds();
        // Three ranges are few enough to look at each of them.
        assert!(sampled.text().contains("compared  blksum of all 3 ranges"), "{}", sampled.text());
        let report = bench.run(&["verify", "--quick", "--json", &image]).succeeds().json();
        assert_eq!((&report["compared"]["by"], &report["result"]), (&json!("sample"), &json!("equal")));
    }
    // Of a disk of 100 ranges the sample is a part, and still a wholly other disk is found.
    let large = 100 * RANGE as u64;
    let holes = File::create(bench.path("vm/large.raw")).unwrap();
    holes.set_len(large).unwrap();
    bench.run(&["vm/large.raw", "--out", "out/l.raw", "--digest", "blksum"]).succeeds();
    let sampled = bench.run(&["verify", "--quick", "out/l.raw"]).succeeds();
    for text in ["sampled   ", " where it was looked at", "of 100 ranges; the others were not looked at"] {
        assert!(sampled.text().contains(text), "{}", sampled.text());
    }
    assert!(!sampled.text().contains("verified"));
    let report = bench.run(&["verify", "--quick", "--json", "out/l.raw"]).succeeds().json();
    assert_eq!(report["result"], "sampled");
    let compared = report["compared"]["ranges"].as_u64().unwrap();
    assert!((10..=64).contains(&compared), "{compared}");
    assert_eq!(report["compared"]["of_ranges"], 100);
    let other = File::options().write(true).open(bench.path("out/l.raw")).unwrap();
    for range in 0..100 {
        other.write_all_at(&disk[..1000], range * RANGE as u64 + 77).unwrap();
    }
    let report = differs(&bench, &["--quick", "out/l.raw"]);
    assert_eq!(report["differences"].as_array().unwrap().len() as u64, compared);
    bench.run(&["verify", "--quick", "out/l.raw"]).fails(3).says(&[
        "ranges that were sampled",
        "more ranges",
        "hint: is it the manifest of another disk or checkpoint?",
    ]);
    bench
        .run(&["verify", "--quick", "-", "--manifest", "out/l.raw.manifest.json"])
        .fails(2)
        .says(&["--quick"]);
}

#[test]
fn a_copy_can_be_verified_without_its_source_and_from_anywhere() {
    let (bench, _) = exported(&["raw.zst"]);
    let elsewhere = Bench::new();
    for name in ["m.raw.zst", "m.raw.zst.manifest.json"] {
        std::fs::copy(bench.path("out").join(name), elsewhere.path("out").join(name)).unwrap();
    }
    drop(bench);
    elsewhere.call(&["verify", "m.raw.zst"]).from("out").run().succeeds();
}
