//! A seekable zstd file of any bytes, or of frames under an edited table: refused, or its frames follow each other.

use std::sync::OnceLock;

use limits::frames::{CONTENT_LEN_MAX, EMPTY_FRAMES_MAX, PACKED_LEN_MAX};
use raw_format::{FrameEncoder, SeekTable, ZstdDisk, zero_frame};
use vhdx_format::forge::{assert_extent_law, clip};
use vhdx_format::{Content, DiskOffset, DiskRange, Extent, SectorSize, VirtualDisk, read_disk};

use super::bytes::Choices;

/// Frames and extents are looked at up to these many, and these many bytes are decompressed.
const FRAMES_MAX: usize = 4096;
const READS_MAX: usize = 12;
const READ_BYTES_MAX: u64 = 8 << 20;

/// Reads a file of frames, and the disk in it.
pub fn seek_table(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let shape = choices.byte();
    let from = choices.number(4);
    let (file, content) =
        if shape.is_multiple_of(4) { (choices.rest().to_vec(), None) } else { built(shape, &mut choices) };
    if let Ok(table) = SeekTable::read(&file) {
        check_table(&table, file.len() as u64, from);
    }
    for sector in [SectorSize::B512, SectorSize::B4096] {
        match ZstdDisk::open(file.clone(), sector) {
            Ok(disk) => check_disk(&disk, from, content.as_deref()),
            Err(error) => drop(error.to_string()),
        }
    }
}

/// Frames under a table, and what they hold where nothing was edited.
fn built(shape: u8, choices: &mut Choices<'_>) -> (Vec<u8>, Option<Vec<u8>>) {
    let has_checksums = shape & 4 != 0;
    let (mut file, mut entries, mut content) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..choices.byte() % 24 {
        let (frame, holds) = frame(choices);
        let checksum = frame.last_chunk().copied().map_or(0, u32::from_le_bytes);
        entries.extend([frame.len() as u32, holds.len() as u32]);
        entries.extend(has_checksums.then_some(checksum));
        file.extend(frame);
        content.extend(holds);
    }
    let edits = choices.byte() % 4;
    let per_frame = if has_checksums { 3 } else { 2 };
    let table = table(&entries, (entries.len() / per_frame) as u32, u8::from(has_checksums) << 7);
    let table_at = file.len();
    file.extend(table);
    for _ in 0..edits {
        // The table is where an edit reaches furthest.
        let start = if choices.byte() & 1 == 0 { table_at } else { 0 };
        let at = start + choices.below(file.len() - start);
        for (to, from) in file[at..].iter_mut().zip(choices.patch()) {
            *to = *from;
        }
    }
    (file, (edits == 0).then_some(content))
}

/// A frame and its content.
fn frame(choices: &mut Choices<'_>) -> (Vec<u8>, Vec<u8>) {
    match choices.byte() % 4 {
        0 => {
            let len = choices.number(1) as u32 * 512;
            (zero_frame(len), vec![0; len as usize])
        }
        1 => (zero_frame(0), Vec::new()),
        which => frames()[usize::from(which)].clone(),
    }
}

fn frames() -> &'static [(Vec<u8>, Vec<u8>)] {
    static FRAMES: OnceLock<Vec<(Vec<u8>, Vec<u8>)>> = OnceLock::new();
    FRAMES.get_or_init(|| {
        let noise: Vec<u8> = (0..4096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let contents = [vec![0; 512], noise[..512].to_vec(), b"some words  ".repeat(128), noise];
        let packed = contents.map(|content| {
            let mut frame = Vec::new();
            let mut encoder = FrameEncoder::new(3).expect("an encoder");
            encoder.encode(&content, &mut frame).expect("a frame");
            (frame, content)
        });
        packed.into()
    })
}

/// A table with any numbers in it.
fn table(entries: &[u32], frames: u32, descriptor: u8) -> Vec<u8> {
    let len = entries.len() as u32 * 4 + 9;
    let mut bytes: Vec<u8> = [0x184D_2A5E, len].into_iter().flat_map(u32::to_le_bytes).collect();
    bytes.extend(entries.iter().copied().flat_map(u32::to_le_bytes));
    bytes.extend(frames.to_le_bytes());
    bytes.push(descriptor);
    bytes.extend(0x8F92_EAB1_u32.to_le_bytes());
    bytes
}

fn check_table(table: &SeekTable, file_len: u64, from: u64) {
    let (mut at, mut start, mut empty) = (0, 0, 0);
    for index in 0..table.frame_count() {
        let frame = table.frame(index).expect("a frame for each number");
        assert_eq!((frame.index, frame.at.0, frame.start.0), (index, at, start), "frames follow each other");
        assert!(frame.packed > 0 && frame.packed <= PACKED_LEN_MAX && frame.len <= CONTENT_LEN_MAX);
        at += u64::from(frame.packed);
        start += u64::from(frame.len);
        empty += u32::from(frame.len == 0);
    }
    assert!(empty <= EMPTY_FRAMES_MAX && at < file_len && start == table.content_len());
    assert!(table.frame(table.frame_count()).is_none());
    let from = from % (start + 1);
    let numbers = (0..table.frame_count()).filter_map(|index| table.frame(index));
    let wanted = numbers.filter(|frame| frame.len > 0 && frame.start.0 + u64::from(frame.len) > from);
    assert!(table.frames_from(DiskOffset(from)).take(FRAMES_MAX).eq(wanted.take(FRAMES_MAX)), "from {from}");
}

fn check_disk(disk: &ZstdDisk<Vec<u8>>, from: u64, content: Option<&[u8]>) {
    let all = disk.geometry().range();
    let Ok(extents) = extents(disk, all) else { return };
    assert_extent_law(all, &extents);
    let from = DiskOffset(from % all.len());
    let part = DiskRange::new(from, all.end());
    let of_part = self::extents(disk, part).expect("what was walked can be walked again");
    assert_eq!(of_part, clip(&extents, part), "{part} by itself");
    if let Some(content) = content {
        let mut bytes = vec![0x55; content.len()];
        read_disk(disk, DiskOffset(0), &mut bytes).expect("nothing was edited");
        assert!(bytes == content, "the disk is not its frames");
    }
    let mut left = READ_BYTES_MAX;
    for extent in extents.iter().take(READS_MAX) {
        let Some(rest) = left.checked_sub(extent.len) else { break };
        left = rest;
        let mut bytes = vec![0x55; extent.len as usize];
        let read = read_disk(disk, extent.start, &mut bytes);
        let is_zeros = bytes.iter().all(|byte| *byte == 0);
        assert!(extent.content != Content::Zero || read.is_ok() && is_zeros, "zeros are zeros");
    }
}

fn extents(
    disk: &ZstdDisk<Vec<u8>>,
    range: DiskRange,
) -> Result<Vec<Extent<Content>>, vhdx_format::ReadError> {
    disk.extents(range).collect()
}
