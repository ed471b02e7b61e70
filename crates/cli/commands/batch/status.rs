//! `batch status`: how far a file of jobs is, from the manifests that are there and from results, without a look at a source.

use std::collections::HashMap;
use std::io;

use export_manifest::Manifest;

use super::done::{self, Found};
use super::job::Job;
use super::results::{self, JobResult, JobStatus};
use super::summary::{Summary, Totals, Undone};
use super::{BatchError, read};
use crate::args::BatchStatusArgs;
use crate::commands::{code_of_told, print_json};
use crate::failure::{Failure, code};

pub(crate) fn run(args: &BatchStatusArgs) -> Result<u8, Failure> {
    let jobs = read::jobs(&args.jobs_file)?;
    let mut last: HashMap<String, JobResult> = HashMap::new();
    for path in &args.results {
        let found =
            results::read(path).map_err(|source| BatchError::Results { path: path.clone(), source })?;
        for result in found {
            // Times are written so that they sort like text.
            if last.get(&result.id).is_none_or(|known| known.time <= result.time) {
                last.insert(result.id.clone(), result);
            }
        }
    }
    let mut summary = Summary {
        totals: Totals { jobs: jobs.len(), ..Totals::default() },
        seconds: None,
        undone: Vec::new(),
    };
    for job in &jobs {
        count(&mut summary, job, last.get(&job.id.to_string()));
    }
    let code = if summary.totals.is_complete() { 0 } else { code::PARTLY };
    let mut out = io::stdout().lock();
    let told = if args.json {
        print_json(&mut out, &summary)
    } else {
        summary.print(&mut out).map_err(Failure::Output)
    };
    code_of_told(told, code)
}

fn count(summary: &mut Summary, job: &Job, last: Option<&JobResult>) {
    let totals = &mut summary.totals;
    if job.is_blocked() {
        totals.blocked += 1;
        summary.undone.push(undone(job, JobStatus::Blocked, job.line.exit_code, job.line.reason.clone()));
        return;
    }
    let found = job.out.as_deref().map_or(Found::Nothing, |out| done::look(out, &job.limits()));
    match (found, last) {
        (Found::Done(manifest), _) if is_planned(job, &manifest) && difference(job, &manifest).is_none() => {
            totals.done += 1;
            totals.data = totals.data.saturating_add(manifest.disk.data);
            totals.written = totals.written.saturating_add(manifest.artifact.size);
        }
        (_, Some(result)) if result.status == JobStatus::Failed => {
            totals.failed += 1;
            summary.undone.extend(Undone::of(result));
        }
        (Found::Done(manifest), _) => {
            totals.failed += 1;
            let why =
                difference(job, &manifest).map(|why| format!("in its place stands another image: {why}"));
            let why = why.unwrap_or("the image was made of another state than was planned".to_owned());
            summary.undone.push(undone(job, JobStatus::Failed, Some(code::UNSAFE), Some(why)));
        }
        (Found::Other(why), _) => {
            totals.failed += 1;
            let why = format!("in its place stands something else: {why}");
            summary.undone.push(undone(job, JobStatus::Failed, Some(code::UNSAFE), Some(why)));
        }
        (Found::Nothing | Found::Orphan | Found::Unproved(_), _) => totals.pending += 1,
    }
}

/// Whether the manifest is that of the state that was planned, where a plan says which.
fn is_planned(job: &Job, manifest: &Manifest) -> bool {
    let made_of = manifest.source.chain.first().and_then(|leaf| leaf.data_write_guid.as_deref());
    job.line.data_write_guid.as_deref().is_none_or(|planned| made_of == Some(planned))
}

/// What the manifest says otherwise than the job wants, as far as that is known without its source.
fn difference(job: &Job, manifest: &Manifest) -> Option<String> {
    done::of_plan(manifest, &job.plan()?, job.out.as_deref()?)
}

fn undone(job: &Job, status: JobStatus, exit_code: Option<u8>, error: Option<String>) -> Undone {
    let exit_code = exit_code.unwrap_or(code::OTHER);
    Undone {
        id: job.id.to_string(),
        title: job.title.clone(),
        status,
        exit_code,
        error_class: Some(code::class(exit_code).to_owned()),
        error,
    }
}
