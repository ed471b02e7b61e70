//! Digests made of block digests: of the whole disk, and of its parts.
//!
//! The construction is that of the tool `blksum`: with H = SHA-256 and blocks b1 … bN of 64 KiB, the last one as long as
//! it is, `blksum = H(H(b1) ‖ … ‖ H(bN) ‖ length as 64 bits, little-endian)`. Blocks are digested in any order, on any
//! number of threads, and the digest of a block of zeros is known beforehand, so time goes with the data there is.
//!
//! The same construction over 64 MiB at a time tells which range of a copy differs, and two bytes of the one over each
//! MiB where in the range to look.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};
use vhdx_format::{DiskOffset, DiskRange};

use crate::digest::Hashed;
use crate::{FilledPiece, Sha256Digest, zeros};

/// Length of a block in bytes: the one that `blksum` has by default.
pub const BLOCK_LEN: u64 = 64 << 10;
/// Length of a range in bytes: 1 MiB of digests for each TiB of data.
pub const RANGE_LEN: u64 = 64 << 20;
/// Length in bytes of what a mark stands for.
pub const MARK_LEN: u64 = 1 << 20;

const BLOCKS_IN_RANGE: u64 = RANGE_LEN / BLOCK_LEN;

/// The digests that are made of block digests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockSums {
    /// Of the whole disk.
    pub blksum: Sha256Digest,
    /// Of each range of [`RANGE_LEN`], the last one as long as it is; `None` where there are nothing but zeros.
    pub ranges: Vec<Option<RangeSum>>,
}

/// The digests of one range.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RangeSum {
    /// Of the range, as if it were a disk.
    pub blksum: Sha256Digest,
    /// One for each [`MARK_LEN`] of the range. Marks prove nothing, they only say where a range differs.
    pub marks: Vec<Mark>,
}

/// The first two bytes of a blksum.
pub type Mark = [u8; 2];

impl BlockSums {
    /// Where the bytes that `other` was made of first differ, as closely as can be told: the [`MARK_LEN`] or else the
    /// [`RANGE_LEN`]. Both are of `disk`.
    #[must_use]
    pub fn first_difference(&self, other: &Self, disk: DiskRange) -> Option<DiskRange> {
        if self == other {
            return None;
        }
        let index = self.ranges.iter().zip(&other.ranges).position(|(a, b)| a != b);
        let Some((index, range)) = index.and_then(|index| Some((index, part(disk, index, RANGE_LEN)?)))
        else {
            return Some(disk);
        };
        let [ours, theirs] = [self, other].map(|sums| marks(sums.ranges.get(index), range.len()));
        let mark = ours.iter().zip(&theirs).position(|(a, b)| a != b);
        Some(mark.and_then(|mark| part(range, mark, MARK_LEN)).unwrap_or(range))
    }
}

/// The part of that index, where all but the last one have the same length.
fn part(whole: DiskRange, index: usize, len: u64) -> Option<DiskRange> {
    let start = DiskOffset(len.checked_mul(index as u64)?.checked_add(whole.start().0)?);
    let end = DiskOffset(start.0.checked_add(len)?).min(whole.end());
    (start < end).then(|| DiskRange::new(start, end))
}

/// The marks of a range `len` bytes long, also where it is nothing but zeros.
fn marks(range: Option<&Option<RangeSum>>, len: u64) -> Vec<Mark> {
    match range {
        Some(Some(sum)) => sum.marks.clone(),
        _ => RangeSummer::of_zeros(len).marks,
    }
}

/// The digest of a whole block of zeros.
static ZERO_BLOCK: LazyLock<Sha256Digest> = LazyLock::new(|| digest_of_zeros(BLOCK_LEN));
/// That digest as often as a range has blocks, one after the other.
static ZERO_RANGE: LazyLock<Vec<u8>> = LazyLock::new(|| ZERO_BLOCK.0.repeat(BLOCKS_IN_RANGE as usize));

fn digest_of_zeros(len: u64) -> Sha256Digest {
    let mut hashed = Hashed::default();
    // Digesting can not fail.
    let _ = zeros::write_to(&mut hashed, len);
    hashed.finish()
}

