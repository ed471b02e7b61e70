//! Putting the configurations and images of a folder together: which files are one VM, and whose checkpoints are whose.
//!
//! Where files disagree, the stronger witness counts: the folder before a key whose values were never confirmed, an id
//! before nearness, chains of disks before being alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::recorded;
use super::{
    Checkpoint, CheckpointKind, Created, CreatedSource, DiskFile, State, StateDisk, Vm, ancestry, claims,
};
use crate::catalog::{Catalog, ConfigurationFile};
use crate::policy::same_name;
use crate::vm::{Configuration, ControllerKind, Timestamp, is_recovery_name, parse_guid};

/// The VMs whose configurations the catalogue has, sorted by name. Images that no configuration leads to belong to none.
#[must_use]
pub fn machines(catalog: &Catalog) -> Vec<Vm> {
    let files: Vec<File<'_>> =
        catalog.configurations().iter().filter_map(|file| File::new(file, catalog)).collect();
    let (vms, checkpoints): (Vec<&File<'_>>, Vec<&File<'_>>) =
        files.iter().partition(|file| !file.is_checkpoint(&files, catalog));
    let mut groups: Vec<Group<'_>> = vms.into_iter().map(Group::of_vm).collect();
    // Checkpoints whose VM is not here, by folder and by the VM they name.
    let mut lost: BTreeMap<(&Path, Option<Uuid>), Group<'_>> = BTreeMap::new();
    for checkpoint in checkpoints {
        let group = match owner(checkpoint, &groups, catalog) {
            Some(owner) => groups.get_mut(owner),
            None => Some(lost.entry((&checkpoint.home, checkpoint.foreign_id())).or_default()),
        };
        if let Some(group) = group {
            group.checkpoints.push(checkpoint);
        }
    }
    groups.extend(lost.into_values());
    let mut machines: Vec<Vm> = groups.iter().map(Group::vm).collect();
    claims::settle(&mut machines, catalog);
    for vm in &mut machines {
        ancestry::find_parents(vm, catalog);
        ancestry::sort_by_ancestry(vm);
        vm.notes.extend(ancestry::contradicted_hints(vm));
    }
    machines.sort_by(|a, b| (&a.name, &a.configuration).cmp(&(&b.name, &b.configuration)));
    machines
}

/// A configuration with what its place among the files tells.
pub(super) struct File<'a> {
    path: &'a Path,
    modified: Option<Timestamp>,
    configuration: &'a Configuration,
    /// The name of its folder.
    folder: &'a str,
    /// The VM's folder: that of the file, or the one above where Hyper-V's own folder names say so.
    home: PathBuf,
    id: Option<Uuid>,
    disks: Vec<StateDisk>,
}

/// Folders with copies and other things that are no VMs of their own.
const FOREIGN_FOLDERS: [&str; 7] = [
    "Virtual Machines Cache",
    "Snapshots Cache",
    "Resource Types",
    "Groups",
    "Persistent Tasks",
    "UndoLog Configurations",
    "Planned Virtual Machines",
];

impl<'a> File<'a> {
    fn new(file: &'a ConfigurationFile, catalog: &Catalog) -> Option<Self> {
        let configuration = file.configuration.as_ref().ok()?;
        let parent = file.path.parent().unwrap_or(Path::new("/"));
        let folder = parent.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if FOREIGN_FOLDERS.iter().any(|foreign| same_name(folder, foreign)) {
            return None;
        }
        let home = recorded::home_of(&file.path);
        let stem = file.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let disks = configuration.disks.iter().map(|slot| {
            // A path whose checksum is wrong may be another disk's.
            let file =
                if slot.verified { recorded::find(catalog, &home, &slot.path) } else { DiskFile::Missing };
            StateDisk { slot: slot.clone(), file }
        });
        Some(Self {
            path: &file.path,
            modified: file.modified.and_then(Timestamp::from_system_time),
            configuration,
            folder,
            disks: disks.collect(),
            id: parse_guid(stem).or(configuration.id),
            home,
        })
    }

