//! The metadata items: the disk's geometry, the image's kind, the link to its parent (MS-VHDX 2.6).
//!
//! Only the 64 KiB table and the items that are known are ever read, whatever the length of the region.

use std::collections::HashMap;

use limits::{Limit, Limits};
use uuid::Uuid;

use crate::geometry::{BlockLayout, GeometryError};
use crate::overlay::Overlay;
use crate::parent::ParentLocator;
use crate::region::Region;
use crate::wire::{self, metadata as raw};
use crate::{
    BlockSize, FileOffset, Geometry, ImageError, Problem, ReadAt, SectorSize, Structure, Unsupported,
};

/// What kind of image a file is (MS-VHDX 1.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImageKind {
    /// Every block is meant to be stored. Its block table counts all the same.
    Fixed,
    /// Blocks are stored when they are first written.
    Dynamic,
    /// Absent blocks and sectors are the parent's to answer.
    Differencing,
}

/// What the metadata region says.
#[derive(Clone, Debug)]
pub(crate) struct Metadata {
    pub(crate) kind: ImageKind,
    pub(crate) layout: BlockLayout,
    pub(crate) virtual_disk_id: Uuid,
    pub(crate) parent: Option<ParentLocator>,
}

/// Reads and validates the metadata.
pub(crate) fn read_metadata(file: &Overlay, region: Region, limits: &Limits) -> Result<Metadata, ImageError> {
    let items = read_table(file, region, limits)?;
    let parameters = items.read(file, raw::FILE_PARAMETERS)?;
    let (block_size, kind) = file_parameters(&parameters)?;
    let layout = BlockLayout::new(read_geometry(file, &items)?, block_size, kind == ImageKind::Differencing);
    let disk_id = items.read(file, raw::VIRTUAL_DISK_ID)?;
    let virtual_disk_id = Uuid::from_bytes_le(disk_id.array()?);
    let parent = read_parent(file, &items, kind, parameters.at, limits)?;
    Ok(Metadata { kind, layout, virtual_disk_id, parent })
}

fn read_geometry(file: &Overlay, items: &Items) -> Result<Geometry, ImageError> {
    let size = items.read(file, raw::VIRTUAL_DISK_SIZE)?;
    let bytes = u64::from_le_bytes(size.array()?);
    let logical = sector_size(&items.read(file, raw::LOGICAL_SECTOR_SIZE)?)?;
    let physical = sector_size(&items.read(file, raw::PHYSICAL_SECTOR_SIZE)?)?;
    Geometry::new(bytes, logical, physical).map_err(|error| {
        let expected = match error {
            GeometryError::Empty => "at least one sector",
            GeometryError::TooLarge(_) => "at most 64 TiB",
            GeometryError::BrokenSector { .. } => "a multiple of the logical sector size",
        };
        size.corrupt("VirtualDiskSize", expected, bytes)
    })
}

fn sector_size(item: &Item) -> Result<SectorSize, ImageError> {
    let bytes = u32::from_le_bytes(item.array()?);
    SectorSize::from_bytes(bytes).ok_or_else(|| item.corrupt("SectorSize", "512 or 4096", bytes.into()))
}

fn file_parameters(item: &Item) -> Result<(BlockSize, ImageKind), ImageError> {
    let parameters: raw::FileParameters = zerocopy::transmute!(item.array::<8>()?);
    let bytes = parameters.block_size.get();
    let block_size = BlockSize::from_bytes(bytes)
        .ok_or_else(|| item.corrupt("BlockSize", "a power of two from 1 MiB to 256 MiB", bytes.into()))?;
    let flags = parameters.flags.get();
    if flags & !(raw::LEAVE_BLOCK_ALLOCATED | raw::HAS_PARENT) != 0 {
        return Err(Unsupported::FileParametersFlags(flags).into());
    }
    let kind = if flags & raw::HAS_PARENT != 0 {
        ImageKind::Differencing
    } else if flags & raw::LEAVE_BLOCK_ALLOCATED != 0 {
        ImageKind::Fixed
    } else {
        ImageKind::Dynamic
    };
    Ok((block_size, kind))
}

