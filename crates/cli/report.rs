//! The results of commands as JSON: what `--json` prints, as plain data.
//!
//! Field names of `qemu-img info` and `qemu-img map` mean what they mean there; the others are ours. Numbers are bytes
//! unless the name says otherwise. Of `list` and `tree` it is in [`folder`].

pub(crate) mod folder;

use chain_resolve::{Chain, FoundBy, SourceFile};
use export_manifest::Format;
use export_sinks::{ContentDigests, Sha256Digest, Tally};
use serde::Serialize;
use vhdx_format::{Content, Extent, ImageKind, Layer, LayerIndex, LogState, ParentLocator, VirtualDisk};

use crate::disk::{Disk, Link, PlainDisk};

/// What an image says of itself.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ImageInfo {
    pub(crate) filename: String,
    pub(crate) format: Format,
    pub(crate) virtual_size: u64,
    /// Bytes that the file takes on its file system.
    pub(crate) actual_size: u64,
    /// The block size, under the name that qemu-img has for it.
    pub(crate) cluster_size: u32,
    /// Whether the log had to be replayed.
    pub(crate) dirty_flag: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backing_filename: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) full_backing_filename: Option<String>,
    pub(crate) kind: &'static str,
    pub(crate) file_size: u64,
    pub(crate) logical_sector_size: u32,
    pub(crate) physical_sector_size: u32,
    pub(crate) virtual_disk_id: String,
    pub(crate) data_write_guid: String,
    pub(crate) file_write_guid: String,
    pub(crate) sequence_number: u64,
    pub(crate) log: Log,
    pub(crate) creator: String,
    pub(crate) blocks: Blocks,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<Parent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) found_by: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub(crate) enum Log {
    Clean,
    Replayed { entries: u64 },
}

impl Log {
    fn of(state: LogState) -> Self {
        match state {
            LogState::Clean => Self::Clean,
            LogState::Replayed { entries, .. } => Self::Replayed { entries },
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Blocks {
    pub(crate) not_present: u64,
    pub(crate) undefined: u64,
    pub(crate) zero: u64,
    pub(crate) unmapped: u64,
    pub(crate) fully_present: u64,
    pub(crate) partially_present: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Parent {
    pub(crate) linkage: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) linkage2: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) relative_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) volume_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) absolute_win32_path: Option<String>,
}

impl ImageInfo {
    /// One image, without asking for its parent.
    pub(crate) fn of_image(source: &SourceFile, layer: &Layer) -> Self {
        let image = layer.outline();
        let header = image.header();
        let counts = layer.block_counts();
        let parent = image.parent();
        Self {
            filename: source.path.display().to_string(),
            format: Format::Vhdx,
            virtual_size: image.geometry().size(),
            actual_size: source.allocated,
            cluster_size: image.layout().block_size().bytes(),
            dirty_flag: image.log_state() != LogState::Clean,
            backing_filename: parent.and_then(stored_path),
            full_backing_filename: None,
            kind: kind_name(image.kind()),
            file_size: source.len,
            logical_sector_size: image.geometry().logical_sector().bytes(),
            physical_sector_size: image.geometry().physical_sector().bytes(),
            virtual_disk_id: image.virtual_disk_id().to_string(),
            data_write_guid: header.data_write_guid.to_string(),
            file_write_guid: header.file_write_guid.to_string(),
            sequence_number: header.sequence_number,
            log: Log::of(image.log_state()),
            creator: image.creator().to_owned(),
            blocks: Blocks {
                not_present: counts.not_present,
                undefined: counts.undefined,
                zero: counts.zero,
                unmapped: counts.unmapped,
                fully_present: counts.fully_present,
                partially_present: counts.partially_present,
            },
            parent: parent.map(Parent::of),
            found_by: None,
        }
    }

    /// Every image of a chain, leaf first; each knows the file under it.
    pub(crate) fn of_chain(chain: &Chain) -> Vec<Self> {
        let mut infos: Vec<Self> = chain
            .links()
            .map(|(file, layer)| Self {
                found_by: Some(found_by_name(&file.found_by)),
                ..Self::of_image(&file.source, layer)
            })
            .collect();
        let parents: Vec<String> = infos.iter().skip(1).map(|parent| parent.filename.clone()).collect();
        for (child, parent) in infos.iter_mut().zip(parents) {
            child.full_backing_filename = Some(parent);
        }
        infos
    }
}

/// What is known of a bare disk.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct PlainInfo {
    pub(crate) filename: String,
    pub(crate) format: Format,
    pub(crate) virtual_size: u64,
    /// Bytes that the file takes on its file system.
    pub(crate) actual_size: u64,
    pub(crate) file_size: u64,
    pub(crate) logical_sector_size: u32,
}

impl PlainInfo {
    pub(crate) fn of(disk: &PlainDisk) -> Self {
        let source = disk.source();
        Self {
            filename: source.path.display().to_string(),
            format: disk.format(),
            virtual_size: disk.geometry().size(),
            actual_size: source.allocated,
            file_size: source.len,
            logical_sector_size: disk.geometry().logical_sector().bytes(),
        }
    }
}

