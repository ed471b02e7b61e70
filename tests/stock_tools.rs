//! What any Linux has reads what is written here, and finds the disk in it without this program.

use std::io::Read;
use std::os::unix::fs::MetadataExt;

use vhdx_format::forge::disk_of;
use zeekstd::Decoder;

use crate::harness::{Bench, Content, Digests, chain, has_tool, hex_sha256, sparse_chain};

const MIB: u64 = 1 << 20;
/// Content of a frame.
const FRAME: u64 = 4 * MIB;

/// A bench with a mostly empty disk, and the digests of it.
fn sparse() -> (Bench, Vec<u8>, Digests) {
    let stack = sparse_chain("vm");
    let disk = disk_of(&stack);
    let digests = Digests::of(&disk);
    (Bench::with_stack(&stack), disk, digests)
}

/// A digest as `sha256sum` prints it of its standard input.
fn of_input(digests: &Digests) -> String {
    format!("{}  -\n", digests.sha256)
}

#[test]
fn zstd_gzip_and_xz_test_and_unpack_what_is_written() {
    let (bench, _, digests) = sparse();
    for (tool, package, suffix, levels) in [
        ("zstd", "zstd", "zst", ["zstd:3", "zstd:9"]),
        ("gzip", "gzip", "gz", ["gzip:1", "gzip:6"]),
        ("xz", "xz-utils", "xz", ["xz:0", "xz:6"]),
    ] {
        if !has_tool(tool, package) {
            continue;
        }
        for level in levels {
            let file = format!("out/m.raw.{suffix}");
            bench
                .run(&["vm/2.vhdx", "--out", &file, "--compress", level, "--digest", "blksum", "--force"])
                .succeeds();
            let file = format!("m.raw.{suffix}");
            bench.shell("out", &format!("{tool} -t {file}"));
            let found = bench.shell("out", &format!("{tool} -dc {file} | sha256sum"));
            assert_eq!(found, of_input(&digests), "{level}");
        }
    }
}

#[test]
fn two_compressed_disks_one_behind_the_other_are_both() {
    if !has_tool("zstd", "zstd") {
        return;
    }
    let (bench, mut both, _) = sparse();
    bench.run(&["vm/2.vhdx", "--out", "out/a.raw.zst"]).succeeds();
    bench.run(&["vm/0.vhdx", "--out", "out/b.raw.zst"]).succeeds();
    both.extend(disk_of(&sparse_chain("vm")[..1]));
    let found = bench.shell("out", "cat a.raw.zst b.raw.zst | zstd -dc | sha256sum");
    assert_eq!(found, format!("{}  -\n", hex_sha256(&both)));
}

#[test]
fn zstd_unpacks_a_mostly_empty_disk_into_a_sparse_file() {
    if !has_tool("zstd", "zstd") {
        return;
    }
    let (bench, disk, _) = sparse();
    bench.run(&["vm/2.vhdx", "--out", "out/m.raw.zst"]).succeeds();
    bench.shell("out", "zstd -q -d m.raw.zst -o back.raw");
    assert_eq!(bench.content("out/back.raw"), Content::of(&disk));
    let allocated = std::fs::metadata(bench.path("out/back.raw")).unwrap().blocks() * 512;
    assert!(allocated < 16 * MIB, "{allocated} bytes allocated");
}

#[test]
fn zeekstd_finds_every_frame_by_the_table() {
    let (bench, disk, _) = sparse();
    bench.run(&["vm/2.vhdx", "--out", "out/m.raw.zst"]).succeeds();
    let file = std::fs::File::open(bench.path("out/m.raw.zst")).unwrap();
    let mut decoder = Decoder::new(file).unwrap();
    let mut found = Vec::new();
    decoder.read_to_end(&mut found).unwrap();
    assert!(found == disk);
    let table = decoder.seek_table();
    let size = disk.len() as u64;
    assert_eq!(table.size_decomp(), size);
    assert_eq!(u64::from(table.num_frames()), size.div_ceil(FRAME));
    for frame in 0..table.num_frames() {
        let start = u64::from(frame) * FRAME;
        assert_eq!(table.frame_start_decomp(frame).unwrap(), start);
        assert_eq!(table.frame_end_decomp(frame).unwrap(), size.min(start + FRAME));
    }
}

