//! Files that are no images, too short ones, and headers that say what can not be.

use limits::Limit;
use limits::image::FILE_LEN_MAX;
use uuid::Uuid;
use vhdx_format::forge::{SparseFile, edit, edit_header};
use vhdx_format::{FileOffset, ImageError, Problem, ReadAt, Structure, Unsupported};

use crate::support::{
    HEADERS, MIB, assert_corrupt, assert_reads, dynamic, open, put, shortage, unsupported, value,
};

#[test]
fn what_does_not_begin_like_an_image_is_none() {
    for len in [0, 7, 8, 65_536, MIB - 1, 4 * MIB] {
        let mut file = SparseFile::default();
        file.set_len(len);
        assert!(matches!(open(&file), Err(ImageError::NotVhdx)), "{len} zeros");
    }
    let mut file = dynamic().build();
    file.write(7, b"f");
    assert!(matches!(open(&file), Err(ImageError::NotVhdx)));
    file.write(0, b"conectix");
    assert!(matches!(open(&file), Err(ImageError::NotVhdx)));
}

#[test]
fn an_image_that_ends_inside_its_header_area_is_truncated() {
    for len in [8, 9, 519, 65_536, 0x2_0FFF, MIB - 1] {
        let mut file = dynamic().build();
        file.set_len(len);
        assert_eq!(shortage(&file), (Structure::Headers, MIB, len));
    }
    let mut file = dynamic().build();
    file.set_len(7);
    assert!(matches!(open(&file), Err(ImageError::NotVhdx)));
}

#[test]
fn an_image_that_ends_behind_its_header_area_is_truncated_where_the_log_is() {
    let mut file = dynamic().build();
    file.set_len(MIB);
    assert_eq!(shortage(&file), (Structure::Log, 2 * MIB, MIB));
}

#[test]
fn a_file_longer_than_any_disk_needs_is_over_the_limit() {
    let mut file = dynamic().build();
    file.set_len(FILE_LEN_MAX + 1);
    assert_eq!(shortage(&file), (Structure::File, FILE_LEN_MAX, FILE_LEN_MAX + 1));
    file.set_len(u64::MAX);
    assert_eq!(shortage(&file), (Structure::File, FILE_LEN_MAX, u64::MAX));
}

#[test]
fn another_version_is_refused_and_the_older_header_is_no_way_round() {
    let mut file = dynamic().build();
    edit_header(&mut file, 1, |header| header[66] = 2);
    assert_eq!(unsupported(&file), Unsupported::Version(2));
    edit_header(&mut file, 1, |header| header[66] = 1);
    edit_header(&mut file, 0, |header| header[66] = 2);
    assert_reads(&file, &dynamic());
}

#[test]
fn another_log_version_matters_only_where_there_is_a_log() {
    let mut image = dynamic();
    image.log_version = 1;
    assert_reads(&image.build(), &image);
    image.log_guid = Uuid::max();
    assert_eq!(unsupported(&image.build()), Unsupported::LogVersion(1));
}

#[test]
fn a_log_lies_in_whole_mibs_behind_the_header_area() {
    let length = "whole MiBs, and not 0 while LogGuid is set";
    let offset = "whole MiBs, from 1 MiB on";
    let cases = [
        (68, 4096, value("LogLength", length, 4096)),
        (68, 0xFFFF_FFFF, value("LogLength", length, 0xFFFF_FFFF)),
        (72, 0, value("LogOffset", offset, 0)),
        (72, MIB + 4096, value("LogOffset", offset, MIB + 4096)),
        (72, u64::MAX, value("LogOffset", offset, u64::MAX)),
    ];
    for (field, found, problem) in cases {
        let mut file = dynamic().build();
        edit_header(&mut file, 1, |header| {
            let len = if field == 68 { 4 } else { 8 };
            header[field..field + len].copy_from_slice(&found.to_le_bytes()[..len]);
        });
        assert_corrupt(&file, Structure::Header(2), HEADERS[1], problem);
    }
}

