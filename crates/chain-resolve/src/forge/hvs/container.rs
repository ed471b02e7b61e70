//! A whole store: where everything goes, and the tables that say so.

use std::collections::HashMap;

use super::entry::{self, Entry, EntryId, Parent};
use super::log::Log;
use super::{PAGE, seal};
use crate::vm::tree::Node;

/// One of the two file headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeaderCopy {
    /// The sequence number.
    pub sequence: u16,
    /// Whether its checksum is wrong.
    pub torn: bool,
}

/// A key table besides those that the entries make.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExtraTable {
    /// Its index, of another table too.
    pub index: u16,
    /// Its sequence number.
    pub sequence: u16,
    /// The bytes of its entries; the rest of the page is free.
    pub entries: Vec<u8>,
    /// Whether an object table lists it.
    pub listed: bool,
}

/// A store to be.
#[derive(Clone, PartialEq, Debug)]
pub struct Container {
    /// The keys in the order of their places.
    pub entries: Vec<Entry>,
    /// Both file headers.
    pub headers: [HeaderCopy; 2],
    /// The format version.
    pub version: u32,
    /// Slots of each object table; the last one is kept for the chain.
    pub slots: usize,
    /// What fills free entries, behind their headers.
    pub free_fill: u8,
    /// Whether file objects are in the object tables.
    pub list_file_objects: bool,
    /// Sequence number of the key tables.
    pub table_sequence: u16,
    /// Key tables behind those of the entries.
    pub extra_tables: Vec<ExtraTable>,
    /// The replay log, the last thing in the file.
    pub log: Log,
}

/// An object of the file.
struct Object {
    kind: u8,
    at: usize,
    len: usize,
}

/// Where entries lie: index of the key table and offset in it.
type Places = HashMap<EntryId, (u16, u32)>;

const FIRST_TABLE: usize = 0x3000;

impl Container {
    /// A clean store of these keys, parents in front of their children.
    #[must_use]
    pub fn of(keys: &[Node]) -> Self {
        let mut entries = Vec::new();
        add(&mut entries, Parent::Root, keys);
        Self {
            entries,
            headers: [HeaderCopy { sequence: 1, torn: false }, HeaderCopy { sequence: 0, torn: false }],
            version: 0x400,
            slots: 227,
            free_fill: 0,
            list_file_objects: true,
            table_sequence: 1,
            extra_tables: Vec::new(),
            log: Log::default(),
        }
    }

    /// The first entry of a name, to change it.
    #[must_use]
    pub fn entry_mut(&mut self, name: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.name == name)
    }

    /// Where an entry will lie in the file; `None` for none of this container's.
    #[must_use]
    pub fn place(&self, id: EntryId) -> Option<u64> {
        let (table, offset) = *self.places().0.get(&id)?;
        Some((FIRST_TABLE + (usize::from(table) - 1) * PAGE) as u64 + u64::from(offset))
    }

    /// The file.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let (places, tables) = self.places();
        let mut bytes = vec![0; FIRST_TABLE];
        let mut objects = Vec::new();
        let objects_at = self.file_objects_at(tables);
        for table in self.tables(&places, tables, &objects_at) {
            objects.push(Object { kind: 2, at: bytes.len(), len: PAGE });
            bytes.extend(table);
        }
        for extra in &self.extra_tables {
            if extra.listed {
                objects.push(Object { kind: 2, at: bytes.len(), len: PAGE });
            }
            bytes.extend(key_table(extra.index, extra.sequence, extra.entries.clone(), self.free_fill));
        }
        for entry in self.entries.iter().filter(|entry| entry.elsewhere) {
            let value = entry.value();
            let len = value.len().next_multiple_of(PAGE);
            if self.list_file_objects {
                objects.push(Object { kind: 3, at: bytes.len(), len });
            }
            let end = bytes.len() + len;
            bytes.extend(value);
            bytes.resize(end, 0);
        }
        self.list(&mut bytes, &objects);
        self.put_headers(&mut bytes);
        bytes.extend(self.log.to_bytes());
        bytes
    }

    /// Object tables: the first at its fixed place, the others at the end.
    fn list(&self, bytes: &mut Vec<u8>, objects: &[Object]) {
        let mut at = 0x2000;
        let mut chunks: Vec<&[Object]> = objects.chunks(self.slots - 1).collect();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        for (i, chunk) in chunks.iter().enumerate() {
            let mut table = vec![0x01, 0x00, 0x11, 0x01];
            table.extend((self.slots as u32).to_le_bytes());
            chunk.iter().for_each(|object| table.extend(slot(object)));
            table.resize(8 + 18 * (self.slots - 1), 0);
            for empty in table[8..].chunks_mut(18).skip(chunk.len()) {
                seal(empty, 1);
            }
            let next = (i + 1 < chunks.len()).then_some(bytes.len());
            let last = next.map_or(Object { kind: 0, at: 0, len: 0 }, |at| Object { kind: 1, at, len: PAGE });
            table.extend(slot(&last));
            bytes[at..at + table.len()].copy_from_slice(&table);
            if let Some(next) = next {
                bytes.resize(next + PAGE, 0);
                at = next;
            }
        }
    }

    fn put_headers(&self, bytes: &mut [u8]) {
        let log_at = bytes.len() as u64;
        for (copy, at) in self.headers.iter().zip([0, PAGE]) {
            let mut header = vec![0x14, 0x20, 0x28, 0x01, 0, 0, 0, 0];
            header.extend(copy.sequence.to_le_bytes());
            header.extend(self.version.to_le_bytes());
            header.extend([0; 8]);
            header.extend((PAGE as u32).to_le_bytes());
            header.extend(log_at.to_le_bytes());
            header.extend((self.log.region as u64).to_le_bytes());
            header.extend((self.log.header_size as u32).to_le_bytes());
            seal(&mut header, 4);
            header[4] ^= u8::from(copy.torn);
            bytes[at..at + header.len()].copy_from_slice(&header);
        }
    }

    /// Puts entries into tables of a page one behind the other; returns their places and the number of tables.
    fn places(&self) -> (Places, usize) {
        let mut places = Places::new();
        let (mut table, mut pos) = (1, 10);
        for entry in &self.entries {
            let len = entry.byte_len() + entry.free_behind.unwrap_or(0);
            if pos > 10 && (entry.opens_table || pos + len > PAGE) {
                (table, pos) = (table + 1, 10);
            }
            places.insert(entry.id, (table, pos as u32));
            pos += len;
        }
        (places, table.into())
    }

    fn file_objects_at(&self, tables: usize) -> HashMap<EntryId, u64> {
        let mut at = FIRST_TABLE + (tables + self.extra_tables.len()) * PAGE;
        let mut places = HashMap::new();
        for entry in self.entries.iter().filter(|entry| entry.elsewhere) {
            places.insert(entry.id, at as u64);
            at += entry.value().len().next_multiple_of(PAGE);
        }
        places
    }

    fn tables(&self, places: &Places, tables: usize, objects: &HashMap<EntryId, u64>) -> Vec<Vec<u8>> {
        let mut entries = vec![Vec::new(); tables];
        for entry in &self.entries {
            let parent = match entry.parent {
                Parent::Root => (0, 0),
                Parent::Entry(id) => places[&id],
                Parent::Place(table, offset) => (table, offset),
            };
            let children = self.entries.iter().filter(|child| child.parent == Parent::Entry(entry.id));
            let next_insertion = children.map(|child| child.insertion + 1).max().unwrap_or(0);
            let object_at = objects.get(&entry.id).copied().unwrap_or(0);
            let table = &mut entries[usize::from(places[&entry.id].0) - 1];
            table.extend(entry.to_bytes(parent, object_at, next_insertion));
            table.extend(entry.free_behind.map(|size| entry::free(size, self.free_fill)).unwrap_or_default());
        }
        let sealed = |(index, entries)| key_table(index, self.table_sequence, entries, self.free_fill);
        (1..).zip(entries).map(sealed).collect()
    }
}

