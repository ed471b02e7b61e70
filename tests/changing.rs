//! Sources that change under our hands: exit code 9, a message that says which file and how, and nothing that looks whole.
//!
//! A run is stopped by a signal that `strace` sends it at one of its calls: when all sources are open and nothing of the disk
//! was read, or at the first write. So the change comes at a known moment, and nothing sleeps. The sources lie in `live`,
//! which the bench does not hold to be untouched.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};

use vhdx_format::forge::{disk_of, edit_header};

use crate::harness::{Bench, Content, Loop, Outcome, chain, has_tool, note, skipped, succeeds};

/// Advice on the first source: each is open by then.
const OPENED: &str = "fadvise64";

/// Length of the start of a device that is written last.
const HEAD: u64 = 1 << 20;

/// What happens to a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Change {
    /// A writer opened the image: its older header becomes the newer one. Length and time are as before.
    Header,
    Grows,
    /// Its last blocks are gone.
    Shrinks,
    Touched,
    /// Another file takes its name.
    Replaced,
    Deleted,
}

impl Change {
    /// What the message says; nothing of a file that is read to its end under whatever name it has.
    fn told(self) -> Option<&'static str> {
        match self {
            Self::Header => Some("its header is another"),
            Self::Grows | Self::Shrinks => Some("bytes and has"),
            Self::Touched => Some("its time of change is another"),
            Self::Replaced | Self::Deleted => None,
        }
    }

    fn happens_to(self, path: &Path) {
        let file = File::options().write(true).open(path).unwrap();
        let before = file.metadata().unwrap();
        match self {
            Self::Header => {
                let number = path.file_stem().unwrap().to_str().unwrap().parse::<usize>().unwrap();
                let mut image = chain("vm")[number].build();
                edit_header(&mut image, 0, |header| header[8] = 99);
                file.write_all_at(&image.read(0x1_0000, 4096), 0x1_0000).unwrap();
            }
            Self::Grows => file.write_all_at(&[0], before.len()).unwrap(),
            Self::Shrinks => file.set_len(before.len() / 4).unwrap(),
            Self::Touched => {
                return file.set_modified(SystemTime::now() + Duration::from_hours(1)).unwrap();
            }
            Self::Replaced => {
                let other = path.with_extension("other");
                fs::write(&other, vec![7; before.len() as usize]).unwrap();
                return fs::rename(other, path).unwrap();
            }
            Self::Deleted => return fs::remove_file(path).unwrap(),
        }
        file.set_modified(before.modified().unwrap()).unwrap();
    }
}

/// Changes that no image is needed for.
const OF_ANY_FILE: [Change; 5] =
    [Change::Grows, Change::Shrinks, Change::Touched, Change::Replaced, Change::Deleted];

fn can_trace() -> bool {
    if !has_tool("strace", "strace") {
        return false;
    }
    let can = succeeds(&["strace", "-f", "-o", "/dev/null", "true"]);
    if !can {
        skipped("changing sources: this machine does not allow `strace`");
    }
    can
}

/// Lets the thread of a line of the log go on, with all of its process. Others may have done so, and it be gone.
fn let_go_on(line: &str) {
    let kill = format!("kill -s CONT {} 2>/dev/null", line.split(' ').next().unwrap());
    Command::new("sh").args(["-c", &kill]).status().unwrap();
}

/// The sources as they were made.
fn renew(bench: &Bench) {
    let _ = fs::remove_dir_all(bench.path("live"));
    for (number, image) in chain("vm").iter().enumerate() {
        bench.forge(&format!("live/{number}.vhdx"), image);
    }
    for name in bench.names_in("made") {
        fs::copy(bench.path("made").join(&name), bench.path("live").join(&name)).unwrap();
    }
}

fn bench() -> Bench {
    let bench = Bench::new();
    for folder in ["made", "live"] {
        fs::create_dir(bench.path(folder)).unwrap();
    }
    renew(&bench);
    for name in ["made/m.raw", "made/m.raw.zst"] {
        bench.run(&["live/2.vhdx", "--quiet", "--out", name]).succeeds();
    }
    renew(&bench);
    bench
}

