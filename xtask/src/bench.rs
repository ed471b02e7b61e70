//! `cargo xtask bench`: the program side by side with the tools that a user would otherwise take, on disks made here.
//!
//! This file says what was asked for and in which places it happens; what is made, run, measured and shown is for the
//! modules below to say.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::ValueEnum;

use crate::workspace_root;
use disks::DiskName;
use instructions::Count;
use job::Runner;
use limits::Limits;
use machine::Machine;
use place::{Input, Keep, Place};
use plan::Task;
use report::Report;
use rows::{FileSystem, Row};
use session::{Interrupted, Session};
use tools::Tool;
use xfs::Xfs;

mod content;
mod disks;
mod evidence;
mod instructions;
mod job;
mod layout;
mod limits;
mod machine;
mod make;
mod place;
mod plan;
mod program;
mod report;
mod rows;
mod sector_map;
mod session;
mod statistics;
mod table;
mod tools;
mod xfs;

/// What to measure, and where.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How often each command is measured, after one run that is not
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Only what has this in its name
    #[arg(long, value_name = "FILTER")]
    only: Option<String>,
    /// Where disks and results lie: in memory, or on disk in target/bench, where the disks stay for the next time
    #[arg(long, value_enum, default_value_t = Where::Tmpfs)]
    place: Where,
    /// A folder of a file system in memory
    #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
    tmpfs: PathBuf,
    /// Do not count instructions with valgrind, which takes minutes
    #[arg(long)]
    no_instructions: bool,
    /// Measure this executable, and build none
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// Write everything that was measured to that file, each run by itself
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// End with 1 if something is over its bar
    #[arg(long)]
    strict: bool,
    /// Make the disks in that folder, and measure nothing
    #[arg(long, value_name = "DIR")]
    make_only: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Where {
    Tmpfs,
    Disk,
    Both,
}

