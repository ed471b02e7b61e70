//! One suite for all sinks, and what it needs: a model of a disk and a layer that fails on demand.
//!
//! A sink joins by implementing [`Subject`] and a line of [`conformance!`] in `subjects.rs`.

#[cfg(target_os = "linux")]
mod devices;
mod faults;
mod files;
mod frames;
mod images;
pub(crate) mod model;
mod pipeline;
#[cfg(target_os = "linux")]
mod placed;
mod subjects;

use std::num::NonZeroUsize;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use vhdx_format::VirtualDisk;

use self::faults::{Faults, Kind};
use self::model::{Fill, ModelDisk, disks};
use crate::{
    Cancel, DigestChoice, Export, ExportError, NoProgress, Options, Progress, RunDigest, Sha256Digest, Sink,
    SinkError, SpaceError, Tally, export,
};

/// A sink under test, with a place to write to.
pub(crate) trait Subject {
    type Sink: Sink;

    /// A sink that starts over, whatever was written before.
    fn open(&self, disk: &ModelDisk, faults: &Faults) -> Result<Self::Sink, ExportError>;

    /// The artifact, if there is one.
    fn artifact(&self) -> Option<Vec<u8>>;

    /// The disk that an artifact stands for, decoded without the code under test.
    fn content(&self, artifact: &[u8], disk: &ModelDisk) -> Vec<u8>;

    /// Whether nothing is left of an export that did not finish.
    fn is_clean(&self) -> bool;
}

pub(crate) fn threads(count: usize) -> Options {
    Options { threads: NonZeroUsize::new(count).unwrap(), digests: DigestChoice::default(), pool: None }
}

const ALL_DIGESTS: DigestChoice = DigestChoice { sha256: true, blksum: true, runs: true, artifact: true };

/// Exports and publishes.
pub(crate) fn exported<S: Sink>(
    disk: &dyn VirtualDisk,
    sink: S,
    options: &Options,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Export, ExportError> {
    export(disk, sink, options, progress, cancel)?.complete(cancel)?.publish()
}

fn run<S: Subject>(
    subject: &S,
    disk: &ModelDisk,
    faults: &Faults,
    count: usize,
) -> Result<Export, ExportError> {
    let sink = subject.open(disk, faults)?;
    let options = Options { digests: ALL_DIGESTS, ..threads(count) };
    exported(disk, sink, &options, &NoProgress, &Cancel::new())
}

pub(crate) fn any_disk_is_held_whatever_the_threads<S: Subject>(subject: &S) {
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let law = |(disk, count): (ModelDisk, usize)| {
        let done = run(subject, &disk, &Faults::none(), count).unwrap();
        let artifact = subject.artifact().unwrap();
        prop_assert_eq!(done.len, artifact.len() as u64);
        prop_assert_eq!(done.artifact.unwrap().sha256, Sha256Digest::of(&artifact));
        prop_assert_eq!(done.digests.sha256, Some(Sha256Digest::of(&disk.content)));
        prop_assert_eq!(done.digests.blocks.unwrap().blksum, blksum(&disk.content));
        runs_are_the_data(&done.digests.runs.unwrap(), &disk.content);
        prop_assert_eq!(done.content.total(), disk.content.len() as u64);
        prop_assert!(subject.content(&artifact, &disk) == disk.content);
        run(subject, &disk, &Faults::none(), 1).unwrap();
        prop_assert!(subject.artifact().unwrap() == artifact);
        Ok(())
    };
    TestRunner::new(config).run(&(disks(), 2_usize..6), law).unwrap();
}

/// The construction in a few lines.
fn blksum(content: &[u8]) -> Sha256Digest {
    let mut outer: Vec<u8> = content.chunks(64 << 10).flat_map(|block| Sha256Digest::of(block).0).collect();
    outer.extend((content.len() as u64).to_le_bytes());
    Sha256Digest::of(&outer)
}

/// Each run has the digest of its bytes, and there are nothing but zeros between.
fn runs_are_the_data(runs: &[RunDigest], content: &[u8]) {
    let mut rest = content.to_vec();
    for run in runs {
        let range =
            usize::try_from(run.range.start().0).unwrap()..usize::try_from(run.range.end().0).unwrap();
        assert!(range.start % 4096 == 0 && (range.end % 4096 == 0 || range.end == content.len()));
        assert_eq!(run.sha256, Sha256Digest::of(&content[range.clone()]));
        rest[range].fill(0);
    }
    assert!(rest.iter().all(|&byte| byte == 0));
}

pub(crate) fn zeros_are_held_stored_or_not<S: Subject>(subject: &S) {
    const CELL: usize = 4 << 20;
    for runs in [
        &[(512, Fill::Hole)][..],
        &[(512, Fill::StoredZeros)],
        &[(3 * CELL + 512, Fill::Hole)],
        &[(3 * CELL + 512, Fill::StoredZeros)],
        // The last piece is short and its end touches a block without data.
        &[(CELL + (1 << 20), Fill::Noise), (512, Fill::Hole)],
        &[(CELL - 4096, Fill::Noise), (4096, Fill::Hole), (4096, Fill::Hole), (CELL, Fill::Specks)],
    ] {
        let disk = ModelDisk::new(runs);
        run(subject, &disk, &Faults::none(), 2).unwrap();
        assert!(subject.content(&subject.artifact().unwrap(), &disk) == disk.content, "{disk:?}");
    }
}

pub(crate) fn any_failed_step_leaves_nothing<S: Subject>(subject: &S) {
    let disk = ModelDisk::new(&[
        (13 << 20, Fill::Noise),
        (70 << 10, Fill::Hole),
        (1 << 20, Fill::Specks),
        (512, Fill::Noise),
    ]);
    for kind in [Kind::Io, Kind::Full] {
        let mut nth = 0;
        while let Err(error) = run(subject, &disk, &Faults::at(nth, kind), 2) {
            let is_full = matches!(error, ExportError::Sink(SinkError::Space(SpaceError::Full { .. })));
            assert!(matches!(error, ExportError::Sink(_)) && is_full == (kind == Kind::Full), "{error}");
            assert!(subject.is_clean(), "after step {nth} failed");
            nth += 1;
        }
        assert!(nth > 4, "only {nth} steps could fail");
        assert!(subject.content(&subject.artifact().unwrap(), &disk) == disk.content);
    }
}

/// Of streams, whose single writes the system may interrupt or cut short.
pub(crate) fn what_the_system_did_in_part_is_gone_on_with<S: Subject>(subject: &S) {
    let disk = ModelDisk::new(&[(5 << 20, Fill::Noise), (70 << 10, Fill::Hole), (512, Fill::Noise)]);
    run(subject, &disk, &Faults::none(), 2).unwrap();
    let expected = subject.artifact().unwrap();
    for kind in [Kind::Interrupted, Kind::Short] {
        let mut nth = 0;
        loop {
            let faults = Faults::at(nth, kind);
            let done = run(subject, &disk, &faults, 2).unwrap();
            assert!(subject.artifact().unwrap() == expected, "{kind:?} at write {nth}");
            assert_eq!(done.artifact.unwrap().sha256, Sha256Digest::of(&expected));
            if !faults.has_struck() {
                break;
            }
            nth += 1;
        }
        assert!(nth > 1, "only {nth} writes");
    }
}

pub(crate) fn any_failed_read_leaves_nothing<S: Subject>(subject: &S) {
    let disk = ModelDisk::new(&[(9 << 20, Fill::Noise), (1 << 20, Fill::Hole), (5 << 20, Fill::Noise)]);
    let mut nth = 0;
    loop {
        disk.fail_read(nth);
        match run(subject, &disk, &Faults::none(), 3) {
            Ok(_) => break,
            Err(error) => assert!(matches!(error, ExportError::Read(_)), "{error}"),
        }
        assert!(subject.is_clean(), "after read {nth} failed");
        nth += 1;
    }
    assert_eq!(nth, 5, "one read for each cell with data");
}

/// Sets the flag once some of the disk is done.
struct CancelAfter<'a>(u64, &'a Cancel);

