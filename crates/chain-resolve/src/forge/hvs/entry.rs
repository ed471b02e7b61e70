//! One key as bytes.

use super::seal;
use crate::vm::tree::{Node, Value};

/// Names an entry of a container, wherever it is placed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EntryId(pub usize);

/// What an entry says its parent is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parent {
    /// The root.
    Root,
    /// Another entry, wherever it lies.
    Entry(EntryId),
    /// A place, whatever lies there: index of the key table and offset in it.
    Place(u16, u32),
}

/// What a key is.
#[derive(Clone, PartialEq, Debug)]
pub enum Content {
    /// A key that can have children.
    Node,
    /// A value.
    Value(Value),
    /// Any type with any data, length prefix included.
    Raw(u8, Vec<u8>),
}

/// A key to be.
#[derive(Clone, PartialEq, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a freedom or a flaw of its own, in any combination"
)]
pub struct Entry {
    /// Its name among the container's entries.
    pub id: EntryId,
    /// Its parent.
    pub parent: Parent,
    /// The key's own name.
    pub name: String,
    /// What it is.
    pub content: Content,
    /// Position among its siblings.
    pub insertion: u32,
    /// Flags besides the one for values that lie elsewhere.
    pub flags: u8,
    /// Whether a text ends with a counted terminator.
    pub terminated: bool,
    /// Whether the value lies in a file object.
    pub elsewhere: bool,
    /// Bytes behind the data that belong to the entry and mean nothing.
    pub slack: Vec<u8>,
    /// Size of a free entry behind this one; at least 21.
    pub free_behind: Option<usize>,
    /// Whether the entry begins a key table although there is room in the last one.
    pub opens_table: bool,
    /// Whether the checksum is wrong.
    pub broken: bool,
}

/// Bytes of a reference to a file object.
const REFERENCE: usize = 12;
const HEADER: usize = 21;
/// Values of this many bytes or more lie elsewhere.
const ELSEWHERE_FROM: usize = 2048;

impl Entry {
    /// A key as Windows writes it, but without slack.
    #[must_use]
    pub fn new(id: EntryId, parent: Parent, node: &Node, insertion: u32) -> Self {
        let content = node.value.clone().map_or(Content::Node, Content::Value);
        let mut entry = Self {
            id,
            parent,
            name: node.name.clone(),
            content,
            insertion,
            flags: 0,
            terminated: false,
            elsewhere: false,
            slack: Vec::new(),
            free_behind: None,
            opens_table: false,
            broken: false,
        };
        entry.elsewhere = entry.value().len() >= ELSEWHERE_FROM;
        entry
    }

    /// Length in bytes with slack, without a free entry behind it.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        let data = match self.content {
            _ if self.elsewhere => REFERENCE,
            Content::Node => 12,
            _ => self.prefix().len() + self.value().len(),
        };
        HEADER + self.name.len() + 1 + data + self.slack.len()
    }

    /// The bytes of the entry, sealed. `parent` is the parent's place, `object_at` where the value lies if it lies
    /// elsewhere, `next_insertion` what a node says about its children.
    #[must_use]
    pub fn to_bytes(&self, parent: (u16, u32), object_at: u64, next_insertion: u32) -> Vec<u8> {
        let mut bytes = vec![self.kind(), self.flags | u8::from(self.elsewhere)];
        bytes.extend((self.byte_len() as u32).to_le_bytes());
        bytes.extend(parent.0.to_le_bytes());
        bytes.extend(parent.1.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(self.insertion.to_le_bytes());
        bytes.push(self.name.len() as u8 + 1);
        bytes.extend(self.name.as_bytes());
        bytes.push(0);
        if self.elsewhere {
            bytes.extend((self.value().len() as u32).to_le_bytes());
            bytes.extend(object_at.to_le_bytes());
        } else if self.content == Content::Node {
            bytes.extend([0; 8]);
            bytes.extend(next_insertion.to_le_bytes());
        } else {
            bytes.extend(self.prefix());
            bytes.extend(self.value());
        }
        seal(&mut bytes, 12);
        bytes[12] ^= u8::from(self.broken);
        bytes.extend(&self.slack);
        bytes
    }

    /// The value's own bytes, as a file object holds them.
    #[must_use]
    pub fn value(&self) -> Vec<u8> {
        match &self.content {
            Content::Node | Content::Value(Value::Unreadable(_)) => Vec::new(),
            Content::Raw(_, data) => data.clone(),
            Content::Value(Value::Int(number)) => number.to_le_bytes().to_vec(),
            Content::Value(Value::UInt(number)) => number.to_le_bytes().to_vec(),
            Content::Value(Value::Double(number)) => number.to_le_bytes().to_vec(),
            Content::Value(Value::Bool(flag)) => i32::from(*flag).to_le_bytes().to_vec(),
            Content::Value(Value::Bytes(bytes)) => bytes.clone(),
            Content::Value(Value::String(text)) => {
                let end = self.terminated.then_some(0);
                text.encode_utf16().chain(end).flat_map(u16::to_le_bytes).collect()
            }
        }
    }

    /// The length in front of texts and bytes.
    fn prefix(&self) -> Vec<u8> {
        match &self.content {
            Content::Value(Value::String(_) | Value::Bytes(_)) => {
                (self.value().len() as u32).to_le_bytes().to_vec()
            }
            _ => Vec::new(),
        }
    }

    fn kind(&self) -> u8 {
        match &self.content {
            Content::Node => 9,
            Content::Raw(kind, _) => *kind,
            Content::Value(Value::Int(_)) => 3,
            Content::Value(Value::UInt(_)) => 4,
            Content::Value(Value::Double(_)) => 5,
            Content::Value(Value::String(_)) => 6,
            Content::Value(Value::Bytes(_) | Value::Unreadable(_)) => 7,
            Content::Value(Value::Bool(_)) => 8,
        }
    }
}

/// A free entry of `size` bytes; its body is garbage, 0xFD in real files.
pub(super) fn free(size: usize, fill: u8) -> Vec<u8> {
    let mut bytes = vec![1, 0];
    bytes.extend((size as u32).to_le_bytes());
    bytes.resize(HEADER, 0);
    bytes.resize(size, fill);
    bytes
}
