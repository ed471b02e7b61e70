//! Block devices: as targets, as sources, as copies that are verified. Loop devices stand for them, which take root.
//!
//! Each test has devices of its own and gives them back.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use vhdx_format::forge::random::Random;
use vhdx_format::forge::{SparseFile, disk_of};

use crate::harness::{Bench, Loop, chain, has_tool, sha256_and_content, skipped, succeeds, zeros_of};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Size of the disk of [`chain`].
const DISK: u64 = 4 * MIB + 4096;

/// What a shell prints for a command.
fn shell(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}");
    String::from_utf8(output.stdout).unwrap()
}

/// A device of that size with old data: noise and, behind the disk, marks. One that is too small has marks only.
fn used(bench: &Bench, size: u64) -> Option<Loop> {
    let noise = if size < DISK { 0 } else { DISK };
    let marks = vec![0xFF; (size - noise) as usize];
    Loop::holding(bench, "used", &[Random::new(size).bytes(noise as usize), marks].concat())
}

fn bench() -> Bench {
    Bench::with_stack(&chain("vm"))
}

#[test]
fn a_device_with_old_data_gets_the_disk_and_keeps_what_lies_behind() {
    let bench = bench();
    let disk = disk_of(&chain("vm"));
    let size = DISK + 3 * MIB;
    let Some(device) = used(&bench, size) else { return };
    let node = device.node.as_str();
    let args = ["vm/2.vhdx", "--device", "--out", node, "--manifest", "out/device.json"];
    let report = bench.run(&[&args[..], &["--json"]].concat()).succeeds().json();
    assert!(device.bytes(0, DISK) == disk);
    assert!(device.bytes(DISK, size).iter().all(|&byte| byte == 0xFF), "behind the disk");
    // As anybody can say it.
    let sha256 = report["content"]["sha256"].as_str().unwrap();
    assert_eq!(shell(&format!("head -c {DISK} {node} | sha256sum")), format!("{sha256}  -\n"));
    assert_eq!(sha256_and_content(&mut &disk[..]).0, sha256);
    assert_eq!(report["artifact"]["format"], "device");

    bench.run(&["vm/2.vhdx", "--out", "out/m.raw.zst"]).succeeds();
    let manifests = ["out/device.json", "out/m.raw.zst.manifest.json"];
    for manifest in manifests {
        bench.run(&["verify", node, "--manifest", manifest]).succeeds();
    }
    // One bit at a time, among data and among zeros, behind the back of the program that wrote them.
    let places =
        [(3, "1 MiB at 0x0"), (2 * MIB + 500_000, "1 MiB at 0x200000"), (DISK - 1, "4 KiB at 0x400000")];
    for (at, block) in places {
        let right = disk[at as usize];
        device.file().write_all_at(&[right ^ 1], at).unwrap();
        for manifest in manifests {
            let verified = bench.run(&["verify", node, "--manifest", manifest]).fails(3);
            verified.says(&["differs from the disk of", &format!("first in the {block}\n")]);
        }
        device.file().write_all_at(&[right], at).unwrap();
    }
    device.file().write_all_at(&[disk[3] ^ 1], 3).unwrap();
    // Over it again, which needs no --force for the device, but for its manifest.
    bench.run(&args).fails(7).says(&["device.json` exists"]);
    bench.run(&[&args[..], &["--force"]].concat()).succeeds();
    bench.run(&["verify", node, "--manifest", "out/device.json"]).succeeds();
    // What lies behind the disk is not the disk's.
    device.file().write_all_at(&[1, 2, 3], DISK).unwrap();
    bench.run(&["verify", node, "--manifest", "out/device.json"]).succeeds();
}

