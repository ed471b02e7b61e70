//! Whose child each image of a catalogue is: the trees that a folder holds, from what the images say, without opening any
//! of them again.
//!
//! The rules are those of [`crate::resolve()`]: an image with the wanted identity where the child's words lead comes first,
//! then the only one with that identity, wherever it lies; several are no answer.

use std::collections::HashMap;
use std::path::Path;

use uuid::Uuid;
use vhdx_format::{Linkage, ParentLocator};

use crate::candidates::candidates;
use crate::catalog::CatalogImage;
use crate::policy::SearchPolicy;

/// An image of a catalogue, by its place in [`crate::Catalog::images`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ImageIndex(pub usize);

/// Whose child an image is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ParentLink {
    /// It has no parent.
    Base,
    /// This one's.
    Found(ImageIndex),
    /// None of the images is the one it wants.
    NotFound {
        /// The identity that it wants.
        wanted: Linkage,
        /// The image that lies where the parent should, but is another, or was changed after the child was made.
        mismatch: Option<ImageIndex>,
    },
    /// Several images have the identity that it wants, none of them where it says.
    Ambiguous(Vec<ImageIndex>),
    /// It can not be read, so nobody knows.
    Unreadable,
}

/// The links between the images of a catalogue.
#[derive(Debug, Default)]
pub(crate) struct Links {
    parents: Vec<ParentLink>,
    children: Vec<Vec<ImageIndex>>,
}

impl Links {
    pub(crate) fn between(images: &[CatalogImage], policy: &SearchPolicy) -> Self {
        let finder = Finder::new(images, policy);
        let parents: Vec<ParentLink> = images.iter().map(|image| finder.parent_of(image)).collect();
        let mut children = vec![Vec::new(); images.len()];
        for (child, link) in parents.iter().enumerate() {
            if let ParentLink::Found(parent) = link
                && let Some(children) = children.get_mut(parent.0)
            {
                children.push(ImageIndex(child));
            }
        }
        Self { parents, children }
    }

    pub(crate) fn parent(&self, image: ImageIndex) -> &ParentLink {
        self.parents.get(image.0).unwrap_or(&ParentLink::Unreadable)
    }

    pub(crate) fn children(&self, image: ImageIndex) -> &[ImageIndex] {
        self.children.get(image.0).map_or(&[], Vec::as_slice)
    }

    /// The images under `image`, its parent first; ends where a parent is not found, and after one round of a cycle.
    pub(crate) fn ancestors(&self, image: ImageIndex) -> Vec<ImageIndex> {
        let mut ancestors = Vec::new();
        let mut at = image;
        while let ParentLink::Found(parent) = self.parent(at) {
            if *parent == image || ancestors.contains(parent) {
                break;
            }
            ancestors.push(*parent);
            at = *parent;
        }
        ancestors
    }

    /// Whether following the parents of `image` leads back to it.
    pub(crate) fn is_cyclic(&self, image: ImageIndex) -> bool {
        let last = self.ancestors(image).last().copied().unwrap_or(image);
        *self.parent(last) == ParentLink::Found(image)
    }
}

struct Finder<'a> {
    policy: &'a SearchPolicy,
    images: &'a [CatalogImage],
    by_path: HashMap<&'a Path, ImageIndex>,
    by_identity: HashMap<Uuid, Vec<ImageIndex>>,
}

impl<'a> Finder<'a> {
    fn new(images: &'a [CatalogImage], policy: &'a SearchPolicy) -> Self {
        let mut by_identity: HashMap<Uuid, Vec<ImageIndex>> = HashMap::new();
        let indexed = || images.iter().enumerate().map(|(index, image)| (ImageIndex(index), image));
        for (index, image) in indexed() {
            if let Ok(facts) = &image.facts {
                by_identity.entry(facts.data_write_guid).or_default().push(index);
            }
        }
        let by_path = indexed().map(|(index, image)| (image.path.as_path(), index)).collect();
        Self { policy, images, by_path, by_identity }
    }

    fn parent_of(&self, child: &CatalogImage) -> ParentLink {
        match &child.facts {
            Err(_) => ParentLink::Unreadable,
            Ok(facts) => facts.parent.as_ref().map_or(ParentLink::Base, |wanted| self.find(child, wanted)),
        }
    }

    fn find(&self, child: &CatalogImage, wanted: &ParentLocator) -> ParentLink {
        let linkage = wanted.linkage;
        let matching: Vec<ImageIndex> = linkage
            .guids()
            .flat_map(|guid| self.by_identity.get(&guid).into_iter().flatten().copied())
            .collect();
        // Without its names, an image still has the identity that it wants.
        let named: Vec<ImageIndex> = candidates(self.policy, &child.path, wanted)
            .unwrap_or_default()
            .into_iter()
            .filter_map(|candidate| self.by_path.get(candidate.path.ok()?.as_path()).copied())
            .collect();
        if let Some(stored) = named.iter().find(|named| matching.contains(named)) {
            return ParentLink::Found(*stored);
        }
        match matching.as_slice() {
            [only] => ParentLink::Found(*only),
            [] => {
                let is_other =
                    |named: &&ImageIndex| self.images.get(named.0).is_some_and(|image| image.id != child.id);
                ParentLink::NotFound { wanted: linkage, mismatch: named.iter().find(is_other).copied() }
            }
            _ => ParentLink::Ambiguous(matching),
        }
    }
}
