//! The log: which of its entries count, and replaying them into an overlay (MS-VHDX 2.3).
//!
//! The ring is full of stale entries; only the active sequence counts, from its head's tail on. Whatever is not a
//! valid entry is no error by itself: a torn one behind the newest is what a crash leaves. But a log that is not empty
//! and has no active sequence is one, and so is a valid entry that is newer than the sequence: the entries between
//! them were written, and without them the disk is one of the past.

use std::borrow::Cow;
use std::collections::HashMap;

use limits::image::{FILE_LEN_MAX, LOG_CHECKSUM_LAPS_MAX};
use limits::{Limit, Limits};
use uuid::Uuid;
use zerocopy::FromBytes;

use crate::header::Header;
use crate::overlay::Overlay;
use crate::wire::log::{self as raw, SECTOR, SECTOR_LEN};
use crate::wire::{self, region};
use crate::{FileOffset, ImageError, Problem, ReadAt, Structure, checksum};

/// What became of an image's log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogState {
    /// The log was empty: the file was closed properly.
    Clean,
    /// The log was not empty and was replayed, in memory.
    Replayed {
        /// Number of entries replayed.
        entries: u64,
        /// Sequence number of the newest one.
        head: u64,
    },
}

/// Replays the log that `header` describes into `overlay`.
pub(crate) fn replay(
    header: &Header,
    overlay: &mut Overlay,
    limits: &Limits,
) -> Result<LogState, ImageError> {
    let Some(log_guid) = header.log_guid else { return Ok(LogState::Clean) };
    let limit = limits.of(Limit::LogSize);
    if header.log_len > limit {
        return Err(ImageError::Limit {
            structure: Structure::Log,
            at: header.log_at,
            unit: "bytes",
            limit,
            found: header.log_len,
            raise: Some(Limit::LogSize),
        });
    }
    let mut ring = Ring {
        bytes: read_ring(overlay.source(), header)?,
        at: header.log_at,
        len: header.log_len,
        log_guid,
        known: HashMap::new(),
        checksum_budget: header.log_len.saturating_mul(LOG_CHECKSUM_LAPS_MAX),
    };
    let mut run = ring.active_sequence()?.ok_or_else(|| {
        ImageError::corrupt(Structure::Log, header.log_at, Problem::NoActiveSequence { log_guid })
    })?;
    ring.straighten(&mut run);
    let Some(head) = run.last() else { return Ok(LogState::Clean) };
    let file_len = overlay.len();
    if file_len < head.flushed_file_offset {
        let need = head.flushed_file_offset;
        return Err(ImageError::Truncated { structure: Structure::File, need, have: file_len });
    }
    apply(&ring, &run, head, overlay)?;
    let entries = u64::try_from(run.len()).unwrap_or(u64::MAX);
    Ok(LogState::Replayed { entries, head: head.sequence_number })
}

/// What a descriptor does to the file; the bytes stay in the ring until they are applied.
enum LogPatch<'a> {
    Zeros { at: u64, len: u64 },
    Sector { at: u64, descriptor: &'a raw::DataDescriptor, sector: &'a raw::DataSector },
}

/// Descriptors may point past the end of the file. Zero ranges have no bound of their own, so they are cut at the end
/// that the file has otherwise: beyond it they would say nothing.
fn apply(ring: &Ring, run: &[Entry], head: &Entry, overlay: &mut Overlay) -> Result<(), ImageError> {
    let mut end = head.last_file_offset;
    for entry in run {
        ring.each_patch(entry, |patch| {
            if let LogPatch::Sector { at, .. } = patch {
                end = end.max(at.saturating_add(SECTOR_LEN));
            }
            true
        });
    }
    if end > FILE_LEN_MAX {
        return Err(ImageError::Limit {
            structure: Structure::File,
            at: FileOffset(0),
            unit: "bytes after replay",
            limit: FILE_LEN_MAX,
            found: end,
            raise: None,
        });
    }
    overlay.extend_to(end);
    let file_end = overlay.len().next_multiple_of(SECTOR_LEN);
    for entry in run {
        ring.each_patch(entry, |patch| {
            match patch {
                LogPatch::Sector { at, descriptor, sector } => {
                    overlay.put_sector(at, whole(descriptor, sector));
                }
                LogPatch::Zeros { at, len } => overlay.put_zeros(at, at.saturating_add(len).min(file_end)),
            }
            true
        });
    }
    Ok(())
}

