//! `vhdx-export`: the disk of a Hyper-V checkpoint as one image.
//!
//! The binary knows people: it turns what was typed into a plan, runs it, and turns what went wrong into words, a hint
//! and an exit code. What it does is in the libraries.

mod args;
mod commands;
mod disk;
mod failure;
mod file_names;
mod forest;
mod format;
mod help;
mod identity;
mod interrupt;
mod plan;
mod progress;
mod proof;
mod report;
mod slow_digest;
mod stream;
mod terminal;
mod units;
mod usage;
mod voice;

use std::process::ExitCode;

use clap::FromArgMatches;

use crate::args::{Cli, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    #[cfg(unix)]
    raise_open_files();
    // What was typed is what the same definitions have accepted, so the error is one of the definitions.
    let cli = Cli::from_arg_matches(&help::command().get_matches()).unwrap_or_else(|error| error.exit());
    match run(cli) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

/// Every image of a chain is an open file, and many chains may be open at a time: the usual limit is lower than what the
/// system allows. Where it allows no more, opening says so.
#[cfg(unix)]
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command.unwrap_or(Command::Export(cli.export)) {
        Command::Export(args) => commands::export::run(args)?,
        Command::List(args) => commands::list::run(&args)?,
        Command::Tree(args) => commands::tree::run(&args)?,
        Command::Info(args) => commands::info::run(&args)?,
        Command::Map(args) => commands::map::run(&args)?,
        Command::Completions(args) => commands::completions::run(&args)?,
        Command::ManPages(args) => commands::man_pages::run(&args)?,
        // What is found is the answer, not a failure, and has a code all the same.
        Command::Check(args) => return commands::check::run(&args).map(ExitCode::from),
        Command::Verify(args) => return commands::verify::run(&args).map(ExitCode::from),
        Command::Batch(args) => return commands::batch::run(args).map(ExitCode::from),
        Command::Hash(args) => return commands::hash::run(&args).map(ExitCode::from),
    }
    Ok(ExitCode::SUCCESS)
}
