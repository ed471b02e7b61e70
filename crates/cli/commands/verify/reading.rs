//! Reading a copy: whole, by ranges, or a sample of ranges.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chain_resolve::ResolveError;
use export_manifest::ArtifactProof;
use export_sinks::{
    BlockSums, Cancel, ContentDigests, Difference, DigestChoice, ExportError, MARK_LEN, NoProgress, Options,
    Part, Progress, RANGE_LEN, RangeSum, Sha256Digest, differences, digest,
};
use raw_format::{RawDisk, RawError, SeekTableError, ZstdDiskError};
use vhdx_format::{
    DiskOffset, DiskRange, FileOffset, Geometry, ImageError, LayerIndex, ReadError, VirtualDisk,
};

use super::{Extent, Verdict};
use crate::args::{ChoiceArgs, ProgressStyle};
use crate::disk::{Disk, DiskError};
use crate::failure::{Failure, with_sources};
use crate::stream::InOrder;
use crate::{plan, progress};

/// A copy that is open.
pub(super) enum Copy {
    Disk(Disk),
    /// The bare disk on standard input.
    Stream {
        disk: RawDisk<Arc<InOrder<io::Stdin>>>,
        input: Arc<InOrder<io::Stdin>>,
    },
}

/// What reading a copy gave.
pub(super) enum Read {
    Digests(ContentDigests),
    /// Ranges differ for sure, because what they hold can not be read.
    Different(Vec<Difference>),
    Truncated {
        have: u64,
    },
}

/// Ranges of a sample at the most, half of them of those that should hold data: 4 GiB are read in seconds, and damage to
/// a tenth of the disk is hardly missed.
const SAMPLE: usize = 64;

impl Copy {
    pub(super) fn stream(geometry: Geometry) -> Result<Self, Failure> {
        let input = Arc::new(InOrder::new(io::stdin(), geometry.size()));
        let disk = RawDisk::new(Arc::clone(&input), geometry);
        let raw = |source| DiskError::Raw { path: PathBuf::from("-"), source };
        Ok(Self::Stream { disk: disk.map_err(raw)?, input })
    }

