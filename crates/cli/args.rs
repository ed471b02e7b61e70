//! The command line as it is typed. What it means is for `plan.rs`.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use chain_resolve::CacheUse;
use clap::{Args, Parser, Subcommand, ValueEnum};
use export_sinks::Compression;
use limits::{Limit, Limits, Unit};
use vhdx_format::SectorSize;

use crate::commands::batch::Shard;
use crate::units;

/// The disk of a Hyper-V checkpoint as one image.
#[derive(Debug, Parser)]
#[command(
    name = "vhdx-export",
    version,
    about = "Flatten a chain of VHDX images into one, without Hyper-V and without touching the source",
    long_about = "Reads the folder of a Hyper-V VM, or a backup copy of one, and writes the disk as of one checkpoint \
                  into a single VHDX, raw or compressed image, or onto a device, with digests and a manifest by which \
                  a copy can be verified anywhere. Sources are opened read-only; a dirty log is replayed in memory. \
                  No file appears under the target's name until it is complete and durable.",
    after_help = EXAMPLES,
    after_long_help = EXAMPLES_AND_CODES,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) export: ExportArgs,
}

/// What to do; export is the default.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write the disk into one image (what happens without a command)
    Export(ExportArgs),
    /// Say which VMs, checkpoints and disks a folder holds, and in which file each state is
    List(ListArgs),
    /// Draw which state came from which
    Tree(TreeArgs),
    /// Say what an image is, or each image of its chain, or what a VM configuration says
    Info(InfoArgs),
    /// Say what each run of the disk holds, and which file holds it
    Map(MapArgs),
    /// Say everything that is wrong with a folder, worst first, and what to do about it
    Check(CheckArgs),
    /// Print the digests of disks, without writing anything
    Hash(HashArgs),
    /// Compare a restored copy with the manifest of its export, and say which ranges differ
    Verify(VerifyArgs),
    /// Export many disks, unattended: plan them, run the plan, sum up
    Batch(BatchArgs),
}

/// Which disk, in which state.
#[derive(Debug, Args)]
pub(crate) struct SourceArgs {
    /// A VM folder or a folder of VMs, a .vmcx or .xml, a disk file (.vhdx, .avhdx, .raw, .img, .raw.zst), or a device
    /// [default: `$VHDX_EXPORT_SOURCE`, else `.`]
    #[arg(value_name = "SOURCE")]
    pub(crate) source: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,
}

/// Which disk of a source, in which state.
#[derive(Clone, Default, Debug, Args)]
pub(crate) struct ChoiceArgs {
    /// The VM, by name or GUID; needed where a folder holds several
    #[arg(long, value_name = "VM")]
    pub(crate) vm: Option<String>,
    /// The state: a checkpoint's name or GUID, @current, @latest, #N of `list`, or a disk file's name
    #[arg(long, value_name = "X")]
    pub(crate) checkpoint: Option<String>,
    /// The disk: scsi0:1, ide0:0, or the name of its base image without suffix
    #[arg(long, value_name = "D")]
    pub(crate) disk: Option<String>,
    /// Another folder in which parents may be found, by identity; may be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) parent_dir: Vec<PathBuf>,
    /// Bytes in a logical sector of a raw source, which does not say: 512 or 4096 [default: 512, or the device's]
    #[arg(long, value_name = "BYTES", value_parser = sector_size)]
    pub(crate) sector_size: Option<SectorSize>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

fn sector_size(text: &str) -> Result<SectorSize, &'static str> {
    text.parse().ok().and_then(SectorSize::from_bytes).ok_or("a logical sector has 512 or 4096 bytes")
}