impl Progress for CancelAfter<'_> {
    fn advance(&self, done: Tally) {
        if done.total() >= self.0 {
            self.1.set(2);
        }
    }
}

pub(crate) fn a_stopped_or_dropped_export_leaves_nothing<S: Subject>(subject: &S) {
    let disk = ModelDisk::new(&[(9 << 20, Fill::Noise), (9 << 20, Fill::Hole), (9 << 20, Fill::Noise)]);
    let end = disk.content.len() as u64;
    for after in [1, 9 << 20, end] {
        let cancel = Cancel::new();
        let sink = subject.open(&disk, &Faults::none()).unwrap();
        let stopped = exported(&disk, sink, &threads(2), &CancelAfter(after, &cancel), &cancel);
        assert!(matches!(stopped, Err(ExportError::Cancelled(by)) if by.reason == 2));
        assert!(subject.is_clean(), "stopped after {after} bytes");
    }
    drop(subject.open(&disk, &Faults::none()).unwrap());
    assert!(subject.is_clean());
}

macro_rules! conformance {
    ($name:ident, $subject:expr) => {
        mod $name {
            use super::*;

            #[test]
            fn any_disk_is_held_whatever_the_threads() {
                crate::conformance::any_disk_is_held_whatever_the_threads(&$subject);
            }

            #[test]
            fn zeros_are_held_stored_or_not() {
                crate::conformance::zeros_are_held_stored_or_not(&$subject);
            }

            #[test]
            fn any_failed_step_leaves_nothing() {
                crate::conformance::any_failed_step_leaves_nothing(&$subject);
            }

            #[test]
            fn any_failed_read_leaves_nothing() {
                crate::conformance::any_failed_read_leaves_nothing(&$subject);
            }

            #[test]
            fn a_stopped_or_dropped_export_leaves_nothing() {
                crate::conformance::a_stopped_or_dropped_export_leaves_nothing(&$subject);
            }
        }
    };
}
use conformance;