#[test]
fn a_log_of_no_length_is_in_order_only_while_it_is_empty() {
    let mut file = dynamic().build();
    edit_header(&mut file, 1, |header| header[68..80].fill(0));
    assert_reads(&file, &dynamic());
    edit_header(&mut file, 1, |header| header[48] = 1);
    let problem = value("LogLength", "whole MiBs, and not 0 while LogGuid is set", 0);
    assert_corrupt(&file, Structure::Header(2), HEADERS[1], problem);
}

#[test]
fn a_log_past_the_files_end_is_truncated_whatever_the_numbers() {
    for at in [6 * MIB, 1 << 60, u64::MAX - MIB + 1] {
        let mut file = dynamic().build();
        edit_header(&mut file, 1, |header| put(header, 72, at));
        assert_eq!(shortage(&file), (Structure::Log, at.saturating_add(MIB), file.len()));
    }
}

#[test]
fn a_dirty_log_longer_than_the_limit_is_refused_and_an_empty_one_is_not() {
    let most = Limit::LogSize.usual();
    let len = most + MIB;
    let mut image = dynamic();
    image.log_len = u32::try_from(len).expect("32 bits");
    assert_reads(&image.build(), &image);
    image.log_guid = Uuid::max();
    assert_eq!(shortage(&image.build()), (Structure::Log, most, len));
}

#[test]
fn sequence_numbers_compare_as_64_unsigned_bits() {
    let mut image = dynamic();
    image.sequence_numbers = [u64::MAX, 1];
    let layer = open(&image.build()).expect("an image");
    assert_eq!(layer.outline().header().sequence_number, u64::MAX);
}

/// No torn write leaves a header that is one in all but its checksum, so a newer one that names another log counts.
#[test]
fn a_damaged_header_that_names_another_log_and_is_newer_is_not_passed_over() {
    let damaged = |log: u8, number: u64| {
        let mut file = dynamic().build();
        edit_header(&mut file, 1, |header| {
            put(header, 8, number);
            header[48..64].fill(log);
        });
        edit(&mut file, HEADERS[1], 80, |header| header[79] ^= 1);
        file
    };
    assert_reads(&damaged(0, 8), &dynamic());
    assert_reads(&damaged(1, 6), &dynamic());
    let error = open(&damaged(1, 8)).expect_err("a log that may count");
    assert!(error.to_string().starts_with("header 2 at 0x20000: checksum expected"), "{error}");
}

/// A source whose reads fail from some moment on.
struct Failing {
    file: SparseFile,
    reads_left: std::sync::atomic::AtomicUsize,
}

impl ReadAt for Failing {
    fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> std::io::Result<()> {
        use std::sync::atomic::Ordering::Relaxed;
        let left = self.reads_left.load(Relaxed);
        self.reads_left.store(left.saturating_sub(1), Relaxed);
        if left == 0 {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        self.file.read_exact_at(at, buf)
    }

    fn byte_len(&self) -> std::io::Result<u64> {
        self.file.byte_len()
    }
}

#[test]
fn a_failing_read_is_never_taken_for_damage() {
    let file = dynamic().build();
    for reads in 0..100 {
        let source = Failing { file: file.clone(), reads_left: reads.into() };
        match vhdx_format::Layer::open(Box::new(source)) {
            Err(ImageError::Io { source, .. }) => {
                assert_eq!(source.kind(), std::io::ErrorKind::TimedOut);
            }
            Err(other) => panic!("read {reads} failed: {other}"),
            Ok(_) => {
                assert!(reads > 5, "an image is not opened with {reads} reads");
                return;
            }
        }
    }
    panic!("more than 100 reads for a small image");
}

#[test]
fn damage_names_its_structure_and_prints_its_place_in_hexadecimal() {
    let mut file = dynamic().build();
    edit_header(&mut file, 1, |header| put(header, 72, 0));
    let error = open(&file).expect_err("no place for a log");
    let said = error.to_string();
    assert_eq!(said, "header 2 at 0x20000: LogOffset expected whole MiBs, from 1 MiB on, found 0x0");
    assert_eq!(
        Problem::AmbiguousHeaders(16).to_string(),
        "both headers have sequence number 0x10 but differ, so neither is current"
    );
}
