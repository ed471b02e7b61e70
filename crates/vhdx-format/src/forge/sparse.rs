//! A file in memory that costs only what was written to it, so that tests can afford images of any size.
//!
//! It keeps pages of 4 KiB, the sector of the log, and drops the ones that were only ever zero. It knows nothing of
//! what is written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::Arc;

use crate::{FileOffset, ReadAt};

const PAGE: usize = 4096;
const PAGE_LEN: u64 = PAGE as u64;

/// Sparse bytes with a length. A clone shares its pages until one side writes.
#[derive(Clone, Debug, Default)]
pub struct SparseFile {
    pages: BTreeMap<u64, Arc<[u8; PAGE]>>,
    len: u64,
}

impl SparseFile {
    /// Length in bytes.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "a file's length; nobody asks whether it is a collection"
    )]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Writes `bytes` at `at`; the file grows to hold them.
    pub fn write(&mut self, at: u64, bytes: &[u8]) {
        self.len = self.len.max(at + bytes.len() as u64);
        for (number, in_page, in_bytes) in pieces(at, bytes.len()) {
            let piece = &bytes[in_bytes];
            let is_new = !self.pages.contains_key(&number);
            if is_new && piece.iter().all(|&byte| byte == 0) {
                continue;
            }
            let page = self.pages.entry(number).or_insert_with(|| Arc::new([0; PAGE]));
            Arc::make_mut(page)[in_page].copy_from_slice(piece);
        }
    }

    /// Writes `len` zeros at `at`, at no cost for any length; the file grows to hold them.
    pub fn zero(&mut self, at: u64, len: u64) {
        let end = at + len;
        self.len = self.len.max(end);
        let whole = at.next_multiple_of(PAGE_LEN)..end / PAGE_LEN * PAGE_LEN;
        if whole.is_empty() {
            // Within two pages at most.
            self.write(at, &vec![0; len as usize]);
            return;
        }
        self.write(at, &vec![0; (whole.start - at) as usize]);
        self.write(whole.end, &vec![0; (end - whole.end) as usize]);
        let gone: Vec<u64> = self
            .pages
            .range(whole.start / PAGE_LEN..whole.end / PAGE_LEN)
            .map(|(&number, _)| number)
            .collect();
        for number in gone {
            self.pages.remove(&number);
        }
    }

    /// Cuts the file, or extends it with zeros.
    pub fn set_len(&mut self, len: u64) {
        if len < self.len {
            let end = self.len;
            self.zero(len, end - len);
        }
        self.len = len;
    }

    /// The `len` bytes from `at` on; zeros where the file is shorter.
    #[must_use]
    pub fn read(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.copy_pages(at, &mut bytes);
        bytes
    }

    /// Copies what is kept of the bytes from `at` on over `buf`, and leaves the rest of it alone.
    fn copy_pages(&self, at: u64, buf: &mut [u8]) {
        let end = at.saturating_add(buf.len() as u64);
        for (number, page) in self.pages.range(at / PAGE_LEN..end.div_ceil(PAGE_LEN)) {
            let page_at = number * PAGE_LEN;
            let (from, to) = (at.max(page_at), end.min(page_at + PAGE_LEN));
            let in_page = (from - page_at) as usize..(to - page_at) as usize;
            buf[(from - at) as usize..(to - at) as usize].copy_from_slice(&page[in_page]);
        }
    }

    /// Offsets of the 4 KiB pages that are kept, ascending. Every byte outside them is zero.
    pub fn pages(&self) -> impl Iterator<Item = u64> {
        self.pages.keys().map(|number| number * PAGE_LEN)
    }

    /// Makes `file` hold exactly these bytes, with holes between the pages where the file system knows holes.
    pub fn save(&self, mut file: &File) -> io::Result<()> {
        file.set_len(0)?;
        file.set_len(self.len)?;
        for (number, page) in &self.pages {
            let at = number * PAGE_LEN;
            let kept = PAGE_LEN.min(self.len - at) as usize;
            file.seek(SeekFrom::Start(at))?;
            file.write_all(&page[..kept])?;
        }
        Ok(())
    }
}

impl ReadAt for SparseFile {
    fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
        let end = at.checked_add(buf.len() as u64).filter(|end| end.0 <= self.len);
        if end.is_none() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buf.fill(0);
        self.copy_pages(at.0, buf);
        Ok(())
    }

    fn byte_len(&self) -> io::Result<u64> {
        Ok(self.len)
    }
}

/// Equal length and equal bytes, whichever pages happen to be kept.
impl PartialEq for SparseFile {
    fn eq(&self, other: &Self) -> bool {
        let both = || self.pages().chain(other.pages());
        self.len == other.len && both().all(|at| self.read(at, PAGE) == other.read(at, PAGE))
    }
}

impl Eq for SparseFile {}

/// Cuts a range at page borders: number of the page, range in the page, range in the bytes.
fn pieces(at: u64, len: usize) -> impl Iterator<Item = (u64, Range<usize>, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let here = at + done as u64;
        let start = (here % PAGE_LEN) as usize;
        let count = (PAGE - start).min(len - done);
        let piece = (here / PAGE_LEN, start..start + count, done..done + count);
        done += count;
        (count > 0).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Write(usize, Vec<u8>),
        Zero(usize, usize),
        SetLen(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let at = || 0..5 * PAGE;
        prop_oneof![
            (at(), prop::collection::vec(0..3_u8, 0..2 * PAGE))
                .prop_map(|(at, bytes)| Step::Write(at, bytes)),
            (at(), at()).prop_map(|(at, len)| Step::Zero(at, len)),
            at().prop_map(Step::SetLen),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_vec(steps in prop::collection::vec(step(), 1..12)) {
            let mut model = Vec::new();
            let mut file = SparseFile::default();
            for step in steps {
                match step {
                    Step::Write(at, bytes) => {
                        model.resize(model.len().max(at + bytes.len()), 0);
                        model[at..at + bytes.len()].copy_from_slice(&bytes);
                        file.write(at as u64, &bytes);
                    }
                    Step::Zero(at, len) => {
                        model.resize(model.len().max(at + len), 0);
                        model[at..at + len].fill(0);
                        file.zero(at as u64, len as u64);
                    }
                    Step::SetLen(len) => {
                        model.resize(len, 0);
                        file.set_len(len as u64);
                    }
                }
            }
            prop_assert_eq!(file.len(), model.len() as u64);
            let mut bytes = vec![1; model.len()];
            file.read_exact_at(FileOffset(0), &mut bytes).unwrap();
            prop_assert_eq!(bytes, model);
        }
    }

    #[test]
    fn an_enormous_zero_costs_nothing_and_reading_past_the_end_fails() {
        let mut file = SparseFile::default();
        file.write(10_000, b"gone");
        file.zero(1, 1 << 60);
        assert_eq!(file.len(), (1 << 60) + 1);
        assert!(file.read(10_000, 4).iter().all(|&byte| byte == 0));
        file.set_len(4);
        assert!(file.read_exact_at(FileOffset(1), &mut [0; 4]).is_err());
        assert!(file.read_exact_at(FileOffset(u64::MAX), &mut [0; 4]).is_err());
    }
}
