//! Everything that is wrong with a folder, as typed findings, worst first.
//!
//! [`check()`] looks at what [`Folder::inspect`] gathered and opens nothing again. What a finding means to a person, and
//! what to do about it, is for whoever prints it.

mod images;
mod links;
mod machines;
mod reach;

use std::error::Error;
use std::path::Path;

use uuid::Uuid;
use vhdx_format::{ImageError, Linkage, SectorSize};

use crate::folder::Folder;
use crate::machine::Vm;
use crate::vm::{ConfigurationError, ConfigurationWarning};
use reach::Reach;

/// One thing that is wrong, or that should be known.
#[derive(Debug)]
pub struct Finding<'a> {
    /// What it is.
    pub trouble: Trouble<'a>,
    /// What cannot be exported because of it.
    pub harm: Harm<'a>,
}

/// What cannot be exported.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Harm<'a> {
    /// States of VMs.
    pub states: Vec<StateName<'a>>,
    /// Images that are built on the one at fault.
    pub images: Vec<&'a Path>,
}

/// A state of a VM, by its names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StateName<'a> {
    /// The VM.
    pub vm: &'a str,
    /// Number and name of the checkpoint; `None` for the running state.
    pub checkpoint: Option<(usize, &'a str)>,
}

/// How bad a finding is, worst first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Gravity {
    /// A file is damaged.
    Damage,
    /// The files may be sound, but do not belong to each other.
    BrokenChain,
    /// A disk of a VM is not here, or not one for certain.
    MissingDisk,
    /// The system did not let us look.
    Unread,
    /// Exports work, but somebody should act, or know.
    Warning,
    /// Good to know.
    Note,
}

/// Why the image that lies where a child says is not its parent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mismatch {
    /// It is of the same disk, but was written to after the child was made.
    Changed(Uuid),
    /// It is an image of another disk.
    OtherDisk(Uuid),
    /// It cannot be read, so nobody knows.
    Unreadable,
}

/// What is wrong. Within one [`Gravity`] in the order in which findings are listed.
#[derive(Debug)]
pub enum Trouble<'a> {
    /// An image contradicts the format, ends too early, or asks for what is not known here.
    DamagedImage {
        /// The image.
        image: &'a Path,
        /// What is wrong, and where.
        fault: &'a ImageError,
    },
    /// A file is called `.vhdx` or `.avhdx` and is something else.
    NotAnImage {
        /// The file.
        file: &'a Path,
    },
    /// Nothing of a configuration can be read.
    DamagedConfiguration {
        /// The file.
        file: &'a Path,
        /// What is wrong, and where.
        error: &'a ConfigurationError,
    },
    /// Images that are each other's parents; the last one's parent is the first.
    Cycle {
        /// The images, child before parent.
        images: Vec<&'a Path>,
    },
    /// An image lies where the parent should, and is not the one that the child wants.
    Mismatch {
        /// The child.
        child: &'a Path,
        /// What lies in the parent's place.
        found: &'a Path,
        /// The identity that the child wants.
        wanted: Linkage,
        /// Why it is not the parent.
        why: Mismatch,
    },
    /// No image here is the parent that the child wants.
    MissingParent {
        /// The child.
        child: &'a Path,
        /// The identity that it wants.
        wanted: Linkage,
        /// Where it says the parent is, in Windows' notation.
        stored: Option<&'a str>,
    },
    /// Several images have the identity that the child wants, none of them where it says.
    AmbiguousParent {
        /// The child.
        child: &'a Path,
        /// The identity that it wants.
        wanted: Linkage,
        /// The images that have it.
        candidates: Vec<&'a Path>,
    },
    /// The sectors of a child and its parent differ, which no chain has.
    UnfitParent {
        /// The child.
        child: &'a Path,
        /// Its parent.
        parent: &'a Path,
        /// Their logical sectors: the child's, the parent's.
        sectors: (SectorSize, SectorSize),
    },
    /// A configuration records a disk that is not here.
    MissingDisk {
        /// The states that need it.
        states: Vec<StateName<'a>>,
        /// Where it is attached.
        slot: String,
        /// Its path on the host where the VM ran.
        recorded: &'a str,
    },
    /// Several images here fit the path that a configuration records.
    AmbiguousDisk {
        /// The states that need it.
        states: Vec<StateName<'a>>,
        /// Where it is attached.
        slot: String,
        /// Its path on the host where the VM ran.
        recorded: &'a str,
        /// The images.
        candidates: Vec<&'a Path>,
    },
    /// A file or folder cannot be read.
    Unread {
        /// The file or folder.
        path: &'a Path,
        /// What the system said, or which limit it is over.
        error: &'a (dyn Error + 'static),
    },
    /// There are checkpoints, but not the configuration of the VM itself.
    MissingConfiguration {
        /// What the VM is called here.
        vm: &'a str,
        /// How many checkpoints there are.
        checkpoints: usize,
    },
    /// A VM's configuration counts more checkpoints than there are configurations of.
    MissingCheckpoints {
        /// The VM.
        vm: &'a str,
        /// Its configuration.
        file: &'a Path,
        /// How many it counts.
        listed: usize,
        /// How many were found.
        found: usize,
    },
    /// Parts of a configuration make no sense or are lost.
    FaultyConfiguration {
        /// The file.
        file: &'a Path,
        /// What was noticed.
        warnings: &'a [ConfigurationWarning],
        /// Warnings that were only counted.
        left_out: usize,
    },
    /// A configuration says that disks were waiting to be merged.
    MergePending {
        /// The file.
        file: &'a Path,
    },
    /// A checkpoint that backup software made and should have removed.
    RecoveryCheckpoint {
        /// The checkpoint.
        checkpoint: StateName<'a>,
        /// Its configuration.
        file: &'a Path,
    },
    /// A disk of backup software that no configuration uses any more.
    RecoveryImage {
        /// The image.
        image: &'a Path,
    },
    /// Several images say that they are the same one.
    Copies {
        /// The images.
        images: Vec<&'a Path>,
        /// The identity that they share.
        data_write_guid: Uuid,
    },
    /// A child that no configuration uses: left by a deleted checkpoint, or an abandoned branch.
    UnusedChild {
        /// The image.
        image: &'a Path,
    },
    /// A whole disk that no configuration uses.
    UnusedDisk {
        /// The image.
        image: &'a Path,
    },
    /// The image was not closed properly; its log is replayed in memory whenever it is read.
    DirtyLog {
        /// The image.
        image: &'a Path,
        /// How many entries the log has.
        entries: u64,
    },
    /// Which checkpoint a state came from is only a guess by time.
    GuessedParent {
        /// The state.
        state: StateName<'a>,
        /// The checkpoint that it probably came from.
        parent: StateName<'a>,
    },
    /// Images without any configuration of a VM.
    NoConfiguration {
        /// How many.
        images: usize,
    },
    /// A disk of a format that is not read here.
    OtherFormat {
        /// The file.
        file: &'a Path,
    },
}

