//! Positional reading: what this crate asks of the thing an image lies in.
//!
//! There is no cursor, so one source serves any number of threads, and there is no writing at all: a source behind
//! [`ReadAt`] can not be changed through it.

use std::fs::File;
use std::io;
use std::ops::Range;

use crate::FileOffset;

/// A byte source that is read by position, from any thread.
pub trait ReadAt: Send + Sync {
    /// Fills `buf` with the bytes from `at` on. Fewer bytes than that is [`io::ErrorKind::UnexpectedEof`].
    fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()>;

    /// The length in bytes, asked anew each time.
    fn byte_len(&self) -> io::Result<u64>;

    /// The first run of bytes at or behind `at` that may hold data, if it starts before `end`. What lies between `at` and the
    /// run, or `end` where there is no run and the answer is `end..end`, is known to be zeros without being read.
    ///
    /// The run may go on behind `end`: finding its end can take the system as long as reading it, so whoever asks again
    /// and again should remember it.
    ///
    /// A source that knows nothing of holes has none, which is what this says unless it is overridden.
    fn next_data(&self, at: FileOffset, end: FileOffset) -> io::Result<Range<FileOffset>> {
        Ok(at..end)
    }

    /// The file in which the bytes from `at` up to `end` lie just as they are read here, at the same positions: for sharing
    /// its blocks instead of reading them. `None` where there is no such file, which is what this says unless it is
    /// overridden.
    fn file_of(&self, at: FileOffset, end: FileOffset) -> Option<&File> {
        let _ = (at, end);
        None
    }
}

/// Fills `buf` from `at` on by single calls, each of which may give a part: what a signal interrupted is made again, and the
/// end of the source is [`io::ErrorKind::UnexpectedEof`].
pub fn fill_at(
    at: FileOffset,
    mut buf: &mut [u8],
    mut read: impl FnMut(FileOffset, &mut [u8]) -> io::Result<usize>,
) -> io::Result<()> {
    let mut at = at.0;
    while !buf.is_empty() {
        match read(FileOffset(at), buf) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                buf = buf.split_at_mut_checked(read).ok_or(io::ErrorKind::InvalidData)?.1;
                at = at.saturating_add(u64::try_from(read).map_err(io::Error::other)?);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(unix)]
impl ReadAt for File {
    fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buf, at.0)
    }

    fn byte_len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn file_of(&self, _: FileOffset, _: FileOffset) -> Option<&File> {
        Some(self)
    }
}

#[cfg(windows)]
impl ReadAt for File {
    fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
        fill_at(at, buf, |at, buf| std::os::windows::fs::FileExt::seek_read(self, buf, at.0))
    }

    fn byte_len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn file_of(&self, _: FileOffset, _: FileOffset) -> Option<&File> {
        Some(self)
    }
}

impl ReadAt for [u8] {
    fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
        let eof = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let start = usize::try_from(at.0).map_err(|_| eof())?;
        let end = start.checked_add(buf.len()).ok_or_else(eof)?;
        buf.copy_from_slice(self.get(start..end).ok_or_else(eof)?);
        Ok(())
    }

    fn byte_len(&self) -> io::Result<u64> {
        u64::try_from(self.len()).map_err(io::Error::other)
    }
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_exact_at(at, buf)
    }

    fn byte_len(&self) -> io::Result<u64> {
        self.as_slice().byte_len()
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Box<T> {
    fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
        (**self).read_exact_at(at, buf)
    }

    fn byte_len(&self) -> io::Result<u64> {
        (**self).byte_len()
    }

    fn next_data(&self, at: FileOffset, end: FileOffset) -> io::Result<Range<FileOffset>> {
        (**self).next_data(at, end)
    }

    fn file_of(&self, at: FileOffset, end: FileOffset) -> Option<&File> {
        (**self).file_of(at, end)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for std::sync::Arc<T> {
    fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
        (**self).read_exact_at(at, buf)
    }

    fn byte_len(&self) -> io::Result<u64> {
        (**self).byte_len()
    }

    fn next_data(&self, at: FileOffset, end: FileOffset) -> io::Result<Range<FileOffset>> {
        (**self).next_data(at, end)
    }

    fn file_of(&self, at: FileOffset, end: FileOffset) -> Option<&File> {
        (**self).file_of(at, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: usize = 1000;

    /// Reads `bytes` by calls that give 100 bytes at most, but for the `nth`, which does `what`.
    fn filled(
        bytes: &[u8],
        nth: usize,
        what: impl Fn(FileOffset, &mut [u8]) -> io::Result<usize>,
    ) -> (io::Result<()>, Vec<u8>) {
        let mut buf = vec![0xEE; LEN];
        let mut calls = 0..;
        let read = fill_at(FileOffset(7), &mut buf, |at, buf| {
            let part = buf.len().min(100);
            if calls.next() == Some(nth) {
                return what(at, &mut buf[..part]);
            }
            bytes.read_exact_at(at, &mut buf[..part]).map(|()| part)
        });
        (read, buf)
    }

    #[test]
    fn each_call_may_be_interrupted_give_less_fail_or_be_the_last() {
        let bytes: Vec<u8> = (0..LEN + 7).map(|at| (at * 7 % 251) as u8).collect();
        for nth in 0..10 {
            let (read, buf) = filled(&bytes, nth, |_, _| Err(io::ErrorKind::Interrupted.into()));
            read.unwrap();
            assert!(buf == bytes[7..], "interrupted at {nth}");
            let (read, buf) =
                filled(&bytes, nth, |at, buf| bytes.read_exact_at(at, &mut buf[..1]).map(|()| 1));
            read.unwrap();
            assert!(buf == bytes[7..], "cut short at {nth}");
            let (read, _) = filled(&bytes, nth, |_, _| Err(io::ErrorKind::TimedOut.into()));
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::TimedOut);
            let (read, _) = filled(&bytes, nth, |_, _| Ok(0));
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
