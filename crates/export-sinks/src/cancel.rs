//! Stopping an export from outside: a signal, or a caller that changed its mind.
//!
//! The flag is plain memory, so that a signal handler may set it. Who sets it, and what exit code a signal means, is
//! the caller's business.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A flag that stops an export; clones share it.
#[derive(Clone, Default, Debug)]
pub struct Cancel(Arc<AtomicUsize>);

/// An export was stopped from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("stopped")]
pub struct Cancelled {
    /// What the flag was set to: by convention the number of the signal.
    pub reason: usize,
}

impl Cancel {
    /// A flag that is not set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the export to stop; `reason` is the number of a signal, or any other number but 0.
    pub fn set(&self, reason: usize) {
        self.0.store(reason, Ordering::Relaxed);
    }

    /// The flag itself, for those who set it from a signal handler: 0 means go on.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.0)
    }

    /// An error once the flag is set.
    pub fn check(&self) -> Result<(), Cancelled> {
        match self.0.load(Ordering::Relaxed) {
            0 => Ok(()),
            reason => Err(Cancelled { reason }),
        }
    }
}
