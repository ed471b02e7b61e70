//! Edits of finished images, with fresh checksums where the format has them: damage that a checksum does not reveal.
//!
//! For damage that a checksum must reveal, write to the [`SparseFile`] directly.

use super::SparseFile;
use crate::seal;
use crate::wire::{header, region};

/// Edits `len` bytes at `at` and leaves every checksum alone.
pub fn edit(file: &mut SparseFile, at: u64, len: usize, change: impl FnOnce(&mut [u8])) {
    let mut bytes = file.read(at, len);
    change(&mut bytes);
    file.write(at, &bytes);
}

/// Edits the 4096 bytes of header 1 or 2 (`which` is 0 or 1) and renews their checksum.
pub fn edit_header(file: &mut SparseFile, which: usize, change: impl FnOnce(&mut [u8])) {
    edit_sealed(file, header::OFFSETS[which], header::LEN, change);
}

/// Edits the 64 KiB of region table 1 or 2 (`which` is 0 or 1) and renews their checksum.
pub fn edit_region_table(file: &mut SparseFile, which: usize, change: impl FnOnce(&mut [u8])) {
    edit_sealed(file, region::OFFSETS[which], region::LEN, change);
}

/// Renews the checksum of an edited header, region table or log entry, given whole.
#[must_use]
pub fn with_checksum(bytes: Vec<u8>) -> Vec<u8> {
    seal::with_checksum(bytes)
}

fn edit_sealed(file: &mut SparseFile, at: u64, len: usize, change: impl FnOnce(&mut [u8])) {
    let mut bytes = file.read(at, len);
    change(&mut bytes);
    file.write(at, &seal::with_checksum(bytes));
}
