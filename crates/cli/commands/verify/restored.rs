//! A restored copy that is open: reading it as a whole, and judging the file that it lies in.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chain_resolve::{ChangeError, ResolveError};
use export_manifest::{ArtifactProof, Format};
use export_sinks::{
    BlockSums, Cancel, ContentDigests, Difference, DigestChoice, ExportError, Options, Pool, Sha256Digest,
    digest,
};
use raw_format::{FrameError, RawDisk, RawError, SeekTableError, ZstdDiskError};
use vhdx_format::{FileOffset, Geometry, ImageError, LayerIndex, ReadError, VirtualDisk};

use super::ranges::{differing, sample};
use super::{Behind, Compared, Verdict};
use crate::args::{ChoiceArgs, ProgressStyle, VerifyArgs};
use crate::disk::{Disk, DiskError};
use crate::failure::Failure;
use crate::stream::InOrder;
use crate::{plan, progress};

/// A copy that is open.
pub(super) enum Restored {
    Disk(Disk),
    /// The bare disk on standard input.
    Stream {
        disk: RawDisk<Arc<InOrder<io::Stdin>>>,
        input: Arc<InOrder<io::Stdin>>,
    },
}

/// What looking at a whole copy gave.
pub(super) enum Looked {
    Digests(ContentDigests),
    /// It differs for sure, because what it holds can not be read; in these ranges where the manifest has any.
    Different(Vec<Difference>),
    Truncated {
        have: u64,
    },
}

impl Restored {
    pub(super) fn stream(geometry: Geometry) -> Result<Self, Failure> {
        let input = Arc::new(InOrder::new(io::stdin(), geometry.size()));
        let disk = RawDisk::new(Arc::clone(&input), geometry);
        let raw = |source| DiskError::Raw { path: PathBuf::from("-"), source };
        Ok(Self::Stream { disk: disk.map_err(raw)?, input })
    }

