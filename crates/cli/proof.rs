//! What is proved of an export, from what the rest of the program knows: the manifest, and commands that check a copy.

use std::path::Path;

use chain_resolve::{SelectedDisk, Selection};
use export_manifest::{
    ArtifactProof, Checkpoint, ContentProof, DiskProof, Link, LogState, Manifest, SCHEMA, Source, Tool,
    VERSION, Vm,
};
use export_sinks::Tally;
use vhdx_format::VirtualDisk;

use crate::disk::{self, Disk};
use crate::terminal::quoted;

/// The manifest of an export.
pub(crate) fn manifest(
    selection: &Selection,
    selected: &SelectedDisk,
    disk: &Disk,
    tally: Tally,
    content: ContentProof,
    artifact: ArtifactProof,
    warnings: &[String],
) -> Manifest {
    let geometry = disk.geometry();
    Manifest {
        schema: SCHEMA.to_owned(),
        schema_version: VERSION,
        tool: Tool { name: "vhdx-export".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
        source: source(selection, selected, disk),
        disk: DiskProof {
            virtual_size: geometry.size(),
            logical_sector_size: geometry.logical_sector().bytes(),
            physical_sector_size: geometry.physical_sector().bytes(),
            data: tally.data,
            zeros: tally.zeros,
        },
        content,
        artifact,
        warnings: warnings.iter().map(|warning| without_folders(warning, disk)).collect(),
    }
}

fn source(selection: &Selection, selected: &SelectedDisk, disk: &Disk) -> Source {
    let guid = |id: Option<uuid::Uuid>| id.map(|id| id.to_string());
    Source {
        vm: selection.vm.as_ref().map(|vm| Vm { name: vm.name.clone(), id: guid(vm.id) }),
        checkpoint: selection.checkpoint.as_ref().map(|checkpoint| Checkpoint {
            name: checkpoint.name.clone(),
            id: guid(checkpoint.id),
            created: checkpoint.created.map(|created| created.to_string()),
        }),
        slot: selected.slot.clone(),
        chain: disk.links().iter().map(link).collect(),
    }
}

fn link(link: &disk::Link<'_>) -> Link {
    let image = link.image.as_ref();
    Link {
        filename: file_name(link.path),
        format: link.format.to_owned(),
        size: link.size,
        data_write_guid: image.map(|image| image.data_write_guid.clone()),
        virtual_disk_id: image.map(|image| image.virtual_disk_id.clone()),
        sequence_number: image.map(|image| image.sequence_number),
        log: image.map(|image| match image.log {
            vhdx_format::LogState::Clean => LogState::Clean,
            vhdx_format::LogState::Replayed { entries, .. } => LogState::Replayed { entries },
        }),
    }
}

/// The last name of a path: where a file lay is nobody's business elsewhere.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// A text in which files of the disk are named by their last name.
fn without_folders(text: &str, disk: &Disk) -> String {
    let mut text = text.to_owned();
    for link in disk.links() {
        text = text.replace(&link.path.display().to_string(), &file_name(link.path));
    }
    text
}

/// A command of any Linux that prints the SHA-256 of a disk's content, from a copy in that format; `None` where the usual
/// programs can not read it.
pub(crate) fn stock_command(format: &str, path: &str, virtual_size: u64) -> Option<String> {
    let path = quoted_path(path);
    match format {
        "raw" | "device" => Some(format!("head -c {virtual_size} {path} | sha256sum")),
        "raw.zst" => Some(format!("zstd -dc {path} | sha256sum")),
        "raw.gz" => Some(format!("gzip -dc {path} | sha256sum")),
        "raw.xz" => Some(format!("xz -dc {path} | sha256sum")),
        _ => None,
    }
}

fn quoted_path(path: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    if path.starts_with('-') {
        return quoted(&format!("./{path}"));
    }
    if path.chars().all(is_plain) { path.to_owned() } else { quoted(path) }
}
