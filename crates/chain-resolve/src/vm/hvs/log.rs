//! The replay log: changes that were promised and maybe not made.
//!
//! A log whose count is zero is clean, whatever its slots hold: each batch overwrites the last one from the start, so
//! slots behind the count are stale and their payloads may be gone. A pending batch is applied whole, in memory, or not
//! at all.

use limits::Limit;

use super::bytes;
use super::error::{LogFault, Problem, Structure, Warning, Warnings};
use super::header::Header;
use super::wire::{self, LogEntry, LogHeader};

/// The file as it would be had the log been applied.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) bytes: Vec<u8>,
    pub(super) changes: usize,
}

/// Applies what is pending; `None` if nothing is, or with a warning if what is cannot be trusted.
pub(super) fn replay(file: &[u8], header: &Header, warnings: &mut Warnings) -> Option<Replayed> {
    match pending(file, header) {
        Ok(changes) if changes.is_empty() => None,
        Ok(changes) => Some(Replayed { bytes: apply(file, &changes), changes: changes.len() }),
        Err(fault) => {
            warnings.push(header.log_at, Problem::LogNotApplied(fault));
            None
        }
    }
}

struct Change<'a> {
    destination: usize,
    end: usize,
    payload: &'a [u8],
}

fn apply(file: &[u8], changes: &[Change<'_>]) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for Change { destination, end, payload } in changes {
        if bytes.len() < *end {
            bytes.resize(*end, 0);
        }
        if let Some(target) = bytes.get_mut(*destination..*end) {
            target.copy_from_slice(payload);
        }
    }
    bytes
}

/// The pending changes in order, every checksum of theirs verified.
fn pending<'a>(file: &'a [u8], header: &Header) -> Result<Vec<Change<'a>>, LogFault> {
    let at = header.log_at;
    let log = sealed::<LogHeader>(file, at, Structure::ReplayLog, wire::checksum_at::LOG)?;
    let (expected, found) = (wire::LOG_SIGNATURE, log.signature.get());
    if found != expected {
        return Err(damaged(at, Problem::Signature { structure: Structure::ReplayLog, expected, found }));
    }
    let count = bytes::length(log.count.get());
    let room = room(header).min(bytes::length(log.count_max.get()));
    if log.count_max.get() == 0 {
        return Err(LogFault::NoRoom(bytes::offset(at.saturating_add(13))));
    }
    if count > room {
        let (at, most) = (bytes::offset(at.saturating_add(8)), bytes::offset(room));
        return Err(LogFault::Count { at, most, found: bytes::offset(count) });
    }
    let first = at.saturating_add(size_of::<LogHeader>());
    let mut left = file.len();
    (0..count)
        .map(|i| change(file, at, first.saturating_add(i.saturating_mul(size_of::<LogEntry>())), &mut left))
        .collect()
}

/// Entries that the area before the payloads has room for.
fn room(header: &Header) -> usize {
    let area = header.log_header_size.min(header.log_size);
    area.saturating_sub(size_of::<LogHeader>()).checked_div(size_of::<LogEntry>()).unwrap_or(0)
}

/// One change. `left` bounds the bytes of all payloads: they lie one behind the other in the file, so together they
/// are never longer than it, and a batch that says otherwise must not make the reader sum up the same bytes for ever.
fn change<'a>(file: &'a [u8], log_at: usize, at: usize, left: &mut usize) -> Result<Change<'a>, LogFault> {
    let entry = sealed::<LogEntry>(file, at, Structure::LogEntry, wire::checksum_at::LOG_ENTRY)?;
    let len = bytes::length(entry.size.get());
    *left = left
        .checked_sub(len)
        .ok_or_else(|| LogFault::Payloads { at: bytes::offset(at), most: bytes::offset(file.len()) })?;
    let payload_at = log_at.saturating_add(bytes::position(entry.payload.get()));
    let structure = Structure::LogPayload;
    let payload = bytes::slice(file, payload_at, len).ok_or_else(|| {
        let (need, have) = (bytes::offset(len), bytes::offset(file.len().saturating_sub(payload_at)));
        damaged(payload_at, Problem::Truncated { structure, need, have })
    })?;
    let (expected, found) = (bytes::checksum(payload, len), entry.payload_checksum.get());
    if found != expected {
        return Err(damaged(payload_at, Problem::Checksum { structure, expected, found }));
    }
    let destination = bytes::position(entry.destination.get());
    let end = destination.saturating_add(len);
    // A log may make a store longer, but not one that would be refused, nor one out of nothing.
    let most = bytes::offset(file.len()).max(Limit::ConfigurationSize.usual());
    if bytes::offset(end) > most {
        return Err(LogFault::Destination { at: bytes::offset(at), most, found: bytes::offset(end) });
    }
    Ok(Change { destination, end, payload })
}

fn sealed<T>(file: &[u8], at: usize, structure: Structure, field: usize) -> Result<&T, LogFault>
where
    T: zerocopy::FromBytes + zerocopy::Unaligned + zerocopy::KnownLayout + zerocopy::Immutable,
{
    let len = size_of::<T>();
    let (Some(whole), Some(value)) = (bytes::slice(file, at, len), bytes::get::<T>(file, at)) else {
        let (need, have) = (bytes::offset(len), bytes::offset(file.len().saturating_sub(at)));
        return Err(damaged(at, Problem::Truncated { structure, need, have }));
    };
    let expected = bytes::checksum(whole, field);
    let found = bytes::get::<zerocopy::little_endian::U32>(whole, field).map_or(0, |crc| crc.get());
    if found != expected {
        return Err(damaged(at, Problem::Checksum { structure, expected, found }));
    }
    Ok(value)
}

fn damaged(at: usize, problem: Problem) -> LogFault {
    LogFault::Damaged(Box::new(Warning { at: bytes::offset(at), problem }))
}
