//! Folders of small images.

use std::fs::File;
use std::path::{Path, PathBuf};

use chain_resolve::{Chain, FoundBy, ResolveError, SearchPolicy, resolve};
use tempfile::TempDir;
use vhdx_format::forge::{Image, Kind, Locator};
use vhdx_format::{BlockSize, Geometry, SectorSize};

/// A folder whose real name is known.
pub(crate) struct Folder {
    dir: TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder") }
    }

    pub(crate) fn root(&self) -> PathBuf {
        std::fs::canonicalize(self.dir.path()).expect("a real name")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Saves an image under that name, folders included.
    pub(crate) fn save(&self, name: &str, image: &Image) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a new folder");
        image.build().save(&File::create(&path).expect("a new file")).expect("room");
        path
    }

    /// Allows the folders of these names.
    pub(crate) fn policy(&self, names: &[&str]) -> SearchPolicy {
        SearchPolicy::new(names.iter().map(|name| self.path(name))).expect("folders")
    }

    /// Resolves with the whole folder allowed.
    pub(crate) fn resolve(&self, leaf: &Path) -> Result<Chain, ResolveError> {
        resolve(leaf, &self.policy(&[""]))
    }
}

pub(crate) fn geometry(sector: SectorSize) -> Geometry {
    Geometry::new(1 << 20, sector, SectorSize::B4096).expect("a disk")
}

/// A base of 1 MiB; `name` makes its identity.
pub(crate) fn base(name: &str) -> Image {
    let mut image = Image::dynamic(name, geometry(SectorSize::B512));
    image.block_size = BlockSize::MIN;
    image
}

/// A child with a locator of its own, identity included.
pub(crate) fn child_with(name: &str, parent: &Image, locator: Locator) -> Image {
    let child = Image::child(name, parent, "");
    Image { kind: Kind::Differencing(locator), block_size: BlockSize::MIN, ..child }
}

/// The locator of a child that names its parent by identity alone.
pub(crate) fn linked(parent: &Image) -> Locator {
    Locator::empty().linkage(parent.ids.data_write)
}

/// A child that knows its parent under a relative path.
pub(crate) fn child(name: &str, parent: &Image, relative_path: &str) -> Image {
    child_with(name, parent, linked(parent).relative_path(relative_path))
}

/// Where the leaf's parent is and how it was found.
#[track_caller]
pub(crate) fn parent(found: Result<Chain, ResolveError>) -> (PathBuf, FoundBy) {
    let chain = found.expect("a chain");
    let file = chain.files().get(1).expect("a parent");
    (file.source.path.clone(), file.found_by.clone())
}
