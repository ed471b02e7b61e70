//! One image but for its block table: what it is, which disk it belongs to, who its parent is.
//!
//! This much is enough to draw the tree of a folder full of images, and it costs a few hundred KiB of reading. The
//! block table is judged when an outline becomes a [`crate::Layer`].

use limits::Limits;
use limits::image::FILE_LEN_MAX;
use uuid::Uuid;

use crate::bat::{self, Used};
use crate::geometry::BlockLayout;
use crate::header::{self, Header};
use crate::log::{self, LogState};
use crate::metadata::{self, ImageKind, Metadata};
use crate::overlay::Overlay;
use crate::parent::ParentLocator;
use crate::region::{self, Region, Regions};
use crate::{FileOffset, Geometry, ImageError, ReadAt, Structure};

/// What an image says of itself, its dirty log replayed in memory.
pub struct Outline {
    pub(crate) file: Overlay,
    pub(crate) regions: Regions,
    /// What no block may touch.
    pub(crate) fixed_parts: Vec<Used>,
    header: Header,
    metadata: Metadata,
    creator: String,
    log_state: LogState,
    file_len: u64,
}

impl Outline {
    /// Opens an image, which validates both headers, the log, the region tables and the metadata.
    pub fn open(source: Box<dyn ReadAt>) -> Result<Self, ImageError> {
        Self::open_within(source, &Limits::default())
    }

    /// The same, within limits that were raised.
    pub fn open_within(source: Box<dyn ReadAt>, limits: &Limits) -> Result<Self, ImageError> {
        let header = header::read_header(&source)?;
        let creator = header::read_creator(&source)?;
        let file_len = source.byte_len().map_err(ImageError::reading(Structure::File, FileOffset(0)))?;
        if file_len > FILE_LEN_MAX {
            return Err(ImageError::Limit {
                structure: Structure::File,
                at: FileOffset(0),
                unit: "bytes",
                limit: FILE_LEN_MAX,
                found: file_len,
                raise: None,
            });
        }
        let mut file = Overlay::new(source, file_len);
        let log_state = log::replay(&header, &mut file, limits)?;
        let regions = region::read_regions(&file)?;
        // Before anything in a region is believed: of two that overlap, neither is.
        let log = Region { at: header.log_at, len: header.log_len };
        let fixed_parts = bat::fixed_parts(log, &regions)?;
        let metadata = metadata::read_metadata(&file, regions.metadata, limits)?;
        Ok(Self { file, regions, fixed_parts, header, metadata, creator, log_state, file_len })
    }

    /// The current header, identities included.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Fixed, dynamic or differencing.
    #[must_use]
    pub fn kind(&self) -> ImageKind {
        self.metadata.kind
    }

    /// The disk as this image sees it.
    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        self.metadata.layout.geometry()
    }

    /// How the image cuts the disk into blocks.
    #[must_use]
    pub fn layout(&self) -> &BlockLayout {
        &self.metadata.layout
    }

    /// What the guest sees as the disk's identity (SCSI page 83); the same all along a chain.
    #[must_use]
    pub fn virtual_disk_id(&self) -> Uuid {
        self.metadata.virtual_disk_id
    }

    /// The link to the parent, if the image has one.
    #[must_use]
    pub fn parent(&self) -> Option<&ParentLocator> {
        self.metadata.parent.as_ref()
    }

    /// The program that made the file, in its own words.
    #[must_use]
    pub fn creator(&self) -> &str {
        &self.creator
    }

    /// Whether a log was replayed.
    #[must_use]
    pub fn log_state(&self) -> LogState {
        self.log_state
    }

    /// Length of the file in bytes when it was opened.
    #[must_use]
    pub fn file_len(&self) -> u64 {
        self.file_len
    }

    /// Whether the file still says what it said when it was opened: same length, same current header. A file that was
    /// opened for writing meanwhile says otherwise.
    pub fn is_unchanged(&self) -> Result<bool, ImageError> {
        let source = self.file.source();
        let len = source.byte_len().map_err(ImageError::reading(Structure::File, FileOffset(0)))?;
        Ok(len == self.file_len && header::read_header(source)? == self.header)
    }
}

impl std::fmt::Debug for Outline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("Outline");
        out.field("header", &self.header).field("metadata", &self.metadata).finish_non_exhaustive()
    }
}
