//! An export that is killed at any moment: no name but that of a whole image, and beside it no proof of another one.
//!
//! A moment is a system call: a full run is watched, one call of it is drawn, and another run is killed before it. So every
//! step of giving names is hit, and no clock is asked. Who is killed this way can clean nothing up.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::FileExt;

use vhdx_format::forge::disk_of;
use vhdx_format::forge::random::Random;

use crate::harness::{Bench, Content, Loop, Outcome, chain, has_tool, note, random, skipped, succeeds};

/// Calls that change a file or its name, or stand between those that do.
const CALLS: &str = "openat,close,statx,flock,ftruncate,fallocate,lseek,pread64,write,pwrite64,fsync,fdatasync,\
                     rename,renameat2,link,linkat,unlink,unlinkat";

/// Length of the start of a device that is written last.
const HEAD: u64 = 1 << 20;

/// How often each way to export is killed.
const KILLS: usize = 16;

/// The n-th call of that name that a thread makes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Moment {
    pub(crate) call: String,
    pub(crate) count: usize,
}

/// What a folder holds, by name.
pub(crate) type Files = BTreeMap<String, Content>;

/// A way to export, with what is there before and after.
struct Way<'a> {
    bench: &'a Bench,
    args: Vec<&'a str>,
    artifact: &'a str,
    manifest: &'a str,
    /// Lies in `old/` as well, to be put back. Nothing, unless it is to be replaced.
    old: Files,
    new: Files,
    moments: Vec<Moment>,
}

pub(crate) fn can_trace() -> bool {
    if !has_tool("strace", "strace") {
        return false;
    }
    let can = succeeds(&["strace", "-f", "-o", "/dev/null", "true"]);
    if !can {
        skipped("killing an export at its system calls: this machine does not allow `strace`");
    }
    can
}

impl<'a> Way<'a> {
    /// `source` is what is written, over what `replaced` gave if there is such a thing.
    fn of(
        bench: &'a Bench,
        artifact: &'a str,
        manifest: &'a str,
        options: &[&'a str],
        is_forced: bool,
    ) -> Self {
        let args = [&["vm/2.vhdx", "--quiet", "--out", artifact], options].concat();
        clear(bench, "out");
        clear(bench, "old");
        if is_forced {
            bench.run(&[&["vm/1.vhdx"], &args[1..]].concat()).succeeds();
            copy(bench, "out", "old");
        }
        let old = files(bench, "out");
        let args = [&args[..], if is_forced { &["--force"] } else { &[] }].concat();
        let moments = watched(bench, &args, ".partial");
        let new = files(bench, "out");
        let way = Self { bench, args, artifact, manifest, old, new, moments };
        assert!(way.old.is_empty() || way.old.keys().eq(way.new.keys()), "{:?}", way.args);
        assert!(way.old.iter().all(|(name, content)| *content != way.new[name]), "{:?}", way.args);
        assert!(way.new.contains_key(way.artifact_name()) && way.new.len() >= 2, "{:?}", way.args);
        way
    }

    fn artifact_name(&self) -> &'a str {
        self.artifact.trim_start_matches("out/")
    }

    /// Whether a run was killed there. Threads do not share their work the same way every time, so it may be over before.
    fn is_killed_at(&self, moment: &Moment) -> bool {
        clear(self.bench, "out");
        copy(self.bench, "old", "out");
        let outcome = killed_at(self.bench, &self.args, moment);
        let is_killed = files(self.bench, "out") != self.new || outcome.is_killed();
        if is_killed {
            outcome.killed()
        } else {
            outcome.succeeds()
        };
        is_killed
    }

