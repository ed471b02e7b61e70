//! Commands as one would type them in the folder of the benchmark: how they are started, measured and stopped.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::statistics::{Sample, Usage};
use super::tools::Tool;

/// The program's name in command lines; the one that was built stands behind it.
const PROGRAM: &str = "vhdx-export";

/// Why a command gave nothing to measure.
#[derive(Debug, thiserror::Error)]
pub(super) enum JobError {
    #[error("`{line}` cannot be started")]
    Start { line: String, source: io::Error },
    #[error("`{line}` ended with {status}: {said}")]
    Failed { line: String, status: std::process::ExitStatus, said: String },
    #[error("`{line}` ran, but GNU time wrote nothing of use")]
    Usage { line: String },
    #[error("stopped by a signal")]
    Interrupted,
}

/// Starts commands.
pub(super) struct Runner {
    program: PathBuf,
    time: Option<PathBuf>,
    interrupted: Arc<AtomicBool>,
}

/// What a command printed, and what it took.
pub(super) struct Done {
    pub(super) output: Output,
    pub(super) sample: Sample,
}

impl Runner {
    /// One that takes `program` for our own. From here on signals no longer end this process: they end the next
    /// command, and what was made is removed.
    pub(super) fn new(program: PathBuf) -> io::Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
        }
        Ok(Self { program, time: Tool::Time.path(), interrupted })
    }

    /// Runs a command in `folder`, with nothing but the clock.
    pub(super) fn run(&self, line: &str, folder: &Path) -> Result<Output, JobError> {
        self.start(line, &self.arguments(line), folder)
    }

    /// Runs a command in `folder` as one behind `prefix`, a program that watches another.
    pub(super) fn run_under(
        &self,
        prefix: &[OsString],
        line: &str,
        folder: &Path,
    ) -> Result<Output, JobError> {
        self.start(line, &[prefix, &self.arguments(line)].concat(), folder)
    }

    /// Runs a command in `folder` and measures it.
    pub(super) fn measure(&self, line: &str, folder: &Path) -> Result<Done, JobError> {
        let Some(time) = &self.time else {
            let start = Instant::now();
            let output = self.run(line, folder)?;
            return Ok(Done { output, sample: Sample { wall: start.elapsed().as_secs_f64(), usage: None } });
        };
        let report = folder.join("usage");
        let prefix =
            [time.into(), "-f".into(), "%U %S %M".into(), "-o".into(), report.clone().into(), "--".into()];
        let start = Instant::now();
        let output = self.run_under(&prefix, line, folder)?;
        let wall = start.elapsed().as_secs_f64();
        let said = std::fs::read_to_string(&report).unwrap_or_default();
        let usage = usage(&said).ok_or_else(|| JobError::Usage { line: line.to_owned() })?;
        Ok(Done { output, sample: Sample { wall, usage: Some(usage) } })
    }

    fn arguments(&self, line: &str) -> Vec<OsString> {
        arguments(line, &self.program)
    }

    fn start(&self, line: &str, arguments: &[OsString], folder: &Path) -> Result<Output, JobError> {
        let mut words = arguments.iter();
        let output = Command::new(words.next().cloned().unwrap_or_default())
            .args(words)
            .current_dir(folder)
            .stdin(Stdio::null())
            .output();
        // A signal from a terminal goes to the command as well, which then is not the one that failed.
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(JobError::Interrupted);
        }
        let output = output.map_err(|source| JobError::Start { line: line.to_owned(), source })?;
        if output.status.success() {
            return Ok(output);
        }
        Err(JobError::Failed {
            line: line.to_owned(),
            status: output.status,
            said: first_line(&String::from_utf8_lossy(&output.stderr)),
        })
    }
}

/// The words of a line, or a shell that reads it where it is more than one command.
fn arguments(line: &str, program: &Path) -> Vec<OsString> {
    if line.contains(['|', '&']) {
        return ["bash", "-o", "pipefail", "-c", line].map(OsString::from).to_vec();
    }
    let word = |word| if word == PROGRAM { program.into() } else { OsString::from(word) };
    line.split_whitespace().map(word).collect()
}

fn first_line(text: &str) -> String {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing").to_owned()
}

/// What GNU time wrote as `%U %S %M`, below what it may say of the command's end.
fn usage(report: &str) -> Option<Usage> {
    let mut numbers = report.lines().last()?.split(' ');
    let mut next = || numbers.next()?.parse::<f64>().ok();
    let cpu = next()? + next()?;
    let peak_kib = numbers.next()?.parse().ok()?;
    Some(Usage { cpu, peak_kib })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        arguments(line, Path::new("/built/here"))
    }

    #[test]
    fn one_command_needs_no_shell_and_our_name_is_the_program_that_was_built() {
        assert_eq!(
            words("vhdx-export a --out vhdx-export.raw"),
            ["/built/here", "a", "--out", "vhdx-export.raw"]
        );
    }

    #[test]
    fn a_pipe_fails_where_any_part_of_it_fails() {
        let runner = Runner {
            program: PathBuf::new(),
            time: Tool::Time.path(),
            interrupted: Arc::new(AtomicBool::new(false)),
        };
        let folder = tempfile::tempdir().unwrap();
        assert!(runner.measure("true | true", folder.path()).is_ok());
        for line in ["false | true", "true && false", "false"] {
            assert!(matches!(runner.measure(line, folder.path()), Err(JobError::Failed { .. })), "{line}");
        }
    }

    #[test]
    fn a_command_that_fails_says_why_and_one_that_is_stopped_is_not_blamed() {
        let folder = tempfile::tempdir().unwrap();
        let interrupted = Arc::new(AtomicBool::new(false));
        let runner = Runner { program: "ls".into(), time: None, interrupted: Arc::clone(&interrupted) };
        let message = runner.run("vhdx-export --no-such-flag", folder.path()).unwrap_err().to_string();
        assert!(message.contains("no-such-flag") && message.contains("exit status: 2"), "{message}");
        interrupted.store(true, Ordering::Relaxed);
        assert!(matches!(runner.run("false", folder.path()), Err(JobError::Interrupted)));
    }

    #[test]
    fn the_report_of_gnu_time_is_its_last_line() {
        assert_eq!(usage("1.25 0.50 2048\n"), Some(Usage { cpu: 1.75, peak_kib: 2048 }));
        let failed = "Command exited with non-zero status 2\n0.01 0.02 300\n";
        assert_eq!(usage(failed), Some(Usage { cpu: 0.03, peak_kib: 300 }));
        assert_eq!(usage(""), None);
        assert_eq!(usage("1.0 x 3"), None);
    }
}
