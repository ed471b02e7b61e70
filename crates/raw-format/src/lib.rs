//! Disks whose bytes lie in a file as they are: raw, or raw in seekable zstd frames.
//!
//! [`RawDisk`] and [`ZstdDisk`] are [`vhdx_format::VirtualDisk`]s; [`FrameEncoder`] and [`SeekTableBuilder`] make what
//! [`ZstdDisk`] reads. This crate sees no paths and starts no threads: what it reads comes as a
//! [`vhdx_format::ReadAt`], what it writes goes into buffers, and everything read is taken to be hostile.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

mod encoder;
mod frames;
mod raw;
mod seek_table;
mod zero_frame;
mod zstd_disk;

pub use encoder::FrameEncoder;
pub use frames::FrameError;
pub use limits::frames::FRAME_LEN;
pub use raw::{RawDisk, RawError};
pub use seek_table::{Frame, FrameLimit, Frames, SeekTable, SeekTableBuilder, SeekTableError};
pub use zero_frame::{zero_frame, zero_frame_len};
pub use zstd_disk::{ZstdDisk, ZstdDiskError};
