//! `batch plan`: one line for each disk that can be exported from some folders, and one for each problem.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chain_resolve::machine::Vm;
use chain_resolve::{
    CatalogImage, EachDisk, Folder, ImageIndex, Request, SelectError, Selection, select_each,
};
use export_sinks::stored_len;
use export_sinks::vhdx::{self, ImageOptions};
use limits::Limits;
use vhdx_format::VirtualDisk;
use vhdx_format::writer::Identities;

use super::BatchError;
use super::job::{Job, JobLine, LineStatus, SCHEMA, VERSION};
use crate::args::{BatchPlanArgs, Format};
use crate::commands::code_of_told;
use crate::disk::Disk;
use crate::failure::{Failure, code};
use crate::file_names;
use crate::plan::{self, Artifact};
use crate::terminal::say;

pub(crate) fn run(args: &BatchPlanArgs) -> Result<u8, Failure> {
    let out_dir = std::path::absolute(&args.out_dir).map_err(Failure::Output)?;
    let limits = args.limits.limits();
    // A run may be started anywhere.
    let parent_dirs = args.parent_dir.iter().map(std::path::absolute);
    let parent_dirs = parent_dirs.collect::<io::Result<Vec<_>>>().map_err(Failure::Output)?;
    let mut plan = Plan { args, out_dir: &out_dir, parent_dirs, limits: &limits, lines: Vec::new() };
    for folder in distinct(&args.folders)? {
        plan.folder(folder)?;
    }
    let lines = with_names(plan.lines.into_iter().map(sayable).collect());
    let blocked = lines.iter().filter(|line| line.status == LineStatus::Blocked).count();
    let told = print(&lines);
    if !args.quiet {
        say(&format!("{} jobs, {blocked} blocked\n", lines.len().saturating_sub(blocked)));
    }
    let code = if lines.is_empty() {
        code::NOT_FOUND
    } else if blocked > 0 {
        code::PARTLY
    } else {
        0
    };
    code_of_told(told, code)
}

/// Where a folder lies, or will lie: the real name of what there is of it, and the rest.
fn real_name(folder: &Path) -> PathBuf {
    let real = folder.ancestors().find_map(|above| {
        let rest = folder.strip_prefix(above).ok()?;
        std::fs::canonicalize(above).ok().map(|real| real.join(rest))
    });
    real.unwrap_or_else(|| folder.to_path_buf())
}

/// A folder that is named twice is searched once; of two within each other, each disk would be planned twice.
fn distinct(folders: &[PathBuf]) -> Result<Vec<&PathBuf>, BatchError> {
    let mut distinct: Vec<(&PathBuf, PathBuf)> = Vec::new();
    for folder in folders {
        let real = real_name(folder);
        if distinct.iter().any(|(_, other)| *other == real) {
            continue;
        }
        for (other, known) in &distinct {
            let (outer, inner) = if known.starts_with(&real) { (folder, *other) } else { (*other, folder) };
            if real.starts_with(known) || known.starts_with(&real) {
                return Err(BatchError::FolderInFolder { inner: inner.clone(), outer: outer.clone() });
            }
        }
        distinct.push((folder, real));
    }
    Ok(distinct.into_iter().map(|(folder, _)| folder).collect())
}

fn print(lines: &[JobLine]) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in lines {
        serde_json::to_writer(&mut out, line).map_err(io::Error::from).map_err(Failure::Output)?;
        out.write_all(b"\n").map_err(Failure::Output)?;
    }
    out.flush().map_err(Failure::Output)
}

struct Plan<'a> {
    args: &'a BatchPlanArgs,
    out_dir: &'a Path,
    parent_dirs: Vec<PathBuf>,
    limits: &'a Limits,
    lines: Vec<JobLine>,
}

