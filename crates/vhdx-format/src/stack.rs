//! Images on top of each other: proving each link, and finding which layer answers for each run of the disk.
//!
//! A [`LayerStack`] can only be had complete and proved; holding one is the proof. Finding the files that the layers
//! come from is somebody else's business.

use limits::{Limit, Limits};

use crate::extent::Coalesced;
use crate::parent::Linkage;
use crate::walk::LayerCursor;
use crate::{
    Content, DiskOffset, DiskRange, Extent, Extents, Geometry, Layer, LayerContent, LayerIndex, LogState,
    ParentLocator, ReadAt, ReadError, SectorSize, VirtualDisk,
};

/// A stack that may still lack parents.
#[derive(Debug)]
pub struct OpenStack {
    layers: Vec<Layer>,
    /// How many there may be.
    most: u64,
    /// How many bytes their replayed logs may have together.
    logs_most: u64,
}

/// Length of a log that was replayed, which bounds what is held of it.
fn replayed_len(layer: &Layer) -> u64 {
    match layer.outline().log_state() {
        LogState::Clean => 0,
        LogState::Replayed { .. } => layer.outline().header().log_len,
    }
}

/// Why an image can not be put under a stack.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LinkError {
    /// The image is not the parent that the stack's last layer names.
    #[error("it has DataWriteGuid {{{found}}}, wanted is {wanted}")]
    Identity {
        /// What the child's parent locator says.
        wanted: Linkage,
        /// What the image has.
        found: uuid::Uuid,
    },
    /// All images of a chain have one logical sector size (MS-VHDX 2.6.2.4).
    #[error("it has {parent}-byte sectors, its child has {child}-byte sectors")]
    SectorSize {
        /// The child's.
        child: SectorSize,
        /// The image's.
        parent: SectorSize,
    },
    /// The stack has as many layers as are allowed.
    #[error("the chain has more than {most} images")]
    TooDeep {
        /// How many there may be.
        most: u64,
    },
    /// What was replayed of the logs of all layers is held in memory.
    #[error("the logs of the chain that had to be replayed have more than {most} bytes together")]
    LogsTooLong {
        /// How many bytes there may be.
        most: u64,
    },
    /// The stack ends with an image that has no parent.
    #[error("the stack is complete")]
    Complete,
}

impl OpenStack {
    /// A stack of one.
    #[must_use]
    pub fn new(leaf: Layer) -> Self {
        Self::within(leaf, &Limits::default())
    }

    /// The same, within limits that were raised.
    #[must_use]
    pub fn within(leaf: Layer, limits: &Limits) -> Self {
        let (most, logs_most) = (limits.of(Limit::ChainDepth), limits.of(Limit::LogSize));
        Self { layers: vec![leaf], most, logs_most }
    }

    /// The parent that is wanted next; `None` when the stack is complete.
    #[must_use]
    pub fn wanted(&self) -> Option<&ParentLocator> {
        self.layers.last().and_then(|layer| layer.outline().parent())
    }

    /// The layers so far, leaf first.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Puts the next parent under the stack, if it is the one.
    pub fn push(&mut self, parent: Layer) -> Result<(), LinkError> {
        let wanted = self.wanted().ok_or(LinkError::Complete)?.linkage;
        let found = parent.outline().header().data_write_guid;
        if !wanted.accepts(found) {
            return Err(LinkError::Identity { wanted, found });
        }
        let sector = |layer: &Layer| layer.outline().geometry().logical_sector();
        if let Some(child) = self.layers.last()
            && sector(child) != sector(&parent)
        {
            return Err(LinkError::SectorSize { child: sector(child), parent: sector(&parent) });
        }
        if u64::try_from(self.layers.len()).map_or(true, |len| len >= self.most) {
            return Err(LinkError::TooDeep { most: self.most });
        }
        let logs = self.layers.iter().chain([&parent]).map(replayed_len);
        if logs.fold(0, u64::saturating_add) > self.logs_most {
            return Err(LinkError::LogsTooLong { most: self.logs_most });
        }
        self.layers.push(parent);
        Ok(())
    }

    /// The finished stack; the unfinished one comes back where a parent is still wanted.
    pub fn complete(self) -> Result<LayerStack, Self> {
        match (self.layers.first(), self.wanted()) {
            (Some(leaf), None) => {
                let geometry = *leaf.outline().geometry();
                Ok(LayerStack { geometry, layers: self.layers })
            }
            _ => Err(self),
        }
    }
}

/// A whole chain of images, leaf first, every link proved. Its disk is the leaf's.
#[derive(Debug)]
pub struct LayerStack {
    /// The leaf's.
    geometry: Geometry,
    layers: Vec<Layer>,
}

impl LayerStack {
    /// The layers, leaf first; never empty.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }
}

impl VirtualDisk for LayerStack {
    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn extents(&self, range: DiskRange) -> Extents<'_> {
        let end = range.end().min(DiskOffset(self.geometry().size()));
        let cursors = self.layers.iter().map(LayerCursor::new).collect();
        Box::new(Coalesced::new(StackRuns { cursors, at: range.start(), end }))
    }

    fn layer(&self, index: LayerIndex) -> Option<&dyn ReadAt> {
        self.layers.get(index.0).map(Layer::bytes)
    }
}

/// The runs of a stack, not yet merged. A layer that leaves a run to its parent bounds what is asked of the parent, so
/// layers of different block sizes need no common grid. Past the end of a shorter parent there are zeros.
struct StackRuns<'a> {
    cursors: Vec<LayerCursor<'a>>,
    at: DiskOffset,
    end: DiskOffset,
}

impl StackRuns<'_> {
    fn run_at(&mut self, at: DiskOffset) -> Result<Extent<Content>, ReadError> {
        let mut limit = self.end;
        for (index, cursor) in self.cursors.iter_mut().enumerate() {
            let layer = LayerIndex(index);
            let run = cursor.run_at(at, limit).map_err(|source| ReadError::Tables { layer, source })?;
            let content = match run.content {
                LayerContent::Stored(at) => Content::Data { layer, at },
                LayerContent::Zero => Content::Zero,
                LayerContent::Inherited => {
                    limit = run.end();
                    continue;
                }
            };
            return Ok(Extent { start: at, len: run.len, content });
        }
        // A base leaves nothing to a parent, and a stack always ends with one: never answer zeros in its place.
        Err(ReadError::NoSuchLayer(LayerIndex(self.cursors.len())))
    }
}

impl Iterator for StackRuns<'_> {
    type Item = Result<Extent<Content>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        (self.at < self.end).then(|| {
            let run = self.run_at(self.at);
            self.at = run.as_ref().map_or(self.end, Extent::end);
            run
        })
    }
}
