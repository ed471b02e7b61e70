//! What is wrong with VMs: disks that are not here, and configurations that are missing, doubtful or unfinished.

use super::reach::{Reach, harmless, named_states};
use super::{Finding, Harm, StateName, Trouble};
use crate::choice::slot_name;
use crate::machine::{CheckpointKind, DiskFile, StateDisk, StateParent, Vm};
use crate::names;

/// Disks without a file, each once with all states that need it.
pub(super) fn disks<'a>(reach: &Reach<'a>, findings: &mut Vec<Finding<'a>>) {
    for vm in &reach.machines {
        let mut lost: Vec<(&StateDisk, Vec<StateName<'a>>)> = Vec::new();
        for (name, state) in named_states(vm) {
            for disk in state.disks.iter().filter(|disk| disk.file.image().is_none()) {
                let same = |other: &StateDisk| other.file == disk.file && other.slot.path == disk.slot.path;
                match lost.iter_mut().find(|(other, _)| same(other)) {
                    Some((_, states)) => states.push(name),
                    None => lost.push((disk, vec![name])),
                }
            }
        }
        for (disk, states) in lost {
            let harm = Harm { states: states.clone(), images: Vec::new() };
            findings.extend(trouble(reach, disk, states).map(|trouble| Finding { trouble, harm }));
        }
    }
}

fn trouble<'a>(reach: &Reach<'a>, disk: &'a StateDisk, states: Vec<StateName<'a>>) -> Option<Trouble<'a>> {
    let (slot, recorded) = (slot_name(&disk.slot), disk.slot.path.as_str());
    match &disk.file {
        DiskFile::Found(_) => None,
        DiskFile::Missing => Some(Trouble::MissingDisk { states, slot, recorded }),
        DiskFile::Ambiguous(candidates) => {
            let candidates = reach.paths(candidates.iter().copied());
            Some(Trouble::AmbiguousDisk { states, slot, recorded, candidates })
        }
    }
}

/// What the configurations say of themselves, and those that are not here.
pub(super) fn configurations<'a>(reach: &Reach<'a>, findings: &mut Vec<Finding<'a>>) {
    for vm in reach.machines.iter().copied().filter(|vm| vm.configuration.is_none()) {
        let checkpoints = vm.checkpoints.len();
        findings.push(harmless(Trouble::MissingConfiguration { vm: &vm.name, checkpoints }));
    }
    findings.extend(reach.machines.iter().filter_map(|vm| missing_checkpoints(vm)).map(harmless));
    for file in reach.folder.catalog().configurations() {
        let used = |vm: &&Vm| names::configurations(vm).any(|path| path == file.path);
        let Ok(configuration) = &file.configuration else { continue };
        if !reach.machines.iter().any(used) {
            continue;
        }
        let (warnings, left_out) = (configuration.warnings.as_slice(), configuration.warnings_left_out);
        if !warnings.is_empty() || left_out > 0 {
            let trouble = Trouble::FaultyConfiguration { file: &file.path, warnings, left_out };
            findings.push(harmless(trouble));
        }
        if configuration.disk_merge_pending {
            findings.push(harmless(Trouble::MergePending { file: &file.path }));
        }
    }
    for vm in &reach.machines {
        for ((name, _), checkpoint) in named_states(vm).zip(&vm.checkpoints) {
            if checkpoint.kind == CheckpointKind::Recovery {
                let file = checkpoint.configuration.as_path();
                findings.push(harmless(Trouble::RecoveryCheckpoint { checkpoint: name, file }));
            }
        }
    }
}

/// More checkpoints than the configuration counts are no fault: a copy made while one was taken has them.
fn missing_checkpoints(vm: &Vm) -> Option<Trouble<'_>> {
    let file = vm.configuration.as_deref()?;
    let (listed, found) = (vm.listed_checkpoints?, vm.checkpoints.len());
    (listed > found).then_some(Trouble::MissingCheckpoints { vm: &vm.name, file, listed, found })
}

/// Parents of states that only time tells.
pub(super) fn guesses<'a>(reach: &Reach<'a>, findings: &mut Vec<Finding<'a>>) {
    for vm in &reach.machines {
        for (name, state) in named_states(vm) {
            let StateParent::Guessed(index) = state.parent else { continue };
            let Some((parent, _)) = named_states(vm).nth(index) else { continue };
            findings.push(harmless(Trouble::GuessedParent { state: name, parent }));
        }
    }
}
