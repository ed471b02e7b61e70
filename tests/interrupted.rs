//! An export that is stopped: by a signal, by its reader, by being killed. Nothing is left that looks complete.
//!
//! The disks are large and hold stored zeros, so that each export runs long enough to be stopped after it has shown
//! its first progress, and costs no space.

use std::fs::File;
use std::io::{Read, Write};

use vhdx_format::BlockSize;
use vhdx_format::forge::random::Random;
use vhdx_format::forge::{Block, Image};

use crate::harness::{Bench, Running, chain, geometry, zeros_of};

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
            let name = target.trim_start_matches("out/");
            let partial = [format!("{name}.manifest.json.partial"), format!("{name}.partial")];
            assert_eq!(bench.names_in("out"), partial);
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
            // Nothing stands beside a stream before it is all there.
            let args = ["vm/large.vhdx", "--out", "-", "--format", format, "--manifest", "out/m.json"];
            let mut running = bench.call(&args).start();
            let mut stdout = running.stdout.take().unwrap();
            stdout.read_exact(&mut [0]).unwrap();
            running.signal(signal);
            running.wait().ends_with(code).leaves_nothing();
        }
    }
}

/// A disk of 9 MiB that no format makes so small that a pipe could hold it.
fn with_noise() -> Bench {
    let bench = Bench::new();
    let mut image = Image::dynamic("noise", geometry(9 << 20, 512));
    image.block_size = BlockSize::MIN;
    let mut random = Random::new(1);
    for number in 0..5 {
        image.blocks.insert(number, Block::full(vec![(0, random.bytes(1 << 20))]));
    }
    bench.forge("vm/noise.vhdx", &image);
    bench
}

#[test]
fn a_reader_that_goes_away_is_an_error_and_no_panic() {
    let bench = with_noise();
    let texts = [
        "the reader of the stream has closed it",
        "hint: the program that reads it has ended before the disk did",
    ];
    for format in ["raw", "raw.zst", "raw.gz", "raw.xz", "vhdx"] {
        // At once, in what the format begins with, and after whole pieces.
        for read in [0, 1, 100, (1 << 20) + 3] {
            let args = ["vm/noise.vhdx", "--out", "-", "--format", format, "--manifest", "out/m.json"];
            let mut running = bench.call(&args).start();
            let mut stdout = running.stdout.take().unwrap();
            stdout.read_exact(&mut vec![0; read]).unwrap();
            drop(stdout);
            running.wait().fails(1).says(&texts).says_nothing_of("panicked");
        }
    }
}

/// Whoever writes into it may have failed: what has come is no disk, even if it is right as far as it goes.
#[test]
fn a_stream_that_ends_early_is_no_copy() {
    let bench = with_noise();
    bench.run(&["vm/noise.vhdx", "--out", "out/m.raw"]).succeeds();
    let verify = ["verify", "-", "--manifest", "out/m.raw.manifest.json"];
    let verified = |bytes: &[u8]| {
        bench.write("some", bytes);
        bench.call(&verify).stdin(File::open(bench.path("some")).unwrap()).run()
    };
    let whole = std::fs::read(bench.path("out/m.raw")).unwrap();
    verified(&whole).succeeds();
    for len in [0, 1, 511, (1 << 20) + 7, 4 << 20, whole.len() - 512, whole.len() - 1] {
        let truncated = format!("`-` is truncated: it has {len} of {} bytes", whole.len());
        verified(&whole[..len]).fails(3).says(&[&truncated, "hint: "]).says_nothing_of("panicked");
    }
    // Nobody writes at all, and a pipe whose writer goes away while it is read.
    bench.run(&verify).fails(3).says(&["`-` is truncated: it has 0 of "]);
    let (reader, mut writer) = std::io::pipe().unwrap();
    let running = bench.call(&verify).stdin(reader).start();
    writer.write_all(&whole[..5 << 20]).unwrap();
    drop(writer);
    running.wait().fails(3).says(&["truncated"]);
}

/// What the copy is does not depend on who wants to hear it.
#[test]
fn a_verdict_that_nobody_reads_keeps_its_code() {
    let bench = Bench::with_stack(&chain("vm"));
    bench.run(&["vm/2.vhdx", "--out", "out/m.raw"]).succeeds();
    let mut copy = bench.bytes("out/m.raw");
    copy[5] ^= 1;
    bench.write("out/m.raw", &copy);
    bench.write("vm/damaged.vhdx", b"vhdxfile and nothing else");
    for (args, code) in [
        (&["verify", "out/m.raw", "--json"][..], 3),
        (&["check", "vm"], 6),
        (&["hash", "vm/damaged.vhdx", "vm/2.vhdx"], 6),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        bench.call(args).stdout(writer).run().ends_with(code);
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
    for args in [&["hash", "vm/2.vhdx"][..], &["hash", "--json", "vm/1.vhdx", "vm/2.vhdx"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        bench.call(args).stdout(writer).run().succeeds().leaves_nothing().says_nothing_of("panicked");
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
        let partial = [format!("{target}.manifest.json.partial"), format!("{target}.partial")];
        assert_eq!(bench.names_in("out"), partial);
        bench.run(&["vm/small.vhdx", "--out", &format!("out/{target}")]).succeeds();
        assert_eq!(bench.names_in("out"), [target.to_owned(), format!("{target}.manifest.json")]);
        for name in bench.names_in("out") {
            bench.remove(&format!("out/{name}"));
        }
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
