//! How much of a store is read at most, each limit with the argument for its value.

/// Bytes of a store. Real configurations are below 100 KiB; every structure is looked at in memory, so this bounds
/// memory and, as no byte is looked at more than a few times, time. A `.vmrs` with a guest's memory is larger and is
/// refused: no disk is named there, and its bytes should not be brought into memory to learn that.
pub const STORE_BYTES_MAX: usize = 64 << 20;

/// Object tables, and slots in all of them together. Real stores have one table of 227 slots.
pub const OBJECT_TABLES_MAX: usize = 4096;
/// See [`OBJECT_TABLES_MAX`]; each slot stands for at least a page, so a store of the largest size needs 16384.
pub const OBJECT_SLOTS_MAX: usize = 1_000_000;

/// Bytes of all key tables together: tables that overlap must not multiply the work.
pub const TABLE_BYTES_MAX: usize = STORE_BYTES_MAX;

/// Entries of all key tables together. Real stores have 300 to 400.
pub const ENTRIES_MAX: usize = 1_000_000;

/// Bytes of one value. Real ones are below 4 KiB; guest memory comes in pieces of 1 MiB.
pub const VALUE_BYTES_MAX: usize = 16 << 20;

/// Bytes of all values together: many entries may point to the same bytes.
pub const VALUES_BYTES_MAX: usize = 64 << 20;

/// Warnings kept of one kind of problem; the rest is counted. More of the same tells nobody more.
pub const WARNINGS_PER_KIND_MAX: usize = 16;
