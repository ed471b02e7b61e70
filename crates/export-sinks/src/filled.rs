//! A piece with its bytes: what encoders and sinks are given.

use vhdx_format::{Content, DiskOffset, DiskRange, Extent, Gatherer, ReadError, VirtualDisk};

use crate::Tally;
use crate::piece::{PIECE, Piece};
use crate::sink::Reading;
use crate::zeros;

/// A part of the disk, read. Pieces lie on a fixed grid of 4 MiB; one without data may span many cells.
#[derive(Debug)]
pub struct FilledPiece {
    range: DiskRange,
    /// The bytes of the piece and garbage behind them; untouched where nothing was read.
    buffer: Vec<u8>,
    /// `None` where no image stores any of it, so that there was nothing to read.
    spans: Option<Vec<Span>>,
    /// What the encoder has put in place already: ascending, disjoint, none of them empty.
    placed: Vec<DiskRange>,
}

/// A run of bytes in the buffer.
#[derive(Clone, Copy, Debug)]
struct Span {
    len: usize,
    holds: Holds,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Holds {
    Data,
    Zeros,
    /// Nothing of the disk: it was not read.
    Garbage,
}

/// A run of a piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Run<'a> {
    /// Nothing but zeros: at least 64 KiB, or all of a piece or of a part between what the encoder has placed.
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
    /// Reads a piece into a buffer, which becomes as long as the longest piece unless there is nothing to read. `placed` is
    /// ascending and disjoint.
    pub(crate) fn read(
        disk: &dyn VirtualDisk,
        piece: &Piece,
        placed: Vec<DiskRange>,
        reading: Reading,
        mut buffer: Vec<u8>,
        gatherer: &mut Gatherer,
    ) -> Result<Self, ReadError> {
        let range = piece.range;
        if !piece.has_data() {
            return Ok(Self { range, buffer, spans: None, placed });
        }
        let left_out = if reading == Reading::All { &[] } else { placed.as_slice() };
        let wanted: Vec<DiskRange> = outside(range, left_out).collect();
        if buffer.is_empty() && !wanted.is_empty() {
            // Memory that is zeros already, and costs nothing where it is not touched.
            buffer = vec![0; PIECE];
        }
        if left_out.is_empty() {
            gatherer.read(disk, range.start(), &piece.extents, &mut buffer)?;
        } else {
            let parts: Vec<Extent<Content>> =
                piece.extents.iter().flat_map(|extent| parts(extent, left_out)).collect();
            gatherer.read(disk, range.start(), &parts, &mut buffer)?;
        }
        let spans = Some(spans(range, &wanted, &buffer));
        Ok(Self { range, buffer, spans, placed })
    }

    /// The part of the disk.
    #[must_use]
    pub fn range(&self) -> DiskRange {
        self.range
    }

    /// The bytes, unless no image stores any of them, so that all are zeros. Only where nothing was placed, or all is read
    /// in any case.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        self.spans.as_ref()?;
        let len = usize::try_from(self.range.len()).unwrap_or(usize::MAX).min(self.buffer.len());
        Some(self.buffer.split_at(len).0)
    }

    /// Its runs, in disk order. They alternate and cover the range, but for what the encoder has placed where nobody
    /// digests the disk: that was never read.
    pub fn runs(&self) -> impl Iterator<Item = Run<'_>> {
        let untouched = self.spans.is_none().then_some(Run::Zeros(self.range));
        let mut at = self.range.start();
        let mut rest = self.buffer.as_slice();
        let read = self.spans.iter().flatten().filter_map(move |span| {
            let (bytes, behind) = rest.split_at(span.len.min(rest.len()));
            let start = at;
            at = DiskOffset(start.0.saturating_add(span.len as u64));
            rest = behind;
            match span.holds {
                Holds::Data => Some(Run::Data { at: start, bytes }),
                Holds::Zeros => Some(Run::Zeros(DiskRange::new(start, at))),
                Holds::Garbage => None,
            }
        });
        untouched.into_iter().chain(read)
    }

    /// The runs of what the encoder has not placed: what is still to be written.
    pub fn unplaced_runs(&self) -> impl Iterator<Item = Run<'_>> {
        self.runs().flat_map(|run| outside(run.range(), &self.placed).map(move |range| run.part(range)))
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

impl<'a> Run<'a> {
    fn range(&self) -> DiskRange {
        match *self {
            Self::Zeros(range) => range,
            Self::Data { at, bytes } => {
                DiskRange::new(at, DiskOffset(at.0.saturating_add(bytes.len() as u64)))
            }
        }
    }

    /// The part of it in `range`, which lies in it.
    fn part(&self, range: DiskRange) -> Run<'a> {
        match *self {
            Self::Zeros(_) => Run::Zeros(range),
            Self::Data { at, bytes } => {
                let from = range.start().since(at) as usize;
                let bytes = bytes.get(from..).and_then(|rest| rest.get(..range.len() as usize));
                Run::Data { at: range.start(), bytes: bytes.unwrap_or_default() }
            }
        }
    }
}

/// The parts of `range` that lie in none of `ranges`, which are ascending and disjoint.
fn outside(range: DiskRange, ranges: &[DiskRange]) -> impl Iterator<Item = DiskRange> {
    let first = ranges.partition_point(|other| other.end() <= range.start());
    let inside = ranges.iter().skip(first).take_while(move |other| other.start() < range.end());
    let starts = std::iter::once(range.start()).chain(inside.clone().map(DiskRange::end));
    let ends = inside.map(DiskRange::start).chain([range.end()]);
    starts.zip(ends).filter(|(start, end)| start < end).map(|(start, end)| DiskRange::new(start, end))
}

/// The parts of an extent that lie in none of `ranges`.
fn parts(extent: &Extent<Content>, ranges: &[DiskRange]) -> impl Iterator<Item = Extent<Content>> {
    outside(DiskRange::new(extent.start, extent.end()), ranges).map(|range| extent.part(range))
}

/// Finds the zeros in what was read, the parts `read` of `range`; the rest is garbage.
fn spans(range: DiskRange, read: &[DiskRange], buffer: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut at = range.start();
    for part in read {
        push_garbage(&mut spans, part.start().since(at));
        let from = part.start().since(range.start()) as usize;
        let bytes = buffer.get(from..).and_then(|rest| rest.get(..part.len() as usize));
        spans.extend(zeros::spans(bytes.unwrap_or_default()).into_iter().map(Span::from));
        at = part.end();
    }
    push_garbage(&mut spans, range.end().since(at));
    spans
}

fn push_garbage(spans: &mut Vec<Span>, len: u64) {
    if len > 0 {
        spans.push(Span { len: len as usize, holds: Holds::Garbage });
    }
}

impl From<zeros::Span> for Span {
    fn from(span: zeros::Span) -> Self {
        Self { len: span.len, holds: if span.zero { Holds::Zeros } else { Holds::Data } }
    }
}
