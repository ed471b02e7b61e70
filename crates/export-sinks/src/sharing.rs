//! Letting the file system put the disk's bytes in place: by sharing the blocks of a source (reflinks), or by copying them
//! where it keeps them.
//!
//! Both are one system call, `copy_file_range`, which shares whole blocks between files of one file system that can do so,
//! such as XFS and btrfs, and asks a file server to copy. What it leaves undone is read and written like any other bytes,
//! so nothing here decides whether an artifact is right.
//!
//! A local file system without reflinks gets no such call: it would copy through memory as fast as reading and writing do,
//! and would not see zeros, so that the artifact would take more room.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

use vhdx_format::{Content, DiskOffset, DiskRange, FileOffset, Holes, LayerIndex, ReadAt, VirtualDisk};

use crate::piece::Pieces;
use crate::sink::{Placeable, Reading, WriteAt};
use crate::{ExportError, Place, SinkError, StagedFile, copying};

/// Whether an artifact shares blocks with its sources: whole blocks of the file system, in runs of at least 64 KiB. What is
/// not aligned or touched by a replayed log is copied in any case.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Reflink {
    /// Where the file system can.
    #[default]
    Auto,
    /// The file system must be able to share with every source, or there is no artifact.
    Always,
    /// With none; nor is a file server asked to copy.
    Never,
}

/// A source whose blocks can not be shared, though they have to.
#[derive(Debug, thiserror::Error)]
#[error("{place} cannot share blocks with layer {} of the disk", layer.0)]
pub struct NotShared {
    /// The artifact.
    pub place: Place,
    /// The source, counted from the leaf.
    pub layer: LayerIndex,
    /// What the system said; `None` where the layer's bytes do not lie in a file as they are.
    pub source: Option<io::Error>,
}

/// Shortest run that is shared, in bytes: a shorter one saves less than it costs, as every border of what is shared is two
/// more extents of the file, and one more system call.
const SHARED_MIN: u64 = 64 << 10;

/// How the bytes of each layer get into an artifact.
#[derive(Debug, Default)]
pub(crate) struct Sharing {
    mode: Reflink,
    /// By layer.
    ways: Vec<Way>,
    shared: AtomicU64,
}

/// How the bytes of one layer get into an artifact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// The file system shares blocks, each of so many bytes and at a multiple of that.
    Share { unit: NonZeroU64 },
    /// The file server copies.
    Copy,
    /// They are read and written.
    Read,
}

impl Way {
    fn shares(self) -> bool {
        matches!(self, Self::Share { .. })
    }
}

/// What will become of the data of a disk, in bytes.
pub(crate) struct Expected {
    /// In blocks of the sources.
    pub(crate) shared: u64,
    /// In blocks of its own.
    pub(crate) copied: u64,
}

impl Sharing {
    /// Finds out, with the empty file `stage`, what the file system can do.
    pub(crate) fn find(mode: Reflink, stage: &StagedFile, disk: &dyn VirtualDisk) -> Result<Self, SinkError> {
        let mut ways = Vec::new();
        if mode != Reflink::Never {
            let mut probe = Probe { stage, mode, known: Vec::new() };
            for (layer, bytes) in layers(disk) {
                let file = bytes.file_of(FileOffset(0), FileOffset(0));
                let (way, refusal) = file.map_or(Ok((Way::Read, None)), |file| probe.way(file))?;
                if mode == Reflink::Always && !way.shares() {
                    return Err(NotShared { place: stage.place(), layer, source: refusal }.into());
                }
                ways.push(way);
            }
        }
        Ok(Self { mode, ways, shared: AtomicU64::default() })
    }

    /// Whether any layer's blocks are shared.
    pub(crate) fn shares(&self) -> bool {
        self.ways.iter().any(|way| way.shares())
    }

    /// Bytes that the file system was asked to share, and put in place.
    pub(crate) fn shared(&self) -> u64 {
        self.shared.load(Ordering::Relaxed)
    }

    /// What will become of the data of a disk, if the artifact has it at positions that lie in blocks as the disk's do.
    pub(crate) fn expect(&self, disk: &dyn VirtualDisk) -> Result<Expected, ExportError> {
        let (mut holes, mut expected) = (Holes::default(), Expected { shared: 0, copied: 0 });
        for piece in Pieces::of(disk) {
            for extent in holes.leave_out(disk, &piece?.extents)? {
                let Content::Data { layer, at } = extent.content else { continue };
                let shared = match self.way(layer) {
                    Way::Share { unit } => whole_blocks(FileOffset(extent.start.0), at, extent.len, unit),
                    Way::Copy | Way::Read => None,
                };
                let shared = shared.map_or(0, |(_, len)| len);
                expected.shared = expected.shared.saturating_add(shared);
                expected.copied = expected.copied.saturating_add(extent.len.saturating_sub(shared));
            }
        }
        Ok(expected)
    }

    fn way(&self, layer: LayerIndex) -> Way {
        self.ways.get(layer.0).copied().unwrap_or(Way::Read)
    }

