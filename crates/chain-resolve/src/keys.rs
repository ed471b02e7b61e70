//! The keys of one configuration file that the user names: a VM's, a checkpoint's, or any other store of Hyper-V.
//!
//! What the keys mean is for [`crate::vm::Configuration::from_keys`] to say, which may find that they are no VM's.

use std::path::{Path, PathBuf};

use limits::{Limit, Limits};
use vhdx_format::{FileOffset, ReadAt};

use crate::catalog::ReadConfigurationError;
use crate::store::{OpenFile, SourceFile, SourceKinds, StoreError, open_plain};
use crate::vm::{Keys, read_keys_within};

/// The keys of a file can not be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenKeysError {
    /// The file can not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file can not be read, or holds no keys.
    #[error("cannot use `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: ReadConfigurationError,
    },
}

/// Opens a `.vmcx`, `.vmrs` or `.xml` and reads its keys. Memory is bounded, whatever the file says.
pub fn open_keys(path: &Path, limits: &Limits) -> Result<(SourceFile, Keys), OpenKeysError> {
    let file = open_plain(path, SourceKinds::Files)?;
    let failed = |source| OpenKeysError::Read { path: path.to_path_buf(), source };
    let bytes = read_all(&file, limits).map_err(failed)?;
    let keys = read_keys_within(&bytes, limits)
        .map_err(|error| failed(ReadConfigurationError::Content(error.into())))?;
    Ok((file.source, keys))
}

/// All bytes of a file that is no larger than any configuration.
pub(crate) fn read_all(file: &OpenFile, limits: &Limits) -> Result<Vec<u8>, ReadConfigurationError> {
    let (limit, found) = (limits.of(Limit::ConfigurationSize), file.source.len);
    let len = usize::try_from(found).ok().filter(|_| found <= limit);
    let mut bytes = vec![0; len.ok_or(ReadConfigurationError::TooLarge { limit, found })?];
    file.read_exact_at(FileOffset(0), &mut bytes).map_err(ReadConfigurationError::Io)?;
    Ok(bytes)
}
