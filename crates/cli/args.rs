//! The command line as it is typed. What it means is for `plan.rs`; what is told of it besides the options, examples above
//! all, is in `help/pages.rs`.

mod batch;

use std::path::PathBuf;

use chain_resolve::CacheUse;
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use export_sinks::Compression;
use limits::{Limit, Limits, Unit};
use vhdx_format::SectorSize;

pub(crate) use self::batch::{
    BatchArgs, BatchCommand, BatchPlanArgs, BatchRunArgs, BatchStatusArgs, LogFormat,
};
use crate::{help, units};

/// The disk of a Hyper-V checkpoint as one image.
#[derive(Debug, Parser)]
#[command(
    name = "vhdx-export",
    version,
    about = "Flatten a chain of VHDX images into one, without Hyper-V and without touching the source",
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
    /// Print a script that lets a shell complete commands and options
    Completions(CompletionsArgs),
    /// Write the man pages of all commands into a folder, for packages
    ///
    /// The folder is no option: a source of this name, typed with --out, is refused, not taken for a folder.
    #[command(hide = true)]
    ManPages(ManPagesArgs),
}

/// Which disk, in which state.
#[derive(Debug, Args)]
#[command(next_help_heading = help::WHAT)]
pub(crate) struct SourceArgs {
    /// A VM folder or a folder of VMs, a .vmcx or .xml, a disk file (.vhdx, .avhdx, .raw, .img, .raw.zst), or a device
    /// [default: `$VHDX_EXPORT_SOURCE`, else `.`]
    #[arg(value_name = "SOURCE", help_heading = None::<&str>)]
    pub(crate) source: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,
}

/// Which disk of a source, in which state.
#[derive(Clone, Default, Debug, Args)]
#[command(next_help_heading = help::WHAT)]
pub(crate) struct ChoiceArgs {
    /// The VM, by name or GUID; needed where a folder holds several
    #[arg(long, value_name = "VM")]
    pub(crate) vm: Option<String>,
    /// The state: a checkpoint's name or GUID, @current, @latest, #N of `list`, or a disk file's name
    ///
    /// `@current` is the running state, which no checkpoint names, and `@latest` the checkpoint that was taken last. Of a
    /// GUID the beginning is enough. A VM without checkpoints needs none of it; one with checkpoints stops with the list of
    /// them. What fits more than once is listed, never picked.
    #[arg(long, value_name = "X")]
    pub(crate) checkpoint: Option<String>,
    /// The disk: scsi0:1, ide0:0, or the name of its base image without suffix
    ///
    /// `web01` is the disk of web01.vhdx and all that is built on it. Needed where a VM has several and one file is written.
    #[arg(long, value_name = "D")]
    pub(crate) disk: Option<String>,
    /// Another folder in which parents may be found, by identity; may be repeated
    ///
    /// Parents are looked for where the child says, then anywhere below the source and these folders, by their
    /// `DataWriteGuid`, whatever they are called. A file that does not match is never used.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) parent_dir: Vec<PathBuf>,
    /// Bytes in a logical sector of a raw source, which does not say: 512 or 4096 [default: 512, or the device's]
    #[arg(long, value_name = "BYTES", value_parser = sector_size, hide_short_help = true)]
    pub(crate) sector_size: Option<SectorSize>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

fn sector_size(text: &str) -> Result<SectorSize, &'static str> {
    text.parse().ok().and_then(SectorSize::from_bytes).ok_or("a logical sector has 512 or 4096 bytes")
}

/// Which folder, and which VM in it.
#[derive(Debug, Args)]
#[command(next_help_heading = help::WHAT)]
pub(crate) struct FolderArgs {
    /// A VM folder or a folder of VMs, a .vmcx or .xml, or a disk file [default: `$VHDX_EXPORT_SOURCE`, else `.`]
    #[arg(value_name = "SOURCE", help_heading = None::<&str>)]
    pub(crate) source: Option<PathBuf>,
    /// Only this VM, by name or GUID
    #[arg(long, value_name = "VM")]
    pub(crate) vm: Option<String>,
    /// Another folder in which parents may be found, by identity; may be repeated
    ///
    /// Parents are looked for where the child says, then anywhere below the source and these folders, by their
    /// `DataWriteGuid`, whatever they are called. A file that does not match is never used.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
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
    #[arg(long, help_heading = help::SAID)]
    pub(crate) json: bool,
}

