//! Three hundred VMs: planned, exported, verified, and not exported a second time.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::estate::{Kind, kinds, lay_out};
use super::{each, plan, results, run};
use crate::harness::{Bench, note};

const VMS: usize = 300;

/// The VM that a line is about: its folder, or the number in a name, is part of what is said.
fn vm_of(line: &Value) -> Option<usize> {
    let title = line["title"].as_str().unwrap();
    let id = line["vm"].as_str().map(str::to_owned).or_else(|| {
        let source = line["source"].as_str()?;
        source
            .split('/')
            .find_map(|name| (name.len() > 30).then(|| name.trim_end_matches(".vmcx").to_lowercase()))
    });
    let by_id = id.and_then(|id| u128::from_str_radix(&id.replace('-', ""), 16).ok());
    let by_title = || title.get(..3)?.parse().ok();
    by_id.map(|id| (id - super::estate::FIRST_ID) as usize).or_else(by_title)
}

/// What a plan is to say of each VM, and what it says.
fn is_planned(lines: &[Value]) {
    let mut found: BTreeMap<usize, (usize, Vec<u64>)> = BTreeMap::new();
    for line in lines {
        let of_vm = found.entry(vm_of(line).unwrap_or_else(|| panic!("whose is {line}?"))).or_default();
        match line["status"].as_str() {
            Some("ready") => of_vm.0 += 1,
            _ => of_vm.1.push(line["exit_code"].as_u64().unwrap()),
        }
    }
    for (_, codes) in found.values_mut() {
        codes.sort_unstable();
    }
    for (number, kind) in kinds(VMS).enumerate() {
        let (ready, codes) = kind.lines();
        assert_eq!(found.get(&number), Some(&(ready, codes.to_vec())), "{number}: {kind:?}");
    }
    for line in lines {
        assert_eq!((&line["schema"], &line["schema_version"]), (&"vhdx-export-job".into(), &1.into()));
        let is_ready = line["status"] == "ready";
        assert!(!is_ready || line["estimated_bytes"].as_u64() > Some(0), "{line}");
        assert_eq!(line["reason"].as_str().is_some_and(|reason| !reason.is_empty()), !is_ready, "{line}");
    }
    let outs =
        lines.iter().filter(|line| line["status"] == "ready").map(|line| line["out"].as_str().unwrap());
    let outs: Vec<String> = outs.map(str::to_lowercase).collect();
    assert_eq!(outs.iter().collect::<BTreeSet<_>>().len(), outs.len(), "two jobs of one name");
}

/// The code of an export of what a line says.
fn code_alone(bench: &Bench, line: &Value) -> Option<i32> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vhdx-export"));
    command.current_dir(bench.path("")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    for (option, field) in [("--vm", "vm"), ("--checkpoint", "checkpoint"), ("--disk", "disk")] {
        if let Some(value) = line[field].as_str() {
            command.args([option, value]);
        }
    }
    command.args(["--out", "alone.raw.zst", line["source"].as_str().unwrap()]);
    command.status().unwrap().code()
}

fn are_explained(bench: &Bench, lines: &[Value]) {
    let all: Vec<Kind> = kinds(VMS).collect();
    for line in lines.iter().filter(|line| line["status"] == "blocked") {
        let number = vm_of(line).unwrap();
        let mut line = line.clone();
        match all[number] {
            // Named by itself, each of the states can be had.
            Kind::TwoLeaves => line["source"] = format!("vm/{number:03}").into(),
            // What no line can name.
            Kind::OddFile => continue,
            _ => {}
        }
        if number < 25 {
            assert_eq!(
                code_alone(bench, &line).map(u64::try_from),
                line["exit_code"].as_u64().map(Ok),
                "{line}"
            );
        }
    }
}

#[test]
fn three_hundred_vms_are_exported_once_and_what_can_not_be_is_explained() {
    let bench = Bench::new();
    lay_out(&bench, VMS);
    let lines = plan(&bench, &["vm", "--checkpoint", "@current", "--format", "raw.zst"]);
    is_planned(&lines);
    are_explained(&bench, &lines);

    let ran = run(&bench, &["--quiet"]).ends_with(10);
    assert_eq!(ran.stderr, "");
    let first = results(&bench);
    let ids: BTreeSet<&str> = each(&first, "id").into_iter().collect();
    assert_eq!((first.len(), ids.len()), (lines.len(), lines.len()), "a result for each line");
    let ready = lines.iter().filter(|line| line["status"] == "ready").count();
    assert_eq!(first.iter().filter(|result| result["status"] == "done").count(), ready);
    for result in &first {
        let code = result["exit_code"].as_u64().unwrap();
        assert_eq!(code == 0, result["status"] == "done", "{result}");
        assert_eq!(code != 0, result["error"].is_string(), "{result}");
        assert_eq!(code == 0, result["image"]["sha256"].is_string(), "{result}");
    }
    assert_eq!(bench.names_in("out").len(), 2 * ready, "an image and a manifest each");
    let verify = format!(
        "for image in out/*.raw.zst; do '{}' verify --quiet \"$image\" || exit; done",
        env!("CARGO_BIN_EXE_vhdx-export")
    );
    bench.shell("", &verify);

    let start = Instant::now();
    let again = run(&bench, &["--json"]).ends_with(10).leaves_nothing();
    let seconds = start.elapsed().as_secs_f64();
    note(&format!("{} jobs that are done: {seconds:.2} s, this build and its watch included", lines.len()));
    let summary = again.json();
    assert_eq!(summary["skipped"], ready);
    assert_eq!((&summary["done"], &summary["failed"]), (&0.into(), &0.into()));
    assert_eq!(results(&bench).iter().filter(|result| result["status"] == "skipped").count(), ready);
}
