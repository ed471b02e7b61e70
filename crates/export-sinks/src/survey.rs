//! A look at a whole disk before it is written, for sources whose tables do not tell which blocks hold data.
//!
//! A raw file stores its zeros, so a block table written from its extents alone would store them too. A survey reads the
//! disk once, notes the blocks that hold anything else, and digests it on the way: reading twice is the price of an image
//! that is small and has an identity of its content.

use vhdx_format::blocks::{BlockSet, BlockSetBuilder};
use vhdx_format::extent::Coalesced;
use vhdx_format::geometry::{BlockIndex, BlockLayout};
use vhdx_format::{
    BlockSize, Content, DiskOffset, DiskRange, Extent, Extents, Geometry, LayerIndex, ReadAt, VirtualDisk,
};

use crate::blksum::{BlockSummer, PieceBlocks};
use crate::{
    Artifact, BlockSums, Cancel, DigestChoice, DigestSource, Encode, ExportError, FilledPiece, Options,
    Progress, Run, Sink, SinkError, export,
};

/// A disk that is known to hold nothing but zeros in some of its blocks.
pub struct Surveyed<'a> {
    disk: &'a dyn VirtualDisk,
    layout: BlockLayout,
    stored: BlockSet,
}

/// Reads the whole disk: finds out which blocks of that size hold anything but zeros, and digests it by blocks. Of the
/// options, only the threads count.
pub fn survey<'a>(
    disk: &'a dyn VirtualDisk,
    block_size: BlockSize,
    options: &Options,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<(Surveyed<'a>, BlockSums), ExportError> {
    let layout = BlockLayout::new(*disk.geometry(), block_size, false);
    let mut notes =
        Notes { layout: &layout, stored: BlockSetBuilder::new(&layout), sums: BlockSummer::new() };
    let options = Options { digests: DigestChoice::default(), ..options.clone() };
    export(disk, &mut notes, &options, progress, cancel)?.complete(cancel)?.publish()?;
    let (stored, sums) = (notes.stored.finish(), notes.sums.finish());
    Ok((Surveyed { disk, layout, stored }, sums))
}

/// What is noted of the disk.
struct Notes<'a> {
    layout: &'a BlockLayout,
    /// The blocks with data: 8 MiB for the largest disk in the smallest blocks, wherever its data lies.
    stored: BlockSetBuilder,
    sums: BlockSummer,
}

impl Notes<'_> {
    fn note(&mut self, data: DiskRange) {
        let last = self.layout.block_at(DiskOffset(data.end().0.saturating_sub(1)));
        self.stored.add(self.layout.block_at(data.start()), BlockIndex(last.0.saturating_add(1)));
    }
}

impl Sink for &mut Notes<'_> {
    type Encoder = BlockDigester;

    fn encoder(&self) -> BlockDigester {
        BlockDigester
    }

    fn accept(&mut self, piece: &FilledPiece, blocks: PieceBlocks) -> Result<(), SinkError> {
        self.sums.push(piece.range().len(), &blocks);
        for run in piece.runs() {
            if let Run::Data { at, bytes } = run {
                let end = DiskOffset(at.0.saturating_add(bytes.len() as u64));
                self.note(DiskRange::new(at, end));
            }
        }
        Ok(())
    }

    fn complete(&mut self) -> Result<Artifact, SinkError> {
        Ok(Artifact::default())
    }

    fn publish(self) -> Result<(), SinkError> {
        Ok(())
    }

    fn digest_source(&self) -> DigestSource {
        DigestSource::Sink
    }
}

/// Digests the blocks of a piece.
struct BlockDigester;

impl Encode for BlockDigester {
    type Encoded = PieceBlocks;

    fn encode(&mut self, piece: &FilledPiece) -> Result<PieceBlocks, SinkError> {
        Ok(PieceBlocks::of(piece))
    }
}

impl Surveyed<'_> {
    /// The parts of an extent, block by block; zeros where a block is known to have nothing else.
    fn parts(&self, extent: Extent<Content>) -> impl Iterator<Item = Extent<Content>> {
        let mut at = extent.start;
        std::iter::from_fn(move || {
            let block = self.layout.block_at(at);
            let range = DiskRange::new(at, self.layout.block_range(block).end().min(extent.end()));
            at = range.end();
            let part = extent.part(range);
            let is_stored = self.stored.contains(block);
            let part = if is_stored { part } else { Extent { content: Content::Zero, ..part } };
            (!range.is_empty()).then_some(part)
        })
    }
}

impl VirtualDisk for Surveyed<'_> {
    fn geometry(&self) -> &Geometry {
        self.disk.geometry()
    }

    fn extents(&self, range: DiskRange) -> Extents<'_> {
        let parts = self.disk.extents(range).flat_map(|extent| {
            let (parts, error) = match extent {
                Ok(extent) => (Some(self.parts(extent)), None),
                Err(error) => (None, Some(Err(error))),
            };
            parts.into_iter().flatten().map(Ok).chain(error)
        });
        Box::new(Coalesced::new(parts))
    }

    fn layer(&self, index: LayerIndex) -> Option<&dyn ReadAt> {
        self.disk.layer(index)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use vhdx_format::read_disk;

    use super::*;
    use crate::conformance::model::{Fill, ModelDisk, disks};
    use crate::piece::PIECE;
    use crate::{NoProgress, zeros};

    const BLOCK: usize = 1 << 20;

    fn surveyed(disk: &ModelDisk) -> Surveyed<'_> {
        let block_size = BlockSize::from_bytes(1 << 20).unwrap();
        survey(disk, block_size, &Options::default(), &NoProgress, &Cancel::new()).unwrap().0
    }

    /// The blocks that data lies in, among it what zeros are too few to be left out.
    fn blocks_with_data(content: &[u8]) -> BTreeSet<u64> {
        let mut blocks = BTreeSet::new();
        for (piece, bytes) in content.chunks(PIECE).enumerate() {
            let mut at = piece * PIECE;
            for span in zeros::spans(bytes) {
                let end = at + span.len;
                if !span.zero {
                    blocks.extend((at / BLOCK..end.div_ceil(BLOCK)).map(|block| block as u64));
                }
                at = end;
            }
        }
        blocks
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

        /// The same disk, its extents lawful, and a block is stored just where it holds anything.
        #[test]
        fn a_survey_changes_nothing_but_what_is_known_of_zeros(disk in disks()) {
            let surveyed = surveyed(&disk);
            let mut content = vec![0xEE; disk.content.len()];
            read_disk(&surveyed, DiskOffset(0), &mut content).unwrap();
            prop_assert!(content == disk.content);
            let mut at = 0;
            for extent in surveyed.extents(disk.geometry().range()) {
                let extent = extent.unwrap();
                prop_assert_eq!(extent.start.0, at);
                at = extent.end().0;
            }
            prop_assert_eq!(at, disk.content.len() as u64);
            let with_data = blocks_with_data(&disk.content);
            for (block, bytes) in (0..).zip(disk.content.chunks(BLOCK)) {
                let stores = surveyed.stored.contains(BlockIndex(block));
                prop_assert_eq!(stores, with_data.contains(&block));
                prop_assert!(stores || zeros::is_zero(bytes));
            }
        }
    }

    #[test]
    fn stored_zeros_are_found() {
        let disk = ModelDisk::new(&[(512, Fill::Noise), (16 << 20, Fill::StoredZeros), (512, Fill::Noise)]);
        assert_eq!(surveyed(&disk).stored.len(), 2);
    }
}
