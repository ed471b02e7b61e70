//! Sharing blocks with the sources on file systems that can, and copying without a trace on those that can not.
//!
//! Each test has file systems of its own, on loop devices, which take root.

use std::fs::File;
use std::path::Path;

use vhdx_format::BlockSize;
use vhdx_format::forge::random::Random;
use vhdx_format::forge::{Block, DirtyLog, Image, Object, disk_of, make_dirty};

use crate::harness::{
    Bench, Confinement, Content, Loop, Outcome, geometry, has_tool, skipped, succeeds, zeros_of,
};

const MIB: u64 = 1 << 20;
const DISK: u64 = 9 * MIB + 4096;

/// File systems with reflinks: how to make one, and the least it is made of.
const WITH_REFLINKS: [(&str, &str, &[&str], u64); 2] = [
    ("xfs", "xfsprogs", &["mkfs.xfs", "-q"], 320 * MIB),
    ("btrfs", "btrfs-progs", &["mkfs.btrfs", "-q"], 400 * MIB),
];

/// A disk of random blocks, with whole blocks, single sectors and runs of sectors over them, none of which ends where a
/// block of a file system does.
fn stack() -> Vec<Image> {
    let mut random = Random::new(11);
    let mut base = Image::dynamic("base", geometry(DISK, 512));
    base.block_size = BlockSize::MIN;
    for number in [0, 1, 2, 3, 4, 6, 9] {
        base.blocks.insert(number, Block::full(vec![(0, random.bytes(MIB as usize))]));
    }
    let mut middle = Image::child("middle", &base, "0.vhdx");
    let sectors = (3..7).chain(301..1503).chain((2001..2100).step_by(2)).collect();
    middle.blocks.insert(0, Block::partial(sectors, vec![(0, random.bytes(2 * MIB as usize))]));
    middle.blocks.insert(2, Block::absent(2));
    let mut leaf = Image::child("leaf", &middle, "1.vhdx");
    leaf.block_size = BlockSize::MIN;
    leaf.blocks.insert(3, Block::full(vec![(0, random.bytes(MIB as usize))]));
    leaf.blocks.insert(5, Block::full(vec![(0, random.bytes(MIB as usize))]));
    vec![base, middle, leaf]
}

/// A bench whose folder `fs` is a file system of its own, for as long as a command runs.
struct Mounted {
    bench: Bench,
    device: Loop,
    wrapper: &'static [&'static str],
}

impl Mounted {
    /// `None`, said aloud, where this machine does not allow it.
    fn new(kind: &str, package: &str, make: &[&str], size: u64) -> Option<Self> {
        let wrapper = Confinement::OwnDeviceMounts.wrapper(&format!("reflinks on {kind}"))?;
        if !has_tool(make[0], package) || !has_tool("filefrag", "e2fsprogs") {
            return None;
        }
        let bench = Bench::with_stack(&stack());
        std::fs::create_dir(bench.path("fs")).unwrap();
        let file = bench.path("device");
        File::create(&file).unwrap().set_len(size).unwrap();
        assert!(succeeds(&[make, &[path(&file)]].concat()), "{make:?}");
        let mounted = Self { device: Loop::showing(&file)?, bench, wrapper };
        let (node, folder) = (&mounted.device.node, mounted.bench.path("fs"));
        if succeeds(&[wrapper, &["mount", node, path(&folder)]].concat()) {
            return Some(mounted);
        }
        skipped(&format!("reflinks on {kind}: this machine does not mount it"));
        None
    }

    /// Runs with the sources in `fs/vm`, then `after` in the shell.
    fn run(&self, args: &[&str], after: &str) -> Outcome {
        let script = format!(
            "mount {} fs && cp -r vm fs/ && sync -f fs || exit 99; \"$@\"; code=$?; {after}; rm -rf fs/*; exit $code",
            self.device.node
        );
        let wrapper = [self.wrapper, &["sh", "-c", &script, "sh"]].concat();
        self.bench.call(&[args, &["--json", "--quiet"]].concat()).within(&wrapper).run()
    }