/// Also where the names have spaces, backslashes and ends of lines in them.
#[test]
fn sha256sum_checks_every_image_by_its_line() {
    if !has_tool("sha256sum", "coreutils") {
        return;
    }
    let bench = Bench::with_stack(&chain("vm"));
    for name in ["m.raw", "m.raw.zst", "m.raw.gz", "m.raw.xz", "m.vhdx", "web 01.raw", "a\\b\nc.raw"] {
        bench.run(&["vm/2.vhdx", "--out", &format!("out/{name}"), "--sums"]).succeeds();
    }
    assert_eq!(bench.shell("out", "sha256sum -c --strict *.sha256 | grep -c ': OK$'"), "7\n");
    let mut image = bench.bytes("out/m.raw.zst");
    image[100] ^= 1;
    bench.write("out/m.raw.zst", &image);
    assert!(!bench.try_shell("out", "sha256sum -c --strict m.raw.zst.sha256").status.success());
    // An image in another folder is named as it is there.
    bench.run(&["vm/2.vhdx", "--out", "out/sub/m.raw", "--sums"]).fails(4);
    std::fs::create_dir(bench.path("out/sub")).unwrap();
    bench.run(&["vm/2.vhdx", "--out", "out/sub/m.raw", "--sums"]).succeeds();
    bench.shell("out/sub", "sha256sum -c --strict m.raw.sha256");
}

#[test]
fn bmaptool_copies_by_the_map_and_checks_each_run_of_it() {
    if !has_tool("bmaptool", "bmap-tools") {
        return;
    }
    let (bench, disk, _) = sparse();
    let disk = Content::of(&disk);
    for image in ["m.raw", "m.raw.zst", "m.raw.gz"] {
        // zstd is what bmaptool itself starts for those.
        if image.ends_with("zst") && !has_tool("zstd", "zstd") {
            continue;
        }
        bench.run(&["vm/2.vhdx", "--out", &format!("out/{image}"), "--bmap"]).succeeds();
        bench.shell("out", &format!("bmaptool -q copy --bmap {image}.bmap {image} fresh.raw"));
        assert_eq!(bench.content("out/fresh.raw"), disk, "{image}");
        // What is not in the map is neither read nor written.
        let allocated = std::fs::metadata(bench.path("out/fresh.raw")).unwrap().blocks() * 512;
        assert!(allocated < 16 * MIB, "{allocated} bytes allocated");
        bench.remove("out/fresh.raw");
    }
    // The last sector is data, and so are the first bytes of MiB 5.
    for at in [150 * MIB, 5 * MIB + 300_000] {
        flip(&bench, "out/m.raw", at);
        let copied = bench.try_shell("out", "bmaptool -q copy --bmap m.raw.bmap m.raw fresh.raw");
        assert!(!copied.status.success(), "a flipped bit at {at} was copied");
        assert!(String::from_utf8_lossy(&copied.stderr).contains("checksum"));
        flip(&bench, "out/m.raw", at);
    }
    bench.shell("out", "bmaptool -q copy --bmap m.raw.bmap m.raw fresh.raw");
}

fn flip(bench: &Bench, name: &str, at: u64) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::options().read(true).write(true).open(bench.path(name)).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

/// The command that an export and `verify` print needs nothing of this program.
#[test]
fn the_printed_command_prints_the_digest_that_was_printed() {
    let stack = chain("vm");
    let (bench, digests) = (Bench::with_stack(&stack), Digests::of(&disk_of(&stack)));
    let line = |text: &str, label: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(label));
        line.unwrap_or_else(|| panic!("no `{label}` in {text}")).trim().to_owned()
    };
    for (name, tool, package) in [
        ("m.raw", "head", "coreutils"),
        ("it's $HOME \"1\".raw", "head", "coreutils"),
        ("-m.raw", "head", "coreutils"),
        ("a\nb\u{1b}[2J.raw", "head", "coreutils"),
        ("m.raw.zst", "zstd", "zstd"),
        ("m.raw.gz", "gzip", "gzip"),
        ("m.raw.xz", "xz", "xz-utils"),
    ] {
        if !has_tool(tool, package) {
            continue;
        }
        let out = format!("--out={name}");
        let exported = bench.call(&["../vm/2.vhdx", &out]).from("out").run().succeeds();
        assert_eq!(line(exported.text(), "sha256"), digests.sha256);
        assert_eq!(bench.shell("out", &line(exported.text(), "check")), of_input(&digests), "{name}");
        if package != "coreutils" && tool != "zstd" {
            continue;
        }
        let verified = bench.call(&["verify", "--", name]).from("out").run().succeeds();
        assert_eq!(line(verified.text(), "expected"), digests.sha256);
        assert_eq!(bench.shell("out", &line(verified.text(), "check")), of_input(&digests), "{name}");
    }
    // Of an image that those programs can not read it is the file that is checked. There is none without the digest.
    let exported = bench.call(&["../vm/2.vhdx", "--out", "m.vhdx"]).from("out").run().succeeds();
    assert!(
        bench.shell("out", &line(exported.text(), "check")).starts_with(&line(exported.text(), "file")[..64])
    );
    let verified = bench.call(&["verify", "m.vhdx"]).from("out").run().succeeds();
    assert!(
        bench.shell("out", &line(verified.text(), "check")).starts_with(&line(verified.text(), "expected"))
    );
    let exported = bench.run(&["vm/2.vhdx", "--out", "out/b.raw", "--digest", "blksum"]).succeeds();
    assert!(!exported.text().contains("\ncheck "));
}