/// Runs, and has `change` happen when the program makes that call for the first time.
fn changed_at(bench: &Bench, args: &[&str], call: &str, change: impl FnOnce()) -> Outcome {
    let fifo = bench.path("log");
    let _ = fs::remove_file(&fifo);
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let (trace, stop) = (format!("trace={call}"), format!("inject={call}:signal=SIGSTOP:when=1"));
    let strace = ["strace", "-f", "-o", fifo.to_str().unwrap(), "-e", &trace, "-e", &stop];
    let mut running = bench.call(args).within(&strace).start();
    let mut stdout = running.stdout.take().unwrap();
    let read = thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).map(|_| bytes).unwrap()
    });
    let mut lines = BufReader::new(File::open(&fifo).unwrap()).lines().map(Result::unwrap);
    let stopped = lines.find(|line| line.contains("stopped by SIGSTOP"));
    let stopped = stopped.unwrap_or_else(|| panic!("{args:?} makes no {call}"));
    change();
    // Each thread has a first call, and nobody waits for the reader of the log.
    let_go_on(&stopped);
    lines.filter(|line| line.contains("stopped by SIGSTOP")).for_each(|line| let_go_on(&line));
    let mut outcome = running.wait();
    outcome.stdout = read.join().unwrap();
    outcome
}

/// Each change to each file, at each of the calls. How many there were.
fn each_change(
    bench: &Bench,
    args: &[&str],
    calls: &[&str],
    files: &[&str],
    changes: &[Change],
    mut judge: impl FnMut(&Outcome, Change),
) -> usize {
    let _ = fs::remove_dir_all(bench.path("out"));
    fs::create_dir(bench.path("out")).unwrap();
    let before = bench.run(args).succeeds();
    let expected = (Content::of(&before.stdout), files_in(bench));
    let mut count = 0;
    for (call, file, change) in calls
        .iter()
        .flat_map(|call| files.iter().map(move |file| (call, file)))
        .flat_map(|(call, file)| changes.iter().map(move |change| (call, file, *change)))
    {
        let _ = fs::remove_dir_all(bench.path("out"));
        fs::create_dir(bench.path("out")).unwrap();
        renew(bench);
        let outcome = changed_at(bench, args, call, || change.happens_to(&bench.path(file)));
        judge(&outcome, change);
        if let Some(told) = change.told() {
            let name = format!("{}` changed while it was being read: ", file.trim_start_matches("live/"));
            outcome.ends_with(9).leaves_nothing().says(&["error: ", &name, told, "hint: "]);
        } else {
            let outcome = outcome.succeeds();
            assert_eq!((Content::of(&outcome.stdout), files_in(bench)), expected, "{args:?} {change:?}");
        }
        count += 1;
    }
    renew(bench);
    count
}

fn files_in(bench: &Bench) -> Vec<(String, Content)> {
    let names = bench.names_in("out").into_iter();
    names.map(|name| (name.clone(), bench.content(&format!("out/{name}")))).collect()
}

const CHAIN: [&str; 3] = ["live/2.vhdx", "live/1.vhdx", "live/0.vhdx"];

