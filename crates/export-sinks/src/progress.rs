//! How far an export is, as numbers. Drawing them is the caller's business.

/// Bytes of the disk that the sink has accepted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// Bytes taken as data. Runs of zeros too short to be worth a hole count as data, and where nothing is digested, all
    /// bytes that some image stores: not all of them are looked at then.
    pub data: u64,
    /// Bytes known to be zero, because no image stores them, or because they were digested and turned out to be zeros.
    pub zeros: u64,
}

impl Tally {
    /// Bytes of the disk that are done.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.data.saturating_add(self.zeros)
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self { data: self.data.saturating_add(more.data), zeros: self.zeros.saturating_add(more.zeros) }
    }
}

/// Hears how far an export is.
pub trait Progress: Sync {
    /// The sink has accepted this much in all. Called in disk order, after each piece, while the next ones are being
    /// read: it should return at once.
    fn advance(&self, done: Tally);
}

/// Hears nothing.
#[derive(Clone, Copy, Default, Debug)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn advance(&self, _done: Tally) {}
}
