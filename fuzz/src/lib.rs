//! What the fuzzer's bytes are made into, and the laws that hold for all of them: one function a target.
//!
//! The functions know nothing of the fuzzer, so that the committed inputs are also held to them by a plain test on the
//! stable toolchain (`tests/fuzz_corpus.rs` of the program). A broken law is a panic.
#![expect(clippy::missing_panics_doc, reason = "panics are how a target speaks")]

mod bytes;
mod chain;
mod chain_model;
mod image;
mod log;
mod log_model;
mod manifest;
mod mutation;
mod seek_table;
mod source;
mod vmcx;
mod xml;

pub use chain::chain;
pub use image::image;
pub use log::log;
pub use manifest::manifest;
pub use seek_table::seek_table;
pub use vmcx::vmcx;
pub use xml::xml;

/// A target: takes any bytes, panics where a law is broken.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Target); 7] = [
    ("image", image),
    ("log", log),
    ("chain", chain),
    ("vmcx", vmcx),
    ("xml", xml),
    ("manifest", manifest),
    ("seek_table", seek_table),
];
