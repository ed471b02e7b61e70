//! A disk that was opened, whatever holds it: a chain of VHDX images, a raw file or device, or raw in frames of zstd.
//!
//! What a file is taken for is decided by its name, never by its content: the content of a raw disk is the guest's, which
//! could make it look like an image that leads to other files.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use chain_resolve::{
    CacheUse, Chain, ChangeError, FoundBy, OpenFile, ResolveError, SearchPolicy, SourceFile, SourceKinds,
    StoreError, open_plain, resolve,
};
use export_manifest::Format;
use export_sinks::{FileIdentity, Readers};
use raw_format::{RawDisk, RawError, ZstdDisk, ZstdDiskError};
use vhdx_format::{
    DiskRange, Extents, Geometry, GeometryError, LayerIndex, LogState, ReadAt, ReadError, SectorSize,
    VirtualDisk,
};

use crate::failure::Failure;
use crate::format;

/// A disk that was opened.
pub(crate) enum Disk {
    Chain(Chain),
    Plain(PlainDisk),
}

/// A disk whose bytes lie in one file as they are.
pub(crate) struct PlainDisk {
    format: Format,
    file: Arc<OpenFile>,
    disk: Box<dyn VirtualDisk>,
}

/// A file that the disk is read from, and what it says of itself.
pub(crate) struct Link<'a> {
    pub(crate) path: &'a Path,
    pub(crate) format: Format,
    pub(crate) size: u64,
    pub(crate) found_by: &'a FoundBy,
    /// What a VHDX has and bare bytes have not.
    pub(crate) image: Option<ImageFacts>,
}

/// What a VHDX says of the state it holds.
pub(crate) struct ImageFacts {
    pub(crate) data_write_guid: String,
    pub(crate) virtual_disk_id: String,
    pub(crate) sequence_number: u64,
    pub(crate) log: LogState,
}

/// A disk could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiskError {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot use `{}`", path.display())]
    Raw { path: PathBuf, source: RawError },
    #[error("cannot use `{}`", path.display())]
    Zstd { path: PathBuf, source: ZstdDiskError },
    #[error("`{}` holds no disk", path.display())]
    Geometry { path: PathBuf, source: GeometryError },
    #[error("cannot find out how long `{}` is", path.display())]
    Length { path: PathBuf, source: std::io::Error },
    /// No part of it can be read without all that comes before.
    #[error("`{}` can only be read from front to back", path.display())]
    Packed { path: PathBuf, tool: &'static str },
}

/// How a file of that name holds a bare disk; `None` if it is none by its name.
pub(crate) fn plain_format(path: &Path) -> Option<Format> {
    if is_device(path) {
        return Some(Format::Device);
    }
    format::of_name(path).filter(|format| matches!(format, Format::Raw | Format::RawZst))
}

#[cfg(unix)]
fn is_device(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_block_device())
}

#[cfg(not(unix))]
fn is_device(_: &Path) -> bool {
    false
}

impl Disk {
    /// Opens what is called `path`. `sector` is the logical sector of a bare disk, which does not say: that of the device,
    /// else 512 bytes, where nothing else is known.
    pub(crate) fn open(
        path: &Path,
        policy: &SearchPolicy,
        sector: Option<SectorSize>,
    ) -> Result<Self, DiskError> {
        refuse_packed(path)?;
        match plain_format(path) {
            Some(format) => Ok(Self::Plain(PlainDisk::open(path, format, Share::Whole(sector))?)),
            None => Ok(Self::Chain(resolve(path, policy)?)),
        }
    }

    /// Opens a copy of a disk of that geometry; of a raw file or a device, the beginning.
    pub(crate) fn open_copy(path: &Path, policy: &SearchPolicy, wanted: Geometry) -> Result<Self, DiskError> {
        refuse_packed(path)?;
        match plain_format(path) {
            Some(format) => Ok(Self::Plain(PlainDisk::open(path, format, Share::Beginning(wanted))?)),
            None => Ok(Self::Chain(resolve(path, policy)?)),
        }
    }

    /// Says that all of it is about to be read, and what is to become of that in the page cache.
    pub(crate) fn expect_reading(&self, cache: CacheUse) {
        match self {
            Self::Chain(chain) => chain.expect_reading(cache),
            Self::Plain(plain) => plain.file.expect_reading(cache),
        }
    }

