//! What depends on what: which states an image is part of, what is built on it, and what belongs to the VM that is asked
//! for.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::{Finding, Harm, StateName, Trouble};
use crate::catalog::{Catalog, CatalogImage};
use crate::folder::Folder;
use crate::links::ImageIndex;
use crate::machine::{State, Vm};

/// A folder, seen from each of its images.
pub(super) struct Reach<'a> {
    pub(super) folder: &'a Folder,
    /// The VMs that are looked at.
    pub(super) machines: Vec<&'a Vm>,
    /// The states that need an image, directly or as a parent.
    states: HashMap<ImageIndex, Vec<StateName<'a>>>,
    /// Where one VM is asked for, its images and what is built on them.
    only: Option<HashSet<ImageIndex>>,
}

impl<'a> Reach<'a> {
    pub(super) fn new(folder: &'a Folder, only: Option<&'a Vm>) -> Self {
        let machines: Vec<&Vm> =
            only.map_or_else(|| folder.machines().iter().collect(), |vm| std::iter::once(vm).collect());
        let catalog = folder.catalog();
        let mut states: HashMap<ImageIndex, Vec<StateName<'a>>> = HashMap::new();
        for (name, state) in machines.iter().flat_map(|vm| named_states(vm)) {
            for image in state.disks.iter().filter_map(|disk| disk.file.image()) {
                for needed in std::iter::once(image).chain(catalog.ancestors(image)) {
                    let names = states.entry(needed).or_default();
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
            }
        }
        let only = only.map(|_| {
            let own = states.keys().copied();
            own.flat_map(|image| std::iter::once(image).chain(descendants(catalog, image))).collect()
        });
        Self { folder, machines, states, only }
    }

    /// The images that are looked at.
    pub(super) fn images(&self) -> impl Iterator<Item = (ImageIndex, &'a CatalogImage)> + '_ {
        self.folder.catalog().indexed().filter(|(index, _)| self.concerns(*index))
    }

    pub(super) fn concerns(&self, image: ImageIndex) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&image))
    }

    /// The images' names.
    pub(super) fn paths(&self, images: impl IntoIterator<Item = ImageIndex>) -> Vec<&'a Path> {
        let catalog = self.folder.catalog();
        images.into_iter().filter_map(|image| Some(catalog.image(image)?.path.as_path())).collect()
    }

    /// A finding because of which neither the image nor what is built on it can be exported.
    pub(super) fn fatal(&self, image: ImageIndex, trouble: Trouble<'a>) -> Finding<'a> {
        let states = self.states.get(&image).cloned().unwrap_or_default();
        let images = self.paths(descendants(self.folder.catalog(), image));
        Finding { trouble, harm: Harm { states, images } }
    }
}

/// A finding that keeps nothing from being exported.
pub(super) fn harmless(trouble: Trouble<'_>) -> Finding<'_> {
    Finding { trouble, harm: Harm::default() }
}

/// The states of a VM with their names, the running one last.
pub(super) fn named_states(vm: &Vm) -> impl Iterator<Item = (StateName<'_>, &State)> {
    let checkpoints = (1..).zip(&vm.checkpoints).map(|(number, checkpoint)| {
        let checkpoint_name = Some((number, checkpoint.name.as_str()));
        (StateName { vm: &vm.name, checkpoint: checkpoint_name }, &checkpoint.state)
    });
    let current = vm.current.as_ref().map(|state| (StateName { vm: &vm.name, checkpoint: None }, state));
    checkpoints.chain(current)
}

/// Everything that is built on an image, in no order that means anything; the image itself is not.
fn descendants(catalog: &Catalog, image: ImageIndex) -> Vec<ImageIndex> {
    let mut seen = HashSet::from([image]);
    let mut found = Vec::new();
    let mut open = vec![image];
    while let Some(at) = open.pop() {
        for child in catalog.children(at) {
            if seen.insert(*child) {
                found.push(*child);
                open.push(*child);
            }
        }
    }
    found.sort();
    found
}
