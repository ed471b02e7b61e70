//! `vhdx-export tree`: which state came from which. What each node says is decided here, how it is drawn in `forest`.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};

use chain_resolve::ImageIndex;

use crate::args::{TreeArgs, TreeFormat};
use crate::commands::{folder_report, print_json};
use crate::failure::Failure;
use crate::forest::{Detail, Forest, Mark, Node, dot, mermaid, text};
use crate::report::Log;
use crate::report::folder::{
    CheckpointReport, DiskStatus, FolderReport, ImageReport, Problem, StateDiskReport, StateReport, VmReport,
};

pub(crate) fn run(args: &TreeArgs) -> Result<(), Failure> {
    let report = folder_report(&args.folder)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let format = if args.json { TreeFormat::Json } else { args.format };
    match format {
        TreeFormat::Json => print_json(&mut out, &report)?,
        TreeFormat::Text => {
            let pen = if args.ascii || !locale_is_utf8() { text::ASCII } else { text::BOXES };
            text::draw(&mut out, &forests(&report), pen).map_err(Failure::Output)?;
        }
        TreeFormat::Mermaid => mermaid::draw(&mut out, &forests(&report)).map_err(Failure::Output)?,
        TreeFormat::Dot => dot::draw(&mut out, &forests(&report)).map_err(Failure::Output)?,
    }
    out.flush().map_err(Failure::Output)
}

/// As POSIX has it: the first of the three that is set decides. Windows has no such variables, and terminals that know.
fn locale_is_utf8() -> bool {
    let mut set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(std::env::var_os);
    let locale = set.find(|value| !value.is_empty()).unwrap_or_default();
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    cfg!(windows) || locale.contains("utf-8") || locale.contains("utf8")
}

/// A forest for each VM, one for the images that belong to none, one for what could not be read.
fn forests(report: &FolderReport) -> Vec<Forest> {
    let names = Names::new(report);
    let mut forests: Vec<Forest> = report.vms.iter().map(|vm| states(vm, report, &names)).collect();
    let loose: Vec<&ImageReport> = report.images.iter().filter(|image| !image.used).collect();
    if !loose.is_empty() {
        let without_vms = report.vms.is_empty();
        let title =
            if without_vms { "Disk files (no VM configuration here)" } else { "Disk files of no state" };
        forests.push(Forest {
            title: title.to_owned(),
            place: None,
            nodes: images(&loose, !without_vms, &names),
        });
    }
    if !report.unreadable.is_empty() {
        let nodes = report.unreadable.iter().map(|file| Node {
            mark: Some(Mark::Broken),
            title: file.filename.clone(),
            details: vec![Detail { mark: None, text: "cannot be read".to_owned() }],
            ..Node::default()
        });
        forests.push(Forest { title: "Not readable".to_owned(), place: None, nodes: nodes.collect() });
    }
    forests
}

/// What to call a file where there is little room: without its folder, if no other image has that name.
struct Names<'a>(HashMap<&'a str, usize>);

impl<'a> Names<'a> {
    fn new(report: &'a FolderReport) -> Self {
        let mut names = HashMap::new();
        for image in &report.images {
            *names.entry(last_name(&image.filename.name)).or_default() += 1;
        }
        Self(names)
    }

    fn short<'b>(&self, name: &'b str) -> &'b str {
        let last = last_name(name);
        if self.0.get(last) == Some(&1) { last } else { name }
    }
}

/// Behind the last separator of either world.
fn last_name(path: &str) -> &str {
    path.rsplit(['\\', '/']).next().unwrap_or(path)
}

fn states(vm: &VmReport, report: &FolderReport, names: &Names<'_>) -> Forest {
    let checkpoints = vm.checkpoints.iter().map(|checkpoint| Node {
        title: format!("#{}  {}", checkpoint.number, checkpoint.name),
        aside: aside(vm, checkpoint),
        ..state(&checkpoint.state, checkpoint.kind == "recovery", report, names)
    });
    let current = vm.current.as_ref().map(|current| Node {
        title: "@current".to_owned(),
        current: true,
        ..state(current, false, report, names)
    });
    let id = vm.id.as_ref().filter(|id| **id != vm.name).map(|id| format!("  {{{id}}}"));
    let copies = report.vms.iter().filter(|other| (&other.name, &other.id) == (&vm.name, &vm.id)).count();
    Forest {
        title: format!("VM {}{}", vm.name, id.unwrap_or_default()),
        place: vm.configuration.clone().filter(|_| copies > 1),
        nodes: checkpoints.chain(current).collect(),
    }
}

