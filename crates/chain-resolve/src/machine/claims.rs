//! Which VM an image belongs to when the recorded paths of several lead to it, or one path leads to several images.
//!
//! The classic mistake is two disks of one name, each VM's own, of which one is missing: then the other VM's must not take
//! its place. Chains are proof. Where they are silent, the path that agrees in more names wins; of equally good ones
//! that differ, none. Paths that are the same are one disk that VMs share.

use std::collections::{HashMap, HashSet};

use super::recorded::agreement;
use super::{DiskFile, StateDisk, Vm};
use crate::catalog::{Catalog, CatalogImage};
use crate::links::{ImageIndex, ParentLink};
use crate::policy::{same_name, stored_basename};

/// Drops claims to other VMs' images and decides what chains can decide.
pub(super) fn settle(machines: &mut [Vm], catalog: &Catalog) {
    for vm in machines.iter_mut() {
        follow_chains(vm, catalog);
    }
    let claims = claims(machines, catalog);
    let proved = proved(&claims, catalog);
    let contested: HashSet<(usize, ImageIndex)> = claims
        .iter()
        .flat_map(|(image, by)| by.iter().map(move |claim| (*image, by, claim)))
        .filter(|(image, by, claim)| !holds(claim, by, proved.get(image), machines))
        .map(|(image, _, claim)| (claim.owner, image))
        .collect();
    for (owner, vm) in machines.iter_mut().enumerate() {
        let wanted = wanted_parents(vm, catalog);
        for disk in disks_mut(vm) {
            let Some(image) = disk.file.image() else { continue };
            let is_proved = proved.get(&image).is_some_and(|owners| owners.contains(&owner));
            let refuted = !is_proved && refutes(&wanted, disk, image, catalog);
            if refuted || contested.contains(&(owner, image)) {
                disk.file = DiskFile::Missing;
            }
        }
        settle_by_chain(vm, catalog);
    }
}

/// Where the disk's other states are built on another image of the recorded name, that one is the disk, however well the
/// path of this one agrees.
fn follow_chains(vm: &mut Vm, catalog: &Catalog) {
    let place = |disk: &StateDisk| (disk.slot.kind, disk.slot.controller, disk.slot.location);
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
    /// Place of the VM among all.
    owner: usize,
    /// In how many names at its end the path agrees with the image's.
    names: usize,
    recorded: String,
}

/// Every claim to each image.
fn claims(machines: &[Vm], catalog: &Catalog) -> HashMap<ImageIndex, Vec<Claim>> {
    let mut claims: HashMap<ImageIndex, Vec<Claim>> = HashMap::new();
    for (owner, vm) in machines.iter().enumerate() {
        for disk in vm.states().flat_map(|state| &state.disks) {
            let Some((index, image)) = disk.file.image().and_then(|at| Some((at, catalog.image(at)?))) else {
                continue;
            };
            let names = agreement(&image.path, &disk.slot.path);
            claims.entry(index).or_default().push(Claim { owner, names, recorded: disk.slot.path.clone() });
        }
    }
    claims
}

/// The VMs that surely use an image: one is built on it that only that VM claims.
fn proved(
    claims: &HashMap<ImageIndex, Vec<Claim>>,
    catalog: &Catalog,
) -> HashMap<ImageIndex, HashSet<usize>> {
    let mut proved: HashMap<ImageIndex, HashSet<usize>> = HashMap::new();
    for (image, by) in claims {
        let owners: HashSet<usize> = by.iter().map(|claim| claim.owner).collect();
        if owners.len() == 1 {
            for ancestor in catalog.ancestors(*image) {
                proved.entry(ancestor).or_default().extend(&owners);
            }
        }
    }
    proved
}

/// Whether a claim stands against those of other VMs. Copies of one VM are no rivals.
fn holds(claim: &Claim, by: &[Claim], proved: Option<&HashSet<usize>>, machines: &[Vm]) -> bool {
    let is_proved = |owner: usize| proved.is_some_and(|owners| owners.contains(&owner));
    let id = |owner: usize| machines.get(owner).and_then(|vm| vm.id);
    let is_rival = |other: &&Claim| {
        other.owner != claim.owner
            && (id(other.owner).is_none() || id(other.owner) != id(claim.owner))
            && !same_name(&other.recorded, &claim.recorded)
    };
    is_proved(claim.owner)
        || !by.iter().filter(is_rival).any(|rival| is_proved(rival.owner) || rival.names >= claim.names)
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
        let place = |disk: &StateDisk| (disk.slot.kind, disk.slot.controller, disk.slot.location);
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
