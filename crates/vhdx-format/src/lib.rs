#![doc = include_str!("../README.md")]
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

pub mod blocks;
mod checksum;
mod disk;
mod error;
pub mod extent;
#[cfg(feature = "forge")]
pub mod forge;
pub mod geometry;
pub mod limits;
mod offset;
mod seal;
mod source;
mod wire;
pub mod writer;

pub use disk::{Extents, ReadError, VirtualDisk, read_disk, read_extent};
pub use error::{Corruption, ImageError, Problem, Structure, Unsupported};
pub use extent::{Content, Extent, LayerContent, LayerIndex};
pub use geometry::{BlockSize, Geometry, SectorSize};
pub use offset::{DiskOffset, DiskRange, FileOffset};
pub use source::ReadAt;
