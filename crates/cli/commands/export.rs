//! `vhdx-export [export]`: the disk into one image.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use chain_resolve::{Chain, ChangeError, resolve};
use export_sinks::{
    Cancel, Export, ExportError, FileIdentity, Options, Sink, Target, export, raw,
    vhdx::{self, ImageOptions},
};
use vhdx_format::{LogState, VirtualDisk};

use crate::args::ExportArgs;
use crate::commands::{print_json, read_failure, substitutions};
use crate::failure::Failure;
use crate::interrupt::{self, Leftovers};
use crate::plan::{self, Artifact, Destination, ExportPlan};
use crate::progress;
use crate::report::{ArtifactReport, DiskReport, ExportReport, LinkReport};
use crate::units::show_size;

pub(crate) fn run(args: ExportArgs) -> Result<(), Failure> {
    let plan = ExportPlan::new(args)?;
    let selection = plan::selection(&plan.source)?;
    let chain = resolve(&selection.leaf, &selection.policy)?;
    let warnings = warnings(&chain);
    if !plan.quiet {
        for warning in &warnings {
            eprintln!("note: {warning}");
        }
    }
    let cancel = Cancel::new();
    let leftovers = match plan.destination {
        Destination::File { .. } => Leftovers::File,
        Destination::Stdout => Leftovers::None,
    };
    interrupt::listen(&cancel, leftovers).map_err(Failure::Signals)?;
    let written = write(&plan, &chain, &cancel)?;
    report(&plan, &chain, &written, warnings)
}

/// Opens the sink that the plan asks for and copies the disk into it.
fn write(plan: &ExportPlan, chain: &Chain, cancel: &Cancel) -> Result<Export, Failure> {
    let failed = |error| export_failure(chain, error);
    match (target(plan, chain)?, image_options(plan, chain)) {
        (Some(target), None) => copy(plan, chain, raw::to_file(&target, chain).map_err(failed)?, cancel),
        (Some(target), Some(options)) => {
            copy(plan, chain, vhdx::to_file(&target, chain, &options).map_err(failed)?, cancel)
        }
        (None, None) => copy(plan, chain, raw::to_stream(stdout()?), cancel),
        (None, Some(options)) => {
            copy(plan, chain, vhdx::to_stream(stdout()?, chain, &options).map_err(failed)?, cancel)
        }
    }
}

/// The file to write, which is none of the sources; `None` for standard output.
fn target(plan: &ExportPlan, chain: &Chain) -> Result<Option<Target>, Failure> {
    let Destination::File { path, overwrite, checks_space } = &plan.destination else { return Ok(None) };
    let mut sources = Vec::new();
    for file in chain.files() {
        let path = &file.source.path;
        let identity = FileIdentity::of_open(path, file.handle());
        sources.push(identity.map_err(|source| ChangeError::Io { path: path.clone(), source })?);
    }
    let target = Target::new(path, *overwrite).forbid(sources);
    Ok(Some(if *checks_space { target } else { target.without_space_check() }))
}

fn copy(plan: &ExportPlan, chain: &Chain, sink: impl Sink, cancel: &Cancel) -> Result<Export, Failure> {
    let drawn = progress::drawn(plan.progress, chain.geometry().size());
    let copied = export(chain, sink, &Options::default(), drawn.as_ref(), cancel);
    let copied = copied.map_err(|error| export_failure(chain, error))?;
    drop(drawn);
    chain.check_unchanged()?;
    copied.publish(cancel).map_err(|error| export_failure(chain, error))
}

fn export_failure(chain: &Chain, error: ExportError) -> Failure {
    match error {
        ExportError::Read(error) => read_failure(chain, error),
        other => Failure::Export(other),
    }
}

fn image_options(plan: &ExportPlan, chain: &Chain) -> Option<ImageOptions> {
    let Artifact::Vhdx { block_size, allocation, disk_id } = plan.artifact else { return None };
    let block_size = plan::block_size(block_size, chain);
    Some(ImageOptions {
        block_size,
        allocation,
        identities: plan::identities(chain, block_size, allocation, disk_id),
        creator: concat!("vhdx-export ", env!("CARGO_PKG_VERSION")).to_owned(),
    })
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
            warnings.push(format!("the log of `{path}` was replayed in memory ({entries} entries)"));
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

/// The result goes to standard output, unless the artifact is there already.
fn report(plan: &ExportPlan, chain: &Chain, written: &Export, warnings: Vec<String>) -> Result<(), Failure> {
    let mut out: Box<dyn Write> = match plan.destination {
        Destination::File { .. } => Box::new(io::stdout().lock()),
        Destination::Stdout => Box::new(io::stderr().lock()),
    };
    let options = image_options(plan, chain);
    if plan.json {
        let report = ExportReport {
            artifact: ArtifactReport {
                path: name_of(plan),
                format: if options.is_some() { "vhdx" } else { "raw" },
                size: written.artifact.len,
                block_size: options.as_ref().map(|options| options.block_size.bytes()),
                virtual_disk_id: options.map(|options| options.identities.virtual_disk.to_string()),
            },
            disk: DiskReport::of(chain, written.content),
            chain: chain.links().map(LinkReport::of).collect(),
            warnings,
        };
        return print_json(&mut out, &report);
    }
    if plan.quiet {
        return Ok(());
    }
    print_text(&mut out, plan, chain, written).map_err(Failure::Output)
}

fn print_text(out: &mut dyn Write, plan: &ExportPlan, chain: &Chain, written: &Export) -> io::Result<()> {
    let format = if matches!(plan.artifact, Artifact::Raw) { "raw image" } else { "VHDX" };
    let disk = show_size(chain.geometry().size());
    writeln!(out, "wrote     {} ({format} of {disk}, {})", name_of(plan), show_size(written.artifact.len))?;
    for (label, file) in std::iter::once("state of").chain(std::iter::repeat("built on")).zip(chain.files()) {
        writeln!(out, "{label:<9} {}", file.source.path.display())?;
    }
    writeln!(
        out,
        "content   {} data, {} zeros",
        show_size(written.content.data),
        show_size(written.content.zeros)
    )
}

fn name_of(plan: &ExportPlan) -> String {
    match &plan.destination {
        Destination::File { path, .. } => path.display().to_string(),
        Destination::Stdout => Path::new("-").display().to_string(),
    }
}
