//! The GUIDs of a written VHDX: derived, so that the same export gives the same bytes anywhere.

use std::fmt::Write as _;

use chain_resolve::Chain;
use export_sinks::Sha256Digest;
use vhdx_format::writer::{Allocation, Identities};
use vhdx_format::{BlockSize, Layer, LogState};

use crate::args::DiskId;

/// What the GUIDs of a written image depend on, besides the options.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// The state of a chain.
    Chain(&'a Chain),
    /// The blksum of a disk whose source has no identity of its own.
    Content(Sha256Digest),
}

/// The GUIDs of a flattened image: new ones, that depend on nothing but the state of the chain and the options, so
/// that the same export gives the same bytes anywhere.
///
/// A flattened copy must not have its source's `DataWriteGuid`: children of the source would take it for their parent.
pub(crate) fn identities(
    origin: Origin<'_>,
    block_size: BlockSize,
    allocation: Allocation,
    disk_id: DiskId,
) -> Identities {
    let mut name = String::from("vhdx-export 1");
    match origin {
        Origin::Chain(chain) => chain.layers().iter().for_each(|layer| name_layer(&mut name, layer)),
        Origin::Content(blksum) => {
            let _ = write!(name, "\ncontent {blksum}");
        }
    }
    // Fixed words: the bytes of an export must not depend on what a variant is called.
    let allocation_word = match allocation {
        Allocation::Dynamic => "dynamic",
        Allocation::Fixed => "fixed",
    };
    let disk_id_word = match disk_id {
        DiskId::New => "new",
        DiskId::Keep => "keep",
    };
    let _ = write!(name, "\n{} {allocation_word} {disk_id_word}", block_size.bytes());
    let derived = Identities::derive(name.as_bytes());
    match (disk_id, origin) {
        (DiskId::Keep, Origin::Chain(chain)) => {
            let leaf = chain.layers().first().map(|leaf| leaf.outline().virtual_disk_id());
            Identities { virtual_disk: leaf.unwrap_or(derived.virtual_disk), ..derived }
        }
        _ => derived,
    }
}

fn name_layer(name: &mut String, layer: &Layer) {
    let header = layer.outline().header();
    let replayed = match layer.outline().log_state() {
        LogState::Clean => 0,
        LogState::Replayed { head, .. } => head,
    };
    let ids = [header.data_write_guid, header.file_write_guid, layer.outline().virtual_disk_id()];
    let [data_write, file_write, disk] = ids;
    let _ = write!(name, "\n{data_write} {file_write} {disk} {} {replayed}", header.sequence_number);
}
