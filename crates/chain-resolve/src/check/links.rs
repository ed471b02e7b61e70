//! What is wrong between images: parents that are missing, changed, doubtful or impossible.

use std::collections::HashSet;

use vhdx_format::ParentLocator;

use super::reach::Reach;
use super::{Finding, Mismatch, Trouble};
use crate::catalog::CatalogImage;
use crate::links::{ImageIndex, ParentLink};

/// Every link that keeps a chain from being complete; cycles first, each once.
pub(super) fn broken<'a>(reach: &Reach<'a>, findings: &mut Vec<Finding<'a>>) {
    cycles(reach, findings);
    for (child, image) in reach.images() {
        if let Some(trouble) = trouble(reach, child, image) {
            findings.push(reach.fatal(child, trouble));
        }
    }
}

fn cycles<'a>(reach: &Reach<'a>, findings: &mut Vec<Finding<'a>>) {
    let catalog = reach.folder.catalog();
    let mut seen = HashSet::new();
    for (image, _) in reach.images() {
        if catalog.is_cyclic(image) && seen.insert(image) {
            let rest = catalog.ancestors(image);
            seen.extend(rest.iter().copied());
            let images = reach.paths(std::iter::once(image).chain(rest));
            findings.push(reach.fatal(image, Trouble::Cycle { images }));
        }
    }
}

fn trouble<'a>(reach: &Reach<'a>, child: ImageIndex, image: &'a CatalogImage) -> Option<Trouble<'a>> {
    let catalog = reach.folder.catalog();
    let name = image.path.as_path();
    match catalog.parent(child) {
        ParentLink::Base | ParentLink::Unreadable => None,
        ParentLink::Found(parent) => unfit(image, catalog.image(*parent)?),
        ParentLink::Ambiguous(candidates) => Some(Trouble::AmbiguousParent {
            child: name,
            wanted: locator(image)?.linkage,
            candidates: reach.paths(candidates.iter().copied()),
        }),
        ParentLink::NotFound { wanted, mismatch: None } => {
            let stored = locator(image).and_then(stored_path);
            Some(Trouble::MissingParent { child: name, wanted: *wanted, stored })
        }
        ParentLink::NotFound { wanted, mismatch: Some(found) } => {
            let found = catalog.image(*found)?;
            let why = mismatch(image, found);
            Some(Trouble::Mismatch { child: name, found: &found.path, wanted: *wanted, why })
        }
    }
}

/// The disk keeps its identity all along a chain, whoever writes to its images.
fn mismatch(child: &CatalogImage, found: &CatalogImage) -> Mismatch {
    match (&child.facts, &found.facts) {
        (Ok(child), Ok(found)) if child.virtual_disk_id == found.virtual_disk_id => {
            Mismatch::Changed(found.data_write_guid)
        }
        (_, Ok(found)) => Mismatch::OtherDisk(found.data_write_guid),
        (_, Err(_)) => Mismatch::Unreadable,
    }
}

fn unfit<'a>(child: &'a CatalogImage, parent: &'a CatalogImage) -> Option<Trouble<'a>> {
    let sector = |image: &CatalogImage| Some(image.facts.as_ref().ok()?.geometry.logical_sector());
    let sectors = (sector(child)?, sector(parent)?);
    let trouble = Trouble::UnfitParent { child: &child.path, parent: &parent.path, sectors };
    (sectors.0 != sectors.1).then_some(trouble)
}

fn locator(image: &CatalogImage) -> Option<&ParentLocator> {
    image.facts.as_ref().ok()?.parent.as_ref()
}

/// The path that says most of where the parent was.
fn stored_path(locator: &ParentLocator) -> Option<&str> {
    let paths = [&locator.absolute_win32_path, &locator.relative_path, &locator.volume_path];
    paths.into_iter().find_map(|path| path.as_deref())
}
