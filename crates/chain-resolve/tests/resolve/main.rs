//! What the resolver finds, refuses and reports: names, identities, confinement, selection, changes meanwhile.

#![expect(clippy::panic, reason = "in a test's own functions, too, a panic is how the test fails")]

mod changes;
mod confinement;
mod identity;
mod names;
mod selection;
mod shape;
mod support;
