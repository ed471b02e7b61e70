//! Why no single state of no single disk is meant: each case with what there is to choose from.

use std::path::PathBuf;

use crate::choice::{CheckpointChoice, DiskChoice, LeafChoice, VmChoice};
use crate::folder::FolderError;

/// Nothing, or not one single thing, fits what was said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// SOURCE can not be looked at.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The folder holds no image.
    #[error("no VHDX image below `{}`", .0.display())]
    NoImages(PathBuf),
    /// No VM is called that.
    #[error("no VM is called `{name}`")]
    NoSuchVm {
        /// What the user said.
        name: String,
        /// What there is.
        candidates: Vec<VmChoice>,
    },
    /// Several VMs fit.
    #[error("{} VMs to choose from", candidates.len())]
    SeveralVms {
        /// The VMs that fit.
        candidates: Vec<VmChoice>,
    },
    /// The VM has checkpoints, and none was named.
    #[error("VM `{vm}` has checkpoints: {} to choose from", states(candidates.len()))]
    WhichCheckpoint {
        /// The VM.
        vm: String,
        /// Its states.
        candidates: Vec<CheckpointChoice>,
    },
    /// Nothing has that name.
    #[error("VM `{vm}` has no checkpoint `{name}`, and no disk file is called so")]
    NoSuchCheckpoint {
        /// The VM.
        vm: String,
        /// What the user said.
        name: String,
        /// What there is.
        candidates: Vec<CheckpointChoice>,
    },
    /// `--vm` and `--disk` say nothing about a lone disk file.
    #[error("{0} chooses in a folder, and SOURCE is one disk file")]
    OneFile(&'static str),
    /// What can not be read may hide the VM or checkpoint that is meant.
    #[error("{} configurations cannot be read and may hide what is meant", .0.len())]
    LostConfigurations(Vec<PathBuf>),
    /// Configurations of checkpoints are missing, so what is the newest, or the only one, is not known.
    #[error("VM `{vm}` has {listed} checkpoints by its own configuration, {found} of them are here")]
    MissingCheckpoints {
        /// The VM.
        vm: String,
        /// How many its configuration counts.
        listed: usize,
        /// How many were found.
        found: usize,
        /// The states that are known.
        candidates: Vec<CheckpointChoice>,
    },
    /// Several checkpoints have that name, or begin with that part of a GUID.
    #[error("`{name}` names {} states of VM `{vm}`", candidates.len())]
    AmbiguousCheckpoint {
        /// The VM.
        vm: String,
        /// What the user said.
        name: String,
        /// The checkpoints that fit.
        candidates: Vec<CheckpointChoice>,
    },
    /// The VM's own configuration is missing.
    #[error("the running state of VM `{vm}` is not known: its configuration is missing")]
    NoCurrent {
        /// The VM.
        vm: String,
    },
    /// The state has no disk.
    #[error("that state has no disk")]
    NoDisks,
    /// No disk of the state fits.
    #[error("no disk `{name}` in that state")]
    NoSuchDisk {
        /// What the user said.
        name: String,
        /// The disks of the state.
        candidates: Vec<DiskChoice>,
    },
    /// Several disks fit.
    #[error("{} disks to choose from", candidates.len())]
    SeveralDisks {
        /// The disks that fit.
        candidates: Vec<DiskChoice>,
    },
    /// The configuration records a disk that is not here.
    #[error(
        "the file of disk {} is not here, or not for certain: the configuration records `{recorded}`",
        disk
    )]
    DiskNotHere {
        /// Where it is attached.
        disk: String,
        /// The path on the host where the VM ran.
        recorded: String,
    },
    /// Several files fit the path that the configuration records.
    #[error("disk {disk}: {} files fit the recorded path `{recorded}`", candidates.len())]
    AmbiguousDiskFile {
        /// Where it is attached.
        disk: String,
        /// The path on the host where the VM ran.
        recorded: String,
        /// The files that fit.
        candidates: Vec<PathBuf>,
    },
    /// No disk file has that name.
    #[error("no disk file is called `{name}`")]
    NoSuchName {
        /// What the user said.
        name: String,
        /// What there is.
        candidates: Vec<PathBuf>,
    },
    /// Several disk files have that name.
    #[error("`{name}` names {} disk files", candidates.len())]
    AmbiguousName {
        /// What the user said.
        name: String,
        /// The files that have it.
        candidates: Vec<PathBuf>,
    },
    /// No name was given, and the images do not form exactly one leaf.
    #[error("`{}` has {} to choose from", folder.display(), states(candidates.len()))]
    SeveralLeaves {
        /// The folder.
        folder: PathBuf,
        /// The leaves, and what could not be read: it may be a leaf as well.
        candidates: Vec<LeafChoice>,
    },
}

fn states(count: usize) -> String {
    format!("{count} state{}", if count == 1 { "" } else { "s" })
}
