//! A virtual machine as its files tell it: checkpoints, states, and the disk files that hold each state.
//!
//! **Which file is a checkpoint's state**: the one that was frozen when it was taken, which is the one its configuration
//! names. The `.avhdx` that the checkpoint created holds what came after, and is a child of that file.

mod ancestry;
mod assemble;
mod claims;
mod recorded;

use std::path::PathBuf;

use uuid::Uuid;

use crate::links::ImageIndex;
use crate::vm::{DiskSlot, Generation, Timestamp, Version};

pub use assemble::machines;
pub(crate) use claims::is_at_home;
pub(crate) use recorded::agreement;

/// A virtual machine.
#[derive(Clone, Debug)]
pub struct Vm {
    /// Its name; where its own configuration is missing, something to call it by.
    pub name: String,
    /// Its identity, where a configuration tells it.
    pub id: Option<Uuid>,
    /// Its own configuration; `None` where only checkpoints were found.
    pub configuration: Option<PathBuf>,
    /// Version of the configuration.
    pub version: Option<Version>,
    /// 1 or 2.
    pub generation: Option<Generation>,
    /// How many checkpoints its own configuration counts, if it tells.
    pub listed_checkpoints: Option<usize>,
    /// Its checkpoints, each behind the one it came from, else oldest first.
    pub checkpoints: Vec<Checkpoint>,
    /// The running state, which no checkpoint names; `None` where the VM's own configuration is missing.
    pub current: Option<State>,
    /// What was noticed while its files were read and put together.
    pub notes: Vec<String>,
}

/// A checkpoint.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Its identity, where its configuration or the configuration's file name tells it.
    pub id: Option<Uuid>,
    /// Its name, as it is shown; not unique.
    pub name: String,
    /// When it was taken, where that is known.
    pub created: Option<Created>,
    /// What it was made for, where that is known.
    pub kind: CheckpointKind,
    /// The checkpoint that a key of its configuration seems to name as its parent. No such key is known for certain, so
    /// this is compared with what the disks say, and never used instead.
    pub hinted_parent: Option<Uuid>,
    /// Its configuration.
    pub configuration: PathBuf,
    /// The disks as of the checkpoint.
    pub state: State,
}

/// When a checkpoint was taken, and how that is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Created {
    /// The time.
    pub at: Timestamp,
    /// Where it is from.
    pub source: CreatedSource,
}

/// Where a time is from, best first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CreatedSource {
    /// The configuration's own time of creation.
    Configuration,
    /// The last change of state that the configuration notes.
    StateChange,
    /// When the configuration's file was last written to.
    FileTime,
}

/// What a checkpoint was made for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CheckpointKind {
    /// By a user, as far as its files tell.
    Standard,
    /// By backup software, which should have removed it: its disk is named `-AutoRecovery`.
    Recovery,
}

/// The disks of a VM at one time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct State {
    /// The disks, in the order in which the configuration lists them.
    pub disks: Vec<StateDisk>,
    /// The checkpoint that this state came from, and how that is known.
    pub parent: StateParent,
}

/// Which checkpoint a state came from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum StateParent {
    /// None: it is the first.
    #[default]
    None,
    /// The disks say so: the checkpoint's files are the nearest under this state's. Place in [`Vm::checkpoints`].
    Disks(usize),
    /// The disks do not tell, and this is the last one before it in time.
    Guessed(usize),
}

impl StateParent {
    /// The same checkpoint where `place` says it is now.
    pub(super) fn moved(&self, place: &dyn Fn(usize) -> usize) -> Self {
        match self {
            Self::None => Self::None,
            Self::Disks(index) => Self::Disks(place(*index)),
            Self::Guessed(index) => Self::Guessed(place(*index)),
        }
    }

    /// The checkpoint's place in [`Vm::checkpoints`].
    #[must_use]
    pub fn checkpoint(&self) -> Option<usize> {
        match self {
            Self::None => None,
            Self::Disks(index) | Self::Guessed(index) => Some(*index),
        }
    }
}

/// One disk of a state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateDisk {
    /// Where it is attached, and the path that the configuration records.
    pub slot: DiskSlot,
    /// The file that holds its state.
    pub file: DiskFile,
}

/// The file behind a recorded path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DiskFile {
    /// This image.
    Found(ImageIndex),
    /// No image here fits the path.
    Missing,
    /// Several images fit equally well.
    Ambiguous(Vec<ImageIndex>),
}

impl DiskFile {
    /// The image, if there is exactly one.
    #[must_use]
    pub fn image(&self) -> Option<ImageIndex> {
        match self {
            Self::Found(image) => Some(*image),
            Self::Missing | Self::Ambiguous(_) => None,
        }
    }
}

impl Vm {
    /// Every state: the checkpoints' in their order, then the running one.
    pub fn states(&self) -> impl Iterator<Item = &State> {
        self.checkpoints.iter().map(|checkpoint| &checkpoint.state).chain(&self.current)
    }
}
