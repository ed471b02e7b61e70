//! `vhdx-export [export]`: each selected disk into one image.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use chain_resolve::{Chain, ChangeError, ResolveError, SelectedDisk, Selection, resolve};
use export_sinks::{
    Cancel, Export, ExportError, FileIdentity, Options, Sink, Target, export, raw,
    vhdx::{self, ImageOptions},
};
use vhdx_format::{LogState, VirtualDisk};

use crate::args::ExportArgs;
use crate::commands::{print_json, read_failure, substitutions};
use crate::failure::Failure;
use crate::interrupt::{self, Leftovers};
use crate::plan::{self, Artifact, Destination, ExportPlan, Notes, Output, Results, SpaceCheck};
use crate::progress;
use crate::report::{ArtifactReport, DiskReport, ExportReport, LinkReport};
use crate::terminal::{printable, say};
use crate::units::show_size;

pub(crate) fn run(args: ExportArgs) -> Result<(), Failure> {
    let plan = ExportPlan::new(args)?;
    let target = match &plan.destination {
        Destination::File(path) => Some(path.as_path()),
        Destination::Folder(_) | Destination::Stdout => None,
    };
    let selection = plan::selection(&plan.source, target)?;
    let outputs = plan.outputs(&selection)?;
    let cancel = Cancel::new();
    let leftovers = match plan.destination {
        Destination::File(_) | Destination::Folder(_) => Leftovers::File,
        Destination::Stdout => Leftovers::None,
    };
    interrupt::listen(&cancel, leftovers).map_err(Failure::Signals)?;
    // Every chain is proved and every target looked at before anything is written. What fails later, for want of room
    // or because a source can not be read, leaves the disks that were complete by then.
    let chains: Vec<Chain> = outputs
        .iter()
        .map(|(disk, _)| resolve(&disk.leaf, &selection.policy))
        .collect::<Result<_, ResolveError>>()?;
    let _folder = NewFolder::of(&plan.destination)?;
    let of_selection: Vec<String> = selection.notes.iter().map(ToString::to_string).collect();
    plan.note(&of_selection);
    // One that is gone can not be replaced either.
    let mut sources = sources(&chains)?;
    sources.extend(selection.protected.iter().filter_map(|path| FileIdentity::of(path).ok()));
    let mut jobs = Vec::new();
    for ((disk, output), chain) in outputs.into_iter().zip(&chains) {
        let target = target_of(&plan, &output, &sources)?;
        jobs.push((disk, Job { plan: &plan, chain, output, target }));
    }
    let mut reports = Vec::new();
    for (disk, job) in jobs {
        let of_chain = warnings(job.chain);
        plan.note(&of_chain);
        let warnings = [of_selection.clone(), of_chain].concat();
        let written = job.write(&cancel)?;
        if plan.results == Results::Text {
            job.print(&written).map_err(Failure::Output)?;
        }
        reports.push(job.report(&selection, disk, &written, warnings));
    }
    match (plan.results, &plan.destination, reports.as_slice()) {
        (Results::Json, Destination::Folder(_), reports) => print_json(&mut io::stdout().lock(), &reports),
        (Results::Json, Destination::File(_), [report]) => print_json(&mut io::stdout().lock(), report),
        (Results::Json, _, [report]) => print_json(&mut io::stderr().lock(), report),
        _ => Ok(()),
    }
}

/// All files that are read, whichever disk they are of: none of them is ever written.
fn sources(chains: &[Chain]) -> Result<Vec<FileIdentity>, ChangeError> {
    let files = chains.iter().flat_map(Chain::files);
    let identities = files.map(|file| {
        let path = &file.source.path;
        let identity = FileIdentity::of_open(path, file.handle());
        identity.map_err(|source| ChangeError::Io { path: path.clone(), source })
    });
    identities.collect()
}

/// The file to write, which can be written as things are now; `None` for standard output.
fn target_of(
    plan: &ExportPlan,
    output: &Output,
    sources: &[FileIdentity],
) -> Result<Option<Target>, Failure> {
    let Output::File(path) = output else { return Ok(None) };
    let target = Target::new(path, plan.overwrite).forbid(sources.iter().cloned());
    target.check().map_err(ExportError::from)?;
    Ok(Some(match plan.space_check {
        SpaceCheck::Required => target,
        SpaceCheck::Waived => target.without_space_check(),
    }))
}

/// A folder that was made for the artifacts. If none came of it, it goes again.
struct NewFolder<'a>(&'a Path);

impl<'a> NewFolder<'a> {
    /// Makes the folder that the artifacts go to, unless it is there.
    fn of(destination: &'a Destination) -> Result<Option<Self>, Failure> {
        let Destination::Folder(path) = destination else { return Ok(None) };
        match std::fs::create_dir(path) {
            Ok(()) => Ok(Some(Self(path))),
            // If it is no folder, the first artifact says so.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(source) => Err(Failure::Folder { path: path.clone(), source }),
        }
    }
}

impl Drop for NewFolder<'_> {
    fn drop(&mut self) {
        // A folder with anything in it stays.
        let _ = std::fs::remove_dir(self.0);
    }
}

/// One disk on its way into one artifact.
struct Job<'a> {
    plan: &'a ExportPlan,
    chain: &'a Chain,
    output: Output,
    /// The file to write; `None` for standard output.
    target: Option<Target>,
}

