//! `vhdx-export [export]`: each selected disk into one image, with the proof of what it holds beside it.

mod job;
mod sidecars;
mod words;

use std::io;
use std::path::{Path, PathBuf};

use chain_resolve::{CacheUse, ChangeError, Selection};
use export_sinks::device::DeviceTarget;
use export_sinks::{Cancel, ExportError, FileIdentity, Pool, Readers, Target};

use self::job::{Job, Place, Written};
use self::sidecars::SidecarTargets;
use crate::args::ExportArgs;
use crate::commands::print_json;
use crate::disk::{Disk, DiskError};
use crate::failure::Failure;
use crate::interrupt::{self, Leftovers};
use crate::plan::{self, Destination, ExportPlan, Output, Results, SpaceCheck};
use crate::report::ExportReport;
use crate::slow_digest;
use crate::voice::{Console, Voice};

/// What an export runs with, besides what it is to do.
pub(crate) struct Setting<'a> {
    pub(crate) cancel: &'a Cancel,
    pub(crate) voice: &'a dyn Voice,
    /// What it shares with others that run at the same time.
    pub(crate) pool: Option<&'a Pool>,
}

pub(crate) fn run(args: ExportArgs) -> Result<(), Failure> {
    let plan = ExportPlan::new(args)?;
    let target = match &plan.destination {
        Destination::File(path) => Some(path.as_path()),
        Destination::Folder(_) | Destination::Stdout | Destination::Device(_) => None,
    };
    let selection = plan::selection(&plan.source, target)?;
    // What is asked for and can not be is said before anything is done.
    plan.outputs(&selection)?;
    let cancel = Cancel::new();
    let leftovers = match plan.destination {
        Destination::File(_) | Destination::Folder(_) | Destination::Device(_) => Leftovers::File,
        Destination::Stdout => Leftovers::None,
    };
    interrupt::listen(&cancel, leftovers).map_err(Failure::Signals)?;
    let voice = Console { notes: plan.notes, progress: plan.progress };
    let setting = Setting { cancel: &cancel, voice: &voice, pool: None };
    let mut told = Ok(());
    let reports = export(&plan, &selection, &setting, &mut |job, written| {
        // Whoever closes our output early still gets all disks.
        if plan.results == Results::Text && told.is_ok() {
            told = words::print(job, written).map_err(Failure::Output);
        }
    })?;
    told?;
    match (plan.results, &plan.destination, reports.as_slice()) {
        (Results::Json, Destination::Folder(_), reports) => print_json(&mut io::stdout().lock(), &reports),
        (Results::Json, Destination::Stdout, [report]) => print_json(&mut io::stderr().lock(), report),
        (Results::Json, _, [report]) => print_json(&mut io::stdout().lock(), report),
        _ => Ok(()),
    }
}

/// Exports every disk of the selection. `written` hears of each that is complete.
pub(crate) fn export(
    plan: &ExportPlan,
    selection: &Selection,
    setting: &Setting<'_>,
    written: &mut dyn FnMut(&Job<'_>, &Written),
) -> Result<Vec<ExportReport>, Failure> {
    let sector = plan.source.choice.sector_size;
    // Every chain is proved and every target looked at before anything is written. What fails later, for want of room
    // or because a source can not be read, leaves the disks that were complete by then.
    let disks = selection.disks.iter().map(|disk| Disk::open(&disk.leaf, &selection.policy, sector));
    let disks: Vec<Disk> = disks.collect::<Result<_, DiskError>>()?;
    export_disks(plan, selection, &disks, setting, written)
}

/// The same, of disks that are open by now: those of the selection, in its order.
pub(crate) fn export_disks(
    plan: &ExportPlan,
    selection: &Selection,
    disks: &[Disk],
    setting: &Setting<'_>,
    written: &mut dyn FnMut(&Job<'_>, &Written),
) -> Result<Vec<ExportReport>, Failure> {
    let outputs = plan.outputs(selection)?;
    let _folder = NewFolder::of(&plan.destination)?;
    selection.notes.iter().for_each(|note| setting.voice.note(&note.to_string()));
    let sources = sources(disks, selection)?;
    let mut jobs = Vec::new();
    for ((selected, output), disk) in outputs.into_iter().zip(disks) {
        let readers = disk.readers()?;
        let place = place_of(plan, output, &sources, readers)?;
        let sidecars = SidecarTargets::of(plan, &place, &sources, readers)?;
        let (found, read) = (words::of_selection(selection, selected), words::of_disk(disk, plan));
        jobs.push(Job { plan, selection, selected, disk, place, sidecars, found, read, setting });
    }
    let mut reports = Vec::new();
    for job in &jobs {
        setting.voice.notes(&job.read);
        job.disk.expect_reading(plan.cache);
        setting.voice.notes(slow_digest::warning(job.disk, plan.digests.sha256)?.as_slice());
        let done = job.write()?;
        written(job, &done);
        reports.push(job.report(&done));
    }
    Ok(reports)
}

/// All files that are read, whichever disk they are of, and those that nothing may replace: none of them is ever written.
pub(crate) fn sources(disks: &[Disk], selection: &Selection) -> Result<Vec<FileIdentity>, ChangeError> {
    let each: Vec<_> = disks.iter().map(Disk::identities).collect::<Result<_, _>>()?;
    Ok([each.concat(), protected(&selection.protected)?].concat())
}

/// Files that nothing may replace. One that is gone can not be replaced either.
fn protected(paths: &[PathBuf]) -> Result<Vec<FileIdentity>, ChangeError> {
    let mut identities = Vec::new();
    for path in paths {
        match FileIdentity::of(path) {
            Ok(identity) => identities.push(identity),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(ChangeError::Io { path: path.clone(), source }),
        }
    }
    Ok(identities)
}

/// What is written to, which can be written as things are now.
fn place_of(
    plan: &ExportPlan,
    output: Output,
    sources: &[FileIdentity],
    readers: Readers,
) -> Result<Place, Failure> {
    match output {
        Output::Stdout => Ok(Place::Stdout),
        Output::Device(path) => Ok(Place::Device(DeviceTarget::new(path).forbid(sources.iter().cloned()))),
        Output::File(path) => {
            let target = Target::new(path, plan.overwrite).forbid(sources.iter().cloned());
            let target = target.readable_by(readers).with_reflink(plan.reflink);
            let target = match plan.cache {
                CacheUse::Kept => target,
                CacheUse::Dropped => target.without_caching(),
            };
            target.check().map_err(ExportError::from)?;
            Ok(Place::File(match plan.space_check {
                SpaceCheck::Required => target,
                SpaceCheck::Waived => target.without_space_check(),
            }))
        }
    }
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
