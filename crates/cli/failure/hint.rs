//! What to do about a failure, where that is known.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use chain_resolve::{
    ChangeError, CheckpointChoice, LeafChoice, ResolveError, SelectError, StoreError, Tried, VmChoice, WhyNot,
};
use export_manifest::ManifestError;
use export_sinks::device::{DeviceError, ReadBackError, Usage};
use export_sinks::{ExportError, NotAFile, NotShared, Place, SinkError, SpaceError, TargetError};
use limits::Limit;
use raw_format::{SeekTableError, ZstdDiskError};
use vhdx_format::{ImageError, Problem};

use super::{Failure, limit};
use crate::commands::verify::{Unusable, VerifyError};
use crate::disk::DiskError;
use crate::terminal::{quoted, steers};
use crate::usage::UsageError;

const NOT_KEPT: &str = "the device does not keep what is written to it: do not use it";

/// What to do about it.
pub(super) fn of(failure: &Failure) -> Option<String> {
    if let Some(limit) = limit::met(failure) {
        return Some(limit_hint(limit));
    }
    match failure {
        Failure::Usage(error) => Some(usage_hint(error).to_owned()),
        Failure::Select(error) => select_hint(error),
        Failure::Resolve(error) => resolve_hint(error).map(str::to_owned),
        Failure::Disk(error) => disk_hint(error),
        Failure::Verify(error) => verify_hint(error),
        Failure::NotShared { source, .. } => Some(not_shared_hint(source).to_owned()),
        Failure::Export(ExportError::Sink(error)) => sink_hint(error),
        Failure::Sidecar(_) => {
            Some("make room or remove what is in the way, then export again with --force".to_owned())
        }
        Failure::ReadBack(ReadBackError::Differs(_)) => Some(NOT_KEPT.to_owned()),
        Failure::Change(ChangeError::Changed { .. } | ChangeError::Image { .. }) => {
            Some("the VM seems to be running: read from a backup or a snapshot of its volume".to_owned())
        }
        _ => None,
    }
}

fn limit_hint(limit: Limit) -> String {
    let raise = format!("raise the limit with `--limit {limit}=VALUE`");
    match limit {
        Limit::NamesScanned => {
            format!("name the VM's own folder, or the disk file itself, as SOURCE; or {raise}")
        }
        _ => format!("if the file is known to be sound, {raise}"),
    }
}

fn usage_hint(error: &UsageError) -> &'static str {
    match error {
        UsageError::UnknownSuffix(_) => {
            "end the name in .vhdx, .raw, .img, .raw.zst, .raw.gz or .raw.xz, or give --format"
        }
        UsageError::SumsWithoutDigest => {
            "leave --digest out, or have sha256 in it: of a raw image, that of the disk is that of the file"
        }
        UsageError::OtherSuffix { .. } => {
            "what a file is called decides what it is taken for when it is read: rename it"
        }
        UsageError::ManifestStream => "name a file, or read OUT.manifest.json",
        UsageError::NoManifest => "name the manifest of the export with --manifest",
        UsageError::SharedName(_) => "name another file with --manifest, or leave it out",
        UsageError::QuickStream => "leave --quick out: a stream is read as a whole",
        UsageError::StreamWithoutFormat => "for example `--out - --format raw`",
        UsageError::Terminal => "redirect it into a file or a pipe",
        UsageError::KeysOfImage => "name a .vmcx, .vmrs or .xml as SOURCE",
        _ => "see `vhdx-export --help`",
    }
}

