//! The disk cut into what is read, encoded and accepted at a time.
//!
//! The cut is a fixed grid, so the same disk gives the same pieces whatever its extents and whoever reads them. A cell
//! of the grid that holds any data is a piece of its own; cells without any are joined. Nothing here reads payload.

use vhdx_format::{Content, DiskOffset, DiskRange, Extent, Extents, VirtualDisk};

use crate::{ExportError, Tally};

/// Length of a cell, in bytes: large enough that one read keeps a disk or a network file system busy, a multiple of
/// every unit that content digests are taken over, and small enough to have several for each thread.
pub(crate) const PIECE: usize = 4 << 20;
pub(crate) const CELL: u64 = PIECE as u64;

/// Longest piece without data, in bytes. It takes no memory, but one bound on the time a piece takes is needed where
/// zeros must be written out (256 MiB: an instant, even into a slow pipe a few seconds), or nobody could stop it
/// meanwhile. The largest disk there is, 64 TiB without data, still makes only a quarter of a million pieces.
pub(crate) const ZEROS_MAX: u64 = 256 << 20;

/// A part of the disk and where its bytes lie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Piece {
    pub range: DiskRange,
    /// Cover the range. Not longer than [`PIECE`] unless there is no data.
    pub extents: Vec<Extent<Content>>,
}

impl Piece {
    /// How much of it some image stores, and how much is zeros because none does.
    pub(crate) fn tally(&self) -> Tally {
        let stored = self.extents.iter().filter(|extent| matches!(extent.content, Content::Data { .. }));
        let data = stored.map(|extent| extent.len).sum();
        Tally { data, zeros: self.range.len().saturating_sub(data) }
    }

    pub(crate) fn has_data(&self) -> bool {
        self.extents.iter().any(|extent| matches!(extent.content, Content::Data { .. }))
    }
}

/// The pieces of a disk, in disk order, found lazily; ends after the first error.
pub(crate) struct Pieces<'a> {
    extents: Extents<'a>,
    /// The part of the last extent that no piece holds yet.
    rest: Option<Extent<Content>>,
    at: DiskOffset,
    end: DiskOffset,
    failed: bool,
}

impl<'a> Pieces<'a> {
    pub(crate) fn of(disk: &'a dyn VirtualDisk) -> Self {
        let range = disk.geometry().range();
        Self { extents: disk.extents(range), rest: None, at: range.start(), end: range.end(), failed: false }
    }

    fn next_piece(&mut self) -> Result<Piece, ExportError> {
        let start = self.at;
        let first = self.next_extent()?;
        let zeros_end = whole_cells(&first, self.end);
        if matches!(first.content, Content::Zero) && zeros_end > start {
            let extent = self.take(first, zeros_end);
            return Ok(Piece { range: DiskRange::new(start, zeros_end), extents: vec![extent] });
        }
        let cell_end = DiskOffset(start.0.saturating_add(CELL)).min(self.end);
        let mut extents = vec![self.take(first, cell_end)];
        while self.at < cell_end {
            let next = self.next_extent()?;
            extents.push(self.take(next, cell_end));
        }
        Ok(Piece { range: DiskRange::new(start, cell_end), extents })
    }

    /// The extent at the current position, held to the law that they are contiguous and end with the disk.
    fn next_extent(&mut self) -> Result<Extent<Content>, ExportError> {
        if let Some(rest) = self.rest.take() {
            return Ok(rest);
        }
        let expected = self.at;
        let broken = |found| ExportError::BrokenExtents { expected, found };
        let next = self.extents.next().ok_or(broken(self.at))??;
        if next.start != expected {
            return Err(broken(next.start));
        }
        if next.len == 0 || next.end() > self.end {
            return Err(broken(next.end()));
        }
        Ok(next)
    }

    /// Takes the part of an extent up to `end` and keeps the rest for the next piece.
    fn take(&mut self, extent: Extent<Content>, end: DiskOffset) -> Extent<Content> {
        self.at = end.min(extent.end());
        let rest = DiskRange::new(self.at, extent.end());
        self.rest = (!rest.is_empty()).then(|| extent.part(rest));
        extent.part(DiskRange::new(extent.start, self.at))
    }
}

/// Where the last cell ends that the extent covers wholly; the disk's last cell may be short. Bounded by
/// [`ZEROS_MAX`].
fn whole_cells(extent: &Extent<Content>, disk_end: DiskOffset) -> DiskOffset {
    let bounded = DiskOffset(extent.start.0.saturating_add(ZEROS_MAX)).min(extent.end());
    if bounded == disk_end { bounded } else { DiskOffset(bounded.0 / CELL * CELL) }
}

impl Iterator for Pieces<'_> {
    type Item = Result<Piece, ExportError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.at >= self.end {
            return None;
        }
        let piece = self.next_piece();
        self.failed = piece.is_err();
        Some(piece)
    }
}
