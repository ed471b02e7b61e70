//! What there is to choose from, as a user must type it to choose: VMs, checkpoints, disks.

use std::fmt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::folder::{Folder, disk_stem};
use crate::machine::{Checkpoint, StateDisk, Vm};
use crate::policy::{same_name, stored_basename};
use crate::select::SelectedDisk;
use crate::vm::{ControllerKind, DiskSlot, Timestamp};

/// A VM to choose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VmChoice {
    /// Its name.
    pub name: String,
    /// Its identity.
    pub id: Option<Uuid>,
    /// Where its configuration lies.
    pub folder: Option<PathBuf>,
}

impl VmChoice {
    pub(crate) fn of(vm: &Vm) -> Self {
        let folder = vm.configuration.as_deref().and_then(|path| path.parent());
        Self { name: vm.name.clone(), id: vm.id, folder: folder.map(Path::to_path_buf) }
    }
}

impl fmt::Display for VmChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.name)?;
        self.id.map_or(Ok(()), |id| write!(f, " {{{id}}}"))?;
        self.folder.as_ref().map_or(Ok(()), |folder| write!(f, " in `{}`", folder.display()))
    }
}

/// A state of a VM to choose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckpointChoice {
    /// Its number in `list`; `None` for the running state.
    pub number: Option<usize>,
    /// Its name; `@current` for the running state.
    pub name: String,
    /// When it was taken.
    pub created: Option<Timestamp>,
    /// Its identity.
    pub id: Option<Uuid>,
}

impl CheckpointChoice {
    pub(crate) fn of(number: usize, checkpoint: &Checkpoint) -> Self {
        let created = checkpoint.created.map(|created| created.at);
        Self { number: Some(number), name: checkpoint.name.clone(), created, id: checkpoint.id }
    }

    /// Every state of the VM, the running one last.
    pub(crate) fn all(vm: &Vm) -> Vec<Self> {
        let checkpoints = (1..).zip(&vm.checkpoints).map(|(number, checkpoint)| Self::of(number, checkpoint));
        let name = crate::names::CURRENT.to_owned();
        let current = vm.current.as_ref().map(|_| Self { number: None, name, created: None, id: None });
        checkpoints.chain(current).collect()
    }
}

impl fmt::Display for CheckpointChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Some(number) => write!(f, "#{number} `{}`", self.name)?,
            None => write!(f, "{}", self.name)?,
        }
        self.created.map_or(Ok(()), |created| write!(f, " {created}"))?;
        self.id.map_or(Ok(()), |id| write!(f, " {{{id}}}"))
    }
}

/// A disk file to choose, where there is no configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeafChoice {
    /// The file, or a folder that can not be looked into.
    pub path: PathBuf,
    /// Why it may be no state, or no whole one.
    pub problem: Option<LeafProblem>,
}

/// Why a file may be no state, or no whole one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeafProblem {
    /// It is called like an image, but is damaged, unsupported or none.
    Damaged,
    /// The system would not let us read it.
    Unread,
    /// It is a state, but not a whole one: a parent is missing.
    Orphan,
}

impl LeafChoice {
    pub(crate) fn leaf(path: &Path, is_orphan: bool) -> Self {
        Self { path: path.to_path_buf(), problem: is_orphan.then_some(LeafProblem::Orphan) }
    }

    pub(crate) fn damaged(path: &Path) -> Self {
        Self { path: path.to_path_buf(), problem: Some(LeafProblem::Damaged) }
    }

    pub(crate) fn unread(path: &Path) -> Self {
        Self { path: path.to_path_buf(), problem: Some(LeafProblem::Unread) }
    }
}

impl fmt::Display for LeafChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match self.problem {
            None => Ok(()),
            Some(LeafProblem::Damaged) => f.write_str(" (damaged: may be a state as well)"),
            Some(LeafProblem::Unread) => f.write_str(" (cannot be read: may be a state as well)"),
            Some(LeafProblem::Orphan) => f.write_str(" (a parent of it is missing)"),
        }
    }
}

/// A disk of a state to choose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskChoice {
    /// Where it is attached: `scsi0:1`.
    pub slot: String,
    /// The stem of its base image; where its file is not here, what the recorded path says of it.
    pub stem: Option<String>,
}

impl DiskChoice {
    pub(crate) fn of(folder: &Folder, disk: &StateDisk) -> Self {
        let recorded = stored_basename(&disk.slot.path).map(|name| {
            let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
            disk_stem(stem)
        });
        let stem = disk.file.image().and_then(|image| folder.base_stem(image)).or(recorded);
        Self { slot: slot_name(&disk.slot), stem: stem.map(str::to_owned) }
    }

    pub(crate) fn of_selected(disk: &SelectedDisk) -> Self {
        Self { slot: disk.slot.clone().unwrap_or_default(), stem: Some(disk.name.clone()) }
    }

    /// Whether the user means this disk by `name`.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        same_name(&self.slot, name) || self.stem.as_deref().is_some_and(|stem| same_name(stem, name))
    }
}

impl fmt::Display for DiskChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.slot)?;
        self.stem.as_ref().map_or(Ok(()), |stem| write!(f, " ({stem})"))
    }
}

/// Where a disk is attached, in the words of `--disk`.
#[must_use]
pub fn slot_name(slot: &DiskSlot) -> String {
    let kind = match slot.kind {
        ControllerKind::Ide => "ide",
        ControllerKind::Scsi => "scsi",
        ControllerKind::Floppy => "floppy",
        ControllerKind::Other(_) => "other",
    };
    format!("{kind}{}:{}", slot.controller, slot.location)
}
