//! Words for single files: damaged, unreadable, foreign, left over, copied, dirty.

use std::error::Error;
use std::path::Path;

use chain_resolve::vm::ConfigurationError;
use uuid::Uuid;
use vhdx_format::{Corruption, ImageError, Problem, Unsupported};

use super::{Names, Words};
use crate::commands::check::counted;
use crate::failure::with_sources;

pub(super) fn damaged_image<'a>(names: Names<'_>, image: &'a Path, fault: &ImageError) -> Words<'a> {
    let name = names.of(image);
    let words = if is_cut_off(fault) {
        Words::new(
            "truncated",
            [image],
            format!("{name} is cut off: the file ends before its content does"),
            "the copy was not complete (a full disk, an interrupted transfer): what is behind the end is lost",
            "fetch the file again from where it was copied, and compare the lengths",
        )
    } else {
        match fault {
            ImageError::Unsupported(Unsupported::IncompleteFile) => Words::new(
                "incomplete",
                [image],
                format!("{name} is marked incomplete"),
                "whoever created, merged or copied it never finished, so its content is not to be trusted",
                "use a copy from before that, or let Hyper-V finish the merge on its host",
            ),
            ImageError::Limit { raise: Some(limit), .. } => Words::new(
                "unsupported",
                [image],
                format!("{name} asks for more than sound images do"),
                "a hostile image could ask so to use up the memory, so it is refused",
                &format!("if the file is known to be sound, raise it: `--limit {limit}=VALUE`"),
            ),
            ImageError::Unsupported(_) | ImageError::Limit { .. } => Words::new(
                "unsupported",
                [image],
                format!("{name} asks for something that is not known here"),
                "reading it anyway might give wrong data, so it is refused",
                "convert it on a Hyper-V host (`Convert-VHD`), and please report the file's line below",
            ),
            _ => Words::new(
                "damaged",
                [image],
                format!("{name} is damaged"),
                "the file contradicts its own format; nothing is read from it rather than wrong data",
                "fetch the file again from where it was copied; if it is the same there, use an older backup",
            ),
        }
    };
    words.with([with_sources(fault)])
}

/// A file that ends too early says so in two ways: there is no room for a table, or a block is said to lie behind the
/// end.
fn is_cut_off(fault: &ImageError) -> bool {
    match fault {
        ImageError::Truncated { .. } => true,
        ImageError::Corrupt(Corruption { problem: Problem::BlockOffset { most, found, .. }, .. }) => {
            found > most
        }
        _ => false,
    }
}

pub(super) fn not_an_image<'a>(names: Names<'_>, file: &'a Path) -> Words<'a> {
    Words::new(
        "not-an-image",
        [file],
        format!("{} is called like a VHDX image, but is none", names.of(file)),
        "it does not begin with `vhdxfile`: an empty or overwritten file, a failed copy, or an encrypted one",
        "fetch the file again from where it was copied; if it is the same there, use an older backup",
    )
}

pub(super) fn damaged_configuration<'a>(
    names: Names<'_>,
    file: &'a Path,
    error: &ConfigurationError,
) -> Words<'a> {
    Words::new(
        "damaged-configuration",
        [file],
        format!("configuration {} is damaged", names.of(file)),
        "the VM or checkpoint that it describes can not be chosen by its name; the disks may be in order",
        "fetch the file again; without it, name the disk file whose state you want: `--checkpoint FILE`",
    )
    .with([with_sources(error)])
}

pub(super) fn unread<'a>(names: Names<'_>, path: &'a Path, error: &(dyn Error + 'static)) -> Words<'a> {
    Words::new(
        "unread",
        [path],
        format!("{} can not be read", names.of(path)),
        "it may be part of a disk or VM, so this check is not complete",
        "look at its permissions, and at the disk or share that it is on; then check again",
    )
    .with([with_sources(error)])
}

pub(super) fn recovery_image<'a>(names: Names<'_>, image: &'a Path) -> Words<'a> {
    Words::new(
        "recovery-image",
        [image],
        format!("{} is left over from a backup", names.of(image)),
        "backup software makes an AutoRecovery disk for the time of a backup and removes it; this one it forgot",
        "never take it for the VM's newest state; delete it on the host when no backup runs",
    )
}

pub(super) fn copies<'a>(names: Names<'_>, images: &[&'a Path], data_write_guid: Uuid) -> Words<'a> {
    let first = images.first().map(|image| names.of(image)).unwrap_or_default();
    let others = counted(images.len().saturating_sub(1), "other file");
    Words::new(
        "copies",
        images.iter().copied(),
        format!("{first} and {others} say that they are the same image"),
        "they are copies; if one was changed or damaged, a child may be read with the wrong one",
        "keep one of them in the folders that are searched, beside its children",
    )
    .with([format!("DataWriteGuid {{{data_write_guid}}}")])
    .with(images.iter().map(|image| names.of(image)))
}

pub(super) fn unused_child<'a>(names: Names<'_>, image: &'a Path) -> Words<'a> {
    Words::new(
        "unused-child",
        [image],
        format!("no configuration here uses {}", names.of(image)),
        "it is what a deleted checkpoint left, an abandoned branch, or the VM's newest state if the configuration \
         is older than the disks",
        "to see what it holds, export it by its name: `--checkpoint FILE`; delete nothing before that",
    )
}

pub(super) fn unused_disk<'a>(names: Names<'_>, image: &'a Path) -> Words<'a> {
    Words::new(
        "unused-disk",
        [image],
        format!("no configuration here uses {}", names.of(image)),
        "it is a whole disk of its own: detached from its VM, or of a VM that is not here",
        "nothing, if you know it; to export it, name it as SOURCE",
    )
}

pub(super) fn dirty_log<'a>(names: Names<'_>, image: &'a Path, entries: u64) -> Words<'a> {
    let entries = if entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") };
    Words::new(
        "dirty-log",
        [image],
        format!("{} was not closed properly: its log has {entries}", names.of(image)),
        "the VM was running, or crashed, when the file was copied; the log is replayed in memory, so exports are \
         right as of that moment",
        "nothing; the guest will check its file systems, as after a power cut",
    )
}

pub(super) fn other_format<'a>(names: Names<'_>, file: &'a Path) -> Words<'a> {
    Words::new(
        "other-format",
        [file],
        format!("{} is no VHDX and was not looked at", names.of(file)),
        "VHD (`.vhd`, `.avhd`) and VHD sets (`.vhds`) are not read by this version",
        "convert it with `Convert-VHD` or `qemu-img convert` if you need it",
    )
}