    /// Opens the file or device. What is found to be no copy of that disk is a verdict, not a failure.
    pub(super) fn open(
        path: &Path,
        parent_dirs: &[PathBuf],
        geometry: Geometry,
    ) -> Result<Result<Self, Verdict>, Failure> {
        let choice = ChoiceArgs {
            vm: None,
            checkpoint: None,
            disk: None,
            parent_dir: parent_dirs.to_vec(),
            sector_size: None,
        };
        let policy = plan::selection_in(path, &choice, None)?.policy;
        match Disk::open_copy(path, &policy, geometry) {
            Ok(disk) => Ok(Ok(Self::Disk(disk))),
            Err(DiskError::Raw { source: RawError::Truncated { have, need }, .. }) => {
                Ok(Err(Verdict::Truncated { have, want: need }))
            }
            Err(error) if is_damage(&error) => Ok(Err(Verdict::Unreadable(with_sources(&error)))),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn format(&self) -> &'static str {
        match self {
            Self::Disk(disk) => disk.format(),
            Self::Stream { .. } => "raw",
        }
    }

    fn disk(&self) -> &dyn VirtualDisk {
        match self {
            Self::Disk(disk) => disk,
            Self::Stream { disk, .. } => disk,
        }
    }

    /// Size of the disk that it holds.
    pub(super) fn size(&self) -> u64 {
        self.disk().geometry().size()
    }

    /// Bytes of a raw copy that lie behind the disk.
    pub(super) fn behind(&self) -> u64 {
        match self {
            Self::Disk(disk) if matches!(disk.format(), "raw" | "device") => {
                disk.file_len().saturating_sub(self.size())
            }
            _ => 0,
        }
    }

    /// Digests the whole copy as far as there is something to compare with: by blocks where possible, since that goes on
    /// all cores.
    pub(super) fn read(
        &self,
        wanted: &ContentDigests,
        style: ProgressStyle,
        cancel: &Cancel,
    ) -> Result<Read, Failure> {
        let blksum = wanted.blocks.is_some();
        let choice = DigestChoice { blksum, sha256: !blksum, ..DigestChoice::default() };
        let drawn = progress::drawn(style, self.size());
        let read = digests(self.disk(), choice, drawn.as_ref(), cancel);
        drop(drawn);
        match read {
            Ok(digests) => {
                if let Self::Disk(disk) = self {
                    disk.check_unchanged()?;
                }
                Ok(Read::Digests(digests))
            }
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
    ) -> Result<Read, Failure> {
        match (self, &wanted.blocks) {
            (Self::Stream { input, .. }, _) if kind(&error) == Some(io::ErrorKind::UnexpectedEof) => {
                Ok(Read::Truncated { have: input.received() })
            }
            (Self::Disk(_), blocks) if kind(&error) == Some(io::ErrorKind::InvalidData) => {
                let Some(blocks) = blocks else { return Ok(Read::Different(Vec::new())) };
                let all = 0..blocks.ranges.len();
                Ok(Read::Different(self.differing(blocks, all, style, cancel)?))
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
    ) -> Result<(Verdict, Extent), Failure> {
        let sample = sample(blocks);
        let extent = Extent::Sample { compared: sample.len(), of: blocks.ranges.len() };
        let differing = self.differing(blocks, sample, style, cancel)?;
        let verdict = if differing.is_empty() { Verdict::Equal } else { Verdict::Different(differing) };
        Ok((verdict, extent))
    }

    /// Those of the ranges that differ.
    fn differing(
        &self,
        wanted: &BlockSums,
        ranges: impl IntoIterator<Item = usize>,
        style: ProgressStyle,
        cancel: &Cancel,
    ) -> Result<Vec<Difference>, Failure> {
        let drawn = progress::drawn(style, self.size());
        let mut differing = Vec::new();
        for index in ranges {
            let range = range_at(index, self.size());
            let wanted = wanted.ranges.get(index).cloned().flatten();
            match self.range_sum(range, cancel)? {
                Ok(found) => differing.extend(difference(wanted, found, range)),
                Err(at) => differing.push(Difference { range, first_block: Some(block_at(at, range)) }),
            }
            let done = export_sinks::Tally { data: range.end().0, zeros: 0 };
            drawn.advance(done);
        }
        Ok(differing)
    }

    /// The digests of one range, or where in it damage was met.
    fn range_sum(
        &self,
        range: DiskRange,
        cancel: &Cancel,
    ) -> Result<Result<Option<RangeSum>, DiskOffset>, Failure> {
        let choice = DigestChoice { blksum: true, ..DigestChoice::default() };
        let Ok(part) = Part::new(self.disk(), range) else { return Ok(Ok(None)) };
        match digests(&part, choice, &NoProgress, cancel) {
            Ok(found) => Ok(Ok(found.blocks.and_then(|blocks| blocks.ranges.into_iter().next().flatten()))),
            Err(ExportError::Read(error)) if kind(&error) == Some(io::ErrorKind::InvalidData) => {
                // The bytes of compressed disks are addressed by where they lie on the disk.
                let at = match &error {
                    ReadError::Payload { at, .. } => DiskOffset(at.0),
                    _ => range.start(),
                };
                Ok(Err(at))
            }
            Err(error) => Err(self.failure(error)),
        }
    }

    /// Whether the file is the one that was written, where its name and its length say that it could be: in a bare disk
    /// every byte has been compared by now, in other formats there are more.
    pub(super) fn compared_as_file(&self, artifact: &ArtifactProof) -> Result<Verdict, Failure> {
        let Self::Disk(disk) = self else { return Ok(Verdict::Equal) };
        let is_bare = matches!(disk.format(), "raw" | "device");
        let may_be_it = disk.format() == artifact.format && disk.file_len() == artifact.size;
        let Some(expected) = artifact.sha256.filter(|_| may_be_it && !is_bare) else {
            return Ok(Verdict::Equal);
        };
        let Some(file) = disk.file() else { return Ok(Verdict::Equal) };
        let (layer, at, len) = (LayerIndex(0), FileOffset(0), artifact.size);
        let failed = |source| disk.read_failure(ReadError::Payload { layer, at, len, source });
        let found = Sha256Digest::of_source(file).map_err(failed)?;
        Ok(if found == expected { Verdict::Equal } else { Verdict::OtherFile { expected, found } })
    }

    fn failure(&self, error: ExportError) -> Failure {
        match (self, error) {
            (Self::Disk(disk), ExportError::Read(error)) => disk.read_failure(error),
            (Self::Stream { .. }, ExportError::Read(source)) => {
                Failure::Read { path: PathBuf::from("-"), source }
            }
            (_, error) => Failure::Export(error),
        }
    }
}

fn digests(
    disk: &dyn VirtualDisk,
    choice: DigestChoice,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<ContentDigests, ExportError> {
    digest(disk, &Options { digests: choice, ..Options::default() }, progress, cancel)
}

/// Whether it is the copy that is at fault, and not the way to it.
fn is_damage(error: &DiskError) -> bool {
    match error {
        DiskError::Resolve(ResolveError::Image { source, .. }) => !matches!(source, ImageError::Io { .. }),
        DiskError::Zstd { source: ZstdDiskError::Table(SeekTableError::Io { .. }), .. } => false,
        DiskError::Zstd { .. } => true,
        _ => false,
    }
}

fn kind(error: &ReadError) -> Option<io::ErrorKind> {
    match error {
        ReadError::Payload { source, .. } => Some(source.kind()),
        _ => None,
    }
}

fn range_at(index: usize, size: u64) -> DiskRange {
    let start = (index as u64).saturating_mul(RANGE_LEN).min(size);
    DiskRange::new(DiskOffset(start), DiskOffset(start.saturating_add(RANGE_LEN).min(size)))
}

/// The block of [`MARK_LEN`] that a position of a range lies in.
fn block_at(at: DiskOffset, range: DiskRange) -> DiskRange {
    let inside = at.since(range.start()) / MARK_LEN * MARK_LEN;
    let start = DiskOffset(range.start().0.saturating_add(inside)).min(range.end());
    DiskRange::new(start, DiskOffset(start.0.saturating_add(MARK_LEN)).min(range.end()))
}

/// How two ranges at the same place differ, if they do.
fn difference(wanted: Option<RangeSum>, found: Option<RangeSum>, range: DiskRange) -> Option<Difference> {
    let alone = |sum| BlockSums { blksum: Sha256Digest([0; 32]), ranges: vec![sum] };
    let difference = differences(&alone(wanted), &alone(found), range.len()).into_iter().next()?;
    let moved = |part: DiskRange| {
        let by = |at: DiskOffset| DiskOffset(range.start().0.saturating_add(at.0));
        DiskRange::new(by(part.start()), by(part.end()))
    };
    Some(Difference { range, first_block: difference.first_block.map(moved) })
}

/// Ranges evenly spread over those with data and over those without; always the first and the last.
fn sample(blocks: &BlockSums) -> BTreeSet<usize> {
    let indices = 0..blocks.ranges.len();
    let (data, zeros): (Vec<usize>, Vec<usize>) =
        indices.clone().partition(|&index| blocks.ranges.get(index).is_some_and(Option::is_some));
    let ends = [0, blocks.ranges.len().saturating_sub(1)].into_iter().filter(|index| indices.contains(index));
    let half = SAMPLE / 2 - 1;
    spread(&data, half).chain(spread(&zeros, half)).chain(ends).collect()
}

fn spread(all: &[usize], most: usize) -> impl Iterator<Item = usize> {
    let step = all.len().div_ceil(most).max(1);
    all.iter().copied().step_by(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_bounded_and_has_both_ends_data_and_zeros() {
        let range = || Some(RangeSum { blksum: Sha256Digest([1; 32]), marks: Vec::new() });
        for (count, every) in [(1, 1), (2, 1), (100, 7), (100_000, 1000), (100_000, 2)] {
            let ranges = (0..count).map(|index| if index % every == 0 { range() } else { None });
            let blocks = BlockSums { blksum: Sha256Digest([0; 32]), ranges: ranges.collect() };
            let sample = sample(&blocks);
            assert!(sample.len() <= SAMPLE);
            assert!(sample.contains(&0) && sample.contains(&(count - 1)));
            assert!(count < 100 || sample.iter().filter(|&&index| index % every == 0).count() > 10);
        }
    }

    #[test]
    fn a_difference_keeps_its_place() {
        let range = range_at(3, 4 * RANGE_LEN - 512);
        assert_eq!(range.len(), RANGE_LEN - 512);
        let found =
            difference(None, Some(RangeSum { marks: vec![[0xff; 2]; 64], ..RangeSum::of_zeros(512) }), range);
        let found = found.unwrap();
        assert_eq!(found.range, range);
        assert_eq!(
            found.first_block,
            Some(DiskRange::new(range.start(), DiskOffset(range.start().0 + MARK_LEN)))
        );
    }
}
