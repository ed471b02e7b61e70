//! One disk has one set of digests, whatever holds it: every format, a file or a stream, its source or its copy. They are
//! what the documentation of the manifest says, made once more by the harness.

use vhdx_format::forge::disk_of;

use crate::harness::{Bench, Digests, chain, has_tool, hex_sha256, sparse_chain};

/// Every format of an artifact.
const FORMATS: [&str; 5] = ["raw", "raw.zst", "raw.gz", "raw.xz", "vhdx"];

#[test]
fn every_format_has_the_digests_of_the_disk_in_its_manifest() {
    let stack = sparse_chain("vm");
    let bench = Bench::with_stack(&stack);
    let digests = Digests::of(&disk_of(&stack));
    // The second range has stored zeros and nothing else.
    assert!(digests.document()["blksum"]["ranges"][1].is_null());
    for format in FORMATS {
        let file = format!("out/m.{format}");
        bench.run(&["vm/2.vhdx", "--out", &file]).succeeds();
        let manifest = bench.json(&format!("{file}.manifest.json"));
        assert_eq!(manifest["content"], digests.document(), "{format}");
        assert_eq!(manifest["disk"]["virtual_size"], stack[0].geometry.size());
        let artifact = bench.bytes(&file);
        assert_eq!(manifest["artifact"]["sha256"], hex_sha256(&artifact), "{format}");
        assert_eq!(manifest["artifact"]["size"], artifact.len());
        assert_eq!(manifest["artifact"]["filename"], format!("m.{format}"));

        let args = ["vm/2.vhdx", "--out", "-", "--format", format, "--manifest", "out/stream.json"];
        let (outcome, streamed) = bench.call(&[&args[..], &["--force"]].concat()).run_reading(|stream| {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).unwrap();
            bytes
        });
        outcome.succeeds();
        let of_stream = bench.json("out/stream.json");
        assert_eq!(of_stream["content"], digests.document(), "stream of {format}");
        assert_eq!(of_stream["artifact"]["sha256"], hex_sha256(&streamed), "stream of {format}");
        assert_eq!(of_stream["artifact"]["filename"], "-");
        assert!(streamed == artifact, "{format}: file and stream differ");
    }
    for source in ["vm/2.vhdx", "out/m.raw", "out/m.raw.zst", "out/m.vhdx"] {
        assert_eq!(bench.run(&["hash", source]).succeeds().text(), digests.lines(), "{source}");
    }
    if has_tool("sha256sum", "coreutils") {
        let line = bench.shell("out", "sha256sum m.raw");
        assert_eq!(line, format!("{}  m.raw\n", digests.sha256));
    }
}

/// Vectors of the tool `blksum`, from its documentation.
#[test]
fn the_blksum_is_that_of_the_tool_of_that_name() {
    let bench = Bench::new();
    let (a, zeros, b) = (vec![b'A'; 64 << 10], vec![0; 64 << 10], vec![b'B'; 32 << 10]);
    for (number, (content, expected)) in [
        (a.clone(), "2e3a5f57d5e726ee5de62db1a85ff816f4fa6ea4627807d9a51bdc4c883e165e"),
        (vec![0; 1 << 20], "3dd455346755274ce76f1c555df5e05c1cdd8da4b1c70ab7c2a6b09f51bb5ce0"),
        ([a, zeros, b].concat(), "c36703dbf20c51247b8af34524a6aa4218450b3db44c9a08bddfce190e28ce93"),
    ]
    .into_iter()
    .enumerate()
    {
        let source = format!("vm/{number}.raw");
        bench.write(&source, &content);
        let line = format!("blksum:{expected}\n");
        assert_eq!(bench.run(&["hash", "--digest", "blksum", &source]).succeeds().text(), line);
        let copy = format!("out/{number}.raw.zst");
        bench.run(&[&source, "--out", &copy, "--digest", "blksum"]).succeeds();
        let manifest = bench.json(&format!("{copy}.manifest.json"));
        assert_eq!(manifest["content"]["blksum"]["value"], expected);
        assert_eq!(bench.run(&["hash", "--digest", "blksum", &copy]).succeeds().text(), line);
    }
}

