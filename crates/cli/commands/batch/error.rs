//! What goes wrong with a batch as a whole, or with one of its jobs before it begins.

use std::io;
use std::path::PathBuf;

use export_sinks::SinkError;

/// A batch can not be planned or run as it was asked for, or a job not as it was planned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BatchError {
    #[error("cannot read the jobs in `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("`{}` is no text, neither in UTF-8 nor in UTF-16 with its mark", .0.display())]
    NotText(PathBuf),
    /// A line is no job. Nothing was started.
    #[error("`{}`, line {line}: {problem}", path.display())]
    Line { path: PathBuf, line: usize, problem: String },
    #[error("`{}`, line {line}: another job writes `{}` as well", path.display(), out.display())]
    SameTarget { path: PathBuf, line: usize, out: PathBuf },
    /// What is written would be found by the next search for sources.
    #[error("--out-dir `{}` lies in the folder `{}` that is searched for sources", out_dir.display(), folder.display())]
    TargetInSource { out_dir: PathBuf, folder: PathBuf },
    #[error("cannot use the shard: {0}")]
    Shard(String),
    #[error("cannot keep the results in `{}`", path.display())]
    Results { path: PathBuf, source: io::Error },
    /// What a job asks for was not found, and may be there.
    #[error("cannot read `{}`, which may be what is asked for", path.display())]
    Unread { path: PathBuf, source: io::Error },
    #[error("`{}` is not what was planned: its DataWriteGuid is {found}, planned was {planned}", leaf.display())]
    OtherState { leaf: PathBuf, planned: String, found: String },
    /// Something stands under the target's name that this job has not made.
    #[error("`{}` is there already: {why}", out.display())]
    Existing { out: PathBuf, why: String },
    /// The job's own image is not what its manifest says.
    #[error("`{}` is not what its manifest says: {why}", out.display())]
    Damaged { out: PathBuf, why: String },
    /// Most likely another run, which will be done at some time.
    #[error("`{}` is being written by another process", out.display())]
    Busy { out: PathBuf },
    #[error("there is no job in `{}`", .0.display())]
    NoJobs(PathBuf),
    #[error("cannot write the figures to `{}`", path.display())]
    Metrics { path: PathBuf, source: SinkError },
    #[error("`{}` lies in `{}`, which is searched as well", inner.display(), outer.display())]
    FolderInFolder { inner: PathBuf, outer: PathBuf },
    /// A thread of the program ended in the middle of a job, which is a mistake in the program.
    #[error("the program has made a mistake in this job; please report it")]
    Panicked,
}
