#![doc = include_str!("../README.md")]
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

mod bat;
mod bitmap;
pub mod blocks;
mod checksum;
mod disk;
mod error;
pub mod extent;
#[cfg(feature = "forge")]
pub mod forge;
mod gather;
pub mod geometry;
mod header;
mod holes;
mod layer;
mod log;
mod metadata;
mod offset;
mod outline;
mod overlay;
mod parent;
mod region;
mod seal;
mod source;
mod stack;
mod walk;
mod wire;
pub mod writer;

pub use bat::BlockCounts;
pub use disk::{Extents, ReadError, VirtualDisk, read_disk, read_extent};
pub use error::{Corruption, ImageError, Problem, Structure, Unsupported};
pub use extent::{Content, Extent, LayerContent, LayerIndex};
pub use gather::Gatherer;
pub use geometry::{BlockSize, Geometry, GeometryError, SectorSize};
pub use header::{Header, read_header};
pub use holes::Holes;
pub use layer::Layer;
pub use log::LogState;
pub use metadata::ImageKind;
pub use offset::{DiskOffset, DiskRange, FileOffset};
pub use outline::Outline;
pub use parent::{Linkage, ParentLocator};
pub use source::{ReadAt, fill_at};
pub use stack::{LayerStack, LinkError, OpenStack};
