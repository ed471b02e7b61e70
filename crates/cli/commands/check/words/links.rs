//! Words for chains that are broken: parents that are missing, changed, doubtful or impossible.

use std::path::Path;

use chain_resolve::check::Mismatch;
use vhdx_format::{Linkage, SectorSize};

use super::{Names, Words};

pub(super) fn cycle<'a>(names: Names<'_>, images: &[&'a Path]) -> Words<'a> {
    let first = images.first().map(|image| names.of(image)).unwrap_or_default();
    Words::new(
        "cycle",
        images.iter().copied(),
        format!("{first} is its own ancestor"),
        "the chain is a cycle without a base, so no disk can be read from it; Hyper-V never makes one: a file was \
         copied over another one, or edited",
        "fetch these files again from where they were copied",
    )
    .with(images.iter().map(|image| format!("in the cycle: {}", names.of(image))))
}

pub(super) fn mismatch<'a>(
    names: Names<'_>,
    child: &'a Path,
    found: &'a Path,
    wanted: Linkage,
    mismatch: Mismatch,
) -> Words<'a> {
    let (child_name, found_name) = (names.of(child), names.of(found));
    let files = [child, found];
    let (words, has) = match mismatch {
        Mismatch::Changed(guid) => (
            Words::new(
                "parent-changed",
                files,
                format!("{found_name} was changed after {child_name} was made on it"),
                "it is the same disk with another DataWriteGuid: most likely it was attached read-write (mounted, or \
                 used by a VM) after the checkpoint; the child's data does not fit to it any more",
                "get the parent from a backup that was made before it was attached; `Set-VHD -IgnoreIdMismatch` on a \
                 host forces the link, at the risk of a damaged file system",
            ),
            Some(guid),
        ),
        Mismatch::OtherDisk(guid) => (
            Words::new(
                "parent-other-disk",
                files,
                format!("{found_name} lies where the parent of {child_name} should, but is another disk"),
                "the right file was replaced by one of the same name, as when disks of several VMs were copied into \
                 one folder",
                "find the right file, give each VM a folder of its own, or point --parent-dir at the folder that has it",
            ),
            Some(guid),
        ),
        Mismatch::Unreadable => (
            Words::new(
                "parent-unreadable",
                files,
                format!("the parent of {child_name} is probably {found_name}, which can not be read"),
                "without its identity nobody knows whether it is the right one",
                "fetch the parent again from where it was copied",
            ),
            None,
        ),
    };
    words.with([wants(wanted)]).with(has.map(|guid| format!("{found_name} has DataWriteGuid {{{guid}}}")))
}

pub(super) fn missing<'a>(
    names: Names<'_>,
    child: &'a Path,
    wanted: Linkage,
    stored: Option<&str>,
) -> Words<'a> {
    Words::new(
        "parent-missing",
        [child],
        format!("the parent of {} is not here", names.of(child)),
        "the child holds only what changed since; without the parent there is no disk",
        "add the parent to the folder, under any name, or point --parent-dir at the folder that has it",
    )
    .with([wants(wanted)])
    .with(stored.map(|stored| format!("it was at `{stored}`")))
}

pub(super) fn ambiguous<'a>(
    names: Names<'_>,
    child: &'a Path,
    wanted: Linkage,
    candidates: &[&'a Path],
) -> Words<'a> {
    Words::new(
        "parent-ambiguous",
        std::iter::once(child).chain(candidates.iter().copied()),
        format!("{} images could be the parent of {}", candidates.len(), names.of(child)),
        "they have the identity that it wants, and none has the name; one may be a changed copy, so none is picked",
        "keep one of them in the folders that are searched, or give the right one the name that the child says",
    )
    .with([wants(wanted)])
    .with(candidates.iter().map(|candidate| format!("candidate: {}", names.of(candidate))))
}

pub(super) fn unfit<'a>(
    names: Names<'_>,
    child: &'a Path,
    parent: &'a Path,
    sectors: (SectorSize, SectorSize),
) -> Words<'a> {
    let (child_name, parent_name) = (names.of(child), names.of(parent));
    let [of_child, of_parent] = [sectors.0, sectors.1].map(SectorSize::bytes);
    Words::new(
        "parent-unfit",
        [child, parent],
        format!("{parent_name} can not be the parent of {child_name}"),
        "all images of a chain have sectors of one size, so one of the two is damaged or was replaced",
        "fetch both files again from where they were copied",
    )
    .with([format!("its sectors have {of_parent} bytes, those of {child_name} {of_child}")])
}

fn wants(wanted: Linkage) -> String {
    format!("it wants a parent with DataWriteGuid {wanted}")
}