/// The digest of a block of zeros, the last one of a disk perhaps.
fn zero_block(len: u64) -> Sha256Digest {
    if len == BLOCK_LEN { *ZERO_BLOCK } else { digest_of_zeros(len) }
}

/// Puts block digests together.
struct Outer {
    hasher: Sha256,
    len: u64,
}

impl Outer {
    fn new() -> Self {
        Self { hasher: Sha256::new(), len: 0 }
    }

    fn push(&mut self, block: Sha256Digest, len: u64) {
        self.hasher.update(block.0);
        self.len = self.len.saturating_add(len);
    }

    fn push_zero_range(&mut self) {
        self.hasher.update(&*ZERO_RANGE);
        self.len = self.len.saturating_add(RANGE_LEN);
    }

    fn finish(mut self) -> Sha256Digest {
        self.hasher.update(self.len.to_le_bytes());
        Sha256Digest::finish(self.hasher)
    }
}

/// The digests of the blocks of one piece: what may be found out in any order.
#[derive(Debug)]
pub(crate) enum PieceBlocks {
    /// There are nothing but zeros.
    Zeros,
    /// One for each block; `None` for a block of zeros.
    Each(Vec<Option<Sha256Digest>>),
}

impl PieceBlocks {
    pub(crate) fn of(piece: &FilledPiece) -> Self {
        let Some(bytes) = piece.bytes() else { return Self::Zeros };
        let digest = |block: &[u8]| (!zeros::is_zero(block)).then(|| Sha256Digest::of(block));
        Self::Each(bytes.chunks(BLOCK_LEN as usize).map(digest).collect())
    }
}

/// Puts the digests of pieces together, in disk order.
pub(crate) struct BlockSummer {
    whole: Outer,
    range: RangeSummer,
    ranges: Vec<Option<RangeSum>>,
}

impl BlockSummer {
    pub(crate) fn new() -> Self {
        Self { whole: Outer::new(), range: RangeSummer::new(), ranges: Vec::new() }
    }

    /// Takes the next piece, `len` bytes long.
    pub(crate) fn push(&mut self, len: u64, blocks: &PieceBlocks) {
        let mut rest = len;
        match blocks {
            PieceBlocks::Zeros => {
                while rest > 0 {
                    rest = rest.saturating_sub(self.push_zeros(rest));
                }
            }
            PieceBlocks::Each(digests) => {
                for digest in digests {
                    let len = rest.min(BLOCK_LEN);
                    self.push_block(*digest, len);
                    rest = rest.saturating_sub(len);
                }
            }
        }
    }

    /// Takes a range of zeros if one fits, else a block; says how much that was.
    fn push_zeros(&mut self, len: u64) -> u64 {
        if self.range.whole.len == 0 && len >= RANGE_LEN {
            self.whole.push_zero_range();
            self.ranges.push(None);
            return RANGE_LEN;
        }
        let len = len.min(BLOCK_LEN);
        self.push_block(None, len);
        len
    }

    fn push_block(&mut self, digest: Option<Sha256Digest>, len: u64) {
        let block = digest.unwrap_or_else(|| zero_block(len));
        self.whole.push(block, len);
        self.range.push(block, len);
        self.range.has_data |= digest.is_some();
        if self.range.whole.len >= RANGE_LEN {
            self.end_range();
        }
    }

    fn end_range(&mut self) {
        let range = std::mem::replace(&mut self.range, RangeSummer::new());
        if range.whole.len > 0 {
            self.ranges.push(range.finish());
        }
    }

    pub(crate) fn finish(mut self) -> BlockSums {
        self.end_range();
        BlockSums { blksum: self.whole.finish(), ranges: self.ranges }
    }
}

/// A range, as far as it is known.
struct RangeSummer {
    whole: Outer,
    mark: Outer,
    marks: Vec<Mark>,
    has_data: bool,
}

impl RangeSummer {
    fn new() -> Self {
        Self { whole: Outer::new(), mark: Outer::new(), marks: Vec::new(), has_data: false }
    }

    /// A range of zeros, with all its marks.
    fn of_zeros(len: u64) -> Self {
        let mut range = Self::new();
        while range.whole.len < len {
            let block = BLOCK_LEN.min(len.saturating_sub(range.whole.len));
            range.push(zero_block(block), block);
        }
        range.end_mark();
        range
    }

