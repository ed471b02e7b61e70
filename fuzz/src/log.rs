//! A log of edited entries: the reader replays what the model replays, and refuses what the model refuses.
//!
//! The replayed view is compared through a second file: the one that the model has replayed and whose log is empty must
//! come to the same as the one with the log, whatever it comes to.

use std::collections::BTreeSet;

use vhdx_format::forge::{Ring, SparseFile, edit_header, with_checksum};
use vhdx_format::{FileOffset, ImageError, LogState, Outline, Problem, ReadAt, Structure, read_header};

use super::bytes::{Choices, u64_at};
use super::log_model::{Place, Replay, replay};
use super::mutation::{self, log_entry, seal};
use super::source::{self, Opened};

/// What goes into an empty ring of an image whose headers name a log.
const LOG_GUID: [u8; 16] = [0xA7; 16];
const SECTOR: u64 = 4096;

/// Longer rings are left to the target `image`: the model looks at every sector.
const RING_MAX: u64 = 4 << 20;

/// Replays an edited log twice, and compares.
pub fn log(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let file = if choices.byte().is_multiple_of(4) {
        mutation::base(&mut choices).edited(&mut choices)
    } else {
        ring_of_entries(&mut choices)
    };
    compare(&file);
}

/// Entries behind each other in an otherwise empty ring, then edits of its bytes.
fn ring_of_entries(choices: &mut Choices<'_>) -> SparseFile {
    let base = mutation::base(choices);
    let mut file = base.file.clone();
    let Some(ring) = Ring::of(&file) else { return file };
    file.zero(ring.at, ring.len);
    for which in 0..2 {
        edit_header(&mut file, which, |header| header[48..64].copy_from_slice(&LOG_GUID));
    }
    let mut position = choices.number(1) * SECTOR;
    let mut number = choices.number(8);
    let unsealed = choices.byte();
    for _ in 0..choices.byte() % 12 {
        (position, number) = put_entry(&mut file, ring, position, number, choices);
    }
    while !choices.is_empty() {
        let sector = choices.number(1) * SECTOR % ring.len;
        let at = ring.at + sector + choices.below(SECTOR as usize) as u64;
        let patch = choices.patch();
        file.write(at, &patch[..patch.len().min((ring.at + ring.len - at) as usize)]);
    }
    seal(&mut file, unsealed & 16);
    file
}

/// Puts one entry; a number of 0 is the one that follows, a tail of 255 is the entry itself.
fn put_entry(
    file: &mut SparseFile,
    ring: Ring,
    position: u64,
    number: u64,
    choices: &mut Choices<'_>,
) -> (u64, u64) {
    let mut entry = log_entry(choices, &uuid::Uuid::from_bytes_le(LOG_GUID), file.len());
    let position = position % ring.len;
    entry.sequence_number = number.wrapping_add(entry.sequence_number);
    if u64::from(entry.tail) == 255 * SECTOR {
        entry.tail = position as u32;
    }
    let behind = ring.put(file, position, &entry.to_bytes());
    (behind, entry.sequence_number.wrapping_add(1))
}

fn compare(file: &SparseFile) {
    let opened = source::open(file);
    let place = match read_header(file) {
        Ok(header) => header.log_guid.map(|guid| Place {
            at: header.log_at.0,
            len: header.log_len,
            guid: guid.to_bytes_le(),
        }),
        Err(_) => return assert!(matches!(opened, Opened::Refused(_)), "without a header nothing opens"),
    };
    let Some(place) = place.filter(|place| place.len <= RING_MAX) else { return };
    let refusal = refusal(&opened);
    if refusal == Some(Refusal::Limit) {
        return;
    }
    match replay(file, &place) {
        Replay::Refused => assert_eq!(refusal, Some(Refusal::Log), "the model refuses the log"),
        Replay::Done(replayed) => {
            assert_eq!(refusal, None, "the model replays the log");
            compare_views(&opened, file, *replayed, &place);
        }
    }
}

/// Why a log was not replayed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Refusal {
    /// It would take too much.
    Limit,
    /// It has nothing that may be replayed.
    Log,
}

