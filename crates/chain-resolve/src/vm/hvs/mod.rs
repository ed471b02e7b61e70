//! Reads the binary store of a Hyper-V configuration (`.vmcx`, `.vmrs`): bytes in, key tree and warnings out.
//!
//! The container is a small transactional key-value store that Microsoft's sources call HVS. It is read to its last
//! readable key: a store that cannot be opened at all is a [`StoreError`], everything less is a [`Warning`] with its
//! position. A log that was not applied is applied in memory. What the keys mean is not known here, and nothing of the
//! crate around it is used but the tree: this module could be a crate.
//!
//! ```text
//! header (two copies) -> replay log (laid over the bytes) -> object tables -> key tables -> entries -> tree
//!                                                                 \--- salvage (where they are broken)
//! ```

mod bytes;
mod entry;
mod error;
mod grow;
mod header;
mod log;
mod objects;
mod salvage;
mod table;
mod value;
mod wire;

use std::borrow::Cow;
use std::collections::BTreeSet;

use limits::{Limit, Limits};

use super::tree::KeyTree;
pub use error::{LogFault, Problem, StoreError, Structure, Warning, Warnings};

/// What a store holds.
#[derive(Clone, PartialEq, Debug)]
pub struct Store {
    /// Its keys.
    pub tree: KeyTree,
    /// What was wrong with it on the way.
    pub warnings: Warnings,
    /// Changes of the replay log that were applied in memory; 0 if the store was closed cleanly.
    pub replayed: usize,
}

/// Whether this looks like a store: its signature stands in front of one of the two headers.
#[must_use]
pub fn is_store(bytes: &[u8]) -> bool {
    wire::HEADER_OFFSETS.iter().any(|at| {
        at.checked_add(4).and_then(|end| bytes.get(*at..end)) == Some(&wire::HEADER_SIGNATURE.to_le_bytes())
    })
}

/// Reads a whole store.
///
/// Time and memory are bounded by the [`limits`], whatever the bytes say.
pub fn read(bytes: &[u8]) -> Result<Store, StoreError> {
    read_within(bytes, &Limits::default())
}

/// The same, within limits that were raised.
pub fn read_within(bytes: &[u8], limits: &Limits) -> Result<Store, StoreError> {
    let (limit, found) = (limits.of(Limit::ConfigurationSize), bytes::offset(bytes.len()));
    if found > limit {
        return Err(StoreError::TooLarge { limit, found });
    }
    if !is_store(bytes) {
        return Err(StoreError::NotAStore);
    }
    let mut warnings = Warnings::default();
    let header = header::current(bytes, &mut warnings)?;
    let replayed = header.as_ref().and_then(|header| log::replay(bytes, header, &mut warnings));
    let (bytes, replayed) = match replayed {
        Some(log::Replayed { bytes, changes }) => {
            // The log may have written the header itself: it must still be one that is known here.
            header::current(&bytes, &mut Warnings::default())?;
            (Cow::Owned(bytes), changes)
        }
        None => (Cow::Borrowed(bytes), 0),
    };
    let tables = tables(&bytes, header.as_ref(), &mut warnings)?;
    let tree = grow::tree(&bytes, &table::current(tables, &mut warnings), &mut warnings);
    Ok(Store { tree, warnings, replayed })
}

/// All key tables: those that the object tables list, and where these are broken those that can be found besides.
fn tables<'a>(
    bytes: &'a [u8],
    header: Option<&header::Header>,
    warnings: &mut Warnings,
) -> Result<Vec<table::Table<'a>>, StoreError> {
    let mut budget = table::Budget::new();
    let listed = objects::key_tables(bytes, header, warnings);
    let mut tables: Vec<_> =
        listed.places.iter().filter_map(|place| table::read(bytes, place, &mut budget, warnings)).collect();
    if listed.broken || tables.is_empty() {
        let known: BTreeSet<usize> = tables.iter().map(|table| table.at).collect();
        let found = salvage::key_tables(bytes, header, &known);
        warnings.push(wire::FIRST_OBJECT_TABLE, Problem::Salvaged { tables: found.len() });
        tables.extend(found.iter().filter_map(|place| table::read(bytes, place, &mut budget, warnings)));
    }
    if tables.is_empty() {
        return Err(StoreError::NoKeyTable);
    }
    Ok(tables)
}
