//! The one table of exit codes, and which failure has which. They are stable; a test holds the README to them.

use std::io;

use chain_resolve::{
    ChangeError, FolderError, OpenKeysError, ReadConfigurationError, ResolveError, ScanError, SelectError,
    StoreError,
};
use export_sinks::device::{DeviceError, ReadBackError};
use export_sinks::{Cancelled, ExportError, SinkError, TargetError};
use raw_format::{FrameError, RawError, SeekTableError, ZstdDiskError};
use vhdx_format::{ImageError, ReadError};

use super::Failure;
use crate::commands::batch::BatchError;
use crate::commands::verify::{Unusable, VerifyError};
use crate::disk::DiskError;

pub(crate) const OTHER: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const MISMATCH: u8 = 3;
pub(crate) const NOT_FOUND: u8 = 4;
pub(crate) const CHAIN_BROKEN: u8 = 5;
pub(crate) const CORRUPT: u8 = 6;
pub(crate) const UNSAFE: u8 = 7;
pub(crate) const NO_SPACE: u8 = 8;
pub(crate) const CHANGED: u8 = 9;
pub(crate) const PARTLY: u8 = 10;
pub(crate) const TEMPORARY: u8 = 75;

/// The exit code of a failure.
pub(super) fn of(failure: &Failure) -> u8 {
    match failure {
        Failure::Usage(_) => USAGE,
        Failure::Select(error) => select_code(error),
        Failure::Resolve(error) => resolve_code(error),
        Failure::Disk(error) => disk_code(error),
        Failure::Sidecar(error) => sink_code(error),
        Failure::ReadBack(error) => read_back_code(error),
        Failure::Verify(error) => verify_code(error),
        Failure::Part(_) => CORRUPT,
        Failure::Read { source, .. } => read_code(source),
        Failure::NotShared { .. } => NO_SPACE,
        Failure::Export(error) => export_code(error),
        Failure::Change(error) => change_code(error),
        Failure::Keys(error) => keys_code(error),
        Failure::Batch(error) => batch_code(error),
        Failure::Output(error) | Failure::Signals(error) | Failure::Folder { source: error, .. } => {
            io_code(error)
        }
    }
}

fn select_code(error: &SelectError) -> u8 {
    match error {
        SelectError::Folder(FolderError::Look { source, .. }) => io_code(source),
        SelectError::Folder(FolderError::Scan(error)) => scan_code(error),
        SelectError::OneFile(_) => USAGE,
        SelectError::LostConfigurations(_) => CORRUPT,
        _ => NOT_FOUND,
    }
}

fn scan_code(error: &ScanError) -> u8 {
    match error {
        ScanError::TooMany { .. } => OTHER,
        ScanError::List { source, .. } => io_code(source),
    }
}

fn resolve_code(error: &ResolveError) -> u8 {
    match error {
        ResolveError::Store(StoreError::Open { source, .. }) => io_code(source),
        ResolveError::Store(_) => CORRUPT,
        ResolveError::Image { source, .. } => image_code(source),
        ResolveError::Scan(error) => scan_code(error),
        ResolveError::AmbiguousParent { .. } => NOT_FOUND,
        _ => CHAIN_BROKEN,
    }
}

fn image_code(error: &ImageError) -> u8 {
    match error {
        ImageError::Io { source, .. } => io_code(source),
        ImageError::Changed { .. } => CHANGED,
        _ => CORRUPT,
    }
}

fn read_code(error: &ReadError) -> u8 {
    match error {
        ReadError::Tables { source, .. } => image_code(source),
        ReadError::Payload { source, .. } => io_code(source),
        ReadError::NoSuchLayer(_) | ReadError::PastTheEnd { .. } => OTHER,
    }
}

fn disk_code(error: &DiskError) -> u8 {
    match error {
        DiskError::Store(StoreError::Open { source, .. })
        | DiskError::Length { source, .. }
        | DiskError::Raw { source: RawError::Io(source), .. }
        | DiskError::Zstd { source: ZstdDiskError::Table(SeekTableError::Io { source, .. }), .. }
        | DiskError::Zstd { source: ZstdDiskError::EmptyFrame(FrameError::Read { source, .. }), .. } => {
            io_code(source)
        }
        _ => CORRUPT,
    }
}

fn export_code(error: &ExportError) -> u8 {
    match error {
        ExportError::Read(error) => read_code(error),
        ExportError::Sink(error) => sink_code(error),
        ExportError::Cancelled(cancelled) => cancelled_code(*cancelled),
        _ => OTHER,
    }
}

fn sink_code(error: &SinkError) -> u8 {
    match error {
        SinkError::Target(TargetError::NoDirectory(_)) => NOT_FOUND,
        SinkError::Device(DeviceError::TooSmall { .. }) | SinkError::Space(_) | SinkError::NotShared(_) => {
            NO_SPACE
        }
        SinkError::Target(_) | SinkError::Device(_) => UNSAFE,
        SinkError::NotKept(_) => MISMATCH,
        SinkError::Changed { .. } => CHANGED,
        SinkError::Io { source, .. } => io_code(source),
        SinkError::BrokenPipe => OTHER,
    }
}

/// By convention 128 and the number of the signal.
fn cancelled_code(cancelled: Cancelled) -> u8 {
    u8::try_from(cancelled.reason + 128).unwrap_or(OTHER)
}

