//! What stands beside an image: when it is written, what is in it, what it replaces, and that it says nothing of the
//! machine.

use serde_json::{Value, json};
use vhdx_format::forge::disk_of;

use crate::harness::{Bench, Digests, Web01, chain, has_tool, hex_sha256, sparse_chain};

/// Holds a manifest to the checked-in schema, as anybody would.
#[track_caller]
fn fits_the_schema(manifest: &Value) {
    let schema = include_str!("../crates/export-manifest/schema/manifest-1.json");
    let schema: Value = serde_json::from_str(schema).unwrap();
    let name = "urn:vhdx-export:manifest:1";
    let mut compiler = boon::Compiler::new();
    compiler.add_resource(name, schema).unwrap();
    let mut schemas = boon::Schemas::new();
    let index = compiler.compile(name, &mut schemas).unwrap();
    if let Err(error) = schemas.validate(manifest, index) {
        panic!("{error:#}\n{manifest:#}");
    }
}

#[test]
fn a_manifest_tells_what_was_read_and_written_and_fits_its_schema() {
    let web01 = Web01::new();
    let stack = [web01.base.clone(), web01.current.clone()];
    let bench = &web01.bench;
    let args = ["vm", "--checkpoint", "@current", "--disk", "web01"];
    bench.run(&[&args[..], &["--out", "out/m.vhdx", "--fixed"]].concat()).succeeds();
    let manifest = bench.json("out/m.vhdx.manifest.json");
    fits_the_schema(&manifest);
    assert_eq!(manifest["content"], Digests::of(&disk_of(&stack)).document());
    assert_eq!(manifest["source"]["vm"]["name"], "web01");
    assert_eq!(manifest["source"]["checkpoint"]["name"], "@current");
    assert_eq!(manifest["source"]["slot"], "scsi0:0");
    let chain = manifest["source"]["chain"].as_array().unwrap();
    for (link, (image, name)) in
        chain.iter().zip([(&web01.current, "web01_A.avhdx"), (&web01.base, "web01.vhdx")])
    {
        assert_eq!(link["filename"], name);
        assert_eq!(link["format"], "vhdx");
        assert_eq!(link["data_write_guid"], image.ids.data_write.to_string());
        assert_eq!(link["virtual_disk_id"], image.ids.virtual_disk.to_string());
        assert_eq!(link["log"], json!({"state": "clean"}));
    }
    let options = &manifest["artifact"]["options"];
    assert_eq!(options["allocation"], "fixed");
    assert_eq!(options["block_size"], 2 << 20);
    let info = bench.run(&["info", "--json", "out/m.vhdx"]).succeeds().json();
    assert_eq!(options["virtual_disk_id"], info["virtual-disk-id"]);

    // Where it is a raw disk that was read, and whatever the options.
    bench.run(&[&args[..], &["--out", "out/m.raw"]].concat()).succeeds();
    for (source, target, options) in [
        ("out/m.raw", "a.raw", &["--digest", "none"][..]),
        ("out/m.raw", "b.raw.zst", &["--compress", "zstd:1", "--digest", "sha256"]),
        ("out/b.raw.zst", "c.raw.xz", &["--digest", "blksum", "--sector-size", "4096"]),
        ("out/b.raw.zst", "d.vhdx", &[]),
    ] {
        let target = format!("out/{target}");
        bench.run(&[&[source, "--out", &target], options].concat()).succeeds();
        let manifest = bench.json(&format!("{target}.manifest.json"));
        fits_the_schema(&manifest);
        let link = &manifest["source"]["chain"][0];
        assert_eq!(link["filename"], source.trim_start_matches("out/"));
        assert!(link.get("data_write_guid").is_none());
    }
}

/// The same chain and options: the same bytes, image and all that stands beside it, wherever the folders lie and however
/// many processors there are.
#[test]
fn the_same_export_gives_the_same_files_anywhere() {
    let stack = sparse_chain("vm");
    let one_processor: &[&str] =
        if has_tool("taskset", "util-linux") { &["taskset", "-c", "0"] } else { &["env"] };
    for format in ["raw", "raw.zst", "raw.gz", "raw.xz", "vhdx"] {
        let written = |wrapper: &[&str]| {
            let bench = Bench::with_stack(&stack);
            let out = format!("out/m.{format}");
            let map = if format == "vhdx" { &[][..] } else { &["--bmap"] };
            let args = [&["vm/2.vhdx", "--sums", "--out", &out], map].concat();
            bench.call(&args).within(wrapper).run().succeeds();
            let names = bench.names_in("out");
            assert_eq!(names.len(), 3 + map.len(), "{names:?}");
            let root = bench.path("").to_str().unwrap().trim_end_matches('/').to_owned();
            for name in names.iter().filter(|name| **name != format!("m.{format}")) {
                let text = String::from_utf8(bench.bytes(&format!("out/{name}"))).unwrap();
                assert!(!text.contains(&root), "{name} tells where it was written:\n{text}");
            }
            names.into_iter().map(|name| (hex_sha256(&bench.bytes(&format!("out/{name}"))), name)).collect()
        };
        let first: Vec<(String, String)> = written(&["env"]);
        assert_eq!(first, written(&["env"]));
        assert_eq!(first, written(one_processor));
    }
}

