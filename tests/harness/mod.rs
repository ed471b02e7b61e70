//! What the tests share: a bench with sources on one side and targets on the other, and the executable between them.
//!
//! A [`Call`] is one run of the executable. Around each, all sources are read and must stay what they were; a failed one
//! must leave the folder of targets as it was. An unexpected end shows everything the program said.

mod bench;
mod call;
mod content;
mod images;
mod loops;
mod machines;
#[cfg(target_os = "linux")]
mod opened;
mod proof;
mod snapshot;
mod tools;
mod vm_folder;

pub(crate) use bench::Bench;
pub(crate) use call::{Call, Outcome, Running};
pub(crate) use content::{Content, content_of, sha256_and_content};
pub(crate) use images::{chain, filled_chain, geometry, guid, small_base, sparse_chain, zeros_of};
pub(crate) use loops::Loop;
pub(crate) use machines::{Web01, disk, store, time};
#[cfg(target_os = "linux")]
pub(crate) use opened::Opened;
pub(crate) use proof::{Digests, MARK, RANGE, hex_sha256};
pub(crate) use tools::{Confinement, has_tool, note, random, skipped, succeeds};
pub(crate) use vm_folder::{A, B, C, VmFolder, branched, fits_80_columns};
