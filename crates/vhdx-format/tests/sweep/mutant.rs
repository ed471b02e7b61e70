//! An image with a few bytes changed, which counts what is asked of it. The image itself is shared and stays as it is,
//! so a change costs nothing but its own bytes.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use vhdx_format::forge::with_checksum;
use vhdx_format::{FileOffset, ReadAt};

/// What was asked of all images of a chain together.
#[derive(Debug, Default)]
pub(crate) struct Work {
    reads: AtomicU64,
    bytes: AtomicU64,
}

impl Work {
    /// Counts a read of so many bytes.
    pub(crate) fn count(&self, bytes: usize) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// The bytes of an image and what lies over them, by position.
pub(crate) struct Mutant {
    file: Arc<Vec<u8>>,
    changes: Vec<(u64, Vec<u8>)>,
    work: Arc<Work>,
    /// Where it was read, if anybody wants to know.
    seen: Option<Arc<Mutex<Vec<Range<u64>>>>>,
}

impl Mutant {
    pub(crate) fn new(file: &Arc<Vec<u8>>, changes: Vec<(u64, Vec<u8>)>, work: &Arc<Work>) -> Self {
        Self { file: Arc::clone(file), changes, work: Arc::clone(work), seen: None }
    }

    pub(crate) fn recording(mut self, seen: &Arc<Mutex<Vec<Range<u64>>>>) -> Self {
        self.seen = Some(Arc::clone(seen));
        self
    }
}

impl ReadAt for Mutant {
    fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
        self.work.count(buf.len());
        if let Some(seen) = &self.seen {
            seen.lock().expect("no reader panics").push(at.0..at.0 + buf.len() as u64);
        }
        self.file.read_exact_at(at, buf)?;
        for (from, bytes) in &self.changes {
            lay_over(buf, at.0, *from, bytes);
        }
        Ok(())
    }

    fn byte_len(&self) -> io::Result<u64> {
        self.file.byte_len()
    }
}

/// Puts what `bytes`, from `from` on, have of the range of `buf`, which begins at `at`.
fn lay_over(buf: &mut [u8], at: u64, from: u64, bytes: &[u8]) {
    let start = at.max(from);
    let end = (at + buf.len() as u64).min(from + bytes.len() as u64);
    if start < end {
        let len = (end - start) as usize;
        buf[(start - at) as usize..][..len].copy_from_slice(&bytes[(start - from) as usize..][..len]);
    }
}

/// Adds to `changes` the checksum that makes a structure right again. Its pieces are ranges of the file: one, but for a
/// log entry, which may go round the end of the ring.
pub(crate) fn renew_checksum(file: &[u8], pieces: &[Range<u64>], changes: &mut Vec<(u64, Vec<u8>)>) {
    let mut whole = Vec::new();
    for piece in pieces {
        let mut bytes = file[piece.start as usize..piece.end as usize].to_vec();
        for (from, change) in &*changes {
            lay_over(&mut bytes, piece.start, *from, change);
        }
        whole.extend(bytes);
    }
    changes.push((pieces[0].start + 4, with_checksum(whole)[4..8].to_vec()));
}
