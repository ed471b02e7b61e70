//! What an export says: what should be known of the sources beforehand, and what came of it.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use chain_resolve::Chain;
use export_sinks::{DigestChoice, Sha256Digest, stored_len};
use vhdx_format::{LogState, VirtualDisk};

use super::job::{Job, Place, Written};
use crate::commands::substitutions;
use crate::disk::Disk;
use crate::failure::Failure;
use crate::plan::Artifact;
use crate::proof;
use crate::terminal::printable;
use crate::units::{show_duration, show_size};

/// What should be known of how a disk was found and read.
pub(super) fn warnings(disk: &Disk) -> Vec<String> {
    match disk {
        Disk::Chain(chain) => of_chain(chain),
        Disk::Plain(_) => Vec::new(),
    }
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

/// Longest time for a SHA-256 that goes without saying.
const SLOW: Duration = Duration::from_mins(1);

/// A disk of which little is stored is copied in no time, but a SHA-256 takes the time of all its zeros.
pub(super) fn slow_digest(disk: &Disk, digests: DigestChoice) -> Result<Option<String>, Failure> {
    let size = disk.geometry().size();
    let time = sha256_time(size);
    if !digests.sha256 || time < SLOW {
        return Ok(None);
    }
    let stored = stored_len(disk).map_err(|error| disk.read_failure(error))?;
    // Copying and digesting run side by side, at about the same speed for what is stored.
    let is_sparse = stored < size / 4;
    Ok(is_sparse.then(|| {
        format!(
            "SHA-256 over all {}, zeros included, takes about {}; --digest blksum takes the time of the {} that are stored",
            show_size(size),
            show_duration(time),
            show_size(stored),
        )
    }))
}

/// How long a SHA-256 of that many bytes takes here, judged by a little.
fn sha256_time(len: u64) -> Duration {
    let sample = vec![0; 8 << 20];
    let start = Instant::now();
    std::hint::black_box(Sha256Digest::of(std::hint::black_box(&sample)));
    let nanos = start.elapsed().as_nanos() * u128::from(len) / sample.len() as u128;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
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
    let command = proof::stock_command(job.format(), &job.name(), job.disk.geometry().size());
    match command.filter(|_| job.path().is_some()).zip(export.digests.sha256) {
        Some((command, _)) => writeln!(out, "check     {}", printable(&command)),
        None => Ok(()),
    }
}
