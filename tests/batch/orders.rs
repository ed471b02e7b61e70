//! Files of jobs: in which order they are done, tables instead of lines, and what is no job.

use std::fs;

use super::{each, few, plan, result, results, run};
use crate::harness::{Bench, VmFolder};

/// Two clones of each of two bases, whose VMs sort one of this, one of that.
#[test]
fn siblings_of_one_base_follow_each_other() {
    let bench = Bench::new();
    let bases = ["first", "second"].map(super::estate::small);
    for (number, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let mut vm = VmFolder::new(&bench, "vm", name, 0x20 + number as u128);
        let base = format!("base{}.vhdx", number % 2);
        vm.save(&base, &bases[number % 2]);
        let leaf = format!("{name}_leaf.avhdx");
        vm.save(&leaf, &super::estate::child(name, &bases[number % 2], &base));
        vm.current(&[&leaf]);
        vm.write();
    }
    let lines = plan(&bench, &["vm", "--checkpoint", "@current", "--format", "raw"]);
    let of_vm = |title: &str| title.chars().next().unwrap();
    assert_eq!(each(&lines, "title").into_iter().map(of_vm).collect::<String>(), "abcd");
    run(&bench, &["--jobs", "1"]).succeeds();
    assert_eq!(each(&results(&bench), "title").into_iter().map(of_vm).collect::<String>(), "acbd");
}

#[test]
fn a_table_does_as_well() {
    let bench = few(2);
    bench.write(
        "jobs.csv",
        b"source,out,format,title\nvm/d0.vhdx,out/a.img,raw,\"One, of two\"\nvm/d1.vhdx,out/b.raw.zst,,\n",
    );
    bench.run(&["batch", "run", "jobs.csv", "--results", "results.jsonl"]).succeeds();
    let mut titles: Vec<String> = each(&results(&bench), "title").into_iter().map(str::to_owned).collect();
    titles.sort();
    assert_eq!(titles, ["One, of two", "vm/d1.vhdx"]);
    assert_eq!(bench.json("out/a.img.manifest.json")["artifact"]["format"], "raw");
    bench.run(&["verify", "out/b.raw.zst"]).succeeds();
    let stdin = fs::File::open(bench.path("jobs.csv")).unwrap();
    let again = bench.call(&["batch", "run", "-", "--json"]).stdin(stdin).run().succeeds().leaves_nothing();
    assert_eq!(again.json()["skipped"], 2);
}

/// Whatever the mistake, it is said with its line, and the good lines before it are not begun.
#[test]
fn a_line_that_is_no_job_starts_nothing() {
    let bench = few(1);
    let good = r#"{"source":"vm/d0.vhdx","out":"out/a.raw"}"#;
    for (wrong, problem) in [
        ("{\"source\":\"vm/d0.vhdx\"", "EOF"),
        ("[]", ""),
        (r#"{"source":"vm/d0.vhdx"}"#, "no `out`"),
        (r#"{"out":"out/b.raw"}"#, "no `source`"),
        (r#"{"source":"vm/d0.vhdx","out":"out/b.raw","formt":"raw"}"#, "formt"),
        (r#"{"source":"vm/d0.vhdx","out":"out/b.raw","format":"qcow2"}"#, "qcow2"),
        (r#"{"source":"vm/d0.vhdx","out":"out/b.raw","schema_version":2}"#, "schema_version"),
        (r#"{"source":"vm/d0.vhdx","out":"out/a.raw","vm":"x"}"#, "another job writes"),
        (r#"{"source":"vm/d0.vhdx","out":"out/../out/a.raw"}"#, "another job writes"),
    ] {
        bench.write("jobs.jsonl", format!("{good}\n\n{wrong}\n").as_bytes());
        let ran = bench.run(&["batch", "run", "jobs.jsonl", "--results", "results.jsonl"]);
        ran.fails(2).says(&["line 3", problem]);
        assert!(!bench.path("results.jsonl").exists());
    }
    bench.write("jobs.csv", b"source,out\nvm/d0.vhdx,out/a.raw\nvm/d0.vhdx\n");
    bench.run(&["batch", "run", "jobs.csv"]).fails(2).says(&["line 3"]);
    bench.run(&["batch", "run", "nothing.jsonl"]).fails(4).says(&["nothing.jsonl"]);
    // The same job twice is one.
    bench.write("jobs.jsonl", format!("{good}\n{good}\n").as_bytes());
    run(&bench, &[]).succeeds();
    assert_eq!(result(&bench)["status"], "done");
}
