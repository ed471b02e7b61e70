//! One file per command: each runs a plan through the libraries and prints the result.

pub(crate) mod batch;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod export;
pub(crate) mod hash;
pub(crate) mod info;
mod info_configuration;
pub(crate) mod list;
pub(crate) mod man_pages;
pub(crate) mod map;
pub(crate) mod tree;
pub(crate) mod verify;

use std::io::{self, Write};

use chain_resolve::{Chain, Folder, FoundBy, SelectError, select_vms};
use serde::Serialize;

use crate::args::FolderArgs;
use crate::failure::Failure;
use crate::plan;
use crate::report::folder::FolderReport;
use crate::terminal::JsonOut;

/// The code of an answer that was told, or that nobody wanted to hear to its end: it is the same answer.
fn code_of_told(told: Result<(), Failure>, code: u8) -> Result<u8, Failure> {
    match told {
        Err(failure) if !failure.is_closed_output() => Err(failure),
        _ => Ok(code),
    }
}

/// Prints one JSON document.
fn print_json(out: &mut dyn Write, value: &impl Serialize) -> Result<(), Failure> {
    let printed = serde_json::to_writer_pretty(JsonOut(&mut *out), value).map_err(io::Error::from);
    printed.and_then(|()| writeln!(out)).map_err(Failure::Output)
}

/// What the folder holds that was asked for.
fn folder_report(args: &FolderArgs) -> Result<FolderReport, Failure> {
    let source = plan::path_or_default(args.source.as_deref());
    let folder = Folder::scan(&source, &args.parent_dir, &args.limits.limits()).map_err(SelectError::from)?;
    let vms = select_vms(&folder, &source, args.vm.as_deref())?;
    let report = FolderReport::new(&folder, &vms);
    if report.vms.is_empty() && report.images.is_empty() && report.unreadable.is_empty() {
        return Err(SelectError::NoImages(folder.root().to_path_buf()).into());
    }
    Ok(report)
}

/// What the user should know of how the chain was found: every parent that is not where its child says.
fn substitutions(chain: &Chain) -> Vec<String> {
    let parents = chain.files().iter().skip(1).zip(chain.layers());
    let moved = parents.filter_map(|(parent, child)| {
        let path = parent.source.path.display();
        let stored = child.outline().parent().and_then(|parent| parent.relative_path.as_deref());
        let stored = stored.unwrap_or("no relative path");
        match parent.found_by {
            FoundBy::Selection | FoundBy::StoredPath => None,
            FoundBy::StoredName => {
                Some(format!("parent found by name at `{path}` (its child says `{stored}`)"))
            }
            FoundBy::Identity => {
                Some(format!("parent found by identity at `{path}` (its child says `{stored}`)"))
            }
        }
    });
    moved.collect()
}
