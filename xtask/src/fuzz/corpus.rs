//! The committed inputs: which targets there are, where their files lie, and merging new ones into them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::job::{self, Job};
use super::{FuzzError, file_error, fuzz_folder, work_folder};

/// A folder's files.
pub(super) struct Size {
    pub(super) count: usize,
    pub(super) bytes: u64,
}

/// The names of all targets: those of the files in `fuzz/fuzz_targets`.
pub(super) fn targets() -> Result<Vec<String>, FuzzError> {
    let files = files(&fuzz_folder().join("fuzz_targets"))?;
    let stems = files.iter().filter_map(|file| file.file_stem()?.to_str()).map(str::to_owned);
    Ok(stems.collect())
}

/// Inputs that reach what can be reached.
pub(super) fn folder(target: &str) -> PathBuf {
    fuzz_folder().join("corpus").join(target)
}

/// Inputs that once broke a law.
pub(super) fn findings(target: &str) -> PathBuf {
    fuzz_folder().join("findings").join(target)
}

/// Makes the committed corpus the fewest and smallest files that reach what it and everything new reach.
pub(super) fn keep(job: &Job) -> Result<Size, FuzzError> {
    let (committed, merged) = (folder(&job.target), work_folder().join("merged").join(&job.target));
    if merged.exists() {
        fs::remove_dir_all(&merged).map_err(file_error(&merged))?;
    }
    for folder in [&committed, &merged] {
        fs::create_dir_all(folder).map_err(file_error(folder))?;
    }
    let mut merge = job.command(job::SECONDS_HANGING);
    // How often each edge is passed would need three times the files.
    merge.args(["-set_cover_merge=1", "-use_counters=0"]).args([&merged, &committed, &job.grown()]);
    let status = merge.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let status = status.map_err(|source| FuzzError::Start { command: "a fuzz target", source })?;
    if !status.success() {
        return Err(FuzzError::Merge(job.target.clone()));
    }
    replace(&committed, &merged)
}

/// Puts the files of `new` in the place of those of `old`.
fn replace(old: &Path, new: &Path) -> Result<Size, FuzzError> {
    for file in files(old)? {
        fs::remove_file(&file).map_err(file_error(&file))?;
    }
    let mut size = Size { count: 0, bytes: 0 };
    for file in files(new)? {
        let Some(name) = file.file_name() else { continue };
        size.bytes += fs::copy(&file, old.join(name)).map_err(file_error(&file))?;
        size.count += 1;
    }
    Ok(size)
}

/// The files of a folder by name.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, FuzzError> {
    let entries = fs::read_dir(folder).map_err(file_error(folder))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>().map_err(file_error(folder))?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_merged_takes_the_place_of_what_was_there() {
        let root = tempfile::tempdir().unwrap();
        let (old, new) = (root.path().join("old"), root.path().join("new"));
        for (folder, name) in [(&old, "a"), (&old, "b"), (&new, "b"), (&new, "c")] {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join(name), "12").unwrap();
        }
        let size = replace(&old, &new).unwrap();
        assert_eq!((size.count, size.bytes), (2, 4));
        assert_eq!(files(&old).unwrap(), [old.join("b"), old.join("c")]);
    }
}
