//! Positions in the two address spaces, as types that do not convert into each other.
//!
//! A [`DiskOffset`] is a place on the virtual disk, a [`FileOffset`] a place in one image. Mixing them up is the
//! classic bug of this field, so nothing here turns one into the other: only a block table may relate them.

use std::fmt;

/// 1 MiB: the alignment of everything behind the header area of an image (MS-VHDX 2.1).
pub(crate) const MIB: u64 = 1 << 20;

/// A position in the virtual disk, in bytes from its start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct DiskOffset(pub u64);

/// A position in one image file, in bytes from its start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct FileOffset(pub u64);

impl DiskOffset {
    /// The position `len` bytes further on, or `None` past the end of 64 bits.
    #[must_use]
    pub fn checked_add(self, len: u64) -> Option<Self> {
        self.0.checked_add(len).map(Self)
    }

    /// How many bytes `self` lies behind `earlier`; 0 where it does not.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl FileOffset {
    /// How many bytes `self` lies behind `earlier`; 0 where it does not.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The position `len` bytes further on, or `None` past the end of 64 bits.
    #[must_use]
    pub fn checked_add(self, len: u64) -> Option<Self> {
        self.0.checked_add(len).map(Self)
    }
}

impl fmt::Display for DiskOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for FileOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A half-open range of the virtual disk, in bytes. `start <= end` always holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DiskRange {
    start: DiskOffset,
    end: DiskOffset,
}

impl DiskRange {
    /// The range from `start` up to but not including `end`; empty where `end` lies before `start`.
    #[must_use]
    pub fn new(start: DiskOffset, end: DiskOffset) -> Self {
        Self { start, end: end.max(start) }
    }

    /// `len` bytes from `start`, or `None` where that leaves 64 bits.
    #[must_use]
    pub fn with_len(start: DiskOffset, len: u64) -> Option<Self> {
        Some(Self { start, end: start.checked_add(len)? })
    }

    /// First position inside the range.
    #[must_use]
    pub fn start(&self) -> DiskOffset {
        self.start
    }

    /// First position behind the range.
    #[must_use]
    pub fn end(&self) -> DiskOffset {
        self.end
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.end.since(self.start)
    }

    /// Whether the range holds no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

impl fmt::Display for DiskRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}
