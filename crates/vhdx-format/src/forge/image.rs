//! An image described by plain fields, and the file that the description makes.
//!
//! The constructors describe valid images as Windows makes them; every field may then be changed to anything. What a
//! field can not say is said by editing the finished file.

use std::collections::BTreeMap;

use uuid::Uuid;
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32, U64};

use super::{Item, Locator, Object, Placement, Places, SectorSet, SparseFile, items};
use crate::geometry::{BlockIndex, BlockLayout, ChunkIndex};
use crate::offset::MIB;
use crate::wire::{self, bat, metadata, region};
use crate::writer::Identities;
use crate::{BlockSize, Geometry, seal};

/// A description of an image.
#[derive(Clone, Debug)]
pub struct Image {
    /// The disk. Sizes that make no disk are for `items` to state.
    pub geometry: Geometry,
    /// Size of a block.
    pub block_size: BlockSize,
    /// Dynamic, fixed or differencing.
    pub kind: Kind,
    /// Program name in the file type identifier.
    pub creator: String,
    /// The GUIDs of the headers and the disk.
    pub ids: Identities,
    /// `SequenceNumber` of header 1 and header 2.
    pub sequence_numbers: [u64; 2],
    /// `Version` of both headers.
    pub version: u16,
    /// `LogVersion` of both headers.
    pub log_version: u16,
    /// `LogGuid` of both headers. For a log with entries see [`super::make_dirty`].
    pub log_guid: Uuid,
    /// `LogLength` of both headers, in bytes.
    pub log_len: u32,
    /// Length of the metadata region in bytes.
    pub metadata_len: u32,
    /// Length of the table's region in bytes; `None` is as long as the table needs.
    pub bat_len: Option<u32>,
    /// Whether the table's and the metadata's region are marked as required; QEMU does not.
    pub regions_required: bool,
    /// Regions that the format does not know.
    pub extra_regions: Vec<Region>,
    /// The metadata items; `None` is [`Image::standard_items`].
    pub items: Option<Vec<Item>>,
    /// State of the blocks that are not in `blocks`.
    pub default_state: u8,
    /// Blocks by number.
    pub blocks: BTreeMap<u64, Block>,
    /// By chunk: whether it has a sector bitmap block. The other chunks of a differencing image have one if a block
    /// is in state 7 or has sectors; those of other images have none.
    pub bitmaps: BTreeMap<u64, bool>,
    /// Table entries, by index, that replace whatever belongs there.
    pub raw_entries: BTreeMap<u64, u64>,
    /// Where everything lies.
    pub placement: Placement,
}

/// What an image is, by its file parameters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Blocks come with their first write.
    Dynamic,
    /// Blocks stay allocated.
    Fixed,
    /// Has a parent.
    Differencing(Locator),
}

/// A region that the format does not know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Region {
    /// Says what the region is.
    pub id: Uuid,
    /// The `Required` field: bit 0, and reserved bits.
    pub required: u32,
    /// Length in bytes.
    pub len: u32,
    /// The bytes it begins with.
    pub bytes: Vec<u8>,
}

/// A payload block.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Block {
    /// State in its table entry, 0 to 7.
    pub state: u8,
    /// Whether it has room in the file; its table entry then points there, in any state.
    pub room: bool,
    /// Bytes in that room, by offset in the block; later ones lie over earlier ones.
    pub data: Vec<(u64, Vec<u8>)>,
    /// Its bits in its chunk's sector bitmap, if there is one; they count in state 7 only.
    pub sectors: SectorSet,
    /// File offset that its table entry states instead of where its room is.
    pub entry_offset: Option<u64>,
}

impl Block {
    /// All of the block is in the file (state 6): zeros but for `data`.
    #[must_use]
    pub fn full(data: Vec<(u64, Vec<u8>)>) -> Self {
        Self::anchored(bat::state::FULLY_PRESENT, data)
    }

    /// The given sectors are in the file (state 7). `data` outside them is there, too, for nobody to see.
    #[must_use]
    pub fn partial(sectors: SectorSet, data: Vec<(u64, Vec<u8>)>) -> Self {
        Self { sectors, ..Self::anchored(bat::state::PARTIALLY_PRESENT, data) }
    }

