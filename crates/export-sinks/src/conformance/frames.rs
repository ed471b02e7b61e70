//! What is particular to compressed disks: one artifact whatever the way, frames that others read, and cheap zeros.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use raw_format::{Frame, SeekTable, ZstdDisk, zero_frame};
use vhdx_format::{Content, DiskOffset, SectorSize, VirtualDisk};

use super::model::{Fill, Hollow, ModelDisk};
use super::subjects::decompressed;
use super::{exported, threads};
use crate::compressed::{self, ArtifactDigest};
use crate::{Cancel, Compression, DigestChoice, NoProgress, Overwrite, Target};

const CELL: u64 = 4 << 20;
const ALL: [&str; 3] = ["zstd", "gzip", "xz"];

fn compression(text: &str) -> Compression {
    text.parse().unwrap()
}

/// Cells of every kind, the last one short.
fn disk() -> ModelDisk {
    ModelDisk::new(&[
        (5 << 20, Fill::Noise),
        (14 << 20, Fill::Hole),
        (1 << 20, Fill::Specks),
        (9 << 20, Fill::StoredZeros),
        (512, Fill::Noise),
        (3 << 20, Fill::Hole),
    ])
}

fn streamed(disk: &dyn VirtualDisk, compression: Compression, count: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let sink = compressed::to_stream(&mut out, compression, ArtifactDigest::Off);
    let done = exported(disk, sink, &threads(count), &NoProgress, &Cancel::new()).unwrap();
    assert_eq!(done.len, out.len() as u64);
    assert_eq!(done.artifact, None);
    out
}

fn filed(disk: &dyn VirtualDisk, compression: Compression, path: &Path) {
    let sink = compressed::to_file(&Target::new(path, Overwrite::Refuse), compression, ArtifactDigest::Off);
    exported(disk, sink.unwrap(), &threads(2), &NoProgress, &Cancel::new()).unwrap();
}

#[test]
fn file_and_stream_get_the_same_bytes_from_one_thread_or_five() {
    let directory = tempfile::tempdir().unwrap();
    for name in ALL {
        let path = directory.path().join(name);
        filed(&disk(), compression(name), &path);
        let file = fs::read(path).unwrap();
        for count in [1, 5] {
            assert!(streamed(&disk(), compression(name), count) == file, "{name} on {count} threads");
        }
    }
}

#[test]
fn the_programs_of_each_format_accept_the_files() {
    let directory = tempfile::tempdir().unwrap();
    for name in ALL {
        let path = directory.path().join("disk");
        filed(&disk(), compression(name), &path);
        for option in ["-t", "-dc"] {
            // From standard input, so that the name does not matter.
            let input = fs::File::open(&path).unwrap();
            match Command::new(name).arg(option).stdin(input).output() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => println!("skipped: no {name}"),
                Err(error) => panic!("{name}: {error}"),
                Ok(done) => {
                    assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
                    assert!(option == "-t" || done.stdout == disk().content, "{name}");
                }
            }
        }
        fs::remove_file(path).unwrap();
    }
}

fn frames(file: &[u8]) -> Vec<Frame> {
    SeekTable::read(&file.to_vec()).unwrap().frames_from(DiskOffset(0)).collect()
}

#[test]
fn the_seek_table_lists_a_frame_for_each_cell() {
    let disk = disk();
    let frames = frames(&streamed(&disk, compression("zstd"), 3));
    let size = disk.geometry().size();
    let expected: Vec<_> = (0..size).step_by(4 << 20).map(|at| (at, CELL.min(size - at))).collect();
    let found: Vec<_> = frames.iter().map(|frame| (frame.start.0, u64::from(frame.len))).collect();
    assert_eq!(found, expected);
}

#[test]
fn cells_of_zeros_are_the_known_frame_stored_or_not() {
    let disk = disk();
    let file = streamed(&disk, compression("zstd:19"), 2);
    let mut count = 0;
    for frame in frames(&file) {
        let (start, at) = (usize::try_from(frame.start.0).unwrap(), usize::try_from(frame.at.0).unwrap());
        let content = &disk.content[start..start + frame.len as usize];
        let packed = &file[at..at + frame.packed as usize];
        let is_zero = content.iter().all(|&byte| byte == 0);
        assert_eq!(packed == zero_frame(frame.len), is_zero, "at {start}");
        count += usize::from(is_zero);
    }
    assert_eq!(count, 5, "of nine cells");
}

#[test]
fn a_short_last_cell_of_zeros_is_the_known_frame_too() {
    let disk = ModelDisk::new(&[(1 << 20, Fill::Noise), (5 << 20, Fill::Hole), (512, Fill::Hole)]);
    let file = streamed(&disk, compression("zstd"), 1);
    let last = *frames(&file).last().unwrap();
    assert_eq!(last.len, (2 << 20) + 512);
    let at = usize::try_from(last.at.0).unwrap();
    assert!(file[at..at + last.packed as usize] == zero_frame(last.len));
}

#[test]
fn a_file_of_zstd_is_a_disk_again_with_its_holes() {
    let disk = disk();
    let again = ZstdDisk::open(streamed(&disk, compression("zstd"), 2), SectorSize::B512).unwrap();
    assert_eq!(again.geometry().size(), disk.geometry().size());
    let extents = again.extents(again.geometry().range()).map(Result::unwrap);
    let zeros: u64 = extents.filter(|extent| extent.content == Content::Zero).map(|extent| extent.len).sum();
    assert_eq!(zeros, 4 * CELL + 512);
}

/// Counts what it is given, and keeps the first of it.
struct Counted {
    len: u64,
    start: Vec<u8>,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.len += bytes.len() as u64;
        self.start.extend(bytes.iter().take(1000 - self.start.len()));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_tebibyte_of_zeros_costs_little() {
    for (name, most) in [("zstd", 64 << 20), ("xz", 256 << 20), ("gzip", 2 << 30)] {
        let mut out = Counted { len: 0, start: Vec::new() };
        let sink = compressed::to_stream(&mut out, compression(name), ArtifactDigest::Off);
        let done = exported(&Hollow::new(1 << 40), sink, &threads(2), &NoProgress, &Cancel::new()).unwrap();
        assert_eq!(done.len, out.len);
        assert!(out.len < most, "{name}: {} bytes", out.len);
        assert_eq!(done.content.total(), 1 << 40);
        if name == "zstd" {
            let frame = zero_frame(4 << 20);
            assert!(frame.len() < 200 && out.start.starts_with(&frame));
        }
    }
}

#[test]
fn every_level_gives_the_disk_back() {
    let disk = ModelDisk::new(&[(300 << 10, Fill::Noise), (200 << 10, Fill::Specks), (512, Fill::Hole)]);
    for (name, levels) in [("zstd", 1..=22), ("gzip", 1..=9), ("xz", 0..=9)] {
        for level in levels {
            let compression = compression(&format!("{name}:{level}"));
            let file = streamed(&disk, compression, 1);
            assert!(decompressed(&file, compression) == disk.content, "{compression}");
        }
    }
}

#[test]
fn the_digest_of_the_artifact_is_taken_if_it_is_chosen() {
    for artifact in [false, true] {
        let choice = DigestChoice { artifact, ..DigestChoice::default() };
        let sink = compressed::to_stream(Vec::new(), compression("gzip"), choice.into());
        let done = exported(&disk(), sink, &threads(2), &NoProgress, &Cancel::new()).unwrap();
        assert_eq!(done.artifact.is_some(), artifact);
    }
}
