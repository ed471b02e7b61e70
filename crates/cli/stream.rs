//! A stream as a disk: bytes that come in order, for a pipeline that asks for them by position and almost in order.
//!
//! The pipeline hands out pieces in disk order, each to a thread that reads all of it. So a thread whose bytes are not next
//! waits for another that is about to read those before, and every position is asked for once.

use std::io::{self, Read};
use std::sync::{Condvar, Mutex};

use vhdx_format::{FileOffset, ReadAt};

/// Bytes that can only be read in order, and only once.
pub(crate) struct InOrder<R> {
    state: Mutex<State<R>>,
    turn: Condvar,
    /// How many bytes are wanted.
    len: u64,
}

struct State<R> {
    reader: R,
    at: u64,
    /// What ended the stream early. Nobody's turn comes any more.
    failed: Option<io::ErrorKind>,
}

impl<R: Read> InOrder<R> {
    /// The first `len` bytes of a stream.
    pub(crate) fn new(reader: R, len: u64) -> Self {
        let state = State { reader, at: 0, failed: None };
        Self { state: Mutex::new(state), turn: Condvar::new(), len }
    }

    /// Whether the stream goes on behind what was read. One byte of it is read to find out.
    pub(crate) fn has_more(&self) -> io::Result<bool> {
        let mut state = self.state.lock().map_err(|_| io::Error::other("a reader of the stream panicked"))?;
        match state.fill(&mut [0]) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// How many bytes have come.
    pub(crate) fn received(&self) -> u64 {
        self.state.lock().map_or(0, |state| state.at)
    }
}

impl<R: Read + Send> ReadAt for InOrder<R> {
    fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
        let poisoned = || io::Error::other("another reader of the stream panicked");
        let state = self.state.lock().map_err(|_| poisoned())?;
        let is_early = |state: &mut State<R>| state.at < at.0 && state.failed.is_none();
        let mut state = self.turn.wait_while(state, is_early).map_err(|_| poisoned())?;
        if let Some(kind) = state.failed {
            return Err(kind.into());
        }
        if state.at != at.0 {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "a stream cannot be read twice"));
        }
        let read = state.fill(buf);
        state.failed = read.as_ref().err().map(io::Error::kind);
        self.turn.notify_all();
        read
    }

    fn byte_len(&self) -> io::Result<u64> {
        Ok(self.len)
    }
}

impl<R: Read> State<R> {
    fn fill(&mut self, mut buf: &mut [u8]) -> io::Result<()> {
        while !buf.is_empty() {
            match self.reader.read(buf) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    self.at = self.at.saturating_add(read as u64);
                    buf = buf.split_at_mut(read.min(buf.len())).1;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// A reader that gives a few bytes at a time.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let most = buf.len().min(7);
            self.0.read(&mut buf[..most])
        }
    }

    #[test]
    fn threads_take_turns_and_get_their_own_bytes() {
        let bytes: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        let stream = InOrder::new(Drops(&bytes), 10_000);
        thread::scope(|scope| {
            for start in (0..10).rev() {
                let (stream, bytes) = (&stream, &bytes);
                scope.spawn(move || {
                    let mut part = vec![0; 1000];
                    stream.read_exact_at(FileOffset(start as u64 * 1000), &mut part).unwrap();
                    assert_eq!(part, bytes[start * 1000..][..1000]);
                });
            }
        });
        assert_eq!(stream.received(), 10_000);
    }

    #[test]
    fn an_early_end_wakes_everybody_up() {
        let stream = InOrder::new(Drops(b"short"), 100);
        thread::scope(|scope| {
            let late = scope.spawn(|| stream.read_exact_at(FileOffset(50), &mut [0; 10]));
            let first = stream.read_exact_at(FileOffset(0), &mut [0; 50]);
            assert_eq!(first.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
            assert!(late.join().unwrap().is_err());
        });
        assert_eq!(stream.received(), 5);
    }
}
