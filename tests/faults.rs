//! Every system call that fails: the same result all the same, or an error that says so and leaves nothing behind.
//!
//! A run is watched, and then made again once for each call that it made, which the system refuses this time. So each step
//! of each command is seen to fail, and no clock is asked. Of long rows of one call all of the first and of the last are
//! taken, and some between by chance.
//!
//! A call is the n-th of its name that a thread makes: each thread's n-th fails. Those that the loader makes before the
//! program begins are left out, and with them, of other threads, as many of the first; what reads those is tried through
//! `preadv2`, which no loader makes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use vhdx_format::forge::disk_of;
use vhdx_format::forge::random::Random;

use crate::harness::{
    Bench, Content, Loop, Outcome, branched, chain, has_tool, note, random, skipped, succeeds,
};

/// Calls that read or change something outside of the program.
const CALLS: [&str; 31] = [
    "open",
    "openat",
    "read",
    "pread64",
    "preadv2",
    "write",
    "pwrite64",
    "fallocate",
    "ftruncate",
    "fsync",
    "fdatasync",
    "rename",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "lseek",
    "statx",
    "newfstatat",
    "fstat",
    "getdents64",
    "readlink",
    "copy_file_range",
    "ioctl",
    "flock",
    "fstatfs",
    "fadvise64",
    "socketpair",
    "dup3",
];

/// Those that can find a full file system.
const ROOM: [&str; 9] = [
    "openat",
    "write",
    "pwrite64",
    "fallocate",
    "ftruncate",
    "fsync",
    "renameat2",
    "mkdir",
    "copy_file_range",
];

/// Those that a signal can interrupt before they have done anything, and which are then made again.
const INTERRUPTED: [&str; 11] = [
    "openat",
    "read",
    "pread64",
    "preadv2",
    "write",
    "pwrite64",
    "fallocate",
    "ftruncate",
    "fsync",
    "ioctl",
    "copy_file_range",
];

/// Length of the start of a device that is written last.
const HEAD: u64 = 1 << 20;

/// What is taken of long rows, where nothing asks for more.
const SAMPLE: usize = 4;

/// The n-th call of that name, and what the system says to it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Fault {
    call: &'static str,
    nth: usize,
    error: &'static str,
}

impl Fault {
    /// Whether nothing may come of it: what was interrupted is made again, and advice is only that. Not where a device is
    /// written: its medium is read past the cache, and who uses it is looked up where no signal comes between.
    fn is_harmless(&self, args: &[&str]) -> bool {
        let is_device = args.contains(&"--device");
        match self.call {
            "fadvise64" => !is_device,
            "openat" if is_device => false,
            _ => self.error == "EINTR",
        }
    }
}

/// What a folder holds, by name.
type Files = BTreeMap<String, Content>;

/// What a command leaves and prints.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Left {
    files: Files,
    stdout: Content,
}

/// How a command tells what it could not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tells {
    /// It fails.
    ByFailing,
    /// It answers for what it could read, and the answer names what it could not.
    InItsAnswer,
}

/// A command under test.
struct Case<'a> {
    bench: &'a Bench,
    args: Vec<&'a str>,
    /// The program that starts `strace`, with its arguments.
    wrapper: Vec<&'a str>,
    /// The file that is its standard input.
    stdin: Option<&'a str>,
    tells: Tells,
    /// Of a row of one call that is longer than three times this: so many of the first, of the last, and between.
    sample: usize,
    /// What `out` holds before; it lies in `old/` as well.
    before: Files,
    expected: Left,
    faults: Vec<Fault>,
}

/// How many calls failed, and how many of the failures were survived.
#[derive(Clone, Copy, Default, Debug)]
struct Tally {
    faults: usize,
    survived: usize,
}

fn can_trace() -> bool {
    if !has_tool("strace", "strace") {
        return false;
    }
    let can = succeeds(&["strace", "-f", "-o", "/dev/null", "true"]);
    if !can {
        skipped("failing system calls: this machine does not allow `strace`");
    }
    can
}

