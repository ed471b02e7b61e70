//! What stands beside an artifact: its manifest, its line for `sha256sum`, its block map.
//!
//! They are complete and durable before the artifact gets its name, and get theirs after it, the manifest last: a manifest
//! never stands there without its artifact. Those of an artifact that is replaced go before it does.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use export_manifest::Manifest;
use export_sinks::sink::Stage;
use export_sinks::{
    Doing, Export, ExportError, FileIdentity, Overwrite, Place as Where, Readers, SinkError, StagedFile,
    Target, block_map, sums_line,
};

use super::job::Place;
use crate::failure::Failure;
use crate::plan::{ExportPlan, ManifestPlace};
use crate::usage::UsageError;

const SUFFIXES: [&str; 3] = [".bmap", ".sha256", ".manifest.json"];

/// The files that are to stand beside an artifact.
pub(super) struct SidecarTargets {
    bmap: Option<Target>,
    sums: Option<Target>,
    manifest: Option<Target>,
    /// The artifact's name, where it is a file.
    artifact: Option<PathBuf>,
    /// Those of an artifact that is about to be replaced.
    stale: Vec<PathBuf>,
}

/// The same, being written.
pub(super) struct OpenSidecars {
    bmap: Option<StagedFile>,
    sums: Option<StagedFile>,
    manifest: Option<StagedFile>,
    /// The artifact's last name.
    artifact: OsString,
}

/// The same, complete and durable, without their names.
pub(super) struct StagedSidecars(Vec<StagedFile>);

impl SidecarTargets {
    /// Looks at every name before anything is written.
    pub(super) fn of(
        plan: &ExportPlan,
        place: &Place,
        sources: &[FileIdentity],
        readers: Readers,
    ) -> Result<Self, Failure> {
        let artifact = match place {
            Place::File(target) => Some(target.path().to_path_buf()),
            Place::Stdout | Place::Device(_) => None,
        };
        let target = |path| {
            let target = Target::new(path, plan.overwrite).forbid(sources.iter().cloned());
            target.readable_by(readers)
        };
        let beside = |suffix| artifact.as_deref().map(|path| target(with_suffix(path, suffix)));
        let [bmap, sums, manifest] = SUFFIXES.map(beside);
        let usual: Vec<Target> = [&bmap, &sums, &manifest].into_iter().flatten().cloned().collect();
        let manifest = match &plan.sidecars.manifest {
            ManifestPlace::Beside => manifest,
            ManifestPlace::At(path) => {
                let manifest = target(path.clone());
                let image = artifact.clone().map(target);
                refuse_shared_name(&manifest, [&image, &bmap, &sums].into_iter().flatten())?;
                Some(manifest)
            }
            ManifestPlace::Nowhere => None,
        };
        let bmap = bmap.filter(|_| plan.sidecars.bmap);
        let sums = sums.filter(|_| plan.sidecars.sums);
        let check = |target: &Target| target.check().map_err(ExportError::from);
        [&bmap, &sums, &manifest].into_iter().flatten().try_for_each(check)?;
        let stale = match plan.overwrite {
            // What an image that is gone has left would be taken for this one's, asked for or not.
            Overwrite::Refuse => {
                usual.iter().try_for_each(check)?;
                Vec::new()
            }
            Overwrite::Replace => stale_of(usual.into_iter().chain(manifest.clone()))?,
        };
        Ok(Self { bmap, sums, manifest, artifact, stale })
    }

    pub(super) fn manifest_path(&self) -> Option<&Path> {
        self.manifest.as_ref().map(Target::path)
    }

    /// Removes those of an artifact that is about to be replaced.
    pub(super) fn remove_stale(&self) -> Result<(), Failure> {
        self.stale.iter().try_for_each(|path| remove(path))
    }

    /// Takes their partial names, so that what stands in their way is found before the disk is copied.
    pub(super) fn open(&self) -> Result<OpenSidecars, Failure> {
        let open = |target: &Option<Target>| target.as_ref().map(StagedFile::create).transpose();
        let open = |target| open(target).map_err(ExportError::from);
        Ok(OpenSidecars {
            bmap: open(&self.bmap)?,
            sums: open(&self.sums)?,
            manifest: open(&self.manifest)?,
            artifact: self.artifact.as_deref().and_then(Path::file_name).unwrap_or_default().to_owned(),
        })
    }
}

/// Those that an artifact may have had. What may not be written, a source or a folder, is nothing of an artifact's; what
/// can not be looked at may be.
fn stale_of(targets: impl Iterator<Item = Target>) -> Result<Vec<PathBuf>, ExportError> {
    let mut stale = Vec::new();
    for target in targets {
        match target.check() {
            Ok(()) => stale.push(target.path().to_path_buf()),
            Err(SinkError::Target(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(stale)
}

impl OpenSidecars {
    /// Writes all of them.
    pub(super) fn fill(self, manifest: Manifest, export: &Export) -> Result<StagedSidecars, Failure> {
        let mut staged = Vec::new();
        let mut fill = |file: Option<StagedFile>, content: &[u8]| -> Result<(), ExportError> {
            let Some(file) = file else { return Ok(()) };
            file.fill(content)?;
            staged.push(file);
            Ok(())
        };
        if let Some(runs) = &export.digests.runs {
            fill(self.bmap, block_map(export.content.total(), runs).as_bytes())?;
        }
        if let Some(digests) = &export.artifact {
            fill(self.sums, &sums_line(digests, &self.artifact))?;
        }
        if self.manifest.is_some() {
            fill(self.manifest, &manifest.to_json().map_err(Failure::Output)?)?;
        }
        Ok(StagedSidecars(staged))
    }
}

/// A manifest may be told to stand anywhere, but not where something else of the same export comes to stand.
fn refuse_shared_name<'a>(
    manifest: &Target,
    others: impl Iterator<Item = &'a Target>,
) -> Result<(), UsageError> {
    let names =
        |target: &Target| [target.path().to_path_buf(), target.partial()].map(|path| real_name(&path));
    let taken: HashSet<PathBuf> = others.flat_map(names).collect();
    if names(manifest).iter().any(|name| taken.contains(name)) {
        return Err(UsageError::SharedName(manifest.path().to_path_buf()));
    }
    Ok(())
}

/// The name in the folder that it really lies in. A link by that name is not followed: it is what would be replaced.
fn real_name(path: &Path) -> PathBuf {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match (fs::canonicalize(folder), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_path_buf(),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let place = Where::File(path.to_path_buf());
            Err(ExportError::from(SinkError::from_io(Doing::Remove, place, error)).into())
        }
        _ => Ok(()),
    }
}

impl StagedSidecars {
    /// Gives each its name, the manifest last.
    pub(super) fn publish(self) -> Result<(), Failure> {
        self.0.into_iter().try_for_each(|file| file.publish().map_err(Failure::Sidecar))
    }
}