    fn push(&mut self, block: Sha256Digest, len: u64) {
        self.whole.push(block, len);
        self.mark.push(block, len);
        if self.mark.len >= MARK_LEN {
            self.end_mark();
        }
    }

    fn end_mark(&mut self) {
        let mark = std::mem::replace(&mut self.mark, Outer::new());
        if mark.len > 0 {
            let [first, second, ..] = mark.finish().0;
            self.marks.push([first, second]);
        }
    }

    fn finish(mut self) -> Option<RangeSum> {
        self.end_mark();
        self.has_data.then(|| RangeSum { blksum: self.whole.finish(), marks: self.marks })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The construction in a few lines, without anything from above.
    fn blksum(bytes: &[u8]) -> Sha256Digest {
        let mut outer = Vec::new();
        for block in bytes.chunks(65536) {
            outer.extend_from_slice(&Sha256::digest(block));
        }
        outer.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        Sha256Digest::of(&outer)
    }

    fn summed(pieces: &[Vec<u8>]) -> BlockSums {
        let mut summer = BlockSummer::new();
        for bytes in pieces {
            let blocks = if zeros::is_zero(bytes) {
                PieceBlocks::Zeros
            } else {
                let digest = |block: &[u8]| (!zeros::is_zero(block)).then(|| Sha256Digest::of(block));
                PieceBlocks::Each(bytes.chunks(65536).map(digest).collect())
            };
            summer.push(bytes.len() as u64, &blocks);
        }
        summer.finish()
    }

    #[test]
    fn the_values_are_those_of_the_existing_tool() {
        let mixed = [vec![b'A'; 65536], vec![0; 65536], vec![b'B'; 32768]].concat();
        let vectors = [
            (vec![], "af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc"),
            (vec![b'A'; 65536], "2e3a5f57d5e726ee5de62db1a85ff816f4fa6ea4627807d9a51bdc4c883e165e"),
            (vec![0; 1 << 20], "3dd455346755274ce76f1c555df5e05c1cdd8da4b1c70ab7c2a6b09f51bb5ce0"),
            (vec![b'A'; 100_000], "b9b4daa11142541f0c6dd9df1eaea1e4a2da88d2af1c5f56a5968c8a9534052c"),
            (mixed, "c36703dbf20c51247b8af34524a6aa4218450b3db44c9a08bddfce190e28ce93"),
        ];
        for (bytes, expected) in vectors {
            assert_eq!(blksum(&bytes).to_string(), expected);
            assert_eq!(summed(&[bytes]).blksum.to_string(), expected);
        }
    }

    /// Cells of 4 MiB, some of them zeros, the last one cut: about 200 MiB at most.
    fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let cell = prop_oneof![3 => Just((0_u8, 1_usize)), 1 => Just((0, 16)), 2 => (1_u8..=255).prop_map(|b| (b, 1))];
        (prop::collection::vec(cell, 1..24), 1_usize..=4 << 20).prop_map(|(cells, last)| {
            let mut pieces: Vec<Vec<u8>> = cells
                .into_iter()
                .map(|(byte, cells)| {
                    let mut piece = vec![0; cells * (4 << 20)];
                    piece[77_777] = byte;
                    piece
                })
                .collect();
            if let Some(piece) = pieces.last_mut() {
                piece.truncate(piece.len() - (4 << 20) + last);
            }
            pieces
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_part_has_the_sum_of_its_bytes(pieces in pieces()) {
            let disk = pieces.concat();
            let sums = summed(&pieces);
            prop_assert_eq!(sums.blksum, blksum(&disk));
            prop_assert_eq!(sums.ranges.len(), disk.len().div_ceil(64 << 20));
            for (range, bytes) in sums.ranges.iter().zip(disk.chunks(64 << 20)) {
                prop_assert_eq!(range.is_none(), bytes.iter().all(|&byte| byte == 0));
                let Some(range) = range else { continue };
                prop_assert_eq!(range.blksum, blksum(bytes));
                let marks: Vec<Mark> = bytes.chunks(1 << 20).map(|mib| {
                    let digest = blksum(mib).0;
                    [digest[0], digest[1]]
                }).collect();
                prop_assert_eq!(&range.marks, &marks);
            }
        }
    }
}
