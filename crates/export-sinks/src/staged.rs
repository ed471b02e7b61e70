//! A file in the making, beside its final name: `NAME.partial`, locked as long as somebody works on it.
//!
//! Whether the final name may be used is `target.rs`; giving it is `publish.rs`.

use std::fs::{self, File, TryLockError};
use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vhdx_format::FileOffset;

use crate::drop_behind::{DropBehind, drop_pages};
use crate::sink::{Room, Stage, WriteAt};
use crate::target::found;
use crate::{
    Doing, ExportError, Overwrite, Place, Readers, SinkError, SpaceError, Target, TargetError, copying,
    publish, space,
};

/// A partial file. Dropped before it is published, it is removed.
#[derive(Debug)]
pub struct StagedFile {
    file: Arc<StagedWriter>,
    partial: RemovedOnDrop,
    target: PathBuf,
    directory: PathBuf,
    overwrite: Overwrite,
}

/// Writes into a partial file.
#[derive(Debug)]
pub struct StagedWriter {
    file: File,
    path: PathBuf,
    /// File systems let one thread at a time write into a file. Those that wait for it in the kernel keep a processor busy;
    /// those that wait here leave it to whoever reads or digests. Nothing else is waited for while it is held, on which the
    /// proof in `export.rs` rests.
    turn: Mutex<()>,
    /// There if the file is to leave the page cache.
    drop_behind: Option<DropBehind>,
}

impl StagedWriter {
    fn new(file: File, path: PathBuf, drop_behind: Option<DropBehind>) -> Self {
        Self { file, path, turn: Mutex::default(), drop_behind }
    }

