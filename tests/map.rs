//! `map`: every run of the disk, what it holds, and which file holds it.

use std::process::Command;

use serde_json::Value;
use vhdx_format::forge::{disk_of, random};

use crate::harness::{Bench, chain, filled_chain, geometry, has_tool};

const MIB: u64 = 1 << 20;

fn map_of(bench: &Bench, source: &str) -> Vec<Value> {
    let map = bench.run(&["map", "--json", source]).succeeds().json();
    map.as_array().unwrap().clone()
}

fn number(entry: &Value, field: &str) -> u64 {
    entry[field].as_u64().unwrap()
}

fn flag(entry: &Value, field: &str) -> bool {
    entry[field].as_bool().unwrap()
}

/// Runs are in order, cover the disk, and the bytes that each points to are the disk's.
#[test]
fn the_map_leads_to_every_byte_of_the_disk() {
    for seed in 0..8 {
        let stack = random::stack(seed, 1 + seed as usize % 4, 12 * MIB);
        let bench = Bench::with_stack(&stack);
        let disk = disk_of(&stack);
        let mut found = Vec::new();
        for entry in map_of(&bench, &format!("vm/{}.vhdx", stack.len() - 1)) {
            assert_eq!(number(&entry, "start"), found.len() as u64, "seed {seed}");
            let len = number(&entry, "length") as usize;
            assert!(len > 0);
            assert_eq!(flag(&entry, "data"), flag(&entry, "present"));
            assert_ne!(flag(&entry, "data"), flag(&entry, "zero"));
            if flag(&entry, "data") {
                // Absolute, or relative to where the command was run.
                let file = std::fs::read(bench.path(entry["filename"].as_str().unwrap())).unwrap();
                let at = number(&entry, "offset") as usize;
                found.extend_from_slice(&file[at..at + len]);
            } else {
                assert!(entry.get("offset").is_none() && entry.get("filename").is_none());
                found.resize(found.len() + len, 0);
            }
        }
        assert!(found == disk, "seed {seed}: the map leads to another disk");
    }
}

/// QEMU's driver for VHDX does not tell data from zeros: its whole map is one run. The names and the sum must agree.
#[test]
fn the_map_has_the_fields_of_qemu_img_and_covers_as_much() {
    if !has_tool("qemu-img", "qemu-utils") {
        return;
    }
    let base = filled_chain("base", geometry(9 * MIB + 512, 512)).swap_remove(0);
    let bench = Bench::with_stack(&[base]);
    let qemu = Command::new("qemu-img")
        .args(["map", "--output=json", "-f", "vhdx"])
        .arg(bench.path("vm/0.vhdx"))
        .output()
        .unwrap();
    let theirs: Vec<Value> = serde_json::from_slice(&qemu.stdout).unwrap();
    let ours = map_of(&bench, "vm/0.vhdx");
    assert!(!theirs.is_empty(), "{}", String::from_utf8_lossy(&qemu.stderr));
    let sum = |map: &[Value]| map.iter().map(|entry| number(entry, "length")).sum::<u64>();
    assert_eq!((sum(&ours), sum(&theirs)), (9 * MIB + 512, 9 * MIB + 512));
    for (field, theirs) in theirs[0].as_object().unwrap() {
        let ours = ours[0].get(field).unwrap_or_else(|| panic!("no field `{field}`"));
        assert_eq!((ours.is_boolean(), ours.is_u64()), (theirs.is_boolean(), theirs.is_u64()), "{field}");
    }
}

#[test]
fn depth_counts_from_the_leaf() {
    let bench = Bench::with_stack(&chain("vm"));
    let map = map_of(&bench, "vm/2.vhdx");
    let mut seen = [false; 3];
    for entry in map.iter().filter(|entry| flag(entry, "data")) {
        let depth = number(entry, "depth") as usize;
        let name = format!("{}.vhdx", 2 - depth);
        assert!(entry["filename"].as_str().unwrap().ends_with(&name), "{entry}");
        seen[depth] = true;
    }
    assert_eq!(seen, [true; 3]);
}

#[test]
fn the_text_has_a_line_for_each_run() {
    let bench = Bench::with_stack(&chain("vm"));
    let text = bench.run(&["map", "vm/2.vhdx"]).succeeds();
    assert_eq!(text.text().lines().count(), 1 + map_of(&bench, "vm/2.vhdx").len());
    for part in ["Offset", "Lies at", "zeros", "0.vhdx", "1.vhdx", "2.vhdx"] {
        assert!(text.text().contains(part), "{part}");
    }
}
