//! What a folder holds, as plain data: its VMs with their states, its images with their links, what could not be read.
//!
//! `list --json` and `tree --json` print it as it is; the texts of both commands are drawn from it. Files are named
//! relative to the folder, those outside it by their whole name. No file is opened: everything is in the catalogue.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use chain_resolve::machine::{Checkpoint, CheckpointKind, Created, CreatedSource, DiskFile};
use chain_resolve::machine::{State, StateDisk, StateParent, Vm};
use chain_resolve::vm::Generation;
use chain_resolve::{CatalogImage, Folder, ImageIndex, ParentLink, slot_name};
use serde::Serialize;
use vhdx_format::{Linkage, LogState};

use super::{Log, kind_name};
use crate::failure::with_sources;

/// What a folder holds.
#[derive(Debug, Serialize)]
pub(crate) struct FolderReport {
    /// Its real name.
    pub(crate) folder: String,
    pub(crate) vms: Vec<VmReport>,
    /// Every image of the folder, and those elsewhere that some state needs.
    pub(crate) images: Vec<ImageReport>,
    /// Configurations, files and folders that could not be read.
    pub(crate) unreadable: Vec<Unreadable>,
}

#[derive(Debug, Serialize)]
pub(crate) struct VmReport {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) generation: Option<u8>,
    /// Version of the configuration.
    pub(crate) version: Option<String>,
    /// `None` where only configurations of checkpoints are here.
    pub(crate) configuration: Option<String>,
    /// Oldest first.
    pub(crate) checkpoints: Vec<CheckpointReport>,
    pub(crate) current: Option<StateReport>,
    /// What was noticed while the configurations were read.
    pub(crate) notes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CheckpointReport {
    /// What `--checkpoint '#N'` accepts.
    pub(crate) number: usize,
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    /// UTC.
    pub(crate) created: Option<String>,
    /// `configuration`, `state-change` or `file-time`.
    pub(crate) created_source: Option<&'static str>,
    /// `standard` or `recovery`.
    pub(crate) kind: &'static str,
    pub(crate) configuration: String,
    #[serde(flatten)]
    pub(crate) state: StateReport,
}

#[derive(Debug, Serialize)]
pub(crate) struct StateReport {
    /// Number of the checkpoint that it came from.
    pub(crate) parent: Option<usize>,
    /// The disks do not tell: the parent is the one before it in time.
    pub(crate) parent_guessed: bool,
    pub(crate) disks: Vec<StateDiskReport>,
}

#[derive(Debug, Serialize)]
pub(crate) struct StateDiskReport {
    pub(crate) slot: String,
    /// Identity of the controller.
    pub(crate) controller: String,
    /// The controller is none of the VM's any more.
    pub(crate) detached: bool,
    /// The path on the host where the VM ran.
    pub(crate) recorded: String,
    pub(crate) status: DiskStatus,
    /// The file whose state this is.
    pub(crate) state_at: Option<FileRef>,
    /// The files that hold what came after: the children of `state_at`.
    pub(crate) created_by_it: Vec<FileRef>,
    /// The files that fit the recorded path, where that is not one.
    pub(crate) candidates: Vec<FileRef>,
    /// The image of the chain whose `problem` keeps this state from being read.
    pub(crate) broken_at: Option<FileRef>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DiskStatus {
    Found,
    Missing,
    Ambiguous,
}

#[derive(Debug, Serialize)]
pub(crate) struct ImageReport {
    pub(crate) filename: FileRef,
    /// Length of the file.
    pub(crate) size: u64,
    /// The stem of the base image: what `--disk` accepts.
    pub(crate) disk: Option<String>,
    /// `None` for this and the next four where the image can not be read.
    pub(crate) kind: Option<&'static str>,
    pub(crate) virtual_size: Option<u64>,
    pub(crate) data_write_guid: Option<String>,
    pub(crate) virtual_disk_id: Option<String>,
    pub(crate) log: Option<Log>,
    pub(crate) parent: Option<FileRef>,
    pub(crate) children: Vec<FileRef>,
    /// Whether a state of some VM is this image or is built on it.
    pub(crate) used: bool,
    /// What `--checkpoint` accepts for the state of this file; `None` where only its whole name is unique.
    pub(crate) checkpoint: Option<String>,
    pub(crate) problem: Option<Problem>,
}

/// What keeps an image from being read, or its parent from being known.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub(crate) enum Problem {
    Unreadable { error: String },
    ParentNotFound { wanted: Vec<String> },
    ParentMismatch { wanted: Vec<String>, found: FileRef },
    ParentAmbiguous { candidates: Vec<FileRef> },
    Cycle,
}

/// A file by its name, with its place among the catalogue's images.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct FileRef {
    pub(crate) name: String,
    #[serde(skip)]
    pub(crate) index: ImageIndex,
}

