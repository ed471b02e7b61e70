//! A chain of files: every link proved, every handle the one that was verified.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use vhdx_format::{
    DiskRange, Extents, Geometry, ImageError, Layer, LayerIndex, LayerStack, ReadAt, VirtualDisk,
};

use crate::page_cache::CacheUse;
use crate::store::{OpenFile, SourceFile};

/// How a file of a chain was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FoundBy {
    /// The user named it, or it is the only leaf there.
    Selection,
    /// Its child's `relative_path` leads to it.
    StoredPath,
    /// It lies beside its child under the last name of a path that its child stores.
    StoredName,
    /// It was found by its identity alone: moved or renamed since the child was made.
    Identity,
}

/// One file of a chain.
#[derive(Clone, Debug)]
pub struct ChainFile {
    /// The file as it was when it was opened.
    pub source: SourceFile,
    /// How it was found.
    pub found_by: FoundBy,
    handle: Arc<OpenFile>,
}

impl ChainFile {
    pub(crate) fn new(handle: Arc<OpenFile>, found_by: FoundBy) -> Self {
        Self { source: handle.source.clone(), found_by, handle }
    }

    /// The open file, for sharing its blocks with a target. Reading the disk goes through the [`Chain`].
    #[must_use]
    pub fn handle(&self) -> &File {
        &self.handle.file
    }

    /// The bytes of the file: not the disk, and not the image as its log would leave it.
    #[must_use]
    pub fn bytes(&self) -> &dyn ReadAt {
        &*self.handle
    }
}

/// A whole chain, leaf first. Holding one is the proof that it is complete and that each image is the parent that its
/// child names.
#[derive(Debug)]
pub struct Chain {
    stack: LayerStack,
    leaf: ChainFile,
    /// Leaf first, and so never empty.
    files: Vec<ChainFile>,
}

/// How a source shows that it changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Change {
    /// It grew or shrank.
    #[error("it had {was} bytes and has {is}")]
    Length {
        /// In bytes, when it was opened.
        was: u64,
        /// In bytes, now.
        is: u64,
    },
    /// It was written to, or something claims so.
    #[error("its time of change is another")]
    Time,
    /// Somebody opened the image for writing.
    #[error("its header is another")]
    Header,
    /// Two reads gave different bytes.
    #[error("it does not hold what it held")]
    Content,
}

/// A source is not what it was when the export began.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// It is another than it was.
    #[error("`{}` changed while it was being read: {change}", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What is another.
        change: Change,
    },
    /// It can not be asked.
    #[error("cannot check whether `{}` changed", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its header can not be read any more.
    #[error("cannot check whether `{}` changed", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ImageError,
    },
}

impl Chain {
    /// A whole stack and its files, leaf first; `None` without any.
    pub(crate) fn new(stack: LayerStack, files: Vec<ChainFile>) -> Option<Self> {
        let leaf = files.first()?.clone();
        Some(Self { stack, leaf, files })
    }

    /// The files, leaf first; as many as there are layers.
    #[must_use]
    pub fn files(&self) -> &[ChainFile] {
        &self.files
    }

    /// The file whose state the disk is.
    #[must_use]
    pub fn leaf(&self) -> &ChainFile {
        &self.leaf
    }

    /// The images, leaf first.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        self.stack.layers()
    }

    /// The files and their images, leaf first.
    pub fn links(&self) -> impl Iterator<Item = (&ChainFile, &Layer)> {
        self.files.iter().zip(self.stack.layers())
    }

    /// Says that the whole disk is about to be read, as [`OpenFile::expect_reading`] does of one file.
    pub fn expect_reading(&self, cache: CacheUse) {
        for file in &self.files {
            file.handle.expect_reading(cache);
        }
    }

    /// Asks every source whether it still is what it was when it was opened. Ask before publishing what was read.
    pub fn check_unchanged(&self) -> Result<(), ChangeError> {
        for (file, layer) in self.links() {
            let path = &file.source.path;
            file.handle.check_unchanged()?;
            let same_image = layer.outline().is_unchanged();
            let same_image =
                same_image.map_err(|source| ChangeError::Image { path: path.clone(), source })?;
            if !same_image {
                return Err(ChangeError::Changed { path: path.clone(), change: Change::Header });
            }
        }
        Ok(())
    }
}

impl VirtualDisk for Chain {
    fn geometry(&self) -> &Geometry {
        self.stack.geometry()
    }

    fn extents(&self, range: DiskRange) -> Extents<'_> {
        self.stack.extents(range)
    }

    fn layer(&self, index: LayerIndex) -> Option<&dyn ReadAt> {
        self.stack.layer(index)
    }
}