impl<'a> Case<'a> {
    fn of(bench: &'a Bench, args: &[&'a str]) -> Self {
        clear(bench, "old");
        copy(bench, "out", "old");
        Self {
            bench,
            args: args.to_vec(),
            wrapper: Vec::new(),
            stdin: None,
            tells: Tells::ByFailing,
            sample: SAMPLE,
            before: files(bench),
            expected: Left { files: Files::new(), stdout: Content::of(&[]) },
            faults: Vec::new(),
        }
    }

    /// Watches the command, which succeeds; `begins` is in the first call of its own.
    fn watched(mut self, begins: &str, random: &mut Random) -> Self {
        let list = CALLS.map(|call| format!("?{call}")).join(",");
        let log = self.bench.path("calls");
        let log = log.to_str().unwrap();
        let (outcome, left) = self.run(&["-o", log, "-e", &format!("trace={list}")]);
        outcome.succeeds();
        self.expected = left;
        let calls = fs::read_to_string(log).unwrap();
        self.faults = faults(&calls, begins, self.sample, random);
        assert!(self.faults.len() > 20, "{:?}: {:?}", self.args, self.faults);
        self
    }

    fn run(&self, strace: &[&str]) -> (Outcome, Left) {
        let wrapper = [&self.wrapper[..], &["strace", "-f", "-qq"], strace].concat();
        let call = self.bench.call(&self.args).within(&wrapper);
        let call = match self.stdin {
            Some(name) => call.stdin(File::open(self.bench.path(name)).unwrap()),
            None => call,
        };
        let outcome = call.run();
        let left = Left { files: files(self.bench), stdout: Content::of(&outcome.stdout) };
        (outcome, left)
    }

    fn fails(&self, fault: &Fault) -> (Outcome, Left) {
        let Fault { call, nth, error } = fault;
        let (trace, inject) = (format!("trace={call}"), format!("inject={call}:error={error}:when={nth}"));
        self.run(&["-o", "/dev/null", "-e", &trace, "-e", &inject])
    }

    /// Makes every call fail.
    fn sweep(&self) -> Tally {
        let mut survived = 0;
        for fault in &self.faults {
            self.restore();
            let (outcome, left) = self.fails(fault);
            survived += usize::from(self.judge(fault, &outcome, &left));
        }
        self.restore();
        let tally = Tally { faults: self.faults.len(), survived };
        note(&format!(
            "{}: {} calls failed, {} without harm",
            self.args.join(" "),
            tally.faults,
            tally.survived
        ));
        assert!(survived < tally.faults, "nothing failed: {:?}", self.args);
        tally
    }

    fn restore(&self) {
        clear(self.bench, "out");
        copy(self.bench, "old", "out");
    }

    /// Judges an end. True if the fault was survived.
    fn judge(&self, fault: &Fault, outcome: &Outcome, left: &Left) -> bool {
        let names: Vec<_> = left.files.keys().collect();
        let told = format!("{fault:?} of {:?}: {names:?}\n{outcome:?}", self.args);
        let code = outcome.code().unwrap_or_else(|| panic!("no end by itself: {told}"));
        assert!(!outcome.stderr.contains("panicked"), "{told}");
        if code == 0 && *left == self.expected {
            return true;
        }
        assert!(!fault.is_harmless(&self.args), "not made again: {told}");
        if self.tells == Tells::InItsAnswer && left.stdout != self.expected.stdout && code != 75 && code != 8
        {
            let answer = String::from_utf8_lossy(&outcome.stdout);
            assert!(
                ["os error", "cannot be read"].iter().any(|text| answer.contains(text)),
                "{told}\n{answer}"
            );
            assert!([0, 1, 4, 5].contains(&code), "{told}");
            return false;
        }
        if code == 0 {
            assert!(self.is_warned(left), "another result without a word: {told}");
            return true;
        }
        self.is_error(fault, code, outcome, &told);
        self.is_clean(fault, outcome, left, &told);
        false
    }

    /// Whether everything is the same but the manifest, which has a warning.
    fn is_warned(&self, left: &Left) -> bool {
        let differs = |name: &&String| left.files.get(*name) != self.expected.files.get(*name);
        let has_warning = |name: &String| {
            let manifest = self.bench.json(&format!("out/{name}"));
            manifest["warnings"].as_array().is_some_and(|warnings| !warnings.is_empty())
        };
        left.stdout == self.expected.stdout
            && left.files.keys().eq(self.expected.files.keys())
            && left.files.keys().filter(differs).all(|name| name.contains(".json") && has_warning(name))
    }

    /// A code of the table that fits, and a message that names what failed.
    fn is_error(&self, fault: &Fault, code: i32, outcome: &Outcome, told: &str) {
        // Where the file that was meant can not be found any more, that is what is said.
        let codes: &[i32] = match (fault.error, self.args[0]) {
            ("ENOSPC", "info" | "map") => &[4, 6, 8],
            ("ENOSPC", _) => &[8],
            (_, "info" | "map") => &[4, 6, 75],
            _ => &[75],
        };
        assert!(codes.contains(&code), "expected one of {codes:?}: {told}");
        let message = outcome.stderr.lines().find(|line| line.starts_with("error: "));
        let message = message.unwrap_or_else(|| panic!("no message: {told}"));
        let is_named = ["`", "the stream", "the result", "signals", "configurations"];
        assert!(is_named.iter().any(|name| message.contains(name)), "{told}");
    }

    /// Whole files only that belong to the image that is there, which is the old one unless it was replaced.
    fn is_clean(&self, fault: &Fault, outcome: &Outcome, left: &Left, told: &str) {
        let artifact = self.args.iter().find_map(|arg| arg.strip_prefix("out/"));
        let is_new = artifact.is_some_and(|name| {
            let found = left.files.get(name);
            found.is_some() && found == self.expected.files.get(name) && found != self.before.get(name)
        });
        let is_forced = self.args.contains(&"--force");
        assert!(!is_new || is_forced || outcome.stderr.contains("the image is complete"), "{told}");
        let belonging = if is_new { &self.expected.files } else { &self.before };
        for (name, content) in &left.files {
            let is_removed = fault.call.starts_with("unlink") && name.ends_with(".partial");
            assert!(is_removed || belonging.get(name) == Some(content), "`{name}` is left: {told}");
        }
        if !is_new && !is_forced {
            let is_there = |name| left.files.contains_key(name);
            assert!(self.before.keys().all(is_there), "{told}");
        }
    }
}

