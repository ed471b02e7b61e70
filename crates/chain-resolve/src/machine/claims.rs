//! Which VM an image belongs to when the recorded paths of several lead to it, or one path leads to several images.
//!
//! A path that agrees with an image in nothing but its last name is a weak claim: where another VM's path agrees in more,
//! the image is that one's, and the weak claim was the classic mistake of two disks with one name. Where one path fits
//! several images, those that belong to a chain of the same VM's other disks come first.

use std::collections::{HashMap, HashSet};

use super::recorded::agreement;
use super::{DiskFile, StateDisk, Vm};
use crate::catalog::Catalog;
use crate::links::ImageIndex;

/// Drops weak claims to other VMs' images and decides what chains can decide.
pub(super) fn settle(machines: &mut [Vm], catalog: &Catalog) {
    let strongest = strongest_claims(machines, catalog);
    for (owner, vm) in machines.iter_mut().enumerate() {
        for disk in disks_mut(vm) {
            let Some((image, names)) = claim(disk, catalog) else { continue };
            let beaten = strongest.get(&image).is_some_and(|(best, by)| *by != owner && *best > names);
            if names == 1 && beaten {
                disk.file = DiskFile::Missing;
            }
        }
        settle_by_chain(vm, catalog);
    }
}

/// For each image the best agreement of any recorded path, and whose it is.
fn strongest_claims(machines: &[Vm], catalog: &Catalog) -> HashMap<ImageIndex, (usize, usize)> {
    let mut strongest = HashMap::new();
    for (owner, vm) in machines.iter().enumerate() {
        for disk in vm.states().flat_map(|state| &state.disks) {
            let Some((image, names)) = claim(disk, catalog) else { continue };
            let best = strongest.entry(image).or_insert((names, owner));
            if names > best.0 {
                *best = (names, owner);
            }
        }
    }
    strongest
}

/// The image that a disk leads to, and in how many names its recorded path agrees.
fn claim(disk: &StateDisk, catalog: &Catalog) -> Option<(ImageIndex, usize)> {
    let image = disk.file.image()?;
    Some((image, agreement(&catalog.image(image)?.path, &disk.slot.path)))
}

/// Of several images that fit a path, the one that is built on the VM's other disks, or that they are built on.
fn settle_by_chain(vm: &mut Vm, catalog: &Catalog) {
    let found: HashSet<ImageIndex> =
        vm.states().flat_map(|state| &state.disks).filter_map(|disk| disk.file.image()).collect();
    let under_found: HashSet<ImageIndex> = found.iter().flat_map(|image| catalog.ancestors(*image)).collect();
    let related = |image: &ImageIndex| {
        found.contains(image)
            || under_found.contains(image)
            || catalog.ancestors(*image).iter().any(|ancestor| found.contains(ancestor))
    };
    for disk in disks_mut(vm) {
        let DiskFile::Ambiguous(candidates) = &disk.file else { continue };
        let mut fitting = candidates.iter().copied().filter(&related);
        if let (Some(only), None) = (fitting.next(), fitting.next()) {
            disk.file = DiskFile::Found(only);
        }
    }
}

fn disks_mut(vm: &mut Vm) -> impl Iterator<Item = &mut StateDisk> {
    let states = vm.checkpoints.iter_mut().map(|checkpoint| &mut checkpoint.state).chain(&mut vm.current);
    states.flat_map(|state| &mut state.disks)
}