/// Which folder, and which VM in it.
#[derive(Debug, Args)]
pub(crate) struct FolderArgs {
    /// A VM folder or a folder of VMs, a .vmcx or .xml, or a disk file [default: `$VHDX_EXPORT_SOURCE`, else `.`]
    #[arg(value_name = "SOURCE")]
    pub(crate) source: Option<PathBuf>,
    /// Only this VM, by name or GUID
    #[arg(long, value_name = "VM")]
    pub(crate) vm: Option<String>,
    /// Another folder in which parents may be found, by identity; may be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) parent_dir: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) folder: FolderArgs,
    /// Print a JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `tree`.
#[derive(Debug, Args)]
pub(crate) struct TreeArgs {
    #[command(flatten)]
    pub(crate) folder: FolderArgs,
    /// How to draw it
    #[arg(short = 'O', long, value_enum, default_value_t = TreeFormat::Text)]
    pub(crate) format: TreeFormat,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,
    /// Draw with ASCII characters only [default: if the locale is not UTF-8]
    #[arg(long)]
    pub(crate) ascii: bool,
}

/// How a tree is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum TreeFormat {
    /// For a terminal or a mail
    Text,
    /// A Mermaid flowchart, for tickets and wikis
    Mermaid,
    /// For Graphviz
    Dot,
    /// The document of `list --json`
    Json,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag as it is typed; plan.rs turns them into types"
)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The image to write, - for standard output, a folder (existing, or ending in /) for all disks, or with --device a
    /// block device
    #[arg(short, long, value_name = "PATH", required = true)]
    pub(crate) out: Option<PathBuf>,
    /// Format of the image [default: by the suffix: .vhdx, .raw, .img, .raw.zst, .raw.gz or .raw.xz]
    #[arg(short = 'O', long, value_enum, ignore_case = true)]
    pub(crate) format: Option<Format>,
    /// How to compress: zstd:1 to 22, gzip:1 to 9, xz:0 to 9 [default: zstd:3, gzip:6 or xz:6, by the format]
    #[arg(long, value_name = "HOW")]
    pub(crate) compress: Option<Compression>,
    /// Write onto the block device that --out names, and read it back
    #[arg(long)]
    pub(crate) device: bool,
    /// Digests of the disk's content: sha256, blksum, or none
    #[arg(long, value_enum, value_name = "WHICH", value_delimiter = ',', default_value = "sha256,blksum")]
    pub(crate) digest: Vec<Digest>,
    /// Where to write the manifest, or none [default: beside the image, as NAME.manifest.json]
    #[arg(long, value_name = "PATH")]
    pub(crate) manifest: Option<PathBuf>,
    /// Write NAME.sha256 beside the image, for `sha256sum -c`
    #[arg(long)]
    pub(crate) sums: bool,
    /// Write NAME.bmap beside the image, for `bmaptool copy`
    #[arg(long)]
    pub(crate) bmap: bool,
    /// Size of a VHDX block, 1M to 256M [default: 2M, more for disks over 4 TiB]
    #[arg(long, value_name = "SIZE")]
    pub(crate) block_size: Option<String>,
    /// Write a fixed VHDX, every block allocated
    #[arg(long)]
    pub(crate) fixed: bool,
    /// Identity of the disk in a VHDX: a new one, or the source's to replace it
    #[arg(long, value_enum, value_name = "WHICH", default_value_t = DiskId::New)]
    pub(crate) disk_id: DiskId,
    /// Replace the target if it exists
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Start even if the target's file system seems too small, as one that compresses may
    #[arg(long)]
    pub(crate) no_space_check: bool,
    /// Share blocks with the sources where the file system can (raw and VHDX files), or fail, or never
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Reflink::Auto)]
    pub(crate) reflink: Reflink,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    /// Print the result as a JSON document
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) talk: TalkArgs,
}

/// Arguments of `info`.
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Every image of the chain, leaf first
    #[arg(long)]
    pub(crate) chain: bool,
    /// Every key of a VM configuration or of another store of Hyper-V (.vmcx, .vmrs, .xml)
    #[arg(long, conflicts_with = "chain")]
    pub(crate) keys: bool,
    /// Print a JSON document; of images with the field names of `qemu-img info`
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `map`.
#[derive(Debug, Args)]
pub(crate) struct MapArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Print a JSON document, with the field names of `qemu-img map`
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) folder: FolderArgs,
    /// Print a JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `hash`.
