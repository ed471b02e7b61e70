//! Loop devices, which take root. A device is looked at through its node, as whoever uses it would.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use super::{Bench, skipped, succeeds};

/// A loop device; dropped, it is detached.
pub(crate) struct Loop {
    pub(crate) node: String,
}

/// Finding a free one and taking it are two steps.
static ATTACHING: Mutex<()> = Mutex::new(());

impl Loop {
    /// One that shows that file. `None`, said aloud, where this machine has none for us.
    pub(crate) fn showing(file: &Path) -> Option<Self> {
        let _guard = ATTACHING.lock().unwrap();
        let attach = || {
            let made = Command::new("losetup").args(["--find", "--show"]).arg(file).output().ok()?;
            let node = String::from_utf8(made.stdout).unwrap().trim().to_owned();
            made.status.success().then_some(Self { node })
        };
        // Other programs find free ones as well, and may be faster.
        let made = (0..5).find_map(|_| attach());
        if made.is_none() {
            skipped("devices: this machine does not allow `losetup --find`");
        }
        made
    }

    /// One that shows a file of that name with these bytes.
    pub(crate) fn holding(bench: &Bench, name: &str, bytes: &[u8]) -> Option<Self> {
        bench.write(name, bytes);
        Self::showing(&bench.path(name))
    }

    /// Open for reading and writing.
    pub(crate) fn file(&self) -> File {
        File::options().read(true).write(true).open(&self.node).unwrap()
    }

    /// What it holds there, as far as it goes.
    pub(crate) fn bytes(&self, from: u64, len: u64) -> Vec<u8> {
        let mut file = self.file();
        file.seek(SeekFrom::Start(from)).unwrap();
        let mut bytes = Vec::new();
        file.take(len).read_to_end(&mut bytes).unwrap();
        bytes
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let detached = succeeds(&["losetup", "--detach", &self.node]);
        assert!(std::thread::panicking() || detached, "{} stays", self.node);
    }
}
