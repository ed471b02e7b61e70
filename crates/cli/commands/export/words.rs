//! What an export says: what should be known of the sources beforehand, and what came of it.

use std::io::{self, Write};

use chain_resolve::{Chain, SelectedDisk, Selection, SelectionNote};
use export_manifest::Format;
use vhdx_format::{LogState, VirtualDisk};

use super::job::{Job, Place, Written};
use crate::commands::substitutions;
use crate::disk::Disk;
use crate::plan::{Artifact, Destination, ExportPlan};
use crate::proof;
use crate::terminal::printable;
use crate::units::show_size;

/// What should be known of how a disk was found. What is said of another disk by name is not this one's.
pub(super) fn of_selection(selection: &Selection, selected: &SelectedDisk) -> Vec<String> {
    let is_other =
        |note: &SelectionNote| matches!(note, SelectionNote::ByName { found, .. } if *found != selected.leaf);
    selection.notes.iter().filter(|note| !is_other(note)).map(ToString::to_string).collect()
}

/// What should be known of how a disk is read, and of what a bare copy of it does not say.
pub(super) fn of_disk(disk: &Disk, plan: &ExportPlan) -> Vec<String> {
    let mut warnings = match disk {
        Disk::Chain(chain) => of_chain(chain),
        Disk::Plain(_) => Vec::new(),
    };
    let sector = disk.geometry().logical_sector().bytes();
    let is_device = matches!(plan.destination, Destination::Device(_));
    if sector != 512 && plan.artifact.format() != Format::Vhdx && !is_device {
        warnings.push(format!(
            "the disk has sectors of {sector} bytes, which a raw image does not say: attach it with that sector size, and \
             name it with --sector-size {sector} as SOURCE"
        ));
    }
    warnings
}

fn of_chain(chain: &Chain) -> Vec<String> {
    let mut warnings = substitutions(chain);
    for (file, layer) in chain.links() {
        if let LogState::Replayed { entries, .. } = layer.outline().log_state() {
            let path = file.source.path.display();
            warnings.push(format!("the log of `{path}` was replayed in memory (entries: {entries})"));
        }
    }
    let size = chain.geometry().size();
    for (file, layer) in chain.links().skip(1) {
        let parent = layer.outline().geometry().size();
        if parent != size {
            let path = file.source.path.display();
            let (parent, size) = (show_size(parent), show_size(size));
            warnings.push(format!("`{path}` has {parent}, the disk {size}: behind its end there are zeros"));
        }
    }
    warnings
}

/// The result goes to standard output, unless the artifact is there already.
pub(super) fn print(job: &Job<'_>, written: &Written) -> io::Result<()> {
    let mut out: Box<dyn Write> = match job.place {
        Place::File(_) | Place::Device(_) => Box::new(io::stdout().lock()),
        Place::Stdout => Box::new(io::stderr().lock()),
    };
    let size = job.disk.geometry().size();
    let export = &written.export;
    let kind = match (&job.place, job.plan.artifact) {
        (Place::Device(_), _) => format!("{}, read back", show_size(size)),
        (_, Artifact::Vhdx { .. }) => format!("VHDX of {}, {}", show_size(size), show_size(export.len)),
        (_, Artifact::Raw) => format!("raw image of {}, {}", show_size(size), show_size(export.len)),
        (_, Artifact::Compressed(compression)) => {
            format!("raw image of {}, {compression}, {}", show_size(size), show_size(export.len))
        }
    };
    writeln!(out, "wrote     {} ({kind})", printable(&job.name()))?;
    let labels = std::iter::once("state of").chain(std::iter::repeat("built on"));
    for (label, link) in labels.zip(job.disk.links()) {
        writeln!(out, "{label:<9} {}", printable(&link.path.display().to_string()))?;
    }
    let content = export.content;
    writeln!(out, "content   {} data, {} zeros", show_size(content.data), show_size(content.zeros))?;
    if export.shared > 0 {
        writeln!(out, "shared    {} in blocks of the sources", show_size(export.shared))?;
    }
    print_digests(&mut out, job, written)
}

/// Digests of the content first; that of the file where it is another.
fn print_digests(out: &mut dyn Write, job: &Job<'_>, written: &Written) -> io::Result<()> {
    let export = &written.export;
    if let Some(sha256) = export.digests.sha256 {
        writeln!(out, "sha256    {sha256}")?;
    }
    if let Some(blocks) = &export.digests.blocks {
        writeln!(out, "blksum    {}", blocks.blksum)?;
    }
    if let Some(artifact) = export.artifact.filter(|digests| Some(digests.sha256) != export.digests.sha256) {
        writeln!(out, "file      {} (sha256 of the image, not of the disk)", artifact.sha256)?;
    }
    if let Some(path) = job.sidecars.manifest_path() {
        writeln!(out, "manifest  {}", printable(&path.display().to_string()))?;
    }
    let Some(path) = job.path() else { return Ok(()) };
    let size = job.disk.geometry().size();
    let file = export.artifact.map(|digests| digests.sha256);
    match proof::stock_command(job.format(), path, size, export.digests.sha256, file) {
        Some(command) => writeln!(out, "check     {}", command.line),
        None => Ok(()),
    }
}
