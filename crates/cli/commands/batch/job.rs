//! One line of a file of jobs: a disk to export, or why it can not be.
//!
//! What is to be done is the command line of an export in other words, and goes through the same parser, so there is one
//! set of rules. What a plan has found out beforehand stands beside it. `docs/batch.md` describes the fields.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use clap::Parser;
use export_sinks::Sha256Digest;
use limits::Limits;
use serde::{Deserialize, Serialize};

use crate::args::{Cli, ExportArgs};
use crate::plan::ExportPlan;

/// What the field `schema` says, if it is there.
pub(crate) const SCHEMA: &str = "vhdx-export-job";
/// The version of the schema that is written, and the newest that is read.
pub(crate) const VERSION: u64 = 1;

/// A line. Of one that is written by hand, `source` and `out` are enough.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct JobLine {
    pub(crate) schema: Option<String>,
    pub(crate) schema_version: Option<u64>,
    /// Made of what is to be done; nobody needs to write it, and what is written is not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    pub(crate) status: LineStatus,
    /// What is shown for it: VM, state and disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,

    // What is to be done, in the words of the command line.
    pub(crate) source: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) checkpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) disk: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) parent_dirs: Vec<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sector_size: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) limits: Vec<String>,
    /// Nothing in a line that is blocked before its name could be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) out: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compress: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) block_size: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) fixed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) disk_id: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) sums: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) bmap: bool,

    // What a plan knows of it.
    /// Identity of the state that was found: the job fails if there is another one by the time it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data_write_guid: Option<String>,
    /// Identity of the image at the bottom: jobs with the same one are run together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) base: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) virtual_size: Option<u64>,
    /// Bytes that some image stores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) estimated_bytes: Option<u64>,

    /// The most that the image can take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) estimated_file_bytes: Option<u64>,

    // Why it is blocked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exit_code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_class: Option<String>,
}

/// Whether there is something to do.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LineStatus {
    #[default]
    Ready,
    /// A plan has found that it can not be done as things are.
    Blocked,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Which job it is: made of what is to be done, so it is the same in every file, in any order and on any machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct JobId(u64);

impl JobId {
    pub(super) fn of(arguments: &[OsString]) -> Self {
        let mut bytes = Vec::new();
        for argument in arguments {
            bytes.extend(argument.as_encoded_bytes());
            bytes.push(0);
        }
        let Sha256Digest(digest) = Sha256Digest::of(&bytes);
        Self(digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first)))
    }

    pub(super) fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A line that was understood.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(super) id: JobId,
    pub(super) title: String,
    /// Where its image goes; of a job that is blocked, if that is known.
    pub(super) out: Option<PathBuf>,
    pub(super) line: JobLine,
}

impl Job {
    /// Takes a line for what it says.
    pub(super) fn new(line: JobLine) -> Result<Self, String> {
        if line.schema.as_deref().is_some_and(|schema| schema != SCHEMA) {
            return Err(format!("its `schema` is not `{SCHEMA}`"));
        }
        if line.schema_version.is_some_and(|version| version != VERSION) {
            return Err(format!("its `schema_version` is not {VERSION}, which is what this program knows"));
        }
        if line.source.as_os_str().is_empty() {
            return Err("it has no `source`".to_owned());
        }
        if line.status == LineStatus::Ready {
            if line.out.as_ref().is_none_or(|out| out.as_os_str().is_empty()) {
                return Err("it has no `out`".to_owned());
            }
            ExportPlan::new(line.export_args()?).map_err(|error| error.to_string())?;
        }
        let id = JobId::of(&line.arguments());
        let title = line.title.clone().unwrap_or_else(|| line.default_title());
        Ok(Self { id, title, out: line.out.clone(), line })
    }

    /// What is to be done, decided; `None` of a job that is blocked.
    pub(super) fn plan(&self) -> Option<ExportPlan> {
        ExportPlan::new(self.line.export_args().ok()?).ok()
    }

    /// The limits on what it reads.
    pub(super) fn limits(&self) -> Limits {
        self.plan().map(|plan| plan.source.choice.limits.limits()).unwrap_or_default()
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.line.status == LineStatus::Blocked
    }
}

