//! Where a child's own words lead: its relative path first, then the last name of each path it stores, beside the child.
//!
//! Words are hints. Whether a candidate is the parent is for its identity to say.

use std::path::{Path, PathBuf};

use vhdx_format::ParentLocator;

use crate::chain::FoundBy;
use crate::policy::{Refusal, SearchPolicy, same_name, stored_basename, stored_names};
use crate::store::{StoreError, may_pass};

/// A place where the parent may be.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// What the child stores.
    pub(crate) stored: String,
    /// The file it leads to, by its real name.
    pub(crate) path: Result<PathBuf, Refusal>,
    pub(crate) found_by: FoundBy,
}

/// The candidates for the parent of `child`, best first.
pub(crate) fn candidates(
    policy: &SearchPolicy,
    child: &Path,
    wanted: &ParentLocator,
) -> Result<Vec<Candidate>, StoreError> {
    let real = match std::fs::canonicalize(child) {
        Ok(real) => real,
        Err(source) if may_pass(&source) => {
            return Err(StoreError::Open { path: child.to_path_buf(), source });
        }
        Err(_) => child.to_path_buf(),
    };
    let folder = real.parent().unwrap_or(Path::new("/"));
    let candidate = |stored: &str, found_by| Candidate {
        stored: stored.to_owned(),
        path: policy.follow(folder, stored),
        found_by,
    };
    let relative = wanted.relative_path.as_deref();
    let mut candidates: Vec<Candidate> =
        relative.map(|stored| candidate(stored, FoundBy::StoredPath)).into_iter().collect();
    let paths = [relative, wanted.volume_path.as_deref(), wanted.absolute_win32_path.as_deref()];
    let mut names: Vec<&str> = Vec::new();
    for name in paths.into_iter().flatten().filter_map(stored_basename) {
        let is_relative_path = relative.is_some_and(|path| stored_names(path).eq([name]));
        if !is_relative_path && !names.iter().any(|known| same_name(known, name)) {
            names.push(name);
        }
    }
    candidates.extend(names.into_iter().map(|name| candidate(name, FoundBy::StoredName)));
    Ok(candidates)
}