    /// The VM that the configuration names beside itself.
    fn foreign_id(&self) -> Option<Uuid> {
        self.configuration.logical_id.filter(|id| Some(*id) != self.id)
    }

    /// The folder says it first. In a flattened backup, a type that says so, a VM that is named beside itself or that
    /// lists it, and at last disks on which another configuration's disks are built.
    fn is_checkpoint(&self, all: &[Self], catalog: &Catalog) -> bool {
        if same_name(self.folder, "Virtual Machines") || same_name(self.folder, "Snapshots") {
            return same_name(self.folder, "Snapshots");
        }
        let typed = self.configuration.type_id.as_deref().unwrap_or_default();
        typed.to_ascii_lowercase().contains("snapshot")
            || self.foreign_id().is_some()
            || all.iter().any(|other| {
                !std::ptr::eq(self, other)
                    && (other.lists(self) || !self.may_be_template() && other.is_built_on(self, catalog))
            })
    }

    /// Whether this VM's list of checkpoints has that one.
    fn lists(&self, checkpoint: &Self) -> bool {
        checkpoint.id.is_some_and(|id| {
            Some(id) != self.id && self.configuration.listed_checkpoints.iter().any(|listed| listed.id == id)
        })
    }

    /// Whether some disk of `checkpoint` lies under the one that this file has in the same slot of the same controller. A
    /// linked clone is built on another VM's disk as well, but has controllers of its own.
    fn is_built_on(&self, checkpoint: &Self, catalog: &Catalog) -> bool {
        self.disks.iter().any(|disk| {
            let under = disk.file.image().map(|image| catalog.ancestors(image)).unwrap_or_default();
            checkpoint.disks.iter().any(|frozen| {
                let slots = [disk, frozen].map(|disk| {
                    let slot = &disk.slot;
                    (slot.kind, slot.instance, slot.controller, slot.location)
                });
                slots[0] == slots[1] && frozen.file.image().is_some_and(|frozen| under.contains(&frozen))
            })
        })
    }

    /// Whether it calls itself a VM and has nothing but IDE disks, whose controller is the same in every VM: then chains
    /// can not tell a checkpoint from the template of a linked clone.
    fn may_be_template(&self) -> bool {
        let typed = self.configuration.type_id.as_deref().unwrap_or_default();
        same_name(typed, "Virtual Machines")
            && self.disks.iter().all(|disk| disk.slot.kind == ControllerKind::Ide)
    }

    fn state(&self) -> State {
        State { disks: self.disks.clone(), ..State::default() }
    }

    /// Backup software names its temporary disk so.
    fn kind(&self) -> CheckpointKind {
        let is_recovery = self.disks.iter().any(|disk| is_recovery_name(&disk.slot.path));
        if is_recovery { CheckpointKind::Recovery } else { CheckpointKind::Standard }
    }

    /// The one GUID under a key that speaks of a parent.
    fn hinted_parent(&self) -> Option<Uuid> {
        let speaks_of_parent = |path: &str| {
            path.rsplit('/').next().is_some_and(|key| key.to_ascii_lowercase().contains("parent"))
        };
        let references = &self.configuration.references;
        only(references.iter().filter(|reference| speaks_of_parent(&reference.path))).map(|found| found.id)
    }

    /// A time that equals the VM's own was copied with the configuration and says nothing about the checkpoint.
    fn created(&self, vm: Option<&Self>) -> Option<Created> {
        let vm_created = vm.and_then(|vm| vm.configuration.created);
        let own = self.configuration.created.filter(|at| Some(*at) != vm_created);
        let sources = [
            (own, CreatedSource::Configuration),
            (self.configuration.last_state_change, CreatedSource::StateChange),
            (self.modified, CreatedSource::FileTime),
        ];
        sources.into_iter().find_map(|(at, source)| Some(Created { at: at?, source }))
    }
}

