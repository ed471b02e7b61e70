//! `batch run`: does the jobs of a file that are not done, several at a time.

use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chain_resolve::Selection;
use export_manifest::Manifest;
use export_sinks::{Cancel, Overwrite, Pool};

use super::done::{self, Found};
use super::folders::Folders;
use super::job::Job;
use super::queue::Queue;
use super::reporter::{Reporter, now};
use super::results::{ImageFacts, JobResult, JobStatus, ResultsFile};
use super::shard::Shard;
use super::summary::{Summary, Totals, Undone};
use super::{BatchError, estimate, metrics, read};
use crate::args::{BatchRunArgs, LogFormat};
use crate::commands::export::{Setting, export_disks};
use crate::commands::{code_of_told, print_json, verify};
use crate::disk::Disk;
use crate::failure::{Failure, code};
use crate::interrupt::{self, Leftovers};
use crate::plan::{self, ExportPlan};
use crate::report::ExportReport;
use crate::terminal::say;

pub(crate) fn run(args: &BatchRunArgs) -> Result<u8, Failure> {
    let start = Instant::now();
    let shard = args.shard.map_or_else(Shard::of_environment, |shard| Ok(Some(shard)))?;
    let mut jobs = read::jobs(&args.jobs_file)?;
    if jobs.is_empty() {
        return Err(BatchError::NoJobs(args.jobs_file.clone()).into());
    }
    let all = jobs.len();
    jobs.retain(|job| shard.is_none_or(|shard| shard.has(job.id)));
    if let Some(shard) = shard.filter(|_| !args.talk.quiet && args.log_format == LogFormat::Text) {
        say(&format!("shard {shard}: {} of {all} jobs\n", jobs.len()));
    }
    if args.dry_run {
        return estimate::run(args, &jobs);
    }
    let results = args.results.as_deref().map(|path| open_results(path)).transpose()?;
    let cancel = Cancel::new();
    interrupt::listen(&cancel, Leftovers::File).map_err(Failure::Signals)?;
    let reporter = Reporter::new(jobs.len(), args.log_format, args.talk.progress(), args.talk.quiet);
    let batch = Batch {
        args,
        folders: Folders::default(),
        pool: Pool::new(at_once(args, &jobs), args.bwlimit),
        cancel: &cancel,
        reporter: &reporter,
        results,
        tally: Mutex::new(Tally {
            totals: Totals { jobs: jobs.len(), ..Totals::default() },
            undone: Vec::new(),
        }),
        start,
    };
    batch.write_metrics(false)?;
    let ended = batch.run(&jobs);
    let summary = batch.summary();
    reporter.close();
    let ended = ended.and(batch.write_metrics(true).map_err(Failure::from));
    let code = cancel.check().map_or_else(code::of_cancelled, |()| summary.code());
    let mut out = io::stdout().lock();
    let told = match (args.json, args.talk.quiet) {
        (true, _) => print_json(&mut out, &summary),
        (false, true) => Ok(()),
        (false, false) => summary.print(&mut out).map_err(Failure::Output),
    };
    let code = code_of_told(told, code)?;
    ended.map(|()| code)
}

/// How many jobs there are at a time.
fn at_once(args: &BatchRunArgs, jobs: &[Job]) -> NonZeroUsize {
    NonZeroUsize::new(jobs.len()).map_or(NonZeroUsize::MIN, |jobs| jobs.min(args.jobs))
}

fn open_results(path: &Path) -> Result<(ResultsFile, &Path), BatchError> {
    let file = ResultsFile::open(path);
    let file = file.map_err(|source| BatchError::Results { path: path.to_path_buf(), source })?;
    Ok((file, path))
}

/// A run.
struct Batch<'a> {
    args: &'a BatchRunArgs,
    folders: Folders,
    pool: Pool,
    cancel: &'a Cancel,
    reporter: &'a Reporter,
    results: Option<(ResultsFile, &'a Path)>,
    tally: Mutex<Tally>,
    start: Instant,
}

struct Tally {
    totals: Totals,
    undone: Vec<Undone>,
}

/// What came of a job that was tried.
enum Outcome {
    Done(Box<ExportReport>),
    Skipped(Box<Manifest>),
}

