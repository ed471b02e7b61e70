//! What can be wrong with a store: errors that leave nothing to read, and warnings that leave less.
//!
//! Every problem says where, what was expected, and what was found. Positions and bit patterns print as hex.

use std::{fmt, mem};

use limits::configuration::WARNINGS_PER_KIND_MAX;

/// Nothing of the store can be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The bytes are something else.
    #[error("not a Hyper-V store: expected 14 20 28 01 at 0x0 or 0x1000")]
    NotAStore,
    /// The store goes over the limit (see [`limits`]).
    #[error("the store has {found} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
        /// The length in bytes.
        found: u64,
    },
    /// The store was written in a version that is not known here.
    #[error("file header at {at:#x}: format version expected 0x200 to 0x4ff, found {found:#x}")]
    Version {
        /// Where the version stands.
        at: u64,
        /// Major in the second lowest byte, minor in the lowest.
        found: u32,
    },
    /// Neither the object tables nor a search of the whole file led to a table of keys.
    #[error("object table at 0x2000: expected a key table there or anywhere in the file, found none")]
    NoKeyTable,
}

/// A structure of a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Structure {
    /// One of the two file headers, counted from 0.
    FileHeader(u8),
    /// A table of objects.
    ObjectTable,
    /// One slot of an object table.
    ObjectSlot,
    /// A table of keys.
    KeyTable,
    /// One key.
    KeyEntry,
    /// The replay log's header.
    ReplayLog,
    /// One change in the replay log.
    LogEntry,
    /// The bytes of a change in the replay log.
    LogPayload,
    /// A value that lies outside its entry.
    FileObject,
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FileHeader(copy) => return write!(f, "file header {copy}"),
            Self::ObjectTable => "object table",
            Self::ObjectSlot => "object table slot",
            Self::KeyTable => "key table",
            Self::KeyEntry => "key entry",
            Self::ReplayLog => "replay log",
            Self::LogEntry => "replay log entry",
            Self::LogPayload => "replay log payload",
            Self::FileObject => "file object",
        })
    }
}

