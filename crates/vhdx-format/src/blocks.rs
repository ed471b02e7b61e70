//! A set of payload blocks that also tells how many come before a given one.
//!
//! The writer needs it before its first byte: the table comes before the payload. One bit per block keeps the largest
//! disk (64 TiB in blocks of 1 MiB) at 8 MiB.

use crate::geometry::{BlockIndex, BlockLayout};
use crate::{Content, DiskOffset, ReadError, VirtualDisk};

/// A set of payload blocks.
#[derive(Clone, Debug)]
pub struct BlockSet {
    words: Vec<u64>,
    /// Members before each group of [`GROUP`] words.
    before: Vec<u64>,
    count: u64,
}

const GROUP: usize = 8;

impl BlockSet {
    /// Every block of the layout.
    #[must_use]
    pub fn all(layout: &BlockLayout) -> Self {
        Self::collect(layout, [(BlockIndex(0), BlockIndex(layout.block_count()))])
    }

    /// The blocks in which the disk holds data that some image stores, however little.
    pub fn with_data(disk: &dyn VirtualDisk, layout: &BlockLayout) -> Result<Self, ReadError> {
        let mut blocks = BlockSetBuilder::new(layout);
        for extent in disk.extents(layout.geometry().range()) {
            let extent = extent?;
            if !matches!(extent.content, Content::Zero) {
                let last = layout.block_at(DiskOffset(extent.end().0.saturating_sub(1)));
                blocks.add(layout.block_at(extent.start), BlockIndex(last.0.saturating_add(1)));
            }
        }
        Ok(blocks.finish())
    }

    /// The union of half-open runs of blocks.
    pub fn collect(layout: &BlockLayout, runs: impl IntoIterator<Item = (BlockIndex, BlockIndex)>) -> Self {
        let mut blocks = BlockSetBuilder::new(layout);
        for (start, end) in runs {
            blocks.add(start, end);
        }
        blocks.finish()
    }

    /// Number of members.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether `block` is a member.
    #[must_use]
    pub fn contains(&self, block: BlockIndex) -> bool {
        self.words.get(word_of(block.0)).is_some_and(|word| word & bit_of(block.0) != 0)
    }

    /// How many members come before `block`.
    #[must_use]
    pub fn rank(&self, block: BlockIndex) -> u64 {
        let word = word_of(block.0);
        let group = word.checked_div(GROUP).unwrap_or(0);
        let group_start = group.saturating_mul(GROUP);
        let whole = self.words.get(group_start..word).unwrap_or(&[]);
        let part = self.words.get(word).map_or(0, |word| word & bit_of(block.0).wrapping_sub(1));
        let before = self.before.get(group).copied().unwrap_or(self.count);
        before.saturating_add(ones(whole)).saturating_add(u64::from(part.count_ones()))
    }
}

/// The members while they are collected, one bit per block.
#[derive(Clone, Debug)]
pub struct BlockSetBuilder {
    words: Vec<u64>,
    block_count: u64,
}

impl BlockSetBuilder {
    /// No member yet.
    #[must_use]
    pub fn new(layout: &BlockLayout) -> Self {
        let block_count = layout.block_count();
        let len = usize::try_from(block_count.div_ceil(64)).unwrap_or(usize::MAX);
        Self { words: vec![0; len], block_count }
    }

    /// Adds a half-open run of blocks, in whatever order; those that the layout does not have are left out.
    pub fn add(&mut self, start: BlockIndex, end: BlockIndex) {
        for block in start.0..end.0.min(self.block_count) {
            if let Some(word) = self.words.get_mut(word_of(block)) {
                *word |= bit_of(block);
            }
        }
    }

    /// The set.
    #[must_use]
    pub fn finish(self) -> BlockSet {
        let mut count = 0_u64;
        let before = self
            .words
            .chunks(GROUP)
            .map(|group| {
                let before = count;
                count = count.saturating_add(ones(group));
                before
            })
            .collect();
        BlockSet { words: self.words, before, count }
    }
}

fn word_of(block: u64) -> usize {
    usize::try_from(block >> 6).unwrap_or(usize::MAX)
}

fn bit_of(block: u64) -> u64 {
    1 << (block & 63)
}

fn ones(words: &[u64]) -> u64 {
    words.iter().map(|word| u64::from(word.count_ones())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BlockSize, Geometry, SectorSize};

    #[test]
    fn rank_counts_the_members_before() {
        let geometry = Geometry::new(3000 << 20, SectorSize::B512, SectorSize::B512).unwrap();
        let layout = BlockLayout::new(geometry, BlockSize::MIN, false);
        let member = |block: u64| block % 7 == 3 || (900..1600).contains(&block);
        let runs = (0..3000).filter(|&b| member(b)).map(|b| (BlockIndex(b), BlockIndex(b + 1)));
        let set = BlockSet::collect(&layout, runs);
        let mut rank = 0;
        for block in 0..3000 {
            assert_eq!(set.rank(BlockIndex(block)), rank, "block {block}");
            assert_eq!(set.contains(BlockIndex(block)), member(block));
            rank += u64::from(member(block));
        }
        assert_eq!(set.len(), rank);
        assert_eq!(BlockSet::all(&layout).len(), 3000);
    }
}
