//! How a run of many jobs talks: a bar for each job and one for all on a terminal, else lines; or JSON, one object a line.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use chain_resolve::vm::Timestamp;
use export_sinks::{NoProgress, Progress, Tally};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle as BarStyle};
use serde::Serialize;

use super::job::Job;
use super::results::{JobResult, JobStatus};
use super::summary::word;
use crate::args::{LogFormat, ProgressStyle};
use crate::terminal::{printable, say};
use crate::units::{show_duration, show_size};
use crate::voice::Voice;

/// Tells what happens to jobs.
pub(crate) struct Reporter {
    log: LogFormat,
    is_quiet: bool,
    drawing: Drawing,
    jobs: usize,
    /// How many are over.
    over: Mutex<usize>,
}

/// How it is shown how far jobs are.
enum Drawing {
    Bars { all: MultiProgress, total: ProgressBar },
    Json,
    Nothing,
}

/// What is said of a job.
#[derive(Serialize)]
struct Event<'a> {
    time: String,
    level: &'static str,
    #[serde(rename = "event")]
    what: &'static str,
    job: String,
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_class: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_in_seconds: Option<f64>,
}

impl Reporter {
    pub(crate) fn new(jobs: usize, log: LogFormat, style: ProgressStyle, is_quiet: bool) -> Self {
        let is_terminal = std::io::stderr().is_terminal() && log == LogFormat::Text;
        let drawing = match style {
            ProgressStyle::Bar => Drawing::bars(jobs),
            ProgressStyle::Auto if is_terminal => Drawing::bars(jobs),
            ProgressStyle::Json => Drawing::Json,
            ProgressStyle::Auto | ProgressStyle::Lines | ProgressStyle::None => Drawing::Nothing,
        };
        Self { log, is_quiet, drawing, jobs, over: Mutex::new(0) }
    }

    /// The voice of one job.
    pub(crate) fn of<'a>(&'a self, job: &'a Job) -> JobVoice<'a> {
        JobVoice { reporter: self, job }
    }

    /// Takes the bars away.
    pub(crate) fn close(&self) {
        if let Drawing::Bars { total, .. } = &self.drawing {
            total.finish_and_clear();
        }
    }

    /// Says that a job begins.
    pub(crate) fn begin(&self, job: &Job) {
        if self.log == LogFormat::Json {
            self.tell(&Event { what: "job-started", ..event_of(job) });
        }
    }

    /// Says that a job will be tried again.
    pub(crate) fn retry(&self, job: &Job, error: &str, delay: Duration) {
        let text = format!("{}: {error}; next try in {}", job.title, show_duration(delay));
        match self.log {
            LogFormat::Text => self.line(&format!("retry: {}\n", printable(&text))),
            LogFormat::Json => self.tell(&Event {
                level: "warning",
                what: "job-retried",
                message: Some(error),
                retry_in_seconds: Some(delay.as_secs_f64()),
                ..event_of(job)
            }),
        }
    }

    /// Says what came of a job.
    pub(crate) fn end(&self, job: &Job, result: &JobResult) {
        let over = {
            let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
            *over += 1;
            *over
        };
        if let Drawing::Bars { total, .. } = &self.drawing {
            total.inc(1);
        }
        let is_good = matches!(result.status, JobStatus::Done | JobStatus::Skipped);
        match self.log {
            LogFormat::Json => self.tell(&Event {
                level: if is_good { "info" } else { "error" },
                what: match result.status {
                    JobStatus::Done => "job-done",
                    JobStatus::Skipped => "job-skipped",
                    JobStatus::Failed => "job-failed",
                    JobStatus::Blocked => "job-blocked",
                    JobStatus::Interrupted => "job-interrupted",
                },
                message: result.error.as_deref(),
                exit_code: Some(result.exit_code),
                error_class: result.error_class.as_deref(),
                seconds: Some(result.seconds),
                ..event_of(job)
            }),
            // What was done before is no news, and the summary counts it.
            LogFormat::Text if result.status == JobStatus::Skipped => {}
            LogFormat::Text => {
                let (width, jobs, word) = (self.jobs.to_string().len(), self.jobs, word(result.status));
                let remark = match (&result.error, &result.image) {
                    (Some(error), _) => format!(": {error}"),
                    (None, Some(image)) => format!(
                        " ({} of data, {} written, {:.1} s)",
                        show_size(image.data),
                        show_size(image.file_size),
                        result.seconds
                    ),
                    (None, None) => String::new(),
                };
                let text = format!("[{over:>width$}/{jobs}] {word:<7} {}{remark}", job.title);
                self.line(&format!("{}\n", printable(&text)));
            }
        }
    }

