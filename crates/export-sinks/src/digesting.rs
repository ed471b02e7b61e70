//! Digesting a disk piece by piece: the part that goes in any order, on the workers, and the part that puts it together.
//!
//! Digests that can not be split are for `follow.rs`.

use vhdx_format::{DiskOffset, DiskRange};

use crate::blksum::{BlockSummer, PieceBlocks};
use crate::{ContentDigests, DigestChoice, FilledPiece, Run, RunDigest, Sha256Digest};

/// The digests of one piece: what may be found out in any order.
pub(crate) struct PieceDigests {
    blocks: Option<PieceBlocks>,
    runs: Vec<RunDigest>,
}

impl PieceDigests {
    pub(crate) fn of(piece: &FilledPiece, choice: DigestChoice) -> Self {
        let runs = if choice.runs { run_digests(piece) } else { Vec::new() };
        Self { blocks: choice.blksum.then(|| PieceBlocks::of(piece)), runs }
    }
}

fn run_digests(piece: &FilledPiece) -> Vec<RunDigest> {
    let data = piece.runs().filter_map(|run| match run {
        Run::Zeros(_) => None,
        Run::Data { at, bytes } => {
            let end = DiskOffset(at.0.saturating_add(bytes.len() as u64));
            Some(RunDigest { range: DiskRange::new(at, end), sha256: Sha256Digest::of(bytes) })
        }
    });
    data.collect()
}

/// The digests that are put together in disk order.
pub(crate) struct OrderedDigests {
    blocks: Option<BlockSummer>,
    runs: Option<Vec<RunDigest>>,
}

impl From<DigestChoice> for OrderedDigests {
    fn from(choice: DigestChoice) -> Self {
        Self { blocks: choice.blksum.then(BlockSummer::new), runs: choice.runs.then(Vec::new) }
    }
}

impl OrderedDigests {
    /// Takes those of the next piece.
    pub(crate) fn push(&mut self, piece: &FilledPiece, digests: PieceDigests) {
        if let (Some(summer), Some(blocks)) = (&mut self.blocks, &digests.blocks) {
            summer.push(piece.range().len(), blocks);
        }
        if let Some(runs) = &mut self.runs {
            runs.extend(digests.runs);
        }
    }

    /// All but the SHA-256.
    pub(crate) fn finish(self) -> ContentDigests {
        ContentDigests { sha256: None, blocks: self.blocks.map(BlockSummer::finish), runs: self.runs }
    }
}
