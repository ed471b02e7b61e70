//! Words for VMs: disks that are not here, and configurations that are missing, doubtful or unfinished.

use std::path::Path;

use chain_resolve::check::StateName;
use chain_resolve::vm::ConfigurationWarning;

use super::{Names, Words, state};
use crate::commands::check::counted;

pub(super) fn missing_disk<'a>(states: &[StateName<'_>], slot: &str, recorded: &str) -> Words<'a> {
    let old = recorded
        .rsplit('.')
        .next()
        .is_some_and(|suffix| ["vhd", "avhd", "vhds"].iter().any(|known| suffix.eq_ignore_ascii_case(known)));
    let advice = if old {
        "VHD and VHD sets are not read by this version: convert the disk on a Hyper-V host with `Convert-VHD`"
    } else {
        "add the file to the folder, under its name, or choose the folder that holds both; the other disks of the \
         VM can be exported with --disk"
    };
    Words::new(
        "disk-missing",
        [],
        format!("disk {slot} of VM `{}` is not here", vm_of(states)),
        "the configuration names it, so a state without it is not the whole VM",
        advice,
    )
    .with([format!("it was at `{recorded}`")])
}

pub(super) fn ambiguous_disk<'a>(
    names: Names<'_>,
    states: &[StateName<'_>],
    slot: &str,
    recorded: &str,
    candidates: &[&'a Path],
) -> Words<'a> {
    Words::new(
        "disk-ambiguous",
        candidates.iter().copied(),
        format!("disk {slot} of VM `{}` could be {} files", vm_of(states), candidates.len()),
        "all fit the recorded path equally well; a disk of the same name that belongs to another VM is the classic \
         mistake, so none is picked",
        "keep the right one beside the VM's configuration and move the others away, or name the file as SOURCE",
    )
    .with([format!("it was at `{recorded}`")])
    .with(candidates.iter().map(|candidate| format!("candidate: {}", names.of(candidate))))
}

fn vm_of<'a>(states: &[StateName<'a>]) -> &'a str {
    states.first().map_or("", |state| state.vm)
}

pub(super) fn missing_configuration<'a>(vm: &str, checkpoints: usize) -> Words<'a> {
    Words::new(
        "configuration-missing",
        [],
        format!("the configuration of VM `{vm}` is not here"),
        "its running state (@current) is not known; its checkpoints are",
        "add the file `Virtual Machines/GUID.vmcx` (or .xml); without it, the running state is mostly the newest \
         .avhdx, which `--checkpoint FILE` exports",
    )
    .with([format!("{} of it found", counted(checkpoints, "checkpoint"))])
}

pub(super) fn missing_checkpoints<'a>(vm: &str, file: &'a Path, listed: usize, found: usize) -> Words<'a> {
    Words::new(
        "checkpoints-missing",
        [file],
        format!(
            "VM `{vm}` has {} by its own configuration, {found} of them here",
            counted(listed, "checkpoint")
        ),
        "the others have no name here, and which one is the newest, or has which number, is not known",
        "add the other files of the folder `Snapshots`, or fetch damaged ones again; until then name a checkpoint by its \
         name or GUID, or a state by its disk file",
    )
}

pub(super) fn faulty_configuration<'a>(
    names: Names<'_>,
    file: &'a Path,
    warnings: &[ConfigurationWarning],
    left_out: usize,
) -> Words<'a> {
    let more = (left_out > 0).then(|| format!("and {left_out} more"));
    Words::new(
        "configuration-faulty",
        [file],
        format!("parts of configuration {} are lost or make no sense", names.of(file)),
        "what could be read is used; a disk or a name may be missing from it",
        "compare its disks with what you know of the VM (`vhdx-export info FILE`), or fetch the file again",
    )
    .with(warnings.iter().map(ToString::to_string))
    .with(more)
}

pub(super) fn merge_pending<'a>(names: Names<'_>, file: &'a Path) -> Words<'a> {
    Words::new(
        "merge-pending",
        [file],
        format!("configuration {} says that a merge of disks was pending", names.of(file)),
        "a checkpoint was deleted and its disk was still to be merged; a copy made in the middle of that may hold \
         half-merged files",
        "let the merge finish on the host and copy again; otherwise check the exported file system before use",
    )
}

pub(super) fn recovery_checkpoint<'a>(checkpoint: StateName<'_>, file: &'a Path) -> Words<'a> {
    Words::new(
        "recovery-checkpoint",
        [file],
        format!("{} was made by backup software and never removed", state(&checkpoint)),
        "the VM goes on writing into the disk that the checkpoint created, until somebody merges it",
        "exports are right; on the host, remove it with `Get-VMSnapshot | Remove-VMSnapshot` (the manager can not)",
    )
}

pub(super) fn guessed_parent<'a>(of: StateName<'_>, parent: StateName<'_>) -> Words<'a> {
    Words::new(
        "parent-guessed",
        [],
        format!("where {} came from is a guess", state(&of)),
        "its disks do not tell; only the order of the checkpoints depends on it, no byte of an export does",
        "nothing; it settles itself when the missing disks are found",
    )
    .with([format!("by time it is {}", state(&parent))])
}

pub(super) fn no_configuration<'a>(images: usize) -> Words<'a> {
    Words::new(
        "no-configuration",
        [],
        "no VM configuration is here".to_owned(),
        "checkpoints have no names without it; each state is called by its disk file",
        "nothing, if you know the file you want; else add the VM's folders `Virtual Machines` and `Snapshots`",
    )
    .with([format!("{} found", counted(images, "image"))])
}
