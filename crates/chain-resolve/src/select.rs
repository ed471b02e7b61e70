//! From what the user said to the files whose states are wanted: `--vm`, `--checkpoint`, `--disk`.
//!
//! Whenever more than one thing fits, the candidates are the answer; none is ever picked.

use std::io;
use std::path::{Path, PathBuf};

use limits::Limits;
use uuid::Uuid;

use crate::choice::{CheckpointChoice, DiskChoice, VmChoice, slot_name};
use crate::folder::{self, Folder, FolderError};
use crate::machine::{self, Checkpoint, DiskFile, State, StateDisk, Vm};
use crate::names::{self, DiskFiles, Special};
use crate::policy::{SearchPolicy, same_name};
use crate::select_error::SelectError;
use crate::vm::Timestamp;

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
    /// The limits on what is read.
    pub limits: Limits,
}

/// The disks whose states are wanted, and where their parents may be looked for.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The disks; never none.
    pub disks: Vec<SelectedDisk>,
    /// The VM, where a configuration names it.
    pub vm: Option<SelectedVm>,
    /// The checkpoint or the running state, where a configuration names it.
    pub checkpoint: Option<SelectedCheckpoint>,
    /// The folders of SOURCE and `--parent-dir`.
    pub policy: SearchPolicy,
    /// What should be known of how the disks were found.
    pub notes: Vec<SelectionNote>,
    /// Files of SOURCE that nothing may replace, besides those that are read.
    pub protected: Vec<PathBuf>,
}

/// The VM whose disks were selected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SelectedVm {
    /// Its name.
    pub name: String,
    /// Its identity, where a configuration tells it.
    pub id: Option<Uuid>,
}

/// The state of a VM that was selected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SelectedCheckpoint {
    /// The checkpoint's name, or `@current`.
    pub name: String,
    /// Its identity, where a configuration tells it; `None` for the running state.
    pub id: Option<Uuid>,
    /// When it was taken, where that is known.
    pub created: Option<Timestamp>,
}

impl SelectedCheckpoint {
    fn of(checkpoint: &Checkpoint) -> Self {
        let created = checkpoint.created.map(|created| created.at);
        Self { name: checkpoint.name.clone(), id: checkpoint.id, created }
    }

    fn current() -> Self {
        Self { name: names::CURRENT.to_owned(), id: None, created: None }
    }
}

/// What should be known of how a disk was found.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SelectionNote {
    /// Nothing but the end of the recorded path says that it is the disk.
    #[error("disk {slot} is `{}`, by the end of the recorded path `{recorded}` alone", found.display())]
    ByName {
        /// Where it is attached.
        slot: String,
        /// The path on the host where the VM ran.
        recorded: String,
        /// The file.
        found: PathBuf,
    },
    /// Something was noticed when the VM was put together.
    #[error("VM `{vm}`: {note}")]
    Vm {
        /// The VM.
        vm: String,
        /// What was noticed.
        note: String,
    },
    /// The state is that of a disk file, not of a checkpoint.
    #[error("this is the state of the disk file `{}`, not of a checkpoint", .0.display())]
    ByFile(PathBuf),
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

/// Finds the disks.
///
/// A disk file as SOURCE is the leaf itself, unless `checkpoint` names another state of that disk. Where there are VM
/// configurations, they say what a checkpoint is; where there are none, states are named by their files.
pub fn select(request: &Request<'_>) -> Result<Selection, SelectError> {
    if is_lone_file(request)? {
        return lone_file(request);
    }
    let folder = Folder::scan(request.source, request.parent_dirs, &request.limits)?;
    select_in(&folder.without(request.target), request)
}

/// Whether SOURCE is a disk file that stands for its own state: then no folder is looked at.
pub fn is_lone_file(request: &Request<'_>) -> Result<bool, SelectError> {
    Ok(request.checkpoint.is_none() && is_image(request.source)?)
}

fn is_image(source: &Path) -> Result<bool, FolderError> {
    let looked = std::fs::metadata(source).map_err(|error| FolderError::look(source, error))?;
    Ok(!looked.is_dir() && !folder::is_configuration(source))
}

