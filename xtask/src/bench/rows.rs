//! What is measured: each work as two command lines, ours and another one's, and the bar that was set for ours.
//!
//! The lines are what one would type in the benchmark's folder, and are printed as they are.

use super::disks::DiskName;
use super::evidence::Leaves;
use super::place::Input;
use super::tools::Tool;

/// A bound on the memory of any of our runs that has no tighter one.
const PEAK_MIB: u64 = 256;
const GIB: u64 = 1 << 30;

/// One line of the table.
pub(super) struct Row {
    /// For `--only`, and for the table.
    pub(super) name: &'static str,
    pub(super) inputs: &'static [Input],
    pub(super) ours: Job,
    pub(super) bar: Bar,
    /// Bound on our memory, in MiB.
    pub(super) peak_mib: u64,
    /// How much room the results of one command take, about.
    pub(super) room: u64,
    pub(super) needs: FileSystem,
}

/// A command, and what is left of it.
#[derive(Clone, Copy)]
pub(super) struct Job {
    pub(super) line: &'static str,
    pub(super) leaves: Leaves,
    /// The disk that the result has to be.
    pub(super) disk: DiskName,
}

/// What is good enough.
pub(super) enum Bar {
    /// Our time over that of the other command.
    Against { name: &'static str, theirs: Job, ratio: f64 },
    /// Our time.
    Seconds(f64),
}

/// Where the files have to lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FileSystem {
    Any,
    /// One on a medium: what is given room there takes no memory.
    Disk,
    /// One whose files can share blocks.
    Reflinks,
}

impl Row {
    /// Every row, those with the same disks behind each other.
    pub(super) const ALL: [Self; 11] = [
        PLAIN_RAW,
        FIVE_RAW,
        FIVE_SHA256,
        FIVE_BLKSUM,
        FIVE_RAW_DIGESTS,
        FIVE_ZST,
        FIVE_VHDX,
        DEEP_RAW,
        SCATTERED_RAW,
        HUGE_VHDX,
        FIVE_REFLINK,
    ];

    /// The command that ours is held against.
    pub(super) fn theirs(&self) -> Option<&Job> {
        match &self.bar {
            Bar::Against { theirs, .. } => Some(theirs),
            Bar::Seconds(_) => None,
        }
    }

    /// What to say where a tool is missing that the row needs.
    pub(super) fn missing(&self) -> Option<String> {
        let jobs = std::iter::once(&self.ours).chain(self.theirs());
        let lines = jobs.flat_map(|job| Tool::of(job.line).chain(job.leaves.tool()));
        lines.into_iter().find_map(Tool::missing)
    }
}

impl Leaves {
    /// What it takes to judge it.
    fn tool(self) -> Option<Tool> {
        matches!(self, Self::Packed(_)).then_some(Tool::Zstd)
    }
}

const FIVE: Input = Input::Disk(DiskName::Five);
const FLAT_FIVE: Input = Input::Flat(DiskName::Five);
const RAW: Leaves = Leaves::Image("out/disk.raw");
const VHDX: Leaves = Leaves::Image("out/disk.vhdx");

const fn job(disk: DiskName, leaves: Leaves, line: &'static str) -> Job {
    Job { line, leaves, disk }
}

const OPENSSL: Job = job(DiskName::Five, Leaves::Digest, "openssl dgst -sha256 flat/five.raw");

const PLAIN_RAW: Row = Row {
    name: "plain-raw",
    inputs: &[Input::Disk(DiskName::Plain)],
    ours: job(
        DiskName::Plain,
        RAW,
        "vhdx-export -q plain/plain.vhdx --digest none --manifest none --out out/disk.raw",
    ),
    bar: Bar::Against {
        name: "qemu-img convert",
        theirs: job(DiskName::Plain, RAW, "qemu-img convert -f vhdx -O raw plain/plain.vhdx out/disk.raw"),
        ratio: 0.6,
    },
    peak_mib: PEAK_MIB,
    room: 3 * GIB,
    needs: FileSystem::Any,
};

