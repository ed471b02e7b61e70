//! What is written is read by programs that know nothing of ours, and by ours.
//!
//! QEMU reads only images of 512-byte sectors; 7-Zip refuses those of 4096-byte sectors and disks of an odd number of
//! sectors. Which images each has read is counted and said, so that nothing passes unread in silence.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use vhdx_format::forge::{disk_of, random};

use crate::harness::{Bench, Content, content_of, filled_chain, geometry, has_tool, note};

const MIB: u64 = 1 << 20;

/// The readers that are installed, and what they have read so far.
pub(crate) struct Peers {
    qemu: Option<AtomicUsize>,
    seven_zip: Option<AtomicUsize>,
    shown: AtomicUsize,
}

impl Peers {
    pub(crate) fn find() -> Self {
        let counted = |name, package| has_tool(name, package).then(AtomicUsize::default);
        let (qemu, seven_zip) = (counted("qemu-img", "qemu-utils"), counted("7zz", "7zip"));
        Self { qemu, seven_zip, shown: AtomicUsize::default() }
    }

    /// Each reader that opens images of this kind finds this disk in it, and nothing to complain about.
    #[track_caller]
    pub(crate) fn agree(&self, bench: &Bench, image: &str, disk: &Content, logical_sector: u64) {
        self.shown.fetch_add(1, Ordering::Relaxed);
        let path = bench.path(image);
        let path = path.to_str().unwrap();
        if let Some(read) = self.qemu.as_ref().filter(|_| logical_sector == 512) {
            let checked = output(&["qemu-img", "check", "-f", "vhdx", path]);
            assert!(checked.contains("No errors were found"), "{checked}");
            let raw = format!("{path}.qemu");
            output(&["qemu-img", "convert", "-f", "vhdx", "-O", "raw", path, &raw]);
            let found = content_of(raw.as_ref());
            std::fs::remove_file(&raw).unwrap();
            assert_eq!(&found, disk, "qemu-img reads another disk from {image}");
            read.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(read) =
            self.seven_zip.as_ref().filter(|_| logical_sector == 512 && disk.len.is_multiple_of(1024))
        {
            assert_eq!(&seven_zip(path), disk, "7-Zip reads another disk from {image}");
            read.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Who has read how many.
    pub(crate) fn tally(&self) -> String {
        let shown = self.shown.load(Ordering::Relaxed);
        let of = |name: &str, count: &Option<AtomicUsize>| match count {
            Some(count) => format!("{name} read {} of {shown} images written", count.load(Ordering::Relaxed)),
            None => format!("{name} is not installed"),
        };
        format!("{}, {}", of("qemu-img", &self.qemu), of("7-Zip", &self.seven_zip))
    }
}

/// The disk as 7-Zip extracts it.
fn seven_zip(image: &str) -> Content {
    let mut child = Command::new("7zz")
        .args(["x", "-so", "-tVHDX", image])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let content = Content::read(child.stdout.as_mut().unwrap());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "7zz: {}", String::from_utf8_lossy(&output.stderr));
    content
}

#[track_caller]
fn output(command: &[&str]) -> String {
    let output = Command::new(command[0]).args(&command[1..]).stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    said
}

/// Sizes that are whole blocks of 1, 2 or 32 MiB, and sizes that are none.
#[test]
fn every_reader_finds_the_disk_in_every_kind_of_image_written() {
    let peers = Peers::find();
    let disks = [
        (512, 32 * MIB),
        (512, 33 * MIB + 1024),
        (512, 5 * MIB + 512),
        (512, 1024),
        (4096, 32 * MIB),
        (4096, 33 * MIB + 4096),
        (4096, 3 * MIB),
    ];
    for (sector, size) in disks {
        let stack = filled_chain(&format!("{sector} {size}"), geometry(size, sector));
        let bench = Bench::with_stack(&stack);
        let disk = Content::of(&disk_of(&stack));
        assert_eq!(bench.disk_content("vm/2.vhdx"), disk);
        for block_size in ["1M", "2M", "32M"] {
            for fixed in [&[][..], &["--fixed"]] {
                let options = [&["--block-size", block_size, "vm/2.vhdx"], fixed].concat();
                is_read_by_all(&bench, &options, &disk, &peers, u64::from(sector));
            }
        }
    }
    note(&format!("forged chains: {}", peers.tally()));
}

#[test]
fn every_reader_finds_the_disk_of_random_stacks() {
    let peers = Peers::find();
    for seed in 0..12 {
        let stack = random::stack(seed, 1 + seed as usize % 5, 40 * MIB);
        let bench = Bench::with_stack(&stack);
        let leaf = stack.last().unwrap();
        let disk = Content::of(&disk_of(&stack));
        let source = format!("vm/{}.vhdx", stack.len() - 1);
        let sector = u64::from(leaf.geometry.logical_sector().bytes());
        assert_eq!(bench.disk_content(&source), disk, "seed {seed}");
        is_read_by_all(&bench, &[&source], &disk, &peers, sector);
    }
    note(&format!("random stacks: {}", peers.tally()));
}

/// File and pipe are the same bytes, twice; each reader sees the disk.
#[track_caller]
fn is_read_by_all(bench: &Bench, options: &[&str], disk: &Content, peers: &Peers, sector: u64) {
    bench.run(&[&["--out", "out/merged.vhdx", "--force"], options].concat()).succeeds();
    let file = bench.content("out/merged.vhdx");
    let piped = [&["--out", "-", "--format", "vhdx"], options].concat();
    let (outcome, piped) = bench.call(&piped).run_reading(Content::read);
    outcome.succeeds();
    assert_eq!(file, piped, "file and pipe differ: {options:?}");
    bench.run(&[&["--out", "out/merged.vhdx", "--force"], options].concat()).succeeds();
    assert_eq!(bench.content("out/merged.vhdx"), file, "two runs differ: {options:?}");
    assert_eq!(&bench.disk_content("out/merged.vhdx"), disk, "we read another disk: {options:?}");
    peers.agree(bench, "out/merged.vhdx", disk, sector);
}