/// The time; the GUID where another checkpoint has that name.
fn aside(vm: &VmReport, checkpoint: &CheckpointReport) -> String {
    let alike = vm.checkpoints.iter().filter(|other| other.name == checkpoint.name).count();
    let id = checkpoint.id.as_ref().filter(|_| alike > 1).map(|id| format!("{{{id}}}"));
    let parts: Vec<String> = checkpoint.created.clone().into_iter().chain(id).collect();
    parts.join(" ")
}

fn state(state: &StateReport, is_recovery: bool, report: &FolderReport, names: &Names<'_>) -> Node {
    let notes = [
        state.parent_guessed.then_some("the parent is a guess by time"),
        is_recovery.then_some("made by backup software"),
    ];
    let notes = notes.into_iter().flatten().map(|text| Detail { mark: None, text: text.to_owned() });
    let disks = state.disks.iter().flat_map(|disk| disk_details(disk, report, names));
    Node {
        parent: state.parent.and_then(|number| number.checked_sub(1)),
        guessed: state.parent_guessed,
        details: notes.chain(disks).collect(),
        ..Node::default()
    }
}

fn disk_details(disk: &StateDiskReport, report: &FolderReport, names: &Names<'_>) -> Vec<Detail> {
    let slot = format!("{:<7}", disk.slot);
    let recorded = last_name(&disk.recorded);
    let file = match (&disk.status, &disk.state_at) {
        (DiskStatus::Ambiguous, _) => format!("{recorded} ({} files fit)", disk.candidates.len()),
        (_, Some(file)) => names.short(&file.name).to_owned(),
        (_, None) => format!("{recorded} (missing)"),
    };
    let image = disk.state_at.as_ref().and_then(|file| report.image(file.index));
    let dirty = image.filter(|image| is_dirty(image)).map(|_| Mark::Dirty);
    let broken = (disk.status != DiskStatus::Found || disk.broken_at.is_some()).then_some(Mark::Broken);
    let mut details = vec![Detail { mark: broken.or(dirty), text: format!("{slot} {file}") }];
    if let (Some(_), Some(dirty)) = (broken, dirty) {
        details.push(Detail { mark: Some(dirty), text: format!("{slot} its log is dirty") });
    }
    let broken_at = disk.broken_at.as_ref().and_then(|file| report.image(file.index));
    details.extend(broken_at.map(|broken| {
        let own = image.is_some_and(|image| image.filename.index == broken.filename.index);
        let why = if own { why(broken) } else { format!("broken at {}", names.short(&broken.filename.name)) };
        Detail { mark: None, text: format!("{:slots$} {why}", "", slots = slot.len()) }
    }));
    details
}

fn images(loose: &[&ImageReport], mark_unused: bool, names: &Names<'_>) -> Vec<Node> {
    let places: HashMap<ImageIndex, usize> =
        loose.iter().enumerate().map(|(place, image)| (image.filename.index, place)).collect();
    let node = |image: &&ImageReport| {
        let parent = image.parent.as_ref();
        let place = parent.and_then(|parent| places.get(&parent.index)).copied();
        let built_on = parent.filter(|_| place.is_none());
        let built_on = built_on.map(|parent| format!("built on {}", names.short(&parent.name)));
        let problem = image.problem.as_ref().map(|_| Mark::Broken);
        let dirty = is_dirty(image).then_some(Mark::Dirty);
        let details = [
            (None, built_on),
            (None, problem.map(|_| why(image))),
            (dirty, dirty.map(|_| "its log is dirty".to_owned())),
        ];
        Node {
            parent: place,
            mark: problem.or(mark_unused.then_some(Mark::Unused)),
            title: names.short(&image.filename.name).to_owned(),
            details: details
                .into_iter()
                .filter_map(|(mark, text)| Some(Detail { mark, text: text? }))
                .collect(),
            ..Node::default()
        }
    };
    loose.iter().map(node).collect()
}

fn is_dirty(image: &ImageReport) -> bool {
    matches!(image.log, Some(Log::Replayed { .. }))
}

/// What is wrong with an image, in few words.
fn why(image: &ImageReport) -> String {
    match &image.problem {
        None => String::new(),
        Some(Problem::Unreadable { .. }) => "cannot be read".to_owned(),
        Some(Problem::ParentNotFound { .. }) => "its parent is not here".to_owned(),
        Some(Problem::ParentMismatch { .. }) => "its parent was changed, or is another file".to_owned(),
        Some(Problem::ParentAmbiguous { candidates }) => {
            format!("{} files may be its parent", candidates.len())
        }
        Some(Problem::Cycle) => "its parents lead back to it".to_owned(),
    }
}
