//! What a copy's digests say about it, held against a manifest's.
//!
//! The two kinds of digests of the same content must agree: where the whole is right and a part is not, it is the
//! manifest that is damaged.

use export_sinks::{ContentDigests, Difference, differences};

/// How a copy compares.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// Every digest that both have is equal, and there is at least one.
    Equal,
    /// The copy is another disk, in these ranges; none where only the SHA-256 of the whole is known.
    Different(Vec<Difference>),
    /// The whole is equal and a part is not, or the other way round: the manifest contradicts itself.
    ManifestDamaged,
    /// Nothing to compare.
    NoDigests,
}

/// Compares the digests of a copy of `size` bytes with those of its manifest.
#[must_use]
pub fn compare(wanted: &ContentDigests, found: &ContentDigests, size: u64) -> Comparison {
    let sha256 = wanted.sha256.zip(found.sha256).map(|(wanted, found)| wanted == found);
    let blocks = wanted.blocks.as_ref().zip(found.blocks.as_ref());
    let ranges = blocks.map(|(wanted, found)| differences(wanted, found, size)).unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use export_sinks::{BlockSums, MARK_LEN, RANGE_LEN, RangeSum, Sha256Digest};

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
    fn a_different_whole_has_its_different_ranges() {
        let found = digests(9, [Some(range(2, 64)), None, Some(range(4, 1))]);
        let Comparison::Different(ranges) = compare(&disk(), &found, SIZE) else { panic!() };
        assert_eq!(ranges.len(), 1);
        assert_eq!(ranges[0].range.start().0, 2 * RANGE_LEN);
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
