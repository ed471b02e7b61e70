//! `vhdx-export verify`: whether a copy holds the disk that a manifest describes, and where it does not.
//!
//! The copy is read, the source is not needed. Reading the copy is for `restored.rs`, its ranges for `ranges.rs`, what is
//! said for `words.rs` and `report.rs`.

mod ranges;
mod report;
mod restored;
mod words;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use chain_resolve::{SourceKinds, StoreError, open_plain};
use export_manifest::{Comparison, Format, Manifest, ManifestError, compare};
use export_sinks::{Cancel, ContentDigests, Difference, Pool, Sha256Digest};
use limits::{Limit, Limits};
use vhdx_format::{Geometry, GeometryError, SectorSize};

use self::restored::{Looked, Restored};
use crate::args::{CacheArgs, LimitArgs, TalkArgs, VerifyArgs};
use crate::commands::code_of_told;
use crate::disk::DiskError;
use crate::failure::{Failure, code};
use crate::format;
use crate::interrupt::{self, Leftovers};
use crate::usage::UsageError;

/// What became of a comparison.
#[derive(Debug)]
enum Verdict {
    /// Everything that was compared is equal.
    Equal,
    /// The disk differs, in these ranges where they are known.
    Different(Vec<Difference>),
    /// The copy ends before the disk, or its file before the one that was written.
    Truncated { have: u64, want: u64 },
    /// The copy is a disk of another size.
    OtherSize { have: u64, want: u64 },
    /// The disk is right, but the file is not the one that was written.
    OtherFile { expected: Sha256Digest, found: Sha256Digest },
    /// It can not be read as what its name says it is.
    Unreadable(Box<DiskError>),
}

/// How much was compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Compared {
    /// Nothing: it was clear without that.
    Nothing,
    /// The blksum of the whole disk and of that many ranges.
    Blocks(usize),
    /// The SHA-256 of the whole disk.
    Sha256,
    /// The blksums of a sample of that many ranges.
    Sample { compared: usize, of: usize },
}

/// What a copy has behind the disk. Of a device that is larger, nothing is wrong with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Behind {
    Nothing,
    Bytes(u64),
    /// A stream goes on, nobody knows for how long.
    More,
}

/// A comparison, done.
struct Verified<'a> {
    image: &'a Path,
    manifest_path: &'a Path,
    manifest: &'a Manifest,
    /// What the copy is; `None` where it could not be opened.
    format: Option<Format>,
    /// Whether it seems to be the very file that was written.
    is_artifact: bool,
    verdict: Verdict,
    compared: Compared,
    behind: Behind,
}

impl Verified<'_> {
    /// Whether there are ranges that were not looked at.
    fn is_sample(&self) -> bool {
        matches!(self.compared, Compared::Sample { compared, of } if compared < of)
    }
}

/// A manifest can not be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the manifest `{}`", path.display())]
pub(crate) struct VerifyError {
    path: PathBuf,
    pub(crate) source: Unusable,
}

