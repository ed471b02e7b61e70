//! `--no-cache`: whole disks leave the page cache as it was, and the bytes are those of any other run.
//!
//! What is cached is asked right behind a run, before anybody else reads the files. So they lie in folders where the
//! harness reads nothing, and are put out of the cache beforehand, as any user may.

use std::fs::{self, File};
use std::io::IoSliceMut;

use rustix::fs::{Advice, fadvise};
use rustix::io::{ReadWriteFlags, preadv2};
use vhdx_format::BlockSize;
use vhdx_format::forge::random::Random;
use vhdx_format::forge::{Block, Image};

use crate::harness::{Bench, Content, Loop, geometry, has_tool, skipped, sparse_chain, succeeds};

const MIB: u64 = 1 << 20;

/// The leaf last.
const SOURCES: [&str; 2] = ["big/0.vhdx", "big/1.vhdx"];

const FORMATS: [&str; 3] = ["vhdx", "raw", "raw.zst"];

/// A chain of two whose images hold 24 MiB each, by turns; in the first MiB sector by sector.
fn big_chain() -> Bench {
    let mut random = Random::new(11);
    let mut full = |number| (number, Block::full(vec![(0, random.bytes(MIB as usize))]));
    let mut base = Image::dynamic("base", geometry(48 * MIB, 512));
    base.block_size = BlockSize::MIN;
    base.blocks.extend((0..48).step_by(2).map(&mut full));
    let mut leaf = Image::child("leaf", &base, "0.vhdx");
    leaf.block_size = BlockSize::MIN;
    leaf.blocks.extend((1..48).step_by(2).map(&mut full));
    let alternating = (0..2048).step_by(2).collect();
    leaf.blocks.insert(0, Block::partial(alternating, vec![(0, vec![7; MIB as usize])]));
    let bench = Bench::new();
    bench.forge(SOURCES[0], &base);
    bench.forge(SOURCES[1], &leaf);
    fs::create_dir(bench.path("copy")).unwrap();
    bench
}

fn len_of(bench: &Bench, file: &str) -> u64 {
    fs::metadata(bench.path(file)).unwrap().len()
}

/// Puts a file out of the page cache, if it is there.
fn evict(bench: &Bench, file: &str) {
    if let Ok(file) = File::open(bench.path(file)) {
        file.sync_all().unwrap();
        let _ = fadvise(&file, 0, None, Advice::DontNeed);
    }
}

/// Bytes of each of the files that are in the page cache.
fn cached(bench: &Bench, files: &[&str]) -> Vec<u64> {
    let said = bench.shell("", &format!("fincore --bytes --noheadings --output RES {}", files.join(" ")));
    said.lines().map(|line| line.trim().parse().unwrap()).collect()
}

/// Whether files leave the cache here for whoever asks them to, and for nobody else, so that leaving it can be seen.
/// tmpfs is the cache; where memory is short, pages go by themselves.
fn can_see(bench: &Bench) -> bool {
    if !has_tool("fincore", "util-linux-extra") {
        return false;
    }
    let len = len_of(bench, SOURCES[0]);
    bench.bytes(SOURCES[0]);
    let read = cached(bench, &SOURCES[..1])[0];
    evict(bench, SOURCES[0]);
    let evicted = cached(bench, &SOURCES[..1])[0];
    let can = read > len / 2 && evicted == 0;
    if !can {
        skipped(&format!(
            "what stays cached: of {len} bytes there are {read} when read, {evicted} when evicted"
        ));
    }
    can
}

/// Runs through a wrapper, and asks right behind it which of the files are cached, which were not before: of none of them
/// more than the odd page.
#[track_caller]
fn leaves_nothing_cached(bench: &Bench, wrapper: &str, args: &[&str], files: &[&str]) {
    for file in files {
        evict(bench, file);
    }
    let ask =
        format!("{wrapper} \"$@\" && fincore --bytes --noheadings --output RES {} >cached", files.join(" "));
    bench.call(args).within(&["sh", "-c", &ask, "sh"]).run().succeeds();
    let said = String::from_utf8(bench.bytes("cached")).unwrap();
    assert_eq!(said.lines().count(), files.len(), "{said}");
    for (file, cached) in files.iter().zip(said.lines()) {
        let (cached, len): (u64, u64) = (cached.trim().parse().unwrap(), len_of(bench, file));
        assert!(cached <= len / 16, "{args:?}: of `{file}` {cached} bytes of {len} are cached");
    }
}

#[test]
fn neither_sources_nor_artifacts_stay_cached() {
    let bench = big_chain();
    if !can_see(&bench) {
        return;
    }
    for format in FORMATS {
        let copy = format!("copy/m.{format}");
        let export = [SOURCES[1], "--out", &copy, "--no-cache"];
        leaves_nothing_cached(&bench, "", &export, &[SOURCES[0], SOURCES[1], &copy]);
        leaves_nothing_cached(&bench, "", &["verify", &copy, "--no-cache"], &[&copy]);
    }
    leaves_nothing_cached(&bench, "", &["hash", SOURCES[1], "--no-cache"], &SOURCES);
    let raw_twice = ["copy/m.raw", "--out", "copy/n.vhdx", "--no-cache"];
    leaves_nothing_cached(&bench, "", &raw_twice, &["copy/m.raw", "copy/n.vhdx"]);
}

