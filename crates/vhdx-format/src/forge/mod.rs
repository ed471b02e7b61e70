//! Writes any VHDX image, valid or not: for tests and fixtures, never for users' data.
//!
//! [`Image`] describes an image and builds it as a [`SparseFile`]; [`make_dirty`] moves parts of a finished image into
//! its log; the `edit` functions damage it with or without fresh checksums. Nothing here is validated: what is asked
//! for is what comes out. Whether it makes sense is the readers' question, and the reason this module exists.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "its inputs are the tests' own, so a mistake should stop the test that makes it"
)]

mod dirty;
mod edit;
mod image;
mod items;
mod law;
mod locator;
mod log;
mod model;
mod placement;
pub mod random;
mod sectors;
mod sparse;
pub mod tree;

pub use dirty::{DirtyLog, Stale, make_dirty};
pub use edit::{edit, edit_header, edit_region_table, with_checksum};
pub use image::{Block, Image, Kind, Region};
pub use items::{Item, item_flag, item_id};
pub use law::{Answer, assert_extent_law, clip};
pub use locator::Locator;
pub use log::{Change, LogEntry, Ring, torn};
pub use model::{disk_of, lay_over};
pub use placement::{Object, Order, Placement, Places};
pub use sectors::SectorSet;
pub use sparse::SparseFile;