/// Why a manifest can not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error(transparent)]
    Read(#[from] io::Error),
    #[error(transparent)]
    NotAFile(StoreError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Disk(#[from] GeometryError),
    #[error("it has sectors of {0} bytes, which no disk has")]
    Sectors(u32),
    #[error("it has no digest of the disk, which was exported with --digest none")]
    NoDigests,
    #[error("it has no digests of ranges to sample, since the disk was exported without blksum")]
    NoRanges,
    #[error("it is damaged: its digests of the disk contradict each other")]
    Contradiction,
}

pub(crate) fn run(args: &VerifyArgs) -> Result<u8, Failure> {
    let is_stream = args.image == Path::new("-");
    if is_stream && args.quick {
        return Err(UsageError::QuickStream.into());
    }
    let (manifest_path, opened) = match &args.manifest {
        // Named, it may be a pipe from where the manifests are kept.
        Some(path) => (path.clone(), File::open(path).map_err(Unusable::from)),
        None if is_stream => return Err(UsageError::NoManifest.into()),
        None => {
            let path = beside(&args.image);
            let opened = open_beside(&path);
            (path, opened)
        }
    };
    let unusable = |source| VerifyError { path: manifest_path.clone(), source };
    let limits = args.limits.limits();
    let manifest = opened.and_then(|file| read_manifest(file, &limits)).map_err(unusable)?;
    let geometry = geometry(&manifest).map_err(unusable)?;
    let wanted = wanted(args, &manifest).map_err(unusable)?;
    let cancel = Cancel::new();
    interrupt::listen(&cancel, Leftovers::None).map_err(Failure::Signals)?;
    let restored = if is_stream {
        Ok(Restored::stream(geometry)?)
    } else {
        Restored::open(&args.image, args, geometry)?
    };
    let mut verified = Verified {
        image: &args.image,
        manifest_path: &manifest_path,
        manifest: &manifest,
        format: None,
        is_artifact: false,
        verdict: Verdict::Equal,
        compared: Compared::Nothing,
        behind: Behind::Nothing,
    };
    match restored {
        Ok(restored) => {
            let judged = judged(args, &restored, &manifest, &wanted, &cancel, None)?;
            (verified.verdict, verified.compared) =
                judged.ok_or_else(|| unusable(Unusable::Contradiction))?;
            verified.format = Some(restored.format());
            verified.is_artifact = restored.is_artifact(&manifest.artifact);
            verified.behind = restored.behind()?;
            restored.check_unchanged()?;
        }
        Err(verdict) => verified.verdict = cut_short(verdict, &args.image, &manifest),
    }
    let code = if matches!(verified.verdict, Verdict::Equal) { 0 } else { code::MISMATCH };
    code_of_told(words::tell(args, &verified), code)
}

/// Compares an image that was exported before with its manifest, as `verify` does. What is wrong with it, if anything.
pub(crate) fn existing(
    image: &Path,
    manifest: &Manifest,
    cancel: &Cancel,
    pool: &Pool,
) -> Result<Option<String>, Failure> {
    let args = VerifyArgs {
        image: image.to_path_buf(),
        manifest: None,
        quick: false,
        parent_dir: Vec::new(),
        limits: LimitArgs::default(),
        cache: CacheArgs::default(),
        json: false,
        talk: TalkArgs::silent(),
    };
    let unusable = |source| VerifyError { path: beside(image), source };
    let geometry = geometry(manifest).map_err(unusable)?;
    let wanted = wanted(&args, manifest).map_err(unusable)?;
    let restored = match Restored::open(image, &args, geometry)? {
        Ok(restored) => restored,
        Err(verdict) => return Ok(words::wrong(&verdict)),
    };
    let judged = judged(&args, &restored, manifest, &wanted, cancel, Some(pool))?;
    let (verdict, _) = judged.ok_or_else(|| unusable(Unusable::Contradiction))?;
    restored.check_unchanged()?;
    Ok(words::wrong(&verdict))
}

/// Where the manifest of an artifact stands by default.
pub(crate) fn beside(image: &Path) -> PathBuf {
    let mut name = image.as_os_str().to_owned();
    name.push(".manifest.json");
    name.into()
}

/// Nobody named it, and it lies where others may write: a FIFO of that name must not make anybody wait.
fn open_beside(path: &Path) -> Result<File, Unusable> {
    match open_plain(path, SourceKinds::Files) {
        Ok(file) => Ok(file.handle().try_clone()?),
        Err(StoreError::Open { source, .. }) => Err(source.into()),
        Err(error) => Err(Unusable::NotAFile(error)),
    }
}

/// The manifest that stands beside an image.
pub(crate) fn manifest_beside(path: &Path, limits: &Limits) -> Result<Manifest, Unusable> {
    open_beside(path).and_then(|file| read_manifest(file, limits))
}

fn read_manifest(file: File, limits: &Limits) -> Result<Manifest, Unusable> {
    let most = limits.of(Limit::ManifestSize);
    let found = file.metadata()?.len();
    if found > most {
        return Err(ManifestError::TooLarge { found, most }.into());
    }
    let mut text = Vec::new();
    // What has no length, or grows, may have one byte more than a manifest, to see that it has more.
    file.take(most.saturating_add(1)).read_to_end(&mut text)?;
    Ok(Manifest::parse_within(&text, limits)?)
}

fn geometry(manifest: &Manifest) -> Result<Geometry, Unusable> {
    let sector = |bytes| SectorSize::from_bytes(bytes).ok_or(Unusable::Sectors(bytes));
    let logical = sector(manifest.disk.logical_sector_size)?;
    let physical = sector(manifest.disk.physical_sector_size)?;
    Ok(Geometry::new(manifest.disk.virtual_size, logical, physical)?)
}

/// The digests to compare with; enough of them for what is asked.
fn wanted(args: &VerifyArgs, manifest: &Manifest) -> Result<ContentDigests, Unusable> {
    let wanted = manifest.content.digests();
    match (&wanted.blocks, wanted.sha256) {
        (None, None) => Err(Unusable::NoDigests),
        (None, Some(_)) if args.quick => Err(Unusable::NoRanges),
        _ => Ok(wanted),
    }
}

/// Compares what the copy holds, and where that is equal, whether the file is the very one that was written. `None` where
/// the manifest contradicts itself.
fn judged(
    args: &VerifyArgs,
    restored: &Restored,
    manifest: &Manifest,
    wanted: &ContentDigests,
    cancel: &Cancel,
    pool: Option<&Pool>,
) -> Result<Option<(Verdict, Compared)>, Failure> {
    let (have, want) = (restored.size(), manifest.disk.virtual_size);
    if have != want {
        return Ok(Some((Verdict::OtherSize { have, want }, Compared::Nothing)));
    }
    let progress = args.talk.progress();
    if let (true, Some(blocks)) = (args.quick, &wanted.blocks) {
        return Ok(Some(restored.sampled(blocks, progress, cancel)?));
    }
    let compared =
        wanted.blocks.as_ref().map_or(Compared::Sha256, |blocks| Compared::Blocks(blocks.ranges.len()));
    let verdict = match restored.look(wanted, progress, cancel, pool)? {
        Looked::Truncated { have } => {
            return Ok(Some((Verdict::Truncated { have, want }, Compared::Nothing)));
        }
        Looked::Different(ranges) => Verdict::Different(ranges),
        Looked::Digests(found) => match compare(wanted, &found, want) {
            Comparison::Equal => restored.compared_as_file(&manifest.artifact)?,
            Comparison::Different(ranges) => Verdict::Different(ranges),
            Comparison::ManifestDamaged | Comparison::NoDigests => return Ok(None),
        },
    };
    Ok(Some((verdict, compared)))
}

/// An image that can not be read and is shorter than the one that was written is most likely a part of it.
fn cut_short(verdict: Verdict, image: &Path, manifest: &Manifest) -> Verdict {
    let (have, want) =
        (std::fs::metadata(image).map_or(u64::MAX, |found| found.len()), manifest.artifact.size);
    let is_same_kind = format::of_name(image) == Some(manifest.artifact.format);
    match verdict {
        Verdict::Unreadable(_) if is_same_kind && have < want => Verdict::Truncated { have, want },
        verdict => verdict,
    }
}
