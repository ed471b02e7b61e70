//! Every byte of an image that a reader looks at, by the name of its field.
//!
//! A field may lie in the file twice and be damaged alike in both places: of two copies one is used, and damage to one
//! says nothing about how the other is judged.

use std::ops::Range;

use uuid::Uuid;
use vhdx_format::forge::{Image, Kind, Object, item_id};

use crate::subjects::MIB;

/// Some bytes with one meaning.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// Where it lies: one range, or two that are changed alike.
    pub(crate) at: Vec<Range<u64>>,
    /// The structures whose checksum covers it: none, or one for each place. Each in pieces.
    pub(crate) sealed_by: Vec<Vec<Range<u64>>>,
    pub(crate) kind: FieldKind,
}

/// How a field is damaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FieldKind {
    /// Each byte by itself, several values.
    Meant,
    /// Each byte by itself, every other value there is.
    Decisive,
    /// Read for the checksum only, or for being read in pages: all of it at once, and single bytes in strides.
    Padding,
    /// What the structures are about: a few bytes.
    Content,
}

use FieldKind::{Content, Decisive, Meant, Padding};

const HEADERS: [u64; 2] = [0x1_0000, 0x2_0000];
const TABLES: [u64; 2] = [0x3_0000, 0x4_0000];
const HEADER_LEN: u64 = 0x1000;
const TABLE_LEN: u64 = 0x1_0000;

/// The reader looks at tables and bitmaps in pages of this many bytes.
const PAGE: u64 = 0x1_0000;

const HEADER: &[(&str, u64, u64, FieldKind)] = &[
    ("Signature", 0, 4, Meant),
    ("Checksum", 4, 4, Meant),
    ("SequenceNumber", 8, 8, Meant),
    ("FileWriteGuid", 16, 16, Meant),
    ("DataWriteGuid", 32, 16, Meant),
    ("LogGuid", 48, 16, Meant),
    ("LogVersion", 64, 2, Meant),
    ("Version", 66, 2, Meant),
    ("LogLength", 68, 4, Meant),
    ("LogOffset", 72, 8, Meant),
    ("Reserved", 80, HEADER_LEN - 80, Padding),
];

const REGION_TABLE: &[(&str, u64, u64, FieldKind)] = &[
    ("Signature", 0, 4, Meant),
    ("Checksum", 4, 4, Meant),
    ("EntryCount", 8, 4, Meant),
    ("Reserved", 12, 4, Meant),
];

const REGION_ENTRY: &[(&str, u64, u64, FieldKind)] = &[
    ("Guid", 0, 16, Meant),
    ("FileOffset", 16, 8, Meant),
    ("Length", 24, 4, Meant),
    ("Required", 28, 4, Meant),
];

const METADATA_TABLE: &[(&str, u64, u64, FieldKind)] = &[
    ("Signature", 0, 8, Meant),
    ("Reserved", 8, 2, Meant),
    ("EntryCount", 10, 2, Meant),
    ("Reserved2", 12, 20, Meant),
];

const METADATA_ENTRY: &[(&str, u64, u64, FieldKind)] = &[
    ("ItemId", 0, 16, Meant),
    ("Offset", 16, 4, Decisive),
    ("Length", 20, 4, Meant),
    ("Flags", 24, 4, Meant),
    ("Reserved", 28, 4, Meant),
];

const LOCATOR: &[(&str, u64, u64, FieldKind)] =
    &[("LocatorType", 0, 16, Meant), ("Reserved", 16, 2, Meant), ("KeyValueCount", 18, 2, Decisive)];

const LOCATOR_ENTRY: &[(&str, u64, u64, FieldKind)] = &[
    ("KeyOffset", 0, 4, Meant),
    ("ValueOffset", 4, 4, Meant),
    ("KeyLength", 8, 2, Decisive),
    ("ValueLength", 10, 2, Decisive),
];

const LOG_ENTRY: &[(&str, u64, u64, FieldKind)] = &[
    ("Signature", 0, 4, Meant),
    ("Checksum", 4, 4, Meant),
    ("EntryLength", 8, 4, Meant),
    ("Tail", 12, 4, Decisive),
    ("SequenceNumber", 16, 8, Meant),
    ("DescriptorCount", 24, 4, Decisive),
    ("Reserved", 28, 4, Meant),
    ("LogGuid", 32, 16, Meant),
    ("FlushedFileOffset", 48, 8, Meant),
    ("LastFileOffset", 56, 8, Meant),
];

