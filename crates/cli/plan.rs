//! From what was typed to what will be done. Everything that can be refused without looking at the disk is refused here.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use chain_resolve::{CacheUse, Request, SelectError, SelectedDisk, Selection, select};
use export_manifest::Format;
use export_sinks::{Compression, DigestChoice, GzipLevel, Overwrite, Reflink, XzLevel, ZstdLevel};
use vhdx_format::geometry::default_block_size;
use vhdx_format::writer::Allocation;
use vhdx_format::{BlockSize, VirtualDisk};

use crate::args::{self, ChoiceArgs, Digest, DiskId, ExportArgs, ProgressStyle, SourceArgs};
use crate::disk::plain_format;
use crate::usage::UsageError;
use crate::{file_names, format, units};

/// Where the artifacts go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Destination {
    /// One file, for one disk.
    File(PathBuf),
    /// A file for each disk, named after VM, checkpoint and disk.
    Folder(PathBuf),
    /// Standard output, for one disk.
    Stdout,
    /// A block device, for one disk.
    Device(PathBuf),
}

/// Where one artifact goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Output {
    File(PathBuf),
    Stdout,
    Device(PathBuf),
}

/// What kind of artifact is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Artifact {
    Raw,
    Compressed(Compression),
    Vhdx { block_size: Option<BlockSize>, allocation: Allocation, disk_id: DiskId },
}

impl Artifact {
    /// Its format.
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::Raw => Format::Raw,
            Self::Compressed(compression) => packed_format(*compression),
            Self::Vhdx { .. } => Format::Vhdx,
        }
    }
}

fn packed_format(compression: Compression) -> Format {
    match compression {
        Compression::Zstd(_) => Format::RawZst,
        Compression::Gzip(_) => Format::RawGz,
        Compression::Xz(_) => Format::RawXz,
    }
}

/// What stands beside an artifact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Sidecars {
    pub(crate) manifest: ManifestPlace,
    pub(crate) sums: bool,
    pub(crate) bmap: bool,
}

/// Where the manifest goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ManifestPlace {
    Beside,
    At(PathBuf),
    Nowhere,
}

/// An export, decided.
#[derive(Debug)]
pub(crate) struct ExportPlan {
    pub(crate) source: SourceArgs,
    pub(crate) destination: Destination,
    pub(crate) overwrite: Overwrite,
    pub(crate) space_check: SpaceCheck,
    pub(crate) reflink: Reflink,
    pub(crate) cache: CacheUse,
    pub(crate) artifact: Artifact,
    pub(crate) digests: DigestChoice,
    pub(crate) sidecars: Sidecars,
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
        let destination = destination(&args, out);
        let digests = digests(&args, artifact)?;
        let sidecars = sidecars(&args, artifact, &destination)?;
        let reflink = reflink(&args, artifact, &destination)?;
        if destination == Destination::Stdout && std::io::stdout().is_terminal() {
            return Err(UsageError::Terminal);
        }
        Ok(Self {
            destination,
            artifact,
            reflink,
            digests,
            sidecars,
            overwrite: if args.force { Overwrite::Replace } else { Overwrite::Refuse },
            space_check: if args.no_space_check { SpaceCheck::Waived } else { SpaceCheck::Required },
            cache: args.cache.cache_use(),
            results: match (args.json, args.talk.quiet) {
                (true, _) => Results::Json,
                (false, true) => Results::Nothing,
                (false, false) => Results::Text,
            },
            notes: if args.talk.quiet { Notes::Hidden } else { Notes::Shown },
            progress: args.talk.progress(),
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
            Destination::Device(path) => Ok(vec![(selection.only_disk()?, Output::Device(path.clone()))]),
            Destination::Folder(folder) => {
                let names = file_names::of_selection(selection, self.artifact.format().name());
                let files = names.into_iter().map(|name| Output::File(folder.join(name)));
                Ok(selection.disks.iter().zip(files).collect())
            }
        }
    }
}