/// A sector as it is after replay: the descriptor has the bytes that the data sector's own fields displace.
fn whole(descriptor: &raw::DataDescriptor, sector: &raw::DataSector) -> Box<[u8; SECTOR]> {
    let mut bytes = Box::new([0; SECTOR]);
    let parts = [&descriptor.leading_bytes[..], &sector.data, &descriptor.trailing_bytes];
    for (to, from) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
        *to = *from;
    }
    bytes
}

/// A valid entry, without its descriptors.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Where in the ring it begins, in bytes.
    at: u64,
    /// Bytes.
    len: u64,
    tail: u64,
    sequence_number: u64,
    descriptor_count: u64,
    flushed_file_offset: u64,
    last_file_offset: u64,
}

/// The whole log at once: what is judged is what is replayed, even if somebody writes to the file.
fn read_ring(source: &dyn ReadAt, header: &Header) -> Result<Vec<u8>, ImageError> {
    let mut bytes = vec![0; usize::try_from(header.log_len).unwrap_or(0)];
    let at = header.log_at;
    source.read_exact_at(at, &mut bytes).map_err(ImageError::reading(Structure::Log, at))?;
    Ok(bytes)
}

/// The log's bytes as a ring, and what is known of the entries in it.
struct Ring {
    bytes: Vec<u8>,
    at: FileOffset,
    len: u64,
    log_guid: Uuid,
    /// Each start is judged once.
    known: HashMap<u64, Option<Entry>>,
    checksum_budget: u64,
}

impl Ring {
    /// The entries to replay, oldest first: the part of the active sequence from the head's tail on (2.3.3).
    ///
    /// The run found from the first sector may be the second half of one that began near the end of the ring; then its
    /// head's tail lies in the missing half, the run is unusable, and a later start finds it whole. Two runs whose heads
    /// are different entries of one number are two states of the file, and which is meant can not be known.
    fn active_sequence(&mut self) -> Result<Option<Vec<Entry>>, ImageError> {
        let mut best: Option<Vec<Entry>> = None;
        let mut newest: Option<Entry> = None;
        let mut rival = None;
        let mut start = 0;
        while start < self.len {
            let run = self.run_from(start)?;
            let run_len = run.iter().map(|entry| entry.len).sum::<u64>();
            start = start.saturating_add(run_len.max(SECTOR_LEN));
            let Some(head) = run.last().copied() else { continue };
            newest = newest.filter(|newest| newest.sequence_number >= head.sequence_number).or(Some(head));
            let Some(tail) = run.iter().position(|entry| entry.at == head.tail) else { continue };
            let best_head = best.as_ref().and_then(|run| run.last());
            if best_head.is_none_or(|best| head.sequence_number > best.sequence_number) {
                best = Some(run.into_iter().skip(tail).collect());
                rival = None;
            } else if best_head
                .is_some_and(|best| head.sequence_number == best.sequence_number && head.at != best.at)
            {
                rival = Some(head.sequence_number);
            }
        }
        if let Some(number) = rival {
            return Err(ImageError::corrupt(Structure::Log, self.at, Problem::AmbiguousLog(number)));
        }
        self.check_nothing_is_newer(best.as_ref().and_then(|run| run.last()), newest)?;
        Ok(best)
    }

    fn check_nothing_is_newer(&self, head: Option<&Entry>, newest: Option<Entry>) -> Result<(), ImageError> {
        let (Some(head), Some(newest)) = (head, newest) else { return Ok(()) };
        if newest.sequence_number <= head.sequence_number {
            return Ok(());
        }
        let problem = Problem::LostEntry { newer: newest.sequence_number, head: head.sequence_number };
        let at = FileOffset(self.at.0.saturating_add(newest.at));
        Err(ImageError::corrupt(Structure::Log, at, problem))
    }