fn add(entries: &mut Vec<Entry>, parent: Parent, keys: &[Node]) {
    for (node, insertion) in keys.iter().zip(1..) {
        let id = EntryId(entries.len());
        entries.push(Entry::new(id, parent, node, insertion));
        add(entries, Parent::Entry(id), &node.children);
    }
}

fn slot(object: &Object) -> Vec<u8> {
    let mut bytes = vec![object.kind, 0, 0, 0, 0];
    bytes.extend((object.at as u64).to_le_bytes());
    bytes.extend((object.len as u32).to_le_bytes());
    bytes.push(u8::from(object.kind != 0));
    seal(&mut bytes, 1);
    bytes
}

/// A key table of one page. What the entries leave becomes a free entry, or slack of the last one if it is too little
/// for that.
#[must_use]
pub fn key_table(index: u16, sequence: u16, entries: Vec<u8>, free_fill: u8) -> Vec<u8> {
    let mut bytes = vec![2, 0];
    bytes.extend(index.to_le_bytes());
    bytes.extend(sequence.to_le_bytes());
    bytes.extend([0; 4]);
    seal(&mut bytes, 6);
    bytes.extend(entries);
    match PAGE - bytes.len() {
        0 => {}
        rest @ 1..=21 => widen_last(&mut bytes, rest),
        rest => bytes.extend(entry::free(rest, free_fill)),
    }
    bytes
}

fn widen_last(table: &mut Vec<u8>, by: usize) {
    let size_at = |pos: usize| u32::from_le_bytes([2, 3, 4, 5].map(|i| table[pos + i])) as usize;
    let mut last = 10;
    while last + size_at(last) < table.len() {
        last += size_at(last);
    }
    let size = (size_at(last) + by) as u32;
    table[last + 2..last + 6].copy_from_slice(&size.to_le_bytes());
    seal_entry(&mut table[last..]);
    table.resize(PAGE, 0);
}

/// Seals the entry at the beginning of `bytes`, as far as it fits in them; free entries have no checksum.
pub(super) fn seal_entry(bytes: &mut [u8]) {
    let name = usize::from(bytes[20]);
    let data = match bytes[0] {
        _ if bytes[1] & 1 != 0 => 12,
        6 | 7 => {
            let prefix = bytes.get(21 + name..25 + name).and_then(|len| <[u8; 4]>::try_from(len).ok());
            4 + prefix.map_or(0, u32::from_le_bytes) as usize
        }
        8 => 4,
        9 => 12,
        _ => 8,
    };
    let len = if 21 + name + data <= bytes.len() { 21 + name + data } else { 21 + name };
    if bytes[0] != 1 && len <= bytes.len() {
        seal(&mut bytes[..len], 12);
    }
}
