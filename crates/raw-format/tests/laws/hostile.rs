//! Files that lie: about their frames, their lengths, their content. An error says so, or nothing is lost.

use std::io;

use limits::frames::{CONTENT_LEN_MAX, EMPTY_FRAMES_MAX, FRAMES_MAX, PACKED_LEN_MAX};
use raw_format::{
    FrameEncoder, FrameError, FrameLimit, SeekTable, SeekTableBuilder, SeekTableError, ZstdDisk,
    ZstdDiskError, zero_frame,
};
use vhdx_format::{Content, DiskOffset, FileOffset, ReadAt, ReadError, SectorSize, VirtualDisk, read_disk};

use crate::support::{file_of, noise, open, whole};

const HAS_CHECKSUMS: u8 = 0x80;

/// A table as the format has it, with any numbers in it.
fn table(entries: &[u32], frames: u32, descriptor: u8) -> Vec<u8> {
    let len = u32::try_from(entries.len() * 4 + 9).expect("a short table");
    let mut bytes: Vec<u8> = [0x184D_2A5E, len].into_iter().flat_map(u32::to_le_bytes).collect();
    bytes.extend(entries.iter().copied().flat_map(u32::to_le_bytes));
    bytes.extend(frames.to_le_bytes());
    bytes.push(descriptor);
    bytes.extend(0x8F92_EAB1_u32.to_le_bytes());
    bytes
}

fn packed(content: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    FrameEncoder::new(3).expect("an encoder").encode(content, &mut frame).expect("a frame");
    frame
}

/// One frame under a table that says this of its content's length.
fn one_frame(mut frame: Vec<u8>, len: u32) -> Vec<u8> {
    let entries = [u32::try_from(frame.len()).expect("a short frame"), len];
    frame.extend(table(&entries, 1, 0));
    frame
}

#[track_caller]
fn frame_error(file: &[u8]) -> FrameError {
    let disk = open(file);
    let mut bytes = vec![0; usize::try_from(disk.geometry().size()).expect("a small disk")];
    let error = read_disk(&disk, DiskOffset(0), &mut bytes).expect_err("a broken frame");
    let ReadError::Payload { source, .. } = error else { panic!("{error:?}") };
    assert_eq!(source.kind(), io::ErrorKind::InvalidData);
    source.downcast().expect("a frame's error")
}

#[test]
fn what_has_no_table_is_told_from_what_has_a_bad_one() {
    for file in [Vec::new(), noise(1, 8), noise(1, 100), packed(b"abc")] {
        assert!(matches!(SeekTable::read(&file), Err(SeekTableError::NoTable)));
    }
}

#[test]
fn every_truncation_is_noticed() {
    let file = file_of([&noise(1, 512)[..], &[0; 1024], &noise(2, 512)]);
    for len in 0..file.len() {
        ZstdDisk::open(file[..len].to_vec(), SectorSize::B512).expect_err("a shorter file");
    }
}

/// Bits 0 and 1 of the descriptor mean nothing; any other change is an error when the file is opened or read.
#[test]
fn any_byte_of_a_table_changed_is_an_error_or_changes_nothing() {
    let content = [noise(1, 512), vec![0; 1024], noise(2, 512)].concat();
    let file = file_of([&content[..512], &content[512..1536], &content[1536..]]);
    let table_at = file.len() - (8 + 3 * 8 + 9);
    for at in table_at..file.len() {
        for change in [1, 2, 4, 8, 16, 32, 64, 128, 0xFF] {
            let mut changed = file.clone();
            changed[at] ^= change;
            let Ok(disk) = ZstdDisk::open(changed, SectorSize::B512) else { continue };
            let mut bytes = vec![0; usize::try_from(disk.geometry().size()).unwrap()];
            if read_disk(&disk, DiskOffset(0), &mut bytes).is_ok() {
                assert!(bytes == content, "byte {at} changed by {change:#x}");
            }
        }
    }
}

#[test]
fn any_byte_of_a_frame_changed_is_an_error_or_changes_nothing() {
    let content = [b"some words ".repeat(512), vec![0; 512]].concat();
    let file = file_of([&content[..5632], &content[5632..]]);
    let frames_len = file.len() - (8 + 2 * 8 + 9);
    for at in 0..frames_len {
        for change in [1, 4, 32, 128, 0xFF] {
            let mut changed = file.clone();
            changed[at] ^= change;
            let disk = open(&changed);
            let mut bytes = vec![0; content.len()];
            if read_disk(&disk, DiskOffset(0), &mut bytes).is_ok() {
                assert!(bytes == content, "byte {at} changed by {change:#x}");
            }
        }
    }
}

