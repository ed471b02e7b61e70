//! A source as it would be after its log had been replayed, without writing to it.
//!
//! Everything of an image, payload included, is read through this. Zero ranges stay ranges, whatever their length;
//! replayed sectors are held in memory, bounded by the length of the log.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;

use crate::wire::log::SECTOR;
use crate::{FileOffset, ReadAt};

/// A source with patches on top, applied in the order in which they were made.
pub(crate) struct Overlay {
    source: Box<dyn ReadAt>,
    /// Length of the source when the image was opened, in bytes.
    source_len: u64,
    /// Length with what the log promises beyond the end of the file; that gap reads as zeros.
    len: u64,
    /// Disjoint runs by start. Every bound is a multiple of 4096, so a sector is covered whole or not at all.
    patches: BTreeMap<u64, Patch>,
}

struct Patch {
    end: u64,
    bytes: PatchBytes,
}

enum PatchBytes {
    Zero,
    Sector(Box<[u8; SECTOR]>),
}

impl Overlay {
    pub(crate) fn new(source: Box<dyn ReadAt>, source_len: u64) -> Self {
        Self { source, source_len, len: source_len, patches: BTreeMap::new() }
    }

    /// Lets the file be at least that long.
    pub(crate) fn extend_to(&mut self, len: u64) {
        self.len = self.len.max(len);
    }

    /// Puts one sector at `at`, over whatever was there.
    pub(crate) fn put_sector(&mut self, at: u64, sector: Box<[u8; SECTOR]>) {
        self.put(
            at,
            Patch { end: at.saturating_add(crate::wire::log::SECTOR_LEN), bytes: PatchBytes::Sector(sector) },
        );
    }

    /// Puts zeros from `at` up to `end`, over whatever was there.
    pub(crate) fn put_zeros(&mut self, at: u64, end: u64) {
        if at < end {
            self.put(at, Patch { end, bytes: PatchBytes::Zero });
        }
    }

    fn put(&mut self, at: u64, patch: Patch) {
        let end = patch.end;
        if let Some((_, before)) = self.patches.range_mut(..at).next_back()
            && before.end > at
        {
            // Only a zero range can reach in from before: sectors share their alignment with `at`.
            let rest_end = before.end;
            before.end = at;
            if rest_end > end {
                self.patches.insert(end, Patch { end: rest_end, bytes: PatchBytes::Zero });
            }
        }
        let covered: Vec<u64> = self.patches.range(at..end).map(|(start, _)| *start).collect();
        for start in covered {
            if let Some(old) = self.patches.remove(&start)
                && old.end > end
            {
                self.patches.insert(end, Patch { end: old.end, bytes: PatchBytes::Zero });
            }
        }
        self.patches.insert(at, patch);
    }

    /// The file as it lies there, for what is never replayed.
    pub(crate) fn source(&self) -> &dyn ReadAt {
        &*self.source
    }

    /// Length of the file after replay, in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// What the file holds, and zeros in the gap that only the log knows of.
    fn read_below(&self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        let in_file =
            usize::try_from(self.source_len.saturating_sub(at)).unwrap_or(usize::MAX).min(buf.len());
        let (stored, gap) = buf.split_at_mut(in_file);
        gap.fill(0);
        if stored.is_empty() { Ok(()) } else { self.source.read_exact_at(FileOffset(at), stored) }
    }

    /// Whether the range is read from the source and nowhere else.
    fn is_untouched(&self, at: FileOffset, end: FileOffset) -> bool {
        end.0 <= self.source_len
            && self.patches.range(..end.0).next_back().is_none_or(|(_, patch)| patch.end <= at.0)
    }

    fn apply_patches(&self, at: u64, end: u64, buf: &mut [u8]) {
        let first = self.patches.range(..at).next_back().filter(|(_, patch)| patch.end > at);
        for (start, patch) in first.into_iter().chain(self.patches.range(at..end)) {
            let from = at.max(*start);
            let to = end.min(patch.end);
            let Some(target) = slice_mut(buf, from.saturating_sub(at), to.saturating_sub(at)) else {
                continue;
            };
            match &patch.bytes {
                PatchBytes::Zero => target.fill(0),
                PatchBytes::Sector(sector) => {
                    let (skip, until) = (from.saturating_sub(*start), to.saturating_sub(*start));
                    if let Some(bytes) = slice(sector.as_slice(), skip, until) {
                        target.copy_from_slice(bytes);
                    }
                }
            }
        }
    }
}

fn slice(bytes: &[u8], from: u64, to: u64) -> Option<&[u8]> {
    bytes.get(usize::try_from(from).ok()?..usize::try_from(to).ok()?)
}

fn slice_mut(bytes: &mut [u8], from: u64, to: u64) -> Option<&mut [u8]> {
    bytes.get_mut(usize::try_from(from).ok()?..usize::try_from(to).ok()?)
}

