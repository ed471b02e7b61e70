//! What became of all jobs together, as a table for people and as JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::results::{JobResult, JobStatus};
use crate::failure::code;
use crate::terminal::{columns, printable};
use crate::units::{show_duration, show_size};

/// Counts and sums.
#[derive(Clone, Copy, Default, Debug, Serialize)]
pub(crate) struct Totals {
    pub(crate) jobs: usize,
    pub(crate) done: usize,
    pub(crate) skipped: usize,
    pub(crate) failed: usize,
    pub(crate) blocked: usize,
    pub(crate) interrupted: usize,
    /// Nobody has tried them, or a try was interrupted.
    pub(crate) pending: usize,
    /// Bytes of data of the disks that were exported.
    pub(crate) data: u64,
    /// Bytes of the files that were written.
    pub(crate) written: u64,
}

impl Totals {
    /// Counts a result.
    pub(crate) fn add(&mut self, result: &JobResult) {
        match result.status {
            JobStatus::Done => self.done += 1,
            JobStatus::Skipped => self.skipped += 1,
            JobStatus::Failed => self.failed += 1,
            JobStatus::Blocked => self.blocked += 1,
            JobStatus::Interrupted => self.interrupted += 1,
        }
        if let (JobStatus::Done, Some(image)) = (result.status, &result.image) {
            self.data = self.data.saturating_add(image.data);
            self.written = self.written.saturating_add(image.file_size);
        }
    }

    /// Whether every job is done, now or before.
    pub(crate) fn is_complete(&self) -> bool {
        self.done + self.skipped == self.jobs
    }
}

/// A job that is not done, and why.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Undone {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) status: JobStatus,
    pub(crate) exit_code: u8,
    pub(crate) error_class: Option<String>,
    pub(crate) error: Option<String>,
}

impl Undone {
    /// `None` of a job that is done.
    pub(crate) fn of(result: &JobResult) -> Option<Self> {
        match result.status {
            JobStatus::Done | JobStatus::Skipped => None,
            JobStatus::Failed | JobStatus::Blocked | JobStatus::Interrupted => Some(Self {
                id: result.id.clone(),
                title: result.title.clone(),
                status: result.status,
                exit_code: result.exit_code,
                error_class: result.error_class.clone(),
                error: result.error.clone(),
            }),
        }
    }
}

/// The document that `--json` prints.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    #[serde(flatten)]
    pub(crate) totals: Totals,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seconds: Option<f64>,
    /// What was done before and after this run alike, and what was not.
    pub(crate) undone: Vec<Undone>,
}

impl Summary {
    /// The exit code for a run that nobody stopped: that some failed, or that another try may be all that is needed.
    pub(crate) fn code(&self) -> u8 {
        let failed: Vec<u8> = self.undone.iter().map(|undone| undone.exit_code).collect();
        if self.totals.is_complete() {
            0
        } else if !failed.is_empty() && failed.iter().all(|found| *found == code::TEMPORARY) {
            code::TEMPORARY
        } else {
            code::PARTLY
        }
    }

    pub(crate) fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        for undone in &self.undone {
            let status = word(undone.status);
            let code = undone.exit_code;
            writeln!(out, "{status:<11} {} ({code})", printable(&undone.title))?;
            if let Some(error) = &undone.error {
                writeln!(out, "            {}", printable(error))?;
            }
        }
        if !self.undone.is_empty() {
            writeln!(out)?;
        }
        let Totals { jobs, done, skipped, failed, blocked, interrupted, pending, data, written } =
            self.totals;
        let exported = if done > 0 {
            format!("{} of data, {} written", show_size(data), show_size(written))
        } else {
            String::new()
        };
        let rows = [
            ("done", done, exported),
            ("skipped", skipped, "done before".to_owned()),
            ("failed", failed, String::new()),
            ("blocked", blocked, "cannot be exported as they are".to_owned()),
            ("interrupted", interrupted, "run again to do them".to_owned()),
            ("pending", pending, "run again to do them".to_owned()),
        ];
        for (name, count, remark) in rows.into_iter().filter(|(_, count, _)| *count > 0) {
            print_row(out, name, count, &remark)?;
        }
        let time = self
            .seconds
            .map(|seconds| format!("in {}", show_duration(std::time::Duration::from_secs_f64(seconds))));
        print_row(out, "jobs", jobs, &time.unwrap_or_default())
    }
}

fn print_row(out: &mut dyn Write, name: &str, count: usize, remark: &str) -> io::Result<()> {
    debug_assert!(columns(remark) < 60);
    let row = format!("{name:<11} {count:>7}  {remark}");
    writeln!(out, "{}", row.trim_end())
}

pub(crate) fn word(status: JobStatus) -> &'static str {
    match status {
        JobStatus::Done => "done",
        JobStatus::Skipped => "skipped",
        JobStatus::Failed => "failed",
        JobStatus::Blocked => "blocked",
        JobStatus::Interrupted => "interrupted",
    }
}
