//! Bounds on what a file may ask, each with the argument for its value.
//!
//! The first three are the format's own, and going over them is corruption. The others are this program's: going over
//! one of them is reported as that ([`crate::ImageError::Limit`]).

/// 1 MiB: the alignment of everything behind the header area (MS-VHDX 2.1).
pub const MIB: u64 = 1 << 20;

/// Largest virtual disk, in bytes: 64 TiB (MS-VHDX 2.6.2.2).
pub const DISK_SIZE_MAX: u64 = 64 << 40;

/// Longest metadata item that is read, in bytes: 1 MiB (MS-VHDX 2.6.1.2 bounds the length of an item so).
pub const METADATA_ITEM_LEN_MAX: u32 = 1 << 20;

/// Largest image, in bytes: 128 TiB. A 64 TiB disk with its bitmaps, tables and log needs less than 66 TiB, so twice
/// the largest disk leaves room for gaps, and it bounds the map of used MiBs that finds overlapping blocks to 16 MiB.
pub const FILE_LEN_MAX: u64 = 128 << 40;

/// Largest log that is replayed, in bytes: 64 MiB. Every log that Windows, Hyper-V or Disk2vhd is known to have made
/// has 1 MiB. While a log is replayed its bytes and what they decode to are held together, afterwards only the latter: twice
/// this, and once, or half as much again where it is nothing but zero descriptors (the damage sweep measures both).
pub const LOG_LEN_MAX: u64 = 64 << 20;

/// How many times the log's length may be checksummed while its entries are found. An honest ring needs one lap and a
/// few torn candidates; a crafted one could claim a ring-long entry in every sector.
pub const LOG_CHECKSUM_LAPS_MAX: u64 = 16;

/// Most key-value pairs of a parent locator. Windows writes five; Microsoft's own reader stops at 256.
pub const LOCATOR_PAIRS_MAX: u16 = 256;

/// Most images in one stack, leaf and base included. Hyper-V allows 50 checkpoints, backup software has left chains of
/// more than a hundred, and Microsoft's own reader stops at 256. Each layer holds a file handle and two table pages.
pub const STACK_DEPTH_MAX: usize = 256;
