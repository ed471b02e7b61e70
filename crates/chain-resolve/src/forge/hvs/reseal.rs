//! Fresh checksums for a store that was changed, so that a reader looks behind them.

use super::container::seal_entry;
use super::{PAGE, seal};

/// Seals again whatever can still be told to be a structure: both headers, the object table at its place, the key
/// tables that it lists, their entries, and the log's header and entries.
pub fn reseal(bytes: &mut [u8]) {
    for at in [0, PAGE] {
        seal_at(bytes, at, 46, 4);
    }
    let log = u64_at(bytes, 26);
    let slots = u32_at(bytes, 0x2004).min(bytes.len() / 18);
    for at in (0..slots).map(|i| 0x2008 + 18 * i) {
        seal_at(bytes, at, 18, 1);
        if bytes.get(at) == Some(&2) {
            let (table, len) = (u64_at(bytes, at + 5), u32_at(bytes, at + 13));
            reseal_table(bytes, table, len);
        }
    }
    seal_at(bytes, log, 34, 4);
    let first = log.saturating_add(34);
    for i in 0..u32_at(bytes, log.saturating_add(8)).min(145) {
        seal_at(bytes, first.saturating_add(28 * i), 28, 20);
    }
}

fn reseal_table(bytes: &mut [u8], at: usize, len: usize) {
    seal_at(bytes, at, 10, 6);
    let end = at.saturating_add(len).min(bytes.len());
    let mut pos = at.saturating_add(10);
    while end.saturating_sub(pos) >= 21 {
        let size = u32_at(bytes, pos + 2);
        if size < 21 || size > end - pos {
            break;
        }
        seal_entry(&mut bytes[pos..pos + size]);
        pos += size;
    }
}

fn seal_at(bytes: &mut [u8], at: usize, len: usize, field: usize) {
    if let Some(structure) = bytes.get_mut(at..at.saturating_add(len)) {
        seal(structure, field);
    }
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    let field = bytes.get(at..at.saturating_add(4)).and_then(|field| field.try_into().ok());
    field.map_or(0, u32::from_le_bytes) as usize
}

fn u64_at(bytes: &[u8], at: usize) -> usize {
    let field = bytes.get(at..at.saturating_add(8)).and_then(|field| field.try_into().ok());
    field.map_or(0, u64::from_le_bytes) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forge::hvs::Container;

    #[test]
    fn a_table_at_the_end_of_all_numbers_is_left_alone() {
        let mut bytes = Container::of(&[]).build();
        bytes[0x2000 + 8 + 5..][..8].fill(0xFF);
        assert_eq!(bytes[0x2008], 2, "the first slot lists a key table");
        reseal(&mut bytes);
    }
}
