//! Why no chain was found: each error names the files, what was expected, and every candidate with its reason.

use std::path::PathBuf;

use uuid::Uuid;
use vhdx_format::{ImageError, LinkError, Linkage};

use crate::catalog::ScanError;
use crate::policy::Refusal;
use crate::store::StoreError;

/// A chain could not be resolved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// A file can not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file is no image, or a damaged or unsupported one.
    #[error("cannot use `{}`", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ImageError,
    },
    /// The folders can not be searched.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// No image with the identity that the child wants.
    #[error("parent of `{}` not found: it wants DataWriteGuid {wanted}", child.display())]
    ParentNotFound {
        /// The child.
        child: PathBuf,
        /// The identity that it wants.
        wanted: Linkage,
        /// Every candidate, with the reason why it is not the parent.
        tried: Vec<Tried>,
        /// The folders that were searched.
        searched: Vec<PathBuf>,
        /// How many images were found there.
        images_seen: usize,
    },
    /// Several images with the identity that the child wants, none of them where the child says.
    #[error("parent of `{}` is ambiguous: {} images have DataWriteGuid {wanted}", child.display(), candidates.len())]
    AmbiguousParent {
        /// The child.
        child: PathBuf,
        /// The identity that it wants.
        wanted: Linkage,
        /// The images that have it.
        candidates: Vec<PathBuf>,
    },
    /// The parent is one of the image's own descendants.
    #[error("the chain is a cycle: `{}` has `{}` as its parent, which is built on it", child.display(), parent.display())]
    Cycle {
        /// The image that closes the cycle.
        child: PathBuf,
        /// The image it leads back to.
        parent: PathBuf,
    },
    /// The parent has the right identity but can not lie under its child.
    #[error("`{}` cannot be the parent of `{}`", parent.display(), child.display())]
    Link {
        /// The child.
        child: PathBuf,
        /// The parent.
        parent: PathBuf,
        /// Why not.
        source: LinkError,
    },
    /// The search ended without a base.
    #[error("the chain of `{}` has no base", leaf.display())]
    Unfinished {
        /// The leaf.
        leaf: PathBuf,
    },
}

/// A candidate that is not the parent.
#[derive(Debug)]
pub struct Tried {
    /// The file, or the stored path that leads to none.
    pub candidate: String,
    /// Why it is not the parent.
    pub why: WhyNot,
}

/// Why a candidate is not the parent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WhyNot {
    /// The stored path leads nowhere, or where we do not go.
    #[error(transparent)]
    Path(Refusal),
    /// It can not be opened.
    #[error(transparent)]
    Open(StoreError),
    /// It is something other than a VHDX image.
    #[error("not a VHDX image")]
    NotAnImage,
    /// Its header can not be read.
    #[error(transparent)]
    Image(ImageError),
    /// It is another image, or the parent was changed after the child was made.
    #[error("has DataWriteGuid {{{found}}}")]
    Identity {
        /// What its current header says.
        found: Uuid,
    },
    /// The system would not let us look at it during the search.
    #[error("cannot be read: {0}")]
    Unread(std::io::ErrorKind),
    /// It is an image, found during the search, but not one that can be read.
    #[error("is damaged or unsupported, so its identity is not known")]
    Damaged,
}
