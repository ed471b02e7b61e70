//! A seekable file as a disk, against its content.

use limits::frames::EMPTY_FRAMES_MAX;
use proptest::prelude::*;
use raw_format::{FRAME_LEN, ZstdDisk, ZstdDiskError};
use vhdx_format::{
    Content, DiskOffset, DiskRange, FileOffset, GeometryError, LayerIndex, SectorSize, VirtualDisk, read_disk,
};

use crate::support::{assert_extents, cut, cut_content, file_of, noise, open, whole};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_part_reads_as_it_was_written(
        (content, cuts) in cut_content(),
        reads in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..20),
    ) {
        let disk = open(&file_of(cut(&content, &cuts)));
        prop_assert_eq!(disk.geometry().size(), content.len() as u64);
        for (a, b) in reads {
            let (a, b) = (a.index(content.len() + 1), b.index(content.len() + 1));
            let (start, end) = (a.min(b), a.max(b));
            let mut bytes = vec![0xAA; end - start];
            read_disk(&disk, DiskOffset(start as u64), &mut bytes).expect("readable");
            prop_assert!(bytes == content[start..end]);
            assert_extents(&disk, &content, DiskRange::new(DiskOffset(start as u64), DiskOffset(end as u64)));
        }
    }

    #[test]
    fn frames_are_found_by_number_and_by_content(
        lengths in prop::collection::vec((0..5_usize).prop_map(|sectors| sectors * 512), 1..300),
    ) {
        let lengths = with_few_empty(lengths);
        prop_assume!(lengths.iter().any(|len| *len > 0));
        let content = vec![7; lengths.iter().sum()];
        let mut left = &content[..];
        let frames = lengths.iter().map(|len| { let (frame, rest) = left.split_at(*len); left = rest; frame });
        let disk = open(&file_of(frames.collect::<Vec<_>>()));
        let table = disk.table();
        let by_number: Vec<_> = (0..table.frame_count()).map_while(|index| table.frame(index)).collect();
        prop_assert_eq!(by_number.len(), lengths.len());
        prop_assert_eq!(table.frame(table.frame_count()), None);
        for at in (0..=content.len() as u64).step_by(256) {
            let expected = by_number.iter().filter(|frame| frame.len > 0 && frame.start.0 + u64::from(frame.len) > at);
            prop_assert!(table.frames_from(DiskOffset(at)).eq(expected.copied()));
        }
    }
}

/// All but the first few lengths of 0 left out.
fn with_few_empty(lengths: Vec<usize>) -> Vec<usize> {
    let mut left = EMPTY_FRAMES_MAX;
    let mut is_wanted = |len: &usize| {
        let is_wanted = *len > 0 || left > 0;
        left -= u32::from(*len == 0 && left > 0);
        is_wanted
    };
    lengths.into_iter().filter(|len| is_wanted(len)).collect()
}

#[test]
fn frames_of_zeros_are_zeros_and_others_lie_where_the_disk_has_them() {
    let frame = FRAME_LEN as usize;
    let data = noise(1, frame);
    let zeros = vec![0; frame];
    let disk = open(&file_of([&data[..], &data, &zeros, &zeros, &data[..512], &zeros[..512]]));
    let extents: Vec<_> = disk.extents(disk.geometry().range()).map(|extent| extent.unwrap()).collect();
    let len = u64::from(FRAME_LEN);
    let data = |at| Content::Data { layer: LayerIndex(0), at: FileOffset(at) };
    let found: Vec<_> = extents.iter().map(|extent| (extent.start.0, extent.len, extent.content)).collect();
    let expected = [
        (0, 2 * len, data(0)),
        (2 * len, 2 * len, Content::Zero),
        (4 * len, 512, data(4 * len)),
        (4 * len + 512, 512, Content::Zero),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_frame_of_zeros_that_was_compressed_is_data_and_reads_as_zeros() {
    let packed = zstd::bulk::compress(&vec![0; 1 << 20], 3).unwrap();
    let mut table = raw_format::SeekTableBuilder::new();
    table.push(packed.len(), 1 << 20).unwrap();
    let mut file = packed;
    table.write_to(&mut file).unwrap();
    let disk = open(&file);
    assert!(
        matches!(disk.extents(disk.geometry().range()).next(), Some(Ok(extent)) if extent.content != Content::Zero)
    );
    assert!(whole(&disk).iter().all(|byte| *byte == 0));
}

#[test]
fn only_layer_0_exists_and_it_has_the_content() {
    let disk = open(&file_of([&noise(1, 1024)[..]]));
    assert_eq!(disk.layer(LayerIndex(0)).unwrap().byte_len().unwrap(), 1024);
    assert!(disk.layer(LayerIndex(1)).is_none());
    let mut bytes = [0; 2];
    let error = disk.layer(LayerIndex(0)).unwrap().read_exact_at(FileOffset(1023), &mut bytes).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn content_that_is_no_whole_number_of_sectors_is_no_disk() {
    let file = file_of([&noise(1, 513)[..]]);
    let broken = GeometryError::BrokenSector { size: 513, sector: SectorSize::B512 };
    let found = ZstdDisk::open(file, SectorSize::B512);
    assert!(matches!(found, Err(ZstdDiskError::Geometry(error)) if error == broken));
    let found = ZstdDisk::open(file_of([&[][..]]), SectorSize::B512);
    assert!(matches!(found, Err(ZstdDiskError::Geometry(GeometryError::Empty))));
}
