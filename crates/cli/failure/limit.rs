//! Which limit a failure ran into, of those that a user can raise.

use chain_resolve::vm::hvs::StoreError;
use chain_resolve::vm::xml::XmlError;
use chain_resolve::vm::{ConfigurationError, ReadKeysError};
use chain_resolve::{
    FolderError, OpenKeysError, ReadConfigurationError, ResolveError, ScanError, SelectError,
};
use export_manifest::ManifestError;
use limits::Limit;
use vhdx_format::{ImageError, LinkError};

use super::Failure;
use crate::commands::verify::{Unusable, VerifyError};
use crate::disk::DiskError;

/// The limit, if it was one.
pub(super) fn met(failure: &Failure) -> Option<Limit> {
    match failure {
        Failure::Resolve(error) | Failure::Disk(DiskError::Resolve(error)) => of_chain(error),
        Failure::Select(SelectError::Folder(FolderError::Scan(ScanError::TooMany { .. }))) => {
            Some(Limit::NamesScanned)
        }
        Failure::Keys(OpenKeysError::Read { source, .. }) => of_configuration(source),
        Failure::Verify(VerifyError {
            source: Unusable::Manifest(ManifestError::TooLarge { .. }), ..
        }) => Some(Limit::ManifestSize),
        _ => None,
    }
}

fn of_chain(error: &ResolveError) -> Option<Limit> {
    match error {
        ResolveError::Image { source: ImageError::Limit { raise, .. }, .. } => *raise,
        ResolveError::Link { source: LinkError::TooDeep { .. }, .. } => Some(Limit::ChainDepth),
        ResolveError::Link { source: LinkError::LogsTooLong { .. }, .. } => Some(Limit::LogSize),
        ResolveError::Scan(ScanError::TooMany { .. }) => Some(Limit::NamesScanned),
        _ => None,
    }
}

fn of_configuration(error: &ReadConfigurationError) -> Option<Limit> {
    let is_too_large = matches!(
        error,
        ReadConfigurationError::TooLarge { .. }
            | ReadConfigurationError::Content(ConfigurationError::Keys(
                ReadKeysError::Store(StoreError::TooLarge { .. })
                    | ReadKeysError::Xml(XmlError::TooLarge { .. })
            ))
    );
    is_too_large.then_some(Limit::ConfigurationSize)
}