#[test]
fn a_device_is_a_source_like_any_other() {
    let bench = bench();
    let Some(device) = used(&bench, DISK + MIB) else { return };
    let node = device.node.as_str();
    bench.run(&[node, "--out", "out/m.raw"]).succeeds();
    let bytes = device.bytes(0, DISK + MIB);
    assert!(fs::read(bench.path("out/m.raw")).unwrap() == bytes);
    let sha256 = sha256_and_content(&mut &bytes[..]).0;
    let hashed = bench.run(&["hash", node]).succeeds();
    assert!(hashed.text().contains(&format!("sha256:{sha256}\n")), "{}", hashed.text());
    assert_eq!(hashed.text(), bench.run(&["hash", "out/m.raw"]).succeeds().text());
    bench.run(&["verify", node, "--manifest", "out/m.raw.manifest.json"]).succeeds();
    bench.run(&[node, "--out", "out/m.vhdx"]).succeeds();
    bench.run(&["verify", "out/m.vhdx", "--manifest", "out/m.raw.manifest.json"]).succeeds();
}

#[test]
fn a_device_that_the_disk_does_not_fit_on_is_neither_written_nor_a_copy() {
    let bench = bench();
    let Some(device) = used(&bench, 4 * MIB) else { return };
    let node = device.node.as_str();
    let told = format!("has {} bytes, but the disk needs {DISK}", 4 * MIB);
    bench
        .run(&["vm/2.vhdx", "--device", "--out", node, "--manifest", "out/m.json"])
        .fails(8)
        .says(&[&told, "hint: choose a larger device"]);
    assert!(device.bytes(0, 4 * MIB).iter().all(|&byte| byte == 0xFF));
    bench.run(&["vm/2.vhdx", "--out", "out/m.raw"]).succeeds();
    bench
        .run(&["verify", node, "--manifest", "out/m.raw.manifest.json"])
        .fails(3)
        .says(&[&format!("is truncated: it has {} of {DISK} bytes", 4 * MIB)]);
}

#[test]
fn a_device_that_is_read_is_never_written() {
    let bench = bench();
    bench.write("vm/disk.raw", &Random::new(1).bytes(MIB as usize));
    let Some(device) = Loop::showing(&bench.path("vm/disk.raw")) else { return };
    let node = device.node.as_str();
    let before = device.bytes(0, MIB);
    for source in ["vm/disk.raw", node] {
        for force in [&[][..], &["--force"]] {
            let args = [&[source, "--device", "--out", node], force].concat();
            bench.run(&args).fails(7).says(&["is one of the sources", "hint: choose another device"]);
        }
    }
    assert!(device.bytes(0, MIB) == before);
    // What the source shows, seen through another device or by its name.
    let Some(same) = Loop::showing(&bench.path("vm/disk.raw")) else { return };
    let refused = bench.run(&[node, "--device", "--out", &same.node]).fails(7);
    refused.says(&["is one of the sources"]);
    bench.run(&[node, "--out", "vm/disk.raw", "--force"]).fails(7).says(&["is one of the sources"]);
    let Some(above) = Loop::showing(Path::new(node)) else { return };
    let refused = bench.run(&[&above.node, "--device", "--out", node]).fails(7);
    refused.says(&["is one of the sources"]);
    assert!(device.bytes(0, MIB) == before);
    // A layer of a chain, seen through a device.
    let Some(base) = Loop::showing(&bench.path("vm/0.vhdx")) else { return };
    bench.run(&["vm/2.vhdx", "--device", "--out", &base.node]).fails(7).says(&["is one of the sources"]);
}

#[test]
fn only_a_device_is_written_as_one_and_only_if_that_was_said() {
    let bench = bench();
    let Some(device) = used(&bench, DISK) else { return };
    let node = device.node.as_str();
    let before = device.bytes(0, DISK);
    bench.write("out/file", b"precious");
    for force in [&[][..], &["--force"]] {
        let run = |args: &[&str]| bench.run(&[args, force].concat());
        let texts = ["out/file` is not a block device", "hint: leave --device out"];
        run(&["vm/2.vhdx", "--device", "--out", "out/file"]).fails(7).says(&texts);
        let texts = ["is neither a file nor a directory", "hint: --device writes onto a block device"];
        run(&["vm/2.vhdx", "--format", "raw", "--out", node]).fails(7).says(&texts);
        // Nor as a manifest.
        run(&["vm/2.vhdx", "--out", "out/m.raw", "--manifest", node]).fails(7);
        run(&["vm/2.vhdx", "--device", "--out", node, "--manifest", node]).fails(7);
    }
    bench.run(&["vm/2.vhdx", "--device", "--out", "/dev/null"]).fails(7).says(&["is not a block device"]);
    bench.run(&["vm/2.vhdx", "--device", "--out", "out/absent"]).fails_with_one_of(&[4, 7]);
    assert!(device.bytes(0, DISK) == before);
}