    /// Opens the file or device. What is found to be no copy of that disk is a verdict, not a failure.
    pub(super) fn open(
        path: &Path,
        args: &VerifyArgs,
        geometry: Geometry,
    ) -> Result<Result<Self, Verdict>, Failure> {
        let choice = ChoiceArgs {
            parent_dir: args.parent_dir.clone(),
            limits: args.limits.clone(),
            ..ChoiceArgs::default()
        };
        let policy = plan::selection_in(path, &choice, None)?.policy;
        match Disk::open_copy(path, &policy, geometry) {
            Ok(disk) => {
                disk.expect_reading(args.cache.cache_use());
                Ok(Ok(Self::Disk(disk)))
            }
            Err(DiskError::Raw { source: RawError::Truncated { have, need }, .. }) => {
                Ok(Err(Verdict::Truncated { have, want: need }))
            }
            Err(error) if is_damage(&error) => Ok(Err(Verdict::Unreadable(Box::new(error)))),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn format(&self) -> Format {
        match self {
            Self::Disk(disk) => disk.format(),
            Self::Stream { .. } => Format::Raw,
        }
    }

    pub(super) fn disk(&self) -> &dyn VirtualDisk {
        match self {
            Self::Disk(disk) => disk,
            Self::Stream { disk, .. } => disk,
        }
    }

    /// Size of the disk that it holds.
    pub(super) fn size(&self) -> u64 {
        self.disk().geometry().size()
    }

    /// What a bare copy has behind the disk. Of a stream it is known once the disk was read.
    pub(super) fn behind(&self) -> Result<Behind, Failure> {
        match self {
            Self::Disk(disk) if disk.format().is_bare() => {
                let bytes = disk.file_len().saturating_sub(self.size());
                Ok(if bytes == 0 { Behind::Nothing } else { Behind::Bytes(bytes) })
            }
            Self::Disk(_) => Ok(Behind::Nothing),
            Self::Stream { input, .. } => match input.has_more() {
                Ok(true) => Ok(Behind::More),
                Ok(false) => Ok(Behind::Nothing),
                Err(source) => Err(self.failure(self.payload_error(source).into())),
            },
        }
    }

    /// Asks whether the copy still is what it was when it was opened.
    pub(super) fn check_unchanged(&self) -> Result<(), ChangeError> {
        match self {
            Self::Disk(disk) => disk.check_unchanged(),
            Self::Stream { .. } => Ok(()),
        }
    }

    /// Digests the whole copy as far as there is something to compare with: by blocks where possible, since that goes on
    /// all cores.
    pub(super) fn look(
        &self,
        wanted: &ContentDigests,
        style: ProgressStyle,
        cancel: &Cancel,
        pool: Option<&Pool>,
    ) -> Result<Looked, Failure> {
        let blksum = wanted.blocks.is_some();
        let digests = DigestChoice { blksum, sha256: !blksum, ..DigestChoice::default() };
        let drawn = progress::drawn(style, self.size());
        let options = Options { digests, pool: pool.cloned(), ..Options::default() };
        let read = digest(self.disk(), &options, drawn.as_ref(), cancel);
        drop(drawn);
        match read {
            Ok(digests) => Ok(Looked::Digests(digests)),
            Err(ExportError::Read(error)) => self.after_failed_read(error, wanted, style, cancel),
            Err(error) => Err(error.into()),
        }
    }

    /// A stream that ended is truncated, and a frame whose checksum is wrong is damage to be placed: the ranges are looked
    /// at one by one, where there are any. Whatever else can not be read is a failure.
    fn after_failed_read(
        &self,
        error: ReadError,
        wanted: &ContentDigests,
        style: ProgressStyle,
        cancel: &Cancel,
    ) -> Result<Looked, Failure> {
        match self {
            Self::Stream { input, .. } if kind(&error) == Some(io::ErrorKind::UnexpectedEof) => {
                Ok(Looked::Truncated { have: input.received() })
            }
            Self::Disk(_) if kind(&error) == Some(io::ErrorKind::InvalidData) => {
                let Some(blocks) = &wanted.blocks else { return Ok(Looked::Different(Vec::new())) };
                let ranges = differing(self, blocks, 0..blocks.ranges.len(), style, cancel)?;
                if ranges.is_empty() {
                    Err(self.failure(error.into()))
                } else {
                    Ok(Looked::Different(ranges))
                }
            }
            _ => Err(self.failure(error.into())),
        }
    }

    /// Compares a sample of ranges.
    pub(super) fn sampled(
        &self,
        blocks: &BlockSums,
        style: ProgressStyle,
        cancel: &Cancel,
    ) -> Result<(Verdict, Compared), Failure> {
        let sample = sample(blocks);
        let compared = Compared::Sample { compared: sample.len(), of: blocks.ranges.len() };
        let differing = differing(self, blocks, sample, style, cancel)?;
        Ok((if differing.is_empty() { Verdict::Equal } else { Verdict::Different(differing) }, compared))
    }

    /// Whether the file is the one that was written, where it says or its length suggests that it is. In a bare disk every
    /// byte has been compared by now; in other formats there are more.
    pub(super) fn compared_as_file(&self, artifact: &ArtifactProof) -> Result<Verdict, Failure> {
        let Self::Disk(disk) = self else { return Ok(Verdict::Equal) };
        let Some(expected) = artifact.sha256.filter(|_| self.is_artifact(artifact)) else {
            return Ok(Verdict::Equal);
        };
        let (have, want) = (disk.file_len(), artifact.size);
        if have < want {
            return Ok(Verdict::Truncated { have, want });
        }
        let found = Sha256Digest::of_source(disk.file());
        let found = found.map_err(|source| self.failure(self.payload_error(source).into()))?;
        Ok(if found == expected { Verdict::Equal } else { Verdict::OtherFile { expected, found } })
    }

    /// Whether the file seems to be the one that was written: a VHDX says who it is, another format has to be as long.
    pub(super) fn is_artifact(&self, artifact: &ArtifactProof) -> bool {
        let Self::Disk(disk) = self else { return false };
        let is_same = match (&artifact.options.data_write_guid, disk.data_write_guid()) {
            (Some(written), Some(found)) => *written == found,
            _ => disk.file_len() == artifact.size,
        };
        is_same && disk.format() == artifact.format && !disk.format().is_bare()
    }

    fn payload_error(&self, source: io::Error) -> ReadError {
        ReadError::Payload { layer: LayerIndex(0), at: FileOffset(0), len: self.size(), source }
    }

    pub(super) fn failure(&self, error: ExportError) -> Failure {
        match (self, error) {
            (Self::Disk(disk), ExportError::Read(error)) => disk.read_failure(error),
            (Self::Stream { .. }, ExportError::Read(source)) => {
                Failure::Read { path: PathBuf::from("-"), source }
            }
            (_, error) => Failure::Export(error),
        }
    }
}

/// Whether it is the copy that is at fault, and not the way to it. A flipped bit can also ask for what no reader knows, or
/// for more than any limit.
fn is_damage(error: &DiskError) -> bool {
    match error {
        DiskError::Resolve(ResolveError::Image { source, .. }) => {
            !matches!(source, ImageError::Io { .. } | ImageError::Changed { .. })
        }
        DiskError::Zstd { source, .. } => !matches!(
            source,
            ZstdDiskError::Table(SeekTableError::Io { .. })
                | ZstdDiskError::EmptyFrame(FrameError::Read { .. })
        ),
        _ => false,
    }
}

/// What the system said of a failed read.
fn kind(error: &ReadError) -> Option<io::ErrorKind> {
    match error {
        ReadError::Payload { source, .. } => Some(source.kind()),
        _ => None,
    }
}