impl Trouble<'_> {
    /// How bad it is.
    #[must_use]
    pub fn gravity(&self) -> Gravity {
        match self {
            Self::DamagedImage { .. } | Self::NotAnImage { .. } | Self::DamagedConfiguration { .. } => {
                Gravity::Damage
            }
            Self::Cycle { .. }
            | Self::Mismatch { .. }
            | Self::MissingParent { .. }
            | Self::AmbiguousParent { .. }
            | Self::UnfitParent { .. } => Gravity::BrokenChain,
            Self::MissingDisk { .. } | Self::AmbiguousDisk { .. } => Gravity::MissingDisk,
            Self::Unread { .. } => Gravity::Unread,
            Self::MissingConfiguration { .. }
            | Self::MissingCheckpoints { .. }
            | Self::FaultyConfiguration { .. }
            | Self::MergePending { .. }
            | Self::RecoveryCheckpoint { .. }
            | Self::RecoveryImage { .. }
            | Self::Copies { .. } => Gravity::Warning,
            Self::UnusedChild { .. }
            | Self::UnusedDisk { .. }
            | Self::DirtyLog { .. }
            | Self::GuessedParent { .. }
            | Self::NoConfiguration { .. }
            | Self::OtherFormat { .. } => Gravity::Note,
        }
    }
}

/// Everything wrong with a folder, or, with `only`, everything that may concern that VM: its states, its disks with what
/// they are built on and what is built on them, and files of which nobody can tell whose they are.
///
/// Block tables are judged only where the folder was [inspected](Folder::inspect).
#[must_use]
pub fn check<'a>(folder: &'a Folder, only: Option<&'a Vm>) -> Vec<Finding<'a>> {
    let reach = Reach::new(folder, only);
    let mut findings = Vec::new();
    images::damaged(&reach, &mut findings);
    links::broken(&reach, &mut findings);
    machines::disks(&reach, &mut findings);
    images::unread(&reach, &mut findings);
    machines::configurations(&reach, &mut findings);
    images::noteworthy(&reach, &mut findings);
    machines::guesses(&reach, &mut findings);
    findings.sort_by_key(|finding| finding.trouble.gravity());
    findings
}