impl ExportPlan {
    /// Says what should be known of the sources, unless that is not wanted.
    fn note(&self, notes: &[String]) {
        for note in notes.iter().filter(|_| self.notes == Notes::Shown) {
            say(&format!("note: {}\n", printable(note)));
        }
    }
}

impl Job<'_> {
    /// Opens the sink that the plan asks for and copies the disk into it.
    fn write(&self, cancel: &Cancel) -> Result<Export, Failure> {
        let chain = self.chain;
        let failed = |error| export_failure(chain, error);
        match (&self.target, self.image_options()) {
            (Some(target), None) => self.copy(raw::to_file(target, chain).map_err(failed)?, cancel),
            (Some(target), Some(options)) => {
                self.copy(vhdx::to_file(target, chain, &options).map_err(failed)?, cancel)
            }
            (None, None) => self.copy(raw::to_stream(stdout()?), cancel),
            (None, Some(options)) => {
                self.copy(vhdx::to_stream(stdout()?, chain, &options).map_err(failed)?, cancel)
            }
        }
    }

    fn copy(&self, sink: impl Sink, cancel: &Cancel) -> Result<Export, Failure> {
        let failed = |error| export_failure(self.chain, error);
        let drawn = progress::drawn(self.plan.progress, self.chain.geometry().size());
        let copied = export(self.chain, sink, &Options::default(), drawn.as_ref(), cancel).map_err(failed)?;
        drop(drawn);
        self.chain.check_unchanged()?;
        copied.complete(cancel).and_then(|completed| completed.publish(cancel)).map_err(failed)
    }

    fn image_options(&self) -> Option<ImageOptions> {
        let Artifact::Vhdx { block_size, allocation, disk_id } = self.plan.artifact else { return None };
        let block_size = plan::block_size(block_size, self.chain);
        Some(ImageOptions {
            block_size,
            allocation,
            identities: plan::identities(self.chain, block_size, allocation, disk_id),
            creator: concat!("vhdx-export ", env!("CARGO_PKG_VERSION")).to_owned(),
        })
    }

    fn report(
        &self,
        selection: &Selection,
        disk: &SelectedDisk,
        written: &Export,
        warnings: Vec<String>,
    ) -> ExportReport {
        let options = self.image_options();
        ExportReport {
            vm: selection.vm.as_ref().map(|vm| vm.name.clone()),
            checkpoint: selection.checkpoint.as_ref().map(|checkpoint| checkpoint.name.clone()),
            slot: disk.slot.clone(),
            artifact: ArtifactReport {
                path: self.name(),
                format: if options.is_some() { "vhdx" } else { "raw" },
                size: written.len,
                block_size: options.as_ref().map(|options| options.block_size.bytes()),
                virtual_disk_id: options.map(|options| options.identities.virtual_disk.to_string()),
            },
            disk: DiskReport::of(self.chain, written.content),
            chain: self.chain.links().map(LinkReport::of).collect(),
            warnings,
        }
    }

    /// The result goes to standard output, unless the artifact is there already.
    fn print(&self, written: &Export) -> io::Result<()> {
        let mut out: Box<dyn Write> = match self.output {
            Output::File(_) => Box::new(io::stdout().lock()),
            Output::Stdout => Box::new(io::stderr().lock()),
        };
        let format = if self.plan.artifact == Artifact::Raw { "raw image" } else { "VHDX" };
        let disk = show_size(self.chain.geometry().size());
        let len = show_size(written.len);
        writeln!(out, "wrote     {} ({format} of {disk}, {len})", printable(&self.name()))?;
        let labels = std::iter::once("state of").chain(std::iter::repeat("built on"));
        for (label, file) in labels.zip(self.chain.files()) {
            writeln!(out, "{label:<9} {}", printable(&file.source.path.display().to_string()))?;
        }
        let content = written.content;
        writeln!(out, "content   {} data, {} zeros", show_size(content.data), show_size(content.zeros))
    }

    fn name(&self) -> String {
        match &self.output {
            Output::File(path) => path.display().to_string(),
            Output::Stdout => "-".to_owned(),
        }
    }
}

fn export_failure(chain: &Chain, error: ExportError) -> Failure {
    match error {
        ExportError::Read(error) => read_failure(chain, error),
        other => Failure::Export(other),
    }
}

/// Standard output without the standard library's line buffer, which would look for line ends in the disk's bytes.
fn stdout() -> Result<File, Failure> {
    #[cfg(unix)]
    let owned = std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned();
    #[cfg(windows)]
    let owned = std::os::windows::io::AsHandle::as_handle(&io::stdout()).try_clone_to_owned();
    owned.map(File::from).map_err(Failure::Output)
}

fn warnings(chain: &Chain) -> Vec<String> {
    let mut warnings = substitutions(chain);
    for (file, layer) in chain.links() {
        if let LogState::Replayed { entries, .. } = layer.outline().log_state() {
            let path = file.source.path.display();
            warnings.push(format!("the log of `{path}` was replayed in memory (entries: {entries})"));
        }
    }
    let size = chain.geometry().size();
    for (file, layer) in chain.links().skip(1) {
        let parent = layer.outline().geometry().size();
        if parent != size {
            let path = file.source.path.display();
            let (parent, size) = (show_size(parent), show_size(size));
            warnings.push(format!("`{path}` has {parent}, the disk {size}: behind its end there are zeros"));
        }
    }
    warnings
}
