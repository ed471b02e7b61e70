//! Runs that are stopped, jobs that fail, and what is tried again.

use super::{each, few, plan, result, results, run, run_args};
use crate::harness::{Bench, VmFolder};
use crate::killed::can_trace;

#[test]
fn a_signal_removes_what_is_in_flight_and_the_next_run_does_the_rest() {
    let bench = few(3);
    // The last in order, and the slowest.
    bench.forge("vm/large.vhdx", &super::estate::full_of_data(32));
    plan(&bench, &["vm", "--format", "raw", "--digest", "blksum"]);
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let _ = std::fs::remove_file(bench.path("results.jsonl"));
        let args = run_args(&["--jobs", "1", "--progress", "json", "--bwlimit", "4M"]);
        let mut running = bench.call(&args).start();
        while !running.next_line().contains("\"total\":33554432") {}
        running.signal(signal);
        running.wait().ends_with(code);
        let results = results(&bench);
        let (last, before) = results.split_last().unwrap();
        assert_eq!((&last["status"], &last["exit_code"]), (&"interrupted".into(), &code.into()));
        assert_eq!(last["error_class"], "interrupted");
        assert!(before.iter().all(|result| result["exit_code"] == 0) && before.len() == 3, "{before:?}");
        let names = bench.names_in("out");
        assert_eq!(names.len(), 6, "{names:?}");
        assert!(names.iter().all(|name| !name.contains("large") && !name.contains("partial")), "{names:?}");
    }
    run(&bench, &[]).succeeds();
    assert_eq!(bench.names_in("out").len(), 8);
}

/// Three jobs, the first of which has no source any more.
fn with_a_loss() -> Bench {
    let bench = few(3);
    plan(&bench, &["vm", "--format", "raw"]);
    bench.remove("vm/d0.vhdx");
    bench
}

#[test]
fn a_job_that_fails_does_not_stop_the_others() {
    let bench = with_a_loss();
    for args in [&[][..], &["--keep-going"], &["--fail-fast", "--keep-going"]] {
        let summary = run(&bench, &[&["--jobs", "1", "--json"], args].concat()).ends_with(10).json();
        assert_eq!(summary["failed"], 1);
        assert_eq!(summary["undone"][0]["exit_code"], 4);
        assert_eq!(summary["undone"][0]["error_class"], "not-found");
        assert_eq!(each(&results(&bench), "status").iter().filter(|status| **status != "failed").count(), 2);
    }
}

#[test]
fn fail_fast_begins_no_more_jobs() {
    let bench = with_a_loss();
    let ran = run(&bench, &["--jobs", "1", "--fail-fast"]).ends_with(10).leaves_nothing();
    assert!(ran.text().contains("\npending           2  run again to do them\n"), "{}", ran.text());
    assert_eq!(result(&bench)["status"], "failed");
}

/// A run whose n-th call of that name, in each thread, fails.
fn with_a_fault(bench: &Bench, call: &str, nth: usize, args: &[&str]) -> crate::harness::Outcome {
    let _ = std::fs::remove_file(bench.path("results.jsonl"));
    let (trace, fault) = (format!("trace={call}"), format!("inject={call}:error=EIO:when={nth}"));
    let args = run_args(&[&["--jobs", "1", "--retry-delay", "0"], args].concat());
    bench.call(&args).within(&["strace", "-f", "-qq", "-o", "calls", "-e", &trace, "-e", &fault]).run()
}

/// A VM whose folder has to be searched for its disks.
fn one_vm() -> Bench {
    let bench = Bench::new();
    let mut vm = VmFolder::new(&bench, "vm/web01", "web01", 0x11);
    vm.save("web01.vhdx", &super::estate::small("web01"));
    vm.current(&["web01.vhdx"]);
    vm.write();
    plan(&bench, &["vm", "--format", "raw"]);
    bench
}

/// Every one of those calls is made once more by the next try, so whichever it was that failed, the job is done.
#[test]
fn what_fails_for_now_is_tried_again_whatever_it_was() {
    if !can_trace() {
        return;
    }
    let bench = one_vm();
    let mut retried = 0;
    for call in ["getdents64", "renameat2", "fsync", "readlink", "openat"] {
        for nth in 1.. {
            std::fs::remove_dir_all(bench.path("out")).unwrap();
            std::fs::create_dir(bench.path("out")).unwrap();
            let outcome = with_a_fault(&bench, call, nth, &[]);
            let calls = String::from_utf8(bench.bytes("calls")).unwrap();
            if !calls.contains("(INJECTED)") {
                break;
            }
            // What is read before there are jobs ends the run, or the loader.
            if !bench.path("results.jsonl").exists() || bench.bytes("results.jsonl").is_empty() {
                outcome.leaves_nothing();
                continue;
            }
            let result = result(&bench);
            assert_eq!(result["status"], "done", "{call} {nth}: {result}");
            assert_eq!(bench.names_in("out").len(), 2, "{call} {nth}");
            outcome.succeeds();
            retried += usize::from(result["attempts"] == 2);
        }
    }
    assert!(retried > 10, "{retried}");
}

#[test]
fn what_fails_for_now_is_given_up_after_so_many_tries() {
    if !can_trace() {
        return;
    }
    let bench = one_vm();
    // Each try has threads of its own, and so a first `ftruncate` of its own.
    for (retries, attempts) in [("0", 1), ("2", 3)] {
        let args = ["--retries", retries];
        with_a_fault(&bench, "fallocate,ftruncate,pwrite64,preadv2", 1, &args).ends_with(75).leaves_nothing();
        let result = result(&bench);
        assert_eq!((&result["status"], &result["exit_code"]), (&"failed".into(), &75.into()));
        assert_eq!((&result["error_class"], &result["attempts"]), (&"temporary".into(), &attempts.into()));
    }
    run(&bench, &[]).succeeds();
    assert_eq!(result(&bench)["attempts"], 1);
}