/// What was said while a chain was found is in the manifest, without the folders that it was found in.
#[test]
fn warnings_name_files_and_no_folders() {
    let stack = chain("vm");
    let bench = Bench::new();
    bench.forge("vm/a/0.vhdx", &stack[0]);
    bench.forge("vm/b/renamed.vhdx", &stack[1]);
    bench.forge("vm/b/2.vhdx", &stack[2]);
    let root = bench.path("");
    let source = bench.path("vm/b/2.vhdx");
    let parents = bench.path("vm/a");
    let args =
        [source.to_str().unwrap(), "--parent-dir", parents.to_str().unwrap(), "--out", "out/m.raw", "--json"];
    let report = bench.run(&args).succeeds().json();
    assert!(!report["warnings"].as_array().unwrap().is_empty());
    let manifest = bench.json("out/m.raw.manifest.json");
    fits_the_schema(&manifest);
    let text = manifest.to_string();
    assert!(!manifest["warnings"].as_array().unwrap().is_empty());
    assert!(text.contains("renamed.vhdx"), "{text}");
    assert!(!text.contains(root.to_str().unwrap().trim_end_matches('/')), "{text}");
}

#[test]
fn the_manifest_goes_where_it_is_told() {
    let bench = Bench::with_stack(&chain("vm"));
    bench.run(&["vm/2.vhdx", "--out", "out/m.raw", "--manifest", "none"]).succeeds();
    assert_eq!(bench.names_in("out"), ["m.raw"]);
    bench.run(&["vm/2.vhdx", "--out", "out/n.raw", "--manifest", "out/other.json"]).succeeds();
    assert_eq!(bench.names_in("out"), ["m.raw", "n.raw", "other.json"]);
    let stream = ["vm/2.vhdx", "--out", "-", "--format", "raw"];
    bench.run(&stream).succeeds();
    assert_eq!(bench.names_in("out"), ["m.raw", "n.raw", "other.json"]);
    bench.run(&[&stream[..], &["--manifest", "out/stream.json"]].concat()).succeeds();
    bench.run(&["verify", "out/n.raw", "--manifest", "out/stream.json"]).succeeds();
    bench.run(&["vm/2.vhdx", "--out", "out/x.raw", "--manifest", "out/absent/m.json"]).fails(4);
    // Neither a source nor the image itself.
    for (manifest, code) in [("vm/0.vhdx", 7), ("vm/2.vhdx", 7)] {
        bench
            .run(&["vm/2.vhdx", "--out", "out/x.raw", "--force", "--manifest", manifest])
            .fails(code)
            .says(&["is one of the sources"]);
    }
}

#[test]
fn what_can_not_stand_beside_an_image_is_refused() {
    let bench = Bench::with_stack(&chain("vm"));
    let cases: [(&[&str], &str); 13] = [
        (&["--out", "out/", "--manifest", "out/m.json"], "one --manifest cannot be that of several disks"),
        (&["--out", "out/m.vhdx", "--bmap"], "--bmap makes sense for raw images only"),
        (&["--out", "out/", "--bmap"], "--bmap makes sense for raw images only"),
        (&["--out", "-", "--format", "raw", "--bmap"], "--bmap makes sense for an image in a file only"),
        (&["--out", "-", "--format", "raw.zst", "--sums"], "--sums makes sense for an image in a file only"),
        (&["--out", "out/m.raw.zst", "--compress", "gzip:3"], "--compress gzip:3 does not make raw.zst"),
        (&["--out", "out/m.raw", "--compress", "zstd"], "--compress zstd:3 does not make raw"),
        (&["--out", "out/m.vhdx", "--compress", "xz:1"], "--compress xz:1 does not make vhdx"),
        (&["--out", "out/m.raw.zst", "--compress", "zstd:99"], "its levels are 1 to 22"),
        (&["--out", "out/m.raw.gz", "--compress", "gzip:0"], "its levels are 1 to 9"),
        (&["--out", "out/m.raw.xz", "--compress", "xz:10"], "its levels are 0 to 9"),
        (&["--out", "out/m.raw.zst", "--compress", "lz4"], "`lz4` is no compression"),
        (&["--out", "out/m.raw.zst", "--fixed"], "--fixed makes sense for VHDX only"),
    ];
    for (args, text) in cases {
        bench.run(&[&["vm/2.vhdx"], args].concat()).fails(2).says(&[text]);
    }
}

