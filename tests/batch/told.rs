//! What operators are told: bars, lines, JSON, metrics, estimates, and how far it is.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{each, few, json_lines, plan, run, run_args};
use crate::harness::{Bench, has_tool};

/// Three jobs of which one can not be done, and one line that is blocked.
fn mixed() -> Bench {
    let bench = few(3);
    bench.write("vm/stranger.vhdx", b"no image");
    plan(&bench, &["vm", "--format", "raw"]);
    bench.remove("vm/d1.vhdx");
    bench
}

#[test]
fn a_dry_run_says_how_much_it_is_and_writes_nothing() {
    let bench = mixed();
    let args = ["--dry-run", "--json", "--metrics-file", "metrics.prom"];
    let estimate = run(&bench, &args).succeeds().leaves_nothing().json();
    let count = |field: &str| estimate[field].as_u64().unwrap();
    assert_eq!([count("jobs"), count("to_do"), count("done"), count("blocked")], [4, 3, 0, 1]);
    assert_eq!([count("bytes"), count("virtual_size")], [3 << 20, 3 << 20]);
    assert!(estimate["seconds"].as_f64().unwrap() > 0.0);
    let (folder, room) = estimate["targets"].as_object().unwrap().iter().next().unwrap();
    assert!(folder.ends_with("/out") && room["needed"] == 3 << 20 && room["free"].as_u64() > Some(0));
    for name in ["results.jsonl", "metrics.prom"] {
        assert!(!bench.path(name).exists(), "{name}");
    }
    run(&bench, &[]).ends_with(10);
    let estimate = bench.run(&run_args(&["--dry-run", "--json"])).succeeds().leaves_nothing().json();
    assert_eq!((&estimate["done"], &estimate["to_do"]), (&2.into(), &1.into()));
    assert_eq!(estimate["judged_by"], "earlier results");
    let told = bench.run(&run_args(&["--dry-run"])).succeeds();
    assert!(told.text().contains("space       at most 1 MiB in "), "{}", told.text());
}

#[test]
fn the_summary_counts_every_job_and_says_what_is_wrong() {
    let bench = mixed();
    let ran = run(&bench, &["--jobs", "1"]).ends_with(10);
    let (text, told) = (ran.text(), &ran.stderr);
    for row in [
        "done              2  ",
        "failed            1\n",
        "blocked           1  ",
        "jobs              4  in ",
    ] {
        assert!(text.contains(row), "{row}: {text}");
    }
    assert!(text.contains("failed      d1.vhdx (4)\n"), "{text}");
    assert!(told.contains("[1/4] ") && told.contains("[4/4] ") && !told.contains('\u{1b}'), "{told}");
    let quiet = run(&bench, &["--quiet"]).ends_with(10);
    assert!(quiet.stdout.is_empty() && quiet.stderr.is_empty(), "{quiet:?}");
}

/// The metrics of a file, held to the text format of Prometheus.
fn metrics(bench: &Bench) -> BTreeMap<String, String> {
    let text = String::from_utf8(bench.bytes("metrics.prom")).unwrap();
    assert!(text.ends_with('\n'));
    let mut metrics = BTreeMap::new();
    let (mut helped, mut typed) = (String::new(), String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty());
            helped = name.to_owned();
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert_eq!(rest, format!("{helped} gauge"));
            typed = helped.clone();
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap();
        let name = sample.split('{').next().unwrap();
        assert_eq!(name, typed, "{line}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(metrics.insert(sample.to_owned(), value.to_owned()).is_none(), "{line}");
    }
    metrics
}