/// Something that is wrong with a store that could be read nevertheless.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{problem} (at {at:#x})")]
pub struct Warning {
    /// Where, in bytes from the start of the file.
    pub at: u64,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong: expected against found.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The structure does not begin with its signature.
    #[error("{structure}: signature expected {expected:#x}, found {found:#x}")]
    Signature {
        /// The structure.
        structure: Structure,
        /// What it begins with.
        expected: u32,
        /// What stands there.
        found: u32,
    },
    /// The CRC-32 does not fit.
    #[error("{structure}: checksum expected {expected:#010x}, found {found:#010x}")]
    Checksum {
        /// The structure.
        structure: Structure,
        /// What the bytes amount to.
        expected: u32,
        /// What the field says.
        found: u32,
    },
    /// The structure goes beyond the end of what it is in.
    #[error("{structure}: expected {need} bytes, found {have}")]
    Truncated {
        /// The structure.
        structure: Structure,
        /// Bytes needed.
        need: u64,
        /// Bytes there.
        have: u64,
    },
    /// Both file headers are valid and of one sequence; the first was used.
    #[error("file headers: expected two sequence numbers, found {0:#x} in both")]
    EqualSequences(u16),
    /// Neither file header is valid, so a pending log could not be found.
    #[error("expected a valid file header, found none; whether changes are pending is unknown")]
    NoValidHeader,
    /// A version in which the format was another or may be another.
    #[error("format version expected 0x400, found {0:#x}")]
    Version(u32),
    /// The alignment is none; nothing here depends on it.
    #[error("data alignment expected a power of two from 0x1000 to 0x10000, found {0:#x}")]
    Alignment(u32),
    /// Changes may be pending that were not applied: some values may be old.
    #[error("the store was not closed cleanly or its replay log is damaged, some values may be old: {0}")]
    LogNotApplied(LogFault),
    /// An object table was met twice on the way.
    #[error("object table: expected the end of the chain, found a loop")]
    ObjectTableLoop,
    /// An object lies outside the file.
    #[error("object of type {kind}: expected an offset from 0x2000 to below {end:#x}, found {found:#x}")]
    ObjectOffset {
        /// The type of the object.
        kind: u8,
        /// The length of the file.
        end: u64,
        /// The offset found.
        found: u64,
    },
    /// The object tables were broken, so the file was searched for key tables.
    #[error("the object tables do not lead to all key tables; found {tables} more by searching")]
    Salvaged {
        /// Key tables found by the search.
        tables: usize,
    },
    /// Two key tables have one index; the older or second was left out.
    #[error("key table {index} expected once, found twice; the one of sequence {sequence} was left out")]
    DuplicateTable {
        /// The index of both.
        index: u16,
        /// The sequence of the one left out.
        sequence: u16,
    },
    /// The rest of a key table cannot be walked.
    #[error("key entry: size expected from 21 to {most}, found {found}; the rest of its table was left out")]
    EntrySize {
        /// Bytes left in the table.
        most: u64,
        /// The size found.
        found: u64,
    },
    /// An entry whose name is empty or does not fit was left out.
    #[error("key entry: name length expected from 1 to {most}, found {found}; the key was left out")]
    NameLength {
        /// Bytes of the entry behind its header.
        most: u64,
        /// The length found.
        found: u8,
    },
    /// Free space that looks like a key: it may be one whose type was damaged.
    #[error(
        "free entry: expected neither name nor checksum, found a checksum and {name_len} bytes of a name"
    )]
    FreeWithName {
        /// Bytes of the name.
        name_len: u8,
    },
    /// An entry of a type that is not known here was left out.
    #[error("key entry: type expected 1 or from 3 to 9, found {0}; the key was left out")]
    EntryType(u8),
    /// Entries whose checksum does not fit were kept and marked; the position is the first one's.
    #[error(
        "{count} keys whose checksum does not fit, the first one expected {expected:#010x}, found {found:#010x}"
    )]
    Unverified {
        /// How many.
        count: usize,
        /// What the first one's bytes amount to.
        expected: u32,
        /// What the first one's field says.
        found: u32,
    },
    /// A key cannot be reached from the root: its parent is lost, is no node, or lies below the key itself.
    #[error(
        "key entry: expected a node at {offset:#x} of key table {table} as parent, found none; kept as an orphan"
    )]
    Orphan {
        /// Index of the parent's table.
        table: u16,
        /// Position of the parent in it.
        offset: u32,
    },
    /// Keys that lie too deep were left out; the position is the first one's.
    #[error("{0} keys lie deeper than the limit and were left out")]
    TooDeep(usize),
    /// A limit of [`limits`] was reached; what comes behind was left out.
    #[error("{structure}: expected at most {limit} in the store, found more; the rest was left out")]
    TooMany {
        /// What there are too many of, or too many bytes of.
        structure: Structure,
        /// The limit.
        limit: usize,
    },
    /// A value that is too long was left out.
    #[error("value: expected at most {limit} bytes, found {found}; it was left out")]
    ValueTooLong {
        /// Bytes that may still be read.
        limit: u64,
        /// Bytes stated.
        found: u64,
    },
    /// A text of 16-bit characters has an odd number of bytes; the last was dropped.
    #[error("text: expected an even number of bytes, found {0}")]
    OddText(u64),
}

/// Why a replay log was not applied.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogFault {
    /// A part of it is damaged.
    #[error(transparent)]
    Damaged(Box<Warning>),
    /// It can hold no entries.
    #[error("room expected for at least one entry, found none (at {0:#x})")]
    NoRoom(u64),
    /// It states more entries than it has room for.
    #[error("pending entries expected at most {most}, found {found} (at {at:#x})")]
    Count {
        /// Where the count stands.
        at: u64,
        /// Entries there is room for.
        most: u64,
        /// Entries stated.
        found: u64,
    },
    /// A change goes beyond where a store can end.
    #[error("destination of a change expected to end by {most:#x}, found {found:#x} (at {at:#x})")]
    Destination {
        /// Where the entry stands.
        at: u64,
        /// The limit.
        most: u64,
        /// The end stated.
        found: u64,
    },
    /// The changes together hold more bytes than the file.
    #[error("payloads expected {most} bytes at most in all, found more (at {at:#x})")]
    Payloads {
        /// Where the entry stands that goes beyond.
        at: u64,
        /// The limit.
        most: u64,
    },
}

/// The first warnings of each kind in the order they were found, and how many more there were.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Warnings {
    /// At most [`WARNINGS_PER_KIND_MAX`] of each kind of problem: many of one must not hide the one of another.
    pub first: Vec<Warning>,
    /// Warnings that were only counted.
    pub left_out: usize,
}

impl Warnings {
    /// Whether nothing was wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    pub(super) fn push(&mut self, at: usize, problem: Problem) {
        let kind = mem::discriminant(&problem);
        let same = self.first.iter().filter(|warning| mem::discriminant(&warning.problem) == kind);
        if same.count() < WARNINGS_PER_KIND_MAX {
            self.first.push(Warning { at: super::bytes::offset(at), problem });
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
    }
}
