//! Parent locators (MS-VHDX 2.6.2.6): how a differencing image names its parent, in any order and with any keys.

use uuid::Uuid;
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32};

use crate::wire::locator;

/// The content of a parent locator item. Pairs are written in the order they have here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Locator {
    /// Says what the keys mean; [`Locator::VHDX`] in every image of Windows.
    pub locator_type: Uuid,
    /// Keys and values, which may repeat or be empty.
    pub pairs: Vec<(String, String)>,
}

impl Locator {
    /// The type of a VHDX parent.
    pub const VHDX: Uuid = locator::VHDX;

    /// A locator of type VHDX without any pair.
    #[must_use]
    pub fn empty() -> Self {
        Self { locator_type: Self::VHDX, pairs: Vec::new() }
    }

    /// The five pairs that Windows writes, in its order, for a parent of that file name in the child's folder.
    #[must_use]
    pub fn windows(parent: Uuid, file_name: &str) -> Self {
        Self::empty()
            .linkage(parent)
            .absolute_path(&format!("C:\\VMs\\{file_name}"))
            .relative_path(&format!(".\\{file_name}"))
            .volume_path(&format!("\\\\?\\Volume{{c0ffee00-1111-2222-3333-444455556666}}\\VMs\\{file_name}"))
            .linkage2(Uuid::nil())
    }

    /// Adds `parent_linkage`: the parent's `DataWriteGuid`.
    #[must_use]
    pub fn linkage(self, parent: Uuid) -> Self {
        self.pair("parent_linkage", &format!("{{{parent}}}"))
    }

    /// Adds `parent_linkage2`: the other `DataWriteGuid` the parent may have; nil is Windows' "unset".
    #[must_use]
    pub fn linkage2(self, parent: Uuid) -> Self {
        self.pair("parent_linkage2", &format!("{{{parent}}}"))
    }

    /// Adds `relative_path`.
    #[must_use]
    pub fn relative_path(self, path: &str) -> Self {
        self.pair("relative_path", path)
    }

    /// Adds `absolute_win32_path`.
    #[must_use]
    pub fn absolute_path(self, path: &str) -> Self {
        self.pair("absolute_win32_path", path)
    }

    /// Adds `volume_path`.
    #[must_use]
    pub fn volume_path(self, path: &str) -> Self {
        self.pair("volume_path", path)
    }

    /// Adds any pair.
    #[must_use]
    pub fn pair(mut self, key: &str, value: &str) -> Self {
        self.pairs.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The item's bytes: the table, then key, value, key, value without gaps, as Windows packs them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = locator::Header {
            locator_type: self.locator_type.into(),
            reserved: U16::ZERO,
            key_value_count: U16::new(self.pairs.len() as u16),
        };
        let mut table = header.as_bytes().to_vec();
        let texts_at = size_of::<locator::Header>() + self.pairs.len() * size_of::<locator::Entry>();
        let mut texts = Vec::new();
        for (key, value) in &self.pairs {
            let (key, value) = (utf16(key), utf16(value));
            let key_at = texts_at + texts.len();
            let entry = locator::Entry {
                key_offset: U32::new(key_at as u32),
                value_offset: U32::new((key_at + key.len()) as u32),
                key_length: U16::new(key.len() as u16),
                value_length: U16::new(value.len() as u16),
            };
            table.extend_from_slice(entry.as_bytes());
            texts.extend(key);
            texts.extend(value);
        }
        table.extend(texts);
        table
    }
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}
