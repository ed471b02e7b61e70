//! Content, and files made of it.

use proptest::prelude::*;
use raw_format::{FrameEncoder, SeekTableBuilder, ZstdDisk};
use vhdx_format::{Content, DiskOffset, DiskRange, SectorSize, VirtualDisk, read_disk};

/// Bytes that do not compress, the same for the same seed.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

/// A seekable file of these frames' content.
pub(crate) fn file_of<'a>(contents: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let (mut file, mut frame) = (Vec::new(), Vec::new());
    let mut encoder = FrameEncoder::new(3).expect("an encoder");
    let mut table = SeekTableBuilder::new();
    for content in contents {
        encoder.encode(content, &mut frame).expect("a frame");
        table.push(frame.len(), content.len()).expect("a short frame");
        file.extend(&frame);
    }
    table.write_to(&mut file).expect("room");
    file
}

pub(crate) fn open(file: &[u8]) -> ZstdDisk<Vec<u8>> {
    ZstdDisk::open(file.to_vec(), SectorSize::B512).expect("a disk")
}

pub(crate) fn whole(disk: &dyn VirtualDisk) -> Vec<u8> {
    let len = usize::try_from(disk.geometry().size()).expect("a small disk");
    let mut bytes = vec![0xAA; len];
    read_disk(disk, DiskOffset(0), &mut bytes).expect("readable");
    bytes
}

/// Holds the extents of a range to the extent law, and what they say of zeros to the content.
pub(crate) fn assert_extents(disk: &dyn VirtualDisk, content: &[u8], range: DiskRange) {
    let end = range.end().min(disk.geometry().range().end());
    let mut at = range.start();
    let mut last = None;
    for extent in disk.extents(range) {
        let extent = extent.expect("an extent");
        assert_eq!(extent.start, at);
        assert_ne!(extent.len, 0);
        let is_zero = extent.content == Content::Zero;
        assert_ne!(last, Some(is_zero), "equal neighbours");
        let bytes = &content[position(extent.start)..position(extent.end())];
        assert!(!is_zero || bytes.iter().all(|byte| *byte == 0));
        (at, last) = (extent.end(), Some(is_zero));
    }
    assert_eq!(at, end.max(range.start()));
}

pub(crate) fn position(at: DiskOffset) -> usize {
    usize::try_from(at.0).expect("a small disk")
}

/// Content of a few sectors' runs, zeros or noise or letters, and odd places to cut it at.
pub(crate) fn cut_content() -> impl Strategy<Value = (Vec<u8>, Vec<usize>)> {
    let run = (0..3_u8, 1..40_usize, any::<u64>()).prop_map(|(kind, sectors, seed)| match kind {
        0 => vec![0; sectors * 512],
        1 => noise(seed, sectors * 512),
        _ => b"abcd".repeat(sectors * 128),
    });
    prop::collection::vec(run, 1..8).prop_map(|runs| runs.concat()).prop_flat_map(|content| {
        let cuts = prop::collection::vec(0..=content.len(), 0..12);
        (Just(content), cuts)
    })
}

/// The content between the cuts, some of it perhaps empty.
pub(crate) fn cut<'a>(content: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts = cuts.to_vec();
    cuts.extend([0, content.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &content[pair[0]..pair[1]]).collect()
}
