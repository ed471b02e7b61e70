//! `vhdx-export verify`: whether a copy holds the disk that a manifest describes, and where it does not.
//!
//! The copy is read, the source is not needed. Words are for `words.rs`, reading the copy for `reading.rs`.

mod reading;
mod words;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use export_manifest::{Comparison, Manifest, ManifestError, compare};
use export_sinks::{Cancel, Difference, Sha256Digest};
use vhdx_format::{Geometry, SectorSize};

use self::reading::{Copy, Read as ReadCopy};
use crate::args::{ProgressStyle, VerifyArgs};
use crate::failure::{Failure, code};
use crate::interrupt::{self, Leftovers};
use crate::usage::UsageError;

/// What became of a comparison.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Everything that was compared is equal.
    Equal,
    /// The disk differs, in these ranges where they are known.
    Different(Vec<Difference>),
    /// The copy ends before the disk does.
    Truncated { have: u64, want: u64 },
    /// The copy is a disk of another size.
    OtherSize { have: u64, want: u64 },
    /// The disk is right, but the file is not the one that was written.
    OtherFile { expected: Sha256Digest, found: Sha256Digest },
    /// It can not be read as what its name says it is.
    Unreadable(String),
}

/// How much was compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extent {
    /// The blksum of the whole disk and of that many ranges.
    Blocks(usize),
    /// The SHA-256 of the whole disk.
    Sha256,
    /// The blksums of a sample of that many ranges.
    Sample { compared: usize, of: usize },
}

/// A comparison, done.
pub(crate) struct Verified<'a> {
    image: &'a Path,
    manifest_path: &'a Path,
    manifest: &'a Manifest,
    format: &'static str,
    verdict: Verdict,
    extent: Extent,
    /// Bytes behind the disk.
    behind: u64,
}

/// A manifest can not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyError {
    #[error("cannot read the manifest `{}`", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot use the manifest `{}`", path.display())]
    Manifest { path: PathBuf, source: ManifestError },
    #[error("cannot use the manifest `{}`", path.display())]
    Disk { path: PathBuf, source: vhdx_format::GeometryError },
    #[error("the manifest `{}` has sectors of a size that no disk has", .0.display())]
    Sectors(PathBuf),
    #[error("the manifest `{}` has no digest of the disk: it was exported with --digest none", .0.display())]
    NoDigests(PathBuf),
    #[error("the manifest `{}` has no digests of ranges to sample: it was exported without blksum", .0.display())]
    NoRanges(PathBuf),
    #[error("the manifest `{}` is damaged: its digests contradict each other", .0.display())]
    Contradiction(PathBuf),
}

pub(crate) fn run(args: &VerifyArgs) -> Result<u8, Failure> {
    let is_stream = args.image == Path::new("-");
    if is_stream && args.quick {
        return Err(UsageError::QuickStream.into());
    }
    let manifest_path = match &args.manifest {
        Some(path) => path.clone(),
        None if is_stream => return Err(UsageError::NoManifest.into()),
        None => beside(&args.image),
    };
    let manifest = read_manifest(&manifest_path)?;
    let geometry = geometry(&manifest, &manifest_path)?;
    let cancel = Cancel::new();
    interrupt::listen(&cancel, Leftovers::None).map_err(Failure::Signals)?;
    let (image, parent_dirs) = (&args.image, &args.parent_dir);
    let progress = args.talk.progress();
    let copy =
        if is_stream { Ok(Copy::stream(geometry)?) } else { Copy::open(image, parent_dirs, geometry)? };
    let verified = |format, verdict, extent, behind| Verified {
        image,
        manifest_path: &manifest_path,
        manifest: &manifest,
        format,
        verdict,
        extent,
        behind,
    };
    let verified = match copy {
        Ok(copy) => {
            let (verdict, extent) = judged(args, &copy, &manifest, &manifest_path, progress, &cancel)?;
            verified(copy.format(), verdict, extent, copy.behind())
        }
        Err(verdict) => verified("", cut_short(verdict, image, &manifest), Extent::Blocks(0), 0),
    };
    words::tell(args, &verified)?;
    Ok(if matches!(verified.verdict, Verdict::Equal) { 0 } else { code::MISMATCH })
}

