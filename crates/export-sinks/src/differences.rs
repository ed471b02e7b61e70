//! Where two disks of the same size differ, as closely as their block digests tell.

use vhdx_format::{DiskOffset, DiskRange};

use crate::{BlockSums, MARK_LEN, RANGE_LEN, RangeSum};

/// A range that differs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Difference {
    /// The range: [`RANGE_LEN`], or the rest of the disk.
    pub range: DiskRange,
    /// The first block of [`MARK_LEN`] in it that differs; `None` if the marks do not tell, as by a rare chance.
    pub first_block: Option<DiskRange>,
}

/// The ranges in which two disks of `size` bytes differ, ascending.
#[must_use]
pub fn differences(a: &BlockSums, b: &BlockSums, size: u64) -> Vec<Difference> {
    let disk = DiskRange::new(DiskOffset(0), DiskOffset(size));
    let pairs = a.ranges.iter().zip(&b.ranges).zip(parts(disk, RANGE_LEN));
    pairs.filter_map(|((a, b), range)| difference(a.as_ref(), b.as_ref(), range)).collect()
}

/// How two disks differ in a range, by their digests of it; `None` for zeros.
#[must_use]
pub fn difference(a: Option<&RangeSum>, b: Option<&RangeSum>, range: DiskRange) -> Option<Difference> {
    if a.map(|sum| sum.blksum) == b.map(|sum| sum.blksum) {
        return None;
    }
    // A range of zeros has no marks: those of zeros stand in for them.
    let marks =
        |sum: Option<&RangeSum>| sum.cloned().unwrap_or_else(|| RangeSum::of_zeros(range.len())).marks;
    let (a, b) = (marks(a), marks(b));
    let mut blocks = a.iter().zip(&b).zip(parts(range, MARK_LEN));
    let first_block = blocks.find_map(|((a, b), block)| (a != b).then_some(block));
    Some(Difference { range, first_block })
}

/// A range cut into parts of that length; the last one may be shorter.
fn parts(whole: DiskRange, len: u64) -> impl Iterator<Item = DiskRange> {
    let mut start = whole.start();
    std::iter::from_fn(move || {
        let end = DiskOffset(start.0.saturating_add(len)).min(whole.end());
        let part = DiskRange::new(start, end);
        start = end;
        (!part.is_empty()).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sha256Digest;

    const SIZE: u64 = 2 * RANGE_LEN + MARK_LEN / 2;

    fn sum(byte: u8, marks: usize) -> RangeSum {
        RangeSum { blksum: Sha256Digest([byte; 32]), marks: vec![[byte; 2]; marks] }
    }

    fn sums(ranges: [Option<RangeSum>; 3]) -> BlockSums {
        BlockSums { blksum: Sha256Digest([0; 32]), ranges: ranges.into() }
    }

    fn range(start: u64, end: u64) -> DiskRange {
        DiskRange::new(DiskOffset(start), DiskOffset(end))
    }

    #[test]
    fn ranges_are_named_with_the_first_block_that_differs() {
        let disk = sums([Some(sum(2, 64)), None, Some(sum(3, 1))]);
        assert_eq!(differences(&disk, &disk, SIZE), []);
        let mut first = sum(2, 64);
        (first.blksum, first.marks[9]) = (Sha256Digest([9; 32]), [9, 9]);
        let other = sums([Some(first), Some(sum(4, 64)), Some(sum(3, 1))]);
        let expected = [
            Difference { range: range(0, RANGE_LEN), first_block: Some(range(9 * MARK_LEN, 10 * MARK_LEN)) },
            Difference {
                range: range(RANGE_LEN, 2 * RANGE_LEN),
                first_block: Some(range(RANGE_LEN, RANGE_LEN + MARK_LEN)),
            },
        ];
        assert_eq!(differences(&disk, &other, SIZE), expected);
    }

    #[test]
    fn marks_that_are_equal_by_chance_hide_the_block_and_not_the_range() {
        let disk = sums([None, None, Some(sum(3, 1))]);
        let last = RangeSum { blksum: Sha256Digest([9; 32]), ..sum(3, 1) };
        let expected = Difference { range: range(2 * RANGE_LEN, SIZE), first_block: None };
        assert_eq!(differences(&disk, &sums([None, None, Some(last)]), SIZE), [expected]);
    }
}
