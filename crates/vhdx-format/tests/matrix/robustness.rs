//! Arbitrary bytes, and valid images with random damage behind fresh checksums: the reader never panics and never
//! hangs. Either it says what is wrong, or what it opened can be walked from end to end and read.

use proptest::prelude::*;
use vhdx_format::forge::random::{Random, dirty_log, stack};
use vhdx_format::forge::{
    Image, Object, Ring, SparseFile, edit, edit_header, edit_region_table, make_dirty, with_checksum,
};
use vhdx_format::{DiskOffset, DiskRange, LayerContent};

use crate::support::{METADATA, MIB, child, dynamic, open};

/// How many damaged files; each structure gets its share.
const FILES: u64 = 2000;

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_image(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        let mut file = SparseFile::default();
        file.write(0, &bytes);
        prop_assert!(open(&file).is_err());
        file.write(0, b"vhdxfile");
        prop_assert!(open(&file).is_err());
        file.set_len(5 * MIB);
        prop_assert!(open(&file).is_err());
    }

    /// Pages of noise where the structures would be.
    #[test]
    fn arbitrary_structures_are_no_image(seed: u64) {
        let mut random = Random::new(seed);
        let mut file = dynamic().build();
        let at = random.one_of(&[0x1_0000, 0x2_0000, 0x3_0000, 0x4_0000, METADATA, METADATA + 0x1_0000, 3 * MIB]);
        let noise: Vec<u8> = (0..4096).map(|_| random.number() as u8).collect();
        edit(&mut file, at, 4096, |bytes| bytes[8..].copy_from_slice(&noise[8..]));
        edit_header(&mut file, 1, |_| ());
        edit_region_table(&mut file, 0, |_| ());
        survive(&file);
    }
}

/// Opens the file; what opens must answer for its whole disk.
fn survive(file: &SparseFile) -> bool {
    let Ok(layer) = open(file) else { return false };
    let size = layer.outline().geometry().size();
    let range = DiskRange::new(DiskOffset(0), DiskOffset(size));
    let mut at = DiskOffset(0);
    for extent in layer.extents(range) {
        let extent = extent.expect("what was opened can be walked");
        assert_eq!(extent.start, at, "extents are contiguous");
        at = extent.end();
        if let LayerContent::Stored(from) = extent.content {
            let mut ends = vec![0; extent.len.min(4096) as usize];
            layer.bytes().read_exact_at(from, &mut ends).expect("stored bytes can be read");
            let last = vhdx_format::FileOffset(from.0 + extent.len - ends.len() as u64);
            layer.bytes().read_exact_at(last, &mut ends).expect("stored bytes can be read to their end");
        }
    }
    assert_eq!(at, range.end(), "extents cover the disk");
    true
}

#[test]
fn damage_behind_fresh_checksums_is_survived() {
    let first: u64 = std::env::var("VHDX_EXPORT_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let (mut opened, mut refused) = (0, 0);
    for seed in first..first + FILES {
        let file = damaged(seed);
        let on_failure = Reproduce(seed);
        *if survive(&file) { &mut opened } else { &mut refused } += 1;
        drop(on_failure);
    }
    // Damage that is always seen, or never, tests nothing.
    assert!(opened > FILES / 20 && refused > FILES / 20, "{opened} opened, {refused} refused");
}

/// Says how to have the failure again, whatever the failure is.
struct Reproduce(u64);

impl Drop for Reproduce {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("file {0}: again with VHDX_EXPORT_SEED={0}", self.0);
        }
    }
}

fn damaged(seed: u64) -> SparseFile {
    let mut random = Random::new(seed);
    let image = match random.below(4) {
        0 => dynamic(),
        1 => child(),
        _ => stack(random.number(), 2, 6 * MIB).swap_remove(random.below(2) as usize),
    };
    let mut file = image.build();
    if random.once_in(3) {
        let log = dirty_log(&image, &file, random.number());
        make_dirty(&mut file, &log);
    }
    for _ in 0..=random.below(3) {
        damage_something(&image, &mut file, &mut random);
    }
    if random.once_in(10) {
        let len = random.below(file.len());
        file.set_len(len);
    }
    file
}

fn damage_something(image: &Image, file: &mut SparseFile, random: &mut Random) {
    let place = |object| image.offset_of(object).unwrap_or(MIB);
    match random.below(8) {
        0 => {
            // Both alike, so that neither stands in for the other.
            let seed = random.number();
            for which in 0..2 {
                edit_header(file, which, |header| damage(&mut header[16..80], &mut Random::new(seed)));
            }
        }
        1 => {
            let seed = random.number();
            for which in 0..2 {
                edit_region_table(file, which, |table| damage(&mut table[8..112], &mut Random::new(seed)));
            }
        }
        2 => edit(file, place(Object::Metadata), 32 * 8, |table| damage(table, random)),
        3 => edit(file, place(Object::Metadata) + 0x1_0000, 40, |items| damage(items, random)),
        4 => edit(file, place(Object::Metadata) + 0x1_0028, 500, |locator| damage(locator, random)),
        5 => {
            let in_chunk = image.layout().chunk_ratio() + 1;
            let anywhere = random.below(in_chunk);
            let entry = random.one_of(&[0, 1, 2, in_chunk - 1, anywhere]);
            edit(file, place(Object::Bat) + entry * 8, 8, |entry| damage(entry, random));
        }
        6 => edit(file, place(Object::Bitmap(0)), 4096, |bitmap| damage(bitmap, random)),
        _ => damage_log(file, random),
    }
}

/// Damages one entry of the log and makes its checksum right again.
fn damage_log(file: &mut SparseFile, random: &mut Random) {
    let Some(ring) = Ring::of(file).filter(|ring| ring.len == MIB && ring.at < file.len()) else { return };
    let starts: Vec<u64> =
        (0..MIB).step_by(4096).filter(|position| file.read(ring.at + position, 4) == b"loge").collect();
    if starts.is_empty() {
        return;
    }
    let start = random.one_of(&starts);
    let len = u64::from(u32::from_le_bytes(file.read(ring.at + start + 8, 4).try_into().expect("4 bytes")));
    // What was damaged before may claim any length.
    if len >= 64 && start + len <= MIB {
        edit(file, ring.at + start, len as usize, |entry| {
            let reach = entry.len().min(random.one_of(&[64, 160, 1 << 20]));
            damage(&mut entry[8..reach], random);
            let sealed = with_checksum(entry.to_vec());
            entry.copy_from_slice(&sealed);
        });
    }
}

/// A few changes of a few bytes: flipped bits, or numbers at the edge of something.
fn damage(bytes: &mut [u8], random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() as u64) as usize;
        if random.once_in(2) {
            bytes[at] ^= 1 << random.below(8);
            continue;
        }
        let number = random.one_of(&[0, 1, 7, 0xFFFF, 1 << 20, (1 << 20) - 1, 1 << 32, 1 << 63, u64::MAX]);
        let width = random.one_of(&[1, 2, 4, 8]);
        let at = at / width * width;
        let end = bytes.len().min(at + width);
        bytes[at..end].copy_from_slice(&number.to_le_bytes()[..end - at]);
    }
}
