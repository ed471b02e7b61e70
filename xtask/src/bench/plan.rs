//! What is to be done in one place, in which order, and how much room that takes at its worst.

use std::collections::BTreeSet;

use super::instructions::Count;
use super::place::{Input, Keep};
use super::rows::{FileSystem, Row};
use super::tools::Tool;

/// One thing to do.
#[derive(Clone, Copy)]
pub(super) enum Task<'a> {
    Compare(&'a Row),
    Count(&'a Count),
}

impl Task<'_> {
    /// As in the report.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Compare(row) => row.name,
            Self::Count(count) => count.name,
        }
    }

    /// What has to be there.
    pub(super) fn inputs(&self) -> &[Input] {
        match self {
            Self::Compare(row) => row.inputs,
            Self::Count(count) => std::slice::from_ref(&count.input),
        }
    }

    /// What to say where a program is missing.
    pub(super) fn missing(&self) -> Option<String> {
        match self {
            Self::Compare(row) => row.missing(),
            Self::Count(_) => Tool::Valgrind.missing(),
        }
    }

    /// Where its files have to lie.
    pub(super) fn needs(&self) -> FileSystem {
        match self {
            Self::Compare(row) => row.needs,
            Self::Count(_) => FileSystem::Any,
        }
    }

    fn room(&self) -> u64 {
        match self {
            Self::Compare(row) => row.room,
            Self::Count(count) => count.room,
        }
    }
}

/// The inputs that any of `tasks` has.
pub(super) fn inputs(tasks: &[Task<'_>]) -> BTreeSet<Input> {
    tasks.iter().flat_map(Task::inputs).copied().collect()
}

/// The most room that is taken at a time when `tasks` are done one after the other, each input is made when it is first
/// needed and goes after it was last needed, and `missing` is what an input takes.
pub(super) fn peak(tasks: &[Task<'_>], keep: Keep, missing: impl Fn(Input) -> u64) -> u64 {
    let at = |number: usize| {
        let (seen, needed) = (inputs(&tasks[..=number]), inputs(&tasks[number..]));
        let stays = |input: &Input| keep == Keep::Disks && matches!(input, Input::Disk(_));
        let there = seen.iter().filter(|input| needed.contains(input) || stays(input));
        there.map(|input| missing(*input)).sum::<u64>() + tasks[number].room()
    };
    (0..tasks.len()).map(at).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::disks::DiskName;
    use super::super::instructions::Of;
    use super::*;

    fn count(disk: DiskName, room: u64) -> Count {
        Count { name: "", line: "", input: Input::Disk(disk), of: Of::Blocks, room }
    }

    #[test]
    fn inputs_take_room_from_their_first_use_to_their_last() {
        let counts = [
            count(DiskName::Five, 1),
            count(DiskName::Huge, 2),
            count(DiskName::Five, 4),
            count(DiskName::Deep, 0),
        ];
        let tasks: Vec<Task<'_>> = counts.iter().map(Task::Count).collect();
        let missing = |input: Input| if input.disk() == DiskName::Deep { 10 } else { 100 };
        assert_eq!(peak(&tasks, Keep::Nothing, missing), 202);
        assert_eq!(peak(&tasks, Keep::Disks, missing), 210);
        assert_eq!(peak(&tasks[2..], Keep::Nothing, missing), 104);
        assert_eq!(peak(&[], Keep::Disks, missing), 0);
    }

    #[test]
    fn a_whole_benchmark_in_memory_fits_into_fourteen_gibibytes() {
        let all = Row::ALL.iter().map(Task::Compare).chain(Count::ALL.iter().map(Task::Count));
        // What needs another file system comes when the rest is gone.
        let tasks: Vec<Task<'_>> = all.filter(|task| task.needs() == FileSystem::Any).collect();
        let peak = peak(&tasks, Keep::Nothing, Input::room);
        assert!(peak < 14 << 30, "{peak}");
    }
}
