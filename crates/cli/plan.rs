//! From what was typed to what will be done. Everything that can be refused without looking at the disk is refused here.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use chain_resolve::{Chain, Request, SelectError, SelectedDisk, Selection, select};
use export_sinks::Overwrite;
use vhdx_format::geometry::default_block_size;
use vhdx_format::writer::{Allocation, Identities};
use vhdx_format::{BlockSize, LogState, VirtualDisk};

use crate::args::{DiskId, ExportArgs, Format, ProgressStyle, SourceArgs};
use crate::{file_names, units};

/// Arguments that contradict each other or make no sense.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum UsageError {
    #[error("cannot tell the format from `{}`", .0.display())]
    UnknownSuffix(PathBuf),
    #[error("--out - needs --format")]
    StreamWithoutFormat,
    #[error("the image would be written to a terminal")]
    Terminal,
    #[error("--block-size `{0}` is no power of two from 1M to 256M")]
    BlockSize(String),
    #[error("{0} makes sense for VHDX only")]
    VhdxOnly(&'static str),
    #[error("--out is missing")]
    NoTarget,
    #[error("--keys makes sense for one configuration only")]
    KeysOfImage,
}

/// Where the artifacts go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Destination {
    /// One file, for one disk.
    File(PathBuf),
    /// A file for each disk, named after VM, checkpoint and disk.
    Folder(PathBuf),
    /// Standard output, for one disk.
    Stdout,
}

/// Where one artifact goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Output {
    File(PathBuf),
    Stdout,
}

/// What kind of artifact is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Artifact {
    Raw,
    Vhdx { block_size: Option<BlockSize>, allocation: Allocation, disk_id: DiskId },
}

/// An export, decided.
#[derive(Debug)]
pub(crate) struct ExportPlan {
    pub(crate) source: SourceArgs,
    pub(crate) destination: Destination,
    pub(crate) overwrite: Overwrite,
    pub(crate) space_check: SpaceCheck,
    pub(crate) artifact: Artifact,
    pub(crate) results: Results,
    pub(crate) notes: Notes,
    pub(crate) progress: ProgressStyle,
}

/// Whether the target's file system must have room before anything is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SpaceCheck {
    Required,
    Waived,
}

/// How results are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Results {
    Text,
    Json,
    Nothing,
}

/// Whether what should be known of the sources is said on standard error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Notes {
    Shown,
    Hidden,
}

impl ExportPlan {
    pub(crate) fn new(args: ExportArgs) -> Result<Self, UsageError> {
        let out = args.out.as_deref().ok_or(UsageError::NoTarget)?;
        let artifact = artifact(&args, out)?;
        let destination = destination(out);
        if destination == Destination::Stdout && std::io::stdout().is_terminal() {
            return Err(UsageError::Terminal);
        }
        Ok(Self {
            destination,
            artifact,
            overwrite: if args.force { Overwrite::Replace } else { Overwrite::Refuse },
            space_check: if args.no_space_check { SpaceCheck::Waived } else { SpaceCheck::Required },
            results: match (args.json, args.quiet) {
                (true, _) => Results::Json,
                (false, true) => Results::Nothing,
                (false, false) => Results::Text,
            },
            notes: if args.quiet { Notes::Hidden } else { Notes::Shown },
            progress: if args.quiet { ProgressStyle::None } else { args.progress },
            source: args.source,
        })
    }

    /// Each disk of the selection with the place it goes to.
    pub(crate) fn outputs<'a>(
        &self,
        selection: &'a Selection,
    ) -> Result<Vec<(&'a SelectedDisk, Output)>, SelectError> {
        match &self.destination {
            Destination::File(path) => Ok(vec![(selection.only_disk()?, Output::File(path.clone()))]),
            Destination::Stdout => Ok(vec![(selection.only_disk()?, Output::Stdout)]),
            Destination::Folder(folder) => {
                let suffix = if self.artifact == Artifact::Raw { "raw" } else { "vhdx" };
                let names = file_names::of_selection(selection, suffix);
                let files = names.into_iter().map(|name| Output::File(folder.join(name)));
                Ok(selection.disks.iter().zip(files).collect())
            }
        }
    }
}

fn destination(out: &Path) -> Destination {
    if is_stdout(out) {
        Destination::Stdout
    } else if is_folder(out) {
        Destination::Folder(out.to_path_buf())
    } else {
        Destination::File(out.to_path_buf())
    }
}

fn is_stdout(out: &Path) -> bool {
    out == Path::new("-")
}

/// A folder that is there, or a name that can only be one.
fn is_folder(out: &Path) -> bool {
    let ends_in_separator = out.as_os_str().as_encoded_bytes().last().copied().map(char::from);
    out.is_dir() || ends_in_separator.is_some_and(std::path::is_separator)
}

