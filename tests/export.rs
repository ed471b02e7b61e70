//! The default action: a chain becomes one image, and the program says what it did.

use vhdx_format::forge::{DirtyLog, Image, Stale, disk_of, make_dirty};

use crate::harness::{Bench, Content, chain, geometry, guid, small_base};

const MIB: u64 = 1 << 20;

#[test]
fn every_state_of_a_chain_is_exported_in_every_way_to_ask_for_it() {
    let stack = chain("vm");
    let bench = Bench::with_stack(&stack);
    for depth in 0..stack.len() {
        let disk = Content::of(&disk_of(&stack[..=depth]));
        let source = format!("vm/{depth}.vhdx");
        assert_eq!(bench.disk_content(&source), disk);
        for (number, args) in [
            &["--out", "out/a.raw"][..],
            &["--out", "out/a.IMG"],
            &["export", "--out", "out/b.raw"],
            &["-o", "out/c", "-O", "raw"],
        ]
        .iter()
        .enumerate()
        {
            let target = args.iter().find(|arg| arg.starts_with("out/")).unwrap();
            let args = match args.split_first() {
                Some((&"export", rest)) => [&["export", source.as_str()], rest].concat(),
                _ => [&[source.as_str()], *args].concat(),
            };
            bench.run(&args).succeeds();
            assert_eq!(bench.content(target), disk, "way {number}");
            bench.remove(target);
            bench.remove(&format!("{target}.manifest.json"));
        }
        bench.run(&[&source, "--out", "out/m.vhdx"]).succeeds();
        assert_eq!(bench.disk_content("out/m.vhdx"), disk);
        bench.remove("out/m.vhdx");
        bench.remove("out/m.vhdx.manifest.json");
    }
    assert!(bench.names_in("out").is_empty());
}

#[test]
fn a_raw_file_keeps_its_holes() {
    use std::os::unix::fs::MetadataExt;
    let bench = Bench::new();
    let mut image = small_base("base");
    image.geometry = geometry(1 << 40, 512);
    bench.forge("vm/0.vhdx", &image);
    bench.run(&["vm/0.vhdx", "--out", "out/m.raw", "--digest", "blksum"]).succeeds();
    let written = std::fs::metadata(bench.path("out/m.raw")).unwrap();
    assert_eq!(written.len(), 1 << 40);
    assert!(written.blocks() * 512 < 8 * MIB, "{} bytes allocated", written.blocks() * 512);
}

#[test]
fn the_result_is_told_on_standard_output_unless_the_image_is_there() {
    let bench = Bench::with_stack(&chain("vm"));
    let told = bench.run(&["vm/2.vhdx", "--out", "out/m.vhdx"]).succeeds();
    for text in
        ["wrote     out/m.vhdx (VHDX of ", "state of  vm/2.vhdx", "built on ", "1.vhdx", "0.vhdx", "content "]
    {
        assert!(told.text().contains(text), "{text}: {}", told.text());
    }
    let streamed = bench.run(&["vm/2.vhdx", "--out", "-", "--format", "vhdx"]).succeeds();
    assert!(streamed.stdout.starts_with(b"vhdxfile"));
    assert_eq!(Content::of(&streamed.stdout), bench.content("out/m.vhdx"));
    streamed.says(&["wrote     - (VHDX of "]);
    let quiet = bench.run(&["vm/2.vhdx", "--out", "out/q.raw", "--quiet"]).succeeds();
    assert_eq!((quiet.text(), quiet.stderr.as_str()), ("", ""));
}

