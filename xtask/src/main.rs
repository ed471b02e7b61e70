//! `cargo xtask TASK`: what is done to the project, never what the project does.
//!
//! This file only names the tasks and passes on their exit status; each task is one module.

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[cfg(unix)]
mod bench;
mod ci;
mod dist;
mod fixtures;
mod fuzz;
mod tidy;

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "Development tasks of this workspace")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    #[cfg(unix)]
    /// Measure the program side by side with other tools
    Bench(bench::Arguments),
    /// Every check that a change must pass, stopping at the first that fails
    Ci,
    /// Make what users get: an archive and a Debian package, with man pages and completions, and checksums
    Dist(dist::Arguments),
    /// Write the disk images below fixtures/ and their manifest
    Fixtures {
        /// Write nothing; fail if anything there differs from what would be written
        #[arg(long)]
        check: bool,
    },
    /// Run the fuzz targets; needs a nightly toolchain and cargo-fuzz
    Fuzz(fuzz::Arguments),
    /// The project's own rules: file openings, forbidden words, dependency direction, licences
    Tidy,
}

fn main() -> ExitCode {
    let status = match Arguments::parse().task {
        #[cfg(unix)]
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Ci => ci::run(),
        Task::Dist(arguments) => dist::run(&arguments),
        Task::Fixtures { check } => fixtures::run(check),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Tidy => tidy::run(),
    };
    ExitCode::from(status)
}

/// The folder of the workspace. Tasks work there whatever folder they are started from.
fn workspace_root() -> &'static Path {
    let own_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    own_folder.parent().unwrap_or(own_folder)
}

/// The `cargo` that started this program: the same toolchain for every step.
fn cargo() -> std::process::Command {
    let mut cargo = std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace_root());
    cargo
}
