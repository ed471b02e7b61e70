//! One target for its time: the child process, what it left behind, and whether that is a finding.
//!
//! A busy machine makes any input slow once. What took too long is written down without an end of the run, is run again
//! by itself afterwards, and is a finding only if it is slow every time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::{FuzzError, corpus, file_error, fuzz_folder, work_folder};

/// Seconds that no input may take, those after which the run ends, and MiB that the process may not take.
const SECONDS_MAX: u32 = 2;
pub(super) const SECONDS_HANGING: u32 = 20;
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
    /// An input that took too long, once of several times.
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
        for file in self.slow_inputs()? {
            fs::remove_file(&file).map_err(file_error(&file))?;
        }
        let output = File::create(&log).map_err(file_error(&log))?;
        let second = output.try_clone().map_err(file_error(&log))?;
        let mut child = self.command(SECONDS_HANGING);
        child.arg(format!("-report_slow_units={SECONDS_MAX}"));
        child.arg(format!("-max_total_time={}", self.seconds)).arg("-print_final_stats=1");
        child.args(self.dictionary()).arg(self.grown()).args(self.committed());
        let status = child
            .stdout(output)
            .stderr(second)
            .status()
            .map_err(|source| FuzzError::Start { command: "a fuzz target", source })?;
        // Inputs are printed as they are, in whatever encoding.
        let log = String::from_utf8_lossy(&fs::read(&log).map_err(file_error(&log))?).into_owned();
        let slow = self.slow_inputs()?;
        let end = if status.success() { self.judge_slow(&slow) } else { self.judge(artifact(&log)) };
        Ok(Outcome { log, end })
    }

    /// What was found so far and is not committed.
    pub(super) fn grown(&self) -> PathBuf {
        work_folder().join("corpus").join(&self.target)
    }

    /// The target's program with its limits.
    pub(super) fn command(&self, seconds: u32) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(fuzz_folder()).args([
            format!("-timeout={seconds}"),
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

    /// What took too long in this run.
    fn slow_inputs(&self) -> Result<Vec<PathBuf>, FuzzError> {
        let mut files = corpus::files(&self.artifacts())?;
        files.retain(|file| is_named(file, "slow-unit-"));
        Ok(files)
    }

    fn judge_slow(&self, slow: &[PathBuf]) -> End {
        match (slow.iter().find(|file| self.is_slow(file)), slow.first()) {
            (Some(file), _) => End::Finding(Some(file.clone())),
            (None, Some(file)) => End::SlowOnce(file.clone()),
            (None, None) => End::Time,
        }
    }

    fn judge(&self, artifact: Option<PathBuf>) -> End {
        match artifact {
            Some(file) if is_named(&file, "timeout-") && !self.is_slow(&file) => End::SlowOnce(file),
            artifact => End::Finding(artifact),
        }
    }

    fn is_slow(&self, file: &Path) -> bool {
        (0..AGAIN).all(|_| {
            self.command(SECONDS_HANGING).arg(file).output().is_ok_and(|output| took_too_long(&output))
        })
    }
}

/// Whether a run of one input failed, or was slow by its own words: the fuzzer looks at its clock every other second.
fn took_too_long(output: &Output) -> bool {
    let log = String::from_utf8_lossy(&output.stderr);
    let executed = log.lines().rev().find(|line| line.starts_with("Executed ") && line.ends_with(" ms"));
    let millis = executed.and_then(|line| line.split(' ').rev().nth(1)?.parse::<u32>().ok());
    !output.status.success() || millis.is_some_and(|millis| millis >= SECONDS_MAX * 1000)
}

/// The input that libFuzzer wrote down when it stopped.
fn artifact(log: &str) -> Option<PathBuf> {
    let line = log.lines().rev().find(|line| line.contains("Test unit written to "))?;
    line.split("Test unit written to ").nth(1).map(PathBuf::from)
}

fn is_named(file: &Path, prefix: &str) -> bool {
    file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
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
    fn an_input_is_slow_by_what_the_fuzzer_measured() {
        let print = |line: &str| Command::new("sh").args(["-c", "echo \"$0\" >&2", line]).output().unwrap();
        assert!(took_too_long(&print("Executed ../a b in 2000 ms")));
        assert!(!took_too_long(&print("Executed ../a b in 1999 ms")));
        assert!(took_too_long(&Command::new("false").output().unwrap()));
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
        let units = [PathBuf::from("/a/slow-unit-01"), PathBuf::from("/a/slow-unit-02")];
        assert_eq!(slow("true").judge_slow(&units), End::SlowOnce(units[0].clone()));
        assert_eq!(slow("false").judge_slow(&units), End::Finding(Some(units[0].clone())));
        assert_eq!(slow("false").judge_slow(&[]), End::Time);
    }
}