    /// Exports to `fs/NAME`, which is then also at `NAME` of the bench; says how many bytes are shared as the program says,
    /// and how many as the file system does.
    fn export(&self, name: &str, args: &[&str]) -> (u64, u64) {
        let target = format!("fs/{name}");
        let after = format!("sync -f fs; filefrag -v {target} > extents; cp --sparse=always {target} {name}");
        let outcome =
            self.run(&[&["fs/vm/2.vhdx", "--out", &target, "--force"], args].concat(), &after).succeeds();
        let shared = outcome.json()["artifact"]["shared"].as_u64().unwrap_or(0);
        (shared, shared_bytes(&String::from_utf8(self.bench.bytes("extents")).unwrap()))
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What filefrag calls shared, in bytes.
fn shared_bytes(extents: &str) -> u64 {
    let lines = extents.lines().filter(|line| line.contains("shared"));
    // `0: 0.. 255: 1234.. 1489: 256: shared`
    lines.map(|line| line.split(':').nth(3).unwrap().trim().parse::<u64>().unwrap() * 4096).sum()
}

#[test]
fn whole_blocks_are_shared_and_the_bytes_are_those_of_a_copy() {
    let disk = disk_of(&stack());
    for (kind, package, make, size) in WITH_REFLINKS {
        let Some(mounted) = Mounted::new(kind, package, make, size) else { continue };
        let bench = &mounted.bench;
        for digest in ["sha256,blksum", "none"] {
            let args = |reflink| ["--digest", digest, "--reflink", reflink];
            for reflink in ["auto", "always"] {
                let (told, found) = mounted.export("m.raw", &args(reflink));
                assert!(bench.bytes("m.raw") == disk, "{kind} {digest} {reflink}");
                assert!(told > 5 * MIB && told % 4096 == 0, "{kind} {digest} {reflink}: {told}");
                assert_eq!(found, told, "{kind} {digest} {reflink}");

                let (told, found) = mounted.export("m.vhdx", &args(reflink));
                assert!(bench.disk_content("m.vhdx") == Content::of(&disk));
                assert!(told > 5 * MIB, "{kind} {digest} {reflink}: {told}");
                assert_eq!(found, told, "{kind} {digest} {reflink}");
                let shared = bench.bytes("m.vhdx");
                assert_eq!(mounted.export("m.vhdx", &args("never")), (0, 0), "{kind} {digest}");
                assert!(bench.bytes("m.vhdx") == shared, "{kind} {digest} {reflink}: the file itself");
            }
            assert_eq!(mounted.export("m.raw", &args("never")), (0, 0), "{kind} {digest}");
            assert!(bench.bytes("m.raw") == disk, "{kind} {digest}");
        }
    }
}

/// Hyper-V refuses sparse images, and what a full file system would break must be found early.
#[test]
fn an_image_that_shares_blocks_has_room_for_all_of_them() {
    for (kind, package, make, size) in WITH_REFLINKS {
        let Some(mounted) = Mounted::new(kind, package, make, size) else { continue };
        let after = "sync -f fs; stat -c '%b %s' fs/m.vhdx > size";
        mounted.run(&["fs/vm/2.vhdx", "--out", "fs/m.vhdx"], after).succeeds();
        let told = String::from_utf8(mounted.bench.bytes("size")).unwrap();
        let (blocks, len) = told.trim().split_once(' ').unwrap();
        assert!(blocks.parse::<u64>().unwrap() * 512 >= len.parse().unwrap(), "{kind}: {told}");
    }
}

/// A hole of a source is nothing to share, and the image has all of its blocks.
#[test]
fn too_little_room_for_what_is_not_shared_is_found_before_the_first_byte() {
    let (kind, package, make, size) = WITH_REFLINKS[0];
    let Some(mounted) = Mounted::new(kind, package, make, size) else { return };
    mounted.bench.forge("vm/zeros.vhdx", &zeros_of(1 << 30));
    let outcome = mounted.run(&["fs/vm/zeros.vhdx", "--out", "fs/m.vhdx", "--digest", "none"], "ls fs >&2");
    outcome.fails(8).says(&["m.vhdx` needs"]).says_nothing_of("m.vhdx.partial\n");
}

/// The room for what is not shared is enough.
#[test]
fn an_image_that_shares_its_blocks_fits_where_a_copy_would_not() {
    for (kind, package, make, size) in WITH_REFLINKS {
        let Some(mounted) = Mounted::new(kind, package, make, size) else { continue };
        let mut random = Random::new(5);
        let mut base = Image::dynamic("large", geometry(64 * MIB, 512));
        base.block_size = BlockSize::MIN;
        base.blocks.extend((0..48).map(|n| (n, Block::full(vec![(0, random.bytes(MIB as usize))]))));
        mounted.bench.forge("vm/large.vhdx", &base);
        // All but 30 MiB of what is free is taken.
        let script = format!(
            "mount {} fs && cp -r vm fs/ && sync -f fs && free=$(stat -f -c %a fs) && size=$(stat -f -c %S fs) && \
             fallocate -l $((free * size - 30 * 1048576)) fs/ballast || exit 99; \"$@\"; code=$?; \
             cp fs/m.vhdx m.vhdx; rm -rf fs/*; exit $code",
            mounted.device.node
        );
        let wrapper = [mounted.wrapper, &["sh", "-c", &script, "sh"]].concat();
        let args = |reflink| ["fs/vm/large.vhdx", "--out", "fs/m.vhdx", "--reflink", reflink, "--quiet"];
        mounted.bench.call(&args("never")).within(&wrapper).run().fails(8).says(&["needs"]);
        mounted.bench.call(&args("auto")).within(&wrapper).run().succeeds();
        assert!(mounted.bench.disk_content("m.vhdx") == Content::of(&disk_of(&[base])), "{kind}");
    }
}

/// btrfs keeps checksums of some files and not of others, and shares nothing between the two.
#[test]
fn each_kind_of_file_is_asked() {
    let (kind, package, make, size) = WITH_REFLINKS[1];
    let Some(mounted) = Mounted::new(kind, package, make, size) else { return };
    let script = format!(
        "mount {} fs && mkdir fs/vm && touch fs/vm/0.vhdx && chattr +C fs/vm/0.vhdx && cp -r vm fs/ && sync -f fs || exit 99; \
         \"$@\"; code=$?; [ $code = 0 ] && cp fs/m.raw m.raw; rm -rf fs/*; exit $code",
        mounted.device.node
    );
    let wrapper = [mounted.wrapper, &["sh", "-c", &script, "sh"]].concat();
    let run = |args: &[&str]| {
        let args = [&["fs/vm/2.vhdx", "--out", "fs/m.raw", "--quiet", "--json"], args].concat();
        mounted.bench.call(&args).within(&wrapper).run()
    };
    run(&["--reflink", "always"]).fails(8).says(&["cannot share the blocks of `", "fs/vm/0.vhdx`"]);
    let report = run(&[]).succeeds().json();
    assert!(mounted.bench.bytes("m.raw") == disk_of(&stack()));
    // Two blocks of the leaf, and what the middle image has of another.
    let shared = report["artifact"]["shared"].as_u64().unwrap();
    assert!((2 * MIB..3 * MIB).contains(&shared), "{shared}");
}

/// What lies in the file there is not what the disk holds.
#[test]
fn what_a_replayed_log_touches_is_not_shared() {
    let (kind, package, make, size) = WITH_REFLINKS[0];
    let Some(mounted) = Mounted::new(kind, package, make, size) else { return };
    let stack = stack();
    let leaf = &stack[2];
    let (clean, _) = mounted.export("m.raw", &[]);
    let mut file = leaf.build();
    let touched = leaf.offset_of(Object::Block(3)).unwrap() + 8192;
    make_dirty(&mut file, &DirtyLog { sectors: vec![touched], ..DirtyLog::default() });
    mounted.bench.save("vm/2.vhdx", &file);
    let (dirty, found) = mounted.export("m.raw", &[]);
    assert!(mounted.bench.bytes("m.raw") == disk_of(&stack));
    assert_eq!((dirty, found), (clean - MIB, clean - MIB));
}

#[test]
fn a_file_system_without_reflinks_gets_a_copy_or_a_refusal() {
    let bench = Bench::with_stack(&stack());
    let target = bench.path("out/m.raw");
    let wrapper = Confinement::OwnMounts.wrapper("a file system without reflinks");
    let Some(wrapper) = wrapper else { return };
    let on_tmpfs = [
        wrapper,
        &["sh", "-c", "mount -t tmpfs none out && \"$@\"; code=$?; ls -A out >&2; exit $code", "sh"],
    ]
    .concat();
    let run = |args: &[&str]| {
        bench.call(&[&["vm/2.vhdx", "--quiet", "--out"], args].concat()).within(&on_tmpfs).run()
    };
    for name in ["out/m.raw", "out/m.vhdx"] {
        run(&[name, "--reflink", "always"])
            .fails(8)
            .says(&[
                "cannot share the blocks of `vm/2.vhdx`",
                "hint: choose a target on the file system of the source",
            ])
            .says_nothing_of("\nm.");
        let report = run(&[name, "--json"]).succeeds().json();
        assert_eq!(report["artifact"].get("shared"), None);
    }
    assert!(!target.exists());
    for args in
        [&["out/m.raw.zst", "--reflink", "always"][..], &["-", "--format", "raw", "--reflink", "always"]]
    {
        run(args).fails(2).says(&["--reflink always makes sense for raw and VHDX images in a file only"]);
    }
}
