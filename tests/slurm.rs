//! `deploy/slurm`: an array of a real Slurm exports a plan, each task its part, and nothing a second time.

mod cluster;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use self::cluster::Cluster;
use crate::harness::{Bench, VmFolder, note};

const VMS: usize = 8;
const TASKS: u64 = 4;

#[test]
fn an_array_exports_a_plan_and_a_second_one_changes_nothing() {
    let bench = Bench::new();
    for number in 0..VMS {
        let name = format!("vm{number}");
        let mut vm = VmFolder::new(&bench, &format!("vm/{name}"), &name, 0xA00 + number as u128);
        let disk = format!("{name}.vhdx");
        vm.base(&disk);
        vm.current(&[&disk]);
        vm.write();
    }
    let plan = bench.run(&["batch", "plan", "vm", "--checkpoint", "@current", "--out-dir", "out"]).succeeds();
    assert_eq!(plan.text().lines().count(), VMS);
    bench.write("jobs.jsonl", plan.text().as_bytes());
    let Some(cluster) = Cluster::start(&bench) else { return };

    submit(&cluster);
    assert_eq!(results(&bench, "done", 1), images(&bench));
    status(&bench);

    let all = "find vm out -printf '%p %i %s %T@ %C@\n' | sort";
    let before = bench.shell("", all);
    submit(&cluster);
    assert_eq!(results(&bench, "skipped", 2), images(&bench));
    status(&bench);
    assert_eq!(bench.shell("", all), before);
}

fn submit(cluster: &Cluster<'_>) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/slurm/vhdx-export.sbatch");
    let array = format!("--array=1-{TASKS}");
    note(cluster.run(&["sbatch", "--wait", &array, script.to_str().unwrap(), "jobs.jsonl"]).trim());
}

fn results_file(task: u64) -> String {
    format!("results/results-{task}.jsonl")
}

/// The images that the tasks have told of last, each of which one task alone has told of, that many times.
#[track_caller]
fn results(bench: &Bench, last: &str, times: usize) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for task in 1..=TASKS {
        let text = String::from_utf8(bench.bytes(&results_file(task))).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let outs = |lines: &[Value]| -> BTreeSet<String> { lines.iter().map(image_of).collect() };
        let (earlier, latest) = lines.split_at(lines.len() / times * (times - 1));
        assert!(latest.iter().all(|line| line["status"] == last), "task {task}:\n{text}");
        let own = outs(latest);
        assert_eq!(own.len(), latest.len(), "told of twice by task {task}:\n{text}");
        assert!(earlier.is_empty() || outs(earlier) == own, "task {task} had others before:\n{text}");
        assert!(all.is_disjoint(&own), "of two tasks, one of them {task}:\n{text}");
        all.extend(own);
    }
    all
}

/// The name of the image that a line is about.
fn image_of(line: &Value) -> String {
    let out = Path::new(line["out"].as_str().unwrap());
    out.file_name().unwrap().to_str().unwrap().to_owned()
}

/// The images that have a manifest; there must be one for each VM, and nothing else.
#[track_caller]
fn images(bench: &Bench) -> BTreeSet<String> {
    let names = bench.names_in("out");
    let images: BTreeSet<String> =
        names.iter().filter_map(|name| Some(name.strip_suffix(".manifest.json")?.to_owned())).collect();
    assert_eq!((images.len(), names.len()), (VMS, 2 * VMS), "{names:?}");
    images
}

/// Sums up what all tasks have told.
fn status(bench: &Bench) {
    let files: Vec<String> = (1..=TASKS).map(results_file).collect();
    let mut args = vec!["batch", "status", "jobs.jsonl"];
    args.extend(files.iter().flat_map(|path| ["--results", path]));
    bench.run(&args).succeeds();
}
