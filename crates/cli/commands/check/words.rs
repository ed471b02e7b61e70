//! The words of `check`: for each finding what is wrong, why that matters, and what to do, for somebody who is in a hurry
//! and no expert of the format.

mod files;
mod links;
mod machines;

use std::path::Path;

use chain_resolve::Folder;
use chain_resolve::check::{StateName, Trouble};

use super::short;

/// A finding in words.
pub(super) struct Words<'a> {
    /// A name for programs.
    pub(super) kind: &'static str,
    /// The files concerned, the one at fault first.
    pub(super) files: Vec<&'a Path>,
    /// One line.
    pub(super) what: String,
    /// Further lines: positions, candidates, identities.
    pub(super) details: Vec<String>,
    pub(super) why: String,
    pub(super) advice: String,
}

/// How files are called: from the folder on.
#[derive(Clone, Copy)]
struct Names<'f>(&'f Folder);

impl Names<'_> {
    fn of(self, path: &Path) -> String {
        format!("`{}`", short(self.0, path))
    }
}

impl<'a> Words<'a> {
    pub(super) fn of(folder: &Folder, trouble: &Trouble<'a>) -> Self {
        let names = Names(folder);
        match trouble {
            Trouble::DamagedImage { image, fault } => files::damaged_image(names, image, fault),
            Trouble::NotAnImage { file } => files::not_an_image(names, file),
            Trouble::DamagedConfiguration { file, error } => files::damaged_configuration(names, file, error),
            Trouble::Cycle { images } => links::cycle(names, images),
            Trouble::Mismatch { child, found, wanted, why } => {
                links::mismatch(names, child, found, *wanted, *why)
            }
            Trouble::MissingParent { child, wanted, stored } => {
                links::missing(names, child, *wanted, *stored)
            }
            Trouble::AmbiguousParent { child, wanted, candidates } => {
                links::ambiguous(names, child, *wanted, candidates)
            }
            Trouble::UnfitParent { child, parent, sectors } => links::unfit(names, child, parent, *sectors),
            Trouble::MissingDisk { states, slot, recorded } => machines::missing_disk(states, slot, recorded),
            Trouble::AmbiguousDisk { states, slot, recorded, candidates } => {
                machines::ambiguous_disk(names, states, slot, recorded, candidates)
            }
            Trouble::Unread { path, error } => files::unread(names, path, *error),
            Trouble::MissingConfiguration { vm, checkpoints } => {
                machines::missing_configuration(vm, *checkpoints)
            }
            Trouble::MissingCheckpoints { vm, file, listed, found } => {
                machines::missing_checkpoints(vm, file, *listed, *found)
            }
            Trouble::FaultyConfiguration { file, warnings, left_out } => {
                machines::faulty_configuration(names, file, warnings, *left_out)
            }
            Trouble::MergePending { file } => machines::merge_pending(names, file),
            Trouble::RecoveryCheckpoint { checkpoint, file } => {
                machines::recovery_checkpoint(*checkpoint, file)
            }
            Trouble::RecoveryImage { image } => files::recovery_image(names, image),
            Trouble::Copies { images, data_write_guid } => files::copies(names, images, *data_write_guid),
            Trouble::UnusedChild { image } => files::unused_child(names, image),
            Trouble::UnusedDisk { image } => files::unused_disk(names, image),
            Trouble::DirtyLog { image, entries } => files::dirty_log(names, image, *entries),
            Trouble::GuessedParent { state, parent } => machines::guessed_parent(*state, *parent),
            Trouble::NoConfiguration { images } => machines::no_configuration(*images),
            Trouble::OtherFormat { file } => files::other_format(names, file),
        }
    }

    fn new(
        kind: &'static str,
        files: impl IntoIterator<Item = &'a Path>,
        what: String,
        why: &str,
        advice: &str,
    ) -> Self {
        Self {
            kind,
            files: files.into_iter().collect(),
            what,
            details: Vec::new(),
            why: why.to_owned(),
            advice: advice.to_owned(),
        }
    }

    fn with(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }
}

/// A state as it is named everywhere.
pub(super) fn state(state: &StateName<'_>) -> String {
    match state.checkpoint {
        Some((number, name)) => format!("checkpoint #{number} `{name}` of VM `{}`", state.vm),
        None => format!("the running state (@current) of VM `{}`", state.vm),
    }
}
