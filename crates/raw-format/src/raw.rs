//! A raw disk: the bytes of a file or a device are those of the disk.
//!
//! What such a file does not say, the size of the disk and of its sectors, the caller says.

use std::io;

use vhdx_format::extent::Coalesced;
use vhdx_format::{
    Content, DiskOffset, DiskRange, Extent, Extents, FileOffset, Geometry, LayerIndex, ReadAt, ReadError,
    VirtualDisk,
};

const LAYER: LayerIndex = LayerIndex(0);

/// The first bytes of a source as a disk. Where the source knows of holes in itself, the disk has zeros.
#[derive(Debug)]
pub struct RawDisk<S> {
    source: S,
    geometry: Geometry,
}

/// A source is no raw disk of the size that is wanted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RawError {
    /// It can not be asked for its length.
    #[error("cannot find out how long the raw disk is")]
    Io(#[source] io::Error),
    /// It ends too early.
    #[error("the raw disk is truncated: a disk of {need} bytes is wanted, there are {have}")]
    Truncated {
        /// Size wanted, in bytes.
        need: u64,
        /// Length of the source, in bytes.
        have: u64,
    },
}

impl<S: ReadAt> RawDisk<S> {
    /// The disk of that geometry whose bytes are the first of `source`; what lies behind them is left alone.
    pub fn new(source: S, geometry: Geometry) -> Result<Self, RawError> {
        let (need, have) = (geometry.size(), source.byte_len().map_err(RawError::Io)?);
        if have < need {
            return Err(RawError::Truncated { need, have });
        }
        Ok(Self { source, geometry })
    }

    /// What the bytes are read from.
    #[must_use]
    pub fn source(&self) -> &S {
        &self.source
    }
}

impl<S: ReadAt> VirtualDisk for RawDisk<S> {
    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn extents(&self, range: DiskRange) -> Extents<'_> {
        let end = range.end().min(self.geometry.range().end());
        Box::new(Coalesced::new(Runs {
            source: &self.source,
            at: range.start().0,
            end: end.0,
            data_end: None,
        }))
    }

    fn layer(&self, index: LayerIndex) -> Option<&dyn ReadAt> {
        (index == LAYER).then_some(&self.source)
    }
}

/// Runs of data and of holes in turn.
struct Runs<'a> {
    source: &'a dyn ReadAt,
    at: u64,
    end: u64,
    /// Where the data ends that starts at the current position, if that was already found.
    data_end: Option<u64>,
}

impl Runs<'_> {
    fn next_run(&mut self) -> io::Result<Extent<Content>> {
        if let Some(data_end) = self.data_end.take() {
            let content = Content::Data { layer: LAYER, at: FileOffset(self.at) };
            return Ok(self.take(data_end, content));
        }
        let found = self.source.next_data(FileOffset(self.at), FileOffset(self.end))?;
        let data_start = found.start.0.clamp(self.at, self.end);
        let data_end = found.end.0.clamp(data_start, self.end);
        if data_start == self.at {
            // A run without length at the current position would never end: what it stands for is read.
            let end = if data_end > data_start { data_end } else { self.end };
            self.data_end = Some(end);
            return self.next_run();
        }
        self.data_end = (data_start < data_end).then_some(data_end);
        Ok(self.take(data_start, Content::Zero))
    }

    fn take(&mut self, end: u64, content: Content) -> Extent<Content> {
        let start = DiskOffset(self.at);
        self.at = end;
        Extent { start, len: DiskOffset(end).since(start), content }
    }
}

impl Iterator for Runs<'_> {
    type Item = Result<Extent<Content>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let (at, len) = (FileOffset(self.at), self.end.saturating_sub(self.at));
        Some(self.next_run().map_err(|source| ReadError::Payload { layer: LAYER, at, len, source }))
    }
}
