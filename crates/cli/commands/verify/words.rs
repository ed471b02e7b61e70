//! What a comparison says to people. What it says to programs is in `report.rs`.

use std::io::{self, Write};
use std::path::Path;

use export_manifest::Format;
use export_sinks::Difference;

use super::{Behind, Compared, Verdict, Verified, report};
use crate::args::VerifyArgs;
use crate::commands::print_json;
use crate::failure::{Failure, disk_hint, with_sources};
use crate::proof::{self, StockCommand};
use crate::terminal::{printable, say, shortened};
use crate::units::show_size;

/// Ranges that are named one by one; a copy of another disk has thousands.
const SHOWN: usize = 16;

const OTHER_DISK: &str = "is it the manifest of another disk or checkpoint?";

/// The result goes to standard output, what is wrong with the copy to standard error.
pub(super) fn tell(args: &VerifyArgs, verified: &Verified<'_>) -> Result<(), Failure> {
    if args.json {
        return print_json(&mut io::stdout().lock(), &report::of(verified));
    }
    if !matches!(verified.verdict, Verdict::Equal) {
        say(&mismatch(verified));
        return Ok(());
    }
    if args.talk.quiet { Ok(()) } else { print(verified).map_err(Failure::Output) }
}

fn print(verified: &Verified<'_>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let (image, manifest) = (shown(verified.image), shown(verified.manifest_path));
    let first = if verified.is_sample() {
        format!("sampled   {image} agrees with {manifest} where it was looked at")
    } else {
        format!("verified  {image} holds the disk of {manifest}")
    };
    writeln!(out, "{first}")?;
    if let Some(compared) = compared(verified.compared) {
        writeln!(out, "compared  {compared}")?;
    }
    if let Some(behind) = behind(verified.behind) {
        writeln!(out, "note      {behind}")?;
    }
    if let Some(StockCommand { line, expected }) = stock(verified) {
        writeln!(out, "check     {line}")?;
        writeln!(out, "expected  {expected}")?;
    }
    Ok(())
}

fn behind(behind: Behind) -> Option<String> {
    match behind {
        Behind::Nothing => None,
        Behind::Bytes(bytes) => Some(format!("{} behind the disk were not looked at", show_size(bytes))),
        Behind::More => Some("the stream goes on behind the disk, which was not looked at".to_owned()),
    }
}

fn shown(path: &Path) -> String {
    printable(&path.display().to_string())
}

fn compared(compared: Compared) -> Option<String> {
    match compared {
        Compared::Nothing => None,
        Compared::Blocks(ranges) => Some(format!("blksum of the whole disk and of {}", of_ranges(ranges))),
        Compared::Sha256 => Some("SHA-256 of the whole disk".to_owned()),
        Compared::Sample { compared, of } if compared == of => {
            Some(format!("blksum of all {}", of_ranges(of)))
        }
        Compared::Sample { compared, of } => Some(format!(
            "{compared} of {}; the others were not looked at, and nothing is proved of them",
            of_ranges(of)
        )),
    }
}

fn of_ranges(count: usize) -> String {
    format!("{count} range{}", if count == 1 { "" } else { "s" })
}

/// A command of any Linux that shows the same, and what it must print.
pub(super) fn stock(verified: &Verified<'_>) -> Option<StockCommand> {
    if verified.image == Path::new("-") {
        return None;
    }
    let manifest = verified.manifest;
    proof::stock_command(
        verified.format?,
        verified.image,
        manifest.disk.virtual_size,
        manifest.content.sha256,
        manifest.artifact.sha256.filter(|_| verified.is_artifact),
    )
}

/// What is wrong with a copy, in one line; `None` if nothing is.
pub(super) fn wrong(verdict: &Verdict) -> Option<String> {
    Some(match verdict {
        Verdict::Equal => return None,
        Verdict::Different(ranges) => match ranges.first() {
            Some(first) => format!("the disk differs, first {}", range_words(first)),
            None => "the disk differs".to_owned(),
        },
        Verdict::Truncated { have, want } => format!("it is truncated: it has {have} of {want} bytes"),
        Verdict::OtherSize { have, want } => format!("its disk has {have} bytes, not {want}"),
        Verdict::OtherFile { .. } => "it is not the file that was written".to_owned(),
        Verdict::Unreadable(error) => {
            format!("it cannot be read as a disk: {}", with_sources(error.as_ref()))
        }
    })
}

