//! What came of each job, one line of JSON each, appended and durable: a history for people and for `batch status`.
//!
//! Nothing depends on it: whether a job is done is told by its manifest.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Mutex;

use export_sinks::Sha256Digest;
use serde::{Deserialize, Serialize};

/// What the field `schema` says.
const SCHEMA: &str = "vhdx-export-result";

/// What came of a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum JobStatus {
    /// Exported by this run.
    Done,
    /// Done before: its manifest is there and is its own.
    Skipped,
    /// It could not be exported.
    Failed,
    /// A plan has found that it can not be exported.
    Blocked,
    /// The run was stopped while it was exported; nothing of it is left.
    Interrupted,
}

/// A line of results.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct JobResult {
    pub(crate) schema: String,
    pub(crate) schema_version: u64,
    /// When it ended (RFC 3339, UTC).
    pub(crate) time: String,
    /// The job.
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) status: JobStatus,
    /// What the same export alone would have ended with.
    pub(crate) exit_code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) out: Option<String>,
    /// How often it was tried.
    pub(crate) attempts: u32,
    pub(crate) seconds: f64,
    /// What is known of the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<ImageFacts>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
}

/// What an image holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ImageFacts {
    pub(crate) virtual_size: u64,
    /// Bytes of data of the disk.
    pub(crate) data: u64,
    /// Length of the file in bytes.
    pub(crate) file_size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<Sha256Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) blksum: Option<Sha256Digest>,
    /// SHA-256 of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file_sha256: Option<Sha256Digest>,
}

impl JobResult {
    pub(crate) fn schema() -> String {
        SCHEMA.to_owned()
    }
}

/// A file of results that is being added to.
pub(crate) struct ResultsFile(Mutex<File>);

impl ResultsFile {
    /// Opens it, or makes it. What a run that was killed has left of a line is closed off.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        if file.seek(SeekFrom::End(0))? > 0 {
            file.seek(SeekFrom::End(-1))?;
            let mut last = [0];
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
            }
        }
        // A file that is new has to be found after a crash.
        #[cfg(unix)]
        File::open(path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))?
            .sync_all()?;
        Ok(Self(Mutex::new(file)))
    }

    /// Adds a line, which is on stable storage when this returns.
    pub(crate) fn add(&self, result: &JobResult) -> io::Result<()> {
        let mut line = serde_json::to_vec(result)?;
        line.push(b'\n');
        let mut file = self.0.lock().map_err(|_| io::Error::other("another thread has failed"))?;
        file.write_all(&line)?;
        file.sync_data()
    }
}

/// The lines of a file of results, in their order. What is no whole line was never finished, and says nothing.
pub(crate) fn read(path: &Path) -> io::Result<Vec<JobResult>> {
    let text = std::fs::read(path)?;
    let lines = text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    Ok(lines.filter(|result: &JobResult| result.schema == SCHEMA).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(id: &str) -> JobResult {
        JobResult {
            schema: JobResult::schema(),
            schema_version: 1,
            time: String::new(),
            id: id.to_owned(),
            title: String::new(),
            status: JobStatus::Done,
            exit_code: 0,
            error_class: None,
            error: None,
            out: None,
            attempts: 1,
            seconds: 0.5,
            image: None,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn half_a_line_spoils_neither_the_one_before_nor_the_one_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.jsonl");
        ResultsFile::open(&path).unwrap().add(&result("a")).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole[..], &whole[..whole.len() / 2]].concat()).unwrap();
        ResultsFile::open(&path).unwrap().add(&result("b")).unwrap();
        let ids: Vec<_> = read(&path).unwrap().into_iter().map(|result| result.id).collect();
        assert_eq!(ids, ["a", "b"]);
    }
}