/// A kernel that knows no reads which leave nothing is asked for one once, and obeyed in another way.
#[test]
fn without_uncached_reads_what_was_read_is_given_up() {
    let bench = big_chain();
    if !can_see(&bench) || !has_tool("strace", "strace") {
        return;
    }
    if !succeeds(&["strace", "-f", "-o", "/dev/null", "true"]) {
        skipped("a kernel without uncached reads: this machine does not allow `strace`");
        return;
    }
    let refusing = "strace -f -qq -o calls -e trace=preadv2 -e inject=preadv2:error=EOPNOTSUPP";
    leaves_nothing_cached(&bench, refusing, &["hash", SOURCES[1], "--no-cache"], &SOURCES);
    let calls = String::from_utf8(bench.bytes("calls")).unwrap();
    // Once for each file, or for each thread that came before the answer.
    let refused = calls.matches("INJECTED").count();
    assert!((2..100).contains(&refused), "{calls}");
}

/// Only of reads that the kernel keeps apart can it be told whether a page was there before.
#[test]
fn what_others_have_cached_stays_where_the_kernel_can_tell() {
    let bench = big_chain();
    if !can_see(&bench) {
        return;
    }
    // Of a file of its own: what such a read has brought in, the next one drops.
    bench.write("big/probe", &[7; 4096]);
    let probe = File::open(bench.path("big/probe")).unwrap();
    let dont_cache = ReadWriteFlags::from_bits_retain(0x80);
    if preadv2(&probe, &mut [IoSliceMut::new(&mut [0; 512])], 0, dont_cache).is_err() {
        skipped("what others have cached: this kernel or file system has no uncached reads");
        return;
    }
    // Would go before the source, and is read by nobody.
    bench.write("big/other", &bench.bytes(SOURCES[1]));
    for file in ["big/other", SOURCES[0]] {
        evict(&bench, file);
        bench.bytes(file);
    }
    bench.run(&["hash", SOURCES[1], "--no-cache"]).succeeds();
    let [source, other] = cached(&bench, &[SOURCES[0], "big/other"])[..] else { panic!("two answers") };
    if other < len_of(&bench, "big/other") {
        skipped("what others have cached: memory is short, pages go by themselves");
        return;
    }
    assert!(source > len_of(&bench, SOURCES[0]) / 2, "only {source} bytes are still cached");
}

#[test]
fn the_bytes_are_the_same_with_and_without() {
    let bench = Bench::with_stack(&sparse_chain("vm"));
    for format in FORMATS {
        let (with, without) = (format!("out/with.{format}"), format!("out/without.{format}"));
        bench.run(&["vm/2.vhdx", "--out", &without]).succeeds();
        bench.run(&["vm/2.vhdx", "--out", &with, "--no-cache"]).succeeds();
        assert_eq!(bench.content(&with), bench.content(&without));
        bench.run(&["verify", &with, "--no-cache"]).succeeds();
        let hashed = |image: &str, rest: &[&str]| {
            let args = [&["hash", image], rest].concat();
            bench.run(&args).succeeds().text().to_owned()
        };
        assert_eq!(hashed(&with, &["--no-cache"]), hashed("vm/2.vhdx", &[]));
    }
    let streamed = ["vm/2.vhdx", "--out", "-", "--format", "raw", "--no-cache", "--quiet"];
    let (outcome, content) = bench.call(&streamed).run_reading(Content::read);
    outcome.succeeds();
    assert_eq!(content, bench.content("out/without.raw"));
}

/// Devices know no uncached reads, or have not for long.
#[test]
fn a_device_is_read_as_well() {
    let bench = Bench::new();
    let bytes = Random::new(5).bytes(5 * MIB as usize);
    let Some(device) = Loop::holding(&bench, "vm/d.raw", &bytes) else { return };
    let expected = bench.run(&["hash", "vm/d.raw"]).succeeds().text().to_owned();
    assert_eq!(bench.run(&["hash", &device.node, "--no-cache"]).succeeds().text(), expected);
}

/// tmpfs is the page cache: there is nothing to leave, and nothing to complain of.
#[test]
fn a_file_system_without_a_medium_is_fine() {
    let Ok(folder) = tempfile::tempdir_in("/dev/shm") else {
        skipped("--no-cache on tmpfs: this machine has no /dev/shm");
        return;
    };
    let bench = Bench::with_stack(&sparse_chain("vm"));
    for image in ["0.vhdx", "1.vhdx", "2.vhdx"] {
        fs::copy(bench.path(&format!("vm/{image}")), folder.path().join(image)).unwrap();
    }
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let copy = place("m.raw");
    bench.run(&[&place("2.vhdx"), "--out", &copy, "--no-cache"]).succeeds();
    bench.run(&["verify", &copy, "--no-cache"]).succeeds();
    assert_eq!(bench.content(&copy), bench.disk_content("vm/2.vhdx"));
}
