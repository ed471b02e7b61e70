//! Which checkpoint each state came from, told by the disks.
//!
//! Under a state's disk file lie the files that were frozen before it, nearest first. The first of them that is the
//! recorded disk of a checkpoint is a vote for that checkpoint, and most votes decide. Disks that a state shares with a
//! checkpoint (attached but not differencing, or not written since) say nothing. Where no disk tells, time is a guess,
//! and said to be one.

use std::collections::BTreeMap;

use super::{Checkpoint, CheckpointKind, State, StateDisk, StateParent, Vm};
use crate::catalog::Catalog;
use crate::links::{ImageIndex, ParentLink};

/// Fills in [`State::parent`] of every state.
pub(super) fn find_parents(vm: &mut Vm, catalog: &Catalog) {
    let parents: Vec<StateParent> = vm
        .checkpoints
        .iter()
        .enumerate()
        .map(|(index, checkpoint)| parent_of(&checkpoint.state, Some(index), &vm.checkpoints, catalog))
        .collect();
    let current = vm.current.as_ref().map(|state| parent_of(state, None, &vm.checkpoints, catalog));
    for (checkpoint, parent) in vm.checkpoints.iter_mut().zip(parents) {
        checkpoint.state.parent = parent;
    }
    if let (Some(state), Some(parent)) = (&mut vm.current, current) {
        state.parent = parent;
    }
}

/// Puts each checkpoint behind the one it came from, and otherwise leaves them in the order of time. Times may be those
/// of files, which a copy resets; disks do not lie about who came first.
pub(super) fn sort_by_ancestry(vm: &mut Vm) {
    let parent = |index: usize| match vm.checkpoints.get(index).map(|checkpoint| &checkpoint.state.parent) {
        Some(StateParent::Disks(parent)) => Some(*parent),
        _ => None,
    };
    let mut order: Vec<usize> = Vec::new();
    while order.len() < vm.checkpoints.len() {
        let waiting = || (0..vm.checkpoints.len()).filter(|index| !order.contains(index));
        let is_ready = |index: &usize| parent(*index).is_none_or(|parent| order.contains(&parent));
        // Disks can make no circle of parents; should one come about all the same, time decides.
        let Some(next) = waiting().find(is_ready).or_else(|| waiting().next()) else { break };
        order.push(next);
    }
    let place = |old: usize| order.iter().position(|index| *index == old).unwrap_or(old);
    for checkpoint in &mut vm.checkpoints {
        checkpoint.state.parent = checkpoint.state.parent.moved(&place);
    }
    if let Some(state) = &mut vm.current {
        state.parent = state.parent.moved(&place);
    }
    let mut placed: Vec<(usize, Checkpoint)> = std::mem::take(&mut vm.checkpoints)
        .into_iter()
        .enumerate()
        .map(|(old, one)| (place(old), one))
        .collect();
    placed.sort_by_key(|(place, _)| *place);
    vm.checkpoints = placed.into_iter().map(|(_, checkpoint)| checkpoint).collect();
}

/// Where the disks say one parent and a key another: the disks are right, and somebody should know.
pub(super) fn contradicted_hints(vm: &Vm) -> Vec<String> {
    let contradiction = |checkpoint: &Checkpoint| {
        let hinted = checkpoint.hinted_parent?;
        let StateParent::Disks(parent) = checkpoint.state.parent else { return None };
        let parent = vm.checkpoints.get(parent)?;
        let is_other =
            vm.checkpoints.iter().any(|other| other.id == Some(hinted)) && parent.id != Some(hinted);
        is_other.then(|| {
            let (name, by_disks) = (&checkpoint.name, &parent.name);
            format!("checkpoint `{name}` came from `{by_disks}` by its disks, but a key names {{{hinted}}}")
        })
    };
    vm.checkpoints.iter().filter_map(contradiction).collect()
}

/// `own` is the state's own place among the checkpoints, if it has one.
fn parent_of(
    state: &State,
    own: Option<usize>,
    checkpoints: &[Checkpoint],
    catalog: &Catalog,
) -> StateParent {
    let mut votes: BTreeMap<usize, usize> = BTreeMap::new();
    for disk in state.disks.iter().filter(|disk| !disk.slot.detached) {
        if let Some(checkpoint) = vote(disk, own, checkpoints, catalog) {
            let count = votes.entry(checkpoint).or_default();
            *count = count.saturating_add(1);
        }
    }
    // Of equally many votes the later checkpoint counts.
    let most = votes.iter().max_by_key(|(checkpoint, count)| (**count, **checkpoint));
    if let Some((checkpoint, _)) = most {
        return StateParent::Disks(*checkpoint);
    }
    if state.disks.iter().all(|disk| tells(disk, catalog)) {
        return StateParent::None;
    }
    // A disk that is missing or whose chain is broken might have told; the checkpoints are sorted by time.
    let before = own.map_or(checkpoints.len(), |own| own).checked_sub(1);
    before.map_or(StateParent::None, StateParent::Guessed)
}

/// Whether the disk's whole chain is here, so that its silence means something.
fn tells(disk: &StateDisk, catalog: &Catalog) -> bool {
    disk.file.image().is_some_and(|image| {
        let last = catalog.ancestors(image).last().copied().unwrap_or(image);
        matches!(catalog.parent(last), ParentLink::Base)
    })
}

/// The checkpoint whose recorded disk is the nearest one under `disk`.
fn vote(
    disk: &StateDisk,
    own: Option<usize>,
    checkpoints: &[Checkpoint],
    catalog: &Catalog,
) -> Option<usize> {
    let image = disk.file.image()?;
    catalog.ancestors(image).into_iter().find_map(|ancestor| {
        let recording = checkpoints
            .iter()
            .enumerate()
            .filter(|(index, checkpoint)| Some(*index) != own && stands_for(checkpoint, ancestor, catalog));
        // Several checkpoints of one frozen file: the last one that is not later than this state, as far as time tells.
        recording.map(|(index, _)| index).max_by_key(|index| (own.is_none_or(|own| *index < own), *index))
    })
}

/// Whether the checkpoint's state is that file. A backup's temporary child is a sibling of what the VM went on with, so
/// it also stands for its parent.
fn stands_for(checkpoint: &Checkpoint, file: ImageIndex, catalog: &Catalog) -> bool {
    checkpoint.state.disks.iter().filter_map(|disk| disk.file.image()).any(|image| {
        image == file
            || checkpoint.kind == CheckpointKind::Recovery
                && catalog.parent(image) == &ParentLink::Found(file)
    })
}
