//! Whether a job is done: its manifest exists, and names the chain and the options that the job would be done with now.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use chain_resolve::Selection;
use export_manifest::{ArtifactProof, LogState, Manifest};
use export_sinks::{Overwrite, Target, unpublish};
use limits::Limits;
use vhdx_format::VirtualDisk;
use vhdx_format::writer::Allocation;

use crate::commands::export::sources;
use crate::commands::verify::{self, Unusable};
use crate::disk::{Disk, Link};
use crate::failure::Failure;
use crate::identity::{self, Origin};
use crate::plan::{self, Artifact, ExportPlan};
use crate::proof;

/// What stands where a job's image would stand.
pub(crate) enum Found {
    /// Nothing.
    Nothing,
    /// The manifest of an image of that name, which is gone.
    Orphan,
    /// The image of a run that was killed before the manifest beside it, which is complete, got its name: as far as can be
    /// told without its source.
    Unproved(Box<Manifest>),
    /// Its own image and manifest.
    Done(Box<Manifest>),
    /// Something else, and what is wrong with it.
    Other(String),
}

/// Looks, without opening a source and without reading the image.
pub(crate) fn look(out: &Path, limits: &Limits) -> Found {
    let manifest_path = verify::beside(out);
    // In this order: an image that another run publishes meanwhile is not taken for missing beside its manifest.
    let manifest = std::fs::symlink_metadata(&manifest_path);
    let image = std::fs::symlink_metadata(out);
    match (image, manifest) {
        (Err(_), Err(_)) => Found::Nothing,
        (Err(_), Ok(_)) => match read(&manifest_path, limits) {
            Ok(manifest) if is_of(&manifest, out) => Found::Orphan,
            _ => Found::Other("a manifest that is not its own lies beside it".to_owned()),
        },
        (Ok(image), Err(_)) => match read(&partial(&manifest_path), limits) {
            // The manifest is complete before its image has a name, and gets its own right after it; by then nothing has
            // the image's partial name any more.
            Ok(manifest)
                if manifest.artifact.size == image.len()
                    && is_of(&manifest, out)
                    && std::fs::symlink_metadata(partial(out)).is_err() =>
            {
                Found::Unproved(Box::new(manifest))
            }
            // Another run has just given it its name.
            _ if manifest_path.exists() => look(out, limits),
            _ => Found::Other("it has no manifest".to_owned()),
        },
        (Ok(image), Ok(_)) => match read(&manifest_path, limits) {
            Err(error) => Found::Other(format!("its manifest cannot be used: {error}")),
            Ok(manifest) if manifest.artifact.size != image.len() => {
                let expected = manifest.artifact.size;
                Found::Other(format!("it has {} bytes, its manifest says {expected}", image.len()))
            }
            Ok(manifest) => Found::Done(Box::new(manifest)),
        },
    }
}

/// One at a time, of however many jobs: that of a large disk takes memory.
fn read(path: &Path, limits: &Limits) -> Result<Manifest, Unusable> {
    static READING: Mutex<()> = Mutex::new(());
    let _alone = READING.lock().unwrap_or_else(PoisonError::into_inner);
    verify::manifest_beside(path, limits)
}

fn is_of(manifest: &Manifest, out: &Path) -> bool {
    manifest.artifact.filename == proof::file_name(out)
}

/// Takes an unproved image its name again, so that it is what any other killed run leaves: whatever becomes of the next
/// one, no image is left whose proof is gone.
pub(crate) fn take_back(out: &Path, disk: &Disk, selection: &Selection) -> Result<(), Failure> {
    let sources = sources(std::slice::from_ref(disk), selection)?;
    let target = |path| Target::new(path, Overwrite::Replace).forbid(sources.iter().cloned());
    // They are given before the manifest is.
    let before = [with_suffix(out, ".bmap"), with_suffix(out, ".sha256")].map(target);
    unpublish(&target(out.to_path_buf()), &before, &target(verify::beside(out))).map_err(Failure::Sidecar)
}

/// Removes an image that this run has made and could not prove. What can not be removed is in the way of the next try,
/// which says so.
pub(crate) fn withdraw(out: &Path) {
    let _ = std::fs::remove_file(out);
    remove_sidecars(out);
}

/// Removes what stands beside an image that is gone.
pub(crate) fn remove_sidecars(out: &Path) {
    for suffix in [".bmap", ".sha256", ".manifest.json"] {
        let _ = std::fs::remove_file(with_suffix(out, suffix));
    }
}

