//! A workbench: the folder `vm` with the sources, the folder `out` for the targets, and commands started beside them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use vhdx_format::forge::{Image, SparseFile};

use super::{Call, Content, Outcome};

/// Goes away with everything on it.
pub(crate) struct Bench {
    root: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["vm", "out"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        Self { root }
    }

    /// A bench with a stack of images, base first, called `0.vhdx`, `1.vhdx` and so on as the forge's stacks name them.
    pub(crate) fn with_stack(stack: &[Image]) -> Self {
        let bench = Self::new();
        for (number, image) in stack.iter().enumerate() {
            bench.forge(&format!("vm/{number}.vhdx"), image);
        }
        bench
    }

    /// The place of a file or folder on the bench.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn forge(&self, name: &str, image: &Image) {
        self.save(name, &image.build());
    }

    pub(crate) fn save(&self, name: &str, file: &SparseFile) {
        file.save(&File::create(self.prepared(name)).unwrap()).unwrap();
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.prepared(name), bytes).unwrap();
    }

    pub(crate) fn link(&self, name: &str, to: impl AsRef<Path>) {
        std::os::unix::fs::symlink(to, self.prepared(name)).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// What a file on the bench holds.
    pub(crate) fn content(&self, name: &str) -> Content {
        super::content_of(&self.path(name))
    }

    /// The names in a folder, sorted.
    pub(crate) fn names_in(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A command to be started on the bench.
    pub(crate) fn call(&self, args: &[&str]) -> Call<'_> {
        Call::new(self, args)
    }

    /// Runs a command on the bench.
    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        self.call(args).run()
    }

    /// What the disk of an image on the bench holds, as the executable reads it.
    pub(crate) fn disk_content(&self, name: &str) -> Content {
        let args = ["--out", "-", "--format", "raw", "--quiet", name];
        let (outcome, content) = self.call(&args).run_reading(Content::read);
        outcome.succeeds();
        content
    }

    fn prepared(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }
}