    fn take_turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often to try when partial files come and go under our hands. Each round means that another run has ended
/// between two system calls of this one.
const ATTEMPTS: usize = 8;

impl StagedFile {
    /// Checks the target and creates the partial file, empty and locked.
    ///
    /// A partial file that a killed run has left is replaced by a new one, if it is a regular file, nobody holds its
    /// lock and it is none of the sources. It is removed rather than emptied: if it has other names, what they name
    /// stays.
    pub fn create(target: &Target) -> Result<Self, SinkError> {
        target.check()?;
        let path = target.partial();
        for _ in 0..ATTEMPTS {
            match create_new(&path, target.readers()) {
                Ok(file) => match holds(&file, &path, Unlockable::Fine) {
                    Ok(true) => return Ok(Self::hold(file, path, target)),
                    Ok(false) => {}
                    Err(error) => {
                        // It is ours and empty; that it can not be removed either would be news to nobody.
                        let _ = fs::remove_file(&path);
                        return Err(error);
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => remove_leftover(&path, target)?,
                Err(error) => return Err(failed(Doing::Create, &path, error)),
            }
        }
        Err(TargetError::Busy(path).into())
    }

    /// Writes all of a small file, and makes it durable under its partial name.
    pub fn fill(&self, content: &[u8]) -> Result<(), SinkError> {
        self.writer().put(FileOffset(0), content)?;
        self.sync()
    }

    fn hold(file: File, path: PathBuf, target: &Target) -> Self {
        let drop_behind = (!target.caches()).then(DropBehind::default);
        Self {
            partial: RemovedOnDrop(Some(path.clone())),
            file: Arc::new(StagedWriter::new(file, path, drop_behind)),
            target: target.path().to_owned(),
            directory: target.directory().to_owned(),
            overwrite: target.overwrite(),
        }
    }

    /// That the file system has room for `need` bytes.
    pub fn require(&self, need: u64) -> Result<(), SinkError> {
        let have = space::free(&self.file.file).map_err(|error| self.failed(Doing::Inspect, error))?;
        match have {
            Some(have) if have < need => {
                Err(SpaceError::Short { place: Place::File(self.target.clone()), need, have }.into())
            }
            _ => Ok(()),
        }
    }

    /// That the file system has room for what is needed, which is at most `most` bytes and takes time to find out.
    pub(crate) fn require_up_to(
        &self,
        most: u64,
        need: impl FnOnce() -> Result<u64, ExportError>,
    ) -> Result<(), ExportError> {
        if self.require(most).is_ok() { Ok(()) } else { Ok(self.require(need()?)?) }
    }

    /// What is written to, for messages.
    pub(crate) fn place(&self) -> Place {
        self.file.place()
    }

    /// The unit in which the file system gives out its room, in bytes.
    pub(crate) fn block_size(&self) -> Result<NonZeroU64, SinkError> {
        space::block_size(&self.file.file).map_err(|error| self.failed(Doing::Inspect, error))
    }

    /// Tries to share all blocks of a source, and forgets them again: the file is empty before and after. The inner error
    /// is what the system says where it can not.
    pub(crate) fn try_clone_of(&self, source: &File) -> Result<io::Result<()>, SinkError> {
        let cloned = copying::clone(&self.file.file, source);
        self.set_len(0)?;
        Ok(cloned)
    }

    /// Whether this file and the source lie on a file server that copies between them by itself.
    pub(crate) fn is_served_with(&self, source: &File) -> bool {
        copying::is_served(&self.file.file) && copying::is_served(source)
    }

    fn failed(&self, doing: Doing, error: io::Error) -> SinkError {
        failed(doing, &self.file.path, error)
    }
}

impl Stage for StagedFile {
    type Writer = StagedWriter;

    fn writer(&self) -> Arc<StagedWriter> {
        Arc::clone(&self.file)
    }

    fn set_len(&self, len: u64) -> Result<(), SinkError> {
        self.file.file.set_len(len).map_err(|error| self.failed(Doing::Allocate, error))
    }

    fn allocate(&self, len: u64) -> Result<Room, SinkError> {
        space::allocate(&self.file.file, len).map_err(|error| self.failed(Doing::Allocate, error))
    }

    fn allocate_holes(&self, len: u64) -> Result<(), SinkError> {
        space::allocate_holes(&self.file.file, len).map_err(|error| self.failed(Doing::Allocate, error))
    }

    fn sync(&self) -> Result<(), SinkError> {
        self.file.file.sync_all().map_err(|error| self.failed(Doing::Sync, error))?;
        if self.file.drop_behind.is_some() {
            drop_pages(&self.file.file);
        }
        Ok(())
    }

    /// Renames the file, syncs the directory. Without [`Overwrite::Replace`], a file that has appeared under
    /// the name meanwhile stays as it is.
    ///
    /// If only the last step fails, the name is taken back where nothing was replaced. What was replaced is gone, so
    /// there the new file, complete and synced, stays: nothing at all would be worse.
    fn publish(mut self) -> Result<(), SinkError> {
        if !has_name(&self.file.file, &self.file.path)? {
            self.partial.0 = None;
            return Err(TargetError::Lost(self.file.path.clone()).into());
        }
        publish::rename(&self.file.path, &self.target, self.overwrite)?;
        self.partial.0 = None;
        let synced = publish::sync_directory(&self.directory);
        if synced.is_err() && self.overwrite == Overwrite::Refuse {
            self.partial.0 = Some(self.target.clone());
        }
        synced.map_err(|error| failed(Doing::Sync, &self.directory, error))
    }
}

impl WriteAt for StagedWriter {
    fn write_all_at(&self, at: FileOffset, bytes: &[u8]) -> io::Result<()> {
        let _turn = self.take_turn();
        write_all_at(&self.file, at, bytes)?;
        if let Some(drop_behind) = &self.drop_behind {
            drop_behind.wrote(&self.file, bytes.len());
        }
        Ok(())
    }

    fn copy_from(&self, at: FileOffset, source: &File, from: FileOffset, len: u64) -> io::Result<u64> {
        let _turn = self.take_turn();
        copying::copy(&self.file, at, source, from, len)
    }

    fn place(&self) -> Place {
        Place::File(self.path.clone())
    }
}

#[cfg(unix)]
fn write_all_at(file: &File, at: FileOffset, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at.0)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut at: FileOffset, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_write(file, bytes, at.0) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = bytes.split_at(written).1;
                at = FileOffset(at.0.saturating_add(written as u64));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A file that goes with its owner. The owner holds the lock of the file behind the name, so it is nobody else's.
#[derive(Debug)]
struct RemovedOnDrop(Option<PathBuf>);

impl Drop for RemovedOnDrop {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // There is nobody to tell; the error that brought us here is on its way already.
            let _ = fs::remove_file(path);
        }
    }
}

/// Takes the target of a killed run its name again: it becomes a partial file like any other. `last` is the file beside it
/// that was to be published last and was not; those in `before`, published between, go. Refused while somebody holds it.
pub fn unpublish(target: &Target, before: &[Target], last: &Target) -> Result<(), SinkError> {
    [target, last].into_iter().chain(before).try_for_each(Target::check)?;
    let held = last.partial();
    let file = open_leftover(&held).map_err(|error| failed(Doing::Create, &held, error))?;
    if !holds(&file, &held, Unlockable::Error)? {
        return Err(TargetError::Busy(held).into());
    }
    for target in before {
        remove(target.path())?;
    }
    fs::rename(target.path(), target.partial()).map_err(|error| failed(Doing::Remove, target.path(), error))
}

fn remove(path: &Path) -> Result<(), SinkError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(Doing::Remove, path, error)),
        _ => Ok(()),
    }
}