fn partial(path: &Path) -> PathBuf {
    with_suffix(path, ".partial")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// What the manifest says otherwise than an export of that disk by that plan would.
pub(crate) fn difference(manifest: &Manifest, plan: &ExportPlan, disk: &Disk, out: &Path) -> Option<String> {
    of_making(manifest, plan, disk, out).or_else(|| of_proof(manifest, plan, out))
}

/// The same, but for what stands beside the image, which may have had no name yet.
pub(crate) fn of_making(manifest: &Manifest, plan: &ExportPlan, disk: &Disk, out: &Path) -> Option<String> {
    of_chain(manifest, disk, out)
        .or_else(|| of_geometry(manifest, disk))
        .or_else(|| of_options(manifest, plan))
        .or_else(|| of_identity(manifest, plan, disk))
}

/// As far as can be told without a source.
pub(crate) fn of_plan(manifest: &Manifest, plan: &ExportPlan, out: &Path) -> Option<String> {
    of_options(manifest, plan).or_else(|| of_proof(manifest, plan, out))
}

fn of_chain(manifest: &Manifest, disk: &Disk, out: &Path) -> Option<String> {
    let links = disk.links();
    if manifest.source.chain.len() != links.len() {
        return Some(format!("it was made of {} files, not of {}", manifest.source.chain.len(), links.len()));
    }
    let mut pairs = manifest.source.chain.iter().zip(&links);
    if let Some((made_of, _)) = pairs.find(|(made_of, link)| !is_same(made_of, link)) {
        return Some(format!("it was made of another state of `{}`", made_of.filename));
    }
    // Bare bytes have no identity: when they were last written to has to do.
    let made = std::fs::metadata(out).and_then(|found| found.modified()).ok();
    match (disk.modified(), made) {
        (Some(source), Some(made)) if source > made => Some("its source was written to later".to_owned()),
        _ => None,
    }
}

fn is_same(made_of: &export_manifest::Link, link: &Link<'_>) -> bool {
    let image = link.image.as_ref();
    let log = image.map(|image| match image.log {
        vhdx_format::LogState::Clean => LogState::Clean,
        vhdx_format::LogState::Replayed { entries, .. } => LogState::Replayed { entries },
    });
    made_of.format == link.format
        && made_of.size == link.size
        && made_of.data_write_guid.as_deref() == image.map(|image| image.data_write_guid.as_str())
        && made_of.virtual_disk_id.as_deref() == image.map(|image| image.virtual_disk_id.as_str())
        && made_of.sequence_number == image.map(|image| image.sequence_number)
        && made_of.log == log
}

fn of_geometry(manifest: &Manifest, disk: &Disk) -> Option<String> {
    let (made, geometry) = (&manifest.disk, disk.geometry());
    if made.virtual_size != geometry.size() {
        return Some(format!("its disk has {} bytes", made.virtual_size));
    }
    let is_same = made.logical_sector_size == geometry.logical_sector().bytes()
        && made.physical_sector_size == geometry.physical_sector().bytes();
    (!is_same).then(|| format!("its disk has sectors of {} bytes", made.logical_sector_size))
}

fn of_options(manifest: &Manifest, plan: &ExportPlan) -> Option<String> {
    let ArtifactProof { format, options, .. } = &manifest.artifact;
    let wanted = plan.artifact.format();
    if *format != wanted {
        return Some(format!("it is {format}, not {wanted}"));
    }
    match plan.artifact {
        Artifact::Raw => None,
        Artifact::Compressed(compression) => {
            let found = options.compression.as_deref().unwrap_or("otherwise");
            (found != compression.to_string())
                .then(|| format!("it is compressed with {found}, not {compression}"))
        }
        Artifact::Vhdx { block_size, allocation, .. } => {
            let allocation = match allocation {
                Allocation::Dynamic => "dynamic",
                Allocation::Fixed => "fixed",
            };
            let has_blocks = block_size.is_none_or(|wanted| options.block_size == Some(wanted.bytes()));
            let is_same = has_blocks && options.allocation.as_deref() == Some(allocation);
            (!is_same).then(|| "it has other blocks, or was allocated otherwise".to_owned())
        }
    }
}

/// The identity of a written image depends on the state of every layer and on every option.
fn of_identity(manifest: &Manifest, plan: &ExportPlan, disk: &Disk) -> Option<String> {
    let (Artifact::Vhdx { block_size, allocation, disk_id }, Disk::Chain(chain)) = (plan.artifact, disk)
    else {
        return None;
    };
    let block_size = plan::block_size(block_size, disk);
    let wanted = identity::identities(Origin::Chain(chain), block_size, allocation, disk_id);
    let options = &manifest.artifact.options;
    let is_same = options.data_write_guid == Some(wanted.data_write.to_string())
        && options.virtual_disk_id == Some(wanted.virtual_disk.to_string());
    (!is_same).then(|| "it was made of another state, or with other blocks or another --disk-id".to_owned())
}

/// Digests and sidecars that are asked for now have to be there.
fn of_proof(manifest: &Manifest, plan: &ExportPlan, out: &Path) -> Option<String> {
    let digests = manifest.content.digests();
    let beside = |suffix| with_suffix(out, suffix).exists();
    let missing = [
        (plan.digests.sha256 && digests.sha256.is_none(), "SHA-256"),
        (plan.digests.blksum && digests.blocks.is_none(), "blksum"),
        (plan.sidecars.sums && !beside(".sha256"), "file for sha256sum"),
        (plan.sidecars.bmap && !beside(".bmap"), "block map"),
    ];
    let (_, what) = missing.into_iter().find(|(is_missing, _)| *is_missing)?;
    Some(format!("it has no {what}"))
}