/// Arguments of `tree`.
#[derive(Debug, Args)]
pub(crate) struct TreeArgs {
    #[command(flatten)]
    pub(crate) folder: FolderArgs,
    /// How to draw it
    #[arg(short = 'O', long, value_enum, default_value_t = TreeFormat::Text, help_heading = help::SAID)]
    pub(crate) format: TreeFormat,
    /// The same as --format json
    #[arg(long, conflicts_with = "format", help_heading = help::SAID)]
    pub(crate) json: bool,
    /// Draw with ASCII characters only [default: if the locale is not UTF-8]
    #[arg(long, help_heading = help::SAID)]
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
    ///
    /// In a folder, files are called `VM_CHECKPOINT_DISK.vhdx`. An image is written as NAME.partial, and has its name only
    /// when it is complete and on stable storage.
    #[arg(short, long, value_name = "PATH", required = true, help_heading = help::WHERE)]
    pub(crate) out: Option<PathBuf>,
    /// Format of the image [default: by the suffix: .vhdx, .raw, .img, .raw.zst, .raw.gz or .raw.xz]
    #[arg(short = 'O', long, value_enum, ignore_case = true, help_heading = help::WHERE)]
    pub(crate) format: Option<Format>,
    /// How to compress: zstd:1 to 22, gzip:1 to 9, xz:0 to 9 [default: zstd:3, gzip:6 or xz:6, by the format]
    #[arg(long, value_name = "HOW", hide_short_help = true, help_heading = help::WHERE)]
    pub(crate) compress: Option<Compression>,
    /// Write onto the block device that --out names, and read it back
    ///
    /// Refused if the device is mounted, held, open elsewhere or too small, or if it shares bytes with a source. What is
    /// zero on the disk is really zeroed.
    #[arg(long, help_heading = help::WHERE, hide_short_help = true)]
    pub(crate) device: bool,
    /// Digests of the disk's content: sha256, blksum, or none
    #[arg(long, value_enum, value_name = "WHICH", value_delimiter = ',', default_value = "sha256,blksum")]
    #[arg(help_heading = help::PROOF, hide_short_help = true)]
    pub(crate) digest: Vec<Digest>,
    /// Where to write the manifest, or none [default: beside the image, as NAME.manifest.json]
    #[arg(long, value_name = "PATH", help_heading = help::PROOF, hide_short_help = true)]
    pub(crate) manifest: Option<PathBuf>,
    /// Write NAME.sha256 beside the image, for `sha256sum -c`
    #[arg(long, help_heading = help::PROOF, hide_short_help = true)]
    pub(crate) sums: bool,
    /// Write NAME.bmap beside the image, for `bmaptool copy`
    #[arg(long, help_heading = help::PROOF, hide_short_help = true)]
    pub(crate) bmap: bool,
    /// Size of a VHDX block, 1M to 256M [default: 2M, more for disks over 4 TiB]
    #[arg(long, value_name = "SIZE", hide_short_help = true, help_heading = help::WHERE)]
    pub(crate) block_size: Option<String>,
    /// Write a fixed VHDX, every block allocated
    #[arg(long, hide_short_help = true, help_heading = help::WHERE)]
    pub(crate) fixed: bool,
    /// Identity of the disk in a VHDX: a new one, or the source's to replace it
    #[arg(help_heading = help::WHERE)]
    #[arg(long, value_enum, value_name = "WHICH", default_value_t = DiskId::New, hide_short_help = true)]
    pub(crate) disk_id: DiskId,
    /// Replace the target if it exists
    ///
    /// A source is never replaced, nor is a configuration or an image that others are built on.
    #[arg(short, long, help_heading = help::WHERE)]
    pub(crate) force: bool,
    /// Start even if the target's file system seems too small, as one that compresses may
    #[arg(long, help_heading = help::HOW, hide_short_help = true)]
    pub(crate) no_space_check: bool,
    /// Share blocks with the sources where the file system can (raw and VHDX files), or fail, or never
    ///
    /// A file that shares takes next to no room, and stays what it is when the sources go or change.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Reflink::Auto)]
    #[arg(help_heading = help::HOW, hide_short_help = true)]
    pub(crate) reflink: Reflink,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    /// Print the result as a JSON document
    #[arg(long, help_heading = help::SAID)]
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
    #[arg(long, help_heading = help::WHAT)]
    pub(crate) chain: bool,
    /// Every key of a VM configuration or of another store of Hyper-V (.vmcx, .vmrs, .xml)
    #[arg(long, conflicts_with = "chain", help_heading = help::WHAT)]
    pub(crate) keys: bool,
    /// Print a JSON document; of images with the field names of `qemu-img info`
    #[arg(long, help_heading = help::SAID)]
    pub(crate) json: bool,
}