fn select_hint(error: &SelectError) -> Option<String> {
    let text = match error {
        SelectError::SeveralVms { candidates } => return several_vms_hint(candidates),
        SelectError::WhichCheckpoint { candidates, .. } => {
            return which_checkpoint_hint(candidates);
        }
        SelectError::AmbiguousCheckpoint { candidates, .. } => {
            return ambiguous_checkpoint_hint(candidates);
        }
        SelectError::NoSuchVm { candidates, .. } if candidates.is_empty() => {
            "see `vhdx-export list` for what the folder holds"
        }
        SelectError::NoSuchVm { .. } => "name one of the VMs above with --vm",
        SelectError::NoSuchCheckpoint { .. } => {
            "name a state or a disk file with --checkpoint; see `vhdx-export list`"
        }
        SelectError::NoSuchDisk { candidates, .. } if candidates.is_empty() => {
            "see `vhdx-export list` for the disks of each state"
        }
        SelectError::NoSuchDisk { .. } => "name one of the disks above with --disk",
        SelectError::AmbiguousDiskFile { .. } => {
            "name one of the files above with --checkpoint, or as SOURCE"
        }
        SelectError::SeveralDisks { .. } => {
            "say which disk you want, for example `--disk scsi0:0`, or export all of them with `--out FOLDER/`"
        }
        SelectError::LostConfigurations(_) => {
            "get them from the backup again, or say what you want with --vm and a checkpoint's name or GUID, \
             or @current"
        }
        SelectError::MissingCheckpoints { .. } => {
            "add the files of its folder `Snapshots`, or name one of the states above by name or GUID"
        }
        SelectError::NoCurrent { .. } => "name a checkpoint or a disk file with --checkpoint",
        SelectError::DiskNotHere { .. } => {
            "add the file to the folder; `vhdx-export check` lists all that is missing"
        }
        SelectError::SeveralLeaves { candidates, .. } => {
            return several_leaves_hint(candidates);
        }
        SelectError::NoSuchName { .. } | SelectError::AmbiguousName { .. } => {
            "name one of the files above as SOURCE, or narrow the folder"
        }
        SelectError::NoImages(_) => "name the folder that holds the .vhdx and .avhdx files",
        _ => return None,
    };
    Some(text.to_owned())
}

fn resolve_hint(error: &ResolveError) -> Option<&'static str> {
    Some(match error {
        ResolveError::ParentNotFound { tried, .. } if tried.iter().any(is_forbidden) => {
            "make the files readable for this user, then try again"
        }
        ResolveError::ParentNotFound { .. } => "point --parent-dir at the folder that holds the original",
        ResolveError::AmbiguousParent { .. } => {
            "keep one of them in the folders that are searched, beside its child"
        }
        ResolveError::Image { path, source: ImageError::NotVhdx } if is_vhd(path) => {
            "images of the older format VHD are not supported in this version"
        }
        ResolveError::Image { source: ImageError::Truncated { .. }, .. } => {
            "the copy is not complete: fetch the file again"
        }
        ResolveError::Image { source: ImageError::Corrupt(found), .. } if matches!(found.problem, Problem::BlockOffset { most, found, .. } if found > most) => {
            "the file may be cut short: compare its length with the original's"
        }
        ResolveError::Image { source: ImageError::NotVhdx, .. } => {
            "is it a raw disk? Then its name must end in .raw or .img"
        }
        _ => return None,
    })
}

pub(crate) fn disk_hint(error: &DiskError) -> Option<String> {
    let text = match error {
        DiskError::Packed { path, tool } => {
            let path = quoted(&path.display().to_string());
            return Some(format!(
                "unpack it first; of a bare disk, `{tool} -dc {path} | vhdx-export verify - --manifest …` verifies it"
            ));
        }
        DiskError::Zstd { source: ZstdDiskError::Table(SeekTableError::NoTable), .. } => {
            "the file is cut short, or comes from another program: `zstd -d` may unpack it, and \
                 `zstd -dc … | vhdx-export verify - --manifest …` verifies it"
        }
        DiskError::Geometry { .. } => "is it the file of a whole disk? Its sectors are 512 or 4096 bytes",
        _ => return None,
    };
    Some(text.to_owned())
}

fn is_vhd(path: &Path) -> bool {
    let suffix = path.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default();
    suffix.eq_ignore_ascii_case("vhd") || suffix.eq_ignore_ascii_case("avhd")
}

fn is_forbidden(tried: &Tried) -> bool {
    match &tried.why {
        WhyNot::Unread(kind) => *kind == io::ErrorKind::PermissionDenied,
        WhyNot::Open(StoreError::Open { source, .. }) => source.kind() == io::ErrorKind::PermissionDenied,
        _ => false,
    }
}

fn several_vms_hint(candidates: &[VmChoice]) -> Option<String> {
    let first = candidates.first()?;
    let alike = candidates.iter().filter(|other| other.name == first.name && other.id == first.id).count();
    Some(if alike > 1 {
        "they are copies of one VM: name the folder of the one you want as SOURCE".to_owned()
    } else {
        format!("say which VM you want, for example `--vm {}`", quoted(&first.name))
    })
}