    /// The files, leaf first.
    pub(crate) fn links(&self) -> Vec<Link<'_>> {
        match self {
            Self::Chain(chain) => chain_links(chain),
            Self::Plain(plain) => vec![Link {
                path: plain.path(),
                format: plain.format,
                size: plain.file.source().len,
                found_by: &FoundBy::Selection,
                image: None,
            }],
        }
    }

    /// What holds the disk.
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::Chain(_) => Format::Vhdx,
            Self::Plain(plain) => plain.format,
        }
    }

    /// How many files it is read from.
    pub(crate) fn layers(&self) -> usize {
        match self {
            Self::Chain(chain) => chain.files().len(),
            Self::Plain(_) => 1,
        }
    }

    /// The file of a layer.
    pub(crate) fn path_of(&self, layer: LayerIndex) -> &Path {
        match self {
            Self::Chain(chain) => {
                let file = chain.files().get(layer.0).unwrap_or(chain.leaf());
                &file.source.path
            }
            Self::Plain(plain) => plain.path(),
        }
    }

    /// The file that holds the disk, or its leaf, as it was opened.
    pub(crate) fn file(&self) -> &dyn ReadAt {
        match self {
            Self::Chain(chain) => chain.leaf().bytes(),
            Self::Plain(plain) => &*plain.file,
        }
    }

    /// Length in bytes of the file that holds the disk, or of its leaf.
    pub(crate) fn file_len(&self) -> u64 {
        match self {
            Self::Chain(chain) => chain.leaf().source.len,
            Self::Plain(plain) => plain.file.source().len,
        }
    }

    /// When bare bytes, which have no identity, were last written to; `None` of a chain, and where nobody knows.
    pub(crate) fn modified(&self) -> Option<SystemTime> {
        match self {
            Self::Chain(_) => None,
            Self::Plain(plain) => plain.file.source().modified.max(changed(plain.file.handle())),
        }
    }

    /// The identity of the content that a VHDX states.
    pub(crate) fn data_write_guid(&self) -> Option<String> {
        match self {
            Self::Chain(chain) => {
                let leaf = chain.layers().first()?;
                Some(leaf.outline().header().data_write_guid.to_string())
            }
            Self::Plain(_) => None,
        }
    }

    /// All files that are read: none of them is ever written.
    pub(crate) fn identities(&self) -> Result<Vec<FileIdentity>, ChangeError> {
        let identity = |(path, file): (&Path, &File)| {
            let identity = FileIdentity::of_open(path, file);
            identity.map_err(|source| ChangeError::Io { path: path.to_path_buf(), source })
        };
        self.handles().into_iter().map(identity).collect()
    }

    fn handles(&self) -> Vec<(&Path, &File)> {
        match self {
            Self::Chain(chain) => {
                chain.files().iter().map(|file| (file.source.path.as_path(), file.handle())).collect()
            }
            Self::Plain(plain) => vec![(plain.path(), plain.file.handle())],
        }
    }

    /// Who may read all of the files.
    pub(crate) fn readers(&self) -> Result<Readers, ChangeError> {
        let mut readers = self.handles().into_iter().map(|(path, file)| {
            Readers::of_open(file).map_err(|source| ChangeError::Io { path: path.to_path_buf(), source })
        });
        readers.try_fold(Readers::ANYBODY, |all, readers| Ok(all.and(readers?)))
    }

    /// Asks every file whether it still is what it was when it was opened.
    pub(crate) fn check_unchanged(&self) -> Result<(), ChangeError> {
        match self {
            Self::Chain(chain) => chain.check_unchanged(),
            Self::Plain(plain) => plain.file.check_unchanged(),
        }
    }

    /// A failed read, with the name of the file at fault. If a file changed meanwhile, that is the reason.
    pub(crate) fn read_failure(&self, error: ReadError) -> Failure {
        if let Err(changed @ ChangeError::Changed { .. }) = self.check_unchanged() {
            return changed.into();
        }
        let layer = error.layer().unwrap_or(LayerIndex(0));
        Failure::Read { path: self.path_of(layer).to_path_buf(), source: error }
    }
}