/// A locator without `HasParent` is refused like its opposite: the bit decides what absent blocks mean.
fn read_parent(
    file: &Overlay,
    items: &Items,
    kind: ImageKind,
    parameters_at: FileOffset,
    limits: &Limits,
) -> Result<Option<ParentLocator>, ImageError> {
    let present = items.known.contains_key(&raw::PARENT_LOCATOR);
    let corrupt = |problem| Err(ImageError::corrupt(Structure::FileParameters, parameters_at, problem));
    match (kind, present) {
        (ImageKind::Differencing, true) => {
            let item = items.read(file, raw::PARENT_LOCATOR)?;
            ParentLocator::parse(&item.bytes, item.at, limits).map(Some)
        }
        (ImageKind::Differencing, false) => {
            corrupt(Problem::Missing { what: "a parent locator, because HasParent is set" })
        }
        (_, true) => corrupt(Problem::Unexpected { what: "parent locator, because HasParent is not set" }),
        (_, false) => Ok(None),
    }
}

/// Where the known items lie.
struct Items {
    table_at: FileOffset,
    known: HashMap<Uuid, (FileOffset, u32)>,
}

/// An item's bytes.
struct Item {
    structure: Structure,
    at: FileOffset,
    bytes: Vec<u8>,
}

impl Items {
    fn read(&self, file: &Overlay, id: Uuid) -> Result<Item, ImageError> {
        let (structure, what) = known_item(id).unwrap_or((Structure::MetadataTable, "the item"));
        let (at, len) = *self.known.get(&id).ok_or_else(|| {
            ImageError::corrupt(Structure::MetadataTable, self.table_at, Problem::Missing { what })
        })?;
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        file.read_exact_at(at, &mut bytes).map_err(ImageError::reading(structure, at))?;
        Ok(Item { structure, at, bytes })
    }
}

impl Item {
    fn array<const N: usize>(&self) -> Result<[u8; N], ImageError> {
        let found = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        let expected = u64::try_from(N).unwrap_or(u64::MAX);
        let problem = Problem::Length { expected, found };
        self.bytes.as_slice().try_into().map_err(|_| ImageError::corrupt(self.structure, self.at, problem))
    }

    fn corrupt(&self, field: &'static str, expected: &'static str, found: u64) -> ImageError {
        ImageError::corrupt(self.structure, self.at, Problem::Value { field, expected, found })
    }
}

fn known_item(id: Uuid) -> Option<(Structure, &'static str)> {
    Some(match id {
        raw::FILE_PARAMETERS => (Structure::FileParameters, "the file parameters"),
        raw::VIRTUAL_DISK_SIZE => (Structure::VirtualDiskSize, "the virtual disk size"),
        raw::VIRTUAL_DISK_ID => (Structure::VirtualDiskId, "the virtual disk ID"),
        raw::LOGICAL_SECTOR_SIZE => (Structure::LogicalSectorSize, "the logical sector size"),
        raw::PHYSICAL_SECTOR_SIZE => (Structure::PhysicalSectorSize, "the physical sector size"),
        raw::PARENT_LOCATOR => (Structure::ParentLocator, "a parent locator"),
        _ => return None,
    })
}

