//! A block map in the format of `bmaptool`, version 2.0: which 4 KiB blocks of a bare disk hold data, with the SHA-256 of
//! each run of them.
//!
//! Blocks that are not in the map are zeros. Whoever copies by it does not write them: a device must be zeroed before.

use std::fmt::Write as _;

use crate::{RunDigest, Sha256Digest};

/// Bytes in a block of the map.
const BLOCK: u64 = 4096;

/// Where the digest of the map itself goes; it is taken with zeros in its place.
const OWN_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The map of a disk of `size` bytes. `runs` are ascending and start on whole blocks, as
/// [`ContentDigests::runs`](crate::ContentDigests::runs) are.
#[must_use]
pub fn block_map(size: u64, runs: &[RunDigest]) -> String {
    let last = |run: &RunDigest| run.range.end().0.div_ceil(BLOCK).saturating_sub(1);
    let first = |run: &RunDigest| run.range.start().0 / BLOCK;
    let mapped: u64 = runs.iter().map(|run| last(run).saturating_sub(first(run)).saturating_add(1)).sum();
    let mut ranges = String::new();
    for run in runs {
        let _ = writeln!(
            ranges,
            "        <Range chksum=\"{}\"> {}-{} </Range>",
            run.sha256,
            first(run),
            last(run)
        );
    }
    let map = format!(
        "<?xml version=\"1.0\" ?>\n\
         <bmap version=\"2.0\">\n    \
             <ImageSize> {size} </ImageSize>\n    \
             <BlockSize> {BLOCK} </BlockSize>\n    \
             <BlocksCount> {} </BlocksCount>\n    \
             <MappedBlocksCount> {mapped} </MappedBlocksCount>\n    \
             <ChecksumType> sha256 </ChecksumType>\n    \
             <BmapFileChecksum> {OWN_DIGEST} </BmapFileChecksum>\n    \
             <BlockMap>\n{ranges}    </BlockMap>\n\
         </bmap>\n",
        size.div_ceil(BLOCK)
    );
    let own = Sha256Digest::of(map.as_bytes()).to_string();
    // No digest of a run is all zeros, so the first one is the map's own.
    map.replacen(OWN_DIGEST, &own, 1)
}

#[cfg(test)]
mod tests {
    use vhdx_format::{DiskOffset, DiskRange};

    use super::*;

    #[test]
    fn the_map_counts_blocks_and_carries_its_own_digest() {
        let run = |start, end| RunDigest {
            range: DiskRange::new(DiskOffset(start), DiskOffset(end)),
            sha256: Sha256Digest::of(b"run"),
        };
        let map = block_map(20_000, &[run(0, 4096), run(8192, 20_000)]);
        let digest = Sha256Digest::of(b"run");
        for text in [
            "<ImageSize> 20000 </ImageSize>",
            "<BlocksCount> 5 </BlocksCount>",
            "<MappedBlocksCount> 4 </MappedBlocksCount>",
            &format!("<Range chksum=\"{digest}\"> 0-0 </Range>"),
            &format!("<Range chksum=\"{digest}\"> 2-4 </Range>"),
        ] {
            assert!(map.contains(text), "{text}\n{map}");
        }
        let (before, rest) = map.split_once("<BmapFileChecksum> ").unwrap();
        let (own, after) = rest.split_at(64);
        let zeroed = format!("{before}<BmapFileChecksum> {OWN_DIGEST}{after}");
        assert_eq!(own, Sha256Digest::of(zeroed.as_bytes()).to_string());
    }
}
