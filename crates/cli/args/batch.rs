//! The command line of `batch`. What it means is for `commands/batch/`.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use export_sinks::Compression;

use super::{Format, LimitArgs, TalkArgs};
use crate::commands::batch::Shard;
use crate::{help, units};

/// Arguments of `batch`.
#[derive(Debug, Args)]
pub(crate) struct BatchArgs {
    #[command(subcommand)]
    pub(crate) command: BatchCommand,
}

/// What to do with many disks.
#[derive(Debug, Subcommand)]
pub(crate) enum BatchCommand {
    /// Print a line for each disk that can be exported from some folders, and for each problem
    Plan(BatchPlanArgs),
    /// Export what the lines say, except what is done already
    Run(BatchRunArgs),
    /// Say how far it is, from manifests and results
    Status(BatchStatusArgs),
}

/// Arguments of `batch plan`.
#[derive(Debug, Args)]
pub(crate) struct BatchPlanArgs {
    /// Folders of VMs, of one VM, or of disk files
    #[arg(value_name = "FOLDER", required = true)]
    pub(crate) folders: Vec<PathBuf>,
    /// The state of each VM: @current, @latest, or a checkpoint's name; of VMs without checkpoints @current, if it is left out
    #[arg(long, value_name = "X", help_heading = help::WHAT)]
    pub(crate) checkpoint: Option<String>,
    /// The folder that the images go to, named after VM, checkpoint and disk
    #[arg(long, value_name = "DIR", help_heading = help::WHERE)]
    pub(crate) out_dir: PathBuf,
    #[command(flatten)]
    pub(crate) image: ImageArgs,
    /// Another folder in which parents may be found, by identity; may be repeated
    #[arg(long, value_name = "DIR", help_heading = help::WHAT)]
    pub(crate) parent_dir: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    /// Print the lines only
    #[arg(short, long, help_heading = help::SAID)]
    pub(crate) quiet: bool,
}

/// What kind of images a plan is for.
#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    /// Format of the images [default: vhdx]
    #[arg(short = 'O', long, value_enum, ignore_case = true, help_heading = help::WHERE)]
    pub(crate) format: Option<Format>,
    /// How to compress, as for an export
    #[arg(long, value_name = "HOW", help_heading = help::WHERE)]
    pub(crate) compress: Option<Compression>,
    /// Digests of the disks' content, as for an export [default: sha256,blksum]
    #[arg(long, value_name = "WHICH", help_heading = help::PROOF)]
    pub(crate) digest: Option<String>,
    /// Size of a VHDX block, as for an export
    #[arg(long, value_name = "SIZE", help_heading = help::WHERE)]
    pub(crate) block_size: Option<String>,
    /// Fixed VHDX images, every block allocated
    #[arg(long, help_heading = help::WHERE)]
    pub(crate) fixed: bool,
    /// Identity of the disks in VHDX images, as for an export [default: new]
    #[arg(long, value_name = "WHICH", help_heading = help::WHERE)]
    pub(crate) disk_id: Option<String>,
    /// Write NAME.sha256 beside each image
    #[arg(long, help_heading = help::PROOF)]
    pub(crate) sums: bool,
    /// Write NAME.bmap beside each image
    #[arg(long, help_heading = help::PROOF)]
    pub(crate) bmap: bool,
}

/// Arguments of `batch run`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag as it is typed")]
pub(crate) struct BatchRunArgs {
    /// The jobs: lines of `batch plan`, or a table (CSV) with a header; - for standard input
    #[arg(value_name = "JOBS")]
    pub(crate) jobs_file: PathBuf,
    /// How many disks to export at a time
    #[arg(short, long, value_name = "N", default_value = "2", help_heading = help::HOW)]
    pub(crate) jobs: NonZeroUsize,
    /// Do only the I-th of N parts, on one of N machines [default: as Slurm or Kubernetes says]
    #[arg(long, value_name = "I/N", help_heading = help::HOW)]
    pub(crate) shard: Option<Shard>,
    /// Add a line for each job to this file: what came of it
    #[arg(long, value_name = "PATH", help_heading = help::SAID)]
    pub(crate) results: Option<PathBuf>,
    /// Go on when a job fails (the default)
    #[arg(long, overrides_with = "fail_fast", help_heading = help::HOW)]
    pub(crate) keep_going: bool,
    /// Begin no more jobs when one has failed
    #[arg(long, overrides_with = "keep_going", help_heading = help::HOW)]
    pub(crate) fail_fast: bool,
    /// How often to try again after a temporary error
    #[arg(long, value_name = "N", default_value_t = 2, help_heading = help::HOW)]
    pub(crate) retries: u32,
    /// How many seconds to wait before that; twice as many before each further try
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds, help_heading = help::HOW)]
    pub(crate) retry_delay: f64,
    /// Read no more bytes a second than this, all jobs together: 50M, 1G
    #[arg(long, value_name = "RATE", value_parser = rate, help_heading = help::HOW)]
    pub(crate) bwlimit: Option<NonZeroU64>,
    /// Read images that were exported before, and compare them with their manifests
    #[arg(long, help_heading = help::HOW)]
    pub(crate) verify_existing: bool,
    /// Replace what stands where an image would
    #[arg(short, long, help_heading = help::WHERE)]
    pub(crate) force: bool,
    /// Start even if the target's file system seems too small
    #[arg(long, help_heading = help::HOW)]
    pub(crate) no_space_check: bool,
    /// Write nothing: say what would be done, how much it is and how long it would take
    #[arg(long, help_heading = help::HOW)]
    pub(crate) dry_run: bool,
    /// Keep figures for Prometheus in this file (textfile collector of node-exporter)
    #[arg(long, value_name = "PATH", help_heading = help::SAID)]
    pub(crate) metrics_file: Option<PathBuf>,
    /// How to say what happens, on standard error
    #[arg(long, value_enum, value_name = "HOW", default_value_t = LogFormat::Text, help_heading = help::SAID)]
    pub(crate) log_format: LogFormat,
    /// Print the summary as a JSON document
    #[arg(long, help_heading = help::SAID)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) talk: TalkArgs,
}

/// Arguments of `batch status`.
#[derive(Debug, Args)]
pub(crate) struct BatchStatusArgs {
    /// The jobs
    #[arg(value_name = "JOBS")]
    pub(crate) jobs_file: PathBuf,
    /// Results of runs, which say why jobs have failed; may be repeated
    #[arg(long, value_name = "PATH", help_heading = help::SAID)]
    pub(crate) results: Vec<PathBuf>,
    /// Print the summary as a JSON document
    #[arg(long, help_heading = help::SAID)]
    pub(crate) json: bool,
}

fn seconds(text: &str) -> Result<f64, &'static str> {
    let seconds = text.parse().ok().filter(|seconds: &f64| (0.0..=86_400.0).contains(seconds));
    seconds.ok_or("expected seconds, at most a day")
}

fn rate(text: &str) -> Result<NonZeroU64, &'static str> {
    units::parse_size(text).and_then(NonZeroU64::new).ok_or("expected bytes a second, as in 50M")
}

/// How it is said what happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// JSON, one object a line
    Json,
}
