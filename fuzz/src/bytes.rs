//! The fuzzer's bytes as a sequence of choices, and little-endian numbers in bytes.

/// Choices, read from the front. Where the bytes end, every further choice is 0, so that any input means something.
pub(crate) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub(crate) fn number(&mut self, len: usize) -> u64 {
        let mut bytes = [0; 8];
        let taken = self.take(len.min(8));
        bytes[..taken.len()].copy_from_slice(taken);
        u64::from_le_bytes(bytes)
    }

    /// A number below `end`, or 0 where there is none; from two bytes.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.number(2) as usize % end.max(1)
    }

    /// The next `len` bytes, or what is left of them.
    pub(crate) fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// 1 to 16 bytes: what an edit puts somewhere.
    pub(crate) fn patch(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte() % 16) + 1;
        self.take(len)
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }
}

/// The number of 2 bytes at `at`; 0 where there is none.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 2).map_or(0, |field| u16::from_le_bytes([field[0], field[1]]).into())
}

/// The number of 4 bytes at `at`; 0 where there is none.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u64 {
    u16_at(bytes, at) | u16_at(bytes, at + 2) << 16
}

/// The number of 8 bytes at `at`; 0 where there is none.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u32_at(bytes, at) | u32_at(bytes, at + 4) << 32
}
