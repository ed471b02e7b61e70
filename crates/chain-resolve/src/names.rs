//! Which VM, checkpoint or disk file a name that the user typed can mean: exact names first, then without regard to
//! letter case, then identities. Several answers are several answers.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::catalog::CatalogImage;
use crate::choice::{LeafChoice, LeafProblem};
use crate::folder::Folder;
use crate::links::{ImageIndex, ParentLink};
use crate::machine::{Checkpoint, Vm};
use crate::policy::same_name;
use crate::select::SelectError;
use crate::vm::parse_guid;

/// The running state.
pub(crate) const CURRENT: &str = "@current";
/// The newest checkpoint.
const LATEST: &str = "@latest";

/// The VMs that are called `name`, or have that identity.
pub(crate) fn vms<'a>(all: &'a [Vm], name: &str) -> Vec<&'a Vm> {
    first_fitting([
        all.iter().filter(|vm| vm.name == name).collect(),
        all.iter().filter(|vm| same_name(&vm.name, name)).collect(),
        all.iter().filter(|vm| is_identity(vm.id, name)).collect(),
    ])
}

/// The files that tell of a VM.
pub(crate) fn configurations(vm: &Vm) -> impl Iterator<Item = &Path> {
    let checkpoints = vm.checkpoints.iter().map(|checkpoint| checkpoint.configuration.as_path());
    vm.configuration.as_deref().into_iter().chain(checkpoints)
}

/// The checkpoints that `name` can mean, with their numbers.
pub(crate) fn checkpoints<'a>(vm: &'a Vm, name: &str) -> Vec<(usize, &'a Checkpoint)> {
    let numbered = || (1_usize..).zip(&vm.checkpoints);
    let fitting = |fits: &dyn Fn(&Checkpoint) -> bool| numbered().filter(|(_, found)| fits(found)).collect();
    if name.eq_ignore_ascii_case(LATEST) {
        return latest(vm);
    }
    if let Some(number) = name.strip_prefix('#').and_then(|number| number.parse::<usize>().ok()) {
        return numbered().filter(|(found, _)| *found == number).collect();
    }
    first_fitting([
        fitting(&|found| found.name == name),
        fitting(&|found| same_name(&found.name, name)),
        fitting(&|found| is_identity(found.id, name)),
    ])
}

/// The newest; all of them where their times do not tell.
fn latest(vm: &Vm) -> Vec<(usize, &Checkpoint)> {
    let at = |checkpoint: &Checkpoint| checkpoint.created.map(|created| created.at);
    let newest = vm.checkpoints.iter().filter_map(at).max();
    let unknown = vm.checkpoints.iter().any(|checkpoint| checkpoint.created.is_none());
    (1..).zip(&vm.checkpoints).filter(|(_, found)| unknown || at(found) == newest).collect()
}

/// A whole GUID, or the beginning of one that is long enough to be meant as such.
fn is_identity(id: Option<Uuid>, text: &str) -> bool {
    const PREFIX_LEN_MIN: usize = 4;
    let Some(id) = id else { return false };
    let bare = text.trim_start_matches('{').trim_end_matches('}').to_ascii_lowercase();
    parse_guid(text) == Some(id) || bare.len() >= PREFIX_LEN_MIN && id.to_string().starts_with(&bare)
}

fn first_fitting<T, const N: usize>(ranks: [Vec<T>; N]) -> Vec<T> {
    ranks.into_iter().find(|fitting| !fitting.is_empty()).unwrap_or_default()
}

/// The disk file of that name or stem; without a name the only leaf. `disk` restricts both to the files of one disk.
pub(crate) fn disk_file(
    folder: &Folder,
    name: Option<&str>,
    disk: Option<&str>,
) -> Result<PathBuf, SelectError> {
    let of_disk = |index: ImageIndex| {
        disk.is_none_or(|disk| folder.base_stem(index).is_some_and(|stem| same_name(stem, disk)))
    };
    match name {
        None => only_leaf(folder, &of_disk),
        Some(name) => named_file(folder, name, &of_disk),
    }
}

fn only_leaf(folder: &Folder, fits: &dyn Fn(ImageIndex) -> bool) -> Result<PathBuf, SelectError> {
    let here: HashSet<ImageIndex> = folder.images().map(|(index, _)| index).collect();
    let is_orphan = |index| {
        let last = folder.catalog().ancestors(index).last().copied().unwrap_or(index);
        *folder.catalog().parent(last) != ParentLink::Base
    };
    let leaves = folder.catalog().leaves().filter(|(index, _)| here.contains(index) && fits(*index));
    let mut candidates: Vec<LeafChoice> =
        leaves.map(|(index, image)| LeafChoice::leaf(&image.path, is_orphan(index))).collect();
    // What can not be read may be a leaf as well: it stands in the way of saying which one is meant.
    let damaged = folder.images().filter(|(_, image)| image.facts.is_err());
    candidates.extend(damaged.map(|(_, image)| LeafChoice::damaged(&image.path)));
    candidates.extend(folder.lost_images().map(LeafChoice::damaged));
    let unread = folder.catalog().unread().iter().filter(|(path, _)| path.starts_with(folder.root()));
    candidates.extend(unread.map(|(path, _)| LeafChoice::unread(path)));
    let all = paths(folder.images());
    match (candidates.as_slice(), all.first()) {
        ([LeafChoice { path, problem }], _) if *problem != Some(LeafProblem::Unread) => Ok(path.clone()),
        ([], None) => Err(SelectError::NoImages(folder.root().to_path_buf())),
        // Only a cycle has images and no leaf; any of them shows it.
        ([], Some(any)) => Ok(any.clone()),
        _ => Err(SelectError::SeveralLeaves { folder: folder.root().to_path_buf(), candidates }),
    }
}

fn named_file(
    folder: &Folder,
    name: &str,
    fits: &dyn Fn(ImageIndex) -> bool,
) -> Result<PathBuf, SelectError> {
    let called = |same: &dyn Fn(&str) -> bool| {
        let images = folder.images().filter(|(index, image)| fits(*index) && has_name(&image.path, same));
        paths(images)
    };
    let at_path = folder.images().filter(|(_, image)| image.path.ends_with(name));
    let lost = |same: &dyn Fn(&str) -> bool| {
        folder.lost_images().filter(|path| has_name(path, same)).map(Path::to_path_buf).collect()
    };
    let candidates = first_fitting([
        if name.contains(std::path::is_separator) { paths(at_path) } else { Vec::new() },
        called(&|found| found == name),
        called(&|found| same_name(found, name)),
        lost(&|found| same_name(found, name)),
    ]);
    match candidates.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(SelectError::NoSuchName { name: name.to_owned(), candidates: paths(folder.images()) }),
        _ => Err(SelectError::AmbiguousName { name: name.to_owned(), candidates }),
    }
}

fn has_name(path: &Path, same: &dyn Fn(&str) -> bool) -> bool {
    [path.file_name(), path.file_stem()].into_iter().flatten().filter_map(|name| name.to_str()).any(same)
}

fn paths<'a>(images: impl Iterator<Item = (ImageIndex, &'a CatalogImage)>) -> Vec<PathBuf> {
    images.map(|(_, image)| image.path.clone()).collect()
}
