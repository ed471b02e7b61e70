//! The disk that a guest would see, as something to read: its geometry, its extents, and the bytes behind them.

use std::io;

use crate::{Content, DiskOffset, DiskRange, Extent, Geometry, ImageError, LayerIndex, ReadAt};

/// The iterator of a disk's extents.
pub type Extents<'a> = Box<dyn Iterator<Item = Result<Extent<Content>, ReadError>> + Send + 'a>;

/// A disk that can be read: one image, or a stack of them.
///
/// Guarantees: the extents of a range obey the extent law (see [`crate::extent`]); the bytes of a `Data` extent can be
/// read from [`VirtualDisk::layer`] at the position it names, for its whole length; and both stay the same as long as
/// nobody changes the sources.
pub trait VirtualDisk: Send + Sync {
    /// Size and sectors of the disk.
    fn geometry(&self) -> &Geometry;

    /// What the disk holds in `range`, found lazily: a 64 TiB disk is never mapped up front. The part of `range` behind
    /// the disk's end is left out.
    fn extents(&self, range: DiskRange) -> Extents<'_>;

    /// The bytes of one image, a replayed log included; `None` for an index that no extent of this disk names.
    fn layer(&self, index: LayerIndex) -> Option<&dyn ReadAt>;
}

/// A disk could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The tables of an image could not be read or contradict what was validated when it was opened.
    #[error("cannot find out what layer {} holds", layer.0)]
    Tables {
        /// The image, counted from the leaf.
        layer: LayerIndex,
        /// What is wrong with it.
        source: ImageError,
    },
    /// The payload could not be read.
    #[error("cannot read {len} bytes at {at} of layer {}", layer.0)]
    Payload {
        /// The image, counted from the leaf.
        layer: LayerIndex,
        /// Where in that image.
        at: crate::FileOffset,
        /// How many bytes were wanted.
        len: u64,
        /// What the system said.
        source: io::Error,
    },
    /// An extent named an image that the disk does not have: a defect of the [`VirtualDisk`], not of a file.
    #[error("the disk has no layer {}", .0.0)]
    NoSuchLayer(LayerIndex),
    /// The range reaches past the disk's end.
    #[error("{range} reaches past the end of the disk at {end}")]
    PastTheEnd {
        /// What was asked for.
        range: DiskRange,
        /// Where the disk ends.
        end: DiskOffset,
    },
}

impl ReadError {
    /// The image at fault, where one is.
    #[must_use]
    pub fn layer(&self) -> Option<LayerIndex> {
        match self {
            Self::Tables { layer, .. } | Self::Payload { layer, .. } => Some(*layer),
            Self::NoSuchLayer(_) | Self::PastTheEnd { .. } => None,
        }
    }
}

/// Fills `buf` with the bytes of one extent; `buf` is as long as the extent, or shorter to read only its beginning.
pub fn read_extent(disk: &dyn VirtualDisk, content: &Content, buf: &mut [u8]) -> Result<(), ReadError> {
    match *content {
        Content::Zero => {
            buf.fill(0);
            Ok(())
        }
        Content::Data { layer, at } => {
            let len = u64::try_from(buf.len()).unwrap_or(u64::MAX);
            let source = disk.layer(layer).ok_or(ReadError::NoSuchLayer(layer))?;
            source.read_exact_at(at, buf).map_err(|source| ReadError::Payload { layer, at, len, source })
        }
    }
}

/// Fills `buf` with the bytes of the disk from `at` on; any position and length inside the disk.
pub fn read_disk(disk: &dyn VirtualDisk, at: DiskOffset, mut buf: &mut [u8]) -> Result<(), ReadError> {
    let end = DiskOffset(disk.geometry().size());
    let len = u64::try_from(buf.len()).unwrap_or(u64::MAX);
    let range = DiskRange::with_len(at, len).unwrap_or(DiskRange::new(at, DiskOffset(u64::MAX)));
    if range.end() > end {
        return Err(ReadError::PastTheEnd { range, end });
    }
    for extent in disk.extents(range) {
        let extent = extent?;
        let len = usize::try_from(extent.len).unwrap_or(usize::MAX).min(buf.len());
        let (run, rest) = buf.split_at_mut(len);
        read_extent(disk, &extent.content, run)?;
        buf = rest;
    }
    Ok(())
}
