//! An export that is stopped: by a signal, by its reader, by being killed. Nothing is left that looks complete.
//!
//! The disks are large and hold stored zeros, so that each export runs long enough to be stopped after it has shown
//! its first progress, and costs no space.

use std::io::Read;

use crate::harness::{Bench, Running, chain, zeros_of};

const GIB: u64 = 1 << 30;

fn bench() -> Bench {
    let bench = Bench::new();
    bench.forge("vm/large.vhdx", &zeros_of(6 * GIB));
    bench
}

/// An export into a file that has begun to copy.
fn started<'a>(bench: &'a Bench, args: &[&str]) -> Running<'a> {
    let mut running = bench.call(&[&["vm/large.vhdx", "--progress", "json"], args].concat()).start();
    let line = running.next_line();
    assert!(line.contains("\"event\":\"progress\""), "{line}");
    running
}

#[test]
fn a_signal_ends_the_export_and_removes_what_was_written() {
    let bench = bench();
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        for target in ["out/m.raw", "out/m.vhdx"] {
            let running = started(&bench, &["--out", target]);
            assert_eq!(bench.names_in("out"), [format!("{}.partial", target.trim_start_matches("out/"))]);
            running.signal(signal);
            running.wait().fails(code);
        }
    }
}

/// Nobody reads on, so a write into the pipe never comes back.
#[test]
fn a_signal_ends_an_export_that_waits_for_its_reader() {
    let bench = bench();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        for format in ["raw", "vhdx"] {
            let args = ["vm/large.vhdx", "--out", "-", "--format", format];
            let mut running = bench.call(&args).start();
            let mut stdout = running.stdout.take().unwrap();
            stdout.read_exact(&mut [0]).unwrap();
            running.signal(signal);
            running.wait().ends_with(code).leaves_nothing();
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_an_error_and_no_panic() {
    let bench = bench();
    for format in ["raw", "vhdx"] {
        let mut running = bench.call(&["vm/large.vhdx", "--out", "-", "--format", format]).start();
        let mut stdout = running.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 100]).unwrap();
        drop(stdout);
        running.wait().fails(1).says(&["the reader of the stream has closed it"]);
    }
}

/// `vhdx-export map | head` has shown what was wanted.
#[test]
fn a_reader_of_a_report_may_go_away() {
    let bench = Bench::with_stack(&chain("vm"));
    for command in ["info", "map"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        bench.call(&[command, "vm/2.vhdx"]).stdout(writer).run().succeeds().leaves_nothing();
    }
}

#[test]
fn what_a_killed_run_leaves_is_taken_over_by_the_next() {
    let bench = bench();
    bench.forge("vm/small.vhdx", &crate::harness::small_base("small"));
    for target in ["m.raw", "m.vhdx"] {
        let running = started(&bench, &["--out", &format!("out/{target}")]);
        running.signal("KILL");
        running.wait().killed();
        // No name but that of an unfinished file, even after the worst end.
        assert_eq!(bench.names_in("out"), [format!("{target}.partial")]);
        bench.run(&["vm/small.vhdx", "--out", &format!("out/{target}")]).succeeds();
        assert_eq!(bench.names_in("out"), [target]);
        bench.remove(&format!("out/{target}"));
    }
}

#[test]
fn two_runs_never_write_the_same_file() {
    let bench = bench();
    bench.forge("vm/small.vhdx", &crate::harness::small_base("small"));
    let running = started(&bench, &["--out", "out/m.raw"]);
    let texts = ["m.raw.partial` is being written by another process", "hint: "];
    // The other run may finish while this one is judged: only the message and the code are this one's.
    bench.run(&["vm/small.vhdx", "--out", "out/m.raw"]).ends_with(7).says(&texts);
    running.signal("INT");
    running.wait().fails(130);
}
