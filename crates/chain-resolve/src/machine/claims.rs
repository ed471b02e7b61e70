//! Which VM an image belongs to when the recorded paths of several lead to it, or one path leads to several images.
//!
//! The classic mistake is two disks of one name, of which one is missing: then the other must not take its place, be it
//! another VM's, a copy's, or the same VM's in another slot. Chains are proof: an image is the disk of a slot if that
//! slot's other states are built on it. Where they are silent, the VM in whose folder the image lies comes first, then
//! the path that agrees in more names; of equally good claims none. Only paths that are the same, and equally near, are
//! one disk that VMs share.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::recorded::{agreement, home_of};
use super::{DiskFile, StateDisk, Vm};
use crate::catalog::{Catalog, CatalogImage};
use crate::links::{ImageIndex, ParentLink};
use crate::policy::{same_name, stored_basename};
use crate::vm::ControllerKind;

/// Drops claims to other disks' images and decides what chains can decide.
pub(super) fn settle(machines: &mut [Vm], catalog: &Catalog) {
    for vm in machines.iter_mut() {
        follow_chains(vm, catalog);
        settle_by_chain(vm, catalog);
    }
    let claims = claims(machines, catalog);
    let proved = proved(&claims, catalog);
    for (owner, vm) in machines.iter_mut().enumerate() {
        let wanted = wanted_parents(vm, catalog);
        for disk in disks_mut(vm) {
            let Some(image) = disk.file.image() else { continue };
            let claimant = (owner, place(disk));
            let is_proved = proved.get(&image).is_some_and(|claimants| claimants.contains(&claimant));
            let refuted = !is_proved && refutes(&wanted, disk, image, catalog);
            let by = claims.get(&image).map_or(&[][..], Vec::as_slice);
            let own = by.iter().filter(|claim| claim.claimant == claimant);
            if refuted || !own.into_iter().any(|claim| holds(claim, by, proved.get(&image))) {
                disk.file = DiskFile::Missing;
            }
        }
    }
}

/// Where a disk is attached. What is attached there at different times is one disk's states, until it is replaced.
type Place = (ControllerKind, Uuid, u32, u32);

fn place(disk: &StateDisk) -> Place {
    (disk.slot.kind, disk.slot.instance, disk.slot.controller, disk.slot.location)
}

/// A VM, by its place among all, and a place in it.
type Claimant = (usize, Place);

/// Where the disk's other states are built on another image of the recorded name, that one is the disk, however well the
/// path of this one agrees.
fn follow_chains(vm: &mut Vm, catalog: &Catalog) {
    let disks = vm.states().flat_map(|state| &state.disks);
    let chains: Vec<_> = disks
        .filter_map(|disk| Some((place(disk), disk.file.image()?)))
        .map(|(place, image)| (place, image, catalog.ancestors(image)))
        .collect();
    for disk in disks_mut(vm) {
        let Some(image) = disk.file.image() else { continue };
        let own = catalog.ancestors(image);
        let others = || chains.iter().filter(|(at, other, _)| *at == place(disk) && *other != image);
        if others().any(|(_, other, under)| under.contains(&image) || own.contains(other)) {
            continue;
        }
        let named = stored_basename(&disk.slot.path).map(|name| catalog.named(name)).unwrap_or_default();
        let in_chain = |found: &&ImageIndex| others().any(|(_, _, under)| under.contains(*found));
        let mut fitting = named.iter().filter(in_chain);
        if let (Some(only), None) = (fitting.next(), fitting.next()) {
            disk.file = DiskFile::Found(*only);
        }
    }
}

/// A recorded path that leads to an image.
struct Claim {
    claimant: Claimant,
    /// Whether the image lies in the VM's own folder, and in no other VM's within that.
    is_near: bool,
    /// In how many names at its end the path agrees with the image's.
    names: usize,
    recorded: String,
}

/// Every claim to each image.
fn claims(machines: &[Vm], catalog: &Catalog) -> HashMap<ImageIndex, Vec<Claim>> {
    let homes: Vec<Option<PathBuf>> = machines.iter().map(home).collect();
    let nearest = |image: &Path| {
        let around = homes.iter().flatten().filter(|home| image.starts_with(home));
        around.max_by_key(|home| home.components().count())
    };
    let mut claims: HashMap<ImageIndex, Vec<Claim>> = HashMap::new();
    for ((owner, vm), home) in machines.iter().enumerate().zip(&homes) {
        for disk in vm.states().flat_map(|state| &state.disks) {
            let Some((index, image)) = disk.file.image().and_then(|at| Some((at, catalog.image(at)?))) else {
                continue;
            };
            claims.entry(index).or_default().push(Claim {
                claimant: (owner, place(disk)),
                is_near: home.as_ref().is_some_and(|home| nearest(&image.path) == Some(home)),
                names: agreement(&image.path, &disk.slot.path),
                recorded: disk.slot.path.clone(),
            });
        }
    }
    claims
}