fn destination(args: &ExportArgs, out: &Path) -> Destination {
    if args.device {
        Destination::Device(out.to_path_buf())
    } else if is_stdout(out) {
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
    let format = format(args, out)?;
    if let Some(compression) = args.compress
        && packed_format(compression) != format
    {
        return Err(UsageError::Compression { compression, format });
    }
    if format != Format::Vhdx {
        refuse_image_options(args)?;
    }
    let compressed = |usual: Compression| Artifact::Compressed(args.compress.unwrap_or(usual));
    Ok(match format {
        Format::Vhdx => Artifact::Vhdx {
            block_size: args.block_size.as_deref().map(parse_block_size).transpose()?,
            allocation: if args.fixed { Allocation::Fixed } else { Allocation::Dynamic },
            disk_id: args.disk_id,
        },
        Format::Raw | Format::Device => Artifact::Raw,
        Format::RawZst => compressed(Compression::Zstd(ZstdLevel::default())),
        Format::RawGz => compressed(Compression::Gzip(GzipLevel::default())),
        Format::RawXz => compressed(Compression::Xz(XzLevel::default())),
    })
}

fn refuse_image_options(args: &ExportArgs) -> Result<(), UsageError> {
    let typed = [
        (args.block_size.is_some(), "--block-size"),
        (args.fixed, "--fixed"),
        (args.disk_id == DiskId::Keep, "--disk-id"),
    ];
    let misplaced = typed.into_iter().find(|(typed, _)| *typed);
    misplaced.map_or(Ok(()), |(_, flag)| Err(UsageError::VhdxOnly(flag)))
}

/// The format that was asked for, or that the name or the compression tells.
fn format(args: &ExportArgs, out: &Path) -> Result<Format, UsageError> {
    let asked = args.format.map(Format::from);
    let packed = args.compress.map(packed_format);
    if args.device {
        let is_bare = asked.or(packed).is_none_or(|format| format == Format::Raw);
        return if is_bare { Ok(Format::Device) } else { Err(UsageError::DeviceFormat) };
    }
    match asked {
        Some(format) => match format::of_name(out).filter(|_| !is_folder(out)) {
            Some(named) if named != format => Err(UsageError::OtherSuffix { format, out: out.to_path_buf() }),
            _ => Ok(format),
        },
        None if is_stdout(out) => packed.ok_or(UsageError::StreamWithoutFormat),
        None if is_folder(out) => Ok(packed.unwrap_or(Format::Vhdx)),
        None => format::of_name(out).ok_or_else(|| UsageError::UnknownSuffix(out.to_path_buf())),
    }
}

impl From<args::Format> for Format {
    fn from(asked: args::Format) -> Self {
        match asked {
            args::Format::Vhdx => Self::Vhdx,
            args::Format::Raw => Self::Raw,
            args::Format::RawZst => Self::RawZst,
            args::Format::RawGz => Self::RawGz,
            args::Format::RawXz => Self::RawXz,
        }
    }
}

/// What is digested. A device is compared with its block digests, so those are always taken for one.
fn digests(args: &ExportArgs, artifact: Artifact) -> Result<DigestChoice, UsageError> {
    let Wanted { sha256, blksum } = wanted(&args.digest)?;
    if args.sums && !(sha256 || blksum && artifact != Artifact::Raw) {
        return Err(UsageError::SumsWithoutDigest);
    }
    Ok(DigestChoice { sha256, blksum: blksum || args.device, runs: args.bmap, artifact: sha256 || blksum })
}

/// Digests of the content that are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Wanted {
    pub(crate) sha256: bool,
    pub(crate) blksum: bool,
}

pub(crate) fn wanted(digests: &[Digest]) -> Result<Wanted, UsageError> {
    let has = |digest| digests.contains(&digest);
    let wanted = Wanted { sha256: has(Digest::Sha256), blksum: has(Digest::Blksum) };
    if has(Digest::None) && (wanted.sha256 || wanted.blksum) {
        return Err(UsageError::NoneAndSome);
    }
    Ok(wanted)
}

/// Blocks can be shared by what has the disk's bytes as they are, in a file.
fn reflink(args: &ExportArgs, artifact: Artifact, destination: &Destination) -> Result<Reflink, UsageError> {
    let is_file = matches!(destination, Destination::File(_) | Destination::Folder(_));
    let is_packed = matches!(artifact, Artifact::Compressed(_));
    match args.reflink {
        args::Reflink::Always if !is_file || is_packed => Err(UsageError::NothingToShare),
        args::Reflink::Always => Ok(Reflink::Always),
        args::Reflink::Auto => Ok(Reflink::Auto),
        args::Reflink::Never => Ok(Reflink::Never),
    }
}

/// Files stand beside files. A stream or a device has a manifest only where it is told to go.
fn sidecars(
    args: &ExportArgs,
    artifact: Artifact,
    destination: &Destination,
) -> Result<Sidecars, UsageError> {
    let is_beside = matches!(destination, Destination::File(_) | Destination::Folder(_));
    for (asked, flag) in [(args.sums, "--sums"), (args.bmap, "--bmap")] {
        if asked && !is_beside {
            return Err(UsageError::FileOnly(flag));
        }
    }
    if args.bmap && matches!(artifact, Artifact::Vhdx { .. }) {
        return Err(UsageError::BmapOfImage);
    }
    let manifest = match &args.manifest {
        Some(path) if path == Path::new("none") => ManifestPlace::Nowhere,
        Some(path) if is_stdout(path) => return Err(UsageError::ManifestStream),
        Some(_) if matches!(destination, Destination::Folder(_)) => return Err(UsageError::OneManifest),
        Some(path) => ManifestPlace::At(path.clone()),
        None if is_beside => ManifestPlace::Beside,
        None => ManifestPlace::Nowhere,
    };
    Ok(Sidecars { manifest, sums: args.sums, bmap: args.bmap })
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
    selection_in(&source_path(args), &args.choice, target)
}

/// The disks of a source that are meant.
pub(crate) fn selection_in(
    source: &Path,
    choice: &ChoiceArgs,
    target: Option<&Path>,
) -> Result<Selection, SelectError> {
    select(&request(source, choice, target)?)
}

/// What to look for.
pub(crate) fn request<'a>(
    source: &'a Path,
    choice: &'a ChoiceArgs,
    target: Option<&'a Path>,
) -> Result<Request<'a>, SelectError> {
    // A bare disk belongs to no VM, and what lies beside it was not named.
    if choice.checkpoint.is_some() && !source.is_dir() && plain_format(source).is_some() {
        return Err(SelectError::OneFile("--checkpoint"));
    }
    Ok(Request {
        source,
        vm: choice.vm.as_deref(),
        checkpoint: choice.checkpoint.as_deref(),
        disk: choice.disk.as_deref(),
        parent_dirs: &choice.parent_dir,
        target,
        limits: choice.limits.limits(),
    })
}

/// The block size to write with: the one asked for, or the default for a disk of that size.
pub(crate) fn block_size(asked: Option<BlockSize>, disk: &dyn VirtualDisk) -> BlockSize {
    asked.unwrap_or_else(|| default_block_size(disk.geometry()))
}
