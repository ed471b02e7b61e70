//! From names to a proved chain.
//!
//! A backup copy of a VM is a folder of images, often moved, renamed and flattened. This crate finds the file whose
//! state is wanted ([`select()`]), then each parent ([`resolve()`]): first where the child says, then anywhere below the
//! folders that the operator allows, always confirmed by identity. What it returns, a [`Chain`], is a
//! [`vhdx_format::VirtualDisk`] whose every link is proved.
//!
//! Only this crate turns a string found inside an image into a file opened on this machine, and only under a
//! [`SearchPolicy`]. It writes nothing.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

mod candidates;
mod catalog;
mod chain;
pub mod check;
mod choice;
mod error;
mod folder;
#[cfg(feature = "forge")]
pub mod forge;
mod keys;
mod links;
pub mod machine;
mod names;
mod page_cache;
mod policy;
mod resolve;
mod select;
mod select_error;
mod store;
pub mod vm;

pub use catalog::{
    Catalog, CatalogImage, ConfigurationFile, Depth, ImageFacts, ReadConfigurationError, ScanError,
};
pub use chain::{Chain, ChainFile, Change, ChangeError, FoundBy};
pub use check::check;
pub use choice::{CheckpointChoice, DiskChoice, LeafChoice, LeafProblem, VmChoice, slot_name};
pub use error::{ResolveError, Tried, WhyNot};
pub use folder::{Folder, FolderError};
pub use keys::{OpenKeysError, open_keys};
pub use links::{ImageIndex, ParentLink};
pub use page_cache::CacheUse;
pub use policy::{Refusal, SearchPolicy};
pub use resolve::{open_image, resolve};
pub use select::{
    EachDisk, Request, SelectedCheckpoint, SelectedDisk, SelectedVm, Selection, SelectionNote, is_lone_file,
    select, select_each, select_in, select_vms, vm_named,
};
pub use select_error::SelectError;
pub use store::{FileId, OpenFile, SourceFile, SourceKinds, StoreError, open_plain};