/// Arguments of `map`.
#[derive(Debug, Args)]
pub(crate) struct MapArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Print a JSON document, with the field names of `qemu-img map`
    #[arg(long, help_heading = help::SAID)]
    pub(crate) json: bool,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) folder: FolderArgs,
    /// Print a JSON document
    #[arg(long, help_heading = help::SAID)]
    pub(crate) json: bool,
}

/// Arguments of `hash`.
#[derive(Debug, Args)]
pub(crate) struct HashArgs {
    /// Any number of folders, disk files or devices, as an export takes them [default: `$VHDX_EXPORT_SOURCE`, else `.`]
    #[arg(value_name = "SOURCE", help_heading = None::<&str>)]
    pub(crate) sources: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,
    /// Which digests: sha256, blksum
    #[arg(help_heading = help::PROOF)]
    #[arg(long, value_enum, value_name = "WHICH", value_delimiter = ',', default_value = "sha256,blksum")]
    pub(crate) digest: Vec<Digest>,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    /// Print a JSON document
    #[arg(long, help_heading = help::SAID)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) talk: TalkArgs,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The copy: a raw image, a device, a .raw.zst, a VHDX, or - for the bare bytes on standard input
    #[arg(value_name = "IMAGE", help_heading = None::<&str>)]
    pub(crate) image: PathBuf,
    /// The manifest of the export [default: IMAGE.manifest.json]
    #[arg(long, value_name = "PATH", help_heading = help::PROOF)]
    pub(crate) manifest: Option<PathBuf>,
    /// Compare a sample of ranges only, which finds gross damage and proves nothing
    #[arg(long, help_heading = help::PROOF)]
    pub(crate) quick: bool,
    /// Another folder in which parents of a VHDX may be found, by identity; may be repeated
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = help::WHAT)]
    pub(crate) parent_dir: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    /// Print a JSON document
    #[arg(long, help_heading = help::SAID)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) talk: TalkArgs,
}

/// Behind every other option of its headline: it is long.
const LAST: usize = 1000;

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell that is to read the script
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// Arguments of `man-pages`.
#[derive(Debug, Args)]
pub(crate) struct ManPagesArgs {
    /// Where to write them; made if it is not there
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,
    /// The date that stands in the pages
    #[arg(long, value_name = "YYYY-MM-DD", default_value = "")]
    pub(crate) date: String,
}

/// What a file may ask for.
#[derive(Clone, Default, Debug, Args)]
#[command(next_help_heading = help::WHAT)]
pub(crate) struct LimitArgs {
    /// Raise a limit on what is read, for a file that is known to be sound: chain-depth, locator-pairs, metadata-size,
    /// log-size, names-scanned, configuration-size, manifest-size; may be repeated
    #[arg(long = "limit", value_name = "NAME=VALUE", value_parser = raised_limit, long_help = limits_help())]
    #[arg(display_order = LAST, hide_short_help = true)]
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

/// What becomes of the page cache.
#[derive(Default, Debug, Args)]
#[command(next_help_heading = help::HOW)]
pub(crate) struct CacheArgs {
    /// Leave the disks out of the page cache, which other programs may need more (on Linux; without effect elsewhere)
    #[arg(long, hide_short_help = true)]
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
#[command(next_help_heading = help::SAID)]
pub(crate) struct TalkArgs {
    /// How to show progress, on standard error
    #[arg(long, value_enum, value_name = "HOW", default_value_t = ProgressStyle::Auto, hide_short_help = true)]
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Includes clap's own checks: no flag twice, no contradiction.
    #[test]
    fn the_command_line_is_sound() {
        help::command().debug_assert();
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