fn refusal(opened: &Opened) -> Option<Refusal> {
    let Opened::Refused(error) = opened else { return None };
    match error {
        ImageError::Limit { structure: Structure::Log | Structure::File, .. } => Some(Refusal::Limit),
        ImageError::Corrupt(found)
            if matches!(
                found.problem,
                Problem::NoActiveSequence { .. } | Problem::AmbiguousLog(_) | Problem::LostEntry { .. }
            ) =>
        {
            Some(Refusal::Log)
        }
        ImageError::Truncated { structure: Structure::File, .. } => Some(Refusal::Log),
        _ => None,
    }
}

fn compare_views(opened: &Opened, file: &SparseFile, mut replayed: SparseFile, place: &Place) {
    // A damaged header that names a log would be one that names another log now.
    for which in 0..2_u8 {
        if is_sealed(file, which) {
            edit_header(&mut replayed, which.into(), |header| header[48..64].fill(0));
        } else {
            let at = (u64::from(which) + 1) << 16;
            replayed.write(at + 48, &[0; 16]);
            // It may have been nothing but the name that was damaged; it stays damaged.
            if is_sealed(&replayed, which) {
                replayed.write(at + 4, &[!replayed.read(at + 4, 1)[0]]);
            }
        }
    }
    match (opened, source::open(&replayed)) {
        (Opened::Layer(layer), Opened::Layer(wanted)) => {
            assert!(matches!(layer.outline().log_state(), LogState::Replayed { .. }));
            compare_outlines(layer.outline(), wanted.outline());
            assert_eq!(layer.block_counts(), wanted.block_counts());
            compare_bytes(layer.bytes(), file, &replayed, place);
        }
        (Opened::Outline, Opened::Outline) => {}
        (Opened::Refused(found), Opened::Refused(wanted)) => {
            assert_eq!(found.to_string(), wanted.to_string(), "why it is refused");
        }
        (opened, wanted) => assert_eq!(describe(opened), describe(&wanted), "with its log and without"),
    }
}

/// Whether a header counts: a torn one must not come to life.
fn is_sealed(file: &SparseFile, which: u8) -> bool {
    let header = file.read(u64::from(which + 1) << 16, 4096);
    with_checksum(header.clone()) == header
}

fn describe(opened: &Opened) -> String {
    match opened {
        Opened::Layer(_) => "in order".to_owned(),
        Opened::Outline => "a long table".to_owned(),
        Opened::Refused(error) => error.to_string(),
    }
}

fn compare_outlines(found: &Outline, wanted: &Outline) {
    assert_eq!(found.kind(), wanted.kind());
    assert_eq!(found.layout(), wanted.layout());
    assert_eq!(found.virtual_disk_id(), wanted.virtual_disk_id());
    assert_eq!(found.parent(), wanted.parent());
}

/// The replayed bytes, wherever either file has any and wherever the log may have put some.
fn compare_bytes(found: &dyn ReadAt, file: &SparseFile, wanted: &SparseFile, place: &Place) {
    assert_eq!(found.byte_len().ok(), Some(wanted.len()), "length after the replay");
    let mut pages: BTreeSet<u64> = file.pages().chain(wanted.pages()).collect();
    pages.extend(targets(file, place));
    // The headers are the model's own doing.
    for at in pages.into_iter().filter(|at| *at >= 192 << 10 && *at < wanted.len()) {
        let len = (wanted.len() - at).min(SECTOR) as usize;
        let mut bytes = vec![0x55; len];
        found.read_exact_at(FileOffset(at), &mut bytes).expect("inside the file");
        assert!(bytes == wanted.read(at, len), "the sector at {at:#x}");
    }
}

/// Whatever could be the target of a descriptor, valid or not.
fn targets(file: &SparseFile, place: &Place) -> BTreeSet<u64> {
    let pages = file.pages().filter(|at| (place.at..place.at + place.len).contains(at));
    let pages = pages.map(|at| file.read(at, SECTOR as usize));
    let slots = |page: Vec<u8>| -> Vec<u64> { page.chunks(32).map(|slot| u64_at(slot, 16)).collect() };
    pages.flat_map(slots).filter(|at| at.is_multiple_of(SECTOR)).collect()
}
