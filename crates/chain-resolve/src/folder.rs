//! A folder of VMs, of one VM, or of disk files alone: what is in it, looked at once.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use limits::Limits;

use crate::catalog::{Catalog, CatalogImage, Depth, ScanError, is_image_name};
use crate::links::{ImageIndex, ParentLink};
use crate::machine::{Vm, machines};
use crate::policy::{SearchPolicy, same_name};
use crate::store;
use crate::vm::parse_guid;

/// What a folder holds.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    policy: SearchPolicy,
    catalog: Catalog,
    machines: Vec<Vm>,
    /// The file that is about to be replaced.
    target: Option<PathBuf>,
}

/// A folder can not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It is not there, or the system would not let us.
    #[error("cannot look at `{}`", path.display())]
    Look {
        /// The folder, or the file that stands for one.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The search was given up.
    #[error(transparent)]
    Scan(#[from] ScanError),
}

impl FolderError {
    pub(crate) fn look(path: &Path, source: std::io::Error) -> Self {
        Self::Look { path: path.to_path_buf(), source }
    }
}

impl Folder {
    /// Looks at everything below `source` and the folders in `parent_dirs`. A file stands for the folder it lies in; a
    /// configuration for its VM's folder. Images in `parent_dirs` are parents only.
    pub fn scan(source: &Path, parent_dirs: &[PathBuf], limits: &Limits) -> Result<Self, FolderError> {
        Self::look(source, parent_dirs, limits, Depth::Outlines)
    }

    /// The same, and judges every image's block table as well: what [`crate::check()`] wants.
    pub fn inspect(source: &Path, parent_dirs: &[PathBuf], limits: &Limits) -> Result<Self, FolderError> {
        Self::look(source, parent_dirs, limits, Depth::Tables)
    }

    fn look(
        source: &Path,
        parent_dirs: &[PathBuf],
        limits: &Limits,
        depth: Depth,
    ) -> Result<Self, FolderError> {
        let root = root_of(source)?;
        let policy = policy(&root, parent_dirs)?.within(*limits);
        let catalog = Catalog::scan(&policy, depth)?;
        let machines = machines(&catalog);
        Ok(Self { root, policy, catalog, machines, target: None })
    }

    /// The same folder, but for a file that is about to be replaced.
    pub(crate) fn without(self, target: Option<&Path>) -> Self {
        Self { target: target.and_then(|target| std::fs::canonicalize(target).ok()), ..self }
    }

    /// Its real name.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where parents may lie.
    #[must_use]
    pub fn policy(&self) -> &SearchPolicy {
        &self.policy
    }

    /// The images and configurations.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The VMs, sorted by name.
    #[must_use]
    pub fn machines(&self) -> &[Vm] {
        &self.machines
    }

    /// The images below the folder itself: those that a state can be.
    pub fn images(&self) -> impl Iterator<Item = (ImageIndex, &CatalogImage)> {
        let here = |image: &CatalogImage| {
            image.path.starts_with(&self.root) && self.target.as_ref() != Some(&image.path)
        };
        self.catalog.indexed().filter(move |(_, image)| here(image))
    }

    /// Files below the folder that are called like images and are none: they may have been, and hidden a state.
    pub(crate) fn lost_images(&self) -> impl Iterator<Item = &Path> {
        let strangers = self.catalog.strangers().iter().map(PathBuf::as_path);
        strangers.filter(|path| path.starts_with(&self.root) && is_image_name(path))
    }

    /// The images below the folder that no VM's states lead to, directly or as parents.
    #[must_use]
    pub fn loose_images(&self) -> Vec<ImageIndex> {
        let states = self.machines.iter().flat_map(Vm::states).flat_map(|state| &state.disks);
        let claimed: HashSet<ImageIndex> = states
            .filter_map(|disk| disk.file.image())
            .flat_map(|image| self.catalog.ancestors(image).into_iter().chain([image]))
            .collect();
        self.images().map(|(index, _)| index).filter(|index| !claimed.contains(index)).collect()
    }

    /// Configurations below the folder that can not be read, and places that may hold some: they may hide a VM or a
    /// checkpoint.
    pub(crate) fn lost_configurations(&self) -> Vec<PathBuf> {
        let damaged = self.catalog.configurations().iter().filter(|file| file.configuration.is_err());
        let unread = self.catalog.unread().iter().map(|(path, _)| path);
        let unread =
            unread.filter(|path| path.starts_with(&self.root) && (is_configuration(path) || path.is_dir()));
        damaged.map(|file| file.path.clone()).chain(unread.cloned()).collect()
    }

    /// The files of the folder that nothing may replace: configurations, and images that belong to a VM or a chain.
    #[must_use]
    pub fn protected(&self) -> Vec<PathBuf> {
        let loose: HashSet<ImageIndex> = self.loose_images().into_iter().collect();
        let is_chained = |index, image: &CatalogImage| {
            let is_child = image.facts.as_ref().is_ok_and(|facts| facts.parent.is_some());
            is_child || !self.catalog.children(index).is_empty()
        };
        let images = self.catalog.indexed().filter(|(index, image)| {
            !self.machines.is_empty() && !loose.contains(index) || is_chained(*index, image)
        });
        let configurations = self.catalog.configurations().iter().map(|file| file.path.clone());
        images.map(|(_, image)| image.path.clone()).chain(configurations).collect()
    }

    /// The stem of the image at the bottom of a chain: what Hyper-V names all its files after. Where the base is missing,
    /// a child's stem tells it, without the GUID behind it.
    #[must_use]
    pub fn base_stem(&self, image: ImageIndex) -> Option<&str> {
        let base = self.catalog.ancestors(image).last().copied().unwrap_or(image);
        let stem = self.catalog.image(base)?.path.file_stem()?.to_str()?;
        let is_base = matches!(self.catalog.parent(base), ParentLink::Base);
        Some(if is_base { stem } else { disk_stem(stem) })
    }
}

/// What the stem of a disk file says of the disk: Hyper-V puts a GUID behind it for each checkpoint.
pub(crate) fn disk_stem(stem: &str) -> &str {
    let disk = stem.rsplit_once('_').filter(|(_, id)| parse_guid(id).is_some());
    disk.map_or(stem, |(disk, _)| disk)
}

/// The folder that `source` is or stands for, by its real name.
fn root_of(source: &Path) -> Result<PathBuf, FolderError> {
    let failed = |error| FolderError::look(source, error);
    let is_folder = std::fs::metadata(source).map_err(failed)?.is_dir();
    // The file's real folder: a link to an image leads to where its parents are.
    let real = std::fs::canonicalize(source).map_err(failed)?;
    let folder = if is_folder { &*real } else { real.parent().unwrap_or(Path::new("/")) };
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    // Half a VM tells half its states.
    let in_vm = ["Virtual Machines", "Snapshots"].iter().any(|standard| same_name(name, standard));
    let is_half = in_vm && (is_folder || is_configuration(source));
    Ok(if is_half { folder.parent().unwrap_or(folder) } else { folder }.to_path_buf())
}

/// Where the parents of images below `source` may be looked for.
pub(crate) fn policy_for(source: &Path, parent_dirs: &[PathBuf]) -> Result<SearchPolicy, FolderError> {
    policy(&root_of(source)?, parent_dirs)
}

fn policy(root: &Path, parent_dirs: &[PathBuf]) -> Result<SearchPolicy, FolderError> {
    for dir in parent_dirs {
        store::list(dir).map_err(|source| FolderError::look(dir, source))?;
    }
    let everywhere = std::iter::once(root.to_path_buf()).chain(parent_dirs.iter().cloned());
    SearchPolicy::new(everywhere).map_err(|source| FolderError::look(root, source))
}

/// Whether a file is a VM configuration by its name.
pub(crate) fn is_configuration(path: &Path) -> bool {
    let suffix = path.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default();
    suffix.eq_ignore_ascii_case("vmcx") || suffix.eq_ignore_ascii_case("xml")
}
