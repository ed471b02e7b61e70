//! The digests of a disk's content, in the form that the document has.
//!
//! In the document ranges and marks are two lists, so that the digests can be recomputed and compared with a few lines of
//! any language; here they are [`BlockSums`].

use std::fmt;

use export_sinks::{BLOCK_LEN, BlockSums, ContentDigests, MARK_LEN, Mark, RANGE_LEN, RangeSum, Sha256Digest};
use limits::manifest::RANGES_MAX;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bounded;
use crate::error::Inconsistency;

/// Digests over bytes 0 to the virtual size, zeros included: equal for every format of the same disk.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentProof {
    /// SHA-256 of the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256Digest>,
    /// The digests that are made of block digests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blksum: Option<BlockProof>,
}

/// See [`BlockSums`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockProof {
    value: Sha256Digest,
    block_size: u64,
    range_size: u64,
    #[serde(deserialize_with = "bounded::list::<_, _, RANGES_MAX>")]
    ranges: Vec<Option<Sha256Digest>>,
    mark_size: u64,
    #[serde(deserialize_with = "bounded::list::<_, _, RANGES_MAX>")]
    marks: Vec<Option<Marks>>,
}

impl ContentProof {
    /// What an export has found out.
    #[must_use]
    pub fn of(digests: &ContentDigests) -> Self {
        Self { sha256: digests.sha256, blksum: digests.blocks.as_ref().map(BlockProof::of) }
    }

    /// The digests to compare a copy with.
    #[must_use]
    pub fn digests(&self) -> ContentDigests {
        ContentDigests { sha256: self.sha256, blocks: self.blksum.as_ref().map(BlockProof::sums), runs: None }
    }

    /// That the lists fit a disk of that size.
    pub(crate) fn check(&self, virtual_size: u64) -> Result<(), Inconsistency> {
        self.blksum.as_ref().map_or(Ok(()), |blocks| blocks.check(virtual_size))
    }
}

impl BlockProof {
    fn of(sums: &BlockSums) -> Self {
        let ranges = sums.ranges.iter();
        Self {
            value: sums.blksum,
            block_size: BLOCK_LEN,
            range_size: RANGE_LEN,
            ranges: ranges.clone().map(|range| range.as_ref().map(|range| range.blksum)).collect(),
            mark_size: MARK_LEN,
            marks: ranges.map(|range| range.as_ref().map(|range| Marks(range.marks.clone()))).collect(),
        }
    }

    fn sums(&self) -> BlockSums {
        let ranges = self.ranges.iter().zip(&self.marks).map(|(blksum, marks)| {
            let (blksum, marks) = blksum.zip(marks.as_ref())?;
            Some(RangeSum { blksum, marks: marks.0.clone() })
        });
        BlockSums { blksum: self.value, ranges: ranges.collect() }
    }

    fn check(&self, virtual_size: u64) -> Result<(), Inconsistency> {
        for (field, found, expected) in [
            ("block_size", self.block_size, BLOCK_LEN),
            ("range_size", self.range_size, RANGE_LEN),
            ("mark_size", self.mark_size, MARK_LEN),
        ] {
            if found != expected {
                return Err(Inconsistency::Unit { field, found, expected });
            }
        }
        let expected = virtual_size.div_ceil(RANGE_LEN);
        for (field, found) in [("ranges", self.ranges.len()), ("marks", self.marks.len())] {
            if found as u64 != expected {
                return Err(Inconsistency::Count { field, found: found as u64, expected });
            }
        }
        let mut rest = virtual_size;
        for (range, (blksum, marks)) in self.ranges.iter().zip(&self.marks).enumerate() {
            let wanted = rest.min(RANGE_LEN).div_ceil(MARK_LEN);
            let found = marks.as_ref().map(|marks| marks.0.len() as u64);
            if found != blksum.map(|_| wanted) {
                return Err(Inconsistency::Marks { range });
            }
            rest = rest.saturating_sub(RANGE_LEN);
        }
        Ok(())
    }
}

/// Marks one after the other, four hexadecimal digits each.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Marks(Vec<Mark>);

impl fmt::Display for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().flatten().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Marks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Marks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        let (marks, rest) = digits.as_bytes().as_chunks::<4>();
        let marks: Option<Vec<Mark>> = marks.iter().copied().map(mark).collect();
        let marks = marks.filter(|_| rest.is_empty());
        marks.map(Marks).ok_or_else(|| serde::de::Error::custom("marks are four hexadecimal digits each"))
    }
}

fn mark(digits: [u8; 4]) -> Option<Mark> {
    let is_digit = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    let digits = std::str::from_utf8(&digits).ok().filter(|_| digits.iter().all(is_digit))?;
    u16::from_str_radix(digits, 16).ok().map(u16::to_be_bytes)
}
