//! What `deploy` ships runs as it is: its commands are taken out of the files, and other people's tools read the files.
//!
//! Slurm's script is for `slurm.rs`, where a real Slurm runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::{Bench, VmFolder, has_tool, skipped, succeeds};

const JOB: &str = "kubernetes/job.yaml";
const SERVICE: &str = "systemd/vhdx-export-batch.service";
const TIMER: &str = "systemd/vhdx-export-batch.timer";
const PROGRAM: &str = "/usr/bin/vhdx-export";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

fn text_of(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What a program says of it, on both outputs, and whether it was content.
fn said_by(command: &mut Command) -> (bool, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.success(), text)
}

/// Two VMs of one disk each, in the folder of sources.
fn bench() -> Bench {
    let bench = Bench::new();
    for (name, id) in [("web01", 1), ("web02", 2)] {
        let mut vm = VmFolder::new(&bench, &format!("vm/{name}"), name, id);
        vm.base("disk.vhdx");
        vm.current(&["disk.vhdx"]);
        vm.write();
    }
    bench
}

#[test]
fn the_script_for_slurm_has_none_of_the_usual_mistakes() {
    if !has_tool("shellcheck", "shellcheck") {
        return;
    }
    let (content, said) = said_by(Command::new("shellcheck").arg(file("slurm/vhdx-export.sbatch")));
    assert!(content && said.is_empty(), "{said}");
}

/// `systemd-analyze` ignores what it does not know, and is content: so it must not have said anything.
#[test]
fn systemd_understands_each_line_of_the_units() {
    if !has_tool("systemd-analyze", "systemd") {
        return;
    }
    let bench = Bench::new();
    // It looks whether what is to be started can be.
    let service = text_of(SERVICE).replace(PROGRAM, env!("CARGO_BIN_EXE_vhdx-export"));
    let names = ["out/vhdx-export-batch.service", "out/vhdx-export-batch.timer"];
    bench.write(names[0], service.as_bytes());
    bench.write(names[1], text_of(TIMER).as_bytes());
    let paths = names.map(|name| bench.path(name));
    let (content, said) = said_by(Command::new("systemd-analyze").args(["verify", "--man=no"]).args(paths));
    // Other units of this machine are not ours to judge.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("vhdx-export-batch")).collect();
    assert!(content && ours.is_empty(), "{said}");
}

/// The shell reads an environment file, and a line that starts something, much as systemd does.
#[test]
fn the_commands_of_the_service_plan_export_and_find_nothing_to_do_the_next_night() {
    let bench = bench();
    let root = bench.path("");
    let root = root.to_str().unwrap().trim_end_matches('/');
    let places = [
        ("/srv/hyperv-backups", format!("{root}/vm")),
        ("/srv/vhdx-images", format!("{root}/out")),
        ("/var/lib/prometheus/node-exporter", root.to_owned()),
    ];
    let mut environment = text_of("systemd/batch.env.example");
    for (shipped, here) in &places {
        assert!(environment.contains(shipped), "{shipped}");
        environment = environment.replace(shipped, here);
    }
    // Values hold spaces, which systemd takes as they are.
    let quoted = environment.lines().map(|line| match line.split_once('=') {
        Some((name, value)) if !line.starts_with('#') => format!("export {name}='{value}'\n"),
        _ => String::new(),
    });
    let commands = service_commands().replace(PROGRAM, env!("CARGO_BIN_EXE_vhdx-export"));
    let night = format!("set -eu\n{}{commands}", quoted.collect::<String>());

    bench.shell("", &night);
    let made = bench.names_in("out");
    assert_eq!(made.iter().filter(|name| name.ends_with(".raw.zst")).count(), 2, "{made:?}");
    bench.run(&["batch", "status", "jobs.jsonl", "--results", "results.jsonl"]).succeeds();
    let metrics = |status, count| {
        let text = String::from_utf8(bench.bytes("vhdx_export.prom")).unwrap();
        let line = format!("vhdx_export_jobs{{status=\"{status}\"}} {count}");
        assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
    };
    metrics("done", 2);

    let inodes = bench.shell("out", "ls -i");
    bench.shell("", &night);
    metrics("skipped", 2);
    assert_eq!(bench.shell("out", "ls -i"), inodes);
}

/// As lines of a shell script: systemd's `$$` is one `$`.
fn service_commands() -> String {
    let text = text_of(SERVICE);
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("ExecStartPre=").or_else(|| line.strip_prefix("ExecStart=")));
    let commands: Vec<String> = lines.map(|line| line.replace("$$", "$")).collect();
    assert_eq!(commands.len(), 3, "{commands:?}");
    commands.join("\n")
}

