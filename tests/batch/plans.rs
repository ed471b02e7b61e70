//! What a plan says, besides what three hundred VMs ask of it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use super::{each, few, json_lines, plan, run};
use crate::harness::Bench;

#[test]
fn what_is_written_never_lands_among_the_sources() {
    let bench = few(1);
    fs::create_dir(bench.path("vm/below")).unwrap();
    bench.link("aside", bench.path("vm/below"));
    for out_dir in ["vm", "vm/below", "vm/new", "aside"] {
        let args = ["batch", "plan", "vm", "--out-dir", out_dir];
        bench.run(&args).fails(2).says(&["lies in the folder"]);
    }
}

/// JSON has no way to say them, so they are lines that can not be done, and the others can.
#[test]
fn names_that_are_no_text_are_lines_too() {
    let bench = few(1);
    let odd = |name: &[u8]| bench.path("vm").join(OsStr::from_bytes(name));
    fs::write(odd(b"stranger\xff.vhdx"), "no image").unwrap();
    fs::copy(bench.path("vm/d0.vhdx"), odd(b"copy\xff.vhdx")).unwrap();
    let lines = plan(&bench, &["vm", "--format", "raw"]);
    let mut found: Vec<_> =
        lines.iter().map(|line| (line["status"].as_str().unwrap(), line["exit_code"].as_u64())).collect();
    found.sort();
    assert_eq!(found, [("blocked", Some(2)), ("blocked", Some(6)), ("ready", None)]);
    assert!(
        each(&lines, "source").iter().any(|source| source.ends_with("vm/copy\u{fffd}.vhdx")),
        "{lines:?}"
    );
    run(&bench, &[]).ends_with(10);
    assert_eq!(bench.names_in("out").len(), 2);
}

#[test]
fn a_folder_that_is_not_there_is_a_line() {
    let bench = few(1);
    let lines = plan(&bench, &["nowhere", "vm"]);
    assert_eq!(each(&lines, "status"), ["blocked", "ready"]);
    assert_eq!((&lines[0]["exit_code"], &lines[0]["error_class"]), (&4.into(), &"not-found".into()));
    bench.run(&["batch", "plan", "out", "--out-dir", "elsewhere"]).ends_with(4);
}

/// Wherever the run is started, and whatever the plan was told from there.
#[test]
fn a_plan_does_not_depend_on_where_it_is_run() {
    let bench = Bench::new();
    let base = super::estate::small("base");
    bench.forge("vm/parents/base.vhdx", &base);
    bench.forge("vm/disks/leaf.avhdx", &super::estate::child("leaf", &base, "base.vhdx"));
    let plan =
        ["batch", "plan", "disks", "--parent-dir", "parents", "--out-dir", "../out", "--format", "raw"];
    let planned = bench.call(&plan).from("vm").run().succeeds();
    assert_eq!(json_lines(planned.text()).len(), 1);
    bench.write("jobs.jsonl", &planned.stdout);
    run(&bench, &[]).succeeds();
    assert_eq!(bench.names_in("out").len(), 2);
}
