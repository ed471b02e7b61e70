//! `vhdx-export list`: which VMs, checkpoints and disks a folder holds, and in which file each state is.
//!
//! For each disk of a checkpoint it names both files that people mix up: the one whose state the checkpoint is, and the
//! one that the checkpoint created, which holds what came after. Nothing is cut off, and paths have lines of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Write};

use chain_resolve::ImageIndex;

use crate::args::ListArgs;
use crate::commands::{folder_report, print_json};
use crate::failure::Failure;
use crate::forest::Order;
use crate::report::Log;
use crate::report::folder::{
    CheckpointReport, FileRef, FolderReport, ImageReport, Problem, StateDiskReport, StateReport, VmReport,
};
use crate::terminal::{printable, quoted, wrapped};
use crate::units::show_size;

pub(crate) fn run(args: &ListArgs) -> Result<(), Failure> {
    let report = folder_report(&args.folder)?;
    let mut out = BufWriter::new(io::stdout().lock());
    if args.json {
        print_json(&mut out, &report)?;
    } else {
        Text { out: &mut out, report: &report }.print().map_err(Failure::Output)?;
    }
    out.flush().map_err(Failure::Output)
}

struct Text<'a> {
    out: &'a mut dyn Write,
    report: &'a FolderReport,
}

impl Text<'_> {
    fn print(&mut self) -> io::Result<()> {
        let report = self.report;
        let mut first = true;
        let mut apart = |out: &mut dyn Write| if std::mem::take(&mut first) { Ok(()) } else { writeln!(out) };
        for vm in &report.vms {
            apart(self.out)?;
            self.vm(vm)?;
        }
        let loose: Vec<&ImageReport> = report.images.iter().filter(|image| !image.used).collect();
        if !loose.is_empty() {
            apart(self.out)?;
            self.loose(&loose)?;
        }
        if !report.unreadable.is_empty() {
            apart(self.out)?;
            writeln!(self.out, "Not readable")?;
        }
        for file in &report.unreadable {
            self.line("  ", &file.filename)?;
            self.paragraph("      ", &file.error)?;
        }
        Ok(())
    }

    fn vm(&mut self, vm: &VmReport) -> io::Result<()> {
        self.line("VM ", &vm.name)?;
        let id = vm.id.as_ref().map(|id| format!("{{{id}}}"));
        let generation = vm.generation.as_ref().map(|generation| format!("generation {generation}"));
        let version = vm.version.as_ref().map(|version| format!("version {version}"));
        let facts: Vec<String> = id.into_iter().chain(generation).chain(version).collect();
        if !facts.is_empty() {
            self.line("  ", &facts.join("  "))?;
        }
        if let Some(configuration) = &vm.configuration {
            self.line("  ", configuration)?;
        }
        for note in &vm.notes {
            self.paragraph("  ", &format!("note: {note}"))?;
        }
        for checkpoint in &vm.checkpoints {
            writeln!(self.out)?;
            self.checkpoint(vm, checkpoint)?;
        }
        if let Some(state) = &vm.current {
            writeln!(self.out)?;
            writeln!(self.out, "  @current  the running state")?;
            self.came_from(vm, state)?;
            state.disks.iter().try_for_each(|disk| self.disk(disk, None))?;
        }
        Ok(())
    }

    fn checkpoint(&mut self, vm: &VmReport, checkpoint: &CheckpointReport) -> io::Result<()> {
        self.line(&format!("  #{}  ", checkpoint.number), &checkpoint.name)?;
        let id = checkpoint.id.as_ref().map(|id| format!("{{{id}}}"));
        let facts: Vec<String> = checkpoint.created.clone().into_iter().chain(id).collect();
        if !facts.is_empty() {
            self.line("      ", &facts.join("  "))?;
        }
        let doubt = match checkpoint.created_source {
            Some("file-time") => Some("the time is that of its configuration's file"),
            Some("state-change") => Some("the time is that of the last change of state"),
            Some(_) => None,
            None => Some("nothing tells when it was taken"),
        };
        if let Some(doubt) = doubt {
            self.line("      ", doubt)?;
        }
        if checkpoint.kind == "recovery" {
            self.line("      ", "made by backup software, which should have removed it")?;
        }
        self.came_from(vm, &checkpoint.state)?;
        checkpoint.state.disks.iter().try_for_each(|disk| self.disk(disk, Some(checkpoint.number)))
    }

    fn came_from(&mut self, vm: &VmReport, state: &StateReport) -> io::Result<()> {
        let Some(number) = state.parent else { return Ok(()) };
        let name = vm.checkpoints.get(number.wrapping_sub(1)).map_or("", |parent| parent.name.as_str());
        let how = if state.parent_guessed { "after (a guess by time)" } else { "after" };
        self.line("      ", &format!("{how} #{number}  {name}"))
    }

    /// `number` is that of the checkpoint; the running state has none.
    fn disk(&mut self, disk: &StateDiskReport, number: Option<usize>) -> io::Result<()> {
        let label = format!("{:<8} ", disk.slot);
        let at = number.map_or("state now".to_owned(), |number| format!("state at #{number}"));
        let detached = if disk.detached { ", at a controller that was removed" } else { "" };
        writeln!(self.out, "      {label}{at}{detached}")?;
        let Some(file) = &disk.state_at else { return self.not_found(disk) };
        self.file(file)?;
        if let Some(broken) = &disk.broken_at {
            self.broken(file, broken)?;
        }
        let children = disk.created_by_it.as_slice();
        let created = match (number, children) {
            (None, []) => return Ok(()),
            (None, _) => "built on it since".to_owned(),
            (Some(number), []) => format!("created by #{number}: no file here"),
            (Some(number), _) => format!("created by #{number}, holds what came after"),
        };
        writeln!(self.out, "      {label}{created}")?;
        children.iter().try_for_each(|child| self.line("        ", &child.name))
    }

    fn not_found(&mut self, disk: &StateDiskReport) -> io::Result<()> {
        match disk.candidates.len() {
            0 => writeln!(self.out, "      ! not here; the configuration records")?,
            several => writeln!(self.out, "      ! {several} files fit what the configuration records")?,
        }
        self.line("        ", &disk.recorded)?;
        disk.candidates.iter().try_for_each(|file| self.line("      ? ", &file.name))
    }

    /// A file, and below it what is noteworthy of it.
    fn file(&mut self, file: &FileRef) -> io::Result<()> {
        self.line("        ", &file.name)?;
        if let Some(Log::Replayed { entries }) =
            self.report.image(file.index).and_then(|image| image.log.as_ref())
        {
            writeln!(
                self.out,
                "      ~ its log is dirty: {entries} entries to replay, which is done in memory"
            )?;
        }
        Ok(())
    }

    fn broken(&mut self, state_at: &FileRef, broken: &FileRef) -> io::Result<()> {
        let report = self.report;
        if state_at.index != broken.index {
            writeln!(self.out, "      ! its chain is broken at")?;
            self.line("        ", &broken.name)?;
        }
        match report.image(broken.index).and_then(|image| image.problem.as_ref()) {
            Some(problem) => self.problem("      ! ", problem),
            None => Ok(()),
        }
    }

    fn problem(&mut self, indent: &str, problem: &Problem) -> io::Result<()> {
        let further = " ".repeat(indent.len());
        let wants = |wanted: &[String]| -> Vec<String> {
            wanted.iter().map(|guid| format!("it wants DataWriteGuid {{{guid}}}")).collect()
        };
        match problem {
            Problem::Unreadable { error } => {
                writeln!(self.out, "{indent}cannot be read")?;
                self.paragraph(&further, error)
            }
            Problem::ParentNotFound { wanted } => {
                writeln!(self.out, "{indent}its parent is not here")?;
                wants(wanted).iter().try_for_each(|line| self.line(&further, line))
            }
            Problem::ParentMismatch { wanted, found } => {
                writeln!(self.out, "{indent}its parent was changed, or is another file")?;
                wants(wanted).iter().try_for_each(|line| self.line(&further, line))?;
                let has = self.report.image(found.index).and_then(|image| image.data_write_guid.as_ref());
                self.line(&further, &found.name)?;
                has.map_or(Ok(()), |has| self.line(&further, &format!("has DataWriteGuid {{{has}}}")))
            }
            Problem::ParentAmbiguous { candidates } => {
                writeln!(self.out, "{indent}{} files may be its parent", candidates.len())?;
                candidates.iter().try_for_each(|file| self.line(&further, &file.name))
            }
            Problem::Cycle => writeln!(self.out, "{indent}its parents lead back to it"),
        }
    }

    /// Images that no state leads to, by the image at the bottom of their chains.
    fn loose(&mut self, loose: &[&ImageReport]) -> io::Result<()> {
        if self.report.vms.is_empty() {
            writeln!(self.out, "No VM configuration here: states are named by their disk files.")?;
        } else {
            writeln!(self.out, "Disk files that no configuration uses")?;
        }
        let places: BTreeMap<ImageIndex, usize> =
            loose.iter().enumerate().map(|(place, image)| (image.filename.index, place)).collect();
        let parent = |image: &&ImageReport| places.get(&image.parent.as_ref()?.index).copied();
        let order = Order::new(&loose.iter().map(parent).collect::<Vec<_>>());
        let roots: BTreeSet<usize> = order.roots.iter().copied().collect();
        for place in order.preorder() {
            if roots.contains(&place) {
                writeln!(self.out)?;
                self.family(loose[place])?;
            }
            self.loose_image(loose[place])?;
        }
        Ok(())
    }

    fn family(&mut self, root: &ImageReport) -> io::Result<()> {
        let size = root.virtual_size.map(|size| format!(" ({})", show_size(size))).unwrap_or_default();
        self.line("  Disk ", &format!("{}{size}", root.disk.as_deref().unwrap_or("without a name")))?;
        let Some(parent) = &root.parent else { return Ok(()) };
        writeln!(self.out, "    built on")?;
        self.line("      ", &parent.name)
    }

    fn loose_image(&mut self, image: &ImageReport) -> io::Result<()> {
        self.line("    ", &image.filename.name)?;
        let state = match image.children.len() {
            0 if image.kind.is_none() => None,
            0 => Some("leaf: nothing is built on it".to_owned()),
            1 => Some("frozen: 1 file is built on it".to_owned()),
            many => Some(format!("frozen: {many} files are built on it")),
        };
        if let Some(state) = state {
            writeln!(self.out, "        {state}")?;
        }
        if let Some(Log::Replayed { entries }) = &image.log {
            writeln!(
                self.out,
                "      ~ its log is dirty: {entries} entries to replay, which is done in memory"
            )?;
        }
        if let Some(problem) = &image.problem {
            return self.problem("      ! ", problem);
        }
        match &image.checkpoint {
            Some(name) => self.line("        ", &format!("--checkpoint {}", quoted(name))),
            None => writeln!(self.out, "        other files have its name: give the whole path as SOURCE"),
        }
    }

    fn line(&mut self, indent: &str, text: &str) -> io::Result<()> {
        writeln!(self.out, "{indent}{}", printable(text))
    }

    fn paragraph(&mut self, indent: &str, text: &str) -> io::Result<()> {
        wrapped(text, indent).iter().try_for_each(|line| writeln!(self.out, "{line}"))
    }
}