/// The same in the folder of SOURCE, which was scanned before and may serve many requests.
pub fn select_in(folder: &Folder, request: &Request<'_>) -> Result<Selection, SelectError> {
    let own_disk = if is_image(request.source)? { disk_of_file(folder, request.source)? } else { None };
    let request = &Request { disk: request.disk.or(own_disk.as_deref()), ..*request };
    let vm = which_vm(folder, request)?;
    match vm.map(|vm| which_state(folder, vm, request).map(|state| (vm, state))).transpose()? {
        Some((vm, Some((checkpoint, state)))) => state_of(folder, vm, checkpoint, state, request.disk),
        found => {
            let which = DiskFiles {
                disk: request.disk,
                vm: found.map(|(vm, _)| vm).filter(|_| request.vm.is_some()),
                with_suffix: !folder.machines().is_empty(),
            };
            Ok(file_state(folder, names::disk_file(folder, request.checkpoint, which)?))
        }
    }
}

/// One disk of a state, whether it can be had or not.
#[derive(Debug)]
pub struct EachDisk {
    /// What `--disk` calls it.
    pub name: String,
    /// It alone, or why it can not be had.
    pub selection: Result<Selection, SelectError>,
}

/// Each disk of the state of `vm` that the request names: one that can not be had does not stand in the way of the others.
pub fn select_each(folder: &Folder, vm: &Vm, request: &Request<'_>) -> Result<Vec<EachDisk>, SelectError> {
    let Some((checkpoint, state)) = which_state(folder, vm, request)? else {
        let selection = select_in(folder, request)?;
        let name = selection.only_disk()?.name.clone();
        return Ok(vec![EachDisk { name, selection: Ok(selection) }]);
    };
    let each = state.disks.iter().filter(|disk| is_attached(state, disk)).map(|disk| {
        let name = slot_name(&disk.slot);
        EachDisk { selection: state_of(folder, vm, checkpoint.clone(), state, Some(&name)), name }
    });
    Ok(each.collect())
}

/// A disk file stands for its own state.
fn lone_file(request: &Request<'_>) -> Result<Selection, SelectError> {
    let flags = [(request.vm, "--vm"), (request.disk, "--disk")];
    if let Some((_, flag)) = flags.into_iter().find(|(value, _)| value.is_some()) {
        return Err(SelectError::OneFile(flag));
    }
    let source = request.source;
    let stem = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Selection {
        disks: vec![SelectedDisk { leaf: source.to_path_buf(), name: stem, slot: None }],
        vm: None,
        checkpoint: None,
        policy: folder::policy_for(source, request.parent_dirs)?.within(request.limits),
        notes: Vec::new(),
        protected: request
            .target
            .map(|target| protected_around(target, &request.limits))
            .transpose()?
            .unwrap_or_default(),
    })
}

/// What nothing may replace beside a target that is a VM's by its name. Any other is not worth a look at its folder,
/// which may be as large as a whole disk.
fn protected_around(target: &Path, limits: &Limits) -> Result<Vec<PathBuf>, SelectError> {
    let suffix = target.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default();
    let is_named_so =
        folder::is_configuration(target) || ["vhdx", "avhdx"].iter().any(|known| same_name(suffix, known));
    if !is_named_so {
        return Ok(Vec::new());
    }
    match std::fs::metadata(target) {
        Ok(found) if found.is_file() => {}
        Err(error) if !is_absence(&error) => return Err(FolderError::look(target, error).into()),
        _ => return Ok(Vec::new()),
    }
    Ok(Folder::scan(target, &[], limits)?.protected())
}

/// The stem of the base of the disk that a file belongs to.
fn disk_of_file(folder: &Folder, file: &Path) -> Result<Option<String>, FolderError> {
    let real = std::fs::canonicalize(file).map_err(|error| FolderError::look(file, error))?;
    let found = folder.images().find(|(_, image)| image.path == real);
    Ok(found.and_then(|(index, _)| folder.base_stem(index)).map(str::to_owned))
}

/// Whether there is nothing of that name, rather than no way to find out.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// A state of a VM.
fn state_of(
    folder: &Folder,
    vm: &Vm,
    checkpoint: SelectedCheckpoint,
    state: &State,
    disk: Option<&str>,
) -> Result<Selection, SelectError> {
    let disks = disks_of(folder, state, disk)?;
    let of_vm = vm.notes.iter().map(|note| SelectionNote::Vm { vm: vm.name.clone(), note: note.clone() });
    let by_name = disks.iter().filter_map(|(disk, found)| by_name(folder, vm, disk, found));
    Ok(Selection {
        notes: of_vm.chain(by_name).collect(),
        disks: disks.into_iter().map(|(_, found)| found).collect(),
        vm: Some(SelectedVm { name: vm.name.clone(), id: vm.id }),
        checkpoint: Some(checkpoint),
        policy: folder.policy().clone(),
        protected: folder.protected(),
    })
}