#[test]
fn a_chain_that_changes_while_it_is_exported_gives_no_image() {
    if !can_trace() {
        return;
    }
    let bench = bench();
    let changes = [&[Change::Header], &OF_ANY_FILE[..]].concat();
    let mut count = 0;
    let ways: [(&[&str], &[&str]); 6] = [
        (&["--sums", "--bmap", "--out", "out/m.raw"], &[OPENED, "pwrite64"]),
        (&["--out", "out/m.vhdx"], &[OPENED, "pwrite64"]),
        (&["--out", "out/m.raw.zst"], &[OPENED]),
        (&["--no-cache", "--out", "out/m.raw.gz"], &[OPENED]),
        (&["--format", "raw", "--manifest", "out/m.json", "--out", "-"], &[OPENED]),
        (&["--format", "vhdx", "--manifest", "out/m.json", "--out", "-"], &[OPENED]),
    ];
    for (way, calls) in ways {
        let args = [&["live/2.vhdx", "--quiet"], way].concat();
        // What a block holds may be read by the first write.
        for call in calls {
            let changes: Vec<_> = changes
                .iter()
                .copied()
                .filter(|change| *call == OPENED || *change != Change::Shrinks)
                .collect();
            count += each_change(&bench, &args, &[call], &CHAIN, &changes, |_, _| ());
        }
    }
    note(&format!("changed {count} sources of exports"));
}

#[test]
fn what_changes_while_it_is_digested_or_verified_gets_no_digest_and_no_verdict() {
    if !can_trace() {
        return;
    }
    let bench = bench();
    let all = [&[Change::Header], &OF_ANY_FILE[..]].concat();
    let silent = |outcome: &Outcome, change: Change| {
        assert!(change.told().is_none() || outcome.stdout.is_empty(), "{outcome:?}");
    };
    let manifest = "made/m.raw.manifest.json";
    let mut count = 0;
    for args in [&["hash", "-q"][..], &["hash", "--json", "-q"], &["verify", "-q", "--manifest", manifest]] {
        let of = |name| [args, &[name]].concat();
        count += each_change(&bench, &of("live/2.vhdx"), &[OPENED], &CHAIN, &all, silent);
        for name in ["live/m.raw", "live/m.raw.zst"] {
            count += each_change(&bench, &of(name), &[OPENED], &[name], &OF_ANY_FILE, silent);
        }
    }
    note(&format!("changed {count} files that were digested or verified"));
}

/// What was printed by then is of no worth, which the code says.
#[test]
fn a_map_of_a_chain_that_changes_ends_with_9() {
    if !can_trace() {
        return;
    }
    let bench = bench();
    let changes = [Change::Header, Change::Grows, Change::Touched, Change::Replaced];
    for args in [&["map", "live/2.vhdx"][..], &["map", "--json", "live/2.vhdx"]] {
        each_change(&bench, args, &["write"], &CHAIN, &changes, |_, _| ());
    }
}

/// A raw source is read twice for an image, which would show what no time tells.
#[test]
fn bare_disks_that_change_while_they_are_exported_give_no_image() {
    if !can_trace() {
        return;
    }
    let bench = bench();
    let mut count = 0;
    for source in ["live/m.raw", "live/m.raw.zst"] {
        for target in ["out/m.vhdx", "out/n.raw"] {
            let args = [source, "--quiet", "--out", target];
            count += each_change(&bench, &args, &[OPENED], &[source], &OF_ANY_FILE, |_, _| ());
        }
    }
    note(&format!("changed {count} bare sources"));
}

/// Its start is its name.
#[test]
fn a_device_gets_no_start_of_a_disk_that_changed() {
    if !can_trace() {
        return;
    }
    let bench = bench();
    let disk = disk_of(&chain("vm"));
    let Some(device) = Loop::holding(&bench, "used", &vec![0xFF; disk.len()]) else { return };
    let args = ["live/2.vhdx", "--quiet", "--device", "--out", &device.node, "--manifest", "out/m.json"];
    let changes = [Change::Header, Change::Grows, Change::Shrinks, Change::Touched, Change::Replaced];
    let count = each_change(&bench, &args, &[OPENED], &CHAIN, &changes, |_, change| {
        let head = device.bytes(0, HEAD);
        let is_blank = head.iter().all(|&byte| byte == 0 || byte == 0xFF);
        assert_eq!(is_blank, change.told().is_some(), "{change:?}");
        device.file().write_all_at(&vec![0xFF; disk.len()], 0).unwrap();
    });
    note(&format!("changed {count} sources of devices"));
}
