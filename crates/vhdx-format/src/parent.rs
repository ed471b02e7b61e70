//! The link from a differencing image to its parent (MS-VHDX 2.6.2.6).
//!
//! The link is an identity: a `DataWriteGuid`. The stored paths are hints; turning one into a file is not this crate's
//! business.

use std::collections::HashMap;
use std::fmt;

use limits::{Limit, Limits};
use uuid::Uuid;

use crate::wire::{self, locator as raw};
use crate::{FileOffset, ImageError, Problem, Structure, Unsupported};

/// The identities a parent may have: one, or for the time of a live merge two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Linkage {
    /// `parent_linkage`: the parent's `DataWriteGuid` when the link was made.
    pub first: Uuid,
    /// `parent_linkage2`, unless it is unset: all zeros is what Windows writes for that.
    pub second: Option<Uuid>,
}

impl Linkage {
    /// The identities, each once.
    pub fn guids(&self) -> impl Iterator<Item = Uuid> {
        let Self { first, second } = *self;
        std::iter::once(first).chain(second.filter(move |second| *second != first))
    }

    /// Whether an image with that `DataWriteGuid` is the parent.
    #[must_use]
    pub fn accepts(&self, data_write_guid: Uuid) -> bool {
        data_write_guid == self.first || Some(data_write_guid) == self.second
    }
}

impl fmt::Display for Linkage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.first)?;
        self.second.map_or(Ok(()), |second| write!(f, " or {{{second}}}"))
    }
}

/// What a differencing image says about its parent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParentLocator {
    /// Which identity the parent must have.
    pub linkage: Linkage,
    /// Path from the child's folder, in Windows' notation.
    pub relative_path: Option<String>,
    /// Path from a volume's GUID name.
    pub volume_path: Option<String>,
    /// Path from a drive letter or share.
    pub absolute_win32_path: Option<String>,
}

impl ParentLocator {
    /// Parses the item that lies at `at` of the file.
    pub(crate) fn parse(item: &[u8], at: FileOffset, limits: &Limits) -> Result<Self, ImageError> {
        let corrupt = |problem| ImageError::corrupt(Structure::ParentLocator, at, problem);
        let header = wire::prefix::<raw::Header>(item)
            .ok_or_else(|| corrupt(Problem::Missing { what: "a whole locator header" }))?;
        if header.locator_type.get() != raw::VHDX {
            return Err(Unsupported::LocatorType(header.locator_type.get()).into());
        }
        let count = header.key_value_count.get();
        let limit = limits.of(Limit::LocatorPairs);
        if u64::from(count) > limit {
            return Err(ImageError::Limit {
                structure: Structure::ParentLocator,
                at,
                unit: "key-value pairs",
                limit,
                found: count.into(),
                raise: Some(Limit::LocatorPairs),
            });
        }
        let mut pairs = read_pairs(item, count).map_err(corrupt)?;
        let first = pairs.remove("parent_linkage");
        let first = first.ok_or_else(|| corrupt(Problem::Missing { what: "the key parent_linkage" }))?;
        let second = pairs.remove("parent_linkage2").map(|text| parse_guid("parent_linkage2", &text));
        let linkage = Linkage {
            first: parse_guid("parent_linkage", &first).map_err(corrupt)?,
            second: second.transpose().map_err(corrupt)?.filter(|guid| !guid.is_nil()),
        };
        Ok(Self {
            linkage,
            relative_path: pairs.remove("relative_path"),
            volume_path: pairs.remove("volume_path"),
            absolute_win32_path: pairs.remove("absolute_win32_path"),
        })
    }
}

fn read_pairs(item: &[u8], count: u16) -> Result<HashMap<String, String>, Problem> {
    let (entries, _) = item.get(size_of::<raw::Header>()..).unwrap_or(&[]).as_chunks::<12>();
    let entries =
        entries.get(..usize::from(count)).ok_or(Problem::Missing { what: "all key-value entries" })?;
    let mut pairs = HashMap::new();
    for entry in entries {
        let entry: raw::Entry = zerocopy::transmute!(*entry);
        let key = text("a key", item, entry.key_offset.get(), entry.key_length.get())?;
        let value = text("a value", item, entry.value_offset.get(), entry.value_length.get())?;
        if pairs.insert(key, value).is_some() {
            return Err(Problem::Text { field: "a key", expected: "to be there once" });
        }
    }
    Ok(pairs)
}

/// UTF-16LE without a terminator; a stray surrogate becomes a replacement character, which matches no file.
fn text(field: &'static str, item: &[u8], offset: u32, len: u16) -> Result<String, Problem> {
    let expected = "a text of whole UTF-16 units inside the item";
    let bytes = usize::try_from(offset).ok().and_then(|at| item.get(at..)?.get(..usize::from(len)));
    let (units, rest) = bytes.ok_or(Problem::Text { field, expected })?.as_chunks::<2>();
    if units.is_empty() || !rest.is_empty() {
        return Err(Problem::Text { field, expected });
    }
    let units = units.iter().map(|unit| u16::from_le_bytes(*unit));
    Ok(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
}

/// Windows writes braces and lower case; both are tolerated otherwise.
fn parse_guid(field: &'static str, text: &str) -> Result<Uuid, Problem> {
    let bare = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    Uuid::try_parse(bare).map_err(|_| Problem::Text { field, expected: "a GUID" })
}