impl JobLine {
    fn default_title(&self) -> String {
        let source = self.source.display().to_string();
        let words = [Some(&source), self.vm.as_ref(), self.checkpoint.as_ref(), self.disk.as_ref()];
        words.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    /// What is to be done, as a command line.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let mut arguments = vec![OsString::from("vhdx-export")];
        let mut option = |name: &str, value: OsString| {
            let mut argument = OsString::from(name);
            argument.push("=");
            argument.push(value);
            arguments.push(argument);
        };
        let text = |value: &Option<String>| value.as_ref().map(OsString::from);
        let options = [
            ("--vm", text(&self.vm)),
            ("--checkpoint", text(&self.checkpoint)),
            ("--disk", text(&self.disk)),
            ("--sector-size", self.sector_size.map(|size| size.to_string().into())),
            ("--out", self.out.clone().map(PathBuf::into_os_string)),
            ("--format", text(&self.format)),
            ("--compress", text(&self.compress)),
            ("--digest", text(&self.digest)),
            ("--block-size", text(&self.block_size)),
            ("--disk-id", text(&self.disk_id)),
        ];
        for (name, value) in options {
            if let Some(value) = value {
                option(name, value);
            }
        }
        for folder in &self.parent_dirs {
            option("--parent-dir", folder.clone().into_os_string());
        }
        for limit in &self.limits {
            option("--limit", limit.into());
        }
        let flags = [("--fixed", self.fixed), ("--sums", self.sums), ("--bmap", self.bmap)];
        arguments.extend(flags.into_iter().filter(|(_, typed)| *typed).map(|(name, _)| name.into()));
        arguments.extend(["--".into(), self.source.clone().into_os_string()]);
        arguments
    }

    /// The same, parsed.
    pub(super) fn export_args(&self) -> Result<ExportArgs, String> {
        match Cli::try_parse_from(self.arguments()) {
            Ok(cli) => Ok(cli.export),
            Err(error) => {
                let text = error.to_string();
                let first = text.lines().next().unwrap_or_default();
                Err(first.strip_prefix("error: ").unwrap_or(first).to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> JobLine {
        JobLine { source: "/backup/web01".into(), out: Some("/out/web01.vhdx".into()), ..JobLine::default() }
    }

    #[test]
    fn a_job_is_known_by_what_is_to_be_done_and_by_nothing_else() {
        let job = Job::new(line()).unwrap();
        assert_eq!(job.id.to_string().len(), 16);
        let told = JobLine {
            id: Some("x".to_owned()),
            title: Some("web01".to_owned()),
            data_write_guid: Some("x".to_owned()),
            estimated_bytes: Some(5),
            ..line()
        };
        assert_eq!(Job::new(told).unwrap().id, job.id);
        let others = [
            JobLine { checkpoint: Some("@current".to_owned()), ..line() },
            JobLine { vm: Some("@current".to_owned()), ..line() },
            JobLine { sums: true, ..line() },
            JobLine { out: Some("/out/web02.vhdx".into()), ..line() },
            JobLine { source: "/backup/web02".into(), ..line() },
        ];
        let mut ids: Vec<_> = others.into_iter().map(|line| Job::new(line).unwrap().id).collect();
        ids.push(job.id);
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 6);
    }

    #[test]
    fn names_that_look_like_options_are_names() {
        let odd = JobLine {
            source: "--force".into(),
            vm: Some("--out=x".to_owned()),
            checkpoint: Some("-".to_owned()),
            ..line()
        };
        let args = odd.export_args().unwrap();
        assert_eq!(args.source.source.unwrap().to_str(), Some("--force"));
        assert_eq!(args.source.choice.vm.as_deref(), Some("--out=x"));
        assert_eq!(args.source.choice.checkpoint.as_deref(), Some("-"));
        assert!(!args.force);
    }

    #[test]
    fn what_no_export_takes_is_no_job() {
        let wrong = [
            JobLine { out: None, ..line() },
            JobLine { source: PathBuf::new(), ..line() },
            JobLine { format: Some("qcow2".to_owned()), ..line() },
            JobLine { out: Some("/out/web01.qcow2".into()), ..line() },
            JobLine { out: Some("/out/web01.raw".into()), fixed: true, ..line() },
            JobLine { schema: Some("other".to_owned()), ..line() },
            JobLine { schema_version: Some(2), ..line() },
        ];
        for line in wrong {
            assert!(Job::new(line).is_err());
        }
    }
}
