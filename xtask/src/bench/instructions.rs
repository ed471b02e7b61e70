//! Instructions instead of seconds: what a computation costs whatever else the machine does, counted by callgrind.
//!
//! Valgrind's processor has no SHA extensions, so that SHA-256 is counted as its portable code.

use super::disks::DiskName;
use super::job::{JobError, Runner};
use super::place::{Input, Place};
use super::tools::Tool;

/// A computation, as a command in the benchmark's folder.
pub(super) struct Count {
    /// For `--only`, and for the report.
    pub(super) name: &'static str,
    pub(super) input: Input,
    pub(super) line: &'static str,
    pub(super) of: Of,
    /// How much room its result takes, about.
    pub(super) room: u64,
}

/// What a computation is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Of {
    /// What the blocks hold that a guest can see.
    Blocks,
    /// The block tables.
    Table,
}

impl Of {
    /// As in the report.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Blocks => "blocks",
            Self::Table => "block table",
        }
    }
}

impl Count {
    pub(super) const ALL: [Self; 7] = [
        count("map-scattered", DiskName::Scattered, "vhdx-export map --json scattered/scattered-01.avhdx"),
        Self { of: Of::Table, ..count("info-huge", DiskName::Huge, "vhdx-export info huge/huge.vhdx") },
        Self {
            room: 10 << 30,
            ..count(
                "huge-vhdx",
                DiskName::Huge,
                "vhdx-export -q huge/huge.vhdx --digest none --manifest none --out out/disk.vhdx",
            )
        },
        count("blksum-small", DiskName::Small, "vhdx-export hash -q --digest blksum small/small-01.avhdx"),
        count("sha256-small", DiskName::Small, "vhdx-export hash -q --digest sha256 small/small-01.avhdx"),
        count(
            "raw-small",
            DiskName::Small,
            "vhdx-export -q small/small-01.avhdx --digest none --manifest none --out out/disk.raw",
        ),
        count(
            "zst-small",
            DiskName::Small,
            "vhdx-export -q small/small-01.avhdx --digest none --manifest none --compress zstd:3 --out out/disk.raw.zst",
        ),
    ];

    /// How many bytes the computation is about.
    pub(super) fn bytes(&self) -> u64 {
        let disk = self.input.disk().disk();
        match self.of {
            Of::Blocks => disk.stored_len(),
            Of::Table => disk.images().iter().map(|image| image.layout().bat_region_len()).sum(),
        }
    }

    /// Counts.
    pub(super) fn run(&self, runner: &Runner, place: &Place) -> Result<u64, CountError> {
        let valgrind = Tool::Valgrind.path().unwrap_or_default();
        let prefix = [valgrind.into(), "--tool=callgrind".into(), "--callgrind-out-file=/dev/null".into()];
        let output = runner.run_under(&prefix, self.line, place.root())?;
        let said = String::from_utf8_lossy(&output.stderr);
        collected(&said).ok_or(CountError::NoCount { line: self.line })
    }
}

/// Why a computation was not counted.
#[derive(Debug, thiserror::Error)]
pub(super) enum CountError {
    #[error(transparent)]
    Job(#[from] JobError),
    #[error("`{line}` ran, but callgrind printed no count")]
    NoCount { line: &'static str },
}

const fn count(name: &'static str, disk: DiskName, line: &'static str) -> Count {
    Count { name, input: Input::Disk(disk), line, of: Of::Blocks, room: 256 << 20 }
}

/// What callgrind says at the end: `==PID== Collected : 123`.
fn collected(said: &str) -> Option<u64> {
    let value = |line: &str| line.split_once("Collected :")?.1.trim().parse().ok();
    said.lines().rev().find_map(value)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_count_is_found_among_the_rest() {
        let said = "==7== Callgrind\n==7== Events    : Ir\n==7== Collected : 2167913\n==7== \n";
        assert_eq!(collected(said), Some(2_167_913));
        assert_eq!(collected("==7== nothing"), None);
    }

    #[test]
    fn every_count_reads_the_disk_that_it_names() {
        let names: BTreeSet<_> = Count::ALL.iter().map(|count| count.name).collect();
        assert_eq!(names.len(), Count::ALL.len());
        for count in Count::ALL {
            assert!(count.line.contains(&format!(" {}", count.input.disk().leaf())), "{}", count.line);
        }
    }
}
