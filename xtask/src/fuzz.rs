//! `cargo xtask fuzz`: runs the fuzz targets over the committed corpus and the committed findings.
//!
//! Needs a nightly compiler and cargo-fuzz; without them it says that it is skipped. The targets run without a sanitizer:
//! no crate of the project has `unsafe`, and without one the memory that is counted is the memory that the program
//! would take. What is found lies below target/fuzz; only `--keep` changes fuzz/corpus.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::workspace_root;

mod corpus;
mod job;
mod report;

use job::{Job, Outcome};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Afterwards merge what was found into fuzz/corpus, as few and as small files as reach the same code
    #[arg(long)]
    keep: bool,
    /// Targets; all if none is named
    targets: Vec<String>,
}

/// Why nothing could be fuzzed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FuzzError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("`{command}` did not start: {source}")]
    Start { command: &'static str, source: io::Error },
    #[error("the targets cannot be built")]
    Build,
    #[error("no target `{name}`; there are: {known}")]
    NoSuchTarget { name: String, known: String },
    #[error("the corpus of `{0}` cannot be merged")]
    Merge(String),
}

/// Runs the targets. Returns 0 if nothing was found or nothing can be run here, else 1.
pub(crate) fn run(arguments: &Arguments) -> u8 {
    if !has_tools() {
        println!("skipped: fuzzing (no nightly toolchain / cargo-fuzz)");
        return 0;
    }
    match fuzz(arguments) {
        Ok(findings) => u8::from(findings > 0),
        Err(error) => {
            eprintln!("error: {error}");
            1
        }
    }
}

/// Builds, runs, reports. Returns the number of targets with a finding.
fn fuzz(arguments: &Arguments) -> Result<usize, FuzzError> {
    let targets = chosen(&arguments.targets, corpus::targets()?)?;
    let binaries = build()?;
    let jobs = targets.iter().map(|target| Job::new(target, &binaries, arguments.seconds));
    let outcomes = run_all(jobs.collect());
    let mut findings = 0;
    for (job, outcome) in outcomes {
        let outcome = outcome?;
        findings += usize::from(outcome.is_finding());
        if arguments.keep && !outcome.is_finding() {
            let files = corpus::keep(&job)?;
            println!(
                "{:<10} corpus of {} files, {} KiB",
                job.target,
                files.count,
                files.bytes.div_ceil(1024)
            );
        }
    }
    println!("fuzz: {} targets, {findings} with a finding", targets.len());
    Ok(findings)
}

fn chosen(wanted: &[String], known: Vec<String>) -> Result<Vec<String>, FuzzError> {
    if let Some(name) = wanted.iter().find(|name| !known.contains(name)) {
        return Err(FuzzError::NoSuchTarget { name: name.clone(), known: known.join(", ") });
    }
    Ok(if wanted.is_empty() { known } else { wanted.to_vec() })
}

/// Two at a time for each processor; each prints its line when it is done.
fn run_all(jobs: Vec<Job>) -> Vec<(Job, Result<Outcome, FuzzError>)> {
    let at_a_time = thread::available_parallelism().map_or(1, usize::from).saturating_mul(2).min(jobs.len());
    let (waiting, done) = (Mutex::new(VecDeque::from(jobs)), Mutex::new(Vec::new()));
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                while let Some(job) = next() {
                    let outcome = job.run();
                    if let Ok(outcome) = &outcome {
                        print!("{}", report::lines(&job, outcome));
                    }
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((job, outcome));
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The folder of the fuzz targets' own workspace.
fn fuzz_folder() -> PathBuf {
    workspace_root().join("fuzz")
}

/// Where everything goes that is not committed.
fn work_folder() -> PathBuf {
    workspace_root().join("target").join("fuzz")
}

/// Rustup's `cargo`, whatever toolchain started this program.
fn nightly(command: &[&str]) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.arg("+nightly").args(command).current_dir(fuzz_folder()).env("RUSTUP_AUTO_INSTALL", "0");
    cargo
}

fn has_tools() -> bool {
    let probe = nightly(&["fuzz", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    probe.is_ok_and(|status| status.success())
}

/// Builds all targets. Returns the folder with their programs.
fn build() -> Result<PathBuf, FuzzError> {
    let arguments = ["fuzz", "build", "--sanitizer", "none", "--target-dir", "../target/fuzz"];
    println!("$ cd fuzz && cargo +nightly {}", arguments.join(" "));
    let start = |source| FuzzError::Start { command: "cargo +nightly fuzz", source };
    if !nightly(&arguments).status().map_err(start)?.success() {
        return Err(FuzzError::Build);
    }
    let host = host().ok_or(FuzzError::Build)?;
    Ok(work_folder().join(host).join("release"))
}

/// The triple that cargo-fuzz builds for.
fn host() -> Option<String> {
    let output = nightly(&["-vV"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned)
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> FuzzError {
    let path = path.to_owned();
    move |source| FuzzError::File { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn all_targets_run_unless_some_are_named() {
        let known = names(&["image", "log"]);
        assert_eq!(chosen(&[], known.clone()).unwrap(), known);
        assert_eq!(chosen(&names(&["log"]), known.clone()).unwrap(), names(&["log"]));
        let error = chosen(&names(&["logs"]), known).unwrap_err();
        assert_eq!(error.to_string(), "no target `logs`; there are: image, log");
    }

    #[test]
    fn the_targets_are_those_that_the_program_is_tested_with() {
        let tested = include_str!("../../tests/fuzz_corpus.rs");
        let targets = corpus::targets().unwrap();
        assert_eq!(targets.len(), 7);
        for target in targets {
            let line = tested.lines().find(|line| line.starts_with("hold! {")).unwrap();
            assert!(line.split(' ').any(|word| word == target), "{target}");
        }
    }
}