    /// No room in the file, in any state.
    #[must_use]
    pub fn absent(state: u8) -> Self {
        Self { state, ..Self::default() }
    }

    /// Room in the file, in any state: in states 1 and 3 a soft anchor over stale bytes.
    #[must_use]
    pub fn anchored(state: u8, data: Vec<(u64, Vec<u8>)>) -> Self {
        Self { state, room: true, data, ..Self::default() }
    }

    fn in_default_state(state: u8) -> Self {
        let room = matches!(state, bat::state::FULLY_PRESENT | bat::state::PARTIALLY_PRESENT);
        Self { state, room, ..Self::default() }
    }
}

impl Image {
    /// An empty dynamic image as Windows makes it. `name` gives it its GUIDs and appears nowhere.
    #[must_use]
    pub fn dynamic(name: &str, geometry: Geometry) -> Self {
        Self {
            geometry,
            block_size: BlockSize::from_bytes(32 << 20).unwrap_or(BlockSize::MAX),
            kind: Kind::Dynamic,
            creator: "Microsoft Windows 10.0.19041.0".to_owned(),
            ids: Identities::derive(name.as_bytes()),
            sequence_numbers: [7, 8],
            version: 1,
            log_version: 0,
            log_guid: Uuid::nil(),
            log_len: 1 << 20,
            metadata_len: 1 << 20,
            bat_len: None,
            regions_required: true,
            extra_regions: Vec::new(),
            items: None,
            default_state: bat::state::NOT_PRESENT,
            blocks: BTreeMap::new(),
            bitmaps: BTreeMap::new(),
            raw_entries: BTreeMap::new(),
            placement: Placement::default(),
        }
    }

    /// A fixed image as Windows makes it: blocks of 2 MiB, every one of them present.
    #[must_use]
    pub fn fixed(name: &str, geometry: Geometry) -> Self {
        Self {
            kind: Kind::Fixed,
            block_size: BlockSize::from_bytes(2 << 20).unwrap_or(BlockSize::MIN),
            default_state: bat::state::FULLY_PRESENT,
            ..Self::dynamic(name, geometry)
        }
    }

    /// An empty differencing image as Windows makes it, of the same disk as `parent`, a file of that name in the same
    /// folder.
    #[must_use]
    pub fn child(name: &str, parent: &Self, parent_file_name: &str) -> Self {
        let own = Self::dynamic(name, parent.geometry);
        Self {
            kind: Kind::Differencing(Locator::windows(parent.ids.data_write, parent_file_name)),
            block_size: BlockSize::from_bytes(2 << 20).unwrap_or(BlockSize::MIN),
            ids: Identities { virtual_disk: parent.ids.virtual_disk, ..own.ids },
            ..own
        }
    }

    /// How the disk is cut into blocks.
    #[must_use]
    pub fn layout(&self) -> BlockLayout {
        BlockLayout::new(self.geometry, self.block_size, self.is_differencing())
    }

    /// The mandatory items with Windows' order and flags, and the locator of a differencing image.
    #[must_use]
    pub fn standard_items(&self) -> Vec<Item> {
        let of_file = metadata::FLAG_REQUIRED;
        let of_disk = metadata::FLAG_REQUIRED | metadata::FLAG_VIRTUAL_DISK;
        let flags = match self.kind {
            Kind::Dynamic => 0,
            Kind::Fixed => metadata::LEAVE_BLOCK_ALLOCATED,
            Kind::Differencing(_) => metadata::HAS_PARENT,
        };
        let parameters = metadata::FileParameters {
            block_size: U32::new(self.block_size.bytes()),
            flags: U32::new(flags),
        };
        let logical = self.geometry.logical_sector().bytes().to_le_bytes();
        let physical = self.geometry.physical_sector().bytes().to_le_bytes();
        let mut items = vec![
            Item::new(metadata::FILE_PARAMETERS, of_file, parameters.as_bytes()),
            Item::new(metadata::VIRTUAL_DISK_SIZE, of_disk, &self.geometry.size().to_le_bytes()),
            Item::new(metadata::LOGICAL_SECTOR_SIZE, of_disk, &logical),
            Item::new(metadata::PHYSICAL_SECTOR_SIZE, of_disk, &physical),
            Item::new(metadata::VIRTUAL_DISK_ID, of_disk, &self.ids.virtual_disk.to_bytes_le()),
        ];
        if let Kind::Differencing(locator) = &self.kind {
            items.push(Item::new(metadata::PARENT_LOCATOR, of_file, &locator.to_bytes()));
        }
        items
    }

