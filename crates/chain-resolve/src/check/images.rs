//! What is wrong with single files, and what should be known of sound ones.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use vhdx_format::{ImageError, ImageKind, LogState};

use super::reach::{Reach, harmless};
use super::{Finding, Trouble};
use crate::catalog::{CatalogImage, ReadConfigurationError};
use crate::links::ImageIndex;
use crate::vm::is_recovery_name;

/// Files whose content is at fault.
pub(super) fn damaged<'a>(reach: &Reach<'a>, findings: &mut Vec<Finding<'a>>) {
    for (index, image) in reach.images() {
        if let Some(fault) = image.fault().filter(|fault| !matches!(fault, ImageError::Io { .. })) {
            let trouble = Trouble::DamagedImage { image: &image.path, fault };
            findings.push(reach.fatal(index, trouble));
        }
    }
    let catalog = reach.folder.catalog();
    let not_images = catalog.strangers().iter().filter(|file| is_ours(file));
    findings.extend(not_images.map(|file| harmless(Trouble::NotAnImage { file })));
    for file in catalog.configurations() {
        if let Err(ReadConfigurationError::Content(error)) = &file.configuration {
            findings.push(harmless(Trouble::DamagedConfiguration { file: &file.path, error }));
        }
    }
}

/// Files that the system, or a limit, kept us from reading.
pub(super) fn unread<'a>(reach: &Reach<'a>, findings: &mut Vec<Finding<'a>>) {
    for (index, image) in reach.images() {
        if let Some(error @ ImageError::Io { .. }) = image.fault() {
            findings.push(reach.fatal(index, Trouble::Unread { path: &image.path, error }));
        }
    }
    let catalog = reach.folder.catalog();
    for file in catalog.configurations() {
        match &file.configuration {
            Ok(_) | Err(ReadConfigurationError::Content(_)) => {}
            Err(error) => findings.push(harmless(Trouble::Unread { path: &file.path, error })),
        }
    }
    findings.extend(catalog.unread().iter().map(|(path, error)| harmless(Trouble::Unread { path, error })));
}

/// Copies, leftovers, dirty logs, and disks of other formats.
pub(super) fn noteworthy<'a>(reach: &Reach<'a>, findings: &mut Vec<Finding<'a>>) {
    copies(reach, findings);
    leftovers(reach, findings);
    for (_, image) in reach.images() {
        if let Ok(LogState::Replayed { entries, .. }) = image.facts.as_ref().map(|facts| facts.log_state) {
            findings.push(harmless(Trouble::DirtyLog { image: &image.path, entries }));
        }
    }
    let others = reach.folder.catalog().strangers().iter().filter(|file| !is_ours(file));
    findings.extend(others.map(|file| harmless(Trouble::OtherFormat { file })));
}

/// Images with one identity. The catalogue lists a file with several names once, so each of them is a file.
fn copies<'a>(reach: &Reach<'a>, findings: &mut Vec<Finding<'a>>) {
    let mut alike: BTreeMap<_, Vec<ImageIndex>> = BTreeMap::new();
    for (index, image) in reach.folder.catalog().indexed() {
        if let Ok(facts) = &image.facts {
            alike.entry(facts.data_write_guid).or_default().push(index);
        }
    }
    for (data_write_guid, images) in alike {
        if images.len() > 1 && images.iter().any(|image| reach.concerns(*image)) {
            findings.push(harmless(Trouble::Copies { images: reach.paths(images), data_write_guid }));
        }
    }
}

/// Images that no configuration leads to. Where there is none, each image is a state of its own, and none is left over
/// but those that backup software names.
fn leftovers<'a>(reach: &Reach<'a>, findings: &mut Vec<Finding<'a>>) {
    let any_machine = !reach.folder.machines().is_empty();
    let loose: HashSet<ImageIndex> = reach.folder.loose_images().into_iter().collect();
    for (_, image) in reach.images().filter(|(index, _)| loose.contains(index)) {
        let trouble = match &image.facts {
            _ if is_recovery(image) => Trouble::RecoveryImage { image: &image.path },
            Ok(facts) if any_machine && facts.kind == ImageKind::Differencing => {
                Trouble::UnusedChild { image: &image.path }
            }
            Ok(_) if any_machine => Trouble::UnusedDisk { image: &image.path },
            _ => continue,
        };
        findings.push(harmless(trouble));
    }
    let images = reach.folder.images().count();
    if !any_machine && images > 0 {
        findings.push(harmless(Trouble::NoConfiguration { images }));
    }
}

fn is_recovery(image: &CatalogImage) -> bool {
    image.path.file_name().and_then(|name| name.to_str()).is_some_and(is_recovery_name)
}

/// Whether the name is that of the format that is read here.
fn is_ours(file: &Path) -> bool {
    let suffix = file.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default();
    suffix.eq_ignore_ascii_case("vhdx") || suffix.eq_ignore_ascii_case("avhdx")
}