/// Where the manifest of an artifact stands by default.
fn beside(image: &Path) -> PathBuf {
    let mut name = image.as_os_str().to_owned();
    name.push(".manifest.json");
    name.into()
}

fn read_manifest(path: &Path) -> Result<Manifest, VerifyError> {
    let read = || {
        let mut text = Vec::new();
        // One byte more than a manifest may have, to see that it has more.
        File::open(path)?.take(Manifest::LEN_MAX.saturating_add(1)).read_to_end(&mut text)?;
        Ok(text)
    };
    let text = read().map_err(|source| VerifyError::Read { path: path.to_path_buf(), source })?;
    Manifest::parse(&text).map_err(|source| VerifyError::Manifest { path: path.to_path_buf(), source })
}

fn geometry(manifest: &Manifest, path: &Path) -> Result<Geometry, VerifyError> {
    let sector =
        |bytes| SectorSize::from_bytes(bytes).ok_or_else(|| VerifyError::Sectors(path.to_path_buf()));
    let logical = sector(manifest.disk.logical_sector_size)?;
    let physical = sector(manifest.disk.physical_sector_size)?;
    Geometry::new(manifest.disk.virtual_size, logical, physical)
        .map_err(|source| VerifyError::Disk { path: path.to_path_buf(), source })
}

/// Compares what the copy holds, and where that is equal, whether the file is the very one that was written.
fn judged(
    args: &VerifyArgs,
    copy: &Copy,
    manifest: &Manifest,
    path: &Path,
    progress: ProgressStyle,
    cancel: &Cancel,
) -> Result<(Verdict, Extent), Failure> {
    let wanted = manifest.content.digests();
    let size = manifest.disk.virtual_size;
    if copy.size() != size {
        return Ok((Verdict::OtherSize { have: copy.size(), want: size }, Extent::Blocks(0)));
    }
    let path = || path.to_path_buf();
    if args.quick {
        let blocks = wanted.blocks.as_ref().ok_or_else(|| VerifyError::NoRanges(path()))?;
        return copy.sampled(blocks, progress, cancel);
    }
    if wanted.blocks.is_none() && wanted.sha256.is_none() {
        return Err(VerifyError::NoDigests(path()).into());
    }
    let extent = wanted.blocks.as_ref().map_or(Extent::Sha256, |blocks| Extent::Blocks(blocks.ranges.len()));
    let verdict = match copy.read(&wanted, progress, cancel)? {
        ReadCopy::Truncated { have } => Verdict::Truncated { have, want: size },
        ReadCopy::Different(ranges) => Verdict::Different(ranges),
        ReadCopy::Digests(found) => match compare(&wanted, &found, size) {
            Comparison::Equal => copy.compared_as_file(&manifest.artifact)?,
            Comparison::Different(ranges) => Verdict::Different(ranges),
            Comparison::ManifestDamaged => return Err(VerifyError::Contradiction(path()).into()),
            Comparison::NoDigests => return Err(VerifyError::NoDigests(path()).into()),
        },
    };
    Ok((verdict, extent))
}

/// An image that can not be read and is shorter than the one that was written is most likely a part of it.
fn cut_short(verdict: Verdict, image: &Path, manifest: &Manifest) -> Verdict {
    let have = std::fs::metadata(image).map_or(u64::MAX, |metadata| metadata.len());
    let is_same_kind =
        image.to_string_lossy().to_lowercase().ends_with(last_suffix(&manifest.artifact.format));
    match verdict {
        Verdict::Unreadable(_) if is_same_kind && have < manifest.artifact.size => {
            Verdict::Truncated { have, want: manifest.artifact.size }
        }
        verdict => verdict,
    }
}

fn last_suffix(format: &str) -> &str {
    format.rsplit('.').next().unwrap_or(format)
}
