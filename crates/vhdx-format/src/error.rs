//! What can be wrong with an image, split by who is at fault: the system, the file, what this crate supports, a limit.
//!
//! Corruption is one struct: where (structure and position), and what was expected against what was found. Numbers
//! that are positions or bit patterns print as hex. No message carries bytes of a file that is not an image.

use std::fmt;
use std::io;

use uuid::Uuid;

use crate::FileOffset;

/// An image could not be opened or its tables not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The system could not read the file; trying again may help.
    #[error("cannot read the {structure} at {at}")]
    Io {
        /// What was being read.
        structure: Structure,
        /// Where in the file.
        at: FileOffset,
        /// What the system said.
        source: io::Error,
    },
    /// The file is something else.
    #[error("not a VHDX image: it does not begin with `vhdxfile`")]
    NotVhdx,
    /// The file ends too early.
    #[error("the file is truncated: the {structure} needs {need} bytes, the file has {have}")]
    Truncated {
        /// What needs the room.
        structure: Structure,
        /// File length needed, in bytes.
        need: u64,
        /// File length found, in bytes.
        have: u64,
    },
    /// The file contradicts the format or itself.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    /// The file says something else than when it was opened: somebody writes to it.
    #[error("the {structure} at {at} is not what it was when the image was opened")]
    Changed {
        /// What changed.
        structure: Structure,
        /// Where in the file.
        at: FileOffset,
    },
    /// The file is in order but asks for something that is not known here.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The file goes over a limit of this program (see [`limits`]).
    #[error("the {structure} at {at} has {found} {unit}, more than the limit of {limit}")]
    Limit {
        /// What is too large.
        structure: Structure,
        /// Where it begins.
        at: FileOffset,
        /// The unit of both numbers.
        unit: &'static str,
        /// The limit.
        limit: u64,
        /// What was found.
        found: u64,
        /// The limit that a user can raise to have the file read, if there is one.
        raise: Option<limits::Limit>,
    },
}

/// A structure of an image, named as in MS-VHDX.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Structure {
    /// The file as a whole.
    File,
    /// File type identifier (2.2.1).
    FileIdentifier,
    /// One of the two headers (2.2.2), counted from 1.
    Header(u8),
    /// Both headers together.
    Headers,
    /// One of the two region tables (2.2.3), counted from 1.
    RegionTable(u8),
    /// The log (2.3).
    Log,
    /// The BAT region or one of its entries (2.5).
    Bat,
    /// A region that is not known here and need not be.
    OtherRegion,
    /// A sector bitmap block (2.4).
    SectorBitmap,
    /// A payload block (2.4).
    PayloadBlock,
    /// A payload or sector bitmap block that another entry points to (2.5.1: offsets are unique).
    OtherBlock,
    /// The metadata region's table (2.6.1).
    MetadataTable,
    /// File parameters item (2.6.2.1).
    FileParameters,
    /// Virtual disk size item (2.6.2.2).
    VirtualDiskSize,
    /// Virtual disk ID item (2.6.2.3).
    VirtualDiskId,
    /// Logical sector size item (2.6.2.4).
    LogicalSectorSize,
    /// Physical sector size item (2.6.2.5).
    PhysicalSectorSize,
    /// Parent locator item (2.6.2.6).
    ParentLocator,
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::File => "file",
            Self::FileIdentifier => "file type identifier",
            Self::Header(n) => return write!(f, "header {n}"),
            Self::Headers => "pair of headers",
            Self::RegionTable(n) => return write!(f, "region table {n}"),
            Self::Log => "log",
            Self::Bat => "block allocation table",
            Self::OtherRegion => "region of unknown kind",
            Self::SectorBitmap => "sector bitmap",
            Self::PayloadBlock => "payload block",
            Self::OtherBlock => "block of another entry",
            Self::MetadataTable => "metadata table",
            Self::FileParameters => "file parameters",
            Self::VirtualDiskSize => "virtual disk size",
            Self::VirtualDiskId => "virtual disk ID",
            Self::LogicalSectorSize => "logical sector size",
            Self::PhysicalSectorSize => "physical sector size",
            Self::ParentLocator => "parent locator",
        };
        f.write_str(name)
    }
}