fn artifact(args: &ExportArgs, out: &Path) -> Result<Artifact, UsageError> {
    let format = match args.format {
        Some(format) => format,
        None if is_stdout(out) => return Err(UsageError::StreamWithoutFormat),
        None if is_folder(out) => Format::Vhdx,
        None => format_of(out).ok_or_else(|| UsageError::UnknownSuffix(out.to_path_buf()))?,
    };
    if format == Format::Raw {
        let typed = [
            (args.block_size.is_some(), "--block-size"),
            (args.fixed, "--fixed"),
            (args.disk_id == DiskId::Keep, "--disk-id"),
        ];
        let misplaced = typed.into_iter().find(|(typed, _)| *typed);
        return misplaced.map_or(Ok(Artifact::Raw), |(_, flag)| Err(UsageError::VhdxOnly(flag)));
    }
    let block_size = args.block_size.as_deref().map(parse_block_size).transpose()?;
    let allocation = if args.fixed { Allocation::Fixed } else { Allocation::Dynamic };
    Ok(Artifact::Vhdx { block_size, allocation, disk_id: args.disk_id })
}

fn format_of(out: &Path) -> Option<Format> {
    let suffix = out.extension().and_then(OsStr::to_str)?.to_ascii_lowercase();
    match suffix.as_str() {
        "vhdx" => Some(Format::Vhdx),
        "raw" | "img" => Some(Format::Raw),
        _ => None,
    }
}

fn parse_block_size(text: &str) -> Result<BlockSize, UsageError> {
    let bytes = units::parse_size(text).and_then(|bytes| u32::try_from(bytes).ok());
    bytes.and_then(BlockSize::from_bytes).ok_or_else(|| UsageError::BlockSize(text.to_owned()))
}

/// SOURCE, or what stands for it.
pub(crate) fn source_path(args: &SourceArgs) -> PathBuf {
    path_or_default(args.source.as_deref())
}

/// The path that was typed, or what stands for SOURCE.
pub(crate) fn path_or_default(typed: Option<&Path>) -> PathBuf {
    let from_environment = || std::env::var_os("VHDX_EXPORT_SOURCE").filter(|value| !value.is_empty());
    let source = typed.map(Path::to_path_buf).or_else(|| from_environment().map(PathBuf::from));
    source.unwrap_or_else(|| PathBuf::from("."))
}

/// The disks that are meant; `target` is a file that is about to be replaced.
pub(crate) fn selection(args: &SourceArgs, target: Option<&Path>) -> Result<Selection, SelectError> {
    select(&Request {
        source: &source_path(args),
        vm: args.vm.as_deref(),
        checkpoint: args.checkpoint.as_deref(),
        disk: args.disk.as_deref(),
        parent_dirs: &args.parent_dir,
        target,
    })
}

/// The block size to write with: the one asked for, or the default for a disk of that size.
pub(crate) fn block_size(asked: Option<BlockSize>, chain: &Chain) -> BlockSize {
    asked.unwrap_or_else(|| default_block_size(chain.geometry()))
}

/// The GUIDs of a flattened image: new ones, that depend on nothing but the state of the chain and the options, so
/// that the same export gives the same bytes anywhere.
///
/// A flattened copy must not have its source's `DataWriteGuid`: children of the source would take it for their parent.
pub(crate) fn identities(
    chain: &Chain,
    block_size: BlockSize,
    allocation: Allocation,
    disk_id: DiskId,
) -> Identities {
    let mut name = String::from("vhdx-export 1");
    for layer in chain.layers() {
        let header = layer.outline().header();
        let replayed = match layer.outline().log_state() {
            LogState::Clean => 0,
            LogState::Replayed { head, .. } => head,
        };
        let ids = [header.data_write_guid, header.file_write_guid, layer.outline().virtual_disk_id()];
        let [data_write, file_write, disk] = ids;
        let _ = write!(name, "\n{data_write} {file_write} {disk} {} {replayed}", header.sequence_number);
    }
    // Fixed words: the bytes of an export must not depend on what a variant is called.
    let allocation_word = match allocation {
        Allocation::Dynamic => "dynamic",
        Allocation::Fixed => "fixed",
    };
    let disk_id_word = match disk_id {
        DiskId::New => "new",
        DiskId::Keep => "keep",
    };
    let _ = write!(name, "\n{} {allocation_word} {disk_id_word}", block_size.bytes());
    let derived = Identities::derive(name.as_bytes());
    match (disk_id, chain.layers().first()) {
        (DiskId::Keep, Some(leaf)) => {
            Identities { virtual_disk: leaf.outline().virtual_disk_id(), ..derived }
        }
        _ => derived,
    }
}