/// The folder of a VM: that of its own configuration, else of some checkpoint's.
fn home(vm: &Vm) -> Option<PathBuf> {
    let of_checkpoint = || vm.checkpoints.first().map(|checkpoint| checkpoint.configuration.as_path());
    vm.configuration.as_deref().or_else(of_checkpoint).map(home_of)
}

/// Whether a file lies in the VM's own folder.
pub(crate) fn is_at_home(vm: &Vm, file: &Path) -> bool {
    home(vm).is_some_and(|home| file.starts_with(home))
}

/// Who surely uses an image: one is built on it that only that claimant claims.
fn proved(
    claims: &HashMap<ImageIndex, Vec<Claim>>,
    catalog: &Catalog,
) -> HashMap<ImageIndex, HashSet<Claimant>> {
    let mut proved: HashMap<ImageIndex, HashSet<Claimant>> = HashMap::new();
    for (image, by) in claims {
        let claimants: HashSet<Claimant> = by.iter().map(|claim| claim.claimant).collect();
        if claimants.len() == 1 {
            for ancestor in catalog.ancestors(*image) {
                proved.entry(ancestor).or_default().extend(&claimants);
            }
        }
    }
    proved
}

/// Whether a claim stands against all others to the same image.
fn holds(claim: &Claim, by: &[Claim], proved: Option<&HashSet<Claimant>>) -> bool {
    let is_proved = |claim: &Claim| proved.is_some_and(|claimants| claimants.contains(&claim.claimant));
    let strength = |claim: &Claim| (is_proved(claim), claim.is_near, claim.names);
    let is_shared =
        |other: &Claim| other.is_near == claim.is_near && same_name(&other.recorded, &claim.recorded);
    let mut rivals = by.iter().filter(|other| other.claimant != claim.claimant && !is_shared(other));
    is_proved(claim) || rivals.all(|rival| strength(claim) > strength(rival))
}

/// The parents that are missing under a VM's disks: the disk, and the image whose parent is not here.
fn wanted_parents<'a>(vm: &Vm, catalog: &'a Catalog) -> Vec<(StateDisk, &'a CatalogImage)> {
    let disks = vm.states().flat_map(|state| &state.disks);
    let wanted = disks.filter_map(|disk| {
        let image = disk.file.image()?;
        let last = catalog.ancestors(image).last().copied().unwrap_or(image);
        let is_cut = matches!(catalog.parent(last), ParentLink::NotFound { .. });
        Some((disk.clone(), catalog.image(last).filter(|_| is_cut)?))
    });
    wanted.collect()
}

/// Whether the same disk in another state wants a parent of that very name, and this image is another disk. One that was
/// changed, or can not be read, may still be the right one.
fn refutes(
    wanted: &[(StateDisk, &CatalogImage)],
    disk: &StateDisk,
    image: ImageIndex,
    catalog: &Catalog,
) -> bool {
    let Some(image) = catalog.image(image) else { return false };
    let name = image.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    wanted.iter().any(|(other, child)| {
        let is_named = parent_names(child).any(|wanted| same_name(wanted, name));
        let ids = [image, child].map(|image| image.facts.as_ref().ok().map(|facts| facts.virtual_disk_id));
        let is_other_disk = matches!(ids, [Some(own), Some(wanted)] if own != wanted);
        place(other) == place(disk) && is_named && is_other_disk
    })
}

/// What a child calls its parent.
fn parent_names(child: &CatalogImage) -> impl Iterator<Item = &str> {
    let parent = child.facts.as_ref().ok().and_then(|facts| facts.parent.as_ref());
    let paths = parent
        .into_iter()
        .flat_map(|parent| [&parent.relative_path, &parent.volume_path, &parent.absolute_win32_path]);
    paths.filter_map(|path| stored_basename(path.as_deref()?))
}

/// Of several images that fit a path, the one that the same disk's other states are built on, or that is built on them.
fn settle_by_chain(vm: &mut Vm, catalog: &Catalog) {
    let disks = vm.states().flat_map(|state| &state.disks);
    let found: Vec<(Place, ImageIndex)> =
        disks.filter_map(|disk| Some((place(disk), disk.file.image()?))).collect();
    for disk in disks_mut(vm) {
        let DiskFile::Ambiguous(candidates) = &disk.file else { continue };
        let others = || found.iter().filter(|(at, _)| *at == place(disk)).map(|(_, image)| *image);
        let is_related = |candidate: &ImageIndex| {
            let under = catalog.ancestors(*candidate);
            others().any(|other| {
                other == *candidate || under.contains(&other) || catalog.ancestors(other).contains(candidate)
            })
        };
        let mut fitting = candidates.iter().copied().filter(is_related);
        if let (Some(only), None) = (fitting.next(), fitting.next()) {
            disk.file = DiskFile::Found(only);
        }
    }
}

fn disks_mut(vm: &mut Vm) -> impl Iterator<Item = &mut StateDisk> {
    let states = vm.checkpoints.iter_mut().map(|checkpoint| &mut checkpoint.state).chain(&mut vm.current);
    states.flat_map(|state| &mut state.disks)
}
