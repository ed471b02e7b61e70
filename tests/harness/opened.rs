//! Which files a program opens, as the kernel tells it. Linux only.

use std::collections::HashMap;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};

/// Tells which files were opened.
pub(crate) struct Opened(OwnedFd);

impl Opened {
    /// From now on, in a folder and all below it.
    pub(crate) fn below(folder: &Path) -> Self {
        let inotify = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        let mut folders = vec![folder.to_path_buf()];
        while let Some(folder) = folders.pop() {
            add_watch(&inotify, &folder, WatchFlags::OPEN).unwrap();
            let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
            folders.extend(entries.filter(|path| path.is_dir()));
        }
        Self(inotify)
    }

    /// How often each file name was opened since the beginning. Where more happens than the kernel
    /// keeps, names are missing: count them.
    pub(crate) fn counts(self) -> HashMap<String, usize> {
        let mut buffer = [const { MaybeUninit::uninit() }; 4096];
        let mut reader = Reader::new(self.0, &mut buffer);
        let mut counts = HashMap::new();
        while let Ok(event) = reader.next() {
            if let Some(name) = event.file_name() {
                *counts.entry(name.to_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        counts
    }
}