    /// Valid entries from `start` on that follow each other in place and number, once round the ring at most.
    fn run_from(&mut self, start: u64) -> Result<Vec<Entry>, ImageError> {
        let mut run: Vec<Entry> = Vec::new();
        let mut total = 0_u64;
        while let Some(entry) = self.entry_at(self.wrapped(start, total))? {
            let follows = run
                .last()
                .is_none_or(|last| last.sequence_number.checked_add(1) == Some(entry.sequence_number));
            if !follows || total.saturating_add(entry.len) > self.len {
                break;
            }
            total = total.saturating_add(entry.len);
            run.push(entry);
        }
        Ok(run)
    }

    /// The position `ahead` bytes behind `at`; both are at most one lap.
    fn wrapped(&self, at: u64, ahead: u64) -> u64 {
        let position = at.saturating_add(ahead);
        position.checked_sub(self.len).unwrap_or(position)
    }

    fn entry_at(&mut self, at: u64) -> Result<Option<Entry>, ImageError> {
        if let Some(entry) = self.known.get(&at) {
            return Ok(*entry);
        }
        let entry = self.judge(at)?;
        self.known.insert(at, entry);
        Ok(entry)
    }

    /// The entry that begins at `at`, if every condition of 2.3.1 holds. Cheap conditions come first, so that stale
    /// sectors cost no checksum.
    fn judge(&mut self, at: u64) -> Result<Option<Entry>, ImageError> {
        let Some(header) = wire::prefix::<raw::EntryHeader>(&self.slice(at, SECTOR_LEN)).copied() else {
            return Ok(None);
        };
        let Some(entry) = self.plausible(at, &header) else { return Ok(None) };
        self.checksum_budget = self.checksum_budget.checked_sub(entry.len).ok_or(ImageError::Limit {
            structure: Structure::Log,
            at: self.at,
            unit: "times its own length in overlapping candidate entries",
            limit: LOG_CHECKSUM_LAPS_MAX,
            found: LOG_CHECKSUM_LAPS_MAX.saturating_add(1),
            raise: None,
        })?;
        let checksum = header.checksum.get();
        let bytes = self.slice(at, entry.len);
        let valid = checksum::with_blank_field(&bytes, checksum::FIELD) == checksum
            && each_patch(&entry, &bytes, |patch| self.may_target(&patch)).is_some();
        Ok(valid.then_some(entry))
    }

    fn plausible(&self, at: u64, header: &raw::EntryHeader) -> Option<Entry> {
        let entry = Entry {
            at,
            len: u64::from(header.entry_length.get()),
            tail: u64::from(header.tail.get()),
            sequence_number: header.sequence_number.get(),
            descriptor_count: u64::from(header.descriptor_count.get()),
            flushed_file_offset: header.flushed_file_offset.get(),
            last_file_offset: header.last_file_offset.get(),
        };
        let sectors = |len: u64| len.is_multiple_of(SECTOR_LEN);
        let valid = header.signature == *raw::ENTRY_SIGNATURE
            && header.log_guid.get() == self.log_guid
            && sectors(entry.len)
            && (SECTOR_LEN..=self.len).contains(&entry.len)
            && sectors(entry.tail)
            && entry.tail < self.len
            && entry.sequence_number != 0
            && descriptor_area(entry.descriptor_count) <= entry.len;
        valid.then_some(entry)
    }

    /// The log is for the structures behind the headers, and never for itself.
    fn may_target(&self, patch: &LogPatch<'_>) -> bool {
        let (at, len) = match patch {
            LogPatch::Zeros { at, len } => (*at, *len),
            LogPatch::Sector { at, .. } => (*at, SECTOR_LEN),
        };
        let Some(end) = at.checked_add(len) else { return false };
        let clear_of_log = end <= self.at.0 || at >= self.at.0.saturating_add(self.len);
        at >= region::OFFSETS[0] && clear_of_log
    }