    fn tell(&self, event: &Event<'_>) {
        if let Ok(text) = serde_json::to_string(event) {
            self.line(&format!("{text}\n"));
        }
    }

    /// Bars are drawn around a line, not through it.
    fn line(&self, text: &str) {
        match &self.drawing {
            _ if self.is_quiet => {}
            Drawing::Bars { all, .. } => all.suspend(|| say(text)),
            Drawing::Json | Drawing::Nothing => say(text),
        }
    }
}

/// An event of a job, to be filled in.
fn event_of(job: &Job) -> Event<'_> {
    Event {
        time: now(),
        level: "info",
        what: "",
        job: job.id.to_string(),
        title: &job.title,
        message: None,
        exit_code: None,
        error_class: None,
        seconds: None,
        retry_in_seconds: None,
    }
}

impl Drawing {
    fn bars(jobs: usize) -> Self {
        let all = MultiProgress::new();
        let total = all.add(ProgressBar::new(jobs as u64));
        total.set_style(style("all jobs {wide_bar} {pos}/{len} {elapsed}"));
        total.tick();
        Self::Bars { all, total }
    }
}

/// The templates are constants; should one be wrong, indicatif's own bar is better than none.
fn style(template: &str) -> BarStyle {
    BarStyle::with_template(template).unwrap_or_else(|_| BarStyle::default_bar()).progress_chars("=> ")
}

/// The time, as it is written everywhere.
pub(crate) fn now() -> String {
    Timestamp::from_system_time(SystemTime::now()).map(|time| time.to_string()).unwrap_or_default()
}

/// What is said of one job.
pub(crate) struct JobVoice<'a> {
    reporter: &'a Reporter,
    job: &'a Job,
}

impl Voice for JobVoice<'_> {
    fn note(&self, note: &str) {
        match self.reporter.log {
            LogFormat::Text => {
                self.reporter.line(&format!("note: {}: {}\n", printable(&self.job.title), printable(note)));
            }
            LogFormat::Json => {
                let event = Event { what: "note", message: Some(note), ..event_of(self.job) };
                self.reporter.tell(&event);
            }
        }
    }

    fn progress(&self, total: u64) -> Box<dyn Progress + '_> {
        match &self.reporter.drawing {
            Drawing::Bars { all, .. } => {
                let bar = all.insert_from_back(1, ProgressBar::new(total));
                bar.set_style(style(
                    "{prefix:24!} {wide_bar} {percent:>3}% {binary_bytes_per_sec} ETA {eta}",
                ));
                bar.set_prefix(printable(&self.job.title));
                Box::new(Bar { all, bar })
            }
            Drawing::Json => {
                let last = Mutex::new(None);
                Box::new(JsonLines { job: self.job.id.to_string(), total, last, reporter: self.reporter })
            }
            Drawing::Nothing => Box::new(NoProgress),
        }
    }
}

struct Bar<'a> {
    all: &'a MultiProgress,
    bar: ProgressBar,
}

impl Progress for Bar<'_> {
    fn advance(&self, done: Tally) {
        self.bar.set_position(done.total());
    }
}

impl Drop for Bar<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        self.all.remove(&self.bar);
    }
}

/// One object a second at most for each job, and one at its end.
struct JsonLines<'a> {
    job: String,
    total: u64,
    last: Mutex<Option<Instant>>,
    reporter: &'a Reporter,
}

#[derive(Serialize)]
struct JsonLine<'a> {
    event: &'static str,
    job: &'a str,
    done: u64,
    total: u64,
    data: u64,
    zeros: u64,
    jobs_over: usize,
    jobs: usize,
}

impl Progress for JsonLines<'_> {
    fn advance(&self, done: Tally) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let soon = last.is_some_and(|last| last.elapsed() < Duration::from_secs(1));
        if soon && done.total() < self.total {
            return;
        }
        *last = Some(Instant::now());
        let line = JsonLine {
            event: "progress",
            job: &self.job,
            done: done.total(),
            total: self.total,
            data: done.data,
            zeros: done.zeros,
            jobs_over: *self.reporter.over.lock().unwrap_or_else(PoisonError::into_inner),
            jobs: self.reporter.jobs,
        };
        if let Ok(text) = serde_json::to_string(&line) {
            self.reporter.line(&format!("{text}\n"));
        }
    }
}
