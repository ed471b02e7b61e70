//! One image, opened: validated through and through, its dirty log replayed in memory.
//!
//! Holding a [`Layer`] means that every structure was found in order, so reading it can only fail where the system
//! fails. What a differencing layer leaves to its parent is for a [`crate::LayerStack`] to find.

use limits::Limits;

use crate::bat::{self, BlockCounts};
use crate::extent::Coalesced;
use crate::outline::Outline;
use crate::walk::LayerCursor;
use crate::{DiskRange, Extent, ImageError, LayerContent, ReadAt};

/// One image of a disk.
#[derive(Debug)]
pub struct Layer {
    outline: Outline,
    block_counts: BlockCounts,
}

impl Layer {
    /// Opens an image, which validates all of it but the payload: both headers, the log, the region tables, the
    /// metadata, every entry of the block table.
    pub fn open(source: Box<dyn ReadAt>) -> Result<Self, ImageError> {
        Self::open_within(source, &Limits::default())
    }

    /// The same, within limits that were raised.
    pub fn open_within(source: Box<dyn ReadAt>, limits: &Limits) -> Result<Self, ImageError> {
        Self::from_outline(Outline::open_within(source, limits)?)
    }

    /// Judges the block table of an image whose outline is known, through the same handle.
    pub fn from_outline(outline: Outline) -> Result<Self, ImageError> {
        let Outline { file, regions, fixed_parts, .. } = &outline;
        let block_counts = bat::check(file, regions.bat, outline.layout(), fixed_parts)?;
        Ok(Self { outline, block_counts })
    }

    /// What the image says of itself.
    #[must_use]
    pub fn outline(&self) -> &Outline {
        &self.outline
    }

    /// How many blocks are in which state.
    #[must_use]
    pub fn block_counts(&self) -> &BlockCounts {
        &self.block_counts
    }

    /// The bytes of the image, replayed log included.
    #[must_use]
    pub fn bytes(&self) -> &dyn ReadAt {
        &self.outline.file
    }

    /// What this image alone says about `range`, by the extent law. Past the end of its disk it says zero.
    pub fn extents(
        &self,
        range: DiskRange,
    ) -> impl Iterator<Item = Result<Extent<LayerContent>, ImageError>> + '_ {
        let mut cursor = LayerCursor::new(self);
        let mut at = range.start();
        let runs = std::iter::from_fn(move || {
            (at < range.end()).then(|| {
                let run = cursor.run_at(at, range.end());
                at = run.as_ref().map_or(range.end(), Extent::end);
                run
            })
        });
        Coalesced::new(runs)
    }
}
