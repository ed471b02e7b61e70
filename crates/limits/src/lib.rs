//! What a file may ask for: every bound on untrusted input, in one place, each with the argument for its value.
//!
//! A file of this crate answers for one kind of input. The bounds that a sound file can go over, on a machine that has
//! the room for it, are a user's to raise: those are [`Limits`], and a reader takes them from whoever calls it. All others
//! are constants. What a program holds of its own accord, such as the buffers of an export, is no limit of this kind.

pub mod configuration;
pub mod folder;
pub mod frames;
pub mod image;
pub mod manifest;
mod raise;

pub use raise::{Limit, Limits, OutOfRange, Unit};
