//! What a copy's digests say about it, held against a manifest's.
//!
//! The two kinds of digests of the same content must agree: where the whole is right and a part is not, it is the
//! manifest that is damaged.

use export_sinks::{BlockSums, ContentDigests, MARK_LEN, RANGE_LEN, RangeSum, Sha256Digest};

/// How a copy compares.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// Every digest that both have is equal, and there is at least one.
    Equal,
    /// The copy is another disk, in these ranges; none where only the SHA-256 of the whole is known.
    Different(Vec<DifferingRange>),
    /// The whole is equal and a part is not, or the other way round: the manifest contradicts itself.
    ManifestDamaged,
    /// Nothing to compare.
    NoDigests,
}

/// A range in which a copy differs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DifferingRange {
    /// Where it starts on the disk, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
    /// Where the first block of [`MARK_LEN`] starts that differs, in bytes; `None` if the marks do not tell.
    pub first_block: Option<u64>,
}

/// Compares the digests of a copy of `size` bytes with those of its manifest.
#[must_use]
pub fn compare(wanted: &ContentDigests, found: &ContentDigests, size: u64) -> Comparison {
    let sha256 = wanted.sha256.zip(found.sha256).map(|(wanted, found)| wanted == found);
    let blocks = wanted.blocks.as_ref().zip(found.blocks.as_ref());
    let ranges = blocks.map(|(wanted, found)| differing_ranges(wanted, found, size)).unwrap_or_default();
    let whole = blocks.map(|(wanted, found)| wanted.blksum == found.blksum);
    let parts = blocks.map(|_| ranges.is_empty());
    let mut verdicts = [sha256, whole, parts].into_iter().flatten();
    match verdicts.next() {
        None => Comparison::NoDigests,
        Some(first) if verdicts.any(|verdict| verdict != first) => Comparison::ManifestDamaged,
        Some(true) => Comparison::Equal,
        Some(false) => Comparison::Different(ranges),
    }
}

fn differing_ranges(wanted: &BlockSums, found: &BlockSums, size: u64) -> Vec<DifferingRange> {
    let pairs = wanted.ranges.iter().zip(&found.ranges).zip(0_u64..);
    let differing = pairs.filter(|((wanted, found), _)| digest(wanted.as_ref()) != digest(found.as_ref()));
    differing
        .map(|((wanted, found), number)| differing_range(wanted.as_ref(), found.as_ref(), number, size))
        .collect()
}

fn digest(range: Option<&RangeSum>) -> Option<Sha256Digest> {
    range.map(|range| range.blksum)
}

fn differing_range(
    wanted: Option<&RangeSum>,
    found: Option<&RangeSum>,
    number: u64,
    size: u64,
) -> DifferingRange {
    let offset = number.saturating_mul(RANGE_LEN);
    let len = size.saturating_sub(offset).min(RANGE_LEN);
    // A range of zeros has no marks: those of zeros stand in for them.
    let marks = |range: Option<&RangeSum>| range.cloned().unwrap_or_else(|| RangeSum::of_zeros(len)).marks;
    let first = marks(wanted).iter().zip(&marks(found)).position(|(wanted, found)| wanted != found);
    let first_block = first.map(|index| offset.saturating_add((index as u64).saturating_mul(MARK_LEN)));
    DifferingRange { offset, len, first_block }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 2 * RANGE_LEN + MARK_LEN / 2;

    fn range(byte: u8, marks: usize) -> RangeSum {
        RangeSum { blksum: Sha256Digest([byte; 32]), marks: vec![[byte; 2]; marks] }
    }

    fn digests(whole: u8, ranges: [Option<RangeSum>; 3]) -> ContentDigests {
        let blocks = BlockSums { blksum: Sha256Digest([whole; 32]), ranges: ranges.into() };
        ContentDigests { sha256: Some(Sha256Digest([whole; 32])), blocks: Some(blocks), runs: None }
    }

    fn disk() -> ContentDigests {
        digests(1, [Some(range(2, 64)), None, Some(range(3, 1))])
    }

    #[test]
    fn equal_digests_are_equal_whichever_there_are() {
        let whole = ContentDigests { blocks: None, ..disk() };
        let blocks = ContentDigests { sha256: None, ..disk() };
        for (wanted, found) in [(disk(), disk()), (whole.clone(), disk()), (disk(), blocks.clone())] {
            assert_eq!(compare(&wanted, &found, SIZE), Comparison::Equal);
        }
        assert_eq!(compare(&whole, &blocks, SIZE), Comparison::NoDigests);
    }

    #[test]
    fn differing_ranges_are_named_with_the_first_block_that_differs() {
        let mut first = range(2, 64);
        (first.blksum, first.marks[9]) = (Sha256Digest([9; 32]), [9, 9]);
        let found = digests(9, [Some(first), Some(range(4, 64)), Some(range(3, 1))]);
        let differing = |offset, len, first_block| DifferingRange { offset, len, first_block };
        let expected = vec![
            differing(0, RANGE_LEN, Some(9 * MARK_LEN)),
            differing(RANGE_LEN, RANGE_LEN, Some(RANGE_LEN)),
        ];
        assert_eq!(compare(&disk(), &found, SIZE), Comparison::Different(expected));
        // By a rare chance marks are equal where the range is not.
        let mut last = range(3, 1);
        last.blksum = Sha256Digest([9; 32]);
        let found = digests(9, [Some(range(2, 64)), None, Some(last)]);
        let expected = vec![differing(2 * RANGE_LEN, MARK_LEN / 2, None)];
        assert_eq!(compare(&disk(), &found, SIZE), Comparison::Different(expected));
    }

    #[test]
    fn digests_that_can_not_all_be_right_are_the_manifests_fault() {
        let damaged = digests(1, [Some(range(7, 64)), None, Some(range(3, 1))]);
        assert_eq!(compare(&damaged, &disk(), SIZE), Comparison::ManifestDamaged);
        let damaged = digests(7, [Some(range(2, 64)), None, Some(range(3, 1))]);
        assert_eq!(compare(&damaged, &disk(), SIZE), Comparison::ManifestDamaged);
        let damaged = ContentDigests { sha256: Some(Sha256Digest([7; 32])), ..disk() };
        assert_eq!(compare(&damaged, &disk(), SIZE), Comparison::ManifestDamaged);
    }
}