impl Plan<'_> {
    fn folder(&mut self, source: &Path) -> Result<(), Failure> {
        let folder = match Folder::scan(source, &self.parent_dirs, self.limits) {
            Ok(folder) => folder,
            Err(error) => {
                let failure = Failure::from(SelectError::from(error));
                let path = std::path::absolute(source).unwrap_or_else(|_| source.to_path_buf());
                self.lines.push(self.blocked(path, &source.display().to_string(), &failure));
                return Ok(());
            }
        };
        let real = real_name(self.out_dir);
        if real.starts_with(folder.root()) {
            let folder = folder.root().to_path_buf();
            return Err(BatchError::TargetInSource { out_dir: self.args.out_dir.clone(), folder }.into());
        }
        for vm in folder.machines() {
            self.machine(&folder, vm);
        }
        self.loose(&folder);
        self.lost(&folder);
        Ok(())
    }

    /// Each disk of the state of a VM that is asked for.
    fn machine(&mut self, folder: &Folder, vm: &Vm) {
        let source = source_of(folder, vm);
        let title = [Some(vm.name.as_str()), self.args.checkpoint.as_deref()];
        let title = title.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let name = vm.id.map_or_else(|| vm.name.clone(), |id| id.to_string());
        let request = Request {
            source: &source,
            vm: (source == folder.root()).then_some(name.as_str()),
            checkpoint: self.args.checkpoint.as_deref(),
            disk: None,
            parent_dirs: &self.parent_dirs,
            target: None,
            limits: *self.limits,
        };
        let whole = || JobLine {
            vm: request.vm.map(str::to_owned),
            checkpoint: request.checkpoint.map(str::to_owned),
            ..self.line(source.clone(), &title)
        };
        match select_each(folder, vm, &request) {
            Err(error) => self.lines.push(refused(whole(), &error.into())),
            Ok(disks) if disks.is_empty() => {
                self.lines.push(refused(whole(), &SelectError::NoDisks.into()));
            }
            Ok(disks) => {
                for disk in disks {
                    let line = self.disk(&request, &title, disk);
                    self.lines.push(line);
                }
            }
        }
    }

    fn disk(&self, request: &Request<'_>, title: &str, disk: EachDisk) -> JobLine {
        let title = format!("{title} {}", disk.name);
        let line = JobLine { disk: Some(disk.name), ..self.line(request.source.to_path_buf(), &title) };
        let line = JobLine { vm: request.vm.map(str::to_owned), ..line };
        match disk.selection {
            Ok(selection) => {
                // The GUID stays when somebody renames the checkpoint.
                let id = selection.checkpoint.as_ref().and_then(|checkpoint| checkpoint.id);
                let checkpoint = id.map(|id| id.to_string());
                let checkpoint = checkpoint.or_else(|| request.checkpoint.map(str::to_owned));
                self.looked_at(JobLine { checkpoint, ..line }, &selection)
            }
            Err(error) => refused(line, &error.into()),
        }
    }

    /// Disk files that no VM's states lead to: the newest state of each, where there is one.
    fn loose(&mut self, folder: &Folder) {
        let loose = folder.loose_images();
        let is_leaf = |index: &ImageIndex| folder.catalog().children(*index).is_empty();
        let mut by_base: HashMap<ImageIndex, Vec<ImageIndex>> = HashMap::new();
        for index in loose.iter().copied().filter(is_leaf) {
            let base = folder.catalog().ancestors(index).last().copied().unwrap_or(index);
            by_base.entry(base).or_default().push(index);
        }
        for index in loose {
            let Some(image) = folder.catalog().image(index) else { continue };
            if let Some(leaves) =
                by_base.get(&folder.catalog().ancestors(index).last().copied().unwrap_or(index))
                && is_leaf(&index)
            {
                let line = self.loose_disk(folder, image, leaves.len());
                self.lines.push(line);
            }
        }
    }

    fn loose_disk(&self, folder: &Folder, image: &CatalogImage, leaves: usize) -> JobLine {
        let name = image.path.strip_prefix(folder.root()).unwrap_or(&image.path).display().to_string();
        let line = self.line(image.path.clone(), &name);
        let asked = self.args.checkpoint.as_deref().filter(|name| !name.eq_ignore_ascii_case("@current"));
        if let Some(asked) = asked {
            let reason = format!("no VM configuration is here that says what `{asked}` is");
            return blocked(line, reason, code::NOT_FOUND);
        }
        if leaves > 1 {
            let reason =
                "its disk has several newest states: name the one that is meant as `source`".to_owned();
            return blocked(line, reason, code::NOT_FOUND);
        }
        let request = Request {
            source: &image.path,
            vm: None,
            checkpoint: None,
            disk: None,
            parent_dirs: &self.parent_dirs,
            target: None,
            limits: *self.limits,
        };
        match chain_resolve::select(&request) {
            // Parents may lie anywhere in the folder that was named.
            Ok(selection) => {
                let line = JobLine { parent_dirs: self.and_parents(folder.root()), ..line };
                self.looked_at(line, &Selection { policy: folder.policy().clone(), ..selection })
            }
            Err(error) => refused(line, &error.into()),
        }
    }

    fn and_parents(&self, root: &Path) -> Vec<PathBuf> {
        self.parent_dirs.iter().cloned().chain([root.to_path_buf()]).collect()
    }

    /// What can not be read may be a disk, or a VM with several.
    fn lost(&mut self, folder: &Folder) {
        let damaged = folder.catalog().configurations().iter().filter_map(|file| {
            let error = file.configuration.as_ref().err()?;
            let class = match error {
                chain_resolve::ReadConfigurationError::Io(error) => code::of_unread(error),
                _ => code::CORRUPT,
            };
            Some((&file.path, crate::failure::with_sources(error), class))
        });
        let unread = folder
            .catalog()
            .unread()
            .iter()
            .map(|(path, error)| (path, error.to_string(), code::of_unread(error)));
        let strangers = folder.catalog().strangers().iter();
        let strangers = strangers.map(|path| (path, "it is no VHDX image".to_owned(), code::CORRUPT));
        let lost: Vec<_> = damaged
            .chain(unread)
            .chain(strangers)
            .filter(|(path, ..)| path.starts_with(folder.root()))
            .collect();
        for (path, reason, code) in lost {
            let name = path.strip_prefix(folder.root()).unwrap_or(path).display().to_string();
            let line = self.line(path.clone(), &name);
            self.lines.push(blocked(line, reason, code));
        }
    }

    /// Proves the chain, and says how much there is to do.
    fn looked_at(&self, line: JobLine, selection: &Selection) -> JobLine {
        let Ok(selected) = selection.only_disk() else { return line };
        let name = file_names::of_selection(selection, self.suffix()).pop().unwrap_or_default();
        let line = JobLine { out: Some(self.out_dir.join(name)), ..line };
        let facts = || -> Result<JobLine, Failure> {
            let disk = Disk::open(&selected.leaf, &selection.policy, None)?;
            let stored = stored_len(&disk).map_err(|error| disk.read_failure(error))?;
            Ok(JobLine {
                data_write_guid: disk.data_write_guid(),
                base: disk.links().last().and_then(|link| Some(link.image.as_ref()?.data_write_guid.clone())),
                virtual_size: Some(disk.geometry().size()),
                estimated_bytes: Some(stored),
                estimated_file_bytes: most(&line, &disk, stored)?,
                ..line.clone()
            })
        };
        let looked = facts().unwrap_or_else(|failure| refused(line.clone(), &failure));
        match Job::new(looked.clone()) {
            Ok(job) => JobLine { id: Some(job.id.to_string()), ..looked },
            Err(problem) => blocked(looked, problem, code::USAGE),
        }
    }

    fn suffix(&self) -> &'static str {
        let format = self.args.image.format.unwrap_or(Format::Vhdx);
        export_manifest::Format::from(format).name()
    }

    fn line(&self, source: PathBuf, title: &str) -> JobLine {
        let image = &self.args.image;
        let name = |format: Format| export_manifest::Format::from(format).name().to_owned();
        JobLine {
            schema: Some(SCHEMA.to_owned()),
            schema_version: Some(VERSION),
            title: Some(title.to_owned()),
            source,
            parent_dirs: self.parent_dirs.clone(),
            limits: self.args.limits.words(),
            format: Some(name(image.format.unwrap_or(Format::Vhdx))),
            compress: image.compress.map(|compression| compression.to_string()),
            digest: image.digest.clone(),
            block_size: image.block_size.clone(),
            fixed: image.fixed,
            disk_id: image.disk_id.clone(),
            sums: image.sums,
            bmap: image.bmap,
            ..JobLine::default()
        }
    }

    fn blocked(&self, source: PathBuf, title: &str, failure: &Failure) -> JobLine {
        refused(self.line(source, title), failure)
    }
}