/// Whether the disk lies elsewhere than in the VM's folder, or agrees in nothing but its file name, and no chain of the
/// same slot confirms it.
fn by_name(folder: &Folder, vm: &Vm, disk: &StateDisk, found: &SelectedDisk) -> Option<SelectionNote> {
    let image = disk.file.image()?;
    let catalog = folder.catalog();
    let slot = |disk: &StateDisk| (disk.slot.instance, disk.slot.controller, disk.slot.location);
    let others = vm.states().flat_map(|state| &state.disks).filter(|other| slot(other) == slot(disk));
    let is_confirmed = others.filter_map(|other| other.file.image()).any(|other| {
        other != image
            && (catalog.ancestors(other).contains(&image) || catalog.ancestors(image).contains(&other))
    });
    // A child's name has a GUID in it, which no other disk has.
    let is_unique = catalog.image(image).is_some_and(|image| {
        let stem = image.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        folder::disk_stem(stem) != stem
    });
    let is_home =
        machine::is_at_home(vm, &found.leaf) && machine::agreement(&found.leaf, &disk.slot.path) > 1;
    (!is_confirmed && !is_unique && !is_home).then(|| SelectionNote::ByName {
        slot: found.slot.clone().unwrap_or_default(),
        recorded: disk.slot.path.clone(),
        found: found.leaf.clone(),
    })
}

/// A state that is named by its disk file.
fn file_state(folder: &Folder, leaf: PathBuf) -> Selection {
    let index = folder.images().find(|(_, image)| image.path == leaf).map(|(index, _)| index);
    let stem = index.and_then(|index| folder.base_stem(index)).unwrap_or("disk").to_owned();
    let notes = (!folder.machines().is_empty()).then(|| SelectionNote::ByFile(leaf.clone()));
    Selection {
        disks: vec![SelectedDisk { leaf, name: stem, slot: None }],
        vm: None,
        checkpoint: None,
        policy: folder.policy().clone(),
        notes: notes.into_iter().collect(),
        protected: folder.protected(),
    }
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
    let own = std::fs::canonicalize(request.source).unwrap_or_default();
    let is_own = |vm: &&Vm| names::configurations(vm).any(|path| path == own);
    let lost = folder.lost_configurations();
    if request.vm.is_none() && lost.contains(&own) {
        return Err(SelectError::LostConfigurations(vec![own]));
    }
    match select_vms(folder, request.source, request.vm)?.as_slice() {
        // Whose state that is, a configuration would say.
        [] if !lost.is_empty() && request.checkpoint.and_then(names::special).is_some() => {
            Err(SelectError::LostConfigurations(lost))
        }
        [] => Ok(None),
        // The only one that can be read is not the only one.
        [only]
            if request.vm.is_none()
                && !is_own(only)
                && !request.checkpoint.is_some_and(|name| names::has_checkpoint_id(only, name))
                && lost.iter().any(|path| may_be_vm(path)) =>
        {
            Err(SelectError::LostConfigurations(lost))
        }
        [only] => Ok(Some(only)),
        several => match request.checkpoint {
            Some(name) if names_a_file_only(folder, several, name, request) => Ok(None),
            _ => Err(SelectError::SeveralVms { candidates: choices(several.iter().copied()) }),
        },
    }
}

fn may_be_vm(configuration: &Path) -> bool {
    let folder = configuration.parent().and_then(|folder| folder.file_name()).and_then(|name| name.to_str());
    !folder.is_some_and(|folder| same_name(folder, "Snapshots"))
}

