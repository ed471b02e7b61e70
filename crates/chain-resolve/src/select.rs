//! From what the user said to the files whose states are wanted: `--vm`, `--checkpoint`, `--disk`.
//!
//! Whenever more than one thing fits, the candidates are the answer; none is ever picked.

use std::path::{Path, PathBuf};

use crate::choice::{CheckpointChoice, DiskChoice, LeafChoice, VmChoice};
use crate::folder::{self, Folder, FolderError};
use crate::machine::{Checkpoint, DiskFile, State, StateDisk, Vm};
use crate::names;
use crate::policy::SearchPolicy;

/// What the user said.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// A folder, a VM configuration, or a disk file.
    pub source: &'a Path,
    /// Name or GUID of a VM.
    pub vm: Option<&'a str>,
    /// Name, GUID, `@current`, `@latest` or `#N` of a checkpoint; or the name of a disk file.
    pub checkpoint: Option<&'a str>,
    /// A slot (`scsi0:1`), or the stem of the disk's base image.
    pub disk: Option<&'a str>,
    /// More folders for parents.
    pub parent_dirs: &'a [PathBuf],
    /// A file that is about to be replaced, and so is no state to choose.
    pub target: Option<&'a Path>,
}

/// The disks whose states are wanted, and where their parents may be looked for.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The disks; never none.
    pub disks: Vec<SelectedDisk>,
    /// The VM, where a configuration names it.
    pub vm: Option<String>,
    /// The checkpoint's name or `@current`, where a configuration names it.
    pub checkpoint: Option<String>,
    /// The folders of SOURCE and `--parent-dir`.
    pub policy: SearchPolicy,
}

/// One disk in one state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SelectedDisk {
    /// The file whose state is wanted: the leaf of the chain.
    pub leaf: PathBuf,
    /// What to call the disk: the stem of its base image.
    pub name: String,
    /// Where it is attached, if a configuration says so: `scsi0:1`.
    pub slot: Option<String>,
}

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
    #[error("VM `{vm}` has checkpoints: {} states to choose from", candidates.len())]
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
    /// Several checkpoints have that name, or begin with that part of a GUID.
    #[error("`{name}` names {} checkpoints of VM `{vm}`", candidates.len())]
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
    /// The state has no disk, or none that fits.
    #[error("no disk `{name}` in that state")]
    NoSuchDisk {
        /// What the user said, or `*`.
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
    #[error("the file of disk {} is not here: the configuration records `{recorded}`", disk)]
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
    #[error("`{}` has {} states to choose from", folder.display(), candidates.len())]
    SeveralLeaves {
        /// The folder.
        folder: PathBuf,
        /// The leaves, and what could not be read: it may be a leaf as well.
        candidates: Vec<LeafChoice>,
    },
}

/// Finds the disks.
///
/// A disk file as SOURCE is the leaf itself, unless `checkpoint` names another file in its folder. Where there are VM
/// configurations, they say what a checkpoint is; where there are none, states are named by their files.
pub fn select(request: &Request<'_>) -> Result<Selection, SelectError> {
    let Request { source, checkpoint, parent_dirs, .. } = *request;
    let is_file = std::fs::metadata(source).is_ok_and(|metadata| !metadata.is_dir());
    if is_file && checkpoint.is_none() && !folder::is_configuration(source) {
        let policy = folder::policy_for(source, parent_dirs)?;
        let name = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let disk = SelectedDisk { leaf: source.to_path_buf(), name, slot: None };
        return Ok(Selection { disks: vec![disk], vm: None, checkpoint: None, policy });
    }
    let folder = Folder::scan(source, parent_dirs)?.without(request.target);
    let Some(vm) = which_vm(&folder, request)? else {
        return Ok(file_state(&folder, names::disk_file(&folder, checkpoint, request.disk)?));
    };
    match which_state(&folder, vm, request)? {
        Some((label, state)) => {
            let disks = disks_of(&folder, state, request.disk)?;
            let (vm, checkpoint) = (Some(vm.name.clone()), Some(label));
            Ok(Selection { disks, vm, checkpoint, policy: folder.policy().clone() })
        }
        None => Ok(file_state(&folder, names::disk_file(&folder, checkpoint, request.disk)?)),
    }
}

/// A state that is named by its disk file.
fn file_state(folder: &Folder, leaf: PathBuf) -> Selection {
    let index = folder.images().find(|(_, image)| image.path == leaf).map(|(index, _)| index);
    let stem = index.and_then(|index| folder.base_stem(index)).unwrap_or("disk").to_owned();
    let disk = SelectedDisk { leaf, name: stem, slot: None };
    Selection { disks: vec![disk], vm: None, checkpoint: None, policy: folder.policy().clone() }
}

/// The VMs that are meant where several may be: those that are called `name`, the one of the configuration that `source`
/// is, else all of them.
pub fn select_vms<'a>(
    folder: &'a Folder,
    source: &Path,
    name: Option<&str>,
) -> Result<Vec<&'a Vm>, SelectError> {
    let all = folder.machines();
    if let Some(name) = name {
        return vms_named(folder, name);
    }
    let own = std::fs::canonicalize(source).unwrap_or_default();
    let of_file = all.iter().find(|vm| names::configurations(vm).any(|path| path == own));
    Ok(of_file.map_or_else(|| all.iter().collect(), |vm| vec![vm]))
}