/// What stands for a VM: the folder, unless it holds copies of the VM; then its configuration.
fn source_of(folder: &Folder, vm: &Vm) -> PathBuf {
    let is_alike = |other: &&Vm| if vm.id.is_some() { other.id == vm.id } else { other.name == vm.name };
    match &vm.configuration {
        Some(configuration) if folder.machines().iter().filter(is_alike).count() > 1 => configuration.clone(),
        _ => folder.root().to_path_buf(),
    }
}

/// The most bytes that an image of the disk takes, `stored` of which some source stores.
fn most(line: &JobLine, disk: &Disk, stored: u64) -> Result<Option<u64>, Failure> {
    let Some(plan) = Job::new(line.clone()).ok().and_then(|job| job.plan()) else { return Ok(None) };
    Ok(Some(match plan.artifact {
        Artifact::Raw => stored,
        // What can not be compressed grows by less than that.
        Artifact::Compressed(_) => stored.saturating_add(stored / 64),
        Artifact::Vhdx { block_size, allocation, .. } => {
            let options = ImageOptions {
                block_size: plan::block_size(block_size, disk),
                allocation,
                identities: Identities::derive(b""),
                creator: String::new(),
            };
            vhdx::layout(disk, &options).map_err(|error| disk.read_failure(error))?.file_len()
        }
    }))
}

