//! A raw disk in frames of zstd with a table of them: any part of it is read by decompressing the frames that hold it.
//!
//! The extents of such a disk name layer 0, whose address space is that of the *content*: a position there is the same
//! position of the disk, and no position in the compressed file.

use std::io;

use vhdx_format::extent::Coalesced;
use vhdx_format::{
    Content, DiskOffset, DiskRange, Extent, Extents, FileOffset, Geometry, GeometryError, LayerIndex, ReadAt,
    ReadError, SectorSize, VirtualDisk,
};

use crate::frames::{FrameError, FrameReader, check_empty, read_packed};
use crate::seek_table::{Frame, Frames, SeekTable, SeekTableError};
use crate::zero_frame::{zero_frame, zero_frame_len};

const LAYER: LayerIndex = LayerIndex(0);

/// A seekable zstd file as a disk.
///
/// Frames with the bytes of [`zero_frame`] are zeros without being read; frames of zeros that other programs made are
/// data. Reading takes memory for one frame and its content, at most [`limits::frames::PACKED_LEN_MAX`] and
/// [`limits::frames::CONTENT_LEN_MAX`], on each thread that reads.
#[derive(Debug)]
pub struct ZstdDisk<S> {
    content: FramedContent<S>,
    geometry: Geometry,
}

/// A file is no disk in frames of zstd.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ZstdDiskError {
    /// Its frames can not be found.
    #[error(transparent)]
    Table(#[from] SeekTableError),
    /// A frame that the table says to be empty can not be read, or is not.
    #[error("a frame that should hold nothing can not be left out")]
    EmptyFrame(#[source] FrameError),
    /// Its content is no disk.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
}

impl<S: ReadAt> ZstdDisk<S> {
    /// Reads the table of a file, and what it says to be frames without content: the only ones that reading the disk would
    /// never look at, so that a table could hide content in them. The disk is as long as the content of all frames, and claims to be
    /// built from the sectors that a guest addresses, because the file says nothing of either.
    pub fn open(source: S, logical: SectorSize) -> Result<Self, ZstdDiskError> {
        let table = SeekTable::read(&source)?;
        for frame in table.empty_frames() {
            check_empty(&source, &frame).map_err(ZstdDiskError::EmptyFrame)?;
        }
        let geometry = Geometry::new(table.content_len(), logical, logical)?;
        Ok(Self { content: FramedContent { source, table }, geometry })
    }

    /// The frames of the file.
    #[must_use]
    pub fn table(&self) -> &SeekTable {
        &self.content.table
    }

    /// The compressed file.
    #[must_use]
    pub fn source(&self) -> &S {
        &self.content.source
    }
}

impl<S: ReadAt> VirtualDisk for ZstdDisk<S> {
    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn extents(&self, range: DiskRange) -> Extents<'_> {
        let end = range.end().min(self.geometry.range().end());
        Box::new(Coalesced::new(FrameRuns {
            source: &self.content.source,
            frames: self.content.table.frames_from(range.start()),
            range: DiskRange::new(range.start(), end),
            zeros: ZeroCheck::default(),
        }))
    }

    fn layer(&self, index: LayerIndex) -> Option<&dyn ReadAt> {
        (index == LAYER).then_some(&self.content)
    }
}

/// The content of all frames, to be read by position.
#[derive(Debug)]
struct FramedContent<S> {
    source: S,
    table: SeekTable,
}

impl<S: ReadAt> ReadAt for FramedContent<S> {
    fn read_exact_at(&self, at: FileOffset, mut buf: &mut [u8]) -> io::Result<()> {
        let mut reader = FrameReader::new(&self.source)?;
        let mut at = DiskOffset(at.0);
        let mut frames = self.table.frames_from(at);
        while !buf.is_empty() {
            let frame = frames.next().ok_or(io::ErrorKind::UnexpectedEof)?;
            let skip = at.since(frame.start);
            let here = u64::from(frame.len).saturating_sub(skip);
            let (part, rest) = buf.split_at_mut(usize::try_from(here).unwrap_or(usize::MAX).min(buf.len()));
            reader.read(&frame, usize::try_from(skip).map_err(io::Error::other)?, part)?;
            at = DiskOffset(at.0.saturating_add(here));
            buf = rest;
        }
        Ok(())
    }

    fn byte_len(&self) -> io::Result<u64> {
        Ok(self.table.content_len())
    }
}

/// The part of each frame that lies in the range, as zeros or data.
struct FrameRuns<'a> {
    source: &'a dyn ReadAt,
    frames: Frames<'a>,
    range: DiskRange,
    zeros: ZeroCheck,
}

impl Iterator for FrameRuns<'_> {
    type Item = Result<Extent<Content>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let frame = self.frames.next().filter(|frame| frame.start < self.range.end())?;
        let start = frame.start.max(self.range.start());
        let end = DiskOffset(frame.start.0.saturating_add(frame.len.into())).min(self.range.end());
        let (at, len) = (FileOffset(start.0), end.since(start));
        let content = match self.zeros.is_zeros(self.source, &frame) {
            Ok(true) => Content::Zero,
            Ok(false) => Content::Data { layer: LAYER, at },
            Err(source) => return Some(Err(ReadError::Payload { layer: LAYER, at, len, source })),
        };
        Some(Ok(Extent { start, len, content }))
    }
}

/// Tells frames of zeros by their bytes; keeps the last such frame, since most frames of a file have one length.
#[derive(Default)]
struct ZeroCheck {
    len: u32,
    expected: Vec<u8>,
    found: Vec<u8>,
}

impl ZeroCheck {
    /// Whether the frame is [`zero_frame`]. Reads only frames that are as long as that one.
    fn is_zeros(&mut self, source: &dyn ReadAt, frame: &Frame) -> io::Result<bool> {
        if usize::try_from(frame.packed).ok() != Some(zero_frame_len(frame.len)) {
            return Ok(false);
        }
        if self.len != frame.len {
            (self.len, self.expected) = (frame.len, zero_frame(frame.len));
        }
        read_packed(source, frame, &mut self.found)?;
        // A table with another checksum contradicts the frame: it is left to be read, which says so.
        let agrees = frame.checksum.is_none_or(|sum| self.expected.ends_with(&sum.to_le_bytes()));
        Ok(agrees && self.found == self.expected)
    }
}
