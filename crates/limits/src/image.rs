//! Bounds on VHDX images.
//!
//! The first is the format's own, and going over it is corruption. The others are this program's: going over one of them is
//! reported as that.

/// Largest virtual disk, in bytes: 64 TiB (MS-VHDX 2.6.2.2).
pub const DISK_SIZE_MAX: u64 = 64 << 40;

/// Largest image, in bytes: 128 TiB. A 64 TiB disk with its bitmaps, tables and log needs less than 66 TiB, so twice
/// the largest disk leaves room for gaps, and it bounds the map of used MiBs that finds overlapping blocks to 16 MiB.
pub const FILE_LEN_MAX: u64 = 128 << 40;

/// How many times the log's length may be checksummed while its entries are found. An honest ring needs one lap and a
/// few torn candidates; a crafted one could claim a ring-long entry in every sector.
pub const LOG_CHECKSUM_LAPS_MAX: u64 = 16;