/// When the system last noted a change of the file, which no copy that keeps times can set back.
#[cfg(unix)]
fn changed(file: &File) -> Option<SystemTime> {
    use std::os::unix::fs::MetadataExt;
    let seconds = u64::try_from(file.metadata().ok()?.ctime()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(seconds))
}

#[cfg(not(unix))]
fn changed(_: &File) -> Option<SystemTime> {
    None
}

fn chain_links(chain: &Chain) -> Vec<Link<'_>> {
    let links = chain.links().map(|(file, layer)| {
        let image = layer.outline();
        Link {
            path: &file.source.path,
            format: Format::Vhdx,
            size: file.source.len,
            found_by: &file.found_by,
            image: Some(ImageFacts {
                data_write_guid: image.header().data_write_guid.to_string(),
                virtual_disk_id: image.virtual_disk_id().to_string(),
                sequence_number: image.header().sequence_number,
                log: image.log_state(),
            }),
        }
    });
    links.collect()
}

fn refuse_packed(path: &Path) -> Result<(), DiskError> {
    let tool = format::unpacker(path).filter(|_| plain_format(path).is_none());
    // A folder may be called anything, and what is not there is for the opening to tell.
    match tool.filter(|_| std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file())) {
        Some(tool) => Err(DiskError::Packed { path: path.to_path_buf(), tool }),
        None => Ok(()),
    }
}

/// How much of a file is the disk.
#[derive(Clone, Copy)]
enum Share {
    /// All of it, in logical sectors of that size.
    Whole(Option<SectorSize>),
    /// As much as a disk of that geometry has.
    Beginning(Geometry),
}

impl PlainDisk {
    fn open(path: &Path, format: Format, share: Share) -> Result<Self, DiskError> {
        let file = Arc::new(open_plain(path, SourceKinds::FilesAndDevices)?);
        let disk = match format {
            Format::RawZst => zstd_disk(path, &file, share)?,
            _ => raw_disk(path, &file, share)?,
        };
        Ok(Self { format, file, disk })
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    pub(crate) fn source(&self) -> &SourceFile {
        self.file.source()
    }

    pub(crate) fn geometry(&self) -> &Geometry {
        self.disk.geometry()
    }

    fn path(&self) -> &Path {
        &self.file.source().path
    }
}

fn zstd_disk(path: &Path, file: &Arc<OpenFile>, share: Share) -> Result<Box<dyn VirtualDisk>, DiskError> {
    let sector = match share {
        Share::Whole(sector) => sector.unwrap_or(SectorSize::B512),
        Share::Beginning(wanted) => wanted.logical_sector(),
    };
    let disk = ZstdDisk::open(Arc::clone(file), sector);
    let disk = disk.map_err(|source| DiskError::Zstd { path: path.to_path_buf(), source })?;
    Ok(Box::new(disk))
}

fn raw_disk(path: &Path, file: &Arc<OpenFile>, share: Share) -> Result<Box<dyn VirtualDisk>, DiskError> {
    let geometry = match share {
        Share::Beginning(wanted) => wanted,
        Share::Whole(sector) => {
            let of_device = file.sector_size().and_then(SectorSize::from_bytes);
            let sector = sector.or(of_device).unwrap_or(SectorSize::B512);
            let len = file.byte_len();
            let len = len.map_err(|source| DiskError::Length { path: path.to_path_buf(), source })?;
            Geometry::new(len, sector, sector)
                .map_err(|source| DiskError::Geometry { path: path.to_path_buf(), source })?
        }
    };
    let disk = RawDisk::new(Arc::clone(file), geometry);
    let disk = disk.map_err(|source| DiskError::Raw { path: path.to_path_buf(), source })?;
    Ok(Box::new(disk))
}

impl VirtualDisk for Disk {
    fn geometry(&self) -> &Geometry {
        match self {
            Self::Chain(chain) => chain.geometry(),
            Self::Plain(plain) => plain.disk.geometry(),
        }
    }

    fn extents(&self, range: DiskRange) -> Extents<'_> {
        match self {
            Self::Chain(chain) => chain.extents(range),
            Self::Plain(plain) => plain.disk.extents(range),
        }
    }

    fn layer(&self, index: LayerIndex) -> Option<&dyn ReadAt> {
        match self {
            Self::Chain(chain) => chain.layer(index),
            Self::Plain(plain) => plain.disk.layer(index),
        }
    }
}
