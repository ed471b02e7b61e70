//! Writing a file without leaving it in the page cache.
//!
//! Each time some more was written, the kernel is told that nobody needs the file: it starts writing back what is not
//! yet on the medium, without waiting for it, and drops what is. That is the artifact alone, which nobody else has open,
//! so it takes nothing from anybody; and it is advice, so a failed write is still found where it would be found without
//! it. `RWF_DONTCACHE` does the same for single writes where the kernel knows it, and was no faster. Linux only;
//! elsewhere, and where the file system is the page cache itself, nothing is done.

use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes written from one advice to the next. Fewer gain nothing: about as many are on their way to the medium at any time.
const STEP: u64 = 16 << 20;

/// Counts what is written to one file, by any number of threads.
#[derive(Default, Debug)]
pub(crate) struct DropBehind {
    written: AtomicU64,
}

impl DropBehind {
    /// `len` more bytes were written.
    pub(crate) fn wrote(&self, file: &File, len: usize) {
        if self.is_due(len as u64) {
            drop_pages(file);
        }
    }

    /// Whether it is time again. Of several threads, one is told.
    fn is_due(&self, len: u64) -> bool {
        let before = self.written.fetch_add(len, Ordering::Relaxed);
        before / STEP != before.saturating_add(len) / STEP
    }
}

/// Drops what is on the medium, all of it once the file was synced, and starts writing back the rest.
#[cfg(target_os = "linux")]
pub(crate) fn drop_pages(file: &File) {
    // It may be refused like any advice.
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn drop_pages(_: &File) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_time_once_in_every_step_however_it_is_written() {
        for len in [1 << 10, 1 << 20, STEP, STEP + 1] {
            let pages = DropBehind::default();
            let count = 10 * STEP / len;
            let due = (0..count).filter(|_| pages.is_due(len)).count() as u64;
            assert_eq!(due, (count * len / STEP).min(count), "in writes of {len}");
        }
    }
}
