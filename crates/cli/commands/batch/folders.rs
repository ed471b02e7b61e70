//! Folders that were searched for jobs: each once, however many of its disks are exported.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chain_resolve::{
    Folder, ReadConfigurationError, Request, SelectError, Selection, is_lone_file, select, select_in,
};
use limits::Limits;
use vhdx_format::ImageError;

use super::BatchError;
use crate::failure::{Failure, code};

/// What a folder is searched with.
type Key = (PathBuf, Vec<PathBuf>, Limits);

/// A folder that was searched, or is being searched.
type Slot = Arc<Mutex<Option<Arc<Folder>>>>;

/// The folders that were searched by now.
#[derive(Default)]
pub(crate) struct Folders(Mutex<HashMap<Key, Slot>>);

impl Folders {
    /// The folder of a source. Whoever wants it at the same time waits for the one search.
    pub(crate) fn of(
        &self,
        source: &Path,
        parent_dirs: &[PathBuf],
        limits: &Limits,
    ) -> Result<Arc<Folder>, SelectError> {
        let key = (source.to_path_buf(), parent_dirs.to_vec(), *limits);
        let slot = Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default());
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = &*slot {
            return Ok(Arc::clone(folder));
        }
        // One that can not be searched now may be searched by the next try.
        let folder = Arc::new(Folder::scan(source, parent_dirs, limits)?);
        *slot = Some(Arc::clone(&folder));
        Ok(folder)
    }

    /// The disks of a request.
    pub(crate) fn select(&self, request: &Request<'_>) -> Result<Selection, Failure> {
        if is_lone_file(request)? {
            return Ok(select(request)?);
        }
        let folder = self.of(request.source, request.parent_dirs, &request.limits)?;
        let is_below = |target: &Path| {
            let target = std::path::absolute(target).unwrap_or_default();
            let real = target.parent().and_then(|folder| std::fs::canonicalize(folder).ok());
            real.is_some_and(|real| real.starts_with(folder.root()))
        };
        // A target among the sources is no source of its own, which an old search can not know.
        if request.target.is_some_and(is_below) {
            return Ok(select(request)?);
        }
        select_in(&folder, request).map_err(|error| match unread_for_now(&folder) {
            None => error.into(),
            // What is not found may be what could not be read this time: the next try looks again.
            Some((path, source)) => {
                self.forget(&folder);
                BatchError::Unread { path: path.to_path_buf(), source }.into()
            }
        })
    }

    fn forget(&self, folder: &Arc<Folder>) {
        let slots: Vec<Slot> =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect();
        for slot in slots {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            if slot.as_ref().is_some_and(|known| Arc::ptr_eq(known, folder)) {
                *slot = None;
            }
        }
    }
}

/// Something in the folder that could not be read, and may be the next time.
fn unread_for_now(folder: &Folder) -> Option<(&Path, io::Error)> {
    let catalog = folder.catalog();
    let unread = catalog.unread().iter().map(|(path, error)| (path, error));
    let configurations = catalog.configurations().iter().filter_map(|file| match &file.configuration {
        Err(ReadConfigurationError::Io(error)) => Some((&file.path, error)),
        _ => None,
    });
    let images = catalog.images().iter().filter_map(|image| match &image.facts {
        Err(ImageError::Io { source, .. }) => Some((&image.path, source)),
        _ => None,
    });
    let mut all = unread.chain(configurations).chain(images);
    let (path, error) = all.find(|(_, error)| code::of_unread(error) == code::TEMPORARY)?;
    Some((path, io::Error::new(error.kind(), error.to_string())))
}
