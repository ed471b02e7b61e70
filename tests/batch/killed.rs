//! A batch that is killed at any moment and run again ends in the state of one that nothing disturbed.

use super::{estate, few, plan, run, run_args};
use crate::harness::{Bench, note, random};
use crate::killed::{Files, Moment, among, can_trace, clear, files, killed_at, watched};

/// How often the batch is begun anew.
const ROUNDS: usize = 6;

/// What a run leaves that nothing disturbed.
fn undisturbed(bench: &Bench, code: i32) -> Files {
    run(bench, &["--quiet"]).ends_with(code);
    let files = files(bench, "out");
    assert!(files.keys().all(|name| !name.ends_with(".partial")));
    files
}

#[test]
fn a_batch_that_is_killed_and_run_again_ends_like_one_that_was_not() {
    if !can_trace() {
        return;
    }
    let mut random = random("batch killed");
    let bench = Bench::new();
    estate::lay_out(&bench, 25);
    plan(&bench, &["vm", "--checkpoint", "@current", "--format", "raw.zst", "--sums"]);
    let expected = undisturbed(&bench, 10);
    let args = run_args(&["--quiet", "--jobs", "2"]);
    clear(&bench, "out");
    let watch = run_args(&["--quiet", "--jobs", "2"]);
    let moments = moments_of(&bench, &watch);
    let mut kills = 0;
    for _ in 0..ROUNDS {
        clear(&bench, "out");
        for _ in 0..3 {
            let outcome = killed_at(&bench, &args, among(&moments, &mut random));
            kills += usize::from(outcome.is_killed());
            let left = files(&bench, "out");
            for (name, content) in left.iter().filter(|(name, _)| !name.ends_with(".partial")) {
                assert_eq!(expected.get(name), Some(content), "{name} is torn, or nobody's");
            }
        }
        run(&bench, &["--quiet"]).ends_with(10);
        assert_eq!(files(&bench, "out"), expected);
    }
    note(&format!("killed {kills} times"));
    assert!(kills >= ROUNDS);
}

fn moments_of(bench: &Bench, args: &[&str]) -> Vec<Moment> {
    // It ends with 10, for what is blocked: another file of jobs for the watch would be another run.
    let ready: Vec<u8> = bench
        .bytes("jobs.jsonl")
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| !String::from_utf8_lossy(line).contains("\"blocked\""))
        .flatten()
        .copied()
        .collect();
    bench.write("ready.jsonl", &ready);
    let args: Vec<&str> =
        args.iter().map(|arg| if *arg == "jobs.jsonl" { "ready.jsonl" } else { *arg }).collect();
    watched(bench, &args, ".partial")
}

fn renames(count: usize) -> Moment {
    Moment { call: "renameat2".to_owned(), count }
}

/// Between an image's name and its manifest's, which comes last; and then before the next try gives it one.
#[test]
fn an_image_that_was_killed_before_its_manifest_had_a_name_is_made_again() {
    if !can_trace() {
        return;
    }
    let bench = few(2);
    plan(&bench, &["vm", "--sums", "--bmap", "--format", "raw"]);
    let expected = undisturbed(&bench, 0);
    let args = run_args(&["--quiet", "--jobs", "1"]);
    // Each image has four names to be given: its own, the map's, the line's of the digest, and the manifest's.
    let syncs = |count| Moment { call: "fsync".to_owned(), count };
    for first in [2, 3, 4] {
        for second in [syncs(1), syncs(2), renames(1)] {
            clear(&bench, "out");
            killed_at(&bench, &args, &renames(first)).killed();
            assert!(bench.path("out/d0.raw").exists() && !bench.path("out/d0.raw.manifest.json").exists());
            killed_at(&bench, &args, &second).killed();
            run(&bench, &["--quiet"]).succeeds();
            assert_eq!(files(&bench, "out"), expected, "{first}, then {second:?}");
        }
    }
}

/// What is under a job's name and not its own stays, whatever lies beside it.
#[test]
fn the_leftovers_of_a_killed_run_do_not_make_a_strange_file_its_own() {
    if !can_trace() {
        return;
    }
    let bench = few(1);
    plan(&bench, &["vm", "--format", "raw"]);
    let args = run_args(&["--quiet", "--jobs", "1"]);
    // Before the image has its name, with a manifest that is complete.
    killed_at(&bench, &args, &renames(1)).killed();
    assert_eq!(bench.names_in("out"), ["d0.raw.manifest.json.partial", "d0.raw.partial"]);
    bench.write("out/d0.raw", b"somebody's");
    run(&bench, &["--quiet"]).ends_with(10).leaves_nothing();
}
