//! `vhdx-export map`: what each run of the disk holds, and which file holds it.
//!
//! Runs are printed as they are found: a map may have millions.

use std::io::{self, BufWriter, Write};

use vhdx_format::VirtualDisk;

use crate::args::MapArgs;
use crate::disk::Disk;
use crate::failure::Failure;
use crate::plan;
use crate::report::MapEntry;
use crate::terminal::{JsonOut, printable};

pub(crate) fn run(args: &MapArgs) -> Result<(), Failure> {
    let selection = plan::selection(&args.source, None)?;
    let sector = args.source.choice.sector_size;
    let disk = Disk::open(&selection.only_disk()?.leaf, &selection.policy, sector)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let print = if args.json { print_json } else { print_text };
    print(&mut out, &disk)?;
    out.flush().map_err(Failure::Output)?;
    Ok(disk.check_unchanged()?)
}

fn entries(disk: &Disk) -> impl Iterator<Item = Result<MapEntry, Failure>> {
    disk.extents(disk.geometry().range()).map(|extent| {
        extent.map(|extent| MapEntry::of(disk, &extent)).map_err(|error| disk.read_failure(error))
    })
}

/// An array, one run a line, as qemu-img prints it.
fn print_json(out: &mut dyn Write, disk: &Disk) -> Result<(), Failure> {
    let mut before = "[";
    for entry in entries(disk) {
        write!(out, "{before}").map_err(Failure::Output)?;
        let printed = serde_json::to_writer(JsonOut(&mut *out), &entry?);
        printed.map_err(|error| Failure::Output(error.into()))?;
        before = ",\n";
    }
    writeln!(out, "]").map_err(Failure::Output)
}

fn print_text(out: &mut dyn Write, disk: &Disk) -> Result<(), Failure> {
    writeln!(out, "{:<16} {:<16} {:<16} Holds", "Offset", "Length", "Lies at").map_err(Failure::Output)?;
    for entry in entries(disk) {
        let entry = entry?;
        let at = entry.offset.map_or("-".to_owned(), |offset| format!("{offset:#x}"));
        let holds = entry.filename.as_deref().map_or("zeros".to_owned(), printable);
        writeln!(out, "{:<#16x} {:<#16x} {at:<16} {holds}", entry.start, entry.length)
            .map_err(Failure::Output)?;
    }
    Ok(())
}