#[derive(Debug, Serialize)]
pub(crate) struct Unreadable {
    pub(crate) filename: String,
    pub(crate) error: String,
}

impl FolderReport {
    /// Of some VMs of the folder: all of them, or those that were asked for. Images then are those that belong to them,
    /// and others that are built on these.
    pub(crate) fn new(folder: &Folder, vms: &[&Vm]) -> Self {
        let scope = Scope::new(folder, vms);
        let images = folder.catalog().indexed().filter(|(index, _)| scope.shown.contains(index));
        let configurations = folder.catalog().configurations().iter();
        let damaged = configurations.filter_map(|file| {
            let error = with_sources(file.configuration.as_ref().err()?);
            Some(Unreadable { filename: scope.name(&file.path), error })
        });
        let unread = folder.catalog().unread().iter();
        let unread =
            unread.map(|(path, error)| Unreadable { filename: scope.name(path), error: error.to_string() });
        Self {
            folder: folder.root().display().to_string(),
            vms: vms.iter().map(|vm| scope.vm(vm)).collect(),
            images: images.map(|(index, image)| scope.image(index, image)).collect(),
            unreadable: damaged.chain(unread).collect(),
        }
    }

    /// The image of a reference that this report made; of one that is not shown, none.
    pub(crate) fn image(&self, index: ImageIndex) -> Option<&ImageReport> {
        // They are in the catalogue's order.
        let place = self.images.binary_search_by_key(&index, |image| image.filename.index).ok()?;
        self.images.get(place)
    }
}

/// The folder with what all parts of a report need to know.
struct Scope<'a> {
    folder: &'a Folder,
    shown: BTreeSet<ImageIndex>,
    loose: BTreeSet<ImageIndex>,
    /// How many images of the folder have a name or stem.
    names: HashMap<&'a str, usize>,
}

impl<'a> Scope<'a> {
    fn new(folder: &'a Folder, vms: &[&Vm]) -> Self {
        let catalog = folder.catalog();
        let loose: BTreeSet<_> = folder.loose_images().into_iter().collect();
        let own: BTreeSet<_> = vms
            .iter()
            .flat_map(|vm| vm.states())
            .flat_map(|state| &state.disks)
            .flat_map(|disk| match &disk.file {
                DiskFile::Found(image) => vec![*image],
                DiskFile::Missing => Vec::new(),
                DiskFile::Ambiguous(candidates) => candidates.clone(),
            })
            .flat_map(|image| catalog.ancestors(image).into_iter().chain([image]))
            .collect();
        let everything = vms.len() == folder.machines().len();
        let built_on_own =
            |image: &ImageIndex| catalog.ancestors(*image).iter().any(|under| own.contains(under));
        let shown = folder.images().map(|(index, _)| index).filter(|index| everything || built_on_own(index));
        let shown = shown.chain(own.iter().copied()).collect();
        Self { folder, shown, loose, names: names(folder) }
    }

    fn vm(&self, vm: &Vm) -> VmReport {
        VmReport {
            name: vm.name.clone(),
            id: vm.id.map(|id| id.to_string()),
            generation: vm.generation.map(|generation| match generation {
                Generation::One => 1,
                Generation::Two => 2,
            }),
            version: vm.version.map(|version| version.to_string()),
            configuration: vm.configuration.as_deref().map(|path| self.name(path)),
            checkpoints: (1..).zip(&vm.checkpoints).map(|(n, found)| self.checkpoint(n, found)).collect(),
            current: vm.current.as_ref().map(|state| self.state(state)),
            notes: vm.notes.clone(),
        }
    }

    fn checkpoint(&self, number: usize, checkpoint: &Checkpoint) -> CheckpointReport {
        CheckpointReport {
            number,
            name: checkpoint.name.clone(),
            id: checkpoint.id.map(|id| id.to_string()),
            created: checkpoint.created.map(|created| created.at.to_string()),
            created_source: checkpoint.created.map(source_name),
            kind: match checkpoint.kind {
                CheckpointKind::Standard => "standard",
                CheckpointKind::Recovery => "recovery",
            },
            configuration: self.name(&checkpoint.configuration),
            state: self.state(&checkpoint.state),
        }
    }

    fn state(&self, state: &State) -> StateReport {
        StateReport {
            parent: state.parent.checkpoint().map(|place| place + 1),
            parent_guessed: matches!(state.parent, StateParent::Guessed(_)),
            disks: state.disks.iter().map(|disk| self.disk(disk)).collect(),
        }
    }