    /// The metadata items, to be changed: from now on they no longer follow the other fields.
    pub fn items_mut(&mut self) -> &mut Vec<Item> {
        let standard = self.standard_items();
        self.items.get_or_insert(standard)
    }

    /// Where everything lies in the built file.
    #[must_use]
    pub fn places(&self) -> Places {
        let layout = self.layout();
        let bat_len = self.bat_len.map_or(layout.bat_region_len(), u64::from);
        let mut objects = vec![
            (Object::Log, u64::from(self.log_len)),
            (Object::Metadata, u64::from(self.metadata_len)),
            (Object::Bat, bat_len),
        ];
        let regions = self.extra_regions.iter().enumerate();
        objects.extend(regions.map(|(number, region)| (Object::Region(number), u64::from(region.len))));
        let mut chunks: BTreeMap<u64, (bool, Vec<u64>)> = BTreeMap::new();
        self.each_block(|number, block| {
            let chunk = chunks.entry(layout.chunk_of(BlockIndex(number)).0).or_default();
            let has_bits = block.state == bat::state::PARTIALLY_PRESENT || !block.sectors.is_empty();
            chunk.0 |= has_bits && self.is_differencing();
            chunk.1.extend(block.room.then_some(number));
        });
        for (&chunk, &present) in &self.bitmaps {
            chunks.entry(chunk).or_default().0 = present;
        }
        for (chunk, (has_bitmap, blocks)) in chunks {
            objects.extend(has_bitmap.then_some((Object::Bitmap(chunk), MIB)));
            let block_len = u64::from(self.block_size.bytes());
            objects.extend(blocks.into_iter().map(|number| (Object::Block(number), block_len)));
        }
        self.placement.place(objects)
    }

    /// Where the object begins in the built file, in bytes, if it has a place there.
    #[must_use]
    pub fn offset_of(&self, object: Object) -> Option<u64> {
        self.places().get(&object).map(|range| range.start)
    }

    /// Builds the file. The same description gives the same bytes.
    #[must_use]
    pub fn build(&self) -> SparseFile {
        let places = self.places();
        let mut file = SparseFile::default();
        let end = places.values().map(|range| range.end).max();
        file.set_len(end.unwrap_or(0).max(MIB));
        self.write_header_area(&mut file, &places);
        let items = self.items.clone().unwrap_or_else(|| self.standard_items());
        file.write(start(&places, Object::Metadata), &items::region(&items));
        for (number, region) in self.extra_regions.iter().enumerate() {
            file.write(start(&places, Object::Region(number)), &region.bytes);
        }
        self.write_blocks(&mut file, &places);
        self.write_bitmap_entries(&mut file, &places);
        for (&index, &entry) in &self.raw_entries {
            write_entry(&mut file, &places, index, bat::Entry(entry));
        }
        file
    }

    /// File offsets of the 4 KiB sectors of a built file that a log may hold: those with anything in them of region
    /// tables, metadata, block table and sector bitmaps, ascending.
    #[must_use]
    pub fn metadata_sectors(&self, file: &SparseFile) -> Vec<u64> {
        let places = self.places();
        let logged = |object: &Object| matches!(object, Object::Metadata | Object::Bat | Object::Bitmap(_));
        let mut ranges: Vec<_> = places.into_iter().filter(|(object, _)| logged(object)).collect();
        ranges.extend(region::OFFSETS.map(|at| (Object::Bat, at..at + region::LEN as u64)));
        file.pages().filter(|page| ranges.iter().any(|(_, range)| range.contains(page))).collect()
    }