/// The message of a copy that is not right, in the form of all messages.
pub(super) fn mismatch(verified: &Verified<'_>) -> String {
    let (image, manifest) = (shown(verified.image), shown(verified.manifest_path));
    let mut lines = Vec::new();
    match &verified.verdict {
        Verdict::Equal => {}
        Verdict::Different(ranges) => {
            let number = number(ranges, verified.compared);
            lines.push(format!("error: `{image}` differs from the disk of `{manifest}`{number}"));
            lines.extend(ranges.iter().take(SHOWN).map(|range| format!("  {}", range_words(range))));
            if ranges.len() > SHOWN {
                lines.push(format!("  and {} more ranges", ranges.len() - SHOWN));
            }
            lines.extend(hint_about(ranges, verified).map(|hint| format!("hint: {hint}")));
        }
        Verdict::Truncated { have, want } => {
            lines.push(format!("error: `{image}` is truncated: it has {have} of {want} bytes"));
            lines.push("hint: the copy is not complete, or the manifest is that of another disk; one that was packed anew by another \
                 program can be unpacked into `vhdx-export verify -`".to_owned());
        }
        Verdict::OtherSize { have, want } => {
            lines.push(format!(
                "error: `{image}` holds a disk of {have} bytes, that of `{manifest}` has {want}"
            ));
            lines.push(format!("hint: {OTHER_DISK}"));
        }
        Verdict::OtherFile { expected, found } => {
            lines.push(format!(
                "error: `{image}` is not the file that was written, though the disk in it is right"
            ));
            lines.push(format!("  sha256 of the file as it was written: {expected}"));
            lines.push(format!("  sha256 of this file:                  {found}"));
            lines.push("hint: the file was damaged, or used by something that writes to it".to_owned());
        }
        Verdict::Unreadable(error) => {
            let why = printable(&shortened(&with_sources(error.as_ref())));
            lines.push(format!("error: `{image}` cannot be read as a disk: {why}"));
            lines.extend(disk_hint(error).map(|hint| format!("hint: {}", printable(&hint))));
        }
    }
    if let Some(StockCommand { line, expected }) = stock(verified) {
        lines.push(format!("to see for yourself: {line}"));
        lines.push(format!("  must print {expected}"));
    }
    lines.join("\n") + "\n"
}

fn number(ranges: &[Difference], compared: Compared) -> String {
    match compared {
        _ if ranges.is_empty() => String::new(),
        Compared::Blocks(1) => " in its only range".to_owned(),
        Compared::Blocks(all) => format!(" in {} of {}", ranges.len(), of_ranges(all)),
        Compared::Sample { compared, .. } => {
            format!(" in {} of {compared} ranges that were sampled", ranges.len())
        }
        Compared::Sha256 | Compared::Nothing => String::new(),
    }
}

fn range_words(difference: &Difference) -> String {
    let range = difference.range;
    let first = difference
        .first_block
        .map(|block| format!(", first in the {} at {}", show_size(block.len()), block.start()));
    format!("at {}, {}{}", range.start(), show_size(range.len()), first.unwrap_or_default())
}

fn hint_about(ranges: &[Difference], verified: &Verified<'_>) -> Option<&'static str> {
    let all = match verified.compared {
        Compared::Blocks(all) | Compared::Sample { compared: all, .. } => all,
        Compared::Sha256 | Compared::Nothing => {
            return Some("the manifest has no digests of ranges, so where is not known");
        }
    };
    // A device is mostly larger than its disk, a file is not.
    let is_larger_file = verified.format == Some(Format::Raw) && verified.behind != Behind::Nothing;
    let is_everywhere = ranges.len() == all && (all > 1 || is_larger_file);
    is_everywhere.then_some(OTHER_DISK)
}