/// What is in the folder of targets.
fn files(bench: &Bench) -> Files {
    let names = bench.names_in("out").into_iter();
    names.map(|name| (name.clone(), bench.content(&format!("out/{name}")))).collect()
}

fn clear(bench: &Bench, folder: &str) {
    let _ = fs::remove_dir_all(bench.path(folder));
    fs::create_dir(bench.path(folder)).unwrap();
}

fn copy(bench: &Bench, from: &str, to: &str) {
    for name in bench.names_in(from) {
        fs::copy(bench.path(from).join(&name), bench.path(to).join(&name)).unwrap();
    }
}

/// The faults that calls can have, from the first one on that has `begins` in it, as strace has written them:
/// `PID NAME(…`. Those that it tells in two parts count once.
fn faults(calls: &str, begins: &str, most: usize, random: &mut Random) -> Vec<Fault> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut points: BTreeMap<&'static str, BTreeSet<usize>> = BTreeMap::new();
    let mut before: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut has_begun = false;
    for line in calls.lines() {
        has_begun |= line.contains(begins);
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((call, _)) = rest.trim_start().split_once('(') else { continue };
        let Some(call) = CALLS.into_iter().find(|known| *known == call) else { continue };
        let count = counts.entry((thread, call)).or_default();
        *count += 1;
        if has_begun {
            points.entry(call).or_default().insert(*count);
        } else {
            before.insert(call, *count);
        }
    }
    let mut faults = Vec::new();
    for (call, points) in points {
        let loader = before.get(call).copied().unwrap_or_default();
        let points: Vec<usize> = points.into_iter().filter(|nth| *nth > loader).collect();
        let row = sample(&points, most, random);
        for (errors, error) in [(&CALLS[..], "EIO"), (&ROOM, "ENOSPC"), (&INTERRUPTED, "EINTR")] {
            if errors.contains(&call) {
                faults.extend(row.iter().map(|&nth| Fault { call, nth, error }));
            }
        }
    }
    faults
}

fn sample(points: &[usize], most: usize, random: &mut Random) -> Vec<usize> {
    if points.len() <= 3 * most {
        return points.to_vec();
    }
    let (first, rest) = points.split_at(most);
    let (between, last) = rest.split_at(rest.len() - most);
    let mut sample: BTreeSet<usize> = first.iter().chain(last).copied().collect();
    sample.extend((0..most).map(|_| between[random.below(between.len() as u64) as usize]));
    sample.into_iter().collect()
}

/// Cases that begin with an empty folder of targets, each over [`chain`].
fn exports(test: &str, ways: &[&[&str]]) {
    if !can_trace() {
        return;
    }
    let mut random = random(test);
    let bench = Bench::with_stack(&chain("vm"));
    for way in ways {
        clear(&bench, "out");
        let args = [&["vm/2.vhdx", "--quiet"], *way].concat();
        Case::of(&bench, &args).watched("vm/2.vhdx\"", &mut random).sweep();
    }
}

#[test]
fn an_export_to_a_file_is_whole_or_not_there() {
    exports(
        "faults, files",
        &[
            &["--sums", "--bmap", "--out", "out/m.raw"],
            &["--sums", "--reflink", "never", "--out", "out/m.vhdx"],
            &["--out", "out/m.raw.zst"],
        ],
    );
}

#[test]
fn an_export_past_the_cache_or_to_a_stream_is_whole_or_an_error() {
    exports(
        "faults, streams",
        &[
            &["--no-cache", "--out", "out/m.raw.gz"],
            &["--format", "raw", "--manifest", "out/m.json", "--out", "-"],
            &["--format", "vhdx", "--out", "-"],
        ],
    );
}