/// The one VM that is meant; `None` where there is no configuration, or where the checkpoint is the name of a disk file
/// and VMs are not asked for.
fn which_vm<'a>(folder: &'a Folder, request: &Request<'_>) -> Result<Option<&'a Vm>, SelectError> {
    match select_vms(folder, request.source, request.vm)?.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        several => match request.checkpoint {
            Some(name)
                if request.vm.is_none() && names::disk_file(folder, Some(name), request.disk).is_ok() =>
            {
                Ok(None)
            }
            _ => Err(SelectError::SeveralVms { candidates: choices(several.iter().copied()) }),
        },
    }
}

/// The VMs of that name or GUID; at least one.
fn vms_named<'a>(folder: &'a Folder, name: &str) -> Result<Vec<&'a Vm>, SelectError> {
    let fitting = names::vms(folder.machines(), name);
    if fitting.is_empty() {
        let candidates = choices(folder.machines());
        return Err(SelectError::NoSuchVm { name: name.to_owned(), candidates });
    }
    Ok(fitting)
}

/// The one VM of that name or GUID.
pub fn vm_named<'a>(folder: &'a Folder, name: &str) -> Result<&'a Vm, SelectError> {
    match vms_named(folder, name)?.as_slice() {
        [only] => Ok(only),
        several => Err(SelectError::SeveralVms { candidates: choices(several.iter().copied()) }),
    }
}

fn choices<'a>(vms: impl IntoIterator<Item = &'a Vm>) -> Vec<VmChoice> {
    vms.into_iter().map(VmChoice::of).collect()
}

/// The state that is meant, with its label; `None` where the checkpoint is the name of a disk file.
fn which_state<'a>(
    folder: &Folder,
    vm: &'a Vm,
    request: &Request<'_>,
) -> Result<Option<(String, &'a State)>, SelectError> {
    let current = || {
        let state = vm.current.as_ref().map(|state| Some((names::CURRENT.to_owned(), state)));
        state.ok_or_else(|| SelectError::NoCurrent { vm: vm.name.clone() })
    };
    let named = |checkpoint: &'a Checkpoint| Ok(Some((checkpoint.name.clone(), &checkpoint.state)));
    let Some(name) = request.checkpoint else {
        let own = std::fs::canonicalize(request.source).unwrap_or_default();
        return match vm.checkpoints.iter().find(|checkpoint| checkpoint.configuration == own) {
            Some(checkpoint) => named(checkpoint),
            None if vm.checkpoints.is_empty() => current(),
            None => {
                let candidates = CheckpointChoice::all(vm);
                Err(SelectError::WhichCheckpoint { vm: vm.name.clone(), candidates })
            }
        };
    };
    if name.eq_ignore_ascii_case(names::CURRENT) {
        return current();
    }
    let fitting = names::checkpoints(vm, name);
    match fitting.as_slice() {
        [(_, only)] => named(only),
        [] if names::disk_file(folder, Some(name), request.disk).is_ok() => Ok(None),
        [] => Err(SelectError::NoSuchCheckpoint {
            vm: vm.name.clone(),
            name: name.to_owned(),
            candidates: CheckpointChoice::all(vm),
        }),
        several => Err(SelectError::AmbiguousCheckpoint {
            vm: vm.name.clone(),
            name: name.to_owned(),
            candidates: several.iter().map(|(number, found)| CheckpointChoice::of(*number, found)).collect(),
        }),
    }
}

/// The disks of a state that fit, each with its file.
fn disks_of(folder: &Folder, state: &State, wanted: Option<&str>) -> Result<Vec<SelectedDisk>, SelectError> {
    let choice = |disk: &StateDisk| DiskChoice::of(folder, disk);
    let fits = |disk: &&StateDisk| wanted.is_none_or(|wanted| choice(disk).is_called(wanted));
    let fitting: Vec<&StateDisk> = state.disks.iter().filter(fits).collect();
    if fitting.is_empty() {
        let candidates = state.disks.iter().map(choice).collect();
        return Err(SelectError::NoSuchDisk { name: wanted.unwrap_or("*").to_owned(), candidates });
    }
    fitting.into_iter().map(|disk| selected(folder, disk)).collect()
}

fn selected(folder: &Folder, disk: &StateDisk) -> Result<SelectedDisk, SelectError> {
    let path = |index| folder.catalog().image(index).map(|image| image.path.clone());
    let choice = DiskChoice::of(folder, disk);
    let recorded = disk.slot.path.clone();
    match &disk.file {
        DiskFile::Found(index) => Ok(SelectedDisk {
            leaf: path(*index).unwrap_or_default(),
            name: choice.stem.clone().unwrap_or_else(|| choice.slot.replace(':', "-")),
            slot: Some(choice.slot),
        }),
        DiskFile::Missing => Err(SelectError::DiskNotHere { disk: choice.slot, recorded }),
        DiskFile::Ambiguous(candidates) => Err(SelectError::AmbiguousDiskFile {
            disk: choice.slot,
            recorded,
            candidates: candidates.iter().filter_map(|index| path(*index)).collect(),
        }),
    }
}

impl Selection {
    /// The one disk, where only one can be meant.
    pub fn only_disk(&self) -> Result<&SelectedDisk, SelectError> {
        match self.disks.as_slice() {
            [only] => Ok(only),
            several => Err(SelectError::SeveralDisks {
                candidates: several.iter().map(DiskChoice::of_selected).collect(),
            }),
        }
    }
}