#[test]
fn json_says_what_was_read_and_written() {
    let stack = chain("vm");
    let bench = Bench::with_stack(&stack);
    let args = ["vm/2.vhdx", "--out", "out/m.vhdx", "--json", "--block-size", "1M", "--disk-id", "keep"];
    let report = bench.run(&args).succeeds().json();
    let size = stack[0].geometry.size();
    assert_eq!(report["artifact"]["path"], "out/m.vhdx");
    assert_eq!(report["artifact"]["format"], "vhdx");
    assert_eq!(report["artifact"]["size"], bench.content("out/m.vhdx").len);
    assert_eq!(report["artifact"]["block_size"], MIB);
    assert_eq!(report["artifact"]["virtual_disk_id"], stack[2].ids.virtual_disk.to_string());
    assert_eq!(report["disk"]["virtual_size"], size);
    let tally = |name: &str| report["disk"][name].as_u64().unwrap();
    assert_eq!(tally("data") + tally("zeros"), size);
    let links = report["chain"].as_array().unwrap();
    let guids: Vec<_> = links.iter().map(|link| link["data_write_guid"].as_str().unwrap()).collect();
    let expected: Vec<_> = stack.iter().rev().map(|image| image.ids.data_write.to_string()).collect();
    assert_eq!(guids, expected);
    // To a pipe the report goes to the other side.
    let piped = bench.run(&["vm/2.vhdx", "--out", "-", "--format", "raw", "--json", "--progress", "none"]);
    let report: serde_json::Value = serde_json::from_str(&piped.succeeds().stderr).unwrap();
    assert_eq!(report["artifact"]["path"], "-");
}

#[test]
fn the_disk_gets_a_new_identity_unless_the_old_one_is_to_be_kept() {
    let stack = chain("vm");
    let bench = Bench::with_stack(&stack);
    let id_with = |options: &[&str]| {
        bench.run(&[&["vm/2.vhdx", "--force", "--out", "out/m.vhdx"], options].concat()).succeeds();
        let info = bench.run(&["info", "--json", "out/m.vhdx"]).succeeds().json();
        let text = |name: &str| info[name].as_str().unwrap().to_owned();
        (text("virtual-disk-id"), text("data-write-guid"))
    };
    let source = stack[2].ids.virtual_disk.to_string();
    let (new, new_data) = id_with(&[]);
    let (kept, kept_data) = id_with(&["--disk-id", "keep"]);
    assert_ne!(new, source);
    assert_eq!(kept, source);
    // Children of the source must never take the copy for their parent.
    for data in [new_data, kept_data] {
        assert!(stack.iter().all(|image| image.ids.data_write.to_string() != data));
    }
    assert_ne!(id_with(&["--block-size", "4M"]).0, new);
    assert_eq!(id_with(&[]).0, new);
}

#[test]
fn a_dirty_log_is_replayed_in_memory_and_said() {
    let mut stack = chain("vm");
    let disk = Content::of(&disk_of(&stack));
    let bench = Bench::with_stack(&stack);
    for (number, image) in stack.iter_mut().enumerate() {
        let mut file = image.build();
        let sectors = image.metadata_sectors(&file);
        let log =
            DirtyLog { log: guid(9), sectors, stale: Stale::Garbage, torn: true, ..DirtyLog::default() };
        make_dirty(&mut file, &log);
        bench.save(&format!("vm/{number}.vhdx"), &file);
    }
    assert_eq!(bench.disk_content("vm/2.vhdx"), disk);
    bench
        .run(&["vm/2.vhdx", "--out", "out/m.raw"])
        .succeeds()
        .says(&["note: the log of `vm/2.vhdx` was replayed in memory", "0.vhdx` was replayed"]);
}

#[test]
fn a_child_that_grew_or_shrank_gives_its_own_size() {
    let mut stack = chain("vm");
    for size in [9 * MIB + 512, 2 * MIB, 512] {
        let mut child = Image::child("resized", &stack[2], "2.vhdx");
        child.geometry = geometry(size, 512);
        stack.truncate(3);
        stack.push(child);
        let bench = Bench::with_stack(&stack);
        let outcome = bench.run(&["vm/3.vhdx", "--out", "out/m.raw"]).succeeds();
        assert_eq!(bench.content("out/m.raw"), Content::of(&disk_of(&stack)));
        outcome.says(&["note: ", "2.vhdx` has 4 MiB", "there are zeros"]);
    }
}

#[test]
fn progress_is_shown_in_the_form_that_was_asked_for() {
    let bench = Bench::with_stack(&chain("vm"));
    let shown = |style: &str| {
        let args = ["vm/2.vhdx", "--out", "-", "--format", "raw", "--progress", style];
        bench.run(&args).succeeds().stderr
    };
    assert!(shown("lines").contains("100% of "));
    assert!(shown("json").contains("\"event\":\"progress\""));
    assert!(!shown("none").contains('%'));
}
