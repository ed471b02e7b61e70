//! The damage sweep: each byte of every structure of small valid images, set to several values, with the checksum of
//! its structure left alone and made right again. Whatever happens, the outcome is the right disk or an error with a
//! position; never a panic, never more than 256 MiB, never over 2 seconds.
//!
//! * `subjects` are the images, with the disk that each of them holds by the naive model.
//! * `fields` names every byte that a reader looks at. That none was forgotten is not believed but recorded: the bytes
//!   that were read are a subset of those with a name, and what is never read can not matter to a reader whose next
//!   step depends on nothing else.
//! * What pads a structure to its length is read, but for its checksum only: 64 KiB of region table for 80 bytes that
//!   mean something. All of it is filled with several values at once; that the disk stays the same proves of all these
//!   bytes together what single changes would prove of each. Single changes go through it in strides besides, dense at
//!   both ends, where an off-by-one would look.
//! * `classes` lists the fields that may lead to another disk, each with the reason why nobody can notice. A field that
//!   is not listed and does so fails the test, and so does a listed one that no longer does.
//! * `claims` are the structures whose work goes by what they claim: the ring, the table of the largest disk, counts.
//!
//! That it ends in time is asserted as work, reads and bytes, which no machine changes; and as the processor time of
//! the one thread, which is the promise itself and does not depend on what else runs.
//!
//! `cargo test -p vhdx-format --test sweep -- --nocapture` prints the numbers.

mod claims;
mod classes;
mod fields;
mod mutant;
mod outcome;
mod subjects;
mod sweep;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use peak_alloc::PeakAlloc;

/// Counts what the whole binary holds: all threads of it, and the images themselves.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What the project promises of any input.
const MEMORY_MAX: usize = 256 << 20;

/// The most that was held at once so far, in bytes.
#[track_caller]
fn peak_memory() -> usize {
    let peak = MEMORY.peak_usage();
    assert!(peak < MEMORY_MAX, "{peak} bytes were held at once");
    peak
}

/// Memory is counted for all threads together, and the promise is one of each image: what is made to cost much of it
/// runs alone.
static TURN: RwLock<()> = RwLock::new(());

fn alone() -> RwLockWriteGuard<'static, ()> {
    TURN.write().unwrap_or_else(PoisonError::into_inner)
}

fn beside_others() -> RwLockReadGuard<'static, ()> {
    TURN.read().unwrap_or_else(PoisonError::into_inner)
}
