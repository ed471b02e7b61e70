//! What is proved of an export, from what the rest of the program knows: the manifest, and commands that check a copy.

use std::path::Path;

use chain_resolve::{SelectedDisk, Selection};
use export_manifest::{
    ArtifactProof, Checkpoint, ContentProof, DiskProof, Format, Link, LogState, Manifest, SCHEMA, Source,
    Tool, VERSION, Vm,
};
use export_sinks::{Sha256Digest, Tally};
use vhdx_format::VirtualDisk;

use crate::disk::{self, Disk};
use crate::terminal::{quoted, steers};

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
        manifest_sha256: None,
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
        format: link.format,
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

/// The last name of a path, as text: where a file lay is nobody's business elsewhere.
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

/// A command of any Linux, ready to be pasted, and what it must print.
pub(crate) struct StockCommand {
    pub(crate) line: String,
    pub(crate) expected: Sha256Digest,
}

/// How the usual programs show that a copy is right: by the SHA-256 of its content, or of the file where they can not read
/// the content.
pub(crate) fn stock_command(
    format: Format,
    path: &Path,
    virtual_size: u64,
    content: Option<Sha256Digest>,
    file: Option<Sha256Digest>,
) -> Option<StockCommand> {
    let path = shell_word(path);
    let (line, expected) = match format {
        Format::Raw | Format::Device => (format!("head -c {virtual_size} {path} | sha256sum"), content),
        Format::RawZst => (format!("zstd -dc {path} | sha256sum"), content),
        Format::RawGz => (format!("gzip -dc {path} | sha256sum"), content),
        Format::RawXz => (format!("xz -dc {path} | sha256sum"), content),
        Format::Vhdx => (format!("sha256sum {path}"), file),
    };
    Some(StockCommand { line, expected: expected? })
}

/// A path as a shell takes it for one word that is no option.
fn shell_word(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./".contains(byte);
    let front = if bytes.first() == Some(&b'-') { "./" } else { "" };
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.iter().all(is_plain) => format!("{front}{text}"),
        Ok(text) if !text.contains(steers) => quoted(&format!("{front}{text}")),
        // What a terminal would obey, and what is no text at all, goes as numbers, which any shell has printf for.
        _ => {
            let escaped = bytes.iter().map(|byte| match byte {
                b if is_plain(b) || *b == b' ' => char::from(*b).to_string(),
                b => format!("\\{b:03o}"),
            });
            format!("\"$(printf '{front}{}')\"", escaped.collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_whatever_is_in_it() {
        for (path, word) in [
            ("/dev/vg0/web01", "/dev/vg0/web01"),
            ("web 01.raw", "'web 01.raw'"),
            ("-n.raw", "./-n.raw"),
            ("a\nb'c.raw", "\"$(printf 'a\\012b\\047c.raw')\""),
        ] {
            assert_eq!(shell_word(Path::new(path)), word);
        }
    }
}