    /// Judges what is there after a kill. True if the new image is.
    fn judge(&self, moment: &Moment) -> bool {
        let (args, files) = (&self.args, files(self.bench, "out"));
        let told = format!("{args:?} killed before {moment:?}: {:?}", files.keys());
        let whole: BTreeMap<_, _> = files.iter().filter(|(name, _)| !name.ends_with(".partial")).collect();
        let artifact = files.get(self.artifact_name());
        let is_new = artifact == Some(&self.new[self.artifact_name()]);
        let expected = if is_new { &self.new } else { &self.old };
        assert!(is_new || artifact == self.old.get(self.artifact_name()), "a torn image, {told}");
        for (name, content) in &whole {
            assert!(
                expected.get(*name) == Some(*content),
                "`{name}` belongs to no image that is there, {told}"
            );
        }
        for name in files.keys().filter_map(|name| name.strip_suffix(".partial")) {
            assert!(self.new.contains_key(name), "an unfinished file of an unknown name, {told}");
        }
        if self.bench.path(self.manifest).exists() {
            let verify = ["verify", self.artifact, "--manifest", self.manifest];
            self.bench.run(&verify).succeeds().leaves_nothing();
        }
        is_new
    }

    /// What was left is taken over.
    fn is_done_by_another_run(&self, is_there: bool) {
        let force: &[&str] = if is_there && self.old.is_empty() { &["--force"] } else { &[] };
        self.bench.run(&[&self.args, force].concat()).succeeds();
        assert_eq!(files(self.bench, "out"), self.new, "{:?}", self.args);
    }
}

/// What is in a folder of the bench, which need not be there.
pub(crate) fn files(bench: &Bench, folder: &str) -> Files {
    let names = bench.names_in(folder).into_iter();
    names.map(|name| (name.clone(), bench.content(&format!("{folder}/{name}")))).collect()
}

pub(crate) fn clear(bench: &Bench, folder: &str) {
    let _ = fs::remove_dir_all(bench.path(folder));
    fs::create_dir(bench.path(folder)).unwrap();
}

fn copy(bench: &Bench, from: &str, to: &str) {
    for name in bench.names_in(from) {
        fs::copy(bench.path(from).join(&name), bench.path(to).join(&name)).unwrap();
    }
}

/// Runs to the end, and gives the moments from the first call on that names a file which ends like this.
pub(crate) fn watched(bench: &Bench, args: &[&str], end: &str) -> Vec<Moment> {
    let watch = ["strace", "-f", "-qq", "-o", "calls", "-e", &format!("trace={CALLS}")];
    bench.call(args).within(&watch).run().succeeds();
    moments(&fs::read_to_string(bench.path("calls")).unwrap(), &format!("{end}\""))
}

/// Runs, to be killed at that moment if it comes.
pub(crate) fn killed_at(bench: &Bench, args: &[&str], moment: &Moment) -> Outcome {
    let Moment { call, count } = moment;
    let (trace, kill) = (format!("trace={call}"), format!("inject={call}:signal=SIGKILL:when={count}"));
    bench.call(args).within(&["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &kill]).run()
}

/// The calls of a run from the one on that has `first` in it, as strace has written them: `PID NAME(…`. Those that it
/// tells in two parts count once.
fn moments(calls: &str, first: &str) -> Vec<Moment> {
    let mut counts: HashMap<(&str, &str), usize> = HashMap::new();
    let mut moments = Vec::new();
    let mut has_begun = false;
    for line in calls.lines() {
        has_begun |= line.contains(first);
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((call, _)) = rest.trim_start().split_once('(') else { continue };
        if !call.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            continue;
        }
        let count = counts.entry((thread, call)).or_default();
        *count += 1;
        if has_begun {
            moments.push(Moment { call: call.to_owned(), count: *count });
        }
    }
    moments
}

pub(crate) fn among<'a>(moments: &'a [Moment], random: &mut Random) -> &'a Moment {
    &moments[random.below(moments.len() as u64) as usize]
}

/// How many runs were killed, and how many of them after the image had its name.
fn kill(way: &Way<'_>, random: &mut Random) -> (usize, usize) {
    let is_naming = |moment: &&Moment| moment.call.starts_with("rename");
    let first_name = way.moments.iter().position(|moment| is_naming(&moment)).expect("names are given");
    let (mut killed, mut named) = (0, 0);
    for attempt in 0.. {
        assert!(attempt < 20 * KILLS, "{:?} is hardly ever killed", way.args);
        // Every other time one of the last steps, of which there are few.
        let from = if attempt % 2 == 0 { 0 } else { first_name.saturating_sub(12) };
        let moment = among(&way.moments[from..], random);
        if !way.is_killed_at(moment) {
            continue;
        }
        killed += 1;
        let is_there = way.judge(moment);
        named += usize::from(is_there);
        way.is_done_by_another_run(is_there);
        if killed == KILLS {
            break;
        }
    }
    (killed, named)
}

