//! Reading a file as a whole with the page cache in mind: whether what was read stays there.
//!
//! A disk of many GiB that is read once pushes out what others read again and again. Where that is not wanted, each read
//! takes its pages out again: on Linux with `RWF_DONTCACHE`, which leaves alone what was cached before, and where the
//! kernel or the file system has no such thing (before Linux 6.14, tmpfs, network file systems) by giving up the range
//! that was read, with whatever others had cached of it. Elsewhere nothing is done.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use vhdx_format::{FileOffset, ReadAt};

/// What becomes of the pages that are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CacheUse {
    /// They stay in the page cache, as the system sees fit.
    Kept,
    /// They leave it, as far as the system can do that.
    Dropped,
}

/// How one open file is read, by any number of threads. To begin with like any other.
#[derive(Default, Debug)]
pub(crate) struct Reading {
    drops: AtomicBool,
    /// `RWF_DONTCACHE` was refused once, and is not asked for again.
    is_refused: AtomicBool,
}

impl Reading {
    /// The whole file is about to be read.
    pub(crate) fn expect(&self, file: &File, cache: CacheUse) {
        self.drops.store(cache == CacheUse::Dropped, Ordering::Relaxed);
        system::advise(file, cache);
    }

    /// What [`ReadAt::read_exact_at`] promises.
    pub(crate) fn read_exact_at(&self, file: &File, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
        if !self.drops.load(Ordering::Relaxed) {
            return file.read_exact_at(at, buf);
        }
        if !self.is_refused.load(Ordering::Relaxed) {
            match system::read_uncached(file, at, buf) {
                Err(error) if system::is_refusal(&error) => self.is_refused.store(true, Ordering::Relaxed),
                read => return read,
            }
        }
        file.read_exact_at(at, buf)?;
        system::give_up(file, at, buf.len());
        Ok(())
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs::File;
    use std::io::{self, IoSliceMut};
    use std::num::NonZeroU64;

    use rustix::fs::{Advice, fadvise};
    use rustix::io::{Errno, ReadWriteFlags, preadv2};
    use vhdx_format::{FileOffset, fill_at};

    use super::CacheUse;

    /// `RWF_DONTCACHE`, which has no name in rustix.
    const DONT_CACHE: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);

    /// The page of most machines. Where pages are larger, those that are read in part stay.
    const PAGE: u64 = 4096;

    /// Advice may be refused. What is to be dropped is read without reading ahead: the kernel keeps one window for all
    /// threads, and what it reads ahead for one of them where another has been already, nobody drops.
    pub(super) fn advise(file: &File, cache: CacheUse) {
        let advice = match cache {
            CacheUse::Kept => Advice::Sequential,
            CacheUse::Dropped => Advice::Random,
        };
        let _ = fadvise(file, 0, None, advice);
    }

    pub(super) fn read_uncached(file: &File, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
        // No file reaches further, and the last of all positions would mean the cursor.
        let end = u64::try_from(buf.len()).ok().and_then(|len| at.0.checked_add(len));
        end.and_then(|end| i64::try_from(end).ok()).ok_or(io::ErrorKind::UnexpectedEof)?;
        fill_at(at, buf, |at, buf| Ok(preadv2(file, &mut [IoSliceMut::new(buf)], at.0, DONT_CACHE)?))
    }

    /// Whether it is the flag that the kernel or the file system does not know.
    pub(super) fn is_refusal(error: &io::Error) -> bool {
        let refusals = [Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL];
        refusals.iter().any(|refusal| error.raw_os_error() == Some(refusal.raw_os_error()))
    }

