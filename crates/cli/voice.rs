//! How a run talks while it works: what should be known beforehand, and how far it is.

use export_sinks::Progress;

use crate::args::ProgressStyle;
use crate::plan::Notes;
use crate::progress;
use crate::terminal::{printable, say, shortened};

/// What is told while a disk is exported.
pub(crate) trait Voice: Sync {
    /// Something that should be known of the sources.
    fn note(&self, note: &str);

    /// What hears how much is done of a disk of `total` bytes.
    fn progress(&self, total: u64) -> Box<dyn Progress + '_>;

    /// The same for several.
    fn notes(&self, notes: &[String]) {
        for note in notes {
            self.note(note);
        }
    }
}

/// Talks on standard error.
pub(crate) struct Console {
    pub(crate) notes: Notes,
    pub(crate) progress: ProgressStyle,
}

impl Voice for Console {
    fn note(&self, note: &str) {
        if self.notes == Notes::Shown {
            say(&format!("note: {}\n", printable(&shortened(note))));
        }
    }

    fn progress(&self, total: u64) -> Box<dyn Progress + '_> {
        progress::drawn(self.progress, total)
    }
}
