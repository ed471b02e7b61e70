//! What the tests share: a desk with sources on one side and targets on the other, and the executable between them.
//!
//! A [`Call`] is one run of the executable. Around each, all sources are read and must stay what they were; a failed one
//! must leave the folder of targets as it was. An unexpected end shows everything the program said.

mod call;
mod content;
mod desk;
mod images;
mod snapshot;
mod tools;

pub(crate) use call::{Call, Outcome, Running};
pub(crate) use content::{Content, content_of, sha256_and_content};
pub(crate) use desk::Desk;
pub(crate) use images::{chain, filled_chain, geometry, guid, small_base, zeros_of};
pub(crate) use tools::{Confinement, has_tool, note, skipped, succeeds};