    /// Takes the pages of a range out of the cache, those that it shares with its neighbours as well.
    pub(super) fn give_up(file: &File, at: FileOffset, len: usize) {
        let start = at.0 & !(PAGE - 1);
        let end = at.0.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
        let end = end.checked_next_multiple_of(PAGE).unwrap_or(end);
        if let Some(len) = NonZeroU64::new(end.saturating_sub(start)) {
            let _ = fadvise(file, start, Some(len), Advice::DontNeed);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::fs::File;
    use std::io;

    use vhdx_format::FileOffset;

    use super::CacheUse;

    pub(super) fn advise(_: &File, _: CacheUse) {}

    /// There is no such read here.
    pub(super) fn read_uncached(_: &File, _: FileOffset, _: &mut [u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn is_refusal(error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::Unsupported
    }

    pub(super) fn give_up(_: &File, _: FileOffset, _: usize) {}
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const LEN: usize = 3 * 4096 + 700;

    fn bytes() -> Vec<u8> {
        (0..LEN).map(|at| (at * 7 % 251) as u8).collect()
    }

    fn file() -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes()).unwrap();
        file
    }

    /// Each way to read a file that is open.
    fn ways(file: &File) -> [Reading; 4] {
        let [unannounced, kept, dropped, refused] = std::array::from_fn(|_| Reading::default());
        kept.expect(file, CacheUse::Kept);
        dropped.expect(file, CacheUse::Dropped);
        refused.expect(file, CacheUse::Dropped);
        refused.is_refused.store(true, Ordering::Relaxed);
        [unannounced, kept, dropped, refused]
    }

    #[test]
    fn every_way_reads_the_same_bytes_again_and_again() {
        let (file, bytes) = (file(), bytes());
        for way in ways(&file) {
            for _ in 0..2 {
                for (at, len) in
                    [(0, LEN), (0, 1), (4095, 2), (4096, 4096), (5000, 0), (LEN - 1, 1), (LEN, 0)]
                {
                    let mut buf = vec![0xEE; len];
                    way.read_exact_at(&file, FileOffset(at as u64), &mut buf).unwrap();
                    assert!(buf == bytes[at..at + len], "{way:?}: {len} bytes at {at}");
                }
            }
        }
    }

    #[test]
    fn what_ends_early_is_an_unexpected_end_in_every_way() {
        let file = file();
        for way in ways(&file) {
            for (at, len) in [(0, LEN + 1), (LEN - 1, 2), (LEN, 1), (LEN + 9000, 1)] {
                let read = way.read_exact_at(&file, FileOffset(at as u64), &mut vec![0; len]);
                assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "{way:?}: {len} at {at}");
            }
        }
    }

    /// The last position of all would be that of the cursor, behind which there are bytes.
    #[test]
    fn no_way_reads_where_no_file_reaches() {
        let mut file = file();
        io::Seek::rewind(&mut file).unwrap();
        for way in ways(&file) {
            for at in [u64::MAX, u64::MAX - 1, i64::MAX as u64] {
                assert!(way.read_exact_at(&file, FileOffset(at), &mut [0; 2]).is_err(), "{way:?} at {at}");
            }
        }
    }

    /// What is no file of a file system has no such reads.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_refusal_is_remembered_and_the_read_made_another_way() {
        let zeros = File::open("/dev/zero").unwrap();
        let way = Reading::default();
        way.expect(&zeros, CacheUse::Dropped);
        for _ in 0..2 {
            let mut buf = [0xEE; 100];
            way.read_exact_at(&zeros, FileOffset(0), &mut buf).unwrap();
            assert_eq!(buf, [0; 100]);
            assert!(way.is_refused.load(Ordering::Relaxed));
        }
    }

    /// An end is an answer, and no reason to ask again.
    #[cfg(target_os = "linux")]
    #[test]
    fn other_errors_are_no_refusal() {
        for kind in [io::ErrorKind::UnexpectedEof, io::ErrorKind::Unsupported] {
            assert!(!system::is_refusal(&kind.into()));
        }
        assert!(!system::is_refusal(&rustix::io::Errno::IO.into()));
        assert!(system::is_refusal(&rustix::io::Errno::OPNOTSUPP.into()));
    }
}
