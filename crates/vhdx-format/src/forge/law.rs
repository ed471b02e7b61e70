//! The extent law as an assertion, told without the code that merges extents, for every test that walks them.

use std::fmt::Debug;

use crate::{Content, DiskRange, Extent, LayerContent};

/// An answer that a longer run may carry on.
pub trait Answer: Copy + PartialEq + Debug {
    /// The same answer, `len` bytes further on.
    #[must_use]
    fn further_on(self, len: u64) -> Self;
}

impl Answer for LayerContent {
    fn further_on(self, len: u64) -> Self {
        match self {
            Self::Stored(at) => Self::Stored(crate::FileOffset(at.0 + len)),
            other => other,
        }
    }
}

impl Answer for Content {
    fn further_on(self, len: u64) -> Self {
        match self {
            Self::Data { layer, at } => Self::Data { layer, at: crate::FileOffset(at.0 + len) },
            Self::Zero => Self::Zero,
        }
    }
}

/// Asserts the law of [`crate::extent`] for the extents of `range`.
///
/// # Panics
///
/// Where they do not ascend without gaps over exactly the range, one is empty, or two neighbours are one run.
pub fn assert_extent_law<C: Answer>(range: DiskRange, extents: &[Extent<C>]) {
    let mut at = range.start();
    for extent in extents {
        assert_eq!(extent.start, at, "extents of {range} are contiguous");
        assert!(extent.len > 0, "the extent at {at} is not empty");
        at = extent.end();
    }
    assert_eq!(at, range.end(), "extents cover {range}");
    for (extent, next) in extents.iter().zip(extents.iter().skip(1)) {
        let carried_on = extent.content.further_on(extent.len);
        assert_ne!(carried_on, next.content, "the extents that meet at {} are one run", next.start);
    }
}

/// The part of `extents` that lies in `range`: what a walk over `range` alone must say.
#[must_use]
pub fn clip<C: Answer>(extents: &[Extent<C>], range: DiskRange) -> Vec<Extent<C>> {
    let clipped = extents.iter().map(|extent| {
        let part = DiskRange::new(extent.start.max(range.start()), extent.end().min(range.end()));
        let content = extent.content.further_on(part.start().since(extent.start));
        Extent { start: part.start(), len: part.len(), content }
    });
    clipped.filter(|extent| extent.len > 0).collect()
}
