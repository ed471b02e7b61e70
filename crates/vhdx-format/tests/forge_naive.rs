//! Forged stacks and forged logs against a second reading of the bytes: a reader and a replay that are short, slow and
//! trusting, written from the specification and sharing no code with the crate.

use std::collections::BTreeMap;

use proptest::prelude::*;
use vhdx_format::forge::random::{dirty_log, stack};
use vhdx_format::forge::{Image, Ring, SparseFile, disk_of, make_dirty};

const MIB: u64 = 1 << 20;

fn u16_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u16::from_le_bytes(bytes[at..at + 2].try_into().expect("2 bytes")))
}

fn u32_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes")))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

fn size(number: u64) -> usize {
    usize::try_from(number).expect("a small number")
}

/// Replays the log into the file itself, as a writer would before it goes on (MS-VHDX 2.3.3).
fn replay(file: &mut SparseFile) {
    let ring = Ring::of(file).expect("a header");
    let log = file.read(ring.at, size(ring.len));
    let guid = file.read(0x1_0000 + 48, 16);
    // Twice the ring, so that nothing wraps.
    let twice = [log.clone(), log].concat();
    let mut best: Option<Vec<(u64, &[u8])>> = None;
    for start in (0..ring.len).step_by(4096) {
        let run = run_from(&twice, start, ring.len, &guid);
        let Some((_, head)) = run.last() else { continue };
        let tail = u32_at(head, 12);
        let Some(first) = run.iter().position(|(at, _)| *at == tail) else { continue };
        let newest = best.as_ref().and_then(|best| best.last()).map_or(0, |(_, entry)| u64_at(entry, 16));
        if u64_at(head, 16) > newest {
            best = Some(run[first..].to_vec());
        }
    }
    for (_, entry) in best.expect("an active sequence") {
        apply(file, entry);
    }
}

fn run_from<'a>(twice: &'a [u8], start: u64, ring_len: u64, guid: &[u8]) -> Vec<(u64, &'a [u8])> {
    let mut run: Vec<(u64, &[u8])> = Vec::new();
    let mut at = start;
    while let Some(entry) = entry_at(&twice[size(at)..size(start + ring_len)], guid) {
        if run.last().is_some_and(|(_, last)| u64_at(last, 16).wrapping_add(1) != u64_at(entry, 16)) {
            break;
        }
        run.push((at % ring_len, entry));
        at += entry.len() as u64;
    }
    run
}

fn entry_at<'a>(bytes: &'a [u8], guid: &[u8]) -> Option<&'a [u8]> {
    let head = bytes.get(..64)?;
    if !head.starts_with(b"loge") || &head[32..48] != guid {
        return None;
    }
    let entry = bytes.get(..size(u32_at(head, 8)))?;
    let mut blank = entry.to_vec();
    blank[4..8].fill(0);
    (u64::from(crc32c::crc32c(&blank)) == u32_at(head, 4)).then_some(entry)
}

fn apply(file: &mut SparseFile, entry: &[u8]) {
    let count = size(u32_at(entry, 24));
    let mut sectors = entry[(64 + 32 * count).next_multiple_of(4096)..].chunks(4096);
    for descriptor in entry[64..64 + 32 * count].chunks(32) {
        assert_eq!(u64_at(descriptor, 24), u64_at(entry, 16));
        if descriptor.starts_with(b"zero") {
            file.zero(u64_at(descriptor, 16), u64_at(descriptor, 8));
            continue;
        }
        let sector = sectors.next().expect("a data sector");
        assert_eq!((&descriptor[..4], &sector[..4]), (&b"desc"[..], &b"data"[..]));
        assert_eq!(u32_at(sector, 4) << 32 | u32_at(sector, 4092), u64_at(entry, 16));
        let target = [&descriptor[8..16], &sector[8..4092], &descriptor[4..8]].concat();
        file.write(u64_at(descriptor, 16), &target);
    }
}

/// Reads a whole stack, base first.
fn read(files: &[SparseFile]) -> Vec<u8> {
    let mut disk = Vec::new();
    for file in files {
        read_over(&mut disk, file);
    }
    disk
}

