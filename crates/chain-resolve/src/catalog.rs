//! The images and VM configurations that lie below some folders, each opened once: what it is, and whose child.
//!
//! Anything may be an image, whatever its name: backups rename. Files that are none are passed over; images that can
//! not be read are kept with the reason, because what they hide may matter.

use std::collections::{HashMap, HashSet};
use std::fs::FileType;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use limits::folder::DEPTH_MAX;
use limits::{Limit, Limits};
use uuid::Uuid;
use vhdx_format::{Geometry, ImageError, ImageKind, Layer, Linkage, LogState, Outline, ParentLocator};

use crate::folder::is_configuration;
use crate::keys::read_all;
use crate::links::{ImageIndex, Links, ParentLink};
use crate::policy::{Refusal, SearchPolicy, folded, same_name};
use crate::store::{self, FileId, OpenFile, SourceFile, StoreError};
use crate::vm::{Configuration, ConfigurationError, parse_guid};

/// An image found in a folder.
#[derive(Debug)]
pub struct CatalogImage {
    /// Its real name.
    pub path: PathBuf,
    /// Which file it is.
    pub id: FileId,
    /// Length of the file in bytes.
    pub len: u64,
    /// When it was last written to, where the file system knows.
    pub modified: Option<SystemTime>,
    /// What it says of itself, or why it can not be read.
    pub facts: Result<ImageFacts, ImageError>,
    /// What is wrong with its block table. `None` if nothing is, and if nobody looked ([`Depth::Outlines`]).
    pub table_fault: Option<ImageError>,
}

impl CatalogImage {
    /// What is wrong with the image, as far as was looked.
    #[must_use]
    pub fn fault(&self) -> Option<&ImageError> {
        self.facts.as_ref().err().or(self.table_fault.as_ref())
    }
}

/// How much of each image a scan reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Depth {
    /// What the image says of itself: a few hundred KiB.
    Outlines,
    /// Its block table as well, and every bitmap's place: all but the payload.
    Tables,
}

/// A VM configuration found in a folder.
#[derive(Debug)]
pub struct ConfigurationFile {
    /// Its real name.
    pub path: PathBuf,
    /// When it was last written to, where the file system knows.
    pub modified: Option<SystemTime>,
    /// What it says, or why it can not be read.
    pub configuration: Result<Configuration, ReadConfigurationError>,
}

/// A VM configuration could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadConfigurationError {
    /// The system could not read the file.
    #[error("cannot read the file")]
    Io(#[source] io::Error),
    /// It is far larger than any configuration.
    #[error("the file has {found} bytes, more than the limit of {limit} for a configuration")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
        /// The length in bytes.
        found: u64,
    },
    /// Its content is damaged.
    #[error(transparent)]
    Content(#[from] ConfigurationError),
}

/// What an image says of itself, without its block table.
#[derive(Clone, Debug)]
pub struct ImageFacts {
    /// What children link to.
    pub data_write_guid: Uuid,
    /// What the guest sees.
    pub virtual_disk_id: Uuid,
    /// Fixed, dynamic or differencing.
    pub kind: ImageKind,
    /// Size and sectors of its disk.
    pub geometry: Geometry,
    /// Whether its log had to be replayed.
    pub log_state: LogState,
    /// Which parent it wants, if it is a child.
    pub parent: Option<ParentLocator>,
}

/// The images below some folders, sorted by name.
#[derive(Debug, Default)]
pub struct Catalog {
    images: Vec<CatalogImage>,
    /// Images by file name without regard to letter case.
    by_name: HashMap<String, Vec<ImageIndex>>,
    links: Links,
    configurations: Vec<ConfigurationFile>,
    strangers: Vec<PathBuf>,
    unread: Vec<(PathBuf, io::Error)>,
}