/// The VM that a checkpoint belongs to: the one it names, the nearest where several copies of it are here; the one that
/// lists it; the one whose disks are built on its disks; the only one in its folder.
fn owner(checkpoint: &File<'_>, groups: &[Group<'_>], catalog: &Catalog) -> Option<usize> {
    let named = checkpoint.foreign_id();
    let witnesses: [&dyn Fn(&File<'_>) -> bool; 4] = [
        &|vm| named.is_some() && vm.id == named,
        &|vm| vm.lists(checkpoint),
        &|vm| vm.is_built_on(checkpoint, catalog),
        &|vm| named.is_none() && vm.home == checkpoint.home,
    ];
    witnesses.iter().find_map(|fits| {
        let fitting = || {
            let all = groups.iter().enumerate().filter_map(|(index, group)| Some((index, group.own?)));
            all.filter(|(_, vm)| fits(vm))
        };
        let near = fitting().filter(|(_, vm)| vm.home == checkpoint.home);
        only(near).or_else(|| only(fitting())).map(|(index, _)| index)
    })
}

fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next()?;
    items.next().is_none().then_some(first)
}

/// The files of one VM.
#[derive(Default)]
struct Group<'a> {
    own: Option<&'a File<'a>>,
    checkpoints: Vec<&'a File<'a>>,
}

impl<'a> Group<'a> {
    fn of_vm(own: &'a File<'a>) -> Self {
        Self { own: Some(own), checkpoints: Vec::new() }
    }

    fn vm(&self) -> Vm {
        let named = |file: &File<'_>| file.configuration.name.clone().filter(|name| !name.is_empty());
        let lost_id = self.checkpoints.first().and_then(|checkpoint| checkpoint.foreign_id());
        let id = self.own.map_or(lost_id, |own| own.id);
        let name = self.own.and_then(named).or(id.map(|id| id.to_string()));
        let mut checkpoints: Vec<Checkpoint> =
            self.checkpoints.iter().map(|file| self.checkpoint(file)).collect();
        checkpoints.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
        Vm {
            name: name.unwrap_or_else(|| "(unknown VM)".to_owned()),
            id,
            configuration: self.own.map(|own| own.path.to_path_buf()),
            version: self.own.and_then(|own| own.configuration.version),
            generation: self.own.and_then(|own| own.configuration.generation),
            listed_checkpoints: self.own.and_then(|own| own.configuration.checkpoint_count),
            notes: self.notes(),
            current: self.own.map(File::state),
            checkpoints,
        }
    }

    fn checkpoint(&self, file: &File<'_>) -> Checkpoint {
        let name = file.configuration.name.clone().filter(|name| !name.is_empty());
        Checkpoint {
            id: file.id,
            name: name.or(file.id.map(|id| id.to_string())).unwrap_or_default(),
            created: file.created(self.own),
            kind: file.kind(),
            hinted_parent: file.hinted_parent(),
            configuration: file.path.to_path_buf(),
            state: file.state(),
        }
    }

    fn notes(&self) -> Vec<String> {
        let missing = "the VM's own configuration is missing, so its running state is not known";
        let mut notes: Vec<String> = self.own.is_none().then(|| missing.to_owned()).into_iter().collect();
        for file in self.own.into_iter().chain(self.checkpoints.iter().copied()) {
            let name = file.path.display();
            notes.extend(file.configuration.warnings.iter().map(|warning| format!("`{name}`: {warning}")));
        }
        notes
    }
}

/// By time, then by what is left to tell checkpoints apart.
fn sort_key(checkpoint: &Checkpoint) -> (bool, Option<Timestamp>, &str, Option<Uuid>) {
    let at = checkpoint.created.map(|created| created.at);
    (at.is_none(), at, &checkpoint.name, checkpoint.id)
}
