//! Mistakes that once gave the wrong state, or a broken message, without anybody noticing.

use std::fs::{self, File};

use crate::harness::{Bench, chain, skipped};

/// The state that was wanted is in a file that can not be read as an image: its parent must not pass for the newest.
#[test]
fn a_leaf_that_is_no_image_any_more_does_not_give_way_to_its_parent() {
    for content in [Vec::new(), b"something else".to_vec(), vec![0; 1 << 16]] {
        let bench = Bench::with_stack(&chain("vm"));
        bench.write("vm/2.vhdx", &content);
        let outcome = bench.run(&["vm", "--out", "out/m.raw"]).fails(4);
        outcome.says(&["2 states to choose from", "1.vhdx", "2.vhdx (damaged: may be a state as well)"]);
        bench.run(&["vm", "--checkpoint", "1", "--out", "out/m.raw"]).succeeds();
    }
}

#[test]
fn a_leaf_behind_a_link_that_leads_out_or_nowhere_does_not_give_way_to_its_parent() {
    for to in ["/nowhere/2.vhdx", "../out/2.vhdx"] {
        let bench = Bench::with_stack(&chain("vm"));
        fs::rename(bench.path("vm/2.vhdx"), bench.path("out/2.vhdx")).unwrap();
        bench.link("vm/2.vhdx", to);
        let outcome = bench.run(&["vm", "--out", "out/m.raw"]).fails(4);
        outcome.says(&["2.vhdx (cannot be read: may be a state as well)"]);
    }
}

#[test]
fn a_leaf_without_its_parent_is_marked_among_the_states() {
    let bench = Bench::with_stack(&chain("vm"));
    bench.remove("vm/1.vhdx");
    let outcome = bench.run(&["vm", "--out", "out/m.raw"]).fails(4);
    outcome.says(&["0.vhdx", "2.vhdx (a parent of it is missing)"]);
}

/// The help's first example, run twice inside the folder.
#[test]
fn an_earlier_export_beside_the_sources_is_no_state_when_it_is_replaced() {
    let bench = Bench::with_stack(&chain("vm"));
    let target = bench.path("vm/merged.vhdx");
    let run = |force: &[&str]| {
        let args = [&["vm", "--out", target.to_str().unwrap()], force].concat();
        std::process::Command::new(env!("CARGO_BIN_EXE_vhdx-export"))
            .args(args)
            .current_dir(bench.path("."))
            .output()
    };
    assert!(run(&[]).unwrap().status.success());
    let first = fs::read(&target).unwrap();
    let again = run(&["--force"]).unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    assert_eq!(fs::read(&target).unwrap(), first);
}

/// Nobody listens on standard error: the exit code and the result are all that is left.
#[test]
fn a_closed_standard_error_changes_nothing() {
    if !std::path::Path::new("/dev/full").exists() {
        skipped("/dev/full does not exist here");
        return;
    }
    let bench = Bench::with_stack(&chain("vm"));
    fs::rename(bench.path("vm/0.vhdx"), bench.path("vm/renamed.vhdx")).unwrap();
    let run = |args: &[&str]| {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vhdx-export"));
        command.args(args).current_dir(bench.path(".")).stderr(full).output().unwrap().status.code()
    };
    assert_eq!(run(&["vm/absent.vhdx", "--out", "out/m.raw"]), Some(4));
    assert_eq!(run(&["vm/2.vhdx", "--out", "out/m.raw", "--progress", "lines"]), Some(0));
}

/// A name from inside an image is shown, not obeyed.
#[test]
fn a_stored_path_can_not_steer_the_terminal() {
    let mut stack = chain("vm");
    let parent = stack[0].ids.data_write;
    let path = "gone\u{1b}[2J\nnote: all is well\\0.vhdx";
    stack[1].kind = vhdx_format::forge::Kind::Differencing(
        vhdx_format::forge::Locator::empty().linkage(parent).relative_path(path),
    );
    let bench = Bench::with_stack(&stack);
    fs::rename(bench.path("vm/0.vhdx"), bench.path("vm/renamed.vhdx")).unwrap();
    let outcome = bench.run(&["vm/2.vhdx", "--out", "out/m.raw"]).succeeds();
    outcome.says(&["gone\\u{1b}[2J\\nnote: all is well"]).says_nothing_of("\u{1b}[2J");
}
