//! A raw source as a disk: with holes, too long, too short, wrong about itself.

use std::io;
use std::ops::Range;

use raw_format::{RawDisk, RawError};
use vhdx_format::{
    Content, DiskOffset, DiskRange, FileOffset, Geometry, LayerIndex, ReadAt, ReadError, SectorSize,
    VirtualDisk, read_disk,
};

use crate::support::{assert_extents, noise, whole};

fn geometry(size: u64) -> Geometry {
    Geometry::new(size, SectorSize::B512, SectorSize::B4096).expect("a geometry")
}

type Answer = fn(u64, u64) -> io::Result<Range<u64>>;

/// Answers about holes as the test wants it to.
struct Sparse<F>(Vec<u8>, F);

impl<F: Fn(u64, u64) -> io::Result<Range<u64>> + Send + Sync> ReadAt for Sparse<F> {
    fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(at, buf)
    }

    fn byte_len(&self) -> io::Result<u64> {
        self.0.byte_len()
    }

    fn next_data(&self, at: FileOffset, end: FileOffset) -> io::Result<Range<FileOffset>> {
        let found = (self.1)(at.0, end.0)?;
        Ok(FileOffset(found.start)..FileOffset(found.end))
    }
}

fn kinds(disk: &dyn VirtualDisk, range: DiskRange) -> Vec<(u64, bool)> {
    let extents = disk.extents(range).map(|extent| extent.expect("an extent"));
    extents.map(|extent| (extent.start.0, extent.content != Content::Zero)).collect()
}

#[test]
fn a_source_without_holes_is_one_extent_at_the_same_place() {
    let content = noise(1, 4096);
    let disk = RawDisk::new(content.clone(), geometry(4096)).unwrap();
    let range = DiskRange::new(DiskOffset(1000), DiskOffset(u64::MAX));
    let extents: Vec<_> = disk.extents(range).map(|extent| extent.unwrap()).collect();
    let [one] = extents[..] else { panic!("{extents:?}") };
    assert_eq!((one.start.0, one.len), (1000, 3096));
    assert_eq!(one.content, Content::Data { layer: LayerIndex(0), at: FileOffset(1000) });
    assert!(whole(&disk) == content);
    assert!(disk.layer(LayerIndex(1)).is_none());
}

#[test]
fn what_lies_behind_the_disk_is_left_alone() {
    let content = noise(1, 4096);
    let disk = RawDisk::new(content.clone(), geometry(1024)).unwrap();
    assert!(whole(&disk) == content[..1024]);
    assert_eq!(disk.extents(DiskRange::new(DiskOffset(1024), DiskOffset(4096))).count(), 0);
}

#[test]
fn a_source_that_is_too_short_is_refused_with_both_lengths() {
    let found = RawDisk::new(noise(1, 1023), geometry(1024));
    assert!(matches!(found, Err(RawError::Truncated { need: 1024, have: 1023 })));
}

#[test]
fn holes_are_zeros_and_are_not_read() {
    let mut content = vec![0; 8192];
    content[2048..4096].copy_from_slice(&noise(1, 2048));
    let runs = |at: u64, end: u64| {
        let start = at.max(2048).min(end);
        Ok(if start < 4096 { start..end.min(4096) } else { end..end })
    };
    let disk = RawDisk::new(Sparse(content.clone(), runs), geometry(8192)).unwrap();
    assert_eq!(kinds(&disk, disk.geometry().range()), [(0, false), (2048, true), (4096, false)]);
    for (start, end) in [(0, 8192), (0, 2048), (100, 2049), (2048, 4096), (3000, 5000), (4096, 8192), (5, 5)]
    {
        assert_extents(&disk, &content, DiskRange::new(DiskOffset(start), DiskOffset(end)));
    }
    assert!(whole(&disk) == content);
}

#[test]
fn answers_that_make_no_sense_are_taken_for_data() {
    let content = noise(1, 4096);
    let inside_out = |at: u64, _: u64| Ok(Range { start: at, end: at.saturating_sub(1) });
    let nowhere = |at: u64, _: u64| Ok(at..at);
    let too_far = |_: u64, _: u64| Ok(0..u64::MAX);
    let answers: [Answer; 3] = [inside_out, nowhere, too_far];
    for answer in answers {
        let disk = RawDisk::new(Sparse(content.clone(), answer), geometry(4096)).unwrap();
        assert_eq!(kinds(&disk, disk.geometry().range()), [(0, true)]);
        assert!(whole(&disk) == content);
    }
}

#[test]
fn a_source_that_can_not_say_ends_the_extents_with_its_error() {
    let failing = |_: u64, _: u64| Err(io::ErrorKind::TimedOut.into());
    let disk = RawDisk::new(Sparse(vec![0; 1024], failing), geometry(1024)).unwrap();
    let found: Vec<_> = disk.extents(disk.geometry().range()).collect();
    assert!(matches!(&found[..], [Err(ReadError::Payload { layer: LayerIndex(0), .. })]), "{found:?}");
    read_disk(&disk, DiskOffset(0), &mut [0; 1024]).unwrap_err();
}