#[test]
fn counts_beyond_the_file_allocate_nothing() {
    let file = table(&[], FRAMES_MAX, 0);
    let need = 17 + u64::from(FRAMES_MAX) * 8;
    let found = SeekTable::read(&file);
    assert!(matches!(found, Err(SeekTableError::Truncated { need: n, have: 17, .. }) if n == need));
    let found = SeekTable::read(&table(&[], FRAMES_MAX + 1, 0));
    assert!(matches!(found, Err(SeekTableError::TooLarge { found, .. }) if found == FRAMES_MAX + 1));
    assert!(matches!(SeekTable::read(&table(&[], u32::MAX, 0)), Err(SeekTableError::TooLarge { .. })));
}

#[test]
fn frames_larger_than_what_is_read_are_refused_when_opening() {
    for entries in [[9, CONTENT_LEN_MAX + 1], [PACKED_LEN_MAX + 1, 9]] {
        let mut file = noise(1, 9);
        file.extend(table(&entries, 1, 0));
        assert!(matches!(SeekTable::read(&file), Err(SeekTableError::TooLarge { .. })));
    }
}

#[test]
fn frames_must_end_where_the_table_begins() {
    for wrong in [511, 513] {
        let mut file = noise(1, 512);
        file.extend(table(&[wrong, 512], 1, 0));
        match SeekTable::read(&file) {
            Err(SeekTableError::Corrupt { at: FileOffset(512), expected: 512, found, .. }) => {
                assert_eq!(found, u64::from(wrong));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn reserved_bits_are_refused_and_unused_ones_are_not() {
    let frame = packed(&[7; 512]);
    let entries = [u32::try_from(frame.len()).unwrap(), 512];
    for bit in 0..7 {
        let file = [frame.clone(), table(&entries, 1, 1 << bit)].concat();
        match SeekTable::read(&file) {
            Ok(_) => assert!(bit < 2),
            Err(SeekTableError::Corrupt { expected: 0, found, .. }) => assert_eq!(found, 1 << bit),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_frame_with_another_length_than_the_table_says_is_named() {
    for len in [512, 1536] {
        match frame_error(&one_frame(packed(&[7; 1024]), len)) {
            FrameError::Length { index: 0, at: FileOffset(0), expected, found: 1024 } => {
                assert_eq!(expected, len);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Or else the disk would be shorter than its content, and nobody would ever read what is missing.
#[test]
fn a_frame_that_is_said_to_be_empty_must_be() {
    let frame = packed(&[7; 512]);
    let len = u32::try_from(frame.len()).unwrap();
    let skippable: Vec<u8> = [0x184D_2A50_u32, 4, 99].into_iter().flat_map(u32::to_le_bytes).collect();
    for (other, is_empty) in [(frame.clone(), false), (zero_frame(0), true), (skippable, true)] {
        let entries = [len, 512, u32::try_from(other.len()).unwrap(), 0];
        let file = [frame.clone(), other, table(&entries, 2, 0)].concat();
        match ZstdDisk::open(file, SectorSize::B512) {
            Ok(disk) => assert!(is_empty && whole(&disk) == [7; 512]),
            Err(ZstdDiskError::EmptyFrame(error)) => {
                assert!(matches!(error, FrameError::Length { index: 1, expected: 0, found: 512, .. }));
                assert!(!is_empty);
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_frame_with_a_wrong_checksum_is_named() {
    let mut frame = packed(&noise(1, 512));
    *frame.last_mut().unwrap() ^= 1;
    let mut file = [packed(&[0; 512]), frame].concat();
    let first = u32::try_from(zero_frame(512).len()).unwrap();
    let second = u32::try_from(file.len()).unwrap() - first;
    file.extend(table(&[first, 512, second, 512], 2, 0));
    let error = frame_error(&file);
    assert!(
        matches!(&error, FrameError::Damaged { index: 1, at, .. } if at.0 == u64::from(first)),
        "{error:?}"
    );
}

/// The content is right and the frame has no checksum: only the table can tell.
#[test]
fn checksums_of_the_table_are_verified() {
    let content = noise(1, 512);
    let frame = zstd::bulk::compress(&content, 3).unwrap();
    let len = u32::try_from(frame.len()).unwrap();
    let own = packed(&content);
    let right = u32::from_le_bytes(*own.last_chunk::<4>().unwrap());
    let with = |sum| [frame.clone(), table(&[len, 512, sum], 1, HAS_CHECKSUMS)].concat();
    assert!(whole(&open(&with(right))) == content);
    match frame_error(&with(right ^ 1)) {
        FrameError::Checksum { index: 0, expected, found, .. } => {
            assert_eq!((expected, found), (right ^ 1, right));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn zeros_whose_table_says_something_else_are_no_zeros() {
    let frame = zero_frame(512);
    let len = u32::try_from(frame.len()).unwrap();
    let right = u32::from_le_bytes(*frame.last_chunk::<4>().unwrap());
    let with = |sum| [frame.clone(), table(&[len, 512, sum], 1, HAS_CHECKSUMS)].concat();
    let disk = open(&with(right));
    assert!(disk.extents(disk.geometry().range()).all(|extent| extent.unwrap().content == Content::Zero));
    assert!(matches!(frame_error(&with(right ^ 1)), FrameError::Checksum { .. }));
}

/// A frame may say that its content is enormous; the buffer is as long as the table says.
#[test]
fn a_frame_that_claims_more_than_the_table_is_refused() {
    let frame = zero_frame(1 << 30);
    match frame_error(&one_frame(frame, 4096)) {
        FrameError::Length { expected: 4096, found, .. } => assert_eq!(found, 1 << 30),
        other => panic!("{other:?}"),
    }
}

/// Holds its table, and fails on its first frame.
#[derive(Debug)]
struct Failing(Vec<u8>);

impl ReadAt for Failing {
    fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
        if at.0 == 0 { Err(io::ErrorKind::TimedOut.into()) } else { self.0.read_exact_at(at, buf) }
    }

    fn byte_len(&self) -> io::Result<u64> {
        self.0.byte_len()
    }
}

#[test]
fn an_empty_frame_that_can_not_be_read_is_no_damaged_one() {
    let file = file_of([&[][..], &noise(1, 512)]);
    match ZstdDisk::open(Failing(file), SectorSize::B512) {
        Err(ZstdDiskError::EmptyFrame(FrameError::Read { index: 0, source, .. })) => {
            assert_eq!(source.kind(), io::ErrorKind::TimedOut);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_frame_without_a_byte_is_refused_whatever_it_is_said_to_hold() {
    let frame = packed(&[7; 512]);
    let len = u32::try_from(frame.len()).unwrap();
    for content in [0, 512] {
        let file = [frame.clone(), table(&[len, 512, 0, content], 2, 0)].concat();
        assert!(matches!(SeekTable::read(&file), Err(SeekTableError::NoBytes { index: 1 })));
    }
}

#[test]
fn more_than_a_handful_of_empty_frames_are_refused() {
    let with = |count| file_of([&noise(1, 512)[..]].into_iter().chain(std::iter::repeat_n(&[][..], count)));
    let max = EMPTY_FRAMES_MAX as usize;
    assert_eq!(whole(&open(&with(max))), noise(1, 512));
    let found = SeekTable::read(&with(max + 1));
    assert!(matches!(found, Err(SeekTableError::TooLarge { found, .. }) if found == EMPTY_FRAMES_MAX + 1));
}

#[test]
fn a_file_that_can_not_be_read_is_no_damaged_frame() {
    let disk = ZstdDisk::open(Failing(file_of([&noise(1, 512)[..]])), SectorSize::B512).unwrap();
    let error = read_disk(&disk, DiskOffset(0), &mut [0; 512]).unwrap_err();
    assert!(matches!(error, ReadError::Payload { source, .. } if source.kind() == io::ErrorKind::TimedOut));
}

#[test]
fn the_builder_refuses_what_the_format_can_not_say() {
    let mut table = SeekTableBuilder::new();
    assert_eq!(table.push(9, (1 << 30) + 1), Err(FrameLimit::Content((1 << 30) + 1)));
    assert_eq!(table.push(1 << 32, 9), Err(FrameLimit::Packed(1 << 32)));
    assert_eq!(table.push(u32::MAX as usize, 1 << 30), Ok(()));
    let mut bytes = Vec::new();
    table.write_to(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, table.encoded_len());
}
