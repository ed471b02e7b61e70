//! Figures for Prometheus, in a file that the textfile collector of node-exporter reads: written whole and renamed, so that it
//! never reads half of one.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use export_sinks::sink::Stage;
use export_sinks::{Overwrite, SinkError, StagedFile, Target};

use super::summary::Totals;

/// Writes the figures of a run, as they are now.
pub(crate) fn write(path: &Path, totals: &Totals, seconds: f64, is_over: bool) -> Result<(), SinkError> {
    let success =
        if is_over && totals.is_complete() { Some(format!("{:.3}", now())) } else { last_success(path) };
    let file = StagedFile::create(&Target::new(path, Overwrite::Replace))?;
    file.fill(text(totals, seconds, is_over, now(), success).as_bytes())?;
    file.publish()
}

const LAST_SUCCESS: &str = "last_success_timestamp_seconds";

/// What the file says of an earlier run: a success stays one until the next.
fn last_success(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let found = text.lines().find_map(|line| line.strip_prefix(&format!("vhdx_export_{LAST_SUCCESS} ")))?;
    found.parse::<f64>().is_ok().then(|| found.to_owned())
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

fn text(totals: &Totals, seconds: f64, is_over: bool, now: f64, success: Option<String>) -> String {
    let mut text = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, samples: &[(&str, String)]| {
        let _ = writeln!(text, "# HELP vhdx_export_{name} {help}\n# TYPE vhdx_export_{name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(text, "vhdx_export_{name}{labels} {value}");
        }
    };
    let Totals { jobs, done, skipped, failed, blocked, interrupted, pending: _, data, written } = *totals;
    let over = done + skipped + failed + blocked + interrupted;
    metric(
        "jobs",
        "gauge",
        "Jobs of the last run, by what became of them.",
        &[
            ("{status=\"done\"}", done.to_string()),
            ("{status=\"skipped\"}", skipped.to_string()),
            ("{status=\"failed\"}", failed.to_string()),
            ("{status=\"blocked\"}", blocked.to_string()),
            ("{status=\"interrupted\"}", interrupted.to_string()),
            ("{status=\"pending\"}", jobs.saturating_sub(over).to_string()),
        ],
    );
    metric(
        "data_bytes",
        "gauge",
        "Bytes of data of the disks that the last run exported.",
        &[("", data.to_string())],
    );
    metric(
        "written_bytes",
        "gauge",
        "Bytes of the images that the last run wrote.",
        &[("", written.to_string())],
    );
    metric(
        "duration_seconds",
        "gauge",
        "How long the last run has taken by now.",
        &[("", format!("{seconds:.3}"))],
    );
    metric("running", "gauge", "Whether the last run is not over.", &[("", u8::from(!is_over).to_string())]);
    metric(
        "last_update_timestamp_seconds",
        "gauge",
        "When these figures were written.",
        &[("", format!("{now:.3}"))],
    );
    if let Some(success) = success {
        metric(LAST_SUCCESS, "gauge", "When a run last ended with every job done.", &[("", success)]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_counted_once() {
        let totals = Totals {
            jobs: 7,
            done: 2,
            skipped: 1,
            failed: 1,
            blocked: 1,
            data: 5,
            written: 6,
            ..Totals::default()
        };
        let found = text(&totals, 1.5, true, 17.0, None);
        let counts = found.lines().filter(|line| line.starts_with("vhdx_export_jobs{"));
        let sum: usize = counts.map(|line| line.rsplit_once(' ').unwrap().1.parse::<usize>().unwrap()).sum();
        assert_eq!(sum, 7);
        assert!(found.contains("vhdx_export_jobs{status=\"pending\"} 2\n"));
        assert!(!found.contains("last_success"));
    }

    #[test]
    fn a_success_is_remembered_until_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vhdx_export.prom");
        let success = || last_success(&path);
        let (good, bad) = (
            Totals { jobs: 1, done: 1, ..Totals::default() },
            Totals { jobs: 1, failed: 1, ..Totals::default() },
        );
        write(&path, &bad, 1.0, true).unwrap();
        assert_eq!(success(), None);
        write(&path, &good, 1.0, false).unwrap();
        assert_eq!(success(), None, "it is not over");
        write(&path, &good, 1.0, true).unwrap();
        let first = success().unwrap();
        write(&path, &bad, 1.0, true).unwrap();
        assert_eq!(success().as_ref(), Some(&first));
    }
}