fn refused(line: JobLine, failure: &Failure) -> JobLine {
    blocked(line, failure.line(), failure.code())
}

fn blocked(line: JobLine, reason: String, code: u8) -> JobLine {
    JobLine {
        status: LineStatus::Blocked,
        reason: Some(reason),
        exit_code: Some(code),
        error_class: Some(code::class(code).to_owned()),
        ..line
    }
}

/// JSON can not say every name that a file can have, and what it can not say no line can ask for.
fn sayable(line: JobLine) -> JobLine {
    let paths = [&line.source].into_iter().chain(&line.out).chain(&line.parent_dirs);
    let Some(unsayable) = paths.into_iter().find(|path| path.to_str().is_none()) else { return line };
    let shown = |path: &Path| PathBuf::from(path.to_string_lossy().into_owned());
    let reason = format!("the name `{}` is not UTF-8, which a line of JSON can not say", unsayable.display());
    let line = if line.status == LineStatus::Ready { blocked(line, reason, code::USAGE) } else { line };
    JobLine {
        id: None,
        source: shown(&line.source),
        out: line.out.as_deref().map(shown),
        parent_dirs: line.parent_dirs.iter().map(|folder| shown(folder)).collect(),
        ..line
    }
}

/// Gives jobs that would write one file, also where case does not count, names of their own: made of the job, so that they
/// do not depend on order.
fn with_names(lines: Vec<JobLine>) -> Vec<JobLine> {
    let folded = |line: &JobLine| line.out.as_ref().map(|out| out.to_string_lossy().to_lowercase());
    let mut counts: HashMap<String, usize> = HashMap::new();
    for name in lines.iter().filter_map(folded) {
        *counts.entry(name).or_default() += 1;
    }
    let is_shared =
        |line: &JobLine| folded(line).is_some_and(|name| counts.get(&name).is_some_and(|count| *count > 1));
    lines
        .into_iter()
        .map(|line| match (&line.out, &line.id) {
            (Some(out), Some(id)) if is_shared(&line) => {
                let named = JobLine { out: Some(marked(out, id.get(..8).unwrap_or(id))), ..line };
                let id = Job::new(named.clone()).ok().map(|job| job.id.to_string());
                JobLine { id, ..named }
            }
            _ => line,
        })
        .collect()
}

/// `web01_disk.raw.zst` becomes `web01_disk_MARK.raw.zst`: the format is behind the last dots.
fn marked(out: &Path, mark: &str) -> PathBuf {
    let name = out.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let suffixes = [".raw.zst", ".raw.gz", ".raw.xz", ".raw", ".vhdx"];
    let suffix = suffixes.into_iter().find(|suffix| name.ends_with(suffix)).unwrap_or_default();
    let stem = name.strip_suffix(suffix).unwrap_or(&name);
    out.with_file_name(format!("{stem}_{mark}{suffix}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(source: &str, out: &str) -> JobLine {
        let line = JobLine { source: source.into(), out: Some(out.into()), ..JobLine::default() };
        let id = Job::new(line.clone()).unwrap().id.to_string();
        JobLine { id: Some(id), ..line }
    }

    #[test]
    fn jobs_of_one_name_get_names_that_do_not_depend_on_their_order() {
        let lines = vec![
            line("/a", "/o/web01_d.raw.zst"),
            line("/b", "/o/WEB01_d.raw.zst"),
            line("/c", "/o/x.raw.zst"),
        ];
        let outs = |lines: Vec<JobLine>| {
            let mut outs: Vec<_> = with_names(lines).into_iter().map(|line| line.out.unwrap()).collect();
            outs.sort();
            outs
        };
        let found = outs(lines.clone());
        assert_eq!(found, outs(lines.into_iter().rev().collect()));
        assert_eq!(found[2], Path::new("/o/x.raw.zst"));
        assert!(
            found.iter().take(2).all(|out| out.to_str().unwrap().len() == "/o/web01_d.raw.zst".len() + 9)
        );
    }

    #[test]
    fn a_name_is_marked_before_its_suffix() {
        for (name, expected) in
            [("a.b.raw.zst", "a.b_1.raw.zst"), ("a.vhdx", "a_1.vhdx"), ("a.raw", "a_1.raw")]
        {
            assert_eq!(marked(Path::new(name), "1"), Path::new(expected));
        }
    }
}
