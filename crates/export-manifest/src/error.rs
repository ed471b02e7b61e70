//! Why a file is no manifest that can be used.
//!
//! What is called like a manifest may be any file, so no error quotes its text, as those of JSON do. They say where.

use std::fmt;

/// A file is no manifest that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Longer than any manifest can be.
    #[error("a manifest has at most {most} bytes, this file has {found}")]
    TooLarge {
        /// Bytes it has.
        found: u64,
        /// Bytes it may have.
        most: u64,
    },
    /// No JSON at all: cut short, damaged, or something else.
    #[error("not a JSON document, as seen {0}")]
    NotJson(Spot),
    /// A JSON document of another kind.
    #[error("the JSON document is no manifest of an export: its `schema` is not `{}`", crate::SCHEMA)]
    NotAManifest,
    /// Made by a later version of the program.
    #[error("its schema is version {found}, this program knows version {known}")]
    Newer {
        /// Version of the manifest.
        found: u64,
        /// Newest version that is understood.
        known: u64,
    },
    /// A field is missing, unknown or of the wrong kind.
    #[error("it does not fit its schema {0}")]
    Damaged(Spot),
    /// It can not be written down again to be digested.
    #[error("cannot digest it")]
    Seal,
    /// Its fields contradict each other.
    #[error("it contradicts itself")]
    Inconsistent(#[from] Inconsistency),
}

/// A place in the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spot {
    /// Counted from 1.
    pub line: usize,
    /// In bytes, counted from 1.
    pub column: usize,
}

impl Spot {
    pub(crate) fn of(error: &serde_json::Error) -> Self {
        Self { line: error.line(), column: error.column() }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at line {}, column {}", self.line, self.column)
    }
}

/// What in a manifest contradicts what else.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Inconsistency {
    /// Data and zeros are the whole disk.
    #[error("{data} bytes of data and {zeros} of zeros are no disk of {virtual_size} bytes")]
    Tally {
        /// Bytes of data.
        data: u64,
        /// Bytes of zeros.
        zeros: u64,
        /// Size of the disk in bytes.
        virtual_size: u64,
    },
    /// Lengths of blocks, ranges and marks are fixed in this version.
    #[error("`{field}` is {found}, expected {expected}")]
    Unit {
        /// Its field.
        field: &'static str,
        /// What it says.
        found: u64,
        /// What it must say.
        expected: u64,
    },
    /// Each range of the disk has its digest.
    #[error("{found} {field} for a disk of {expected} ranges")]
    Count {
        /// Which list.
        field: &'static str,
        /// How many there are.
        found: u64,
        /// How many there should be.
        expected: u64,
    },
    /// Something in it was changed, or it was cut and pasted.
    #[error("it does not have the digest that it states of itself")]
    Seal,
    /// A range has marks where it has a digest, one for each MiB.
    #[error("the marks of range {range} do not fit it")]
    Marks {
        /// Which range, counted from 0.
        range: usize,
    },
}