    /// Puts as much of the run in place, at `at` of the artifact, as the file system does by itself, and says which part of
    /// the disk that is.
    pub(crate) fn place(
        &self,
        out: &impl WriteAt,
        run: &Placeable<'_>,
        at: FileOffset,
    ) -> Result<DiskRange, SinkError> {
        let way = self.way(run.layer);
        let part = match way {
            Way::Share { unit } => whole_blocks(at, run.from, run.len, unit),
            Way::Copy if run.reading == Reading::Remaining => Some((0, run.len)),
            Way::Copy | Way::Read => None,
        };
        let (skip, len) = part.unwrap_or_default();
        let start = DiskOffset(run.start.0.saturating_add(skip));
        let mut done = 0_u64;
        while done < len {
            let moved = |at: FileOffset| FileOffset(at.0.saturating_add(skip).saturating_add(done));
            match out.copy_from(moved(at), run.file, moved(run.from), len - done) {
                // The source ends here: reading it will tell.
                Ok(0) => break,
                Ok(copied) => done = done.saturating_add(copied).min(len),
                Err(refusal) if self.mode == Reflink::Always && is_refusal(&refusal) => {
                    let (place, layer, source) = (out.place(), run.layer, Some(refusal));
                    return Err(NotShared { place, layer, source }.into());
                }
                // Reading and writing will tell better what is wrong, if anything is.
                Err(_) => break,
            }
        }
        if way.shares() {
            self.shared.fetch_add(done, Ordering::Relaxed);
        }
        Ok(DiskRange::new(start, DiskOffset(start.0.saturating_add(done))))
    }
}

/// Whether the system says that it can not, rather than that something is wrong.
fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, InvalidInput, Unsupported};
    matches!(error.kind(), CrossesDevices | InvalidInput | Unsupported)
}

fn layers(disk: &dyn VirtualDisk) -> impl Iterator<Item = (LayerIndex, &dyn ReadAt)> {
    let indices = (0..usize::MAX).map(LayerIndex);
    indices.map_while(|index| Some((index, disk.layer(index)?)))
}

/// The whole blocks, if they are worth it, in `len` bytes that lie at `from` and belong at `at`: how many bytes precede
/// them, and their length.
fn whole_blocks(at: FileOffset, from: FileOffset, len: u64, unit: NonZeroU64) -> Option<(u64, u64)> {
    let unit = unit.get();
    let skip = at.0.checked_next_multiple_of(unit)?.checked_sub(at.0)?;
    let whole = len.checked_sub(skip)?.checked_div(unit)?.checked_mul(unit)?;
    (whole >= SHARED_MIN && from.0.checked_add(skip)?.is_multiple_of(unit)).then_some((skip, whole))
}

/// Asks the file system what it can do with each source. With [`Reflink::Always`] it asks for each file; else one file
/// stands for all of its kind, since the answer takes time.
struct Probe<'a> {
    stage: &'a StagedFile,
    mode: Reflink,
    known: Vec<(copying::Kind, Way)>,
}

impl Probe<'_> {
    /// How the bytes of a source get into the artifact, and what the system says where it shares nothing.
    fn way(&mut self, source: &File) -> Result<(Way, Option<io::Error>), SinkError> {
        let kind = copying::kind(source).filter(|_| self.mode != Reflink::Always);
        if let Some((_, way)) = self.known.iter().find(|(known, _)| Some(*known) == kind) {
            return Ok((*way, None));
        }
        let (way, refusal) = match self.stage.try_clone_of(source)? {
            Ok(()) => (Way::Share { unit: self.stage.block_size()? }, None),
            Err(refusal) if self.stage.is_served_with(source) => (Way::Copy, Some(refusal)),
            Err(refusal) => (Way::Read, Some(refusal)),
        };
        self.known.extend(kind.map(|kind| (kind, way)));
        Ok((way, refusal))
    }
}

#[cfg(test)]
impl Sharing {
    /// Shares with each of so many layers.
    pub(crate) fn everything(layers: usize) -> Self {
        Self { ways: vec![Way::Share { unit: tests::UNIT }; layers], ..Self::default() }
    }

    /// Has a file server copy each of so many layers.
    pub(crate) fn copying(layers: usize) -> Self {
        Self { ways: vec![Way::Copy; layers], ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(super) const UNIT: NonZeroU64 = NonZeroU64::new(4096).unwrap();

    proptest! {
        /// As few bytes as possible are left out at either end, and none of what is shared lies outside.
        #[test]
        fn whole_blocks_are_all_that_lie_in_the_run(
            (at, from) in (0_u64..40_000, 0_u64..40_000, any::<bool>())
                .prop_map(|(at, from, alike)| (at, if alike { at + from / 4096 * 4096 } else { from })),
            len in 0_u64..300_000,
        ) {
            let blocks = |start: u64| start.div_ceil(4096)..(start + len) / 4096;
            let found = whole_blocks(FileOffset(at), FileOffset(from), len, UNIT);
            let expected = blocks(at);
            let count = expected.end.saturating_sub(expected.start);
            if count * 4096 < SHARED_MIN || at % 4096 != from % 4096 {
                prop_assert_eq!(found, None);
            } else {
                prop_assert_eq!(found, Some((expected.start * 4096 - at, count * 4096)));
            }
        }
    }

    #[test]
    fn positions_at_the_end_of_64_bits_share_nothing() {
        assert_eq!(whole_blocks(FileOffset(u64::MAX), FileOffset(u64::MAX), u64::MAX, UNIT), None);
        assert_eq!(whole_blocks(FileOffset(1), FileOffset(u64::MAX - 4094), u64::MAX, UNIT), None);
    }
}