/// What was there stays, or goes with all that belongs to it.
#[test]
fn an_image_that_is_replaced_is_the_old_or_the_new_one() {
    if !can_trace() {
        return;
    }
    let mut random = random("faults, replacing");
    let bench = Bench::with_stack(&chain("vm"));
    bench.run(&["vm/1.vhdx", "--sums", "--out", "out/m.raw"]).succeeds();
    let args = ["vm/2.vhdx", "--quiet", "--force", "--manifest", "none", "--out", "out/m.raw"];
    // What is looked at shows in the middle of a long row.
    Case { sample: 20, ..Case::of(&bench, &args) }.watched("vm/2.vhdx\"", &mut random).sweep();
}

#[test]
fn a_digest_or_a_verdict_is_right_or_an_error() {
    if !can_trace() {
        return;
    }
    let mut random = random("faults, digests");
    let bench = Bench::with_stack(&chain("vm"));
    bench.run(&["vm/2.vhdx", "--out", "out/m.raw"]).succeeds();
    bench.run(&["vm/2.vhdx", "--out", "out/m.raw.zst"]).succeeds();
    bench.run(&["vm/2.vhdx", "--out", "out/m.vhdx"]).succeeds();
    let ways: [(&[&str], Option<&str>); 6] = [
        (&["hash", "vm/1.vhdx", "-q"], None),
        (&["hash", "--json", "--no-cache", "-q", "vm/2.vhdx"], None),
        (&["verify", "out/m.raw.zst", "-q"], None),
        (&["verify", "out/m.vhdx", "--json", "-q"], None),
        (&["verify", "out/m.raw", "-q"], None),
        (&["verify", "-", "--manifest", "out/m.raw.manifest.json", "-q"], Some("out/m.raw")),
    ];
    for (args, stdin) in ways {
        let begins = args.iter().find(|arg| arg.contains('/')).unwrap();
        Case { stdin, ..Case::of(&bench, args) }.watched(begins, &mut random).sweep();
    }
}

#[test]
fn what_is_said_of_a_folder_is_right_or_names_what_can_not_be_read() {
    if !can_trace() {
        return;
    }
    let mut random = random("faults, folders");
    let bench = Bench::new();
    branched(&bench).write();
    for (tells, args) in [
        (Tells::InItsAnswer, &["list", "vm"][..]),
        (Tells::InItsAnswer, &["list", "vm", "--json"]),
        (Tells::InItsAnswer, &["tree", "vm"]),
        (Tells::InItsAnswer, &["check", "vm"]),
        (Tells::InItsAnswer, &["check", "vm", "--json"]),
        (Tells::ByFailing, &["info", "vm", "--checkpoint", "@current"]),
        (Tells::ByFailing, &["info", "vm", "--checkpoint", "@current", "--chain", "--json"]),
        (Tells::ByFailing, &["map", "vm", "--checkpoint", "@current", "--json"]),
    ] {
        Case { tells, ..Case::of(&bench, args) }.watched("\"vm\"", &mut random).sweep();
    }
}

/// What a device held can not be given back, but it does not begin like the disk before it is the disk.
#[test]
fn a_device_gets_the_disk_or_nothing_that_begins_like_it() {
    if !can_trace() {
        return;
    }
    let mut random = random("faults, device");
    let bench = Bench::with_stack(&chain("vm"));
    let disk = disk_of(&chain("vm"));
    let old = vec![0xFF; disk.len()];
    let Some(device) = Loop::holding(&bench, "used", &old) else { return };
    let args = ["vm/2.vhdx", "--quiet", "--device", "--out", &device.node, "--manifest", "out/m.json"];
    let case = Case::of(&bench, &args).watched("vm/2.vhdx\"", &mut random);
    let mut survived = 0;
    for fault in &case.faults {
        case.restore();
        device.file().write_all_at(&old, 0).unwrap();
        let (outcome, left) = case.fails(fault);
        let told = format!("{fault:?}: {outcome:?}");
        if case.judge(fault, &outcome, &left) {
            survived += 1;
            assert!(device.bytes(0, disk.len() as u64) == disk, "{told}");
            continue;
        }
        let head = device.bytes(0, HEAD);
        let is_blank = head.iter().all(|&byte| byte == 0 || byte == 0xFF);
        let is_whole = device.bytes(0, disk.len() as u64) == disk && outcome.stderr.contains("complete");
        assert!(is_blank || is_whole, "{told}");
    }
    note(&format!("--device: {} calls failed, {survived} without harm", case.faults.len()));
}