/// Whether the name is that of a disk file, and no VM has a checkpoint of that name.
fn names_a_file_only(folder: &Folder, vms: &[&Vm], name: &str, request: &Request<'_>) -> bool {
    let which = DiskFiles { disk: request.disk, vm: None, with_suffix: true };
    request.vm.is_none()
        && vms.iter().all(|vm| names::checkpoints(vm, name).is_empty())
        && names::disk_file(folder, Some(name), which).is_ok()
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

/// The state that is meant; `None` where the checkpoint is the name of a disk file.
fn which_state<'a>(
    folder: &Folder,
    vm: &'a Vm,
    request: &Request<'_>,
) -> Result<Option<(SelectedCheckpoint, &'a State)>, SelectError> {
    let named =
        |checkpoint: &'a Checkpoint| Ok(Some((SelectedCheckpoint::of(checkpoint), &checkpoint.state)));
    let Some(name) = request.checkpoint else {
        let own = std::fs::canonicalize(request.source).unwrap_or_default();
        return match vm.checkpoints.iter().find(|checkpoint| checkpoint.configuration == own) {
            Some(checkpoint) => named(checkpoint),
            None if vm.checkpoints.is_empty() => {
                refuse_unknown_checkpoints(folder, vm)?;
                current(vm)
            }
            None => {
                let candidates = CheckpointChoice::all(vm);
                Err(SelectError::WhichCheckpoint { vm: vm.name.clone(), candidates })
            }
        };
    };
    let special = names::special(name);
    let fitting = names::checkpoints(vm, name);
    match (special, fitting.as_slice()) {
        (Some(Special::Current), []) => current(vm),
        (Some(Special::Latest | Special::Number(_)), [(_, only)]) => {
            refuse_unknown_checkpoints(folder, vm)?;
            named(only)
        }
        (None, [(_, only)]) => named(only),
        (_, []) if names_a_file(folder, vm, name, request) => Ok(None),
        (_, []) => Err(SelectError::NoSuchCheckpoint {
            vm: vm.name.clone(),
            name: name.to_owned(),
            candidates: CheckpointChoice::all(vm),
        }),
        (_, several) => Err(SelectError::AmbiguousCheckpoint {
            vm: vm.name.clone(),
            name: name.to_owned(),
            candidates: ambiguous(vm, special, several),
        }),
    }
}

/// The checkpoints that fit, and the running state where its word is some checkpoint's name.
fn ambiguous(vm: &Vm, special: Option<Special>, fitting: &[(usize, &Checkpoint)]) -> Vec<CheckpointChoice> {
    let running = CheckpointChoice::all(vm).into_iter().filter(|choice| choice.number.is_none());
    let running = running.filter(|_| special == Some(Special::Current));
    fitting.iter().map(|(number, found)| CheckpointChoice::of(*number, found)).chain(running).collect()
}

fn current(vm: &Vm) -> Result<Option<(SelectedCheckpoint, &State)>, SelectError> {
    let state = vm.current.as_ref().map(|state| Some((SelectedCheckpoint::current(), state)));
    state.ok_or_else(|| SelectError::NoCurrent { vm: vm.name.clone() })
}

fn names_a_file(folder: &Folder, vm: &Vm, name: &str, request: &Request<'_>) -> bool {
    let vm = request.vm.map(|_| vm);
    let which = DiskFiles { disk: request.disk, vm, with_suffix: true };
    names::disk_file(folder, Some(name), which).is_ok()
}

/// What is the newest checkpoint, which one is the third, and that there is none, is only known where all are known.
fn refuse_unknown_checkpoints(folder: &Folder, vm: &Vm) -> Result<(), SelectError> {
    let lost = folder.lost_configurations();
    if !lost.is_empty() {
        return Err(SelectError::LostConfigurations(lost));
    }
    let found = vm.checkpoints.len();
    match vm.listed_checkpoints {
        Some(listed) if listed > found => Err(SelectError::MissingCheckpoints {
            vm: vm.name.clone(),
            listed,
            found,
            candidates: CheckpointChoice::all(vm),
        }),
        _ => Ok(()),
    }
}

/// The disks of a state that fit, each with its file. Detached ones count where they are asked for, or are all there is.
fn disks_of<'a>(
    folder: &Folder,
    state: &'a State,
    wanted: Option<&str>,
) -> Result<Vec<(&'a StateDisk, SelectedDisk)>, SelectError> {
    let choice = |disk: &StateDisk| DiskChoice::of(folder, disk);
    let fits = |disk: &&StateDisk| match wanted {
        Some(wanted) => choice(disk).is_called(wanted),
        None => is_attached(state, disk),
    };
    let fitting: Vec<&StateDisk> = state.disks.iter().filter(fits).collect();
    if fitting.is_empty() {
        let candidates = state.disks.iter().map(choice).collect();
        return Err(match wanted {
            Some(wanted) => SelectError::NoSuchDisk { name: wanted.to_owned(), candidates },
            None => SelectError::NoDisks,
        });
    }
    fitting.into_iter().map(|disk| Ok((disk, selected(folder, disk)?))).collect()
}

/// Whether the disk is the VM's; where all are detached, every one is.
fn is_attached(state: &State, disk: &StateDisk) -> bool {
    !disk.slot.detached || state.disks.iter().all(|disk| disk.slot.detached)
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
