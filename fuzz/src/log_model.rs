//! Replay as the specification tells it (MS-VHDX 2.3), slow and obvious: it writes to the file, judges every sector of
//! the ring as the beginning of an entry, and tries every sequence. Shares no code with the reader.

use std::collections::BTreeSet;

use vhdx_format::forge::SparseFile;

use super::bytes::{u32_at, u64_at};

const SECTOR: usize = 4096;

/// Where the log lies, by the current header.
pub(crate) struct Place {
    pub(crate) at: u64,
    pub(crate) len: u64,
    pub(crate) guid: [u8; 16],
}

/// What the specification says of a log that is not empty.
pub(crate) enum Replay {
    /// The file as it is afterwards.
    Done(Box<SparseFile>),
    /// There is nothing to replay, or more than one thing, or the file lacks its end.
    Refused,
}

struct Entry {
    position: usize,
    sectors: usize,
    tail: u64,
    number: u64,
    bytes: Vec<u8>,
}

/// Replays the log into a copy of the file.
pub(crate) fn replay(file: &SparseFile, place: &Place) -> Replay {
    // Twice behind itself, so that nothing wraps.
    let twice = file.read(place.at, place.len as usize).repeat(2);
    let sectors = place.len as usize / SECTOR;
    let entries: Vec<Option<Entry>> =
        (0..sectors).map(|position| entry(&twice[position * SECTOR..], position, place)).collect();
    let usable: Vec<Vec<&Entry>> = (0..entries.len()).filter_map(|start| sequence(&entries, start)).collect();
    let Some(newest) = usable.iter().map(|sequence| head(sequence).number).max() else {
        return Replay::Refused;
    };
    // Whole entries that are newer and belong to no usable sequence: what came between is lost.
    if entries.iter().flatten().any(|entry| entry.number > newest) {
        return Replay::Refused;
    }
    let newest: Vec<_> = usable.into_iter().filter(|sequence| head(sequence).number == newest).collect();
    let heads: BTreeSet<usize> = newest.iter().map(|sequence| head(sequence).position).collect();
    match newest.first() {
        Some(sequence) if heads.len() == 1 => apply(file, sequence),
        // Two sequences with equal claims: never a guess.
        _ => Replay::Refused,
    }
}

fn head<'a>(sequence: &[&'a Entry]) -> &'a Entry {
    sequence.last().expect("a sequence is not empty")
}

/// The sequence from `start` on, cut down to what its head says is to be replayed.
fn sequence(entries: &[Option<Entry>], start: usize) -> Option<Vec<&Entry>> {
    let mut sequence: Vec<&Entry> = Vec::new();
    let (mut at, mut sectors) = (start, 0);
    while let Some(entry) = &entries[at] {
        let follows = sequence.last().is_none_or(|last| last.number.checked_add(1) == Some(entry.number));
        sectors += entry.sectors;
        if !follows || sectors > entries.len() {
            break;
        }
        at = (at + entry.sectors) % entries.len();
        sequence.push(entry);
    }
    let tail = sequence.last()?.tail;
    let first = sequence.iter().position(|entry| (entry.position * SECTOR) as u64 == tail)?;
    Some(sequence.split_off(first))
}

/// The entry that the bytes begin with, if it is valid.
fn entry(bytes: &[u8], position: usize, place: &Place) -> Option<Entry> {
    let head = &bytes[..64];
    let (len, tail, number) = (u32_at(head, 8) as usize, u32_at(head, 12), u64_at(head, 16));
    if !head.starts_with(b"loge") || head[32..48] != place.guid {
        return None;
    }
    if len == 0 || len % SECTOR != 0 || len > place.len as usize || number == 0 {
        return None;
    }
    if tail % SECTOR as u64 != 0 || tail >= place.len {
        return None;
    }
    let bytes = &bytes[..len];
    let valid = checksum(bytes) == u32_at(head, 4) && is_well_formed(bytes, place);
    valid.then(|| Entry { position, sectors: len / SECTOR, tail, number, bytes: bytes.to_vec() })
}

