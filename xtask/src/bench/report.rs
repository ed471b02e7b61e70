//! What was found, as text for people and as JSON with every single measured run.

use serde::Serialize;

use super::instructions::Count;
use super::limits::Limits;
use super::machine::Machine;
use super::rows::{Bar, Row};
use super::statistics::{Middle, Sample, quotient};
use super::table::{Column, table};

/// Everything that one benchmark found.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) machine: Machine,
    pub(super) limits: Vec<Limits>,
    pub(super) rows: Vec<Measured>,
    pub(super) instructions: Vec<Counted>,
    pub(super) skipped: Vec<Silent>,
    pub(super) failed: Vec<Silent>,
}

/// A row with its numbers.
#[derive(Serialize)]
pub(super) struct Measured {
    place: String,
    name: &'static str,
    ours: Side,
    held: Held,
    peak_bar_mib: u64,
    verdict: Verdict,
}

/// What ours was held against.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Held {
    Against { name: &'static str, theirs: Side, ratio: f64, bar: f64 },
    Seconds { bar: f64 },
}

/// One command and all of its runs.
#[derive(Serialize)]
pub(super) struct Side {
    command: &'static str,
    middle: Middle,
    runs: Vec<Sample>,
}

impl Side {
    /// `None` if it never ran.
    pub(super) fn new(command: &'static str, runs: Vec<Sample>) -> Option<Self> {
        Some(Self { command, middle: Middle::of(&runs)?, runs })
    }
}

/// Whether the bars were held.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    Ok,
    Over,
}

/// How many instructions something took.
#[derive(Serialize)]
pub(super) struct Counted {
    name: &'static str,
    command: &'static str,
    instructions: u64,
    /// How many bytes they were spent on, and which.
    bytes: u64,
    of: &'static str,
}

/// Something without numbers, and why.
#[derive(Serialize)]
pub(super) struct Silent {
    pub(super) place: String,
    pub(super) name: &'static str,
    pub(super) why: String,
}

impl Measured {
    /// Judges a row; `None` where it lacks the other side.
    pub(super) fn new(place: &str, row: &Row, ours: Side, theirs: Option<Side>) -> Option<Self> {
        let held = match row.bar {
            Bar::Seconds(bar) => Held::Seconds { bar },
            Bar::Against { name, ratio: bar, .. } => {
                let theirs = theirs?;
                Held::Against { name, ratio: ours.middle.wall / theirs.middle.wall, theirs, bar }
            }
        };
        let is_quick = match held {
            Held::Against { ratio, bar, .. } => ratio <= bar,
            Held::Seconds { bar } => ours.middle.wall <= bar,
        };
        let is_small = ours.middle.peak_kib.is_none_or(|kib| kib <= row.peak_mib << 10);
        let verdict = if is_quick && is_small { Verdict::Ok } else { Verdict::Over };
        Some(Self {
            place: place.to_owned(),
            name: row.name,
            ours,
            held,
            peak_bar_mib: row.peak_mib,
            verdict,
        })
    }

    fn cells(&self) -> Vec<String> {
        let [ours_wall, ours_cpu, ours_peak] = self.ours.cells();
        let nothing = || ["-"; 3].map(str::to_owned);
        let (against, [their_wall, their_cpu, their_peak], ratio, bar) = match &self.held {
            Held::Against { name, theirs, ratio, bar } => {
                (*name, theirs.cells(), format!("{ratio:.3}"), bar.to_string())
            }
            Held::Seconds { bar } => ("-", nothing(), "-".to_owned(), format!("{bar} s")),
        };
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Over => "over",
        };
        let words = [&self.place, self.name, against].map(str::to_owned);
        let times = [ours_wall, their_wall, ratio, bar, verdict.to_owned(), ours_cpu, their_cpu];
        let peaks = [ours_peak, their_peak, self.peak_bar_mib.to_string()];
        words.into_iter().chain(times).chain(peaks).collect()
    }
}

impl Side {
    /// Wall seconds, processor seconds, memory.
    fn cells(&self) -> [String; 3] {
        let Middle { wall, cpu, peak_kib } = self.middle;
        let unknown = || "-".to_owned();
        [
            format!("{wall:.2}"),
            cpu.map_or_else(unknown, |cpu| format!("{cpu:.2}")),
            peak_kib.map_or_else(unknown, |kib| kib.div_ceil(1 << 10).to_string()),
        ]
    }
}

impl Counted {
    /// What callgrind counted for `count`.
    pub(super) fn new(count: &Count, instructions: u64) -> Self {
        Self {
            name: count.name,
            command: count.line,
            instructions,
            bytes: count.bytes(),
            of: count.of.name(),
        }
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.to_owned(),
            in_groups(self.instructions),
            in_groups(self.bytes),
            self.of.to_owned(),
            format!("{:.3}", quotient(self.instructions, self.bytes)),
            self.command.to_owned(),
        ]
    }
}

