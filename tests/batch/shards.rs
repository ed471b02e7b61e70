//! One plan on several machines that know nothing of each other.

use std::collections::BTreeSet;

use super::{each, few, plan, results, run, run_args};
use crate::harness::Bench;

fn ids(bench: &Bench) -> Vec<String> {
    let mut ids: Vec<String> = each(&results(bench), "id").into_iter().map(str::to_owned).collect();
    ids.sort();
    ids
}

/// The jobs of each of so many shards.
fn shards(bench: &Bench, of: usize, status: &str) -> Vec<Vec<String>> {
    (1..=of)
        .map(|number| {
            run(bench, &["--shard", &format!("{number}/{of}")]).succeeds();
            assert!(each(&results(bench), "status").iter().all(|found| *found == status));
            ids(bench)
        })
        .collect()
}

#[test]
fn shards_do_each_job_once_however_many_there_are() {
    let bench = few(16);
    let lines = plan(&bench, &["vm", "--format", "raw"]);
    let mut all: Vec<String> = each(&lines, "id").into_iter().map(str::to_owned).collect();
    all.sort();
    for of in [3, 1, 2, 4, 5, 6, 7, 8] {
        let parts = shards(&bench, of, if of == 3 { "done" } else { "skipped" });
        let mut together = parts.concat();
        together.sort();
        assert_eq!(together, all, "{of} shards");
        if of == 3 {
            run(&bench, &["--shard", "2/3"]).succeeds().leaves_nothing();
            assert_eq!(ids(&bench), parts[1]);
        }
    }
    assert_eq!(bench.names_in("out").len(), 2 * 16);
}

#[test]
fn schedulers_say_which_shard_it_is() {
    let bench = few(6);
    plan(&bench, &["vm", "--format", "raw"]);
    let parts = shards(&bench, 3, "done");
    assert!(parts.iter().collect::<BTreeSet<_>>().len() > 1, "{parts:?}");
    let scheduled = |variables: &[(&str, &str)]| {
        let _ = std::fs::remove_file(bench.path("results.jsonl"));
        let call = bench.call(&run_args(&[]));
        variables.iter().fold(call, |call, (name, value)| call.env(name, value)).run()
    };
    for (number, part) in (0..3).zip(&parts) {
        let index = number.to_string();
        scheduled(&[("JOB_COMPLETION_INDEX", &index), ("JOB_COMPLETIONS", "3")]).succeeds().leaves_nothing();
        assert_eq!(ids(&bench), *part);
        let task = (number + 1).to_string();
        scheduled(&[("SLURM_ARRAY_TASK_ID", &task), ("SLURM_ARRAY_TASK_COUNT", "3")])
            .succeeds()
            .leaves_nothing();
        assert_eq!(ids(&bench), *part);
    }
    scheduled(&[("JOB_COMPLETION_INDEX", "1")]).fails(2).says(&["JOB_COMPLETIONS"]);
    // What is typed counts.
    let typed = bench.call(&run_args(&["--shard", "1/3"])).env("JOB_COMPLETION_INDEX", "9").run();
    typed.succeeds();
    run(&bench, &["--shard", "4/3"]).fails(2);
}