const FIVE_RAW: Row = Row {
    name: "five-raw",
    inputs: &[FIVE],
    ours: job(
        DiskName::Five,
        RAW,
        "vhdx-export -q five/five-04.avhdx --digest none --manifest none --out out/disk.raw",
    ),
    bar: Bar::Against {
        name: "7zz x",
        theirs: job(
            DiskName::Five,
            Leaves::Image("out/five-04.img"),
            "7zz x -bso0 -bsp0 -oout five/five-04.avhdx",
        ),
        ratio: 0.2,
    },
    peak_mib: PEAK_MIB,
    // 7zz writes the zeros as well.
    room: 13 * GIB / 2,
    needs: FileSystem::Any,
};

const FIVE_SHA256: Row = Row {
    name: "five-sha256",
    inputs: &[FIVE, FLAT_FIVE],
    ours: job(DiskName::Five, Leaves::Digest, "vhdx-export hash -q --digest sha256 five/five-04.avhdx"),
    bar: Bar::Against { name: "openssl, flat file", theirs: OPENSSL, ratio: 0.85 },
    peak_mib: PEAK_MIB,
    room: 0,
    needs: FileSystem::Any,
};

const FIVE_BLKSUM: Row = Row {
    name: "five-blksum",
    inputs: &[FIVE, FLAT_FIVE],
    ours: job(DiskName::Five, Leaves::Digest, "vhdx-export hash -q --digest blksum five/five-04.avhdx"),
    bar: Bar::Against { name: "openssl, flat file", theirs: OPENSSL, ratio: 0.25 },
    peak_mib: PEAK_MIB,
    room: 0,
    needs: FileSystem::Any,
};

const FIVE_RAW_DIGESTS: Row = Row {
    name: "five-raw-digests",
    inputs: &[FIVE, FLAT_FIVE],
    ours: job(DiskName::Five, RAW, "vhdx-export -q five/five-04.avhdx --out out/disk.raw"),
    bar: Bar::Against { name: "openssl, flat file", theirs: OPENSSL, ratio: 0.9 },
    peak_mib: PEAK_MIB,
    room: 3 * GIB,
    needs: FileSystem::Any,
};

const FIVE_ZST: Row = Row {
    name: "five-zst-digests",
    inputs: &[FIVE],
    ours: job(
        DiskName::Five,
        Leaves::Image("out/disk.raw.zst"),
        "vhdx-export -q five/five-04.avhdx --compress zstd:3 --out out/disk.raw.zst",
    ),
    bar: Bar::Against {
        name: "7zz | zstd -3 -T2",
        theirs: job(
            DiskName::Five,
            Leaves::Packed("out/disk.zst"),
            "7zz x -so five/five-04.avhdx | zstd -q -3 -T2 -o out/disk.zst",
        ),
        ratio: 0.7,
    },
    peak_mib: PEAK_MIB,
    // Theirs is unpacked once.
    room: 5 * GIB,
    needs: FileSystem::Any,
};

const FIVE_VHDX: Row = Row {
    name: "five-vhdx",
    inputs: &[FIVE],
    ours: job(
        DiskName::Five,
        VHDX,
        "vhdx-export -q five/five-04.avhdx --digest none --manifest none --out out/disk.vhdx",
    ),
    bar: Bar::Against {
        name: "7zz, qemu-img convert",
        theirs: job(
            DiskName::Five,
            VHDX,
            "7zz x -bso0 -bsp0 -oout five/five-04.avhdx && \
             qemu-img convert -f raw -O vhdx out/five-04.img out/disk.vhdx",
        ),
        ratio: 0.12,
    },
    peak_mib: PEAK_MIB,
    room: 19 * GIB / 2,
    needs: FileSystem::Any,
};

