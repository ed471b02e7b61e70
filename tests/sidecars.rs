//! Where a manifest can not stand: said before anything is written, and nothing that is there is harmed.

use std::fs;

use crate::harness::{Bench, chain};

fn bench() -> Bench {
    Bench::with_stack(&chain("vm"))
}

#[test]
fn a_manifest_without_a_folder_is_refused_before_anything_is_written() {
    let bench = bench();
    for (target, format) in
        [("out/m.raw", "raw"), ("out/m.raw.zst", "raw.zst"), ("out/m.vhdx", "vhdx"), ("-", "raw")]
    {
        for force in [&[][..], &["--force"]] {
            let args = ["vm/2.vhdx", "--out", target, "--format", format, "--manifest", "out/absent/m.json"];
            // Nothing on standard output either: `fails` looks.
            bench.run(&[&args[..], force].concat()).fails(4).says(&["`out/absent` is no directory"]);
        }
    }
}

#[test]
fn a_source_is_never_a_manifest() {
    let bench = bench();
    bench.link("out/link.json", "../vm/0.vhdx");
    fs::hard_link(bench.path("vm/1.vhdx"), bench.path("out/hard.json")).unwrap();
    for manifest in ["vm/2.vhdx", "./vm/../vm/1.vhdx", "out/link.json", "out/hard.json"] {
        for force in [&[][..], &["--force"]] {
            let args = ["vm/2.vhdx", "--out", "out/m.raw", "--manifest", manifest];
            bench.run(&[&args[..], force].concat()).fails(7).says(&["is one of the sources", manifest]);
        }
    }
    // Nor where nobody has named it: beside the image.
    bench.link("out/n.raw.manifest.json", "../vm/2.vhdx");
    bench.run(&["vm/2.vhdx", "--out", "out/n.raw", "--force"]).fails(7).says(&["is one of the sources"]);
}

#[test]
fn what_is_there_is_replaced_by_force_only() {
    let bench = bench();
    for name in ["out/m.raw.manifest.json", "out/m.raw.sha256", "out/m.raw.bmap"] {
        bench.write(name, b"precious");
        let args = ["vm/2.vhdx", "--out", "out/m.raw", "--sums", "--bmap"];
        bench.run(&args).fails(7).says(&[&format!("`{name}` exists"), "hint: "]);
        bench.remove(name);
    }
    bench.write("out/proof", b"precious");
    let args = ["vm/2.vhdx", "--out", "out/m.raw", "--manifest", "out/proof"];
    bench.run(&args).fails(7).says(&["`out/proof` exists"]);
    bench.run(&[&args[..], &["--force"]].concat()).succeeds();
    bench.run(&["verify", "out/m.raw", "--manifest", "out/proof"]).succeeds();
    // Never a folder.
    fs::create_dir(bench.path("out/folder")).unwrap();
    let args = ["vm/2.vhdx", "--out", "out/n.raw", "--force", "--manifest", "out/folder"];
    bench.run(&args).fails(7).says(&["is a directory"]);
}

/// Under whatever path: the name is compared in the folder that it really lies in.
#[test]
fn a_manifest_takes_no_name_that_the_same_export_uses() {
    let bench = bench();
    bench.link("out/here", ".");
    let told = "cannot be the manifest: the export writes something else under that name";
    for (target, manifest) in [
        ("out/m.raw", "out/m.raw"),
        ("out/m.raw", "./out/../out/m.raw"),
        ("out/m.raw", "out/here/m.raw"),
        ("out/here/m.raw", "out/m.raw"),
        ("out/m.raw", "out/m.raw.partial"),
        ("out/m.raw.partial", "out/m.raw"),
        ("out/m.raw", "out/m.raw.bmap"),
        ("out/m.raw", "out/m.raw.sha256"),
        ("out/m.raw", "out/m.raw.sha256.partial"),
    ] {
        for force in [&[][..], &["--force"]] {
            let args =
                ["vm/2.vhdx", "--format", "raw", "--sums", "--bmap", "--out", target, "--manifest", manifest];
            bench.run(&[&args[..], force].concat()).fails(2).says(&[
                told,
                manifest,
                "hint: name another file with --manifest",
            ]);
        }
    }
    // One that is there and may be replaced is no place for it either.
    bench.write("out/m.raw", b"precious");
    let args = ["vm/2.vhdx", "--out", "out/m.raw", "--manifest", "out/m.raw", "--force"];
    bench.run(&args).fails(2).says(&[told]);
    assert_eq!(bench.names_in("out"), ["here", "m.raw"]);
    bench.remove("out/m.raw");
}