#[test]
fn metrics_are_written_whole_and_remember_the_last_success() {
    let bench = mixed();
    let args = ["--metrics-file", "metrics.prom"];
    run(&bench, &args).ends_with(10);
    let success = "vhdx_export_last_success_timestamp_seconds";
    let told = metrics(&bench);
    let jobs = |status: &str| told[&format!("vhdx_export_jobs{{status=\"{status}\"}}")].as_str();
    assert_eq!(["done", "failed", "blocked", "skipped", "pending"].map(jobs), ["2", "1", "1", "0", "0"]);
    assert_eq!(told["vhdx_export_running"], "0");
    assert_ne!(told["vhdx_export_written_bytes"], "0");
    assert!(!told.contains_key(success));
    // What can be done, done: and then it can not be done any more.
    bench.write("jobs.jsonl", br#"{"source":"vm/d0.vhdx","out":"out/d0.raw"}"#);
    run(&bench, &args).succeeds();
    let then = metrics(&bench)[success].clone();
    bench.remove("vm/d0.vhdx");
    run(&bench, &args).ends_with(10);
    assert_eq!(metrics(&bench)[success], then);
    assert!(!bench.path("metrics.prom.partial").exists());
}

#[test]
fn lines_for_programs_are_json_all_of_them() {
    let bench = mixed();
    let ran = run(&bench, &["--jobs", "1", "--log-format", "json", "--progress", "json"]).ends_with(10);
    let lines = json_lines(&ran.stderr);
    let events: Vec<&str> = each(&lines, "event");
    let count = |event: &str| events.iter().filter(|found| **found == event).count();
    assert_eq!(
        [count("job-started"), count("job-done"), count("job-failed"), count("job-blocked")],
        [3, 2, 1, 1]
    );
    let progress: Vec<&Value> = lines.iter().filter(|line| line["event"] == "progress").collect();
    for line in &progress {
        assert!(line["done"].as_u64() <= line["total"].as_u64() && line["jobs"] == 4, "{line}");
    }
    assert!(progress.iter().filter(|line| line["done"] == line["total"]).count() >= 2);
    for line in lines.iter().filter(|line| line["event"] != "progress") {
        assert!(line["time"].is_string() && line["level"].is_string() && line["job"].is_string(), "{line}");
    }
    let failed = lines.iter().find(|line| line["event"] == "job-failed").unwrap();
    assert_eq!((&failed["exit_code"], &failed["error_class"]), (&4.into(), &"not-found".into()));
}

/// `script` of util-linux gives it a terminal.
#[test]
fn a_terminal_gets_a_bar_for_all_jobs_and_one_for_each() {
    if !has_tool("script", "bsdutils") {
        return;
    }
    let bench = few(2);
    bench.forge("vm/large.vhdx", &super::estate::full_of_data(16));
    plan(&bench, &["vm", "--format", "raw", "--digest", "none"]);
    let command = format!(
        "stty cols 100; exec '{}' batch run jobs.jsonl --jobs 1 --bwlimit 8M",
        env!("CARGO_BIN_EXE_vhdx-export")
    );
    bench.write("command", command.as_bytes());
    let drawn =
        bench.shell("", "TERM=xterm script --quiet --return --command 'sh command' /dev/null < /dev/null");
    assert!(drawn.contains("all jobs ") && drawn.contains("/3 "), "{drawn:?}");
    assert!(drawn.contains("large.vhdx ") && drawn.contains("ETA"), "{drawn:?}");
    assert!(drawn.contains("jobs              3  in "), "{drawn:?}");
}

#[test]
fn the_status_is_told_from_manifests_and_results() {
    let bench = mixed();
    let status = |args: &[&str], code| {
        let args = [&["batch", "status", "jobs.jsonl", "--json"], args].concat();
        let told = bench.run(&args).ends_with(code).leaves_nothing().json();
        ["jobs", "done", "failed", "blocked", "pending"].map(|field| told[field].as_u64().unwrap())
    };
    assert_eq!(status(&[], 10), [4, 0, 0, 1, 3]);
    run(&bench, &[]).ends_with(10);
    assert_eq!(status(&[], 10), [4, 2, 0, 1, 1]);
    assert_eq!(status(&["--results", "results.jsonl"], 10), [4, 2, 1, 1, 0]);
    let told = bench.run(&["batch", "status", "jobs.jsonl", "--results", "results.jsonl"]).ends_with(10);
    assert!(told.text().contains("failed      d1.vhdx (4)\n"), "{}", told.text());
    // Half a line of a run that was killed says nothing.
    let mut results = bench.bytes("results.jsonl");
    results.truncate(results.len() - 20);
    bench.write("results.jsonl", &results);
    status(&["--results", "results.jsonl"], 10);
    // An image that is gone is to be made again, and one that is no more its own is in the way.
    bench.remove("out/d0.raw");
    assert_eq!(status(&[], 10), [4, 1, 0, 1, 2]);
    bench.write("out/d2.raw", b"something else");
    assert_eq!(status(&[], 10), [4, 0, 1, 1, 2]);
    let all = few(2);
    plan(&all, &["vm", "--format", "raw"]);
    run(&all, &[]).succeeds();
    all.run(&["batch", "status", "jobs.jsonl"]).succeeds();
}