fn checksum(entry: &[u8]) -> u64 {
    let sum = crc32c::crc32c(&entry[..4]);
    let sum = crc32c::crc32c_append(sum, &[0; 4]);
    crc32c::crc32c_append(sum, &entry[8..]).into()
}

/// How many bytes come before the data sectors.
fn descriptor_area(entry: &[u8]) -> usize {
    (64 + 32 * u32_at(entry, 24) as usize).next_multiple_of(SECTOR)
}

fn is_well_formed(entry: &[u8], place: &Place) -> bool {
    let area = descriptor_area(entry);
    if area > entry.len() {
        return false;
    }
    let descriptors = || entry[64..].chunks(32).take(u32_at(entry, 24) as usize);
    let data = descriptors().filter(|descriptor| descriptor.starts_with(b"desc")).count();
    let number = u64_at(entry, 16);
    let sectors_fit = entry[area..].chunks(SECTOR).all(|sector| {
        sector.starts_with(b"data") && u32_at(sector, 4) << 32 | u32_at(sector, 4092) == number
    });
    let descriptors_fit = descriptors().all(|descriptor| {
        let (at, len) = (u64_at(descriptor, 16), changed_len(descriptor));
        let known = descriptor.starts_with(b"desc") || descriptor.starts_with(b"zero");
        let aligned = at % SECTOR as u64 == 0 && len % SECTOR as u64 == 0;
        known && aligned && u64_at(descriptor, 24) == number && may_change(at, len, place)
    });
    area + SECTOR * data == entry.len() && sectors_fit && descriptors_fit
}

fn changed_len(descriptor: &[u8]) -> u64 {
    if descriptor.starts_with(b"zero") { u64_at(descriptor, 8) } else { SECTOR as u64 }
}

/// Neither the file's identifier nor its headers nor the log itself.
fn may_change(at: u64, len: u64, place: &Place) -> bool {
    let Some(end) = at.checked_add(len) else { return false };
    at >= 192 << 10 && (end <= place.at || at >= place.at + place.len)
}

/// Writes what the entries say, oldest first, and lets the file be as long as the newest says.
fn apply(file: &SparseFile, sequence: &[&Entry]) -> Replay {
    let head = &head(sequence).bytes;
    if file.len() < u64_at(head, 48) {
        return Replay::Refused;
    }
    let sectors = sequence.iter().flat_map(|entry| data_ends(&entry.bytes)).max().unwrap_or(0);
    let end = file.len().max(u64_at(head, 56)).max(sectors);
    let mut replayed = file.clone();
    replayed.set_len(end);
    for entry in sequence {
        write(&mut replayed, &entry.bytes, end);
    }
    Replay::Done(Box::new(replayed))
}

/// Where the changes of whole sectors end. What is zeroed behind the end of the file needs no file.
fn data_ends(entry: &[u8]) -> impl Iterator<Item = u64> {
    let descriptors = entry[64..].chunks(32).take(u32_at(entry, 24) as usize);
    let data = descriptors.filter(|descriptor| descriptor.starts_with(b"desc"));
    data.map(|descriptor| u64_at(descriptor, 16) + SECTOR as u64)
}

fn write(file: &mut SparseFile, entry: &[u8], end: u64) {
    let mut sectors = entry[descriptor_area(entry)..].chunks(SECTOR);
    for descriptor in entry[64..].chunks(32).take(u32_at(entry, 24) as usize) {
        let at = u64_at(descriptor, 16);
        if descriptor.starts_with(b"zero") {
            let zeroed = (at + u64_at(descriptor, 8)).min(end);
            if at < zeroed {
                file.zero(at, zeroed - at);
            }
            continue;
        }
        let sector = sectors.next().expect("a data sector for each data descriptor");
        file.write(at, &[&descriptor[8..16], &sector[8..4092], &descriptor[4..8]].concat());
    }
    // The last sector of a file of odd length is written whole.
    file.set_len(end);
}
