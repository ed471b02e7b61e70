//! `batch`: many disks, each done once and wholly, whatever happens between.

mod estate;
mod killed;
mod many;
mod orders;
mod plans;
mod rules;
mod shards;
mod stopped;
mod told;

use serde_json::Value;

use crate::harness::{Bench, Outcome};

/// A bench with so many disks that belong to no VM, each in a file of its own.
fn few(disks: usize) -> Bench {
    let bench = Bench::new();
    for number in 0..disks {
        bench.forge(&format!("vm/d{number}.vhdx"), &estate::small(&format!("few {number}")));
    }
    bench
}

/// Plans into `jobs.jsonl`, and gives the lines.
#[track_caller]
fn plan(bench: &Bench, args: &[&str]) -> Vec<Value> {
    let outcome = bench.run(&[&["batch", "plan", "--out-dir", "out"], args].concat()).leaves_nothing();
    bench.write("jobs.jsonl", &outcome.stdout);
    assert!(matches!(outcome.code(), Some(0 | 10)), "{outcome:?}");
    json_lines(outcome.text())
}

/// Runs `jobs.jsonl`, with `results.jsonl` as the results of this run alone.
fn run(bench: &Bench, args: &[&str]) -> Outcome {
    let _ = std::fs::remove_file(bench.path("results.jsonl"));
    bench.run(&run_args(args))
}

fn run_args<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&["batch", "run", "jobs.jsonl", "--results", "results.jsonl"], args].concat()
}

fn results(bench: &Bench) -> Vec<Value> {
    json_lines(&String::from_utf8(bench.bytes("results.jsonl")).unwrap())
}

#[track_caller]
fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// A field of each line, as text.
fn each<'a>(lines: &'a [Value], field: &str) -> Vec<&'a str> {
    lines.iter().map(|line| line[field].as_str().unwrap_or_default()).collect()
}

/// The only result.
#[track_caller]
fn result(bench: &Bench) -> Value {
    let results = results(bench);
    assert_eq!(results.len(), 1, "{results:?}");
    results[0].clone()
}
