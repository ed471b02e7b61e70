//! `cargo xtask bench`: the program side by side with the tools that a user would otherwise take, on disks made here.
//!
//! This file says what was asked for and in which order it happens; what is made, run, measured and shown is for the
//! modules below to say.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use disks::DiskName;

mod content;
mod disks;
mod layout;
mod make;
mod sector_map;

/// What to measure, and where.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Make the disks in that folder, and measure nothing
    #[arg(long, value_name = "DIR")]
    make_only: Option<PathBuf>,
    /// Only what has this in its name
    #[arg(long, value_name = "FILTER")]
    only: Option<String>,
}

/// Why there are no numbers.
#[derive(Debug, thiserror::Error)]
enum BenchError {
    #[error("cannot make the disk `{disk}` in {}", folder.display())]
    Make { disk: &'static str, folder: PathBuf, source: io::Error },
}

/// Does what was asked for. Returns 0 if it could be done, else 1.
pub(crate) fn run(arguments: &Arguments) -> u8 {
    let done = match &arguments.make_only {
        Some(folder) => make_all(folder, |name| arguments.wants(name)),
        None => Ok(()),
    };
    match done {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("error: {error}");
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                eprintln!("  caused by: {cause}");
                source = cause.source();
            }
            1
        }
    }
}

impl Arguments {
    fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|filter| name.contains(filter))
    }
}

fn make_all(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<(), BenchError> {
    for name in DiskName::ALL.into_iter().filter(|name| wanted(name.name())) {
        let start = Instant::now();
        let made = make::ensure(&name.disk(), folder).map_err(|source| BenchError::Make {
            disk: name.name(),
            folder: folder.to_owned(),
            source,
        })?;
        let how = if made.found { "found" } else { "made" };
        println!("{how} {} in {:.1} s", made.leaf.display(), start.elapsed().as_secs_f64());
    }
    Ok(())
}