/// The Job; `None`, said aloud, where nothing here reads it.
fn job() -> Option<Value> {
    if !has_tool("yq", "yq") {
        return None;
    }
    // There is another program of that name, which prints YAML.
    if !succeeds(&["sh", "-c", "echo 'a: 1' | yq . - | grep -q '\"a\": 1'"]) {
        skipped("the Job for Kubernetes: this yq prints no JSON");
        return None;
    }
    let (content, said) = said_by(Command::new("yq").arg(".").arg(file(JOB)));
    assert!(content, "{said}");
    Some(serde_json::from_str(&said).unwrap())
}

#[test]
fn a_pod_of_the_job_can_neither_change_a_backup_nor_anything_of_its_node() {
    let Some(job) = job() else { return };
    let pod = &job["spec"]["template"]["spec"];
    let container = only(&pod["containers"]);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["capabilities"]["drop"], serde_json::json!(["ALL"]));
    assert_eq!(container["resources"]["limits"]["memory"], "512Mi");
    let text = job.to_string();
    for word in ["\"privileged\"", "hostPath", "hostNetwork", "hostPID", "hostIPC"] {
        assert!(!text.contains(word), "{word}");
    }
    let mounts = container["volumeMounts"].as_array().unwrap();
    let writable: Vec<&Value> = mounts.iter().filter(|mount| mount["readOnly"] != true).collect();
    assert_eq!(writable.len(), 1, "{writable:?}");
    assert_eq!(writable[0]["name"], "images");
}

/// Each code has one rule, and the rule one action: those that another try may help with are counted, the others are not
/// tried again.
#[test]
fn the_job_tries_again_what_may_pass_and_nothing_else() {
    let Some(job) = job() else { return };
    let spec = &job["spec"];
    assert_eq!(spec["template"]["spec"]["restartPolicy"], "Never", "which a policy for failures needs");
    assert!(spec["backoffLimitPerIndex"].is_u64(), "which FailIndex needs");
    let action_for = |code: u64| {
        let has = |rule: &&Value| {
            rule["onExitCodes"]["values"].as_array().is_some_and(|all| all.contains(&code.into()))
        };
        let rules = spec["podFailurePolicy"]["rules"].as_array().unwrap();
        let actions: Vec<&str> =
            rules.iter().filter(has).map(|rule| rule["action"].as_str().unwrap()).collect();
        actions.join(" and ")
    };
    assert_eq!(action_for(75), "Count");
    assert_eq!(action_for(2), "FailJob");
    for code in 3..=10 {
        assert_eq!(action_for(code), "FailIndex", "{code}");
    }
    for code in [1, 130, 143] {
        assert_eq!(action_for(code), "", "{code}");
    }
    for rule in spec["podFailurePolicy"]["rules"].as_array().unwrap() {
        let codes = &rule["onExitCodes"];
        assert!(
            codes.is_null() || codes["operator"] == "In" && codes["containerName"] == "vhdx-export",
            "{rule}"
        );
    }
}

#[test]
fn the_pods_of_the_job_export_a_plan_together() {
    let Some(job) = job() else { return };
    let bench = bench();
    let plan = bench.run(&["batch", "plan", "vm", "--checkpoint", "@current", "--out-dir", "out"]).succeeds();
    bench.write("jobs.jsonl", plan.text().as_bytes());

    assert_eq!(job["spec"]["completionMode"], "Indexed");
    let completions = job["spec"]["completions"].as_u64().unwrap();
    let container = only(&job["spec"]["template"]["spec"]["containers"]);
    let variable = only(&container["env"]);
    assert_eq!(variable["name"], "JOB_COMPLETIONS");
    assert_eq!(variable["value"], completions.to_string());
    for index in 0..completions {
        let here = |arg: &Value| {
            let arg = arg.as_str().unwrap().replace("$(JOB_COMPLETION_INDEX)", &index.to_string());
            arg.replace("/plan/", "").replace("/images/", "out/")
        };
        let args: Vec<String> = container["args"].as_array().unwrap().iter().map(here).collect();
        let call = bench.call(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let call = call.env("JOB_COMPLETIONS", variable["value"].as_str().unwrap());
        call.env("JOB_COMPLETION_INDEX", index.to_string()).run().succeeds();
    }
    bench.run(&["batch", "status", "jobs.jsonl"]).succeeds();
}

/// The one element of a list.
#[track_caller]
fn only(list: &Value) -> &Value {
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 1, "{list:?}");
    &list[0]
}
