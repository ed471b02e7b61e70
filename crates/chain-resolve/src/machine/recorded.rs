//! From a path that a configuration records to an image that is here.
//!
//! The path is one of the host where the VM ran: `C:\…`, `\\server\…`, `C:\ClusterStorage\…`, a volume's. Here the disk
//! lies somewhere else, often flattened into one folder. What counts is how many names at the end of both paths agree,
//! without regard to letter case; among equals, how near to the configuration the image lies. More than one that is as
//! good as any other is no answer: a disk of the same name that belongs to another VM is the classic mistake.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};

use super::DiskFile;
use crate::catalog::Catalog;
use crate::links::ImageIndex;
use crate::policy::{same_name, stored_basename, stored_names};

/// The image behind `recorded`, for a configuration that belongs to the VM in `home`.
pub(super) fn find(catalog: &Catalog, home: &Path, recorded: &str) -> DiskFile {
    let named = stored_basename(recorded).map(|name| catalog.named(name)).unwrap_or_default();
    let ranked = || {
        named.iter().filter_map(|index| {
            let image = catalog.image(*index)?;
            Some(((agreement(&image.path, recorded), nearness(&image.path, home)), *index))
        })
    };
    let Some(best) = ranked().map(|(rank, _)| rank).max() else { return DiskFile::Missing };
    let found: Vec<ImageIndex> = ranked().filter(|(rank, _)| *rank == best).map(|(_, index)| index).collect();
    match found.as_slice() {
        [only] => DiskFile::Found(*only),
        _ => DiskFile::Ambiguous(found),
    }
}

/// A VM's folder: that of a configuration, or the one above where Hyper-V's own folder names say so.
pub(super) fn home_of(configuration: &Path) -> PathBuf {
    let folder = configuration.parent().unwrap_or(Path::new("/"));
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_standard = ["Virtual Machines", "Snapshots"].iter().any(|standard| same_name(name, standard));
    if is_standard { folder.parent().unwrap_or(folder) } else { folder }.to_path_buf()
}

/// In the VM's own folder before elsewhere, and there the fewer folders in between the better: a copy of the VM may lie
/// inside its folder.
fn nearness(image: &Path, home: &Path) -> Option<Reverse<usize>> {
    image.strip_prefix(home).ok().map(|below| Reverse(below.components().count()))
}

/// How many names at the end of the recorded path and of the image's agree.
pub(crate) fn agreement(image: &Path, recorded: &str) -> usize {
    let recorded: Vec<&str> = stored_names(recorded).collect();
    let here = image.components().rev().map(|part| part.as_os_str().to_str());
    here.zip(recorded.iter().rev())
        .take_while(|(here, there)| here.is_some_and(|here| same_name(here, there)))
        .count()
}