impl Batch<'_> {
    fn run(&self, jobs: &[Job]) -> Result<(), Failure> {
        let queue = Queue::of(jobs.iter());
        let at_once = at_once(self.args, jobs).get();
        thread::scope(|scope| {
            let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(|| self.work(&queue))).collect();
            // The first that could not keep a result says so; the others have ended by then, since it has emptied the queue.
            let ended =
                workers.into_iter().map(|worker| worker.join().unwrap_or(Err(BatchError::Panicked.into())));
            ended.collect::<Vec<_>>().into_iter().collect()
        })
    }

    fn work(&self, queue: &Queue<'_>) -> Result<(), Failure> {
        while self.cancel.check().is_ok()
            && let Some(job) = queue.next()
        {
            let result = self.result_of(job);
            let is_failed = matches!(result.status, JobStatus::Failed | JobStatus::Blocked);
            if is_failed && self.args.fail_fast {
                queue.leave();
            }
            self.keep(job, &result).inspect_err(|_| queue.leave())?;
        }
        Ok(())
    }

    /// Does a job, and tries again what may be better the next time.
    fn result_of(&self, job: &Job) -> JobResult {
        let start = Instant::now();
        if job.is_blocked() {
            return blocked(job);
        }
        self.reporter.begin(job);
        let mut delay = Duration::from_secs_f64(self.args.retry_delay);
        for attempt in 1_u32.. {
            let attempted = catch_unwind(AssertUnwindSafe(|| self.attempt(job)));
            let failure = match attempted.unwrap_or(Err(BatchError::Panicked.into())) {
                Ok(outcome) => return succeeded(job, &outcome, attempt, start.elapsed()),
                Err(failure) => failure,
            };
            let is_last = attempt > self.args.retries || failure.code() != code::TEMPORARY;
            if is_last || self.cancel.check().is_err() {
                return self.failed(job, &failure, attempt, start.elapsed());
            }
            self.reporter.retry(job, &failure.line(), delay);
            self.pause(delay);
            delay = delay.saturating_mul(2);
        }
        unreachable!("attempts are counted to the last")
    }

    /// Waits, unless somebody stops the run.
    #[expect(clippy::disallowed_methods, reason = "a server that is busy is to be left alone for a while")]
    fn pause(&self, delay: Duration) {
        let end = Instant::now() + delay;
        while self.cancel.check().is_ok() && Instant::now() < end {
            thread::sleep(Duration::from_millis(50).min(end.saturating_duration_since(Instant::now())));
        }
    }

    fn attempt(&self, job: &Job) -> Result<Outcome, Failure> {
        let Ok(mut args) = job.line.export_args() else { return Err(BatchError::Panicked.into()) };
        args.force = self.args.force;
        args.no_space_check = self.args.no_space_check;
        let mut plan = ExportPlan::new(args)?;
        let Some(out) = job.out.as_deref() else { return Err(BatchError::Panicked.into()) };
        let limits = plan.source.choice.limits.limits();
        let found = done::look(out, &limits);
        let source = plan::source_path(&plan.source);
        let request = plan::request(&source, &plan.source.choice, Some(out))?;
        let selection = self.folders.select(&request)?;
        let disk = planned_disk(job, &plan, &selection)?;
        let existing = |why: String| BatchError::Existing { out: out.to_path_buf(), why };
        match found {
            Found::Nothing => {}
            // Whoever removes an image wants it no more, or again; its manifest is worth nothing without it.
            Found::Orphan => plan.overwrite = Overwrite::Replace,
            Found::Unproved(manifest) => match done::of_making(&manifest, &plan, &disk, out) {
                None => done::take_back(out, &disk, &selection)?,
                Some(_) if self.args.force => {}
                Some(why) => return Err(existing(why).into()),
            },
            Found::Other(_) if self.args.force => {}
            Found::Other(why) => return Err(existing(why).into()),
            Found::Done(manifest) => match done::difference(&manifest, &plan, &disk, out) {
                None if self.is_sound(out, &manifest)? => return Ok(Outcome::Skipped(manifest)),
                Some(why) if !self.args.force => return Err(existing(why).into()),
                _ => {}
            },
        }
        if let Some(folder) = out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let failed = |source| Failure::Folder { path: folder.to_path_buf(), source };
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let voice = self.reporter.of(job);
        let setting = Setting { cancel: self.cancel, voice: &voice, pool: Some(&self.pool) };
        let exported = export_disks(&plan, &selection, &[disk], &setting, &mut |_, _| ());
        if exported.as_ref().is_err_and(Failure::is_contention) {
            return after_another(out, &plan, &selection, exported);
        }
        if matches!(exported, Err(Failure::Sidecar(_))) && plan.overwrite == Overwrite::Refuse {
            done::withdraw(out);
        }
        let mut reports = exported?;
        reports.pop().map(|report| Outcome::Done(Box::new(report))).ok_or_else(|| BatchError::Panicked.into())
    }

    /// Whether an image that was made before is what its manifest says, as far as it is to be looked at.
    fn is_sound(&self, out: &Path, manifest: &Manifest) -> Result<bool, Failure> {
        if !self.args.verify_existing {
            return Ok(true);
        }
        match verify::existing(out, manifest, self.cancel, &self.pool)? {
            None => Ok(true),
            Some(_) if self.args.force => Ok(false),
            Some(why) => Err(BatchError::Damaged { out: out.to_path_buf(), why }.into()),
        }
    }

    fn failed(&self, job: &Job, failure: &Failure, attempts: u32, time: Duration) -> JobResult {
        let is_interrupted = self.cancel.check().is_err() && failure.is_cancelled();
        let status = if is_interrupted { JobStatus::Interrupted } else { JobStatus::Failed };
        let code = failure.code();
        JobResult {
            status,
            exit_code: code,
            error_class: Some(code::class(code).to_owned()),
            error: Some(failure.line()),
            attempts,
            ..blank(job, time)
        }
    }

    /// Counts a result, writes it down and tells it.
    fn keep(&self, job: &Job, result: &JobResult) -> Result<(), Failure> {
        {
            let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.totals.add(result);
            tally.undone.extend(Undone::of(result));
        }
        let written = self.results.as_ref().map_or(Ok(()), |(file, path)| {
            file.add(result).map_err(|source| BatchError::Results { path: path.to_path_buf(), source })
        });
        self.reporter.end(job, result);
        // Figures that can not be written stop nothing until the end.
        let _ = self.write_metrics(false);
        Ok(written?)
    }

    /// Writes the figures as they are now, one thread at a time, so that they never go backwards.
    fn write_metrics(&self, is_over: bool) -> Result<(), BatchError> {
        let Some(path) = &self.args.metrics_file else { return Ok(()) };
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = self.start.elapsed().as_secs_f64();
        let written = metrics::write(path, &tally.totals, seconds, is_over);
        written.map_err(|source| BatchError::Metrics { path: path.clone(), source })
    }

    fn summary(&self) -> Summary {
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let mut totals = tally.totals;
        let tried = totals.done + totals.skipped + totals.failed + totals.blocked + totals.interrupted;
        totals.pending = totals.jobs.saturating_sub(tried);
        Summary { totals, seconds: Some(self.start.elapsed().as_secs_f64()), undone: tally.undone.clone() }
    }
}

