//! `check` on everything that must be refused: a code that is not 0, words, and never a crash.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::harness::Bench;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/damaged")
}

/// Unpacks a file, or all files of a folder, into `vm/`.
fn unpack(from: &Path, bench: &Bench) {
    if from.is_dir() {
        for entry in fs::read_dir(from).unwrap() {
            unpack(&entry.unwrap().path(), bench);
        }
        return;
    }
    let name = from.file_stem().unwrap();
    let target = File::create(bench.path("vm").join(name)).unwrap();
    zstd::stream::copy_decode(File::open(from).unwrap(), target).unwrap();
}

#[test]
fn every_damaged_fixture_is_an_error() {
    let mut seen = 0;
    for entry in fs::read_dir(fixtures()).unwrap() {
        let entry = entry.unwrap().path();
        let bench = Bench::new();
        unpack(&entry, &bench);
        let wanted = if entry.is_dir() && !entry.ends_with("parent-incomplete") { 5 } else { 6 };
        let outcome = bench.run(&["check", "vm"]).ends_with(wanted);
        assert!(outcome.text().starts_with("error: "), "{}: {}", entry.display(), outcome.text());
        assert!(outcome.stderr.is_empty(), "{}: {}", entry.display(), outcome.stderr);
        seen += 1;
    }
    assert!(seen > 40, "{seen} fixtures");
}

#[test]
fn unfinished_and_unknown_files_are_told_from_damaged_ones() {
    for (name, kind, advice) in [
        ("incomplete-file", "incomplete", "let Hyper-V finish the merge"),
        ("version-2", "unsupported", "convert it on a Hyper-V host"),
        ("unknown-required-region", "unsupported", "convert it on a Hyper-V host"),
        ("blocks-overlap", "damaged", "use an older backup"),
        ("block-at-zero", "damaged", "use an older backup"),
        ("truncated-in-payload", "truncated", "compare the lengths"),
        ("truncated-below-flushed", "truncated", "compare the lengths"),
        ("not-an-image", "not-an-image", "use an older backup"),
    ] {
        let bench = Bench::new();
        unpack(&fixtures().join(format!("{name}.vhdx.zst")), &bench);
        let json = bench.run(&["check", "vm", "--json"]).ends_with(6).json();
        let worst = &json["findings"][0];
        assert_eq!(worst["kind"], kind, "{name}");
        assert!(worst["advice"].as_str().unwrap().contains(advice), "{name}: {worst}");
    }
}
