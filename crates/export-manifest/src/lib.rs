//! The manifest of an export: a JSON document that lets anybody check a restored copy without the source.
//!
//! [`Manifest`] is the document, [`Manifest::parse`] the only way in: what it returns was held to the schema and to
//! itself. The schema is in `schema/manifest-1.json`, and `docs/manifest.md` tells what each field means. Comparing a
//! copy with a manifest is [`compare()`]'s; reading the copy is the caller's.
//!
//! A manifest names files by their last name only, and no times but those of the source, so the same export gives the
//! same manifest on any machine.

mod bounded;
mod compare;
mod content;
mod document;
mod error;
mod format;

pub use compare::{Comparison, compare};
pub use content::{BlockProof, ContentProof};
pub use document::{
    ArtifactProof, Checkpoint, DiskProof, Link, LogState, Manifest, Options, SCHEMA, Source, Tool, VERSION,
    Vm,
};
pub use error::{Inconsistency, ManifestError, Spot};
pub use format::Format;