#[test]
fn compression_is_told_by_the_manifest_and_names_the_files_of_a_folder() {
    let bench = Bench::with_stack(&chain("vm"));
    for (level, suffix) in [("zstd:3", "raw.zst"), ("gzip", "raw.gz"), ("xz:0", "raw.xz")] {
        bench.run(&["vm/2.vhdx", "--out", "out/", "--compress", level]).succeeds();
        let name = format!("2.{suffix}");
        let manifest = bench.json(&format!("out/{name}.manifest.json"));
        let level = if level == "gzip" { "gzip:6" } else { level };
        assert_eq!(manifest["artifact"]["options"], json!({"compression": level}));
        assert_eq!(manifest["artifact"]["filename"], name);
        assert_eq!(manifest["artifact"]["format"], suffix);
    }
    assert_eq!(bench.names_in("out").len(), 6, "{:?}", bench.names_in("out"));
    // To a stream, it is the format as well.
    let stream = bench.run(&["vm/2.vhdx", "--out", "-", "--compress", "zstd:9"]).succeeds();
    assert!(stream.stdout.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
}

#[test]
fn what_is_there_is_replaced_by_force_only() {
    let bench = Bench::with_stack(&chain("vm"));
    let all = ["vm/2.vhdx", "--out", "out/m.raw", "--sums", "--bmap"];
    for name in ["m.raw.manifest.json", "m.raw.sha256", "m.raw.bmap"] {
        let name = format!("out/{name}");
        bench.write(&name, b"precious");
        bench.run(&all).fails(7).says(&["exists", &name, "hint: --force"]);
        assert_eq!(bench.bytes(&name), b"precious");
        bench.remove(&name);
    }
    // Nor is it left to speak of an image that it is not of.
    bench.write("out/m.raw.bmap", b"precious");
    for args in [&["--manifest", "none"][..], &[]] {
        bench
            .run(&[&["vm/2.vhdx", "--out", "out/m.raw"], args].concat())
            .fails(7)
            .says(&["m.raw.bmap` exists"]);
    }
    bench.run(&[&all[..], &["--force"]].concat()).succeeds();
    assert_eq!(bench.names_in("out"), ["m.raw", "m.raw.bmap", "m.raw.manifest.json", "m.raw.sha256"]);
    assert_ne!(bench.bytes("out/m.raw.bmap"), b"precious");
}

/// An image that is replaced by another leaves nothing that speaks of the old one.
#[test]
fn what_belonged_to_a_replaced_image_goes_with_it() {
    let bench = Bench::with_stack(&chain("vm"));
    let all = ["vm/2.vhdx", "--out", "out/m.raw", "--sums", "--bmap", "--force"];
    bench.run(&all).succeeds();
    bench.write("out/m.raw.notes", b"precious");
    bench.run(&["vm/1.vhdx", "--out", "out/m.raw", "--force"]).succeeds();
    assert_eq!(bench.names_in("out"), ["m.raw", "m.raw.manifest.json", "m.raw.notes"]);
    bench.run(&["verify", "out/m.raw"]).succeeds();
    bench.run(&all).succeeds();
    bench.run(&["vm/1.vhdx", "--out", "out/m.raw", "--force", "--manifest", "none"]).succeeds();
    assert_eq!(bench.names_in("out"), ["m.raw", "m.raw.notes"]);
    bench.run(&all).succeeds();
    bench.run(&["vm/1.vhdx", "--out", "out/m.raw", "--force", "--manifest", "out/x.json"]).succeeds();
    assert_eq!(bench.names_in("out"), ["m.raw", "m.raw.notes", "x.json"]);
    // An export that fails replaces nothing.
    bench.run(&all).succeeds();
    bench.run(&["vm/absent.vhdx", "--out", "out/m.raw", "--force"]).fails(4);
    bench.run(&["verify", "out/m.raw"]).succeeds();
}
