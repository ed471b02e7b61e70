//! Writes the binary store: a [`Container`] describes one, down to its flaws, and builds it.
//!
//! The recipe: two headers with sequences 1 and 0, one object table, the key tables, the file objects, and the replay
//! log last. Everything of a store that real files or the sources of the format show can be asked for.

mod container;
mod entry;
mod log;
mod reseal;

pub use container::{Container, ExtraTable, HeaderCopy, key_table};
pub use entry::{Content, Entry, EntryId, Parent};
pub use log::{Change, Log};
pub use reseal::reseal;

const PAGE: usize = 0x1000;

/// CRC-32 over `bytes` with the four at `field` as zero, put into that field.
fn seal(bytes: &mut [u8], field: usize) {
    bytes[field..field + 4].fill(0);
    let crc = crc32fast::hash(bytes);
    bytes[field..field + 4].copy_from_slice(&crc.to_le_bytes());
}