/// The newest checkpoint and the running state are what people mostly want.
fn which_checkpoint_hint(candidates: &[CheckpointChoice]) -> Option<String> {
    let newest = candidates.iter().rfind(|choice| choice.number.is_some())?;
    let is_unique = candidates.iter().filter(|choice| choice.name == newest.name).count() == 1;
    let by_name = is_unique && !newest.name.contains(steers);
    let name = newest.id.filter(|_| !by_name).map_or_else(|| quoted(&newest.name), |id| id.to_string());
    let mut hint = format!("say which state you want, for example `--checkpoint {name}`");
    if candidates.iter().any(|choice| choice.number.is_none()) {
        hint += " or `--checkpoint @current`";
    }
    Some(hint)
}

fn ambiguous_checkpoint_hint(candidates: &[CheckpointChoice]) -> Option<String> {
    let id = candidates.first()?.id?;
    Some(format!("say which one by its GUID, for example `--checkpoint {id}`"))
}

fn several_leaves_hint(candidates: &[LeafChoice]) -> Option<String> {
    let known = candidates.iter().filter(|choice| choice.problem.is_none());
    let mut stems = known.filter_map(|choice| choice.path.file_stem()?.to_str());
    let first = stems.next()?;
    let mut hint = format!("say which state you want, for example `--checkpoint {}`", quoted(first));
    if let Some(second) = stems.next() {
        let _ = write!(hint, " or `--checkpoint {}`", quoted(second));
    }
    Some(hint)
}

fn sink_hint(error: &SinkError) -> Option<String> {
    let text = match error {
        SinkError::Target(TargetError::Exists(_)) => "--force replaces it",
        SinkError::Target(TargetError::IsSource(_)) => "choose another name: sources are never written",
        SinkError::Target(TargetError::Busy(_)) => "wait for the other export, or choose another name",
        SinkError::Space(SpaceError::Short { .. }) => {
            "choose a target with more room, or `--no-space-check` if its file system compresses"
        }
        SinkError::Space(SpaceError::Full { place: Place::Stream, .. }) => return None,
        SinkError::Space(_) => "choose a target with more room, or pipe the image with `--out -`",
        SinkError::BrokenPipe => "the program that reads it has ended before the disk did: see what it said",
        SinkError::Target(TargetError::NotAFile { kind: NotAFile::Special, .. }) => {
            "--device writes onto a block device"
        }
        SinkError::Device(error) => return device_hint(error),
        SinkError::NotKept(_) => NOT_KEPT,
        SinkError::Changed { .. } => {
            "the VM seems to be running: read from a backup or a snapshot of its volume"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

fn not_shared_hint(error: &NotShared) -> &'static str {
    if error.source.is_some() {
        "choose a target on the file system of the source, if that has reflinks, or leave --reflink out"
    } else {
        "leave --reflink out: a source that is compressed or a device shares nothing"
    }
}

fn device_hint(error: &DeviceError) -> Option<String> {
    let text = match error {
        DeviceError::NotADevice(_) => "leave --device out to write a file",
        DeviceError::InUse { usage: Usage::MountedAt(_), .. } => {
            "unmount it first, if it is the right one: all it holds will be lost"
        }
        DeviceError::InUse { .. } => "free it first, if it is the right one: all it holds will be lost",
        DeviceError::IsSource { .. } => "choose another device: sources are never written",
        DeviceError::TooSmall { .. } => "choose a larger device",
        _ => return None,
    };
    Some(text.to_owned())
}

fn verify_hint(error: &VerifyError) -> Option<String> {
    let text = match &error.source {
        Unusable::Manifest(ManifestError::Newer { .. }) => {
            "verify with the version of vhdx-export that made it, or a later one"
        }
        Unusable::Manifest(_) | Unusable::Contradiction => "get another copy of the manifest",
        Unusable::Read(error) if error.kind() == io::ErrorKind::NotFound => {
            "name the manifest of the export with --manifest"
        }
        Unusable::NoDigests => "export again with digests",
        Unusable::NoRanges => "leave --quick out",
        _ => return None,
    };
    Some(text.to_owned())
}
