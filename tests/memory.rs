//! Memory goes with the buffers, not with the disk: the most that an export ever holds, as GNU time measures it.

use std::fs::File;

use vhdx_format::forge::random::Random;
use vhdx_format::forge::{Block, Image};
use vhdx_format::{BlockSize, DiskOffset, Geometry};

use crate::harness::{Bench, geometry, has_tool, note};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Most MiB that a run of these arguments held.
fn peak_mib(bench: &Bench, args: &[&str]) -> u64 {
    let measure = ["/usr/bin/time", "--quiet", "--format", "%M", "--output", "peak"];
    let outcome = bench.call(args).within(&measure).stdout(File::create("/dev/null").unwrap()).run();
    outcome.succeeds();
    let kib = std::fs::read_to_string(bench.path("peak")).unwrap();
    kib.trim().parse::<u64>().unwrap() / 1024
}

fn with_data(image: &mut Image, blocks: impl Iterator<Item = u64>) {
    let mut random = Random::new(3);
    for number in blocks {
        image.blocks.insert(number, Block::full(vec![(0, random.bytes(10_000))]));
    }
}

/// The largest disk there is, in the smallest blocks: its table alone has 513 MiB.
#[test]
fn the_largest_disk_in_the_smallest_blocks_takes_less_than_256_mib() {
    if !has_tool("/usr/bin/time", "time") {
        return;
    }
    let geometry: Geometry = geometry(64 << 40, 512);
    let mut base = Image::dynamic("base", geometry);
    base.block_size = BlockSize::MIN;
    let last = geometry.range().end().since(DiskOffset(MIB)) / MIB;
    // In clusters, so that the blocks of the copy, which are larger, are few.
    with_data(&mut base, (0..10).flat_map(|cluster| (0..20).map(move |block| cluster * 6_700_000 + block)));
    base.blocks.insert(last, Block::full(vec![(MIB - 512, vec![7; 512])]));
    let mut child = Image::child("child", &base, "0.vhdx");
    child.block_size = BlockSize::MIN;
    with_data(&mut child, (0..100).map(|block| block * 67_000));
    child.blocks.insert(20, Block::partial((0..100).collect(), vec![(0, vec![9; 51200])]));
    let bench = Bench::with_stack(&[base, child]);
    for args in [
        // A SHA-256 of 64 TiB would take the day; what its followers add is measured with the ordinary disk.
        &["vm/1.vhdx", "--out", "out/n.vhdx", "--digest", "none"][..],
        // The digests of a million ranges, and the manifest of them.
        &["vm/1.vhdx", "--out", "out/m.vhdx", "--digest", "blksum"],
        &["vm/1.vhdx", "--out", "-", "--format", "vhdx", "--block-size", "1M", "--digest", "none"],
        &["map", "vm/1.vhdx"],
    ] {
        let peak = peak_mib(&bench, args);
        assert!(peak < 256, "{args:?}: {peak} MiB");
    }
    let info = bench.run(&["info", "--json", "out/m.vhdx"]).succeeds().json();
    assert_eq!(info["virtual-size"], 64_u64 << 40);
}

#[test]
fn an_ordinary_disk_takes_less_than_128_mib() {
    if !has_tool("/usr/bin/time", "time") {
        return;
    }
    let mut base = Image::dynamic("base", geometry(4 * GIB, 512));
    base.block_size = BlockSize::MIN;
    with_data(&mut base, 0..200);
    let mut child = Image::child("child", &base, "0.vhdx");
    with_data(&mut child, (0..50).map(|block| block * 20));
    let bench = Bench::with_stack(&[base, child]);
    for args in [
        &["vm/1.vhdx", "--out", "out/m.vhdx"][..],
        &["vm/1.vhdx", "--out", "out/m.raw"],
        // A block holds 10 KB that do not compress, so frames are short: the longest add what `compressed.rs` says.
        &["vm/1.vhdx", "--out", "out/m.raw.zst"],
        &["vm/1.vhdx", "--out", "-", "--format", "raw.zst"],
        &["vm/1.vhdx", "--out", "-", "--format", "raw"],
        &["vm/1.vhdx", "--out", "-", "--format", "vhdx"],
        &["map", "vm/1.vhdx"],
    ] {
        let peak = peak_mib(&bench, args);
        assert!(peak < 128, "{args:?}: {peak} MiB");
    }
}

/// Eight at a time, each of which has more data than all buffers, that no format makes smaller.
#[test]
fn eight_exports_at_a_time_take_less_than_512_mib() {
    if !has_tool("/usr/bin/time", "time") {
        return;
    }
    let bench = Bench::new();
    bench.write("vm/noise.raw", &Random::new(5).bytes(64 << 20));
    for format in ["raw.zst", "vhdx"] {
        let job = |number| format!("{{\"source\":\"vm/noise.raw\",\"out\":\"out/{number}.{format}\"}}\n");
        bench.write("jobs.jsonl", (0..8).map(job).collect::<String>().as_bytes());
        let peak = peak_mib(&bench, &["batch", "run", "jobs.jsonl", "--jobs", "8", "--quiet"]);
        note(&format!("batch run --jobs 8, {format}: {peak} MiB"));
        assert!(peak < 512, "{format}: {peak} MiB");
        for number in 0..8 {
            bench.remove(&format!("out/{number}.{format}"));
        }
    }
}

/// The paths of these keys together have 150 MiB, in a file of 100 KiB.
#[test]
fn the_keys_of_a_hostile_configuration_are_written_one_by_one() {
    if !has_tool("/usr/bin/time", "time") {
        return;
    }
    let name = "n".repeat(250);
    let (open, close) = (format!("<{name}>").repeat(62), format!("</{name}>").repeat(62));
    let bench = Bench::new();
    bench.write("vm/x.xml", format!("{open}{}{close}", "<k/>".repeat(10_000)).as_bytes());
    for args in [&["info", "--keys", "--json", "vm/x.xml"][..], &["info", "--keys", "vm/x.xml"]] {
        let peak = peak_mib(&bench, args);
        assert!(peak < 64, "{args:?}: {peak} MiB");
    }
}
