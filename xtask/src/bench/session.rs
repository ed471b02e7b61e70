//! One benchmark in progress: provides each task's inputs, measures both sides in turn, and collects what was found.

use std::collections::BTreeSet;
use std::io;

use super::evidence::{EvidenceError, Ledger};
use super::instructions::CountError;
use super::job::{JobError, Runner};
use super::limits::Limits;
use super::place::{Input, Place};
use super::plan::{self, Task};
use super::report::{Counted, Measured, Side, Silent};
use super::rows::Row;

/// What is known so far.
pub(super) struct Session {
    runner: Runner,
    /// How often each command is measured.
    runs: usize,
    ledger: Ledger,
    pub(super) limits: Vec<Limits>,
    pub(super) rows: Vec<Measured>,
    pub(super) instructions: Vec<Counted>,
    pub(super) skipped: Vec<Silent>,
    pub(super) failed: Vec<Silent>,
}

/// Why a task has no result.
#[derive(Debug, thiserror::Error)]
enum TaskError {
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error(transparent)]
    Job(#[from] JobError),
    #[error(transparent)]
    Count(#[from] CountError),
    #[error("cannot make what it needs: {0}")]
    Folder(#[from] io::Error),
    #[error("nothing was measured")]
    Nothing,
}

/// The user wants an end.
#[derive(Debug, thiserror::Error)]
#[error("stopped by a signal")]
pub(super) struct Interrupted;

impl Session {
    /// One that knows nothing yet.
    pub(super) fn new(runner: Runner, runs: usize) -> Self {
        Self {
            runner,
            runs,
            ledger: Ledger::default(),
            limits: Vec::new(),
            rows: Vec::new(),
            instructions: Vec::new(),
            skipped: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// Does the tasks. One that fails is noted, and the others go on.
    pub(super) fn do_all(
        &mut self,
        label: &str,
        place: &Place,
        tasks: &[Task<'_>],
    ) -> Result<(), Interrupted> {
        let mut checked = BTreeSet::new();
        for (number, task) in tasks.iter().enumerate() {
            let done = self.provide(task.inputs(), place, &mut checked);
            let done = done.and_then(|()| self.perform(label, task, place));
            let to_do = plan::inputs(&tasks[number + 1..]);
            let cleaned = place.clear_results().and_then(|()| place.forget_all_but(&to_do));
            match done.and_then(|()| Ok(cleaned?)) {
                Ok(()) => {}
                Err(error) if error.is_interrupted() => return Err(Interrupted),
                Err(error) => self.fail(label, task.name(), &error),
            }
        }
        Ok(())
    }

    /// Notes that a task is not done.
    pub(super) fn skip(&mut self, label: &str, name: &'static str, why: String) {
        eprintln!("skipped: {name}: {why}");
        self.skipped.push(Silent { place: label.to_owned(), name, why });
    }

    fn fail(&mut self, label: &str, name: &'static str, error: &TaskError) {
        eprintln!("failed: {name}: {error}");
        self.failed.push(Silent { place: label.to_owned(), name, why: error.to_string() });
    }

    /// Makes what is not there. Each disk is compared once with the others that should hold the same.
    fn provide(
        &mut self,
        inputs: &[Input],
        place: &Place,
        checked: &mut BTreeSet<Input>,
    ) -> Result<(), TaskError> {
        for &input in inputs {
            let path = self.find_or_make(input, place)?;
            if checked.insert(input) {
                self.ledger.judge_image(&self.runner, place.root(), input.disk(), (&path, &path))?;
            }
        }
        Ok(())
    }

    /// The input's path, relative to the place.
    fn find_or_make(&self, input: Input, place: &Place) -> Result<String, TaskError> {
        let (path, is_new) = match input {
            Input::Disk(name) => place.make(name)?,
            Input::Flat(name) => {
                let is_new = !place.has_flat(name);
                let path = place.flat(name)?;
                if is_new {
                    let leaf = name.leaf();
                    let line = format!("vhdx-export -q {leaf} --digest none --manifest none --out {path}");
                    self.runner.run(&line, place.root())?;
                }
                (path, is_new)
            }
        };
        if is_new {
            eprintln!("made {path}");
        }
        Ok(path)
    }

    fn perform(&mut self, label: &str, task: &Task<'_>, place: &Place) -> Result<(), TaskError> {
        match task {
            Task::Compare(row) => {
                let measured = self.compare(label, row, place)?;
                self.rows.push(measured);
            }
            Task::Count(count) => {
                place.clear_results()?;
                eprintln!("{}: counting instructions", count.name);
                let instructions = count.run(&self.runner, place)?;
                self.instructions.push(Counted::new(count, instructions));
            }
        }
        Ok(())
    }

    /// Ours, theirs, ours, theirs, so that whatever the machine does in between befalls both. The first time warms the
    /// page cache and shows that both make the same disk; it does not count.
    fn compare(&mut self, label: &str, row: &Row, place: &Place) -> Result<Measured, TaskError> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for number in 0..=self.runs {
            let other = row.theirs().map(|job| (job, &mut theirs));
            let mut said = Vec::new();
            for (job, samples) in std::iter::once((&row.ours, &mut ours)).chain(other) {
                place.clear_results()?;
                let done = self.runner.measure(job.line, place.root())?;
                said.push(format!("{:.2} s", done.sample.wall));
                if number == 0 {
                    let result = (job.line, job.leaves, &done.output.stdout[..]);
                    self.ledger.judge(&self.runner, place.root(), job.disk, result)?;
                } else {
                    samples.push(done.sample);
                }
            }
            let which = if number == 0 { "warm-up".to_owned() } else { format!("run {number}") };
            eprintln!("{} ({label}), {which}: {}", row.name, said.join(", theirs "));
        }
        let ours = Side::new(row.ours.line, ours).ok_or(TaskError::Nothing)?;
        let theirs = row.theirs().and_then(|job| Side::new(job.line, theirs));
        Measured::new(label, row, ours, theirs).ok_or(TaskError::Nothing)
    }
}

impl TaskError {
    fn is_interrupted(&self) -> bool {
        matches!(
            self,
            Self::Job(JobError::Interrupted)
                | Self::Evidence(EvidenceError::Job(JobError::Interrupted))
                | Self::Count(CountError::Job(JobError::Interrupted))
        )
    }
}
