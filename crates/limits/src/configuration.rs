//! Bounds on VM configurations, in either form. All of it is looked at in memory, so [`crate::Limit::ConfigurationSize`]
//! bounds that; these keep a short file from becoming much more than its length.

/// A file of XML may be this many times smaller than the limit: as UTF-16 it grows to half as much again when it is decoded.
pub const XML_DIVISOR: u64 = 2;

/// Levels below the root that are read; what lies deeper is left out with a warning. Real trees have 7. The limit lets
/// a walk, a comparison and a drop of the tree recurse without a thought about the stack.
pub const DEPTH_MAX: usize = 64;

/// Object tables, and slots in all of them together. Real stores have one table of 227 slots.
pub const OBJECT_TABLES_MAX: usize = 4096;
/// See [`OBJECT_TABLES_MAX`]; each slot stands for at least a page, so a store of the usual limit needs 16384.
pub const OBJECT_SLOTS_MAX: usize = 1_000_000;

/// Bytes of all key tables together: tables that overlap must not multiply the work. Real stores have some 60 KiB.
pub const TABLE_BYTES_MAX: usize = 64 << 20;

/// Entries of all key tables together. Real stores have 300 to 400.
pub const ENTRIES_MAX: usize = 1_000_000;

/// Bytes of one value. Real ones are below 4 KiB; guest memory comes in pieces of 1 MiB.
pub const VALUE_BYTES_MAX: usize = 16 << 20;

/// Bytes of all values together: many entries may point to the same bytes.
pub const VALUES_BYTES_MAX: usize = 64 << 20;

/// Elements of XML. Real files have about 600; an element takes four bytes to write and a hundred to keep.
pub const ELEMENTS_MAX: usize = 1_000_000;

/// Bytes of the name of an element of XML, as in the binary form. Every path to a key repeats the names above it.
pub const NAME_BYTES_MAX: usize = 254;

/// References kept of each kind. Hyper-V allows 50 checkpoints; this keeps a hostile file from making its few bytes many.
pub const REFERENCES_MAX: usize = 1024;

/// Warnings about a binary store that are kept of one kind of problem; the rest is counted. More of the same tells nobody
/// more.
pub const WARNINGS_PER_KIND_MAX: usize = 16;

/// Warnings about XML that are kept; the rest is counted. There is one kind of them.
pub const WARNINGS_MAX: usize = 64;