impl ReadAt for Overlay {
    fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
        let end = u64::try_from(buf.len()).ok().and_then(|len| at.checked_add(len));
        let end = end.filter(|end| end.0 <= self.len).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.read_below(at.0, buf)?;
        if !self.patches.is_empty() {
            self.apply_patches(at.0, end.0, buf);
        }
        Ok(())
    }

    fn byte_len(&self) -> io::Result<u64> {
        Ok(self.len)
    }

    /// What the source says, where the log has nothing to say.
    fn next_data(&self, at: FileOffset, end: FileOffset) -> io::Result<Range<FileOffset>> {
        if self.is_untouched(at, end) { self.source.next_data(at, end) } else { Ok(at..end) }
    }

    /// The source's, but for what a replayed log touches.
    fn file_of(&self, at: FileOffset, end: FileOffset) -> Option<&File> {
        if self.is_untouched(at, end) { self.source.file_of(at, end) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECTORS: u64 = 24;

    proptest! {
        /// The overlay equals the file that a writer applying the same patches would have produced.
        #[test]
        fn equals_the_file_a_writer_would_have_made(
            patches in prop::collection::vec((0..SECTORS, prop::option::of(0..SECTORS)), 0..20),
            from in 0..SECTORS * 4096,
            len in 0..SECTORS * 4096,
        ) {
            let source_len = 16 * 4096 + 100;
            let mut model = vec![0xEE; source_len];
            let mut overlay = Overlay::new(Box::new(model.clone()), source_len as u64);
            overlay.extend_to(SECTORS * 4096);
            model.resize((SECTORS * 4096) as usize, 0);
            for (number, (sector, zeros)) in (1..).zip(patches) {
                let at = (sector * 4096) as usize;
                if let Some(zeros) = zeros {
                    let end = (sector + zeros).min(SECTORS) * 4096;
                    overlay.put_zeros(sector * 4096, end);
                    model[at..(end as usize).max(at)].fill(0);
                } else {
                    overlay.put_sector(sector * 4096, Box::new([number; SECTOR]));
                    model[at..at + SECTOR].fill(number);
                }
            }
            let len = len.min(SECTORS * 4096 - from) as usize;
            let mut buf = vec![0x55; len];
            overlay.read_exact_at(FileOffset(from), &mut buf).unwrap();
            prop_assert!(buf == model[from as usize..from as usize + len]);
        }
    }

    /// A source that lies in a file, with a hole from 8192 to 20480.
    struct OnFile(Vec<u8>, File);

    impl ReadAt for OnFile {
        fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
            self.0.read_exact_at(at, buf)
        }

        fn byte_len(&self) -> io::Result<u64> {
            self.0.byte_len()
        }

        fn next_data(&self, at: FileOffset, end: FileOffset) -> io::Result<Range<FileOffset>> {
            let start = if (8192..20_480).contains(&at.0) { 20_480 } else { at.0 };
            let stop = if start < 8192 { 8192 } else { u64::MAX };
            Ok(if start < end.0 { FileOffset(start)..FileOffset(stop) } else { end..end })
        }

        fn file_of(&self, _: FileOffset, _: FileOffset) -> Option<&File> {
            Some(&self.1)
        }
    }

    proptest! {
        /// What may be shared or left out is the same with and without the log.
        #[test]
        fn what_the_log_touches_is_neither_shared_nor_a_hole(
            patches in prop::collection::vec((0..SECTORS, prop::option::of(0..SECTORS)), 0..6),
            at in 0..SECTORS * 4096,
            len in 1..SECTORS * 4096,
        ) {
            let source_len = 16 * 4096;
            let mut source = vec![0xEE; source_len];
            source[8192..20_480].fill(0);
            let file = File::open("src/overlay.rs").unwrap();
            let mut overlay = Overlay::new(Box::new(OnFile(source.clone(), file)), source_len as u64);
            overlay.extend_to(SECTORS * 4096);
            for (sector, zeros) in patches {
                match zeros {
                    Some(zeros) => overlay.put_zeros(sector * 4096, (sector + zeros).min(SECTORS) * 4096),
                    None => overlay.put_sector(sector * 4096, Box::new([0x11; SECTOR])),
                }
            }
            let end = (at + len).min(SECTORS * 4096);
            let mut replayed = vec![0; (end - at) as usize];
            overlay.read_exact_at(FileOffset(at), &mut replayed).unwrap();
            if overlay.file_of(FileOffset(at), FileOffset(end)).is_some() {
                prop_assert!(replayed == source[at as usize..end as usize]);
            }
            let data = overlay.next_data(FileOffset(at), FileOffset(end)).unwrap();
            let hole = data.start.since(FileOffset(at)) as usize;
            prop_assert!(replayed[..hole].iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn an_untouched_range_is_shared() {
        let file = File::open("src/overlay.rs").unwrap();
        let mut overlay = Overlay::new(Box::new(OnFile(vec![1; 65_536], file)), 65_536);
        overlay.put_sector(8192, Box::new([2; SECTOR]));
        let shares = |at, end| overlay.file_of(FileOffset(at), FileOffset(end)).is_some();
        assert!(shares(0, 8192) && shares(12_288, 65_536));
        assert!(!shares(0, 8193) && !shares(12_287, 12_288) && !shares(65_535, 65_537));
    }

    #[test]
    fn ends_where_the_log_says() {
        let mut overlay = Overlay::new(Box::new(vec![1; 10]), 10);
        overlay.extend_to(20);
        let mut buf = [9; 20];
        overlay.read_exact_at(FileOffset(0), &mut buf).unwrap();
        assert_eq!(buf, [[1; 10], [0; 10]].concat()[..]);
        assert!(overlay.read_exact_at(FileOffset(1), &mut buf).is_err());
    }
}
