//! What went wrong, in words. What to do about it is in [`hint`], what pipelines see in [`code`].
//!
//! A file may not be what its name says: a hostile image, or whoever writes to the folder, may have led here to one that
//! nobody else may read. So no message carries content of a file. What may be said:
//!
//! * of any file: its name, its kind, its length, where in it something is wrong and what was expected there;
//! * of a file that has proved to be an image, a configuration or a manifest: the numbers and GUIDs of named fields, and
//!   the names and paths that it is there to tell, such as where a child says that its parent lies, escaped and shortened;
//! * of what parsers of other crates say: nothing that quotes, so their errors are put into words of our own.

pub(crate) mod code;
mod hint;
mod limit;

pub(crate) use self::hint::disk_hint;

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use chain_resolve::{ChangeError, OpenKeysError, ResolveError, SelectError, WhyNot};
use export_sinks::device::ReadBackError;
use export_sinks::{ExportError, NotShared, SinkError, TargetError};
use vhdx_format::{GeometryError, ReadError};

use crate::commands::batch::BatchError;
use crate::commands::verify::VerifyError;
use crate::disk::DiskError;
use crate::terminal::{printable, say, shortened};
use crate::usage::UsageError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error(transparent)]
    Select(#[from] SelectError),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Disk(DiskError),
    /// The disk could not be read; the path is that of the layer at fault.
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: ReadError },
    /// The path is that of the source.
    #[error("cannot share the blocks of `{}`", path.display())]
    NotShared { path: PathBuf, source: NotShared },
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The artifact has its name already.
    #[error("the image is complete, but what belongs beside it is not")]
    Sidecar(#[source] SinkError),
    #[error(transparent)]
    ReadBack(#[from] ReadBackError),
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// A range of a copy is no disk of its own.
    #[error("cannot look at a part of the copy")]
    Part(#[source] GeometryError),
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Keys(#[from] OpenKeysError),
    #[error("cannot write the result")]
    Output(#[source] io::Error),
    #[error("cannot make the folder `{}`", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
}

impl From<DiskError> for Failure {
    fn from(error: DiskError) -> Self {
        match error {
            DiskError::Resolve(error) => Self::Resolve(error),
            other => Self::Disk(other),
        }
    }
}

impl Failure {
    /// Says what went wrong, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        // Whoever closes our output early (`| head`) has seen enough, and a broken message helps nobody.
        if self.is_closed_output() {
            return ExitCode::SUCCESS;
        }
        ExitCode::from(self.tell())
    }

    /// Whether nobody reads our output any more.
    pub(crate) fn is_closed_output(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Says what went wrong, and gives the code of it.
    pub(crate) fn tell(&self) -> u8 {
        say(&self.message());
        code::of(self)
    }

    /// The code of it.
    pub(crate) fn code(&self) -> u8 {
        code::of(self)
    }

    /// What went wrong, in one line.
    pub(crate) fn line(&self) -> String {
        with_sources(self)
    }

    /// Whether somebody stopped it.
    pub(crate) fn is_cancelled(&self) -> bool {
        matches!(self, Self::Export(ExportError::Cancelled(_)) | Self::ReadBack(ReadBackError::Cancelled(_)))
    }

    /// Whether another process is writing the target.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Self::Export(ExportError::Sink(SinkError::Target(TargetError::Busy(_)))))
    }

    /// Whether another process is writing the target, or has just written it.
    pub(crate) fn is_contention(&self) -> bool {
        matches!(
            self,
            Self::Export(ExportError::Sink(SinkError::Target(TargetError::Busy(_) | TargetError::Exists(_))))
        )
    }

    fn message(&self) -> String {
        let shown = |line: &str| printable(&shortened(line));
        let mut text = format!("error: {}\n", shown(&with_sources(self)));
        for detail in self.details() {
            let _ = writeln!(text, "  {}", shown(&detail));
        }
        if let Some(hint) = hint::of(self) {
            let _ = writeln!(text, "hint: {}", shown(&hint));
        }
        text
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
