//! Writes in order into what is written by position.

use std::io::{self, Write};

use vhdx_format::FileOffset;

use crate::sink::WriteAt;

/// Turns writes in order into writes by position.
pub(crate) struct Sequence<'a, W> {
    writer: &'a W,
    at: FileOffset,
}

impl<'a, W> Sequence<'a, W> {
    /// The first write goes to `at`, each other one directly behind the one before.
    pub(crate) fn new(writer: &'a W, at: FileOffset) -> Self {
        Self { writer, at }
    }
}

impl<W: WriteAt> Write for Sequence<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write_all_at(self.at, bytes)?;
        self.at = FileOffset(self.at.0.saturating_add(bytes.len() as u64));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
