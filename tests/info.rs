//! `info`: what an image says of itself, with or without the images below it.

use std::process::Command;
use vhdx_format::forge::{Block, DirtyLog, make_dirty};

use crate::harness::{Bench, chain, has_tool, small_base, zeros_of};

#[test]
fn the_fields_that_qemu_img_has_mean_the_same() {
    if !has_tool("qemu-img", "qemu-utils") {
        return;
    }
    let bench = Bench::with_stack(&[small_base("base")]);
    let qemu = Command::new("qemu-img")
        .args(["info", "--output=json", "-f", "vhdx"])
        .arg(bench.path("vm/0.vhdx"))
        .output()
        .unwrap();
    let theirs: serde_json::Value = serde_json::from_slice(&qemu.stdout).unwrap();
    let ours = bench.run(&["info", "--json", "vm/0.vhdx"]).succeeds().json();
    for field in ["virtual-size", "actual-size", "cluster-size", "format", "dirty-flag"] {
        assert!(!ours[field].is_null(), "{field}");
        assert_eq!(ours[field], theirs[field], "{field}");
    }
    assert_eq!(ours["filename"], "vm/0.vhdx");
}

#[test]
fn an_image_is_described_without_its_parent() {
    let stack = chain("vm");
    let bench = Bench::with_stack(&stack);
    bench.remove("vm/0.vhdx");
    let info = bench.run(&["info", "--json", "vm/1.vhdx"]).succeeds().json();
    let ids = &stack[1].ids;
    assert_eq!(info["kind"], "differencing");
    assert_eq!(info["data-write-guid"], ids.data_write.to_string());
    assert_eq!(info["virtual-disk-id"], ids.virtual_disk.to_string());
    assert_eq!(info["parent"]["linkage"], stack[0].ids.data_write.to_string());
    assert_eq!(info["parent"]["relative-path"], ".\\0.vhdx");
    assert_eq!(info["backing-filename"], ".\\0.vhdx");
    assert_eq!(info["blocks"]["partially-present"], 1);
    assert_eq!(info["blocks"]["zero"], 1);
    let text = bench.run(&["info", "vm/1.vhdx"]).succeeds();
    for part in
        ["differencing VHDX", "wants parent", &stack[0].ids.data_write.to_string(), "1 partial, 1 zero"]
    {
        assert!(text.text().contains(part), "{part}: {}", text.text());
    }
}

#[test]
fn a_chain_is_listed_leaf_first_and_each_knows_what_it_is_built_on() {
    let stack = chain("vm");
    let bench = Bench::with_stack(&stack);
    let infos = bench.run(&["info", "--chain", "--json", "vm"]).succeeds().json();
    let infos = infos.as_array().unwrap();
    let guids: Vec<_> = infos.iter().map(|info| info["data-write-guid"].as_str().unwrap()).collect();
    let expected: Vec<_> = stack.iter().rev().map(|image| image.ids.data_write.to_string()).collect();
    assert_eq!(guids, expected);
    for (child, parent) in infos.iter().zip(&infos[1..]) {
        assert_eq!(child["full-backing-filename"], parent["filename"]);
        assert_eq!(parent["found-by"], "stored-path");
    }
    assert!(infos[2].get("full-backing-filename").is_none());
    let text = bench.run(&["info", "--chain", "vm"]).succeeds();
    assert_eq!(text.text().matches("DataWriteGuid  ").count(), 3, "{}", text.text());
    assert_eq!(text.text().matches("built on").count(), 2);
}

#[test]
fn kinds_block_states_and_logs_are_told() {
    let bench = Bench::new();
    let mut image = small_base("base");
    image.blocks.insert(1, Block::absent(1));
    image.blocks.insert(3, Block::absent(3));
    let mut file = image.build();
    let sectors = image.metadata_sectors(&file);
    make_dirty(&mut file, &DirtyLog { sectors, ..DirtyLog::default() });
    bench.save("vm/dirty.vhdx", &file);
    let info = bench.run(&["info", "--json", "vm/dirty.vhdx"]).succeeds().json();
    assert_eq!((&info["kind"], &info["dirty-flag"]), (&"dynamic".into(), &true.into()));
    assert_eq!(info["log"]["state"], "replayed");
    let blocks = ["not-present", "undefined", "zero", "unmapped", "fully-present", "partially-present"];
    let counts = blocks.map(|state| info["blocks"][state].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 0, 1, 2, 0]);
    assert!(bench.run(&["info", "vm/dirty.vhdx"]).succeeds().text().contains("dirty; "));

    bench.forge("vm/fixed.vhdx", &zeros_of(64 << 20));
    let info = bench.run(&["info", "--json", "vm/fixed.vhdx"]).succeeds().json();
    assert_eq!((&info["kind"], &info["dirty-flag"]), (&"fixed".into(), &false.into()));
    assert_eq!(info["log"]["state"], "clean");
}

/// Names inside images come from anybody.
#[test]
fn stored_names_can_not_steer_the_terminal() {
    use vhdx_format::forge::{Image, Kind, Locator};
    let base = small_base("base");
    let mut child = Image::child("child", &base, "");
    child.creator = "evil\u{1b}[2J".to_owned();
    let locator = Locator::empty().linkage(base.ids.data_write).relative_path("\u{1b}]0;evil\u{7}.vhdx");
    child.kind = Kind::Differencing(locator);
    let bench = Bench::with_stack(&[child]);
    let text = bench.run(&["info", "vm/0.vhdx"]).succeeds();
    let failed = bench.run(&["vm/0.vhdx", "--out", "out/m.raw"]).fails(5);
    for text in [text.text(), &failed.stderr] {
        assert!(text.contains("evil"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
    }
}
