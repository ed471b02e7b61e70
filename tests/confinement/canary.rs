//! A secret in files that are not what they seem: whatever leads there, nothing of it is said.
//!
//! A service that runs as root may be pointed at any file of the machine, by a link or by a path inside of an image.

use std::fs;

use vhdx_format::forge::{Image, Kind, Locator};

use crate::harness::{Bench, Outcome, Web01, chain, small_base};

/// Without a character that any quoting would change.
const SECRET: &str = "hunter2xQJ7";

/// Files that hold it, as many as there are ways to be nearly something else.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let text = |text: &str| text.replace("SECRET", SECRET).into_bytes();
    let schema = r#"{"schema": "vhdx-export-manifest", "schema_version": 1, "#;
    let mut image = b"vhdxfile".to_vec();
    image.resize(1 << 20, b' ');
    for at in [8, 0x10000, 0x20000, 0x30000, 0x40000] {
        image[at..at + SECRET.len()].copy_from_slice(SECRET.as_bytes());
    }
    let store = [&[0x14, 0x20, 0x28, 0x01][..], &SECRET.as_bytes().repeat(2000)].concat();
    let seekable = [SECRET.as_bytes().repeat(10).as_slice(), &0x8F92_EAB1_u32.to_le_bytes()].concat();
    vec![
        ("words", text("root:SECRET:0:SECRET:\n")),
        ("one word", text("SECRET")),
        ("a document", text(r#"{"password": "SECRET", "SECRET": "SECRET"}"#)),
        ("a list", text(r#"["SECRET"]"#)),
        ("a text", text(r#""SECRET""#)),
        ("a broken document", text(r#"{"SECRET": SECRET}"#)),
        ("a schema of its own", text(r#"{"schema": "SECRET", "schema_version": "SECRET"}"#)),
        ("a manifest with a field of its own", text(&format!(r#"{schema} "SECRET": 1}}"#))),
        ("a manifest with another value", text(&format!(r#"{schema} "tool": "SECRET"}}"#))),
        (
            "a manifest with another format",
            text(&format!(r#"{schema} "artifact": {{"format": "SECRET"}}}}"#)),
        ),
        ("a manifest with no digest", text(&format!(r#"{schema} "manifest_sha256": "SECRET"}}"#))),
        ("tags that do not match", text("<SECRET><a></SECRET>")),
        ("a tag that is not closed", text("<a SECRET=\"SECRET")),
        ("an end without a beginning", text("</SECRET>")),
        ("an attribute twice", text("<a SECRET=\"1\" SECRET=\"2\"/>")),
        ("an attribute without a value", text("<a type SECRET/>")),
        ("an attribute without quotes", text("<a type=SECRET/>")),
        ("an entity", text("<a>&SECRET;</a>")),
        ("a number of no character", text("<a>&#SECRET;</a>")),
        ("a declaration", text("<?xml SECRET='1'?><a/>")),
        ("a document type", text("<!DOCTYPE SECRET><a/>")),
        ("markup", text("<a><!SECRET></a>")),
        ("a whole document of another kind", text("<SECRET type=\"SECRET\">SECRET</SECRET>")),
        ("an image behind its first bytes", image),
        ("a store behind its first bytes", store),
        ("frames before their last bytes", seekable),
    ]
}

/// Nothing of it in either output, neither as text nor as a number or bytes in hexadecimal digits.
#[track_caller]
fn keeps_silent(what: &str, outcome: &Outcome) {
    let said = format!("{}\n{}", String::from_utf8_lossy(&outcome.stdout), outcome.stderr).to_lowercase();
    assert!(!said.contains(&SECRET.to_lowercase()), "{what}: {said}");
    // Numbers and GUIDs may be said of what begins as an image, a store or a file of frames does.
    if what.ends_with("bytes") {
        return;
    }
    for part in SECRET.as_bytes().windows(4) {
        let number = u32::from_be_bytes(part.try_into().unwrap());
        for digits in [format!("{number:08x}"), format!("{:08x}", number.swap_bytes())] {
            assert!(!said.contains(&digits), "{what}: {said}");
        }
    }
}

#[test]
fn nothing_of_a_source_that_is_none_is_said() {
    const NAMES: [&str; 4] = ["x", "x.avhdx", "x.xml", "x.raw.zst"];
    for (what, content) in files() {
        let bench = Bench::new();
        bench.write("secret", &content);
        for name in NAMES {
            let source = format!("vm/{name}");
            bench.link(&source, "../secret");
            keeps_silent(what, &bench.run(&["info", &source]));
            keeps_silent(what, &bench.run(&[&source, "--out", "out/m.vhdx"]));
            bench.remove(&source);
        }
    }
}

/// Not only by a link that is refused: the files themselves lie in the folder, under every name that means something.
#[test]
fn nothing_of_a_file_in_a_folder_is_said() {
    for (what, content) in files() {
        let web01 = Web01::new();
        for name in
            ["x.vhdx", "x.avhdx", "x.xml", "x.vmcx", "Snapshots/00000000-0000-0000-0000-000000000099.xml"]
        {
            web01.bench.write(&format!("vm/{name}"), &content);
        }
        web01.bench.write("vm/Virtual Machines/00000000-0000-0000-0000-000000000098.vmcx", &content);
        let calls: [&[&str]; 3] =
            [&["check", "vm"], &["list", "vm", "--json"], &["vm", "--out", "out/m.raw"]];
        for args in calls {
            keeps_silent(what, &web01.bench.run(args));
        }
    }
}

#[test]
fn nothing_of_a_parent_that_is_none_is_said() {
    for (what, content) in files() {
        let bench = Bench::with_stack(&chain("vm"));
        bench.write("vm/0.vhdx", &content);
        for args in
            [&["vm/2.vhdx", "--out", "out/m.raw"][..], &["info", "--chain", "vm/2.vhdx"], &["check", "vm"]]
        {
            keeps_silent(what, &bench.run(args));
        }
    }
}

/// The file that a hostile image leads to is named by the image, which may say that it expects its content there.
#[test]
fn nothing_of_the_file_is_said_that_a_stored_path_leads_to() {
    let base = small_base("base");
    for stored in ["..\\secret", ".\\secret", "/etc/passwd", "..\\..\\..\\..\\..\\..\\etc\\passwd"] {
        let mut child = Image::child("child", &base, "secret");
        child.kind = Kind::Differencing(Locator::empty().linkage(base.ids.data_write).relative_path(stored));
        let bench = Bench::new();
        bench.forge("vm/leaf.vhdx", &child);
        for folder in ["", "vm/"] {
            fs::write(bench.path(&format!("{folder}secret")), SECRET).unwrap();
        }
        let outcome = bench.run(&["vm/leaf.vhdx", "--out", "out/m.raw"]).fails(5);
        keeps_silent(stored, &outcome);
        outcome.says_nothing_of("root:");
    }
}

#[test]
fn nothing_of_a_manifest_that_is_none_is_said() {
    let bench = Bench::with_stack(&chain("vm"));
    bench.run(&["vm", "--out", "out/m.raw"]).succeeds();
    bench.remove("out/m.raw.manifest.json");
    bench.link("out/m.raw.manifest.json", "../secret");
    for (what, content) in files() {
        bench.write("secret", &content);
        let calls: [&[&str]; 3] = [
            &["verify", "out/m.raw"],
            &["verify", "out/m.raw", "--json"],
            &["verify", "vm/2.vhdx", "--manifest", "secret"],
        ];
        for args in calls {
            keeps_silent(what, &bench.run(args).fails(6));
        }
    }
}

/// The copy may be anything; what is said of it is where it differs.
#[test]
fn nothing_of_a_copy_that_is_none_is_said() {
    let bench = Bench::with_stack(&chain("vm"));
    bench.run(&["vm", "--out", "out/m.raw"]).succeeds();
    for (what, content) in files() {
        bench.write("secret", &content);
        for name in ["copy.raw", "copy.vhdx", "copy.raw.zst"] {
            bench.link(name, "secret");
            keeps_silent(what, &bench.run(&["verify", name, "--manifest", "out/m.raw.manifest.json"]));
            bench.remove(name);
        }
    }
}