const DEEP_RAW: Row = Row {
    name: "deep-raw",
    inputs: &[Input::Disk(DiskName::Deep), Input::Disk(DiskName::Shallow)],
    ours: job(
        DiskName::Deep,
        RAW,
        "vhdx-export -q deep/deep-63.avhdx --digest none --manifest none --out out/disk.raw",
    ),
    bar: Bar::Against {
        name: "ours, 1 image for 64",
        theirs: job(
            DiskName::Shallow,
            RAW,
            "vhdx-export -q shallow/shallow.vhdx --digest none --manifest none --out out/disk.raw",
        ),
        ratio: 1.15,
    },
    peak_mib: PEAK_MIB,
    room: 3 * GIB,
    needs: FileSystem::Any,
};

const SCATTERED_RAW: Row = Row {
    name: "scattered-raw",
    inputs: &[Input::Disk(DiskName::Scattered), Input::Disk(DiskName::Whole)],
    ours: job(
        DiskName::Scattered,
        RAW,
        "vhdx-export -q scattered/scattered-01.avhdx --digest none --manifest none --out out/disk.raw",
    ),
    bar: Bar::Against {
        name: "ours, whole blocks",
        theirs: job(
            DiskName::Whole,
            RAW,
            "vhdx-export -q whole/whole.vhdx --digest none --manifest none --out out/disk.raw",
        ),
        ratio: 3.0,
    },
    peak_mib: PEAK_MIB,
    room: 5 * GIB / 4,
    needs: FileSystem::Any,
};

const HUGE_VHDX: Row = Row {
    name: "huge-vhdx",
    inputs: &[Input::Disk(DiskName::Huge)],
    ours: job(
        DiskName::Huge,
        VHDX,
        "vhdx-export -q huge/huge.vhdx --digest none --manifest none --out out/disk.vhdx",
    ),
    bar: Bar::Seconds(3.0),
    peak_mib: 200,
    // All of its blocks are allocated.
    room: 10 * GIB,
    needs: FileSystem::Disk,
};

const FIVE_REFLINK: Row = Row {
    name: "five-raw-reflink",
    inputs: &[FIVE],
    ours: job(
        DiskName::Five,
        RAW,
        "vhdx-export -q five/five-04.avhdx --reflink auto --digest none --manifest none --out out/disk.raw",
    ),
    bar: Bar::Against {
        name: "ours, --reflink never",
        theirs: job(
            DiskName::Five,
            RAW,
            "vhdx-export -q five/five-04.avhdx --reflink never --digest none --manifest none --out out/disk.raw",
        ),
        ratio: 0.1,
    },
    peak_mib: PEAK_MIB,
    room: 3 * GIB,
    needs: FileSystem::Reflinks,
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn jobs(row: &Row) -> Vec<&Job> {
        std::iter::once(&row.ours).chain(row.theirs()).collect()
    }

    #[test]
    fn every_line_reads_what_its_row_provides() {
        for row in &Row::ALL {
            let provided: BTreeSet<String> = row
                .inputs
                .iter()
                .map(|input| match input {
                    Input::Disk(name) => name.leaf(),
                    Input::Flat(name) => format!("flat/{}.raw", name.name()),
                })
                .collect();
            let words = || jobs(row).into_iter().flat_map(|job| job.line.split_whitespace());
            let reads: BTreeSet<String> = words()
                .filter(|word| word.contains('/') && !word.starts_with("out/"))
                .map(Into::into)
                .collect();
            assert_eq!(reads, provided, "{}", row.name);
        }
    }

    #[test]
    fn what_a_line_leaves_is_what_it_writes() {
        for row in &Row::ALL {
            for job in jobs(row) {
                let (Leaves::Image(path) | Leaves::Packed(path)) = job.leaves else { continue };
                let written = job.line.contains(path) || job.line.contains("-oout");
                assert!(written, "{}", job.line);
            }
        }
    }

    #[test]
    fn names_are_different_and_both_sides_are_the_same_disk() {
        let names: BTreeSet<_> = Row::ALL.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), Row::ALL.len());
        for row in &Row::ALL {
            assert!(
                row.theirs().is_none_or(|theirs| theirs.disk.content() == row.ours.disk.content()),
                "{}",
                row.name
            );
            assert!(row.ours.line.starts_with("vhdx-export "));
        }
    }
}
