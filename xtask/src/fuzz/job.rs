//! One target for its time: the child process, what it left behind, and whether that is a finding.
//!
//! A slow machine makes any input slow once. What ran out of time is run again by itself, and is a finding only if it
//! is slow every time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{FuzzError, corpus, file_error, fuzz_folder, work_folder};

/// Seconds that no input may take, and MiB that the process may not.
const SECONDS_MAX: u32 = 2;
const MIB_MAX: u32 = 256;

/// Longer inputs are not tried: edits of forged files are short, and texts of few KiB have all there is.
const LEN_MAX: u32 = 4096;

/// How often an input that took too long is run again.
const AGAIN: usize = 3;

/// One target.
pub(super) struct Job {
    pub(super) target: String,
    program: PathBuf,
    seconds: u64,
}

/// How it ended.
pub(super) struct Outcome {
    /// What libFuzzer printed.
    pub(super) log: String,
    pub(super) end: End,
}

/// What a target left behind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// Nothing.
    Time,
    /// The input that broke a law; none where the process ended in some other way.
    Finding(Option<PathBuf>),
    /// An input that took too long, once.
    SlowOnce(PathBuf),
}

impl Outcome {
    /// Whether something was found.
    pub(super) fn is_finding(&self) -> bool {
        matches!(self.end, End::Finding(_))
    }
}

impl Job {
    pub(super) fn new(target: &str, binaries: &Path, seconds: u64) -> Self {
        Self { target: target.to_owned(), program: binaries.join(target), seconds }
    }

    /// Runs the target over the committed inputs and then for its time.
    pub(super) fn run(&self) -> Result<Outcome, FuzzError> {
        let log = work_folder().join("logs").join(&self.target);
        for folder in [&self.grown(), &self.artifacts(), &log] {
            fs::create_dir_all(folder).map_err(file_error(folder))?;
        }
        let log = log.join("output.txt");
        let output = File::create(&log).map_err(file_error(&log))?;
        let second = output.try_clone().map_err(file_error(&log))?;
        let mut child = self.command();
        child.arg(format!("-max_total_time={}", self.seconds)).arg("-print_final_stats=1");
        child.args(self.dictionary()).arg(self.grown()).args(self.committed());
        let status = child
            .stdout(output)
            .stderr(second)
            .status()
            .map_err(|source| FuzzError::Start { command: "a fuzz target", source })?;
        // Inputs are printed as they are, in whatever encoding.
        let log = String::from_utf8_lossy(&fs::read(&log).map_err(file_error(&log))?).into_owned();
        let end = if status.success() { End::Time } else { self.judge(artifact(&log)) };
        Ok(Outcome { log, end })
    }

    /// What was found so far and is not committed.
    pub(super) fn grown(&self) -> PathBuf {
        work_folder().join("corpus").join(&self.target)
    }

    /// The target's program with its limits.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(fuzz_folder()).args([
            format!("-timeout={SECONDS_MAX}"),
            format!("-rss_limit_mb={MIB_MAX}"),
            format!("-max_len={LEN_MAX}"),
            format!("-artifact_prefix={}/", self.artifacts().display()),
        ]);
        command
    }

    fn artifacts(&self) -> PathBuf {
        work_folder().join("artifacts").join(&self.target)
    }

    /// Folders that are read and never written to.
    fn committed(&self) -> impl Iterator<Item = PathBuf> {
        [corpus::folder(&self.target), corpus::findings(&self.target)]
            .into_iter()
            .filter(|folder| folder.is_dir())
    }

    fn dictionary(&self) -> Option<String> {
        let file = fuzz_folder().join("dictionaries").join(format!("{}.dict", self.target));
        file.is_file().then(|| format!("-dict={}", file.display()))
    }

    fn judge(&self, artifact: Option<PathBuf>) -> End {
        match artifact {
            Some(file) if is_timeout(&file) && !self.is_slow(&file) => End::SlowOnce(file),
            artifact => End::Finding(artifact),
        }
    }

    fn is_slow(&self, file: &Path) -> bool {
        let run = || self.command().arg(file).stdout(Stdio::null()).stderr(Stdio::null()).status();
        (0..AGAIN).all(|_| run().is_ok_and(|status| !status.success()))
    }
}

/// The input that libFuzzer wrote down when it stopped.
fn artifact(log: &str) -> Option<PathBuf> {
    let line = log.lines().rev().find(|line| line.contains("Test unit written to "))?;
    line.split("Test unit written to ").nth(1).map(PathBuf::from)
}

fn is_timeout(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("timeout-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_that_broke_a_law_is_found_in_the_log() {
        let log = "#1 NEW\nartifact_prefix='/a/'; Test unit written to /a/crash-01\nBase64: AA==\n";
        assert_eq!(artifact(log), Some(PathBuf::from("/a/crash-01")));
        assert_eq!(artifact("#1 NEW\n"), None);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_slow_once_is_no_finding() {
        let slow = |program: &str| Job { program: program.into(), ..Job::new("image", Path::new("/"), 1) };
        let file = PathBuf::from("/a/timeout-01");
        assert_eq!(slow("true").judge(Some(file.clone())), End::SlowOnce(file.clone()));
        assert_eq!(slow("false").judge(Some(file.clone())), End::Finding(Some(file)));
        let crash = PathBuf::from("/a/crash-01");
        assert_eq!(slow("true").judge(Some(crash.clone())), End::Finding(Some(crash)));
        assert_eq!(slow("true").judge(None), End::Finding(None));
    }
}
