//! `vhdx-export info`: what an image is, or each image of its chain. Configurations are for `info_configuration.rs`.

use std::io::{self, Write};
use std::path::Path;

use chain_resolve::{Chain, open_image};

use crate::args::{ChoiceArgs, InfoArgs};
use crate::commands::{info_configuration, print_json};
use crate::disk::{Disk, PlainDisk, plain_format};
use crate::failure::Failure;
use crate::plan;
use crate::report::{ImageInfo, Log, PlainInfo};
use crate::terminal::printable;
use crate::units::show_size;
use crate::usage::UsageError;

pub(crate) fn run(args: &InfoArgs) -> Result<(), Failure> {
    let source = plan::source_path(&args.source);
    if names_configuration(args, &source) {
        return info_configuration::run(&source, args.keys, args.json, &args.source.choice.limits.limits());
    }
    if args.keys {
        return Err(UsageError::KeysOfImage.into());
    }
    let selection = plan::selection(&args.source, None)?;
    let mut out = io::stdout().lock();
    let selected = selection.only_disk()?;
    if args.chain || plain_format(&selected.leaf).is_some() {
        let sector = args.source.choice.sector_size;
        return match Disk::open(&selected.leaf, &selection.policy, sector)? {
            Disk::Chain(chain) => print_chain(args, &mut out, &chain),
            Disk::Plain(plain) => print_plain(args, &mut out, &plain),
        };
    }
    let (source, layer) = open_image(&selected.leaf, &selection.policy)?;
    let info = ImageInfo::of_image(&source, &layer);
    if args.json { print_json(&mut out, &info) } else { print_text(&mut out, &info).map_err(Failure::Output) }
}

fn print_chain(args: &InfoArgs, out: &mut dyn Write, chain: &Chain) -> Result<(), Failure> {
    let infos = ImageInfo::of_chain(chain);
    if args.json {
        return print_json(out, &infos);
    }
    let print = |(depth, info): (usize, &ImageInfo)| {
        if depth > 0 {
            writeln!(out)?;
        }
        print_text(out, info)
    };
    infos.iter().enumerate().try_for_each(print).map_err(Failure::Output)
}

/// Bare bytes say nothing of themselves.
fn print_plain(args: &InfoArgs, out: &mut dyn Write, disk: &PlainDisk) -> Result<(), Failure> {
    let info = PlainInfo::of(disk);
    if args.json {
        return print_json(out, &info);
    }
    let size = format!("{} ({} bytes)", show_size(info.virtual_size), info.virtual_size);
    let file = format!("{} ({} on disk)", show_size(info.file_size), show_size(info.actual_size));
    let name = printable(&info.filename);
    let lines = [
        ("image", name.as_str()),
        ("kind", info.format.name()),
        ("virtual size", &size),
        ("file size", &file),
    ];
    lines.iter().try_for_each(|(name, value)| writeln!(out, "{name:<15}{value}")).map_err(Failure::Output)
}

/// Whether the file itself is meant, and not a disk of the VM that it describes.
fn names_configuration(args: &InfoArgs, source: &Path) -> bool {
    let ChoiceArgs { vm, checkpoint, disk, .. } = &args.source.choice;
    let suffix = source.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default();
    let is_store = ["vmcx", "vmrs", "xml"].iter().any(|known| suffix.eq_ignore_ascii_case(known));
    let chosen = args.chain || vm.is_some() || checkpoint.is_some() || disk.is_some();
    is_store && !chosen && !source.is_dir()
}

fn print_text(out: &mut dyn Write, info: &ImageInfo) -> io::Result<()> {
    let mut line = |name: &str, value: &dyn std::fmt::Display| writeln!(out, "{name:<15}{value}");
    line("image", &printable(&info.filename))?;
    line("kind", &format_args!("{} VHDX", info.kind))?;
    if !info.creator.is_empty() {
        line("made by", &printable(&info.creator))?;
    }
    line("virtual size", &format_args!("{} ({} bytes)", show_size(info.virtual_size), info.virtual_size))?;
    line(
        "file size",
        &format_args!("{} ({} on disk)", show_size(info.file_size), show_size(info.actual_size)),
    )?;
    let sectors =
        format_args!("{} logical, {} physical", info.logical_sector_size, info.physical_sector_size);
    line("sectors", &sectors)?;
    let blocks = &info.blocks;
    line(
        "blocks",
        &format_args!(
            "of {}: {} whole, {} partial, {} zero, {} unmapped, {} undefined, {} not present",
            show_size(info.cluster_size.into()),
            blocks.fully_present,
            blocks.partially_present,
            blocks.zero,
            blocks.unmapped,
            blocks.undefined,
            blocks.not_present
        ),
    )?;
    match info.log {
        Log::Clean => line("log", &"clean")?,
        Log::Replayed { entries } => {
            line("log", &format_args!("dirty; {entries} entries replayed in memory"))?;
        }
    }
    line("disk ID", &info.virtual_disk_id)?;
    line("DataWriteGuid", &info.data_write_guid)?;
    if let Some(parent) = &info.parent {
        line("wants parent", &format_args!("DataWriteGuid {}", parent.linkage))?;
        if let Some(second) = &parent.linkage2 {
            line("", &format_args!("or DataWriteGuid {second}"))?;
        }
        let paths = [&parent.relative_path, &parent.absolute_win32_path, &parent.volume_path];
        for path in paths.into_iter().flatten() {
            line("", &printable(path))?;
        }
    }
    if let Some(parent) = &info.full_backing_filename {
        line("built on", &printable(parent))?;
    }
    Ok(())
}