/// The path that says most of where the parent was.
fn stored_path(parent: &ParentLocator) -> Option<String> {
    parent.relative_path.clone().or(parent.absolute_win32_path.clone()).or(parent.volume_path.clone())
}

impl Parent {
    fn of(parent: &ParentLocator) -> Self {
        Self {
            linkage: parent.linkage.first.to_string(),
            linkage2: parent.linkage.second.map(|guid| guid.to_string()),
            relative_path: parent.relative_path.clone(),
            volume_path: parent.volume_path.clone(),
            absolute_win32_path: parent.absolute_win32_path.clone(),
        }
    }
}

/// The kind of an image in one word.
pub(crate) fn kind_name(kind: ImageKind) -> &'static str {
    match kind {
        ImageKind::Fixed => "fixed",
        ImageKind::Dynamic => "dynamic",
        ImageKind::Differencing => "differencing",
    }
}

/// How a file was found, in one word.
pub(crate) fn found_by_name(found_by: &FoundBy) -> &'static str {
    match found_by {
        FoundBy::Selection => "selection",
        FoundBy::StoredPath => "stored-path",
        FoundBy::StoredName => "stored-name",
        FoundBy::Identity => "identity",
    }
}

/// A run of the disk, as `qemu-img map --output=json` prints it, and which file holds it.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "qemu-img's own fields")]
pub(crate) struct MapEntry {
    pub(crate) start: u64,
    pub(crate) length: u64,
    /// How many images lie over the one that answers: 0 is the leaf. For runs that no image stores, the base.
    pub(crate) depth: usize,
    /// Whether some image stores the run.
    pub(crate) present: bool,
    pub(crate) zero: bool,
    pub(crate) data: bool,
    pub(crate) compressed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filename: Option<String>,
}

impl MapEntry {
    pub(crate) fn of(disk: &Disk, extent: &Extent<Content>) -> Self {
        let (depth, at) = match extent.content {
            Content::Data { layer, at } => (layer.0, Some(at)),
            Content::Zero => (disk.layers().saturating_sub(1), None),
        };
        // Where compressed data lies in its file says nothing of the disk.
        let is_compressed = disk.format() == Format::RawZst;
        Self {
            start: extent.start.0,
            length: extent.len,
            depth,
            present: at.is_some(),
            zero: at.is_none(),
            data: at.is_some(),
            compressed: at.is_some() && is_compressed,
            offset: at.filter(|_| !is_compressed).map(|at| at.0),
            filename: at.map(|_| disk.path_of(LayerIndex(depth)).display().to_string()),
        }
    }
}

/// What an export did.
#[derive(Debug, Serialize)]
pub(crate) struct ExportReport {
    /// Where a configuration names them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) checkpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slot: Option<String>,
    pub(crate) artifact: ArtifactReport,
    pub(crate) disk: DiskReport,
    pub(crate) content: ContentReport,
    /// Leaf first.
    pub(crate) chain: Vec<LinkReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) manifest: Option<String>,
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ArtifactReport {
    /// `-` for standard output.
    pub(crate) path: String,
    pub(crate) format: Format,
    pub(crate) size: u64,
    /// Of the file, not of the disk in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<Sha256Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) block_size: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) virtual_disk_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compression: Option<String>,
    /// Bytes that lie in blocks of the sources.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) shared: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Digests of what a guest sees.
#[derive(Debug, Serialize)]
pub(crate) struct ContentReport {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<Sha256Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) blksum: Option<Sha256Digest>,
}

impl ContentReport {
    pub(crate) fn of(digests: &ContentDigests) -> Self {
        Self { sha256: digests.sha256, blksum: digests.blocks.as_ref().map(|blocks| blocks.blksum) }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct DiskReport {
    pub(crate) virtual_size: u64,
    pub(crate) logical_sector_size: u32,
    pub(crate) physical_sector_size: u32,
    /// Bytes written as data.
    pub(crate) data: u64,
    /// Bytes known to be zero.
    pub(crate) zeros: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct LinkReport {
    pub(crate) filename: String,
    pub(crate) format: Format,
    pub(crate) size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data_write_guid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) virtual_disk_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log: Option<Log>,
    pub(crate) found_by: &'static str,
}

impl LinkReport {
    pub(crate) fn of(link: &Link<'_>) -> Self {
        let image = link.image.as_ref();
        Self {
            filename: link.path.display().to_string(),
            format: link.format,
            size: link.size,
            data_write_guid: image.map(|image| image.data_write_guid.clone()),
            virtual_disk_id: image.map(|image| image.virtual_disk_id.clone()),
            log: image.map(|image| Log::of(image.log)),
            found_by: found_by_name(link.found_by),
        }
    }
}

impl DiskReport {
    pub(crate) fn of(disk: &dyn VirtualDisk, content: Tally) -> Self {
        let geometry = disk.geometry();
        Self {
            virtual_size: geometry.size(),
            logical_sector_size: geometry.logical_sector().bytes(),
            physical_sector_size: geometry.physical_sector().bytes(),
            data: content.data,
            zeros: content.zeros,
        }
    }
}
