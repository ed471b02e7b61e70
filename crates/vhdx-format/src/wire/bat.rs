//! Entries of the block allocation table (MS-VHDX 2.5.1): a state in bits 0 to 2, an offset in whole MiBs from bit 20.

/// One entry as stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry(pub(crate) u64);

/// Bytes per entry.
pub(crate) const ENTRY_LEN: u64 = 8;

const STATE: u64 = 0b111;
const OFFSET: u64 = !0xF_FFFF;

/// Payload block states (2.5.1.1).
pub(crate) mod state {
    pub(crate) const NOT_PRESENT: u8 = 0;
    pub(crate) const UNDEFINED: u8 = 1;
    pub(crate) const ZERO: u8 = 2;
    pub(crate) const UNMAPPED: u8 = 3;
    pub(crate) const FULLY_PRESENT: u8 = 6;
    pub(crate) const PARTIALLY_PRESENT: u8 = 7;
    /// The one state of a sector bitmap block that is there (2.5.1.2).
    pub(crate) const BITMAP_PRESENT: u8 = 6;
}

impl Entry {
    /// An entry with that state and a byte offset in whole MiBs.
    pub(crate) fn new(state: u8, file_offset: u64) -> Self {
        Self(file_offset & OFFSET | u64::from(state) & STATE)
    }

    /// Bits 0 to 2.
    pub(crate) fn state(self) -> u8 {
        let [low, ..] = self.0.to_le_bytes();
        low & 0b111
    }

    /// Byte offset in the file.
    pub(crate) fn file_offset(self) -> u64 {
        self.0 & OFFSET
    }

    /// Bits 3 to 19, which must be 0.
    pub(crate) fn reserved(self) -> u64 {
        self.0 & !OFFSET & !STATE
    }
}