/// Why there are no numbers, or not all of them.
#[derive(Debug, thiserror::Error)]
enum BenchError {
    #[error("cannot make the disk `{disk}` in {}", folder.display())]
    Make { disk: &'static str, folder: PathBuf, source: io::Error },
    #[error("nothing has `{filter}` in its name; there are {}", names.join(", "))]
    NoSuch { filter: String, names: Vec<&'static str> },
    #[error("cannot build the program")]
    Build(#[from] program::BuildError),
    #[error("cannot find the program")]
    Program(#[source] io::Error),
    #[error("cannot take signals")]
    Signals(#[source] io::Error),
    #[error("cannot remove what is not needed")]
    Folder(#[source] io::Error),
    #[error(transparent)]
    Place(#[from] place::PlaceError),
    #[error(
        "{} has room for {room:.1} GiB, and this takes {needed:.1} GiB; \
         choose another folder (--tmpfs), the disk (--place) or less work (--only)", folder.display()
    )]
    Full { folder: PathBuf, room: f64, needed: f64 },
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    #[error("cannot write {}", path.display())]
    Json { path: PathBuf, source: io::Error },
}

/// Does what was asked for. Returns 0 if all of it could be done, and with `--strict` if every bar was held; else 1.
pub(crate) fn run(arguments: &Arguments) -> u8 {
    let done = arguments.check_filter().and_then(|()| match &arguments.make_only {
        Some(folder) => arguments.make_disks(folder).map(|()| true),
        None => arguments.measure(),
    });
    match done {
        Ok(is_good) => u8::from(!is_good),
        Err(error) => {
            eprintln!("error: {error}");
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                eprintln!("  caused by: {cause}");
                source = cause.source();
            }
            1
        }
    }
}

impl Arguments {
    fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|filter| name.contains(filter))
    }

    /// A filter that fits nothing is a slip, not a wish.
    fn check_filter(&self) -> Result<(), BenchError> {
        let works = Row::ALL.iter().map(|row| row.name).chain(Count::ALL.iter().map(|count| count.name));
        let disks = DiskName::ALL.into_iter().map(DiskName::name);
        let names: Vec<_> = if self.make_only.is_some() { disks.collect() } else { works.collect() };
        match &self.only {
            Some(filter) if !names.iter().any(|name| self.wants(name)) => {
                Err(BenchError::NoSuch { filter: filter.clone(), names })
            }
            _ => Ok(()),
        }
    }

    fn make_disks(&self, folder: &Path) -> Result<(), BenchError> {
        for name in DiskName::ALL.into_iter().filter(|name| self.wants(name.name())) {
            let start = Instant::now();
            let made = make::ensure(&name.disk(), folder);
            let failed = |source| BenchError::Make { disk: name.name(), folder: folder.to_owned(), source };
            let made = made.map_err(failed)?;
            let how = if made.found { "found" } else { "made" };
            println!("{how} {} in {:.1} s", made.leaf.display(), start.elapsed().as_secs_f64());
        }
        Ok(())
    }

    /// Measures and reports, also what was found before something went wrong.
    fn measure(&self) -> Result<bool, BenchError> {
        let program = match &self.program {
            Some(path) => path.canonicalize().map_err(BenchError::Program)?,
            None => program::build()?,
        };
        let runner = Runner::new(program).map_err(BenchError::Signals)?;
        let machine = Machine::here(&runner);
        let mut session = Session::new(runner, self.runs.into());
        if let Some(why) = Tool::Time.missing() {
            session.skip("everywhere", "processor seconds and memory", why);
        }
        let done = self.measure_everywhere(&mut session);
        let Session { limits, rows, instructions, skipped, failed, .. } = session;
        let report = Report { machine, limits, rows, instructions, skipped, failed };
        print!("{}", report.text());
        if let Some(path) = &self.json {
            write_json(&report, path).map_err(|source| BenchError::Json { path: path.clone(), source })?;
        }
        done?;
        Ok(report.failed.is_empty() && !(self.strict && report.is_over()))
    }

    fn measure_everywhere(&self, session: &mut Session) -> Result<(), BenchError> {
        let in_memory = || Place::take(self.tmpfs.join("vhdx-export-bench"), Keep::Nothing);
        let on_disk = || Place::take(workspace_root().join("target/bench"), Keep::Disks);
        let counts = if self.no_instructions { &[][..] } else { &Count::ALL };
        match self.place {
            Where::Tmpfs => self.measure_in("tmpfs", &in_memory()?, counts, session),
            Where::Disk => self.measure_in(report::ON_DISK, &on_disk()?, counts, session),
            Where::Both => {
                self.measure_in("tmpfs", &in_memory()?, counts, session)?;
                // Instructions are the same everywhere.
                self.measure_in(report::ON_DISK, &on_disk()?, &[], session)
            }
        }
    }

    fn measure_in(
        &self,
        label: &str,
        place: &Place,
        counts: &[Count],
        session: &mut Session,
    ) -> Result<(), BenchError> {
        let mut tasks = Vec::new();
        let all = Row::ALL.iter().map(Task::Compare).chain(counts.iter().map(Task::Count));
        for task in all.filter(|task| self.wants(task.name())) {
            match task.missing() {
                Some(why) => session.skip(label, task.name(), why),
                None => tasks.push(task),
            }
        }
        let sharing: Vec<_> = tasks.extract_if(.., |task| task.needs() == FileSystem::Reflinks).collect();
        let on_disk: Vec<_> = match place.keep() {
            Keep::Nothing => tasks.extract_if(.., |task| task.needs() == FileSystem::Disk).collect(),
            Keep::Disks => Vec::new(),
        };
        place.forget_all_but(&plan::inputs(&tasks)).map_err(BenchError::Folder)?;
        let needed = plan::peak(&tasks, place.keep(), |input| place.missing(input));
        check_room(place, needed.max(plan::peak(&sharing, Keep::Nothing, Input::room)))?;
        if !tasks.is_empty() {
            session.limits.extend(Limits::measure(label, place.root()));
        }
        session.do_all(label, place, &tasks)?;
        if !sharing.is_empty() {
            measure_sharing(label, place, &sharing, session)?;
        }
        if on_disk.is_empty() { Ok(()) } else { measure_on_disk(&on_disk, session) }
    }
}

/// Does tasks that memory is no place for.
fn measure_on_disk(tasks: &[Task<'_>], session: &mut Session) -> Result<(), BenchError> {
    let place = Place::take(workspace_root().join("target/bench"), Keep::Disks)?;
    check_room(&place, plan::peak(tasks, Keep::Disks, |input| place.missing(input)))?;
    Ok(session.do_all(report::ON_DISK, &place, tasks)?)
}

/// Does tasks whose files share blocks, where the machine lets us.
fn measure_sharing(
    label: &str,
    place: &Place,
    tasks: &[Task<'_>],
    session: &mut Session,
) -> Result<(), BenchError> {
    match Xfs::mount(place.root()) {
        Ok(xfs) => {
            let inner = Place::take(xfs.folder().join("bench"), Keep::Nothing)?;
            session.do_all(&format!("XFS on {label}"), &inner, tasks)?;
        }
        Err(why) => tasks.iter().for_each(|task| session.skip(label, task.name(), why.clone())),
    }
    Ok(())
}

fn check_room(place: &Place, needed: u64) -> Result<(), BenchError> {
    let gib = |bytes| statistics::quotient(bytes, 1 << 30);
    let (folder, room, needed) = (place.root().to_owned(), gib(place.room()?), gib(needed));
    eprintln!("{} has room for {room:.1} GiB, this takes {needed:.1} GiB", folder.display());
    if needed > room { Err(BenchError::Full { folder, room, needed }) } else { Ok(()) }
}

fn write_json(report: &Report, path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    serde_json::to_writer_pretty(&file, report)?;
    file.write_all(b"\n")
}