/// A search that was given up.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// There is too much to look at.
    #[error("more than {limit} names below `{}`", root.display())]
    TooMany {
        /// Where the search began.
        root: PathBuf,
        /// How many names there may be.
        limit: u64,
    },
    /// A root can not be listed.
    #[error("cannot list `{}`", path.display())]
    List {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Catalog {
    /// Looks at every file below the policy's roots. A file with several names counts once, under the first.
    pub fn scan(policy: &SearchPolicy, depth: Depth) -> Result<Self, ScanError> {
        let most = policy.limits().of(Limit::NamesScanned);
        let mut walk = Walk { names: Vec::new(), unread: Vec::new(), looked_at: 0, most };
        for root in policy.roots() {
            walk.root(root)?;
        }
        walk.names.sort();
        let mut catalog = Self { unread: walk.unread, ..Self::default() };
        let mut seen = HashSet::new();
        for name in walk.names {
            let path = match policy.confine(&name) {
                Ok(path) => path,
                Err(Refusal::Unreadable(error)) => {
                    catalog.unread.push((name, error));
                    continue;
                }
                // A link that leads out, or nowhere. If it is called like an image it may be the one that is meant.
                Err(refusal) if is_image_name(&name) => {
                    catalog.unread.push((name, io::Error::other(refusal.to_string())));
                    continue;
                }
                Err(_) => continue,
            };
            match store::open_real(&path, policy) {
                Ok(file) if seen.insert(file.source.id) => catalog.admit(file, depth, policy.limits()),
                Err(StoreError::Open { path, source }) => catalog.unread.push((path, source)),
                Ok(_) | Err(StoreError::NotAFile { .. }) => {}
                Err(error) => catalog.unread.push((name, io::Error::other(error.to_string()))),
            }
        }
        catalog.links = Links::between(&catalog.images, policy);
        // Where more parents may lie, nothing but parents is looked for.
        let here = |path: &Path| policy.roots().first().is_none_or(|root| path.starts_with(root));
        catalog.configurations.retain(|file| here(&file.path));
        for (index, image) in catalog.images.iter().enumerate().filter(|(_, image)| here(&image.path)) {
            if let Some(name) = image.path.file_name().and_then(|name| name.to_str()) {
                catalog.by_name.entry(folded(name)).or_default().push(ImageIndex(index));
            }
        }
        Ok(catalog)
    }

    fn admit(&mut self, file: OpenFile, depth: Depth, limits: &Limits) {
        if is_configuration(&file.source.path) {
            self.configurations.extend(look_at_configuration(&file, limits));
            return;
        }
        let path = file.source.path.clone();
        match look_at(file, depth, limits) {
            Some(image) => self.images.push(image),
            None if is_disk_name(&path) => self.strangers.push(path),
            None => {}
        }
    }

    /// The VM configurations, sorted by name.
    #[must_use]
    pub fn configurations(&self) -> &[ConfigurationFile] {
        &self.configurations
    }

    /// The images below the first root whose file name is `name`, without regard to letter case.
    #[must_use]
    pub fn named(&self, name: &str) -> &[ImageIndex] {
        self.by_name.get(&folded(name)).map_or(&[], Vec::as_slice)
    }

    /// The images, sorted by name.
    #[must_use]
    pub fn images(&self) -> &[CatalogImage] {
        &self.images
    }

    /// Files that are called like a virtual disk of any of Hyper-V's formats and are no VHDX images, sorted by name.
    #[must_use]
    pub fn strangers(&self) -> &[PathBuf] {
        &self.strangers
    }

    /// Files and folders that the system would not let us read.
    #[must_use]
    pub fn unread(&self) -> &[(PathBuf, io::Error)] {
        &self.unread
    }

    /// The image of that index.
    #[must_use]
    pub fn image(&self, index: ImageIndex) -> Option<&CatalogImage> {
        self.images.get(index.0)
    }

    /// The images with their indices.
    pub fn indexed(&self) -> impl Iterator<Item = (ImageIndex, &CatalogImage)> {
        self.images.iter().enumerate().map(|(index, image)| (ImageIndex(index), image))
    }

    /// Whose child an image is.
    #[must_use]
    pub fn parent(&self, image: ImageIndex) -> &ParentLink {
        self.links.parent(image)
    }

    /// The images whose parent is `image`.
    #[must_use]
    pub fn children(&self, image: ImageIndex) -> &[ImageIndex] {
        self.links.children(image)
    }

    /// The images under `image`, its parent first, as far as they were found.
    #[must_use]
    pub fn ancestors(&self, image: ImageIndex) -> Vec<ImageIndex> {
        self.links.ancestors(image)
    }

    /// Whether following the parents of `image` leads back to it.
    #[must_use]
    pub fn is_cyclic(&self, image: ImageIndex) -> bool {
        self.links.is_cyclic(image)
    }

    /// The images whose identity `linkage` accepts.
    pub fn matching(&self, linkage: Linkage) -> impl Iterator<Item = &CatalogImage> {
        self.images.iter().filter(move |image| {
            image.facts.as_ref().is_ok_and(|facts| linkage.accepts(facts.data_write_guid))
        })
    }

    /// The readable images that no other one wants as its parent. A second copy of a parent is no leaf either.
    pub fn leaves(&self) -> impl Iterator<Item = (ImageIndex, &CatalogImage)> {
        let mut wanted: HashMap<Uuid, Vec<ImageIndex>> = HashMap::new();
        for (child, image) in self.indexed() {
            let facts = image.facts.as_ref().ok();
            let linkage = facts.and_then(|facts| facts.parent.as_ref()).map(|parent| parent.linkage);
            for guid in linkage.iter().flat_map(Linkage::guids) {
                wanted.entry(guid).or_default().push(child);
            }
        }
        self.indexed().filter(move |(index, image)| {
            let children = image.facts.as_ref().ok().map(|facts| wanted.get(&facts.data_write_guid));
            children.is_some_and(|children| children.into_iter().flatten().all(|child| child == index))
        })
    }
}

/// What the file says of itself, unless it is something other than an image.
fn look_at(file: OpenFile, depth: Depth, limits: &Limits) -> Option<CatalogImage> {
    let SourceFile { path, id, len, modified, .. } = file.source.clone();
    let (facts, table_fault) = match Outline::open_within(Box::new(file), limits) {
        Err(ImageError::NotVhdx) => return None,
        Err(error) => (Err(error), None),
        Ok(outline) => {
            let facts = ImageFacts {
                data_write_guid: outline.header().data_write_guid,
                virtual_disk_id: outline.virtual_disk_id(),
                kind: outline.kind(),
                geometry: *outline.geometry(),
                log_state: outline.log_state(),
                parent: outline.parent().cloned(),
            };
            let fault = match depth {
                Depth::Outlines => None,
                Depth::Tables => Layer::from_outline(outline).err(),
            };
            (Ok(facts), fault)
        }
    };
    Some(CatalogImage { path, id, len, modified, facts, table_fault })
}

/// Whether a file is called like a virtual disk.
fn is_disk_name(path: &Path) -> bool {
    const SUFFIXES: [&str; 5] = ["vhdx", "avhdx", "vhd", "avhd", "vhds"];
    let suffix = path.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default();
    SUFFIXES.iter().any(|known| suffix.eq_ignore_ascii_case(known))
}

/// Whether a file is called like an image: one that is none may have been one.
pub(crate) fn is_image_name(path: &Path) -> bool {
    let suffix = path.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default();
    suffix.eq_ignore_ascii_case("vhdx") || suffix.eq_ignore_ascii_case("avhdx")
}

/// The configuration in a file, unless the file holds something else. XML of any kind lies about in such folders, so
/// one that makes no sense counts as a damaged configuration only where its name is that of one, a GUID. A file of that
/// name in one of Hyper-V's own folders is one, even if nothing in it says so any more.
fn look_at_configuration(file: &OpenFile, limits: &Limits) -> Option<ConfigurationFile> {
    let SourceFile { path, modified, .. } = file.source.clone();
    let stem = path.file_stem().and_then(|stem| stem.to_str()).and_then(parse_guid);
    let is_xml = path.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("xml"));
    let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
    let in_place =
        stem.is_some() && ["Virtual Machines", "Snapshots"].iter().any(|own| same_name(folder, own));
    match read_configuration(file, limits) {
        Err(ReadConfigurationError::Content(ConfigurationError::NotAConfiguration(_))) if !in_place => None,
        Err(_) if is_xml && stem.is_none() => None,
        configuration => Some(ConfigurationFile { path, modified, configuration }),
    }
}