/// A mount; dropped, it is gone.
struct Mount(PathBuf);

impl Mount {
    fn of(node: &str, point: PathBuf) -> Option<Self> {
        if !has_tool("mkfs.ext4", "e2fsprogs") {
            return None;
        }
        fs::create_dir(&point).unwrap();
        let path = point.to_str().unwrap();
        if succeeds(&["mkfs.ext4", "-q", node]) && succeeds(&["mount", node, path]) {
            return Some(Self(point));
        }
        skipped("a mounted device: mkfs.ext4 and mount do not work here");
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let gone = succeeds(&["umount", self.0.to_str().unwrap()]);
        assert!(std::thread::panicking() || gone, "{} stays mounted", self.0.display());
    }
}

#[test]
fn a_mounted_device_is_not_written() {
    let bench = bench();
    let Some(device) = used(&bench, 16 * MIB) else { return };
    let node = device.node.as_str();
    let Some(mount) = Mount::of(node, bench.path("mounted here")) else { return };
    File::create(mount.0.join("file")).unwrap().write_all(b"precious").unwrap();
    for force in [&[][..], &["--force"]] {
        bench.run(&[&["vm/2.vhdx", "--device", "--out", node], force].concat()).fails(7).says(&[
            "is mounted at `",
            "mounted here`",
            "hint: unmount it first",
        ]);
    }
    assert_eq!(fs::read(mount.0.join("file")).unwrap(), b"precious");
    drop(mount);
    bench.run(&["vm/2.vhdx", "--device", "--out", node]).succeeds();
}

#[test]
fn a_device_that_another_process_has_open_is_not_written() {
    let bench = bench();
    let Some(device) = used(&bench, DISK) else { return };
    let node = device.node.as_str();
    let before = device.bytes(0, DISK);
    let mut other = Command::new("sleep").arg("600").stdin(device.file()).spawn().unwrap();
    let refused = bench.run(&["vm/2.vhdx", "--device", "--out", node]);
    other.kill().unwrap();
    other.wait().unwrap();
    refused.fails(7).says(&["is open in sleep (process ", "hint: free it first"]);
    assert!(device.bytes(0, DISK) == before);
    bench.run(&["vm/2.vhdx", "--device", "--out", node]).succeeds();
}

/// The disk is large and holds stored zeros, so that there is time to stop it and no need for room.
#[test]
fn an_interrupted_export_leaves_a_device_that_begins_with_zeros() {
    let bench = Bench::new();
    bench.forge("vm/large.vhdx", &zeros_of(6 * GIB));
    let mut old = SparseFile::default();
    old.write(0, &vec![0xFF; 2 * MIB as usize]);
    old.set_len(6 * GIB);
    bench.save("used", &old);
    let Some(device) = Loop::showing(&bench.path("used")) else { return };
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        device.file().write_all_at(&vec![0xFF; MIB as usize], 0).unwrap();
        let args = ["vm/large.vhdx", "--device", "--out", &device.node, "--manifest", "out/m.json"];
        let mut running = bench.call(&[&args[..], &["--progress", "json"]].concat()).start();
        assert!(running.next_line().contains("\"event\":\"progress\""));
        running.signal(signal);
        running.wait().fails(code);
        assert!(device.bytes(0, MIB).iter().all(|&byte| byte == 0));
    }
}