    /// Turns the ring so that the entries to replay lie in it one behind the other, none of them round its end: then
    /// they are read where they lie, and the log is held once.
    fn straighten(&mut self, run: &mut [Entry]) {
        let Some(first) = run.first().map(|entry| entry.at) else { return };
        self.bytes.rotate_left(usize::try_from(first).unwrap_or(0));
        for entry in run {
            entry.at = self.wrapped(entry.at, self.len.saturating_sub(first));
        }
    }

    /// Visits what an entry that was found valid does to the file.
    fn each_patch(&self, entry: &Entry, visit: impl FnMut(LogPatch<'_>) -> bool) {
        each_patch(entry, &self.slice(entry.at, entry.len), visit);
    }

    /// `len` bytes from `at` on, made straight where they wrap round the end of the ring.
    fn slice(&self, at: u64, len: u64) -> Cow<'_, [u8]> {
        let at = usize::try_from(at).unwrap_or(usize::MAX).min(self.bytes.len());
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(self.bytes.len());
        let (before, behind) = self.bytes.split_at(at);
        match (behind.get(..len), before.get(..len.saturating_sub(behind.len()))) {
            (Some(straight), _) => Cow::Borrowed(straight),
            (None, Some(wrapped)) => Cow::Owned([behind, wrapped].concat()),
            (None, None) => Cow::Borrowed(behind),
        }
    }
}

/// Bytes of an entry before its data sectors: header and descriptors, in whole sectors (2.3.1).
fn descriptor_area(descriptor_count: u64) -> u64 {
    descriptor_count.saturating_mul(32).saturating_add(64).next_multiple_of(SECTOR_LEN)
}

/// Visits what an entry's descriptors do, in order; `None` where one of them is not in order or `visit` says so.
fn each_patch(entry: &Entry, bytes: &[u8], mut visit: impl FnMut(LogPatch<'_>) -> bool) -> Option<()> {
    let area = usize::try_from(descriptor_area(entry.descriptor_count)).ok()?;
    let (descriptors, data) = bytes.split_at_checked(area)?;
    let count = usize::try_from(entry.descriptor_count).ok()?;
    let (descriptors, _) = descriptors.get(64..)?.as_chunks::<{ raw::DESCRIPTOR_LEN }>();
    let (sectors, []) = data.as_chunks::<SECTOR>() else { return None };
    let mut sectors = sectors.iter();
    for descriptor in descriptors.get(..count)? {
        let patch = if descriptor.starts_with(raw::ZERO_SIGNATURE) {
            decode_zeros(entry, descriptor)?
        } else if descriptor.starts_with(raw::DATA_SIGNATURE) {
            decode_sector(entry, descriptor, sectors.next()?)?
        } else {
            return None;
        };
        visit(patch).then_some(())?;
    }
    sectors.next().is_none().then_some(())
}

fn decode_zeros(entry: &Entry, descriptor: &[u8; raw::DESCRIPTOR_LEN]) -> Option<LogPatch<'static>> {
    let zero = raw::ZeroDescriptor::read_from_bytes(descriptor).ok()?;
    let (at, len) = (zero.file_offset.get(), zero.zero_length.get());
    let valid = zero.sequence_number.get() == entry.sequence_number
        && at.is_multiple_of(SECTOR_LEN)
        && len.is_multiple_of(SECTOR_LEN);
    valid.then_some(LogPatch::Zeros { at, len })
}

fn decode_sector<'a>(
    entry: &Entry,
    descriptor: &'a [u8; raw::DESCRIPTOR_LEN],
    sector: &'a [u8; SECTOR],
) -> Option<LogPatch<'a>> {
    let descriptor = raw::DataDescriptor::ref_from_bytes(descriptor).ok()?;
    let sector = raw::DataSector::ref_from_bytes(sector).ok()?;
    let number = u64::from(sector.sequence_high.get()) << 32 | u64::from(sector.sequence_low.get());
    let at = descriptor.file_offset.get();
    let valid = descriptor.sequence_number.get() == entry.sequence_number
        && sector.signature == *raw::SECTOR_SIGNATURE
        && number == entry.sequence_number
        && at.is_multiple_of(SECTOR_LEN);
    valid.then_some(LogPatch::Sector { at, descriptor, sector })
}