/// Another run writes, or has just written, the same image: nothing is wrong with that.
fn after_another(
    out: &Path,
    plan: &ExportPlan,
    selection: &Selection,
    exported: Result<Vec<ExportReport>, Failure>,
) -> Result<Outcome, Failure> {
    let disk = open(plan, selection)?;
    match done::look(out, &plan.source.choice.limits.limits()) {
        Found::Done(manifest) if done::difference(&manifest, plan, &disk, out).is_none() => {
            Ok(Outcome::Skipped(manifest))
        }
        _ => match exported {
            Err(failure) if failure.is_busy() => Err(BatchError::Busy { out: out.to_path_buf() }.into()),
            Err(failure) => Err(failure),
            Ok(_) => Err(BatchError::Panicked.into()),
        },
    }
}

fn open(plan: &ExportPlan, selection: &Selection) -> Result<Disk, Failure> {
    let selected = selection.only_disk()?;
    Ok(Disk::open(&selected.leaf, &selection.policy, plan.source.choice.sector_size)?)
}

/// The disk, in the state that was planned.
fn planned_disk(job: &Job, plan: &ExportPlan, selection: &Selection) -> Result<Disk, Failure> {
    let selected = selection.only_disk()?;
    let disk = open(plan, selection)?;
    let found = disk.data_write_guid().unwrap_or_default();
    match &job.line.data_write_guid {
        Some(planned) if *planned != found => {
            let leaf = selected.leaf.clone();
            Err(BatchError::OtherState { leaf, planned: planned.clone(), found }.into())
        }
        _ => Ok(disk),
    }
}

fn blank(job: &Job, time: Duration) -> JobResult {
    JobResult {
        schema: JobResult::schema(),
        schema_version: 1,
        time: now(),
        id: job.id.to_string(),
        title: job.title.clone(),
        status: JobStatus::Done,
        exit_code: 0,
        error_class: None,
        error: None,
        out: job.out.as_ref().map(|out| out.display().to_string()),
        attempts: 0,
        seconds: time.as_secs_f64(),
        image: None,
        warnings: Vec::new(),
    }
}

fn blocked(job: &Job) -> JobResult {
    let code = job.line.exit_code.unwrap_or(code::OTHER);
    JobResult {
        status: JobStatus::Blocked,
        exit_code: code,
        error_class: Some(code::class(code).to_owned()),
        error: job.line.reason.clone(),
        ..blank(job, Duration::ZERO)
    }
}

fn succeeded(job: &Job, outcome: &Outcome, attempts: u32, time: Duration) -> JobResult {
    match outcome {
        Outcome::Done(report) => JobResult {
            attempts,
            image: Some(ImageFacts {
                virtual_size: report.disk.virtual_size,
                data: report.disk.data,
                file_size: report.artifact.size,
                sha256: report.content.sha256,
                blksum: report.content.blksum,
                file_sha256: report.artifact.sha256,
            }),
            warnings: report.warnings.clone(),
            ..blank(job, time)
        },
        Outcome::Skipped(manifest) => {
            let digests = manifest.content.digests();
            JobResult {
                status: JobStatus::Skipped,
                attempts,
                image: Some(ImageFacts {
                    virtual_size: manifest.disk.virtual_size,
                    data: manifest.disk.data,
                    file_size: manifest.artifact.size,
                    sha256: digests.sha256,
                    blksum: digests.blocks.map(|blocks| blocks.blksum),
                    file_sha256: manifest.artifact.sha256,
                }),
                ..blank(job, time)
            }
        }
    }
}
