//! The largest disk there is, all zeros: a source that makes its bytes up as they are asked for.

use std::io;

use raw_format::{FRAME_LEN, SeekTableBuilder, ZstdDisk, zero_frame};
use vhdx_format::{Content, DiskOffset, DiskRange, FileOffset, ReadAt, SectorSize, VirtualDisk, read_disk};

const SIZE: u64 = 64 << 40;

/// One frame again and again, then its table.
struct SameFrames {
    frame: Vec<u8>,
    table: Vec<u8>,
    count: u64,
}

impl SameFrames {
    fn new(count: u64) -> Self {
        let frame = zero_frame(FRAME_LEN);
        let mut builder = SeekTableBuilder::new();
        for _ in 0..count {
            builder.push(frame.len(), FRAME_LEN as usize).expect("a frame");
        }
        let mut table = Vec::new();
        builder.write_to(&mut table).expect("room");
        Self { frame, table, count }
    }

    fn frames_len(&self) -> u64 {
        self.count * self.frame.len() as u64
    }
}

impl ReadAt for SameFrames {
    fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
        match at.0.checked_sub(self.frames_len()) {
            Some(in_table) => self.table.read_exact_at(FileOffset(in_table), buf),
            None => self.frame.read_exact_at(FileOffset(at.0 % self.frame.len() as u64), buf),
        }
    }

    fn byte_len(&self) -> io::Result<u64> {
        Ok(self.frames_len() + self.table.len() as u64)
    }
}

/// 16.7 million frames: 128 MiB for their lengths, and 4 MiB for marks.
#[test]
fn a_disk_of_64_tib_opens_and_is_read_anywhere() {
    let disk = ZstdDisk::open(SameFrames::new(SIZE / u64::from(FRAME_LEN)), SectorSize::B4096).unwrap();
    assert_eq!(disk.geometry().size(), SIZE);
    for at in [0, SIZE / 3, SIZE - 4096] {
        let mut bytes = [0xAA; 4096];
        read_disk(&disk, DiskOffset(at), &mut bytes).unwrap();
        assert_eq!(bytes, [0; 4096]);
    }
    let tail = DiskRange::new(DiskOffset(SIZE - (1 << 40)), DiskOffset(SIZE));
    let extents: Vec<_> = disk.extents(tail).map(|extent| extent.unwrap()).collect();
    assert!(matches!(extents[..], [one] if one.len == 1 << 40 && one.content == Content::Zero));
    let last = disk.table().frame(disk.table().frame_count() - 1).unwrap();
    assert_eq!(last.start.0 + u64::from(FRAME_LEN), SIZE);
    assert_eq!(last.at.0 + u64::from(last.packed), disk.source().frames_len());
}