fn read_table(file: &Overlay, region: Region, limits: &Limits) -> Result<Items, ImageError> {
    let structure = Structure::MetadataTable;
    let mut bytes = vec![0; raw::TABLE_LEN];
    file.read_exact_at(region.at, &mut bytes).map_err(ImageError::reading(structure, region.at))?;
    let corrupt = |problem| ImageError::corrupt(structure, region.at, problem);
    let header =
        wire::prefix::<raw::TableHeader>(&bytes).filter(|header| header.signature == *raw::SIGNATURE);
    let header = header.ok_or_else(|| corrupt(Problem::Signature { expected: "metadata" }))?;
    let count = header.entry_count.get();
    if count > raw::ENTRIES_MAX {
        let most = raw::ENTRIES_MAX.into();
        return Err(corrupt(Problem::TooLarge { field: "EntryCount", most, found: count.into() }));
    }
    let mut table = Table {
        region,
        item_len_max: limits.of(Limit::MetadataSize),
        items: Items { table_at: region.at, known: HashMap::new() },
        spans: Vec::new(),
    };
    let mut seen = std::collections::HashSet::new();
    let (entries, _) = bytes.get(size_of::<raw::TableHeader>()..).unwrap_or(&[]).as_chunks::<32>();
    for (index, entry) in (1_u64..).zip(entries).take(count.into()) {
        let entry: raw::Entry = zerocopy::transmute!(*entry);
        let at = FileOffset(region.at.0.saturating_add(index.saturating_mul(32)));
        let user = entry.flags.get() & raw::FLAG_USER != 0;
        if !seen.insert((entry.item_id.get(), user)) {
            let problem = Problem::Duplicate { what: "metadata item", id: entry.item_id.get() };
            return Err(ImageError::corrupt(structure, at, problem));
        }
        table.add(at, &entry, user)?;
    }
    table.check_overlaps()?;
    Ok(table.items)
}

/// The table while it is read.
struct Table {
    region: Region,
    item_len_max: u64,
    items: Items,
    /// Start and end of every item inside the region, with the position of its entry.
    spans: Vec<(u64, u64, FileOffset)>,
}

impl Table {
    fn add(&mut self, at: FileOffset, entry: &raw::Entry, user: bool) -> Result<(), ImageError> {
        let id = entry.item_id.get();
        let known = !user && known_item(id).is_some();
        // Its meaning does not hang on the flag that tells other readers to refuse it.
        if id == raw::INCOMPLETE_FILE {
            return Err(Unsupported::IncompleteFile.into());
        }
        if !known && entry.flags.get() & raw::FLAG_REQUIRED != 0 {
            return Err(Unsupported::RequiredMetadata(id).into());
        }
        let (offset, len) = (entry.offset.get(), entry.length.get());
        self.check_place(at, offset, len)?;
        let start = self.region.at.0.saturating_add(offset.into());
        if len > 0 {
            self.spans.push((start, start.saturating_add(len.into()), at));
        }
        if known {
            self.items.known.insert(id, (FileOffset(start), len));
        }
        Ok(())
    }

    fn check_place(&self, at: FileOffset, offset: u32, len: u32) -> Result<(), ImageError> {
        let value = |field, expected, found: u32| {
            let problem = Problem::Value { field, expected, found: found.into() };
            Err(ImageError::corrupt(Structure::MetadataTable, at, problem))
        };
        let end = u64::from(offset).saturating_add(len.into());
        if len == 0 && offset != 0 {
            return value("Offset", "0 for an empty item", offset);
        }
        if u64::from(len) > self.item_len_max {
            return Err(ImageError::Limit {
                structure: Structure::MetadataTable,
                at,
                unit: "bytes in one item",
                limit: self.item_len_max,
                found: len.into(),
                raise: Some(Limit::MetadataSize),
            });
        }
        if len > 0 && usize::try_from(offset).is_ok_and(|offset| offset < raw::TABLE_LEN) {
            return value("Offset", "at least 64 KiB", offset);
        }
        if end > self.region.len {
            return value("Offset", "an item that ends inside the region", offset);
        }
        Ok(())
    }

    fn check_overlaps(&mut self) -> Result<(), ImageError> {
        self.spans.sort_unstable_by_key(|(start, ..)| *start);
        for ((_, end, other_at), (start, _, at)) in self.spans.iter().zip(self.spans.iter().skip(1)) {
            if start < end {
                let problem = Problem::Overlap { other: Structure::MetadataTable, other_at: *other_at };
                return Err(ImageError::corrupt(Structure::MetadataTable, *at, problem));
            }
        }
        Ok(())
    }
}
