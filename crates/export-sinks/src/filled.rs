//! A piece with its bytes: what encoders and sinks are given.

use vhdx_format::{DiskOffset, DiskRange, ReadError, VirtualDisk, read_extent};

use crate::Tally;
use crate::piece::{PIECE, Piece};
use crate::zeros::{self, Span};

/// A part of the disk, read. Pieces lie on a fixed grid of 4 MiB; one without data may span many cells.
#[derive(Debug)]
pub struct FilledPiece {
    range: DiskRange,
    /// The bytes of the piece and garbage behind them; untouched where the piece has no data.
    buffer: Vec<u8>,
    /// `None` where no image stores any of it, so that there was nothing to read.
    spans: Option<Vec<Span>>,
}

/// A run of a piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Run<'a> {
    /// Nothing but zeros: a whole piece, or at least 64 KiB.
    Zeros(DiskRange),
    /// Bytes to be written, a few zeros among them perhaps.
    Data {
        /// Where they lie on the disk.
        at: DiskOffset,
        /// The bytes.
        bytes: &'a [u8],
    },
}

impl FilledPiece {
    /// Reads a piece into a buffer, which becomes as long as the longest piece with data.
    pub(crate) fn read(
        disk: &dyn VirtualDisk,
        piece: &Piece,
        mut buffer: Vec<u8>,
    ) -> Result<Self, ReadError> {
        let range = piece.range;
        if !piece.has_data() {
            return Ok(Self { range, buffer, spans: None });
        }
        buffer.resize(PIECE, 0);
        let mut rest = buffer.as_mut_slice();
        for extent in &piece.extents {
            let len = usize::try_from(extent.len).unwrap_or(usize::MAX).min(rest.len());
            let (run, behind) = rest.split_at_mut(len);
            read_extent(disk, &extent.content, run)?;
            rest = behind;
        }
        let unused = rest.len();
        let spans = zeros::spans(&buffer[..PIECE - unused]);
        Ok(Self { range, buffer, spans: Some(spans) })
    }

    /// The part of the disk.
    #[must_use]
    pub fn range(&self) -> DiskRange {
        self.range
    }

    /// The bytes, unless no image stores any of them, so that all are zeros.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        self.spans.as_ref()?;
        let len = usize::try_from(self.range.len()).unwrap_or(usize::MAX).min(self.buffer.len());
        Some(self.buffer.split_at(len).0)
    }

    /// Its runs, in disk order; they alternate and cover the range.
    pub fn runs(&self) -> impl Iterator<Item = Run<'_>> {
        let untouched = self.spans.is_none().then_some(Run::Zeros(self.range));
        let mut at = self.range.start();
        let mut rest = self.buffer.as_slice();
        let read = self.spans.iter().flatten().map(move |span| {
            let (bytes, behind) = rest.split_at(span.len);
            let start = at;
            at = DiskOffset(start.0.saturating_add(span.len as u64));
            rest = behind;
            if span.zero { Run::Zeros(DiskRange::new(start, at)) } else { Run::Data { at: start, bytes } }
        });
        untouched.into_iter().chain(read)
    }

    /// How much of it is data and how much zeros.
    pub(crate) fn tally(&self) -> Tally {
        let zeros = self
            .runs()
            .map(|run| match run {
                Run::Zeros(range) => range.len(),
                Run::Data { .. } => 0,
            })
            .sum();
        Tally { zeros, data: self.range.len().saturating_sub(zeros) }
    }

    /// The buffer, to be used again.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }
}