    fn disk(&self, disk: &StateDisk) -> StateDiskReport {
        let catalog = self.folder.catalog();
        let image = disk.file.image();
        let broken_at = image.and_then(|image| {
            let mut chain = std::iter::once(image).chain(catalog.ancestors(image));
            chain.find(|image| self.problem(*image).is_some())
        });
        StateDiskReport {
            slot: slot_name(&disk.slot),
            controller: disk.slot.instance.to_string(),
            detached: disk.slot.detached,
            recorded: disk.slot.path.clone(),
            status: match disk.file {
                DiskFile::Found(_) => DiskStatus::Found,
                DiskFile::Missing => DiskStatus::Missing,
                DiskFile::Ambiguous(_) => DiskStatus::Ambiguous,
            },
            state_at: image.map(|image| self.file(image)),
            created_by_it: self.files(image.map_or(&[], |image| catalog.children(image))),
            candidates: match &disk.file {
                DiskFile::Ambiguous(candidates) => self.files(candidates),
                _ => Vec::new(),
            },
            broken_at: broken_at.map(|image| self.file(image)),
        }
    }

    fn image(&self, index: ImageIndex, image: &CatalogImage) -> ImageReport {
        let catalog = self.folder.catalog();
        let facts = image.facts.as_ref().ok();
        let parent = match catalog.parent(index) {
            ParentLink::Found(parent) => Some(self.file(*parent)),
            _ => None,
        };
        ImageReport {
            filename: self.file(index),
            size: image.len,
            disk: self.folder.base_stem(index).map(str::to_owned),
            kind: facts.map(|facts| kind_name(facts.kind)),
            virtual_size: facts.map(|facts| facts.geometry.size()),
            data_write_guid: facts.map(|facts| facts.data_write_guid.to_string()),
            virtual_disk_id: facts.map(|facts| facts.virtual_disk_id.to_string()),
            log: facts.map(|facts| match facts.log_state {
                LogState::Clean => Log::Clean,
                LogState::Replayed { entries, .. } => Log::Replayed { entries },
            }),
            parent,
            children: self.files(catalog.children(index)),
            used: !self.loose.contains(&index),
            checkpoint: self.typed(&image.path),
            problem: self.problem(index),
        }
    }

    fn problem(&self, index: ImageIndex) -> Option<Problem> {
        let catalog = self.folder.catalog();
        if let Some(Err(error)) = catalog.image(index).map(|image| &image.facts) {
            return Some(Problem::Unreadable { error: with_sources(error) });
        }
        match catalog.parent(index) {
            ParentLink::NotFound { wanted, mismatch: None } => {
                Some(Problem::ParentNotFound { wanted: guids(*wanted) })
            }
            ParentLink::NotFound { wanted, mismatch: Some(found) } => {
                Some(Problem::ParentMismatch { wanted: guids(*wanted), found: self.file(*found) })
            }
            ParentLink::Ambiguous(candidates) => {
                Some(Problem::ParentAmbiguous { candidates: self.files(candidates) })
            }
            _ if catalog.is_cyclic(index) => Some(Problem::Cycle),
            _ => None,
        }
    }

    fn files(&self, images: &[ImageIndex]) -> Vec<FileRef> {
        images.iter().map(|image| self.file(*image)).collect()
    }

    fn file(&self, index: ImageIndex) -> FileRef {
        let image = self.folder.catalog().image(index);
        FileRef { name: image.map(|image| self.name(&image.path)).unwrap_or_default(), index }
    }

    fn name(&self, path: &Path) -> String {
        path.strip_prefix(self.folder.root()).unwrap_or(path).display().to_string()
    }

    /// The shortest of a file's stem and name that means no other file. Beside configurations only whole names do.
    fn typed(&self, path: &Path) -> Option<String> {
        let here = path.starts_with(self.folder.root());
        let stem = path.file_stem().filter(|_| self.folder.machines().is_empty());
        let names = [stem, path.file_name()].into_iter().flatten();
        let mut unique =
            names.filter_map(|name| name.to_str()).filter(|name| self.names.get(name) == Some(&1));
        unique.next().filter(|_| here).map(str::to_owned)
    }
}

fn names(folder: &Folder) -> HashMap<&str, usize> {
    let mut names = HashMap::new();
    for (_, image) in folder.images() {
        let own: BTreeSet<_> = [image.path.file_stem(), image.path.file_name()].into_iter().collect();
        for name in own.into_iter().flatten().filter_map(|name| name.to_str()) {
            *names.entry(name).or_default() += 1;
        }
    }
    names
}

fn source_name(created: Created) -> &'static str {
    match created.source {
        CreatedSource::Configuration => "configuration",
        CreatedSource::StateChange => "state-change",
        CreatedSource::FileTime => "file-time",
    }
}

fn guids(linkage: Linkage) -> Vec<String> {
    std::iter::once(linkage.first).chain(linkage.second).map(|guid| guid.to_string()).collect()
}