/// Creates a file where nothing has that name, not even a link.
fn create_new(path: &Path, readers: Readers) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, readers.mode());
    #[cfg(not(unix))]
    let _ = readers;
    options.open(path)
}

/// Removes the partial file of a killed run; fine if it goes away by itself.
fn remove_leftover(path: &Path, target: &Target) -> Result<(), SinkError> {
    // Before opening: opening a pipe or a device can do things.
    let Some(named) = found(path, fs::symlink_metadata(path))? else { return Ok(()) };
    target.check_leftover(path, &named)?;
    let file = match open_leftover(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(Doing::Create, path, error)),
    };
    let opened = file.metadata().map_err(|error| failed(Doing::Inspect, path, error))?;
    target.check_leftover(path, &opened)?;
    if !holds(&file, path, Unlockable::Error)? {
        return Ok(());
    }
    remove(path)
}

#[cfg(unix)]
fn open_leftover(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, open};
    // For writing, though nothing is: over NFS an exclusive lock needs it. Not blocking, in case a pipe took its place.
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(rustix::io::retry_on_intr(|| open(path, flags, Mode::empty()))?))
}

#[cfg(not(unix))]
fn open_leftover(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).open(path)
}

/// What it means when the file system has no locks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unlockable {
    /// The file was just created by us.
    Fine,
    /// It may be another run's, and there is no telling.
    Error,
}

/// Takes the lock of a file; false if the file no longer has that name. Whoever holds the lock of the file that has
/// the name, and nobody else, may write, rename and remove it.
fn holds(file: &File, path: &Path, unlockable: Unlockable) -> Result<bool, SinkError> {
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(TargetError::Busy(path.to_owned()).into()),
        Err(TryLockError::Error(error)) if unlockable == Unlockable::Fine && has_no_locks(&error) => {}
        Err(TryLockError::Error(error)) => return Err(failed(Doing::Lock, path, error)),
    }
    has_name(file, path)
}

/// Some network file systems can not lock.
fn has_no_locks(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::NOLCK.raw_os_error()) {
        return true;
    }
    error.kind() == io::ErrorKind::Unsupported
}

#[cfg(unix)]
fn has_name(file: &File, path: &Path) -> Result<bool, SinkError> {
    use std::os::unix::fs::MetadataExt;
    let opened = file.metadata().map_err(|error| failed(Doing::Inspect, path, error))?;
    let named = found(path, fs::symlink_metadata(path))?;
    Ok(named.is_some_and(|named| (named.dev(), named.ino()) == (opened.dev(), opened.ino())))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
fn has_name(_file: &File, _path: &Path) -> Result<bool, SinkError> {
    // An open file keeps its name here unless it is opened for sharing even that, so the lock is enough.
    Ok(true)
}

fn failed(doing: Doing, path: &Path, error: io::Error) -> SinkError {
    SinkError::from_io(doing, Place::File(path.to_owned()), error)
}