#[derive(Debug, Args)]
pub(crate) struct HashArgs {
    /// Any number of folders, disk files or devices, as an export takes them [default: `$VHDX_EXPORT_SOURCE`, else `.`]
    #[arg(value_name = "SOURCE")]
    pub(crate) sources: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,
    /// Which digests: sha256, blksum
    #[arg(long, value_enum, value_name = "WHICH", value_delimiter = ',', default_value = "sha256,blksum")]
    pub(crate) digest: Vec<Digest>,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    /// Print a JSON document
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) talk: TalkArgs,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The copy: a raw image, a device, a .raw.zst, a VHDX, or - for the bare bytes on standard input
    #[arg(value_name = "IMAGE")]
    pub(crate) image: PathBuf,
    /// The manifest of the export [default: IMAGE.manifest.json]
    #[arg(long, value_name = "PATH")]
    pub(crate) manifest: Option<PathBuf>,
    /// Compare a sample of ranges only, which finds gross damage and proves nothing
    #[arg(long)]
    pub(crate) quick: bool,
    /// Another folder in which parents of a VHDX may be found, by identity; may be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) parent_dir: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    /// Print a JSON document
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) talk: TalkArgs,
}

/// What a file may ask for.
#[derive(Clone, Default, Debug, Args)]
pub(crate) struct LimitArgs {
    /// Raise a limit on what is read, for a file that is known to be sound: chain-depth, locator-pairs, metadata-size,
    /// log-size, names-scanned, configuration-size, manifest-size; may be repeated
    #[arg(long = "limit", value_name = "NAME=VALUE", value_parser = raised_limit, long_help = limits_help())]
    raised: Vec<RaisedLimit>,
}

/// One limit with its new value.
#[derive(Clone, Copy, Debug)]
struct RaisedLimit {
    limit: Limit,
    value: u64,
}

impl LimitArgs {
    /// As they are typed.
    pub(crate) fn words(&self) -> Vec<String> {
        self.raised.iter().map(|RaisedLimit { limit, value }| format!("{limit}={value}")).collect()
    }

    /// The limits to keep to; of a limit that is named twice the later value.
    pub(crate) fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        for RaisedLimit { limit, value } in &self.raised {
            limits.raise(*limit, *value).expect("the value was looked at when it was typed");
        }
        limits
    }
}

fn raised_limit(text: &str) -> Result<RaisedLimit, String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE, for example log-size=128M")?;
    let limit: Limit =
        name.parse().map_err(|error| format!("{error}, expected one of {}", names_of_limits()))?;
    let value = units::parse_size(value).ok_or("expected a number, as in 1000 or 128M")?;
    match Limits::default().raise(limit, value) {
        Ok(()) => Ok(RaisedLimit { limit, value }),
        Err(_) => Err(format!(
            "{limit} can be from {} to {}",
            show_limit(limit, limit.usual()),
            show_limit(limit, limit.most())
        )),
    }
}

fn names_of_limits() -> String {
    Limit::ALL.map(Limit::name).join(", ")
}

fn limits_help() -> String {
    let mut text = String::from(
        "Raise a limit on what is read, for a file that is known to be sound; may be repeated. NAME is one of",
    );
    for limit in Limit::ALL {
        let (usual, most) = (show_limit(limit, limit.usual()), show_limit(limit, limit.most()));
        text.extend(["\n  ", limit.name(), " (from ", &usual, " to ", &most, "): ", limit.reason()]);
    }
    text
}

