//! The region table: where the block table and the metadata lie (MS-VHDX 2.2.3).
//!
//! Updates to it go through the log, so it is read through the overlay. What this crate does not know is ignored,
//! unless the table says that a reader must know it.

use uuid::Uuid;
use zerocopy::FromBytes;

use crate::offset::MIB;
use crate::overlay::Overlay;
use crate::wire::{self, region as raw};
use crate::{FileOffset, ImageError, Problem, ReadAt, Structure, Unsupported, checksum};

/// A region of the file: whole MiBs, behind the header area, inside the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Region {
    pub(crate) at: FileOffset,
    /// Bytes.
    pub(crate) len: u64,
}

impl Region {
    pub(crate) fn end(&self) -> u64 {
        self.at.0.saturating_add(self.len)
    }
}

/// The regions of an image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Regions {
    pub(crate) bat: Region,
    pub(crate) metadata: Region,
    /// Regions that are not known here and need not be.
    pub(crate) other: Vec<Region>,
}

/// Reads the first region table that is valid. They are copies of each other, so that a torn write spoils one at most;
/// two valid ones that differ are refused, as two such headers are.
pub(crate) fn read_regions(file: &Overlay) -> Result<Regions, ImageError> {
    let [first_at, second_at] = raw::OFFSETS;
    let (first, second) = (read_table(file, 0)?, read_table(file, 1)?);
    let differ = matches!((&first, &second), (Ok(first), Ok(second)) if used(first) != used(second));
    let (table_at, structure, bytes) = match (first, second) {
        (Ok(bytes), _) => (first_at, Structure::RegionTable(1), bytes),
        (Err(_), Ok(bytes)) => (second_at, Structure::RegionTable(2), bytes),
        (Err(first), Err(second)) => {
            let problem = Problem::NoValidRegionTable { first: Box::new(first), second: Box::new(second) };
            return Err(ImageError::corrupt(Structure::RegionTable(1), FileOffset(first_at), problem));
        }
    };
    let regions = Table { at: table_at, structure, file_len: file.len() }.regions(&bytes)?;
    // Said last: what is wrong with the first by itself says more.
    if differ {
        let at = FileOffset(second_at);
        return Err(ImageError::corrupt(Structure::RegionTable(2), at, Problem::AmbiguousRegionTables));
    }
    Ok(regions)
}

type TableBytes = Result<Vec<u8>, Problem>;

/// What a valid table says: the number of its entries, and them.
fn used(table: &[u8]) -> (Option<u32>, Option<&[u8]>) {
    let count = wire::prefix::<raw::TableHeader>(table).map(|header| header.entry_count.get());
    let len = count.and_then(|count| usize::try_from(count).ok()?.checked_mul(size_of::<raw::Entry>()));
    let entries = table.get(size_of::<raw::TableHeader>()..);
    (count, entries.zip(len).and_then(|(entries, len)| entries.get(..len)))
}

fn read_table(file: &Overlay, index: usize) -> Result<TableBytes, ImageError> {
    let [first, second] = raw::OFFSETS;
    let (at, structure) =
        if index == 0 { (first, Structure::RegionTable(1)) } else { (second, Structure::RegionTable(2)) };
    let at = FileOffset(at);
    let mut bytes = vec![0; raw::LEN];
    file.read_exact_at(at, &mut bytes).map_err(ImageError::reading(structure, at))?;
    let header =
        wire::prefix::<raw::TableHeader>(&bytes).filter(|header| header.signature == *raw::SIGNATURE);
    let Some(header) = header else { return Ok(Err(Problem::Signature { expected: "regi" })) };
    if let Err(problem) = checksum::verify(&bytes, header.checksum.get()) {
        return Ok(Err(problem));
    }
    let count = header.entry_count.get();
    if count > raw::ENTRIES_MAX {
        let most = u64::from(raw::ENTRIES_MAX);
        return Ok(Err(Problem::TooLarge { field: "EntryCount", most, found: count.into() }));
    }
    Ok(Ok(bytes))
}

/// A valid table, for judging its entries.
struct Table {
    at: u64,
    structure: Structure,
    file_len: u64,
}

impl Table {
    fn regions(&self, bytes: &[u8]) -> Result<Regions, ImageError> {
        let (mut bat, mut metadata, mut other) = (None, None, Vec::new());
        let mut seen = std::collections::HashSet::new();
        for (at, entry) in self.entries(bytes) {
            let guid = entry.guid.get();
            if !seen.insert(guid) {
                return Err(self.corrupt(at, Problem::Duplicate { what: "region", id: guid }));
            }
            let known = guid == raw::BAT || guid == raw::METADATA;
            if !known && entry.required.get() & 1 != 0 {
                return Err(Unsupported::RequiredRegion(guid).into());
            }
            let region = self.region(at, &entry)?;
            match guid {
                raw::BAT => bat = Some(region),
                raw::METADATA => metadata = Some(region),
                _ => other.push(region),
            }
        }
        let missing = |what| self.corrupt(self.at, Problem::Missing { what });
        Ok(Regions {
            bat: bat.ok_or_else(|| missing("a BAT region"))?,
            metadata: metadata.ok_or_else(|| missing("a metadata region"))?,
            other,
        })
    }

    /// The entries with their positions in the file.
    fn entries<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = (u64, raw::Entry)> + 'a {
        let count = wire::prefix::<raw::TableHeader>(bytes).map_or(0, |header| header.entry_count.get());
        let (entries, _) = bytes.get(size_of::<raw::TableHeader>()..).unwrap_or(&[]).as_chunks::<32>();
        let first = self.at.saturating_add(16);
        let positions = (0_u64..).map(move |index| first.saturating_add(index.saturating_mul(32)));
        let entries = entries.iter().filter_map(|entry| raw::Entry::read_from_bytes(entry).ok());
        positions.zip(entries).take(usize::try_from(count).unwrap_or(0))
    }

    /// Required is not asked of the two regions that are known: QEMU never sets it.
    fn region(&self, at: u64, entry: &raw::Entry) -> Result<Region, ImageError> {
        let region = Region { at: FileOffset(entry.file_offset.get()), len: entry.length.get().into() };
        let value = |field, expected, found| self.corrupt(at, Problem::Value { field, expected, found });
        if !region.at.0.is_multiple_of(MIB) || region.at.0 < MIB {
            return Err(value("FileOffset", "whole MiBs, from 1 MiB on", region.at.0));
        }
        if !region.len.is_multiple_of(MIB) || region.len == 0 {
            return Err(value("Length", "whole MiBs, at least one", region.len));
        }
        if region.end() > self.file_len {
            let (need, have) = (region.end(), self.file_len);
            return Err(ImageError::Truncated { structure: structure_of(entry.guid.get()), need, have });
        }
        Ok(region)
    }

    fn corrupt(&self, at: u64, problem: Problem) -> ImageError {
        ImageError::corrupt(self.structure, FileOffset(at), problem)
    }
}

fn structure_of(region: Uuid) -> Structure {
    match region {
        raw::BAT => Structure::Bat,
        raw::METADATA => Structure::MetadataTable,
        _ => Structure::OtherRegion,
    }
}