    /// Visits every block that is described or in a default state other than 0.
    pub(super) fn each_block(&self, mut visit: impl FnMut(u64, &Block)) {
        let default = Block::in_default_state(self.default_state);
        let defaulted = if self.default_state == 0 { 0 } else { self.layout().block_count() };
        for number in 0..defaulted {
            visit(number, self.blocks.get(&number).unwrap_or(&default));
        }
        for (&number, block) in self.blocks.range(defaulted..) {
            visit(number, block);
        }
    }

    fn is_differencing(&self) -> bool {
        matches!(self.kind, Kind::Differencing(_))
    }

    fn write_header_area(&self, file: &mut SparseFile, places: &Places) {
        file.write(0, &seal::identifier(&self.creator));
        for (at, sequence_number) in wire::header::OFFSETS.into_iter().zip(self.sequence_numbers) {
            let header = wire::header::Header {
                signature: *wire::header::SIGNATURE,
                checksum: U32::ZERO,
                sequence_number: U64::new(sequence_number),
                file_write_guid: self.ids.file_write.into(),
                data_write_guid: self.ids.data_write.into(),
                log_guid: self.log_guid.into(),
                log_version: U16::new(self.log_version),
                version: U16::new(self.version),
                log_length: U32::new(self.log_len),
                log_offset: U64::new(start(places, Object::Log)),
            };
            file.write(at, &seal::header(&header));
        }
        let table = seal::region_table(&self.region_entries(places));
        for at in region::OFFSETS {
            file.write(at, &table);
        }
    }

    fn region_entries(&self, places: &Places) -> Vec<region::Entry> {
        let entry = |id: Uuid, object: Object, required: u32| {
            let range = places.get(&object).cloned().unwrap_or_default();
            region::Entry {
                guid: id.into(),
                file_offset: U64::new(range.start),
                length: U32::new((range.end - range.start) as u32),
                required: U32::new(required),
            }
        };
        let known = u32::from(self.regions_required);
        let mut entries =
            vec![entry(region::BAT, Object::Bat, known), entry(region::METADATA, Object::Metadata, known)];
        for (number, region) in self.extra_regions.iter().enumerate() {
            entries.push(entry(region.id, Object::Region(number), region.required));
        }
        entries
    }

    /// Payload, table entries and the blocks' bits.
    fn write_blocks(&self, file: &mut SparseFile, places: &Places) {
        let layout = self.layout();
        self.each_block(|number, block| {
            let room = places.get(&Object::Block(number)).map(|range| range.start);
            if let Some(room) = room {
                for (at, bytes) in &block.data {
                    file.write(room + at, bytes);
                }
            }
            let index = layout.payload_entry(BlockIndex(number));
            let offset = block.entry_offset.or(room).unwrap_or(0);
            write_entry(file, places, index, bat::Entry::new(block.state, offset));
            let chunk = layout.chunk_of(BlockIndex(number)).0;
            if let Some(bitmap) = places.get(&Object::Bitmap(chunk)) {
                let first_bit = layout.bits_from(layout.block_start(BlockIndex(number))).start;
                file.write(bitmap.start + first_bit / 8, block.sectors.as_bytes());
            }
        });
    }

    fn write_bitmap_entries(&self, file: &mut SparseFile, places: &Places) {
        for (object, range) in places {
            if let Object::Bitmap(chunk) = *object {
                let index = self.layout().bitmap_entry(ChunkIndex(chunk));
                write_entry(file, places, index, bat::Entry::new(bat::state::BITMAP_PRESENT, range.start));
            }
        }
    }
}

fn start(places: &Places, object: Object) -> u64 {
    places.get(&object).map_or(0, |range| range.start)
}

fn write_entry(file: &mut SparseFile, places: &Places, index: u64, entry: bat::Entry) {
    file.write(start(places, Object::Bat) + index * bat::ENTRY_LEN, &entry.0.to_le_bytes());
}
