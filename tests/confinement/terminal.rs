//! Names that would steer a terminal, forge a line or pass for another, and everywhere they are printed or become a file's.

use std::fs;

use chain_resolve::forge::vm::Disk;
use vhdx_format::forge::{Kind, Locator};

use crate::harness::{Bench, Web01, chain};

/// Escapes of both kinds, a forged line, a name that reads backwards, one that is not seen.
const NAME: &str =
    "-x\u{1b}[2J\u{9b}31m\u{7}\u{7f}\nerror: \u{202e}gpj\u{200b}\u{ad}\u{e0041}\u{2028}/../..\\CON";

/// A VM, a checkpoint, a disk path and a file that are all called so, as far as a file can be.
fn hostile() -> Bench {
    let mut web01 = Web01::new();
    let file = format!("{}.vhdx", NAME.replace('/', "_"));
    let mut alone = web01.base.clone();
    alone.ids = vhdx_format::writer::Identities::derive(b"alone");
    web01.bench.forge(&format!("vm/{file}"), &alone);
    web01.vm.name = NAME.to_owned();
    web01.vm.checkpoints[0].name = NAME.to_owned();
    let slot = chain_resolve::forge::vm::Slot::Scsi(0, 1);
    web01.vm.disks.push(Disk { slot, path: format!("C:\\{NAME}.vhdx") });
    web01.put();
    web01.bench
}

/// Nothing in it would be obeyed, hidden or turned round.
#[track_caller]
fn is_plain(text: &str) {
    let steers =
        |c: &char| c.is_control() && *c != '\n' || "\u{ad}\u{200b}\u{2028}\u{202e}\u{e0041}".contains(*c);
    assert_eq!(text.chars().find(steers), None, "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("error: \\u{202e}")), "a forged line: {text}");
}

#[test]
fn no_command_prints_a_name_that_steers() {
    let bench = hostile();
    let configuration = Web01::new().configuration();
    let file = format!("vm/{}.vhdx", NAME.replace('/', "_"));
    let calls: [&[&str]; 18] = [
        &["list", "vm"],
        &["list", "vm", "--json"],
        &["tree", "vm"],
        &["tree", "vm", "--ascii"],
        &["tree", "vm", "--format", "mermaid"],
        &["tree", "vm", "--format", "dot"],
        &["tree", "vm", "--json"],
        &["check", "vm"],
        &["check", "vm", "--json"],
        &["info", &configuration],
        &["info", &configuration, "--keys"],
        &["info", &configuration, "--keys", "--json"],
        &["info", &file],
        &["info", &file, "--json"],
        &["map", &file],
        &["map", &file, "--json"],
        &["hash", &file, &file],
        &["hash", &file, "--json"],
    ];
    for args in calls {
        let outcome = bench.run(args);
        is_plain(outcome.text());
        is_plain(&outcome.stderr);
        assert!(!outcome.text().is_empty(), "{args:?} {}", outcome.stderr);
    }
}

#[test]
fn no_error_or_result_of_an_export_prints_a_name_that_steers() {
    let bench = hostile();
    let file = format!("vm/{}.vhdx", NAME.replace('/', "_"));
    let out = format!("out/{}.raw", NAME.replace('/', "_"));
    let calls: [&[&str]; 7] = [
        &["vm", "--out", "out/m.raw"],
        &["vm", "--checkpoint", "absent", "--out", "out/m.raw"],
        &["vm", "--checkpoint", "@current", "--out", "out/m.raw", "--disk", "scsi0:1"],
        &[&file, "--out", &out, "--sums", "--progress", "lines"],
        &[&file, "--out", &out, "--force", "--json"],
        &[&file, "--out", &out],
        &["verify", &out],
    ];
    for args in calls {
        let outcome = bench.run(args);
        is_plain(outcome.text());
        is_plain(&outcome.stderr);
    }
    bench.write(&out, b"cut");
    for json in [&[][..], &["--json"]] {
        let outcome = bench.run(&[&["verify", &out], json].concat()).ends_with(3);
        is_plain(outcome.text());
        is_plain(&outcome.stderr);
    }
}

#[test]
fn files_in_a_folder_get_names_that_are_safe_everywhere() {
    let bench = hostile();
    let args = ["vm", "--checkpoint", "#1", "--out", "out/all/", "--sums", "--bmap", "--format", "raw"];
    bench.run(&args).succeeds();
    assert_eq!(bench.names_in("out"), ["all"]);
    for name in bench.names_in("out/all") {
        is_plain(&name);
        assert!(!name.starts_with(['-', '.', ' ']) && !name.contains(['\\', ':', '\n']), "{name:?}");
    }
    bench.shell("out/all", "sha256sum -c *.sha256");
}

/// As GNU has it: a list that any `sha256sum` reads, whatever the file is called.
#[test]
fn a_list_of_sums_names_the_file_whatever_it_is_called() {
    let bench = Bench::with_stack(&chain("vm"));
    let out = format!("out/{}.raw", NAME.replace('/', "_"));
    bench.run(&["vm", "--out", &out, "--sums"]).succeeds();
    bench.shell("out", "sha256sum -c -- ./*.sha256");
}

#[test]
fn a_stored_path_of_thousands_of_characters_is_shortened() {
    for kind in [Locator::relative_path, Locator::volume_path] {
        let mut stack = chain("vm");
        let path = format!(".\\{}\\0.vhdx", "x".repeat(30_000));
        let linked = Locator::empty().linkage(stack[0].ids.data_write);
        stack[1].kind = Kind::Differencing(kind(linked, &path));
        let bench = Bench::with_stack(&stack);
        fs::rename(bench.path("vm/0.vhdx"), bench.path("vm/renamed.vhdx")).unwrap();
        let outcome = bench.run(&["vm/2.vhdx", "--out", "out/m.raw"]).succeeds();
        assert!(outcome.stderr.len() < 10_000, "{}", outcome.stderr.len());
        bench.remove("vm/renamed.vhdx");
        let outcome = bench.run(&["vm/2.vhdx", "--out", "out/n.raw"]).fails(5);
        assert!(outcome.stderr.len() < 10_000, "{}", outcome.stderr.len());
        let outcome = bench.run(&["check", "vm"]).ends_with(5);
        assert!(outcome.text().len() < 20_000, "{}", outcome.text().len());
    }
}
