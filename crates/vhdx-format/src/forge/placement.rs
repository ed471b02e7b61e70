//! Where everything lies in a forged file: as Windows would put it, shuffled, or wherever a test wants it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::random::Random;
use crate::offset::MIB;

/// Something that has a place behind the header area.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Object {
    /// The log.
    Log,
    /// The metadata region.
    Metadata,
    /// The region of the block allocation table.
    Bat,
    /// An extra region, by its number in [`super::Image::extra_regions`].
    Region(usize),
    /// The sector bitmap block of a chunk.
    Bitmap(u64),
    /// The room of a payload block.
    Block(u64),
}

/// The order of what has no place of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// Log, metadata, table, extra regions, then chunk by chunk the bitmap and the blocks, without gaps.
    #[default]
    Windows,
    /// An order that depends on the seed alone, with gaps here and there.
    Shuffled(u64),
}

/// Where everything goes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Placement {
    /// The order of what is not in `fixed`.
    pub order: Order,
    /// File offsets in bytes, taken as they are: they may overlap, or be no multiple of 1 MiB. Whatever is not in
    /// here keeps clear of them.
    pub fixed: BTreeMap<Object, u64>,
}

/// The byte ranges in the file of everything that has a place.
pub type Places = BTreeMap<Object, Range<u64>>;

impl Placement {
    /// Finds a place for each object of that length, given in Windows' order.
    pub(super) fn place(&self, objects: Vec<(Object, u64)>) -> Places {
        let (fixed, mut objects): (Vec<_>, Vec<_>) =
            objects.into_iter().partition(|(object, _)| self.fixed.contains_key(object));
        let range_of = |(object, len): (Object, u64)| {
            let at = self.fixed.get(&object).copied().unwrap_or(0);
            (object, at..at + len)
        };
        let mut places: Places = fixed.into_iter().map(range_of).collect();
        let taken: Vec<Range<u64>> = places.values().cloned().collect();
        let mut gaps = None;
        if let Order::Shuffled(seed) = self.order {
            let mut random = Random::new(seed);
            random.shuffle(&mut objects);
            gaps = Some(random);
        }
        let mut end = MIB;
        for (object, len) in objects {
            let gap = gaps.as_mut().map_or(0, |random| random.below(6).saturating_sub(3) * MIB);
            let at = clear_of(&taken, end + gap, len);
            places.insert(object, at..at + len);
            end = (at + len).next_multiple_of(MIB);
        }
        places
    }
}

/// The first multiple of 1 MiB from `at` on where `len` bytes touch nothing that is taken.
fn clear_of(taken: &[Range<u64>], mut at: u64, len: u64) -> u64 {
    while let Some(hit) = taken.iter().find(|range| range.start < at + len && at < range.end) {
        at = hit.end.next_multiple_of(MIB);
    }
    at
}
