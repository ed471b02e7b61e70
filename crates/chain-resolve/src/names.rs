//! Which VM, checkpoint or disk file a name that the user typed can mean: exact names first, then without regard to
//! letter case, then identities. Several answers are several answers.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::catalog::CatalogImage;
use crate::choice::{LeafChoice, LeafProblem};
use crate::folder::Folder;
use crate::links::{ImageIndex, ParentLink};
use crate::machine::{Checkpoint, CreatedSource, StateParent, Vm};
use crate::policy::same_name;
use crate::select_error::SelectError;
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

/// The checkpoints that `name` can mean, with their numbers. A checkpoint may be called like one of the special words;
/// then both are meant.
pub(crate) fn checkpoints<'a>(vm: &'a Vm, name: &str) -> Vec<(usize, &'a Checkpoint)> {
    let numbered = || (1_usize..).zip(&vm.checkpoints);
    let fitting = |fits: &dyn Fn(&Checkpoint) -> bool| numbered().filter(|(_, found)| fits(found)).collect();
    let called: Vec<_> = fitting(&|found| found.name == name);
    let special: Vec<_> = match special(name) {
        Some(Special::Latest) => latest(vm),
        Some(Special::Number(number)) => numbered().filter(|(found, _)| *found == number).collect(),
        Some(Special::Current) | None => Vec::new(),
    };
    let both = [called, special].concat();
    let mut seen = HashSet::new();
    first_fitting([
        both.into_iter().filter(|(number, _)| seen.insert(*number)).collect(),
        fitting(&|found| same_name(&found.name, name)),
        fitting(&|found| is_identity(found.id, name)),
    ])
}

/// Whether `name` is the whole GUID of one of the VM's checkpoints: no other VM has that one.
pub(crate) fn has_checkpoint_id(vm: &Vm, name: &str) -> bool {
    parse_guid(name).is_some_and(|id| vm.checkpoints.iter().any(|checkpoint| checkpoint.id == Some(id)))
}

/// A word for a state that is no name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Special {
    /// `@current`.
    Current,
    /// `@latest`.
    Latest,
    /// `#N`.
    Number(usize),
}

pub(crate) fn special(name: &str) -> Option<Special> {
    if name.eq_ignore_ascii_case(CURRENT) {
        Some(Special::Current)
    } else if name.eq_ignore_ascii_case(LATEST) {
        Some(Special::Latest)
    } else {
        Some(Special::Number(name.strip_prefix('#')?.parse().ok()?))
    }
}

/// The newest: the only one that no other came from. On branches the configurations' own times decide; a file's time is
/// whatever a copy made of it, so where one of those is all there is, every branch is an answer.
fn latest(vm: &Vm) -> Vec<(usize, &Checkpoint)> {
    let is_parent =
        |index: usize| vm.checkpoints.iter().any(|other| other.state.parent == StateParent::Disks(index));
    let tips = vm.checkpoints.iter().enumerate().filter(|(index, _)| !is_parent(*index));
    let tips: Vec<_> = tips.map(|(index, found)| (index.saturating_add(1), found)).collect();
    let at = |found: &Checkpoint| {
        found
            .created
            .filter(|created| created.source == CreatedSource::Configuration)
            .map(|created| created.at)
    };
    if tips.len() < 2 || tips.iter().any(|(_, found)| at(found).is_none()) {
        return tips;
    }
    let newest = tips.iter().filter_map(|(_, found)| at(found)).max();
    tips.into_iter().filter(|(_, found)| at(found) == newest).collect()
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

/// Which disk files count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DiskFiles<'a> {
    /// Only those of the disk whose base image has this stem.
    pub(crate) disk: Option<&'a str>,
    /// Only those on which a state of this VM is built, or that are built on one.
    pub(crate) vm: Option<&'a Vm>,
    /// Whether a name must have its suffix. Beside configurations a bare stem is more likely a VM's or checkpoint's name.
    pub(crate) with_suffix: bool,
}

/// The disk file of that name or stem; without a name the only leaf.
pub(crate) fn disk_file(
    folder: &Folder,
    name: Option<&str>,
    which: DiskFiles<'_>,
) -> Result<PathBuf, SelectError> {
    let states = which.vm.into_iter().flat_map(Vm::states).flat_map(|state| &state.disks);
    let of_states: HashSet<ImageIndex> = states.filter_map(|disk| disk.file.image()).collect();
    let catalog = folder.catalog();
    let under: HashSet<ImageIndex> = of_states.iter().flat_map(|image| catalog.ancestors(*image)).collect();
    let is_of_vm = |index: ImageIndex| {
        which.vm.is_none()
            || of_states.contains(&index)
            || under.contains(&index)
            || catalog.ancestors(index).iter().any(|ancestor| of_states.contains(ancestor))
    };
    let is_of_disk = |index: ImageIndex| {
        which.disk.is_none_or(|disk| folder.base_stem(index).is_some_and(|stem| same_name(stem, disk)))
    };
    let fits = |index: ImageIndex| is_of_disk(index) && is_of_vm(index);
    match name {
        None => only_leaf(folder, &fits),
        Some(name) => named_file(folder, name, which.with_suffix, &fits),
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
    with_suffix: bool,
    fits: &dyn Fn(ImageIndex) -> bool,
) -> Result<PathBuf, SelectError> {
    let has_name = |path: &Path, same: &dyn Fn(&str) -> bool| {
        let names = [path.file_name(), path.file_stem().filter(|_| !with_suffix)];
        names.into_iter().flatten().filter_map(|name| name.to_str()).any(same)
    };
    let called = |same: &dyn Fn(&str) -> bool| {
        let images = folder.images().filter(|(index, image)| fits(*index) && has_name(&image.path, same));
        paths(images)
    };
    let at_path = folder.images().filter(|(index, image)| fits(*index) && image.path.ends_with(name));
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

fn paths<'a>(images: impl Iterator<Item = (ImageIndex, &'a CatalogImage)>) -> Vec<PathBuf> {
    images.map(|(_, image)| image.path.clone()).collect()
}
