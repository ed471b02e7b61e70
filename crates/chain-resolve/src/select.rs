//! From what the user said to one leaf file: SOURCE and `--checkpoint`, as names of disk files.
//!
//! Whenever more than one file fits, the candidates are the answer; none is ever picked.

use std::path::{Path, PathBuf};

use crate::catalog::{Catalog, CatalogImage, ScanError};
use crate::policy::{SearchPolicy, same_name};

/// No single file fits what was said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// SOURCE is not there, or can not be looked at.
    #[error("cannot look at `{}`", path.display())]
    Source {
        /// What the user named.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder can not be searched.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The folder holds no image.
    #[error("no VHDX image below `{}`", .0.display())]
    NoImages(PathBuf),
    /// Nothing has that name.
    #[error("no disk file is called `{name}`")]
    NoSuchName {
        /// What the user said.
        name: String,
        /// What there is.
        candidates: Vec<PathBuf>,
    },
    /// Several files have that name.
    #[error("`{name}` names {} disk files", candidates.len())]
    AmbiguousName {
        /// What the user said.
        name: String,
        /// The files that have it.
        candidates: Vec<PathBuf>,
    },
    /// No name was given, and the images do not form exactly one leaf.
    #[error("{} states to choose from", candidates.len())]
    SeveralLeaves {
        /// The leaves, and images that could not be read: one of those may be a leaf as well.
        candidates: Vec<PathBuf>,
    },
}

/// The file whose state is wanted, and where its parents may be looked for.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The leaf of the chain.
    pub leaf: PathBuf,
    /// The folders of SOURCE and `--parent-dir`.
    pub policy: SearchPolicy,
}

/// Finds the leaf.
///
/// A disk file as SOURCE is the leaf itself, unless `checkpoint` names another file in its folder. A folder must hold
/// exactly one leaf, or `checkpoint` must say which file is meant.
pub fn select(
    source: &Path,
    checkpoint: Option<&str>,
    parent_dirs: &[PathBuf],
) -> Result<Selection, SelectError> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| SelectError::Source { path, source }
    };
    let is_folder = std::fs::metadata(source).map_err(failed(source))?.is_dir();
    let folder = if is_folder {
        source.to_path_buf()
    } else {
        // The file's real folder: a link to an image leads to where its parents are.
        let real = std::fs::canonicalize(source).map_err(failed(source))?;
        real.parent().unwrap_or(Path::new("/")).to_path_buf()
    };
    let below_source = SearchPolicy::new([folder.clone()]).map_err(failed(&folder))?;
    for dir in parent_dirs {
        std::fs::read_dir(dir).map_err(failed(dir))?;
    }
    let everywhere = std::iter::once(folder.clone()).chain(parent_dirs.iter().cloned());
    let policy = SearchPolicy::new(everywhere).map_err(failed(&folder))?;
    let leaf = match checkpoint {
        None if !is_folder => source.to_path_buf(),
        None => only_leaf(&Catalog::scan(&below_source)?, source)?,
        Some(name) => named(&Catalog::scan(&below_source)?, name)?,
    };
    Ok(Selection { leaf, policy })
}

fn only_leaf(catalog: &Catalog, folder: &Path) -> Result<PathBuf, SelectError> {
    let unreadable = catalog.images().iter().filter(|image| image.facts.is_err());
    let mut candidates = paths(catalog.leaves().map(|(_, image)| image).chain(unreadable));
    match (candidates.pop(), candidates.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(last), false) => {
            candidates.push(last);
            Err(SelectError::SeveralLeaves { candidates })
        }
        (None, _) if catalog.images().is_empty() => Err(SelectError::NoImages(folder.to_path_buf())),
        // Only a cycle has images and no leaf; any of them shows it.
        (None, _) => Ok(catalog.images().iter().map(|image| image.path.clone()).next().unwrap_or_default()),
    }
}

/// An exact file name or stem comes first, then one that differs in letter case.
fn named(catalog: &Catalog, name: &str) -> Result<PathBuf, SelectError> {
    let fits = |exact: bool| {
        let same = move |a: &str| if exact { a == name } else { same_name(a, name) };
        paths(catalog.images().iter().filter(|image| names_of(&image.path).into_iter().flatten().any(same)))
    };
    let exact = fits(true);
    let mut candidates = if exact.is_empty() { fits(false) } else { exact };
    match (candidates.pop(), candidates.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(last), false) => {
            candidates.push(last);
            Err(SelectError::AmbiguousName { name: name.to_owned(), candidates })
        }
        (None, _) => {
            let candidates = paths(catalog.images().iter());
            Err(SelectError::NoSuchName { name: name.to_owned(), candidates })
        }
    }
}

fn names_of(path: &Path) -> [Option<&str>; 2] {
    [path.file_name(), path.file_stem()].map(|name| name.and_then(|name| name.to_str()))
}

fn paths<'a>(images: impl Iterator<Item = &'a CatalogImage>) -> Vec<PathBuf> {
    images.map(|image| image.path.clone()).collect()
}