#[test]
fn a_killed_export_leaves_whole_images_and_their_own_proofs_only() {
    if !can_trace() {
        return;
    }
    let mut random = random("killed");
    let bench = Bench::with_stack(&chain("vm"));
    let ways: [(&str, &str, &[&str], bool); 7] = [
        ("out/m.raw", "out/m.raw.manifest.json", &["--sums", "--bmap"], false),
        ("out/m.raw", "out/m.raw.manifest.json", &["--sums", "--bmap"], true),
        ("out/m.raw.zst", "out/m.raw.zst.manifest.json", &["--sums", "--bmap"], false),
        ("out/m.raw.zst", "out/m.raw.zst.manifest.json", &["--sums", "--bmap"], true),
        ("out/m.vhdx", "out/m.vhdx.manifest.json", &["--sums"], false),
        ("out/m.vhdx", "out/m.vhdx.manifest.json", &["--sums"], true),
        ("out/m.raw", "out/proof.json", &["--manifest", "out/proof.json"], true),
    ];
    let (mut killed, mut named) = (0, 0);
    for (artifact, manifest, options, is_forced) in ways {
        let way = Way::of(&bench, artifact, manifest, options, is_forced);
        let (all, with_name) = kill(&way, &mut random);
        killed += all;
        named += with_name;
    }
    note(&format!("killed {killed} times, {named} of them with the new image under its name"));
    assert!(killed >= 100 && named > 0 && named < killed);
}

/// What a device held can not be given back, but it does not begin like the disk before it is the disk.
#[test]
fn a_killed_export_to_a_device_leaves_the_whole_disk_or_one_without_its_start() {
    if !can_trace() {
        return;
    }
    let mut random = random("killed, device");
    let bench = Bench::with_stack(&chain("vm"));
    let disk = disk_of(&chain("vm"));
    let old = vec![0xFF; disk.len()];
    let Some(device) = Loop::holding(&bench, "used", &old) else { return };
    let node = device.node.as_str();
    let args = ["vm/2.vhdx", "--quiet", "--device", "--out", node, "--manifest", "out/m.json"];
    let moments = watched(&bench, &args, node);
    let (mut killed, mut whole) = (0, 0);
    for attempt in 0..20 * KILLS {
        clear(&bench, "out");
        device.file().write_all_at(&old, 0).unwrap();
        // Every other time one of the last steps, of which few come after the start.
        let from = if attempt % 2 == 0 { 0 } else { moments.len().saturating_sub(12) };
        let moment = among(&moments[from..], &mut random);
        let outcome = killed_at(&bench, &args, moment);
        if !outcome.is_killed() {
            outcome.succeeds();
            continue;
        }
        killed += 1;
        let head = device.bytes(0, HEAD);
        let is_old = head.iter().all(|&byte| byte == 0xFF);
        let is_blank = head.iter().all(|&byte| byte == 0 || byte == 0xFF);
        if is_blank {
            let is_untouched = device.bytes(0, disk.len() as u64) == old;
            assert!(is_untouched || !is_old, "the old start before other data: {moment:?}");
            assert!(!bench.path("out/m.json").exists(), "a manifest without the disk: {moment:?}");
        } else {
            whole += 1;
            assert!(
                device.bytes(0, disk.len() as u64) == disk,
                "half a disk that begins like it: {moment:?}"
            );
        }
        if bench.path("out/m.json").exists() {
            bench.run(&["verify", node, "--manifest", "out/m.json"]).succeeds();
        }
        if killed == KILLS {
            break;
        }
    }
    note(&format!("killed {killed} times, {whole} of them with the whole disk on the device"));
    assert!(killed == KILLS && whole > 0 && whole < killed);
    bench.run(&[&args[..], &["--force"]].concat()).succeeds();
    bench.run(&["verify", node, "--manifest", "out/m.json"]).succeeds();
}
