//! The ranges of a copy, one by one: for placing damage, and for a sample.

use std::collections::BTreeSet;
use std::io;
use std::num::NonZeroUsize;

use export_sinks::{
    BlockSums, Cancel, Difference, DigestChoice, ExportError, MARK_LEN, NoProgress, Options, Part, RANGE_LEN,
    RangeSum, Tally, difference, digest,
};
use vhdx_format::{DiskOffset, DiskRange, ReadError};

use super::restored::Restored;
use crate::args::ProgressStyle;
use crate::failure::Failure;
use crate::progress;

/// Ranges of a sample at the most, half of them of those that should hold data: 4 GiB are read in seconds, and damage to
/// a tenth of the disk is hardly missed.
const SAMPLE: usize = 64;

/// What a range of a copy holds.
enum Found {
    /// `None` for nothing but zeros.
    Sum(Option<RangeSum>),
    /// What lies there is damaged and can not be read.
    Damaged(DiskOffset),
}

/// Those of the ranges that differ from what is wanted.
pub(super) fn differing(
    restored: &Restored,
    wanted: &BlockSums,
    ranges: impl IntoIterator<Item = usize>,
    style: ProgressStyle,
    cancel: &Cancel,
) -> Result<Vec<Difference>, Failure> {
    let drawn = progress::drawn(style, restored.size());
    let mut differing = Vec::new();
    for index in ranges {
        let range = range_at(index, restored.size());
        let wanted = wanted.ranges.get(index).and_then(Option::as_ref);
        match found(restored, range, Options::default().threads, cancel)? {
            Found::Sum(found) => differing.extend(difference(wanted, found.as_ref(), range)),
            Found::Damaged(_) => differing.push(damaged(restored, wanted, range, cancel)?),
        }
        drawn.advance(Tally { data: range.end().0, zeros: 0 });
    }
    Ok(differing)
}

fn found(
    restored: &Restored,
    range: DiskRange,
    threads: NonZeroUsize,
    cancel: &Cancel,
) -> Result<Found, Failure> {
    let part = Part::new(restored.disk(), range).map_err(Failure::Part)?;
    let digests = DigestChoice { blksum: true, ..DigestChoice::default() };
    match digest(&part, &Options { digests, threads, pool: None }, &NoProgress, cancel) {
        Ok(found) => {
            let sums = found.blocks.map(|blocks| blocks.ranges).unwrap_or_default();
            Ok(Found::Sum(sums.into_iter().next().flatten()))
        }
        // The bytes of compressed disks are addressed by where they lie on the disk.
        Err(ExportError::Read(ReadError::Payload { at, source, .. }))
            if source.kind() == io::ErrorKind::InvalidData =>
        {
            Ok(Found::Damaged(DiskOffset(at.0)))
        }
        Err(error) => Err(restored.failure(error)),
    }
}

/// The difference of a range with damage in it: the first one may lie before the damage. One thread reads in order, so
/// the damage that it meets is the first.
fn damaged(
    restored: &Restored,
    wanted: Option<&RangeSum>,
    range: DiskRange,
    cancel: &Cancel,
) -> Result<Difference, Failure> {
    let Found::Damaged(at) = found(restored, range, NonZeroUsize::MIN, cancel)? else {
        return Ok(Difference { range, first_block: None });
    };
    let before = DiskRange::new(range.start(), at);
    let readable = if before.is_empty() {
        Found::Sum(None)
    } else {
        found(restored, before, NonZeroUsize::MIN, cancel)?
    };
    let Found::Sum(readable) = readable else { return Ok(Difference { range, first_block: None }) };
    let marks = |sum: Option<&RangeSum>, len| sum.cloned().unwrap_or_else(|| RangeSum::of_zeros(len)).marks;
    let (wanted, found) = (marks(wanted, range.len()), marks(readable.as_ref(), before.len()));
    let first = wanted.iter().zip(&found).position(|(wanted, found)| wanted != found);
    let first = first.map_or(at, |mark| DiskOffset(range.start().0.saturating_add(mark as u64 * MARK_LEN)));
    Ok(Difference { range, first_block: Some(block_at(first, range)) })
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

/// Ranges evenly spread over those with data and over those without; always the first and the last.
pub(super) fn sample(blocks: &BlockSums) -> BTreeSet<usize> {
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
    use export_sinks::Sha256Digest;

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
    fn the_last_range_and_its_last_block_end_with_the_disk() {
        let range = range_at(3, 4 * RANGE_LEN - 512);
        assert_eq!(range.len(), RANGE_LEN - 512);
        assert_eq!(block_at(DiskOffset(range.end().0 - 1), range).len(), MARK_LEN - 512);
        assert_eq!(
            block_at(range.start(), range),
            DiskRange::new(range.start(), DiskOffset(range.start().0 + MARK_LEN))
        );
    }
}
