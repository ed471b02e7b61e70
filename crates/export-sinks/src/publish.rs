//! Giving a complete file its final name, so that it is there wholly or not at all, also after a power cut.

use std::fs;
use std::io;
use std::path::Path;

use crate::{Doing, Overwrite, Place, SinkError, TargetError};

/// Renames, and replaces a file only if it may. The check and the rename are one step wherever the file system can.
pub(crate) fn rename(from: &Path, to: &Path, overwrite: Overwrite) -> Result<(), SinkError> {
    let renamed = match overwrite {
        Overwrite::Replace => fs::rename(from, to),
        Overwrite::Refuse => rename_to_new(from, to),
    };
    renamed.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => TargetError::Exists(to.to_owned()).into(),
        _ => SinkError::from_io(Doing::Publish, Place::File(to.to_owned()), error),
    })
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;

    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // What file systems say that do not know the flag, many of those in user space among them.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => link_to_new(from, to),
        renamed => Ok(renamed?),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    link_to_new(from, to)
}

/// A hard link never replaces anything either. Where there are none, all that is left is to look first: the file is
/// complete and may have taken hours, so failing now would be the greater harm.
fn link_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => {
            // The artifact has its name; a second one that can not be removed does not make it wrong.
            let _ = fs::remove_file(from);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => match fs::symlink_metadata(to) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::rename(from, to),
            Err(error) => Err(error),
        },
    }
}

/// Makes a rename in the directory durable.
#[cfg(unix)]
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    use rustix::io::Errno;
    let directory = fs::File::open(directory)?;
    match rustix::io::retry_on_intr(|| rustix::fs::fsync(&directory)) {
        // Some file systems can not, and then there is nothing to wait for.
        Ok(()) | Err(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Directories can not be synced here; the system journals renames by itself.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
pub(crate) fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_a_new_name_leaves_what_is_there_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a"), dir.path().join("b"));
        for way in [rename_to_new, link_to_new] {
            fs::write(&from, "new").unwrap();
            fs::write(&to, "old").unwrap();
            assert_eq!(way(&from, &to).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&to).unwrap(), b"old");
            fs::remove_file(&to).unwrap();
            way(&from, &to).unwrap();
            assert_eq!(fs::read(&to).unwrap(), b"new");
            assert!(!from.exists());
        }
    }
}
