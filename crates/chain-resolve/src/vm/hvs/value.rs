//! The data of an entry as a value, in its entry or elsewhere in the file.

use super::bytes;
use super::entry::Entry;
use super::error::{Problem, Structure, Warnings};
use super::wire::{FileObject, entry_kind};
use crate::vm::tree::{Unreadable, Value};
use limits::configuration::{VALUE_BYTES_MAX, VALUES_BYTES_MAX};

/// Decodes values of one file, within the limits on all of them together.
pub(super) struct Values<'a> {
    file: &'a [u8],
    left: usize,
}

impl<'a> Values<'a> {
    pub(super) fn new(file: &'a [u8]) -> Self {
        Self { file, left: VALUES_BYTES_MAX }
    }

    /// The value of an entry that is no node. `saved_memory` says that it lies in a guest's saved memory, of which
    /// nothing outside the entries is read.
    pub(super) fn of(&mut self, entry: &Entry<'a>, saved_memory: bool, warnings: &mut Warnings) -> Value {
        self.read(entry, saved_memory, warnings).unwrap_or_else(Value::Unreadable)
    }

    fn read(
        &mut self,
        entry: &Entry<'a>,
        saved_memory: bool,
        warnings: &mut Warnings,
    ) -> Result<Value, Unreadable> {
        let data = entry.data.map_err(|overlong| {
            let (need, have) = (bytes::offset(overlong.need), bytes::offset(overlong.have));
            warnings.push(entry.at, Problem::Truncated { structure: Structure::KeyEntry, need, have });
            Unreadable::Overlong
        })?;
        let raw = match entry.kind {
            _ if entry.elsewhere && saved_memory => return Err(Unreadable::SavedMemory),
            _ if entry.elsewhere => self.elsewhere(entry.at, data, warnings)?,
            entry_kind::STRING | entry_kind::BYTES => data.get(4..).unwrap_or(&[]),
            _ => data,
        };
        self.spend(entry.at, raw.len(), warnings)?;
        Ok(match entry.kind {
            entry_kind::INT => Value::Int(i64::from_le_bytes(first(raw)?)),
            entry_kind::UINT => Value::UInt(u64::from_le_bytes(first(raw)?)),
            entry_kind::DOUBLE => Value::Double(f64::from_le_bytes(first(raw)?)),
            entry_kind::BOOL => Value::Bool(i32::from_le_bytes(first(raw)?) != 0),
            entry_kind::BYTES => Value::Bytes(raw.to_vec()),
            _ => Value::String(text(entry.at, raw, warnings)),
        })
    }

    fn elsewhere(&self, at: usize, data: &[u8], warnings: &mut Warnings) -> Result<&'a [u8], Unreadable> {
        let object = bytes::get::<FileObject>(data, 0).ok_or(Unreadable::Overlong)?;
        let (start, len) = (bytes::position(object.offset.get()), bytes::length(object.size.get()));
        bytes::slice(self.file, start, len).ok_or_else(|| {
            let have = bytes::offset(self.file.len().saturating_sub(start).min(len));
            let need = u64::from(object.size.get());
            warnings.push(at, Problem::Truncated { structure: Structure::FileObject, need, have });
            Unreadable::PastEnd
        })
    }

    fn spend(&mut self, at: usize, len: usize, warnings: &mut Warnings) -> Result<(), Unreadable> {
        let limit = self.left.min(VALUE_BYTES_MAX);
        if len > limit {
            let (limit, found) = (bytes::offset(limit), bytes::offset(len));
            warnings.push(at, Problem::ValueTooLong { limit, found });
            return Err(Unreadable::TooLarge);
        }
        self.left = self.left.saturating_sub(len);
        Ok(())
    }
}

fn first<const N: usize>(raw: &[u8]) -> Result<[u8; N], Unreadable> {
    raw.first_chunk().copied().ok_or(Unreadable::Overlong)
}

/// Some writers count and store a terminator, Windows does not. What is not Unicode becomes U+FFFD.
fn text(at: usize, raw: &[u8], warnings: &mut Warnings) -> String {
    let (pairs, rest) = raw.as_chunks::<2>();
    if !rest.is_empty() {
        warnings.push(at, Problem::OddText(bytes::offset(raw.len())));
    }
    let end = pairs.iter().rposition(|pair| *pair != [0, 0]).map_or(0, |last| last.saturating_add(1));
    let units = pairs.iter().take(end).map(|pair| u16::from_le_bytes(*pair));
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}