fn read_configuration(file: &OpenFile, limits: &Limits) -> Result<Configuration, ReadConfigurationError> {
    Ok(Configuration::parse_within(&read_all(file, limits)?, limits)?)
}

struct Walk {
    names: Vec<PathBuf>,
    unread: Vec<(PathBuf, io::Error)>,
    looked_at: u64,
    most: u64,
}

impl Walk {
    fn root(&mut self, root: &Path) -> Result<(), ScanError> {
        let mut folders = vec![(root.to_path_buf(), 0_usize)];
        while let Some((folder, depth)) = folders.pop() {
            let entries = match store::list(&folder) {
                Ok(entries) => entries,
                Err(source) if depth == 0 => return Err(ScanError::List { path: folder, source }),
                Err(error) => {
                    self.unread.push((folder, error));
                    continue;
                }
            };
            for entry in entries {
                self.looked_at = self.looked_at.saturating_add(1);
                if self.looked_at > self.most {
                    return Err(ScanError::TooMany { root: root.to_path_buf(), limit: self.most });
                }
                match entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))) {
                    Ok((path, kind)) => self.entry(path, kind, depth, &mut folders),
                    Err(error) => self.unread.push((folder.clone(), error)),
                }
            }
        }
        Ok(())
    }

    /// Links to folders are not followed: they are how a search leaves its tree, or never ends.
    fn entry(&mut self, path: PathBuf, kind: FileType, depth: usize, folders: &mut Vec<(PathBuf, usize)>) {
        if kind.is_file() || kind.is_symlink() {
            // What an interrupted export left behind begins like an image and is none.
            if path.extension().is_none_or(|suffix| suffix != "partial") {
                self.names.push(path);
            }
        } else if kind.is_dir() && depth < DEPTH_MAX {
            folders.push((path, depth.saturating_add(1)));
        } else if kind.is_dir() {
            self.unread.push((path, io::Error::other("nested too deep")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_looks_at_as_many_names_as_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("below")).unwrap();
        for name in ["a", "b.partial", "below/c"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let walk = |most| {
            let mut walk = Walk { names: Vec::new(), unread: Vec::new(), looked_at: 0, most };
            walk.root(folder.path()).map(|()| walk.names.len())
        };
        assert!(matches!(walk(3), Err(ScanError::TooMany { limit: 3, root }) if root == folder.path()));
        assert_eq!(walk(4).unwrap(), 2);
    }
}