impl Report {
    /// Whether some bar was not held.
    pub(super) fn is_over(&self) -> bool {
        self.rows.iter().any(|row| row.verdict == Verdict::Over)
    }

    /// Everything but the single runs.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        if !self.rows.is_empty() {
            let cells: Vec<_> = self.rows.iter().map(Measured::cells).collect();
            text += &table(&COLUMNS, &cells);
            text += "medians of wall and processor seconds; the most memory of any run, in MiB (of the largest \
                     process where there are several)\n\n";
            if self.rows.iter().any(|row| row.place == ON_DISK) {
                text += "on disk, our program ends when its image is on stable storage; others do not wait for that\n\n";
            }
        }
        if !self.instructions.is_empty() {
            let cells: Vec<_> = self.instructions.iter().map(Counted::cells).collect();
            text += &table(&COUNT_COLUMNS, &cells);
            text += "valgrind has no SHA extensions, so SHA-256 \
                     is counted as its portable code\n\n";
        }
        let silent = |how, tasks: &[Silent]| {
            let lines =
                tasks.iter().map(|Silent { place, name, why }| format!("{how}: {name} ({place}): {why}\n"));
            lines.collect::<Vec<_>>().concat()
        };
        let limits: String = self.limits.iter().map(Limits::line).collect();
        let silent = silent("skipped", &self.skipped) + &silent("failed", &self.failed);
        text + &silent + &limits + &self.machine.lines()
    }
}

/// How rows say that their files lay on disk.
pub(super) const ON_DISK: &str = "disk";

const COLUMNS: [Column; 13] = [
    Column::Words("place"),
    Column::Words("work"),
    Column::Words("against"),
    Column::Numbers("ours s"),
    Column::Numbers("theirs s"),
    Column::Numbers("ratio"),
    Column::Numbers("bar"),
    Column::Words("verdict"),
    Column::Numbers("cpu s"),
    Column::Numbers("theirs"),
    Column::Numbers("MiB"),
    Column::Numbers("theirs"),
    Column::Numbers("bar"),
];

const COUNT_COLUMNS: [Column; 6] = [
    Column::Words("computation"),
    Column::Numbers("instructions"),
    Column::Numbers("bytes"),
    Column::Words("of"),
    Column::Numbers("per byte"),
    Column::Words("command"),
];

/// A number in groups of three digits.
fn in_groups(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::statistics::Usage;
    use super::*;

    fn side(wall: f64, peak_mib: u64) -> Side {
        let usage = Some(Usage { cpu: 2.0 * wall, peak_kib: peak_mib << 10 });
        Side::new("a command", vec![Sample { wall, usage }]).unwrap()
    }

    fn row(name: &str) -> &'static Row {
        const ALL: &[Row] = &Row::ALL;
        ALL.iter().find(|row| row.name == name).unwrap()
    }

    #[test]
    fn a_row_is_held_to_its_time_and_its_memory() {
        let verdict =
            |name, ours, theirs| Measured::new("here", row(name), ours, theirs).map(|row| row.verdict);
        assert_eq!(verdict("plain-raw", side(0.6, 256), Some(side(1.0, 9000))), Some(Verdict::Ok));
        assert_eq!(verdict("plain-raw", side(0.61, 256), Some(side(1.0, 9000))), Some(Verdict::Over));
        assert_eq!(verdict("plain-raw", side(0.1, 257), Some(side(1.0, 1))), Some(Verdict::Over));
        assert_eq!(verdict("huge-vhdx", side(3.0, 200), None), Some(Verdict::Ok));
        assert_eq!(verdict("huge-vhdx", side(3.1, 200), None), Some(Verdict::Over));
        assert_eq!(verdict("huge-vhdx", side(1.0, 201), None), Some(Verdict::Over));
        assert_eq!(verdict("plain-raw", side(0.1, 1), None), None);
        assert!(Side::new("never ran", Vec::new()).is_none());
    }

    #[test]
    fn every_row_fills_the_columns() {
        let against = Measured::new("here", row("plain-raw"), side(0.5, 100), Some(side(2.0, 300))).unwrap();
        let expected = [
            "here",
            "plain-raw",
            "qemu-img convert",
            "0.50",
            "2.00",
            "0.250",
            "0.6",
            "ok",
            "1.00",
            "4.00",
            "100",
            "300",
            "256",
        ];
        assert_eq!(against.cells(), expected);
        let alone = Measured::new("here", row("huge-vhdx"), side(0.5, 100), None).unwrap();
        let expected =
            ["here", "huge-vhdx", "-", "0.50", "-", "-", "3 s", "ok", "1.00", "-", "100", "-", "200"];
        assert_eq!(alone.cells(), expected);
        assert_eq!(COLUMNS.len(), expected.len());
    }

    #[test]
    fn long_numbers_are_readable() {
        assert_eq!([0, 999, 1000, 12_345_678].map(in_groups), ["0", "999", "1 000", "12 345 678"]);
    }
}