/// A place in an image that contradicts the format or itself.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{structure} at {at}: {problem}")]
pub struct Corruption {
    /// The structure it is in.
    pub structure: Structure,
    /// Where in the file the offending bytes are.
    pub at: FileOffset,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a structure: expected against found.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The structure does not begin with its signature.
    #[error("expected the signature `{expected}`")]
    Signature {
        /// The ASCII signature.
        expected: &'static str,
    },
    /// The CRC-32C does not fit.
    #[error("checksum expected {expected:#010x}, found {found:#010x}")]
    Checksum {
        /// What the bytes amount to.
        expected: u32,
        /// What the field says.
        found: u32,
    },
    /// Neither header is valid; the problems of each in turn.
    #[error("no valid header: header 1: {first}; header 2: {second}")]
    NoValidHeader {
        /// What is wrong with header 1.
        first: Box<Problem>,
        /// What is wrong with header 2.
        second: Box<Problem>,
    },
    /// Both headers are valid, have one sequence number, and differ.
    #[error("both headers have sequence number {0:#x} but differ, so neither is current")]
    AmbiguousHeaders(u64),
    /// Neither region table is valid.
    #[error("no valid region table: table 1: {first}; table 2: {second}")]
    NoValidRegionTable {
        /// What is wrong with table 1.
        first: Box<Problem>,
        /// What is wrong with table 2.
        second: Box<Problem>,
    },
    /// Both region tables are valid and name other regions: which one a writer would believe is anybody's guess.
    #[error("both region tables are valid but differ, so neither can be believed")]
    AmbiguousRegionTables,
    /// A number is not one of those allowed.
    #[error("{field} expected {expected}, found {found:#x}")]
    Value {
        /// The field, in the words of MS-VHDX.
        field: &'static str,
        /// What is allowed.
        expected: &'static str,
        /// What the file says.
        found: u64,
    },
    /// A number goes over a bound that the file itself sets.
    #[error("{field} expected at most {most:#x}, found {found:#x}")]
    TooLarge {
        /// The field, in the words of MS-VHDX.
        field: &'static str,
        /// The bound.
        most: u64,
        /// What the file says.
        found: u64,
    },
    /// A mandatory part is not there.
    #[error("expected {what}, found none")]
    Missing {
        /// What is not there.
        what: &'static str,
    },
    /// A part is there that contradicts the rest.
    #[error("expected no {what}, found one")]
    Unexpected {
        /// What should not be there.
        what: &'static str,
    },
    /// Something that must be unique is there twice.
    #[error("{what} {{{id}}} expected once, found twice")]
    Duplicate {
        /// The kind of thing.
        what: &'static str,
        /// Which one.
        id: Uuid,
    },
    /// Two parts claim the same bytes of the file.
    #[error("overlaps the {other} at {other_at}")]
    Overlap {
        /// The other part.
        other: Structure,
        /// Where the other part is.
        other_at: FileOffset,
    },
    /// A block table entry has a state that the format reserves, or that means nothing in this kind of image.
    #[error("entry {entry} expected {expected}, found state {state}")]
    BlockState {
        /// Index of the entry in the table.
        entry: u64,
        /// The state found.
        state: u8,
        /// What is allowed there.
        expected: &'static str,
    },
    /// A block table entry points where no block can be.
    #[error("entry {entry} expected an offset from {least:#x} to {most:#x}, found {found:#x}")]
    BlockOffset {
        /// Index of the entry in the table.
        entry: u64,
        /// First offset allowed.
        least: u64,
        /// Last offset allowed.
        most: u64,
        /// The offset found.
        found: u64,
    },
    /// Two sequences of entries could be replayed, and both end with the same number.
    #[error("two sequences of entries end with number {0:#x}, so neither is the newest")]
    AmbiguousLog(u64),
    /// The ring holds no sequence of entries that may be replayed.
    #[error("expected an active sequence of entries with log GUID {{{log_guid}}}, found none")]
    NoActiveSequence {
        /// What the current header says.
        log_guid: Uuid,
    },
    /// A valid entry was written after the active sequence, so what came between them was lost.
    #[error(
        "entry {newer:#x} is valid, but the active sequence ends with {head:#x}: an entry between them is damaged"
    )]
    LostEntry {
        /// Sequence number of the entry.
        newer: u64,
        /// Sequence number of the active sequence's newest entry.
        head: u64,
    },
    /// A part has another length than it must have, in bytes.
    #[error("a length of {expected} bytes expected, found {found}")]
    Length {
        /// The only length there is.
        expected: u64,
        /// What the file says.
        found: u64,
    },
    /// A text is not what it must be.
    #[error("{field} expected {expected}")]
    Text {
        /// The field, in the words of MS-VHDX.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
}

/// Something valid that is not known here.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// The header's version is another.
    #[error("format version {0} is not supported (only 1 is)")]
    Version(u16),
    /// The log's version is another and the log is not empty.
    #[error("log version {0} is not supported (only 0 is)")]
    LogVersion(u16),
    /// MS-VHDX 2.2.3.2: such a file must not be opened.
    #[error("the file requires a region that is not known here: {{{0}}}")]
    RequiredRegion(Uuid),
    /// MS-VHDX 2.6.1.2: such a file must not be opened.
    #[error("the file requires a metadata item that is not known here: {{{0}}}")]
    RequiredMetadata(Uuid),
    /// The creation, merge or copy of the file has not finished.
    #[error("the file is marked incomplete: its creation, merge or copy never finished")]
    IncompleteFile,
    /// The parent is described in a way that is not VHDX's own.
    #[error("the parent locator has the type {{{0}}}, which is not known here")]
    LocatorType(Uuid),
    /// Bits are set that a later version of the format may have given a meaning.
    #[error("the file parameters have flags that are not known here: {0:#x}")]
    FileParametersFlags(u32),
}

impl ImageError {
    pub(crate) fn corrupt(structure: Structure, at: FileOffset, problem: Problem) -> Self {
        Self::Corrupt(Corruption { structure, at, problem })
    }

    /// Turns a failed read into an error that says what was being read.
    pub(crate) fn reading(structure: Structure, at: FileOffset) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { structure, at, source }
    }
}
