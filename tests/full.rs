//! A file system that fills up at any moment: exit code 8, and everything is as it was.
//!
//! Each run has a file system of its own, of a size below what is needed, and is told not to look how much is free. The
//! mount is gone when the run has ended, so the listing on standard error is the proof.

use crate::harness::{Bench, Confinement, Outcome, chain, note, random};

const PAGE: u64 = 4096;

/// Ways to export into `out`, with every file that may stand beside.
const WAYS: [(&str, &[&str]); 4] = [
    ("m.raw", &["--sums", "--bmap"]),
    ("m.raw.zst", &["--sums", "--bmap"]),
    ("m.vhdx", &["--sums"]),
    ("m.vhdx", &["--sums", "--fixed"]),
];

/// Random sizes that are tried for each way.
const SIZES: usize = 20;

struct Small {
    bench: Bench,
    wrapper: &'static [&'static str],
}

impl Small {
    /// `None`, said aloud, where this machine allows no mounts.
    fn bench(test: &str) -> Option<Self> {
        let wrapper = Confinement::OwnMounts.wrapper(test)?;
        Some(Self { bench: Bench::with_stack(&chain("vm")), wrapper })
    }

    /// Runs on a file system with these mount options. `before` and `after` are for the shell, `$code` is the exit code.
    fn run(&self, mount: &str, before: &str, after: &str, artifact: &str, args: &[&str]) -> Outcome {
        let script = format!(
            "mount -t tmpfs -o {mount} none out && {before} || exit 99; \"$@\"; code=$?; {after}; exit $code"
        );
        let target = format!("out/{artifact}");
        let args = [&["vm/2.vhdx", "--no-space-check", "--quiet", "--out", &target], args].concat();
        self.bench.call(&args).within(&[self.wrapper, &["sh", "-c", &script, "sh"]].concat()).run()
    }

    /// Pages that the artifact takes on a file system with room, and those of all its files.
    fn pages(&self, artifact: &str, args: &[&str]) -> (u64, u64) {
        let told = "stat -c 'file %n %b' out/* >&2";
        let outcome = self.run("size=64m", "true", told, artifact, args).succeeds();
        let (mut of_artifact, mut of_all) = (0, 0);
        for line in outcome.stderr.lines().filter_map(|line| line.strip_prefix("file out/")) {
            let (name, blocks) = line.rsplit_once(' ').unwrap();
            let pages = blocks.parse::<u64>().unwrap() * 512 / PAGE;
            of_all += pages;
            of_artifact += if name == artifact { pages } else { 0 };
        }
        assert!(0 < of_artifact && of_artifact < of_all, "{}", outcome.stderr);
        (of_artifact, of_all)
    }

    #[track_caller]
    fn is_full(&self, mount: &str, artifact: &str, args: &[&str]) {
        let told = "echo \"left:[$(ls -A out)]\" >&2";
        let outcome = self.run(mount, "true", told, artifact, args);
        outcome.fails(8).says(&["no space left", "hint: ", "left:[]"]).says_nothing_of("panicked");
    }
}

#[test]
fn a_file_system_that_fills_up_at_any_moment_stays_empty() {
    let Some(small) = Small::bench("a file system that fills up") else { return };
    let mut random = random("full");
    let mut filled = 0;
    for (artifact, args) in WAYS {
        let (of_artifact, of_all) = small.pages(artifact, args);
        // All sizes with room for the image, but not for all that belongs beside it.
        let mut sizes: Vec<u64> = (of_artifact..of_all).collect();
        sizes.extend((0..SIZES).map(|_| 1 + random.below(of_artifact - 1)));
        for pages in sizes {
            small.is_full(&format!("size={}", pages * PAGE), artifact, args);
            filled += 1;
        }
        small.run(&format!("size={}", of_all * PAGE), "true", "true", artifact, args).succeeds();
    }
    note(&format!("filled up at {filled} moments"));
}

/// Room for bytes, but not for another name.
#[test]
fn a_file_system_without_room_for_another_file_stays_empty() {
    let Some(small) = Small::bench("a file system that runs out of inodes") else { return };
    for (artifact, args) in WAYS {
        // The folder itself is one, the image another.
        let files = 2 + args.iter().filter(|arg| ["--sums", "--bmap"].contains(arg)).count();
        for inodes in 1..=files {
            small.is_full(&format!("size=64m,nr_inodes={inodes}"), artifact, args);
        }
        let enough = format!("size=64m,nr_inodes={}", files + 1);
        small.run(&enough, "true", "true", artifact, args).succeeds();
    }
}

/// With --force and all that belongs to it.
#[test]
fn what_was_to_be_replaced_is_all_there_after_the_file_system_filled_up() {
    let Some(small) = Small::bench("a full file system with an image to be replaced") else { return };
    let mut random = random("full, replacing");
    for (artifact, args) in WAYS {
        let (of_artifact, of_all) = small.pages(artifact, args);
        let _ = std::fs::remove_dir_all(small.bench.path("old"));
        std::fs::create_dir(small.bench.path("old")).unwrap();
        let old = format!("old/{artifact}");
        small.bench.run(&[&["vm/1.vhdx", "--quiet", "--out", &old], args].concat()).succeeds();
        let args = [args, &["--force"]].concat();
        // The old one fits, if need be as densely as it was written, and a part of the new one.
        let sizes = [of_artifact, of_all - 1].into_iter().chain((0..3).map(|_| random.below(of_artifact)));
        for more in sizes {
            let before = "cp --sparse=always old/* out/ && used=$(du -s --block-size=1 out | cut -f1) \
                          && mount -o remount,size=$((used + ROOM)) out";
            let before = before.replace("ROOM", &(more * PAGE).to_string());
            let after = "diff -r old out >&2 && echo same >&2";
            let outcome = small.run("size=64m", &before, after, artifact, &args);
            outcome.fails(8).says(&["no space left", "same"]);
        }
    }
}
