//! A workbench: the folder `vm` with the sources, the folder `out` for the targets, and commands started beside them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

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

    /// The bytes of a file on the bench.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// A JSON document on the bench.
    pub(crate) fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_slice(&self.bytes(name)).unwrap()
    }

    /// What a script of the shell prints that is run in a folder of the bench, and succeeds.
    #[track_caller]
    pub(crate) fn shell(&self, folder: &str, script: &str) -> String {
        let output = self.try_shell(folder, script);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`{script}`: {}\n{said}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same, if it may fail.
    pub(crate) fn try_shell(&self, folder: &str, script: &str) -> Output {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(self.path(folder)).stdin(Stdio::null());
        command.output().unwrap()
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
