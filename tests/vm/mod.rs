//! VMs with configurations: which bytes a checkpoint's name, GUID or number gives, through the executable.
//!
//! The VMs are forged from a history that keeps each state's bytes apart from the images. Configurations of checkpoints
//! are written as descriptions of the format say: this proves agreement with those, not yet with a real checkpoint.

mod damaged;
mod demo;
mod disks;
mod names;
mod places;
mod random;
mod states;
mod traps;

use chain_resolve::forge::history::{DiskState, History, LeftFile};
use chain_resolve::forge::vm::Slot;
use chain_resolve::vm::{Form, Generation};
use uuid::Uuid;

use crate::harness::{Bench, Content};

const FORMS: [Form; 2] = [Form::Store, Form::Xml];

/// A VM on the bench, in the folder `vm` unless put elsewhere.
struct Machine {
    bench: Bench,
    history: History,
}

impl Machine {
    fn new(history: &History, form: Form) -> Self {
        let bench = Bench::new();
        put(&bench, "vm", &history.files(form));
        Self { bench, history: history.clone() }
    }

    /// The exported disk is that of the state, of which there is only one or one of that stem.
    #[track_caller]
    fn gives(&self, args: &[&str], checkpoint: Option<Uuid>, stem: &str) {
        let states = self.history.state(checkpoint);
        let disk = states.iter().find(|disk| disk.stem == stem).unwrap();
        gives(&self.bench, args, disk);
    }

    /// By every way to name them, all disks of all states are what they should be.
    #[track_caller]
    fn gives_every_state(&self, source: &str) {
        let checkpoints = self.history.vm.checkpoints.iter().map(|checkpoint| Some(checkpoint.id));
        for checkpoint in checkpoints.chain([None]) {
            let name = checkpoint.map_or("@current".to_owned(), |id| id.to_string());
            for disk in self.history.state(checkpoint) {
                gives(&self.bench, &[source, "--checkpoint", &name, "--disk", &disk.stem], &disk);
            }
        }
    }
}

/// Puts files into a folder of the bench.
fn put(bench: &Bench, folder: &str, files: &[LeftFile]) {
    for file in files {
        bench.save(&format!("{folder}/{}", file.path), &file.content);
    }
}

/// All files in one folder, as backup software leaves them.
fn flattened(files: &[LeftFile]) -> Vec<LeftFile> {
    let flat = |file: &LeftFile| {
        let (_, name) = file.path.rsplit_once('/').unwrap();
        LeftFile { path: name.to_owned(), ..file.clone() }
    };
    files.iter().map(flat).collect()
}

#[track_caller]
fn gives(bench: &Bench, args: &[&str], disk: &DiskState) {
    bench.run(&[args, &["--force", "--quiet", "--out", "out/m.raw"]].concat()).succeeds();
    assert!(
        bench.content("out/m.raw") == Content::of(&disk.bytes),
        "{args:?}: not the disk of `{}`",
        disk.file
    );
}

/// Three checkpoints in a line; the second disk came after the first of them.
fn linear() -> (History, [Uuid; 3]) {
    let mut history = History::new("web01", Generation::Two);
    history.attach("web01", Slot::Scsi(0, 0));
    let first = history.checkpoint("Installed");
    history.write("web01");
    history.attach("data", Slot::Scsi(0, 1));
    let second = history.checkpoint("Before update");
    history.write("web01");
    history.write("data");
    let third = history.checkpoint("In use");
    history.write("web01");
    history.write("data");
    (history, [first, second, third])
}