fn read_back_code(error: &ReadBackError) -> u8 {
    match error {
        ReadBackError::Differs(_) => MISMATCH,
        ReadBackError::Forget(error) => sink_code(error),
        ReadBackError::Read { source, .. } => export_code(source),
        ReadBackError::Cancelled(cancelled) => cancelled_code(*cancelled),
        ReadBackError::NotDigested(_) => OTHER,
    }
}

fn verify_code(error: &VerifyError) -> u8 {
    match &error.source {
        Unusable::Read(source) => io_code(source),
        // There is nothing wrong with it.
        Unusable::NoRanges => USAGE,
        _ => CORRUPT,
    }
}

fn change_code(error: &ChangeError) -> u8 {
    match error {
        ChangeError::Io { source, .. } | ChangeError::Image { source: ImageError::Io { source, .. }, .. } => {
            io_code(source)
        }
        ChangeError::Changed { .. } | ChangeError::Image { .. } => CHANGED,
    }
}

fn keys_code(error: &OpenKeysError) -> u8 {
    match error {
        OpenKeysError::Store(StoreError::Open { source, .. })
        | OpenKeysError::Read { source: ReadConfigurationError::Io(source), .. } => io_code(source),
        OpenKeysError::Store(_) | OpenKeysError::Read { .. } => CORRUPT,
    }
}

fn batch_code(error: &BatchError) -> u8 {
    match error {
        BatchError::Read { source, .. }
        | BatchError::Results { source, .. }
        | BatchError::Unread { source, .. } => io_code(source),
        BatchError::Line { .. }
        | BatchError::NotText(_)
        | BatchError::SameTarget { .. }
        | BatchError::TargetInSource { .. }
        | BatchError::FolderInFolder { .. }
        | BatchError::Shard(_) => USAGE,
        BatchError::OtherState { .. } => CHANGED,
        BatchError::Busy { .. } => TEMPORARY,
        BatchError::NoJobs(_) => NOT_FOUND,
        BatchError::Metrics { source, .. } => sink_code(source),
        BatchError::Existing { .. } => UNSAFE,
        BatchError::Damaged { .. } => MISMATCH,
        BatchError::Panicked => OTHER,
    }
}

/// The code of a run that was stopped from outside.
pub(crate) fn of_cancelled(cancelled: Cancelled) -> u8 {
    cancelled_code(cancelled)
}

/// The code for something in a folder that could not be read: what the system said, or else why it was not tried.
pub(crate) fn of_unread(error: &io::Error) -> u8 {
    if error.raw_os_error().is_some() { io_code(error) } else { OTHER }
}

/// What a code means, in a word for programs.
pub(crate) fn class(code: u8) -> &'static str {
    match code {
        0 => "ok",
        USAGE => "usage",
        MISMATCH => "mismatch",
        NOT_FOUND => "not-found",
        CHAIN_BROKEN => "chain-broken",
        CORRUPT => "corrupt",
        UNSAFE => "unsafe",
        NO_SPACE => "no-space",
        CHANGED => "changed",
        PARTLY => "partly",
        TEMPORARY => "temporary",
        129.. => "interrupted",
        _ => "other",
    }
}

/// What the system's answers mean for whoever may try again. A file that ends earlier than when it was opened has
/// changed.
fn io_code(error: &io::Error) -> u8 {
    use io::ErrorKind;
    if is_link_loop(error) || is_out_of_handles(error) {
        return OTHER;
    }
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => NOT_FOUND,
        ErrorKind::UnexpectedEof | ErrorKind::ResourceBusy => CHANGED,
        // Damage that a checksum has told.
        ErrorKind::InvalidData => CORRUPT,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => NO_SPACE,
        ErrorKind::PermissionDenied
        | ErrorKind::BrokenPipe
        | ErrorKind::InvalidInput
        | ErrorKind::InvalidFilename
        | ErrorKind::ReadOnlyFilesystem => OTHER,
        _ => TEMPORARY,
    }
}

/// Links that lead round in a circle; the standard library has no stable name for it.
#[cfg(unix)]
fn is_link_loop(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

/// Another try meets the same limit, unless somebody raises it.
#[cfg(unix)]
fn is_out_of_handles(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(not(unix))]
fn is_out_of_handles(_: &io::Error) -> bool {
    false
}

#[cfg(not(unix))]
fn is_link_loop(_: &io::Error) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_shrank_has_changed_and_a_flaky_share_is_worth_another_try() {
        assert_eq!(io_code(&io::ErrorKind::UnexpectedEof.into()), CHANGED);
        assert_eq!(io_code(&io::ErrorKind::TimedOut.into()), TEMPORARY);
        assert_eq!(io_code(&io::ErrorKind::NotFound.into()), NOT_FOUND);
    }

    #[test]
    fn an_empty_frame_that_can_not_be_read_is_not_corrupt() {
        let source = io::ErrorKind::TimedOut.into();
        let error = FrameError::Read { index: 0, at: vhdx_format::FileOffset(0), source };
        let error = DiskError::Zstd { path: "a.raw.zst".into(), source: ZstdDiskError::EmptyFrame(error) };
        assert_eq!(disk_code(&error), TEMPORARY);
    }
}