fn show_limit(limit: Limit, value: u64) -> String {
    match limit.unit() {
        Unit::Bytes => units::show_size(value),
        Unit::Pieces => value.to_string(),
    }
}

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
    /// The state of each VM: @current, @latest, or a checkpoint's name [default: @current of VMs without checkpoints]
    #[arg(long, value_name = "X")]
    pub(crate) checkpoint: Option<String>,
    /// The folder that the images go to, named after VM, checkpoint and disk
    #[arg(long, value_name = "DIR")]
    pub(crate) out_dir: PathBuf,
    #[command(flatten)]
    pub(crate) image: ImageArgs,
    /// Another folder in which parents may be found, by identity; may be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) parent_dir: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    /// Print the lines only
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// What kind of images a plan is for.
#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    /// Format of the images [default: vhdx]
    #[arg(short = 'O', long, value_enum, ignore_case = true)]
    pub(crate) format: Option<Format>,
    /// How to compress, as for an export
    #[arg(long, value_name = "HOW")]
    pub(crate) compress: Option<Compression>,
    /// Digests of the disks' content, as for an export [default: sha256,blksum]
    #[arg(long, value_name = "WHICH")]
    pub(crate) digest: Option<String>,
    /// Size of a VHDX block, as for an export
    #[arg(long, value_name = "SIZE")]
    pub(crate) block_size: Option<String>,
    /// Fixed VHDX images, every block allocated
    #[arg(long)]
    pub(crate) fixed: bool,
    /// Identity of the disks in VHDX images, as for an export [default: new]
    #[arg(long, value_name = "WHICH")]
    pub(crate) disk_id: Option<String>,
    /// Write NAME.sha256 beside each image
    #[arg(long)]
    pub(crate) sums: bool,
    /// Write NAME.bmap beside each image
    #[arg(long)]
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
    #[arg(short, long, value_name = "N", default_value = "2")]
    pub(crate) jobs: NonZeroUsize,
    /// Do only the I-th of N parts, on one of N machines [default: as Slurm or Kubernetes says]
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<Shard>,
    /// Add a line for each job to this file: what came of it
    #[arg(long, value_name = "PATH")]
    pub(crate) results: Option<PathBuf>,
    /// Go on when a job fails (the default)
    #[arg(long, overrides_with = "fail_fast")]
    pub(crate) keep_going: bool,
    /// Begin no more jobs when one has failed
    #[arg(long, overrides_with = "keep_going")]
    pub(crate) fail_fast: bool,
    /// How often to try again after a temporary error
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) retries: u32,
    /// How many seconds to wait before that; twice as many before each further try
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub(crate) retry_delay: f64,
    /// Read no more bytes a second than this, all jobs together: 50M, 1G
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(crate) bwlimit: Option<NonZeroU64>,
    /// Read images that were exported before, and compare them with their manifests
    #[arg(long)]
    pub(crate) verify_existing: bool,
    /// Replace what stands where an image would
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Start even if the target's file system seems too small
    #[arg(long)]
    pub(crate) no_space_check: bool,
    /// Write nothing: say what would be done, how much it is and how long it would take
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Keep figures for Prometheus in this file (textfile collector of node-exporter)
    #[arg(long, value_name = "PATH")]
    pub(crate) metrics_file: Option<PathBuf>,
    /// How to say what happens, on standard error
    #[arg(long, value_enum, value_name = "HOW", default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// Print the summary as a JSON document
    #[arg(long)]
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
    #[arg(long, value_name = "PATH")]
    pub(crate) results: Vec<PathBuf>,
    /// Print the summary as a JSON document
    #[arg(long)]
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

/// What becomes of the page cache.
#[derive(Default, Debug, Args)]
pub(crate) struct CacheArgs {
    /// Leave the disks out of the page cache, which other programs may need more (on Linux; without effect elsewhere)
    #[arg(long)]
    no_cache: bool,
}

impl CacheArgs {
    /// What is to become of the pages of disks.
    pub(crate) fn cache_use(&self) -> CacheUse {
        if self.no_cache { CacheUse::Dropped } else { CacheUse::Kept }
    }
}

/// What is said besides the result.
#[derive(Debug, Args)]
pub(crate) struct TalkArgs {
    /// How to show progress, on standard error
    #[arg(long, value_enum, value_name = "HOW", default_value_t = ProgressStyle::Auto)]
    progress: ProgressStyle,
    /// Print nothing but errors, and what was asked for
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

impl TalkArgs {
    /// Nothing.
    pub(crate) fn silent() -> Self {
        Self { progress: ProgressStyle::None, quiet: true }
    }

    /// How progress is shown.
    pub(crate) fn progress(&self) -> ProgressStyle {
        if self.quiet { ProgressStyle::None } else { self.progress }
    }
}

/// A digest of a disk's content.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Digest {
    /// What `sha256sum` prints of the bare disk; takes the time of the whole disk, zeros included
    Sha256,
    /// Made of digests of blocks of 64 KiB; in parallel, and zeros cost next to nothing
    Blksum,
    /// None at all
    None,
}