#[test]
fn only_the_digests_that_were_asked_for_are_there() {
    let stack = chain("vm");
    let bench = Bench::with_stack(&stack);
    let digests = Digests::of(&disk_of(&stack));
    for (choice, sha256, blksum) in [
        (&[][..], true, true),
        (&["--digest", "sha256"], true, false),
        (&["--digest", "blksum"], false, true),
        (&["--digest", "blksum,sha256"], true, true),
        (&["--digest", "sha256", "--digest", "blksum"], true, true),
        (&["--digest", "none"], false, false),
    ] {
        let mut expected = digests.document();
        let fields = expected.as_object_mut().unwrap();
        fields.retain(|name, _| if name == "sha256" { sha256 } else { blksum });
        for format in ["raw", "raw.zst"] {
            let file = format!("out/m.{format}");
            let args = ["vm/2.vhdx", "--out", &file, "--force", "--json"];
            let report = bench.run(&[&args, choice].concat()).succeeds().json();
            let manifest = bench.json(&format!("{file}.manifest.json"));
            assert_eq!(manifest["content"], expected, "{choice:?}");
            // The report has the digests of the whole, under the same names.
            assert_eq!(report["content"]["sha256"], expected["sha256"]);
            assert_eq!(report["content"]["blksum"], expected["blksum"]["value"]);
            // The SHA-256 of a bare file is that of its content: there is none without it.
            let of_file = manifest["artifact"].get("sha256");
            let has_one = if format == "raw" { sha256 } else { sha256 || blksum };
            assert_eq!(of_file.is_some(), has_one, "{choice:?} {format}");
            assert!(of_file.is_none_or(|digest| *digest == hex_sha256(&bench.bytes(&file))));
        }
        if sha256 || blksum {
            let hashed = bench.run(&[&["hash", "vm/2.vhdx"], choice].concat()).succeeds();
            let lines: String = digests
                .lines()
                .split_inclusive('\n')
                .filter(|line| if line.starts_with("sha256:") { sha256 } else { blksum })
                .collect();
            assert_eq!(hashed.text(), lines, "{choice:?}");
        }
    }
}

#[test]
fn several_sources_are_hashed_with_their_names() {
    let stack = chain("vm");
    let bench = Bench::with_stack(&stack);
    bench.write("vm/a b.raw", &[7; 4096]);
    let sources = ["vm/2.vhdx", "vm/0.vhdx", "vm/a b.raw"];
    let disks = [disk_of(&stack), disk_of(&stack[..1]), vec![7; 4096]];
    let digests: Vec<_> = disks.iter().map(|disk| Digests::of(disk)).collect();
    let lines = sources.iter().zip(&digests).fold(String::new(), |lines, (source, of)| {
        lines + &of.lines().replace('\n', &format!("  {source}\n"))
    });
    assert_eq!(bench.run(&[&["hash"], &sources[..]].concat()).succeeds().text(), lines);
    let report = bench.run(&[&["hash", "--json"], &sources[..]].concat()).succeeds().json();
    for (number, of) in digests.iter().enumerate() {
        assert_eq!(report[number]["source"], sources[number]);
        assert_eq!(report[number]["virtual_size"], disks[number].len());
        assert_eq!(report[number]["content"]["sha256"], of.sha256);
        assert_eq!(report[number]["content"]["blksum"], of.blksum);
    }
    // One source needs no name, and the folder of the bench is one by default.
    bench.remove("vm/a b.raw");
    bench.remove("vm/0.vhdx");
    bench.run(&["hash", "vm/2.vhdx"]).fails(5);
    bench.forge("vm/0.vhdx", &stack[0]);
    let hashed = bench.call(&["hash"]).from("vm").run().succeeds();
    assert_eq!(hashed.text(), digests[0].lines());
}

#[test]
fn digests_that_make_no_sense_are_refused() {
    let bench = Bench::with_stack(&chain("vm"));
    let cases: [(&[&str], &str); 9] = [
        (&["vm/2.vhdx", "--out", "out/m.raw", "--digest", "none,sha256"], "--digest none cannot be combined"),
        (
            &["vm/2.vhdx", "--out", "out/m.vhdx", "--digest", "blksum,none"],
            "--digest none cannot be combined",
        ),
        (&["vm/2.vhdx", "--out", "out/m.raw", "--digest", "md5"], "md5"),
        (&["vm/2.vhdx", "--out", "out/m.raw", "--digest", "blksum", "--sums"], "--sums needs the SHA-256"),
        (&["vm/2.vhdx", "--out", "out/m.raw.zst", "--digest", "none", "--sums"], "--sums needs the SHA-256"),
        (&["hash", "vm/2.vhdx", "--digest", "none"], "hash needs a digest"),
        (&["hash", "vm/2.vhdx", "--digest", "none,blksum"], "--digest none cannot be combined"),
        (&["hash", "vm/2.vhdx", "vm/1.vhdx", "--checkpoint", "1"], "several SOURCEs cannot share"),
        (&["hash", "vm/2.vhdx", "--digest", ""], "--digest"),
    ];
    for (args, text) in cases {
        bench.run(args).fails(2).says(&[text]);
    }
}

/// One that can not be read keeps none of the others from being digested, and gives its code.
#[test]
fn of_several_sources_each_that_can_be_read_is_digested() {
    let bench = Bench::with_stack(&chain("vm"));
    bench.write("vm/damaged.vhdx", b"vhdxfile and nothing else");
    let all = ["hash", "vm/0.vhdx", "vm/absent.vhdx", "vm/damaged.vhdx", "vm/2.vhdx"];
    let hashed = bench.run(&all).ends_with(4).says(&["absent.vhdx", "damaged.vhdx"]);
    let lines: Vec<&str> = hashed.text().lines().collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines[0].ends_with("  vm/0.vhdx") && lines[3].ends_with("  vm/2.vhdx"));
    let report = bench.run(&[&all[..], &["--json"]].concat()).ends_with(4).json();
    assert_eq!(report.as_array().unwrap().len(), 2);
    assert_eq!(report[1]["source"], "vm/2.vhdx");
}