fn read_over(disk: &mut Vec<u8>, file: &SparseFile) {
    let table = file.read(0x3_0000, 0x1_0000);
    let region = |bytes: &[u8]| {
        let entries = table[16..].chunks(32).take(size(u32_at(&table, 8)));
        entries
            .filter(|entry| entry.starts_with(bytes))
            .map(|entry| u64_at(entry, 16))
            .next()
            .expect("a region")
    };
    let (bat, metadata) = (region(&[0x66, 0x77]), region(&[0x06, 0xA2]));
    let head = file.read(metadata, 0x1_0000);
    let items: BTreeMap<u8, Vec<u8>> = head[32..]
        .chunks(32)
        .take(size(u16_at(&head, 10)))
        .map(|entry| (entry[0], file.read(metadata + u32_at(entry, 16), size(u32_at(entry, 20)))))
        .collect();
    let (block_size, sector_size) = (u32_at(&items[&0x37], 0), u32_at(&items[&0x1D], 0));
    let ratio = (sector_size << 23) / block_size;
    let entry = |index: u64| u64_at(&file.read(bat + index * 8, 8), 0);
    disk.resize(size(u64_at(&items[&0x24], 0)), 0);
    for (number, block) in (0_u64..).zip(disk.chunks_mut(size(block_size))) {
        let payload = entry(number + number / ratio);
        let stored = file.read(payload >> 20 << 20, block.len());
        match payload & 7 {
            1..=3 => block.fill(0),
            6 => block.copy_from_slice(&stored),
            7 => {
                let bitmap = entry(number / ratio * (ratio + 1) + ratio);
                assert_eq!(bitmap & 7, 6, "a bitmap for block {number}");
                let bits_len = block_size / sector_size / 8;
                let bits_at = (bitmap >> 20 << 20) + number % ratio * bits_len;
                let bits = file.read(bits_at, size(bits_len));
                for at in 0..block.len() {
                    let sector = at / size(sector_size);
                    if bits[sector / 8] >> (sector % 8) & 1 == 1 {
                        block[at] = stored[at];
                    }
                }
            }
            state => assert_eq!(state, 0, "a legal state for block {number}"),
        }
    }
}

fn log_at(file: &SparseFile) -> u64 {
    Ring::of(file).expect("a header").at
}

/// The file without what says that it was ever dirty: the headers and the log.
fn without_log(file: &SparseFile) -> SparseFile {
    let mut bare = file.clone();
    bare.zero(0x1_0000, 0x2_0000);
    bare.zero(log_at(file), MIB);
    bare
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_forged_stack_reads_as_its_model(seed: u64, depth in 1..5_usize, mib in 1..6_u64) {
        let images = stack(seed, depth, mib * MIB);
        let files: Vec<_> = images.iter().map(Image::build).collect();
        prop_assert!(read(&files) == disk_of(&images));
    }

    #[test]
    fn a_right_replay_restores_the_clean_file(seed: u64, depth in 1..3_usize) {
        let images = stack(seed, depth, 8 * MIB);
        let image = &images[depth - 1];
        let clean = image.build();
        let mut file = clean.clone();
        make_dirty(&mut file, &dirty_log(image, &clean, seed));
        prop_assert_ne!(without_log(&file), without_log(&clean));
        prop_assert_eq!(file.len(), clean.len());
        replay(&mut file);
        prop_assert_eq!(without_log(&file), without_log(&clean));
    }
}

#[test]
fn a_deep_stack_reads_as_its_model() {
    let images = stack(64, 64, 3 * MIB);
    let files: Vec<_> = images.iter().map(Image::build).collect();
    assert_eq!(images.len(), 64);
    assert!(read(&files) == disk_of(&images));
}

/// Seeds alone do not promise that every case turns up.
#[test]
fn random_stacks_know_every_state_and_shape() {
    let images: Vec<_> = (0..60).flat_map(|seed| stack(seed, 3, 8 * MIB)).collect();
    let blocks = || images.iter().flat_map(|image| image.blocks.values());
    for state in [0, 1, 2, 3, 6, 7] {
        assert!(blocks().any(|block| block.state == state), "state {state}");
    }
    let bits = |block: &vhdx_format::forge::Block| -> u32 {
        block.sectors.as_bytes().iter().map(|byte| byte.count_ones()).sum()
    };
    assert!(blocks().any(|block| bits(block) == 1));
    assert!(blocks().any(|block| block.sectors.as_bytes().starts_with(&[0xAA, 0xAA])));
    assert!(blocks().any(|block| block.room && block.state < 6));
    for bytes in [512, 4096] {
        assert!(images.iter().any(|image| image.geometry.logical_sector().bytes() == bytes));
    }
    for mib in [1, 2, 4, 32] {
        assert!(images.iter().any(|image| image.block_size.bytes() == mib << 20));
    }
}