/// Format of an artifact.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Format {
    /// A VHDX image, dynamic unless --fixed
    Vhdx,
    /// The bare bytes of the disk; a file is sparse
    #[value(alias = "img")]
    Raw,
    /// The bare bytes in frames of zstd, with a table for reading any part
    #[value(name = "raw.zst", alias = "img.zst", alias = "zst")]
    RawZst,
    /// The bare bytes in members of gzip
    #[value(name = "raw.gz", alias = "img.gz", alias = "gz")]
    RawGz,
    /// The bare bytes in streams of xz
    #[value(name = "raw.xz", alias = "img.xz", alias = "xz")]
    RawXz,
}

/// Which identity a written disk has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum DiskId {
    /// One derived from the chain and the options, so that it can stand beside the source
    New,
    /// The source's own
    Keep,
}

/// Whether an artifact shares blocks with its sources.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Reflink {
    /// Where the file system can: on XFS and btrfs, beside the sources
    Auto,
    /// Fail where it cannot; runs of less than 64 KiB are copied in any case
    Always,
    /// Copy every byte
    Never,
}

/// How progress is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum ProgressStyle {
    /// A bar on a terminal, else lines
    Auto,
    /// A bar
    Bar,
    /// A line now and then
    Lines,
    /// JSON, one object a line
    Json,
    /// Nothing
    None,
}

const EXAMPLES: &str = "\
Examples:
  vhdx-export list /backup/web01
  vhdx-export /backup/web01 --checkpoint 'Before update' --out merged.vhdx
  vhdx-export /backup/web01 --checkpoint @current --out /restore/
  vhdx-export web01_5C2A….avhdx --out web01.raw.zst
  vhdx-export verify /dev/vg0/web01 --manifest web01.raw.zst.manifest.json
  vhdx-export info --chain web01_5C2A….avhdx
  vhdx-export check /backup/web01";

const EXAMPLES_AND_CODES: &str = "\
Examples:
  Which checkpoints are there, and which file holds the state of each?
    vhdx-export list /backup/web01

  The disk as of a checkpoint, from inside the VM's folder:
    vhdx-export --checkpoint 'Before update' --out merged.vhdx

  All disks of the running state, one file each:
    vhdx-export /backup/web01 --checkpoint @current --out /restore/

  Disk files without any configuration, one of several states:
    vhdx-export 'Virtual Hard Disks' --checkpoint web01_5C2A… --out merged.vhdx

  Parents that a backup has put elsewhere:
    vhdx-export child.avhdx --parent-dir /backup/base --out merged.raw

  A compressed image with its manifest, and a list for sha256sum -c beside it:
    vhdx-export web01_5C2A….avhdx --out web01.raw.zst --sums

  Straight onto a device, zeroed where the disk is zero, and read back:
    vhdx-export web01_5C2A….avhdx --device --out /dev/vg0/web01

  Is the restored copy right? Anywhere, without the source:
    vhdx-export verify /dev/vg0/web01 --manifest web01.raw.zst.manifest.json

  The digests of a disk, without writing it:
    vhdx-export hash web01_5C2A….avhdx

  What is this file, and what is it built on?
    vhdx-export info --chain web01_5C2A….avhdx

  Is this backup complete and in order?
    vhdx-export check /backup/web01

Exit codes:
  0 ok                         6 source corrupt or unsupported
  1 anything else              7 refused for safety
  2 wrong usage                8 no space, or a limit of the target
  3 the copy differs           9 source in use or changed
  4 not found or ambiguous    10 some jobs of a batch are not done
  5 chain broken              75 temporary I/O error, trying again may help
                     129/130/143 stopped by a signal";

#[cfg(test)]
mod tests {
    use super::*;

    /// Includes clap's own checks: no flag twice, no contradiction.
    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn export_is_the_default() {
        let cli = Cli::parse_from(["vhdx-export", "--checkpoint", "X", "--out", "merged.vhdx"]);
        assert!(cli.command.is_none());
        assert_eq!(cli.export.source.choice.checkpoint.as_deref(), Some("X"));
        let cli = Cli::parse_from(["vhdx-export", "info", "x.vhdx"]);
        assert!(matches!(cli.command, Some(Command::Info(_))));
    }
}
