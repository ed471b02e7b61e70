//! From a leaf to its proved chain: finding each parent by the names its child stores, then by identity.
//!
//! A name is only ever a hint. A candidate is the parent if its `DataWriteGuid` is the one that the child wants, and
//! the handle that was asked is the one that is read. A candidate that does not match is noted and passed over.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use limits::Limits;
use vhdx_format::{ImageError, Layer, Linkage, OpenStack, ParentLocator, read_header};

use crate::candidates::candidates;
use crate::catalog::{Catalog, Depth};
use crate::chain::{Chain, ChainFile, FoundBy};
use crate::error::{ResolveError, Tried, WhyNot};
use crate::policy::{Refusal, SearchPolicy};
use crate::store::{self, OpenFile, SourceFile, StoreError, may_pass};

/// Opens the chain that ends in `leaf`.
pub fn resolve(leaf: &Path, policy: &SearchPolicy) -> Result<Chain, ResolveError> {
    let handle = Arc::new(store::open(leaf, policy)?);
    let mut search = Search { policy, catalog: None };
    let mut stack = OpenStack::within(open_layer(&handle, policy.limits())?, policy.limits());
    let mut files = vec![ChainFile::new(handle, FoundBy::Selection)];
    while let (Some(wanted), Some(child)) = (stack.wanted(), files.last()) {
        let child = child.source.path.clone();
        let (handle, found_by) = search.parent_of(&child, wanted)?;
        refuse_cycle(&files, &child, &handle)?;
        let layer = open_layer(&handle, policy.limits())?;
        let parent = handle.source.path.clone();
        stack.push(layer).map_err(|source| ResolveError::Link { child, parent, source })?;
        files.push(ChainFile::new(handle, found_by));
    }
    let chain = stack.complete().ok().and_then(|stack| Chain::new(stack, files));
    chain.ok_or_else(|| ResolveError::Unfinished { leaf: leaf.to_path_buf() })
}

/// Opens one image below the policy's roots, without asking for its parent.
pub fn open_image(path: &Path, policy: &SearchPolicy) -> Result<(SourceFile, Layer), ResolveError> {
    let handle = Arc::new(store::open(path, policy)?);
    Ok((handle.source.clone(), open_layer(&handle, policy.limits())?))
}

fn open_layer(handle: &Arc<OpenFile>, limits: &Limits) -> Result<Layer, ResolveError> {
    let image = Layer::open_within(Box::new(Arc::clone(handle)), limits);
    image.map_err(|source| ResolveError::Image { path: handle.source.path.clone(), source })
}

/// A parent that is already in the chain would go round for ever.
fn refuse_cycle(files: &[ChainFile], child: &Path, parent: &OpenFile) -> Result<(), ResolveError> {
    match files.iter().find(|file| file.source.id == parent.source.id) {
        Some(file) => {
            Err(ResolveError::Cycle { child: child.to_path_buf(), parent: file.source.path.clone() })
        }
        None => Ok(()),
    }
}

type Found = (Arc<OpenFile>, FoundBy);

struct Search<'a> {
    policy: &'a SearchPolicy,
    /// Made when the first parent is not where its child says.
    catalog: Option<Catalog>,
}

impl Search<'_> {
    fn parent_of(&mut self, child: &Path, wanted: &ParentLocator) -> Result<Found, ResolveError> {
        let mut tried = Vec::new();
        for candidate in candidates(self.policy, child, wanted)? {
            let outcome = candidate
                .path
                .map_err(WhyNot::Path)
                .and_then(|path| verify(&path, self.policy, wanted.linkage));
            match outcome {
                Ok(handle) => return Ok((Arc::new(handle), candidate.found_by)),
                Err(why) => {
                    let why = unless_passing(&candidate.stored, why)?;
                    tried.push(Tried { candidate: candidate.stored, why });
                }
            }
        }
        let matching = self.by_identity(wanted.linkage)?;
        match matching.as_slice() {
            [only] => match verify(only, self.policy, wanted.linkage) {
                Ok(handle) => Ok((Arc::new(handle), FoundBy::Identity)),
                Err(why) => {
                    let why = unless_passing(&only.display().to_string(), why)?;
                    tried.push(Tried { candidate: only.display().to_string(), why });
                    Err(self.not_found(child, wanted.linkage, tried))
                }
            },
            [] => Err(self.not_found(child, wanted.linkage, tried)),
            _ => Err(ResolveError::AmbiguousParent {
                child: child.to_path_buf(),
                wanted: wanted.linkage,
                candidates: matching,
            }),
        }
    }

    fn by_identity(&mut self, wanted: Linkage) -> Result<Vec<PathBuf>, ResolveError> {
        let catalog = match self.catalog.take() {
            Some(catalog) => catalog,
            None => Catalog::scan(self.policy, Depth::Outlines)?,
        };
        let matching = catalog.matching(wanted).map(|image| image.path.clone()).collect();
        self.catalog = Some(catalog);
        Ok(matching)
    }

    /// Lists what was tried and, of the images that were found on the way, why none is the parent.
    fn not_found(&self, child: &Path, wanted: Linkage, mut tried: Vec<Tried>) -> ResolveError {
        let unreadable = self.catalog.iter().flat_map(Catalog::unread);
        tried.extend(unreadable.map(|(path, error)| Tried {
            candidate: path.display().to_string(),
            why: WhyNot::Unread(error.kind()),
        }));
        let damaged = self.catalog.iter().flat_map(Catalog::images).filter(|image| image.facts.is_err());
        tried.extend(
            damaged.map(|image| Tried { candidate: image.path.display().to_string(), why: WhyNot::Damaged }),
        );
        ResolveError::ParentNotFound {
            child: child.to_path_buf(),
            wanted,
            tried,
            searched: self.policy.roots().to_vec(),
            images_seen: self.catalog.as_ref().map_or(0, |catalog| catalog.images().len()),
        }
    }
}

/// A candidate that could not be read this time may be the one that is meant: no other takes its place.
fn unless_passing(candidate: &str, why: WhyNot) -> Result<WhyNot, ResolveError> {
    let path = PathBuf::from(candidate);
    match why {
        WhyNot::Path(Refusal::Unreadable(source)) if may_pass(&source) => {
            Err(StoreError::Open { path, source }.into())
        }
        WhyNot::Open(StoreError::Open { path, source }) if may_pass(&source) => {
            Err(StoreError::Open { path, source }.into())
        }
        WhyNot::Image(ImageError::Io { at, structure, source }) if may_pass(&source) => {
            Err(ResolveError::Image { path, source: ImageError::Io { at, structure, source } })
        }
        why => Ok(why),
    }
}

/// Opens a candidate by its real name and asks its current header who it is.
fn verify(path: &Path, policy: &SearchPolicy, wanted: Linkage) -> Result<OpenFile, WhyNot> {
    let handle = store::open_real(path, policy).map_err(WhyNot::Open)?;
    let found = match read_header(&handle) {
        Ok(header) => header.data_write_guid,
        Err(ImageError::NotVhdx) => return Err(WhyNot::NotAnImage),
        Err(error) => return Err(WhyNot::Image(error)),
    };
    if wanted.accepts(found) { Ok(handle) } else { Err(WhyNot::Identity { found }) }
}