const ZERO_DESCRIPTOR: &[(&str, u64, u64, FieldKind)] = &[
    ("Signature", 0, 4, Meant),
    ("Reserved", 4, 4, Meant),
    ("ZeroLength", 8, 8, Meant),
    ("FileOffset", 16, 8, Meant),
    ("SequenceNumber", 24, 8, Meant),
];

const DATA_DESCRIPTOR: &[(&str, u64, u64, FieldKind)] = &[
    ("Signature", 0, 4, Meant),
    ("TrailingBytes", 4, 4, Meant),
    ("LeadingBytes", 8, 8, Meant),
    ("FileOffset", 16, 8, Meant),
    ("SequenceNumber", 24, 8, Meant),
];

/// The fields of a built image; a dirty one may have changed since.
pub(crate) fn of(image: &Image, file: &[u8]) -> Vec<Field> {
    let mut map = Map { file, fields: Vec::new() };
    map.identifier();
    map.headers();
    map.region_tables();
    map.metadata(image);
    map.block_table(image);
    map.bitmaps(image);
    map.log(image);
    map.content(image);
    map.fields
}

struct Map<'a> {
    file: &'a [u8],
    fields: Vec<Field>,
}

impl Map<'_> {
    fn add(&mut self, name: String, at: Range<u64>, kind: FieldKind) {
        self.fields.push(Field { name, at: vec![at], sealed_by: Vec::new(), kind });
    }

    fn add_sealed(
        &mut self,
        name: String,
        at: &[Range<u64>],
        sealed_by: &[Vec<Range<u64>>],
        kind: FieldKind,
    ) {
        self.fields.push(Field { name, at: at.to_vec(), sealed_by: sealed_by.to_vec(), kind });
    }

    fn each(&mut self, structure: &str, base: u64, fields: &[(&str, u64, u64, FieldKind)]) {
        for (name, at, len, kind) in fields {
            self.add(format!("{structure}: {name}"), base + at..base + at + len, *kind);
        }
    }

    /// Fields of a structure that is there twice, each copy by itself and both alike.
    fn each_twice(
        &mut self,
        structure: &str,
        (copies, len): ([u64; 2], u64),
        base: u64,
        fields: &[(&str, u64, u64, FieldKind)],
    ) {
        let whole = |copy: u64| std::iter::once(copy..copy + len).collect::<Vec<_>>();
        for (name, at, field_len, kind) in fields {
            let places = copies.map(|copy| copy + base + at..copy + base + at + field_len);
            for (n, (place, copy)) in (1..).zip(places.iter().cloned().zip(copies)) {
                self.add_sealed(format!("{structure} {n}: {name}"), &[place], &[whole(copy)], *kind);
            }
            self.add_sealed(format!("{structure}s alike: {name}"), &places, &copies.map(whole), *kind);
        }
    }

    fn number(&self, at: u64, len: usize) -> u64 {
        let bytes = &self.file[at as usize..at as usize + len];
        bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn guid(&self, at: u64) -> Uuid {
        Uuid::from_bytes_le(self.file[at as usize..at as usize + 16].try_into().expect("16 bytes"))
    }

    fn identifier(&mut self) {
        self.each("file identifier", 0, &[("Signature", 0, 8, Decisive), ("Creator", 8, 512, Meant)]);
    }

    fn headers(&mut self) {
        self.each_twice("header", (HEADERS, HEADER_LEN), 0, HEADER);
    }

    fn region_tables(&mut self) {
        let copies = (TABLES, TABLE_LEN);
        self.each_twice("region table", copies, 0, REGION_TABLE);
        // A dirty image has its entries in the log; what lies here then is only padding.
        let count = self.number(TABLES[0] + 8, 4).max(2);
        for index in 0..count {
            let base = 16 + 32 * index;
            let name = match self.guid(TABLES[0] + base).as_u128() >> 96 {
                0x2DC2_7766 => "BAT",
                0x8B7C_A206 => "metadata",
                _ => "other",
            };
            let fields: Vec<_> = REGION_ENTRY.iter().map(|f| (format!("{name} {}", f.0), *f)).collect();
            let fields: Vec<_> = fields.iter().map(|(name, f)| (name.as_str(), f.1, f.2, f.3)).collect();
            self.each_twice("region table", copies, base, &fields);
        }
        let used = 16 + 32 * count;
        let rest = [("rest", 0, TABLE_LEN - used, Padding)];
        self.each_twice("region table", copies, used, &rest);
    }

    fn metadata(&mut self, image: &Image) {
        let region = image.offset_of(Object::Metadata).expect("a metadata region");
        let items = image.items.clone().unwrap_or_else(|| image.standard_items());
        self.each("metadata table", region, METADATA_TABLE);
        let mut at = region + TABLE_LEN;
        for (index, item) in (0..).zip(&items) {
            let name = item_name(item.id);
            self.each(&format!("metadata table: {name}"), region + 32 + 32 * index, METADATA_ENTRY);
            self.item(image, name, at, item.bytes.len() as u64);
            at += item.bytes.len() as u64;
        }
        let used = 32 + 32 * items.len() as u64;
        self.add("metadata table: rest".to_owned(), region + used..region + TABLE_LEN, Padding);
    }

    fn item(&mut self, image: &Image, name: &str, at: u64, len: u64) {
        match (name, &image.kind) {
            ("FileParameters", _) => {
                self.each(name, at, &[("BlockSize", 0, 4, Decisive), ("Flags", 4, 4, Decisive)]);
            }
            ("ParentLocator", Kind::Differencing(locator)) => {
                self.each(name, at, LOCATOR);
                let mut text = at + 20 + 12 * locator.pairs.len() as u64;
                for (index, (key, value)) in (0..).zip(&locator.pairs) {
                    self.each(&format!("{name}: {key}"), at + 20 + 12 * index, LOCATOR_ENTRY);
                    let (key_len, value_len) = (2 * key.len() as u64, 2 * value.len() as u64);
                    self.each(&format!("{name}: {key}"), text, &[("key", 0, key_len, Meant)]);
                    self.each(&format!("{name}: {key}"), text + key_len, &[("value", 0, value_len, Meant)]);
                    text += key_len + value_len;
                }
            }
            _ => self.add(name.to_owned(), at..at + len, Decisive),
        }
    }

    fn block_table(&mut self, image: &Image) {
        let table = image.offset_of(Object::Bat).expect("a block table");
        let layout = image.layout();
        let blocks = layout.block_count();
        assert!(blocks < layout.chunk_ratio(), "the blocks of a small disk are the first entries");
        for number in 0..blocks {
            let state = image.blocks.get(&number).map_or(image.default_state, |block| block.state);
            let at = table + 8 * number;
            self.entry(&format!("entry in state {state}"), at);
        }
        let mut from = table + 8 * blocks;
        if matches!(image.kind, Kind::Differencing(_)) {
            let bitmap = table + 8 * layout.chunk_ratio();
            self.add("block table: rest".to_owned(), from..bitmap, Padding);
            self.entry("entry of a bitmap", bitmap);
            from = bitmap + 8;
        }
        let end = from.next_multiple_of(PAGE);
        self.add("block table: rest".to_owned(), from..end, Padding);
    }

    /// The state in bits 0 to 2, reserved bits to 19, the offset above.
    fn entry(&mut self, name: &str, at: u64) {
        let fields = [("low byte", 0, 1, Decisive), ("Reserved", 1, 1, Meant), ("FileOffsetMB", 2, 6, Meant)];
        self.each(&format!("block table: {name}"), at, &fields);
    }

    fn bitmaps(&mut self, image: &Image) {
        let Some(bitmap) = image.offset_of(Object::Bitmap(0)) else { return };
        let sector = u64::from(image.geometry.logical_sector().bytes());
        let slice = u64::from(image.block_size.bytes()) / sector / 8;
        let mut at = bitmap;
        for number in 0..image.layout().block_count() {
            let partial = image.blocks.get(&number).is_some_and(|block| block.state == 7);
            // Of the last block only the bits of sectors that the disk has.
            if partial {
                self.add("sector bitmap: bits of a block in state 7".to_owned(), at..at + slice, Meant);
            } else {
                self.add("sector bitmap: other bits".to_owned(), at..at + slice, Padding);
            }
            at += slice;
        }
        self.add("sector bitmap: rest".to_owned(), at..bitmap + PAGE, Padding);
    }

    fn log(&mut self, image: &Image) {
        let dirty = self.guid(HEADERS[1] + 48);
        if dirty.is_nil() {
            return;
        }
        let log = image.offset_of(Object::Log).expect("a log");
        let ring = Ring { at: log, len: u64::from(image.log_len) };
        let starts: Vec<u64> = (0..ring.len)
            .step_by(0x1000)
            .filter(|position| self.file[(log + position) as usize..].starts_with(b"loge"))
            .collect();
        // In the order in which they were written.
        let mut entries: Vec<u64> = starts;
        entries.sort_by_key(|position| self.number(log + position + 16, 8));
        let mine: Vec<u64> =
            entries.iter().copied().filter(|position| self.guid(log + position + 32) == dirty).collect();
        // A torn one is the last of all, and half of it is noise.
        let is_torn = |position: u64| self.file[(log + position) as usize + 0xFFF] != 0;
        let whole = mine.iter().rfind(|position| !is_torn(**position));
        let newest = *whole.expect("an entry");
        let tail = self.number(log + newest + 12, 4);
        let oldest = mine.iter().position(|position| *position == tail).expect("the tail is an entry");
        let mut used = Vec::new();
        for (index, position) in mine.iter().enumerate() {
            let role = match index {
                _ if index < oldest => "before the tail",
                _ if index == oldest => "oldest",
                _ if *position == newest => "newest",
                _ if is_torn(*position) => "torn",
                _ => "middle",
            };
            used.extend(self.log_entry(&ring, *position, role));
        }
        for position in (0..ring.len).step_by(0x1000).filter(|position| !used.contains(position)) {
            let at = log + position;
            self.add("log: sectors without an entry of it".to_owned(), at..at + 0x1000, Padding);
        }
    }

    /// The fields of one entry; returns the positions of its sectors.
    fn log_entry(&mut self, ring: &Ring, position: u64, role: &str) -> Vec<u64> {
        let file = self.file;
        let entry = ring.at + position;
        let sectors: Vec<u64> = (0..self.number(entry + 8, 4))
            .step_by(0x1000)
            .map(|ahead| (position + ahead) % ring.len)
            .collect();
        let pieces: Vec<Range<u64>> =
            sectors.iter().map(|sector| ring.at + sector..ring.at + sector + 0x1000).collect();
        let count = self.number(entry + 24, 4);
        assert!(count <= 126, "all descriptors are in the first sector");
        let structure = format!("log, {role} entry");
        let mut add = |part: &str, base: u64, fields: &[(&str, u64, u64, FieldKind)]| {
            for (name, at, len, kind) in fields {
                let at = base + at..base + at + len;
                self.add_sealed(
                    format!("{structure}{part}: {name}"),
                    &[at],
                    std::slice::from_ref(&pieces),
                    *kind,
                );
            }
        };
        add("", entry, LOG_ENTRY);
        let mut data = pieces.iter().skip(1);
        for index in 0..count {
            let at = entry + 64 + 32 * index;
            if file[at as usize..].starts_with(b"zero") {
                add(", zero descriptor", at, ZERO_DESCRIPTOR);
                continue;
            }
            add(", data descriptor", at, DATA_DESCRIPTOR);
            let sector = data.next().expect("a sector for each data descriptor").start;
            add(", data sector", sector, DATA_SECTOR_ENDS);
            let meant = file[sector as usize + 8..].iter().take(4084).rposition(|byte| *byte != 0);
            let meant = meant.map_or(0, |last| last as u64 + 1).min(600);
            add(
                ", data sector",
                sector + 8,
                &[("data", 0, meant, Content), ("data", meant, 4084 - meant, Content)],
            );
        }
        let used = 64 + 32 * count;
        add("", entry + used, &[("rest of the descriptors", 0, 0x1000 - used, Padding)]);
        sectors
    }

    /// What is stored of blocks.
    fn content(&mut self, image: &Image) {
        let size = image.geometry.size();
        for (object, place) in image.places() {
            if let Object::Block(number) = object {
                let block_len = u64::from(image.block_size.bytes());
                let visible = size.saturating_sub(number * block_len).min(block_len);
                self.add("payload".to_owned(), place.start..place.start + visible, Content);
            }
        }
    }
}

const DATA_SECTOR_ENDS: &[(&str, u64, u64, FieldKind)] =
    &[("Signature", 0, 4, Meant), ("SequenceHigh", 4, 4, Meant), ("SequenceLow", 4092, 4, Meant)];

struct Ring {
    at: u64,
    len: u64,
}

fn item_name(id: Uuid) -> &'static str {
    match id {
        item_id::FILE_PARAMETERS => "FileParameters",
        item_id::VIRTUAL_DISK_SIZE => "VirtualDiskSize",
        item_id::LOGICAL_SECTOR_SIZE => "LogicalSectorSize",
        item_id::PHYSICAL_SECTOR_SIZE => "PhysicalSectorSize",
        item_id::VIRTUAL_DISK_ID => "VirtualDiskId",
        item_id::PARENT_LOCATOR => "ParentLocator",
        _ => "unknown item",
    }
}

const _: () = assert!(MIB.is_multiple_of(PAGE));
