//! What went wrong, for people and for pipelines: the words, the hint, and the one table of exit codes.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chain_resolve::{
    ChangeError, CheckpointChoice, FolderError, LeafChoice, OpenKeysError, ReadConfigurationError,
    ResolveError, ScanError, SelectError, StoreError, Tried, VmChoice, WhyNot,
};
use export_sinks::{ExportError, Place, SinkError, SpaceError, TargetError};
use vhdx_format::{ImageError, Problem, ReadError};

use crate::plan::UsageError;
use crate::terminal::{printable, quoted, say, steers};

/// Exit codes. They are stable; a test holds the README to them.
pub(crate) mod code {
    pub(crate) const OTHER: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
    pub(crate) const NOT_FOUND: u8 = 4;
    pub(crate) const CHAIN_BROKEN: u8 = 5;
    pub(crate) const CORRUPT: u8 = 6;
    pub(crate) const UNSAFE: u8 = 7;
    pub(crate) const NO_SPACE: u8 = 8;
    pub(crate) const CHANGED: u8 = 9;
    pub(crate) const TEMPORARY: u8 = 75;
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error(transparent)]
    Select(#[from] SelectError),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The disk could not be read; the path is that of the layer at fault.
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: ReadError },
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error(transparent)]
    Keys(#[from] OpenKeysError),
    #[error("cannot write the result")]
    Output(#[source] io::Error),
    #[error("cannot make the folder `{}`", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
}

impl Failure {
    /// Says what went wrong, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        // Whoever closes our output early (`| head`) has seen enough, and a broken message helps nobody.
        if let Self::Output(error) = self
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            return ExitCode::SUCCESS;
        }
        say(&self.message());
        ExitCode::from(self.code())
    }

    fn message(&self) -> String {
        let mut text = format!("error: {}\n", printable(&with_sources(self)));
        for detail in self.details() {
            let _ = writeln!(text, "  {}", printable(&detail));
        }
        if let Some(hint) = self.hint() {
            let _ = writeln!(text, "hint: {}", printable(&hint));
        }
        text
    }

    fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => code::USAGE,
            Self::Select(error) => select_code(error),
            Self::Resolve(error) => resolve_code(error),
            Self::Read { source, .. } => read_code(source),
            Self::Export(error) => export_code(error),
            Self::Change(error) => change_code(error),
            Self::Keys(error) => keys_code(error),
            Self::Output(error) | Self::Signals(error) | Self::Folder { source: error, .. } => io_code(error),
        }
    }

    /// The candidates, each with its reason.
    fn details(&self) -> Vec<String> {
        fn shown<T: ToString>(candidates: &[T]) -> Vec<String> {
            candidates.iter().map(ToString::to_string).collect()
        }
        let listed = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect();
        match self {
            Self::Select(SelectError::SeveralLeaves { candidates, .. }) => shown(candidates),
            Self::Select(
                SelectError::NoSuchVm { candidates, .. } | SelectError::SeveralVms { candidates },
            ) => shown(candidates),
            Self::Select(
                SelectError::WhichCheckpoint { candidates, .. }
                | SelectError::NoSuchCheckpoint { candidates, .. }
                | SelectError::MissingCheckpoints { candidates, .. }
                | SelectError::AmbiguousCheckpoint { candidates, .. },
            ) => shown(candidates),
            Self::Select(SelectError::LostConfigurations(paths)) => listed(paths),
            Self::Select(
                SelectError::NoSuchDisk { candidates, .. } | SelectError::SeveralDisks { candidates },
            ) => shown(candidates),
            Self::Select(
                SelectError::NoSuchName { candidates, .. }
                | SelectError::AmbiguousName { candidates, .. }
                | SelectError::AmbiguousDiskFile { candidates, .. },
            )
            | Self::Resolve(ResolveError::AmbiguousParent { candidates, .. }) => listed(candidates),
            Self::Resolve(ResolveError::ParentNotFound { tried, searched, images_seen, .. }) => {
                let tried = tried.iter().map(|tried| {
                    let mark = match tried.why {
                        WhyNot::Identity { .. } => " (was it attached read-write after the checkpoint?)",
                        _ => "",
                    };
                    format!("tried `{}`: {}{mark}", tried.candidate, with_sources(&tried.why))
                });
                let searched = searched.iter().map(|folder| format!("searched `{}`", folder.display()));
                let plural = if *images_seen == 1 { "" } else { "s" };
                let seen = format!("{images_seen} image{plural} looked at");
                tried.chain(searched).chain([seen]).collect()
            }
            _ => Vec::new(),
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Usage(UsageError::UnknownSuffix(_)) => {
                "end the name in .vhdx, .raw or .img, or give --format"
            }
            Self::Usage(UsageError::StreamWithoutFormat) => "for example `--out - --format raw`",
            Self::Usage(UsageError::Terminal) => "redirect it into a file or a pipe",
            Self::Usage(UsageError::KeysOfImage) => "name a .vmcx, .vmrs or .xml as SOURCE",
            Self::Usage(_) => "see `vhdx-export --help`",
            Self::Select(SelectError::SeveralVms { candidates }) => return several_vms_hint(candidates),
            Self::Select(SelectError::WhichCheckpoint { candidates, .. }) => {
                return which_checkpoint_hint(candidates);
            }
            Self::Select(SelectError::AmbiguousCheckpoint { candidates, .. }) => {
                return ambiguous_checkpoint_hint(candidates);
            }
            Self::Select(SelectError::NoSuchVm { candidates, .. }) if candidates.is_empty() => {
                "see `vhdx-export list` for what the folder holds"
            }
            Self::Select(SelectError::NoSuchVm { .. }) => "name one of the VMs above with --vm",
            Self::Select(SelectError::NoSuchCheckpoint { .. }) => {
                "name a state or a disk file with --checkpoint; see `vhdx-export list`"
            }
            Self::Select(SelectError::NoSuchDisk { candidates, .. }) if candidates.is_empty() => {
                "see `vhdx-export list` for the disks of each state"
            }
            Self::Select(SelectError::NoSuchDisk { .. }) => "name one of the disks above with --disk",
            Self::Select(SelectError::AmbiguousDiskFile { .. }) => {
                "name one of the files above with --checkpoint, or as SOURCE"
            }
            Self::Select(SelectError::SeveralDisks { .. }) => {
                "say which disk you want, for example `--disk scsi0:0`, or export all of them with `--out FOLDER/`"
            }
            Self::Select(SelectError::LostConfigurations(_)) => {
                "get them from the backup again, or say what you want with --vm and a checkpoint's name or GUID, \
                 or @current"
            }
            Self::Select(SelectError::MissingCheckpoints { .. }) => {
                "add the files of its folder `Snapshots`, or name one of the states above by name or GUID"
            }
            Self::Select(SelectError::NoCurrent { .. }) => {
                "name a checkpoint or a disk file with --checkpoint"
            }
            Self::Select(SelectError::DiskNotHere { .. }) => {
                "add the file to the folder; `vhdx-export check` lists all that is missing"
            }
            Self::Select(SelectError::SeveralLeaves { candidates, .. }) => {
                return several_leaves_hint(candidates);
            }
            Self::Select(SelectError::NoSuchName { .. } | SelectError::AmbiguousName { .. }) => {
                "name one of the files above as SOURCE, or narrow the folder"
            }
            Self::Select(SelectError::NoImages(_)) => "name the folder that holds the .vhdx and .avhdx files",
            Self::Resolve(ResolveError::ParentNotFound { tried, .. }) if tried.iter().any(is_forbidden) => {
                "make the files readable for this user, then try again"
            }
            Self::Resolve(ResolveError::ParentNotFound { .. }) => {
                "point --parent-dir at the folder that holds the original"
            }
            Self::Resolve(ResolveError::AmbiguousParent { .. }) => {
                "keep one of them in the folders that are searched, beside its child"
            }
            Self::Resolve(ResolveError::Image { path, source: ImageError::NotVhdx }) if is_vhd(path) => {
                "images of the older format VHD are not supported in this version"
            }
            Self::Select(SelectError::Folder(FolderError::Scan(ScanError::TooMany(_)))) => {
                "name the VM's own folder, or the disk file itself, as SOURCE"
            }
            Self::Resolve(ResolveError::Image { source: ImageError::Truncated { .. }, .. }) => {
                "the copy is not complete: fetch the file again"
            }
            Self::Resolve(ResolveError::Image { source: ImageError::Corrupt(found), .. }) if matches!(found.problem, Problem::BlockOffset { most, found, .. } if found > most) => {
                "the file may be cut short: compare its length with the original's"
            }
            Self::Export(ExportError::Sink(error)) => return sink_hint(error),
            Self::Change(ChangeError::Changed(_)) => {
                "the VM seems to be running: read from a backup or a snapshot of its volume"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
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
        SinkError::Changed { .. } => {
            "the VM seems to be running: read from a backup or a snapshot of its volume"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

fn select_code(error: &SelectError) -> u8 {
    match error {
        SelectError::Folder(FolderError::Look { source, .. }) => io_code(source),
        SelectError::Folder(FolderError::Scan(error)) => scan_code(error),
        SelectError::OneFile(_) => code::USAGE,
        SelectError::LostConfigurations(_) => code::CORRUPT,
        _ => code::NOT_FOUND,
    }
}

fn scan_code(error: &ScanError) -> u8 {
    match error {
        ScanError::TooMany(_) => code::OTHER,
        ScanError::List { source, .. } => io_code(source),
    }
}

fn resolve_code(error: &ResolveError) -> u8 {
    match error {
        ResolveError::Store(StoreError::Open { source, .. }) => io_code(source),
        ResolveError::Store(_) => code::CORRUPT,
        ResolveError::Image { source, .. } => image_code(source),
        ResolveError::Scan(error) => scan_code(error),
        ResolveError::AmbiguousParent { .. } => code::NOT_FOUND,
        _ => code::CHAIN_BROKEN,
    }
}

fn image_code(error: &ImageError) -> u8 {
    match error {
        ImageError::Io { source, .. } => io_code(source),
        ImageError::Changed { .. } => code::CHANGED,
        _ => code::CORRUPT,
    }
}

fn read_code(error: &ReadError) -> u8 {
    match error {
        ReadError::Tables { source, .. } => image_code(source),
        ReadError::Payload { source, .. } => io_code(source),
        ReadError::NoSuchLayer(_) | ReadError::PastTheEnd { .. } => code::OTHER,
    }
}

fn export_code(error: &ExportError) -> u8 {
    match error {
        ExportError::Read(error) => read_code(error),
        ExportError::Sink(SinkError::Target(TargetError::NoDirectory(_))) => code::NOT_FOUND,
        ExportError::Sink(SinkError::Target(_)) => code::UNSAFE,
        ExportError::Sink(SinkError::Space(_)) => code::NO_SPACE,
        ExportError::Sink(SinkError::Changed { .. }) => code::CHANGED,
        ExportError::Sink(SinkError::Io { source, .. }) => io_code(source),
        // By convention 128 and the number of the signal.
        ExportError::Cancelled(cancelled) => u8::try_from(cancelled.reason + 128).unwrap_or(code::OTHER),
        _ => code::OTHER,
    }
}

fn change_code(error: &ChangeError) -> u8 {
    match error {
        ChangeError::Io { source, .. } => io_code(source),
        ChangeError::Changed(_) | ChangeError::Image { .. } => code::CHANGED,
    }
}

fn keys_code(error: &OpenKeysError) -> u8 {
    match error {
        OpenKeysError::Store(StoreError::Open { source, .. })
        | OpenKeysError::Read { source: ReadConfigurationError::Io(source), .. } => io_code(source),
        OpenKeysError::Store(_) | OpenKeysError::Read { .. } => code::CORRUPT,
    }
}

/// What the system's answers mean for whoever may try again. A file that ends earlier than when it was opened has
/// changed.
fn io_code(error: &io::Error) -> u8 {
    use io::ErrorKind;
    if is_link_loop(error) {
        return code::OTHER;
    }
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => code::NOT_FOUND,
        ErrorKind::UnexpectedEof | ErrorKind::ResourceBusy => code::CHANGED,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => code::NO_SPACE,
        ErrorKind::PermissionDenied
        | ErrorKind::BrokenPipe
        | ErrorKind::InvalidInput
        | ErrorKind::InvalidFilename
        | ErrorKind::ReadOnlyFilesystem => code::OTHER,
        _ => code::TEMPORARY,
    }
}

/// Links that lead round in a circle; the standard library has no stable name for it.
#[cfg(unix)]
fn is_link_loop(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

#[cfg(not(unix))]
fn is_link_loop(_: &io::Error) -> bool {
    false
}

/// An error and its sources in one line. A message never repeats its source, so nothing is said twice.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_shrank_has_changed_and_a_flaky_share_is_worth_another_try() {
        assert_eq!(io_code(&io::ErrorKind::UnexpectedEof.into()), code::CHANGED);
        assert_eq!(io_code(&io::ErrorKind::TimedOut.into()), code::TEMPORARY);
        assert_eq!(io_code(&io::ErrorKind::NotFound.into()), code::NOT_FOUND);
    }

    #[test]
    fn whoever_names_what_is_not_there_is_told_where_to_look() {
        let (vm, name) = ("web01".to_owned(), "x".to_owned());
        let errors = [
            SelectError::NoSuchVm { name: name.clone(), candidates: Vec::new() },
            SelectError::NoSuchCheckpoint { vm, name: name.clone(), candidates: Vec::new() },
            SelectError::NoSuchDisk { name: name.clone(), candidates: Vec::new() },
            SelectError::AmbiguousDiskFile {
                disk: "scsi0:0".to_owned(),
                recorded: name,
                candidates: vec!["a/x".into(), "b/x".into()],
            },
        ];
        for (error, hint) in errors.into_iter().zip(["list`", "list`", "list`", "--checkpoint"]) {
            assert!(Failure::from(error).message().contains(hint));
        }
    }
}
