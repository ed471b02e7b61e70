//! `batch run --dry-run`: what would be done, how much there is to read and to write, and about how long it would take.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use export_manifest::Manifest;
use export_sinks::free_room;
use serde::Serialize;

use super::done::{self, Found};
use super::job::Job;
use super::results::{self, JobStatus};
use crate::args::BatchRunArgs;
use crate::commands::{code_of_told, print_json};
use crate::failure::Failure;
use crate::slow_digest;
use crate::terminal::printable;
use crate::units::{show_duration, show_size};

/// What would be done.
#[derive(Default, Serialize)]
struct Estimate {
    jobs: usize,
    /// To be exported.
    to_do: usize,
    /// Done before, as far as their manifests tell without a look at the sources.
    done: usize,
    /// In the way of a job stands something else.
    in_the_way: usize,
    blocked: usize,
    /// Bytes that images store of the disks to be exported; of jobs that were planned.
    bytes: u64,
    /// Size of those disks in bytes.
    virtual_size: u64,
    /// Jobs that nobody has planned, so that nothing is known of them.
    of_unknown_size: usize,
    /// About how long it would take.
    seconds: f64,
    /// From what that is judged: earlier results, or the speed of SHA-256 here.
    judged_by: &'static str,
    /// The most that would be written, and what there is room for, for each folder.
    targets: BTreeMap<PathBuf, Room>,
}

#[derive(Default, Serialize)]
struct Room {
    needed: u64,
    /// `null` where the file system does not say.
    free: Option<u64>,
}

pub(super) fn run(args: &BatchRunArgs, jobs: &[Job]) -> Result<u8, Failure> {
    let estimate = of(args, jobs);
    let mut out = io::stdout().lock();
    let told = if args.json {
        print_json(&mut out, &estimate)
    } else {
        print(&mut out, &estimate).map_err(Failure::Output)
    };
    code_of_told(told, 0)
}

fn of(args: &BatchRunArgs, jobs: &[Job]) -> Estimate {
    let mut estimate = Estimate { jobs: jobs.len(), ..Estimate::default() };
    for job in jobs {
        let Some(out) = job.out.as_deref().filter(|_| !job.is_blocked()) else {
            estimate.blocked += 1;
            continue;
        };
        match done::look(out, &job.limits()) {
            Found::Done(manifest) if is_wanted(job, &manifest, out) => estimate.done += 1,
            Found::Done(_) | Found::Other(_) if !args.force => estimate.in_the_way += 1,
            _ => to_do(&mut estimate, job, out),
        }
    }
    for (folder, room) in &mut estimate.targets {
        room.free = nearest(folder).and_then(|folder| free_room(folder).ok()).flatten();
    }
    let (time, judged_by) = time(args, &estimate);
    (estimate.seconds, estimate.judged_by) = (time.as_secs_f64(), judged_by);
    estimate
}

fn is_wanted(job: &Job, manifest: &Manifest, out: &Path) -> bool {
    job.plan().is_some_and(|plan| done::of_plan(manifest, &plan, out).is_none())
}

fn to_do(estimate: &mut Estimate, job: &Job, out: &Path) {
    estimate.to_do += 1;
    let (Some(bytes), Some(size)) = (job.line.estimated_bytes, job.line.virtual_size) else {
        estimate.of_unknown_size += 1;
        return;
    };
    estimate.bytes = estimate.bytes.saturating_add(bytes);
    estimate.virtual_size = estimate.virtual_size.saturating_add(size);
    let folder =
        std::path::absolute(out).unwrap_or_default().parent().map(Path::to_path_buf).unwrap_or_default();
    let room = estimate.targets.entry(folder).or_default();
    room.needed = room.needed.saturating_add(if job.line.fixed {
        size
    } else {
        job.line.estimated_file_bytes.unwrap_or(bytes)
    });
}

/// The folder, or what there is of it.
fn nearest(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|folder| folder.is_dir())
}

/// Times are those of one job after the other, divided among those that run at the same time.
fn time(args: &BatchRunArgs, estimate: &Estimate) -> (Duration, &'static str) {
    let earlier = args.results.as_deref().and_then(|path| results::read(path).ok()).unwrap_or_default();
    let done = earlier.iter().filter(|result| result.status == JobStatus::Done);
    let (mut bytes, mut spent) = (0_u64, Duration::ZERO);
    for (image, result) in done.filter_map(|result| Some((result.image.as_ref()?, result))) {
        bytes = bytes.saturating_add(image.data);
        spent = spent.saturating_add(Duration::try_from_secs_f64(result.seconds).unwrap_or_default());
    }
    let at_once = args.jobs.get().min(estimate.to_do.max(1));
    let (time, judged_by) = if bytes > 0 && !spent.is_zero() {
        (scaled(spent, estimate.bytes, bytes), "earlier results")
    } else {
        (slow_digest::sha256_time(estimate.virtual_size), "the speed of SHA-256 here")
    };
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let divided = time / u32::try_from(at_once.min(processors)).unwrap_or(u32::MAX);
    let limited = args.bwlimit.map(|limit| scaled(Duration::from_secs(1), estimate.bytes, limit.get()));
    (divided.max(limited.unwrap_or_default()), judged_by)
}

/// The time for `part`, if `whole` takes that long.
fn scaled(time: Duration, part: u64, whole: u64) -> Duration {
    let nanos = time.as_nanos().saturating_mul(part.into()) / u128::from(whole.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn print(out: &mut dyn Write, estimate: &Estimate) -> io::Result<()> {
    let Estimate { jobs, to_do, done, in_the_way, blocked, bytes, virtual_size, of_unknown_size, .. } =
        *estimate;
    let rows = [
        ("to do", to_do, format!("{} stored, of disks of {}", show_size(bytes), show_size(virtual_size))),
        ("done", done, "done before".to_owned()),
        ("in the way", in_the_way, "something else stands where the image would".to_owned()),
        ("blocked", blocked, "cannot be exported as they are".to_owned()),
    ];
    for (name, count, remark) in rows.into_iter().filter(|(_, count, _)| *count > 0) {
        writeln!(out, "{name:<11} {count:>7}  {remark}")?;
    }
    writeln!(out, "{:<11} {jobs:>7}", "jobs")?;
    if of_unknown_size > 0 {
        writeln!(out, "\n{of_unknown_size} of them were not planned, so their size is not known")?;
    }
    if to_do > of_unknown_size {
        let time = show_duration(Duration::from_secs_f64(estimate.seconds));
        writeln!(out, "\ntime        about {time}, judged by {}", estimate.judged_by)?;
    }
    for (folder, room) in &estimate.targets {
        let free = room.free.map_or_else(|| "an unknown amount".to_owned(), show_size);
        let short = if room.free.is_some_and(|free| free < room.needed) { ": NOT ENOUGH" } else { "" };
        let folder = printable(&folder.display().to_string());
        writeln!(out, "space       at most {} in {folder}, {free} free{short}", show_size(room.needed))?;
    }
    Ok(())
}
