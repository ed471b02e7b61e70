//! What a comparison says, to people and as JSON.

use std::io::{self, Write};

use export_sinks::{Difference, Sha256Digest};
use serde::Serialize;

use super::{Extent, Verdict, Verified};
use crate::args::VerifyArgs;
use crate::commands::print_json;
use crate::failure::Failure;
use crate::proof;
use crate::terminal::{printable, say};
use crate::units::show_size;

/// Ranges that are named one by one; a copy of another disk has thousands.
const SHOWN: usize = 16;

/// The result goes to standard output, what is wrong with the copy to standard error.
pub(super) fn tell(args: &VerifyArgs, verified: &Verified<'_>) -> Result<(), Failure> {
    if args.json {
        return print_json(&mut io::stdout().lock(), &report(verified));
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
    let first = match verified.extent {
        Extent::Sample { .. } => format!("sampled   {image} agrees with {manifest} where it was looked at"),
        _ => format!("verified  {image} holds the disk of {manifest}"),
    };
    writeln!(out, "{first}")?;
    writeln!(out, "compared  {}", compared(verified.extent))?;
    if verified.behind > 0 {
        writeln!(out, "note      {} behind the disk were not looked at", show_size(verified.behind))?;
    }
    if let Some((command, sha256)) = stock(verified) {
        writeln!(out, "check     {}", printable(&command))?;
        writeln!(out, "expected  {sha256}")?;
    }
    Ok(())
}

fn shown(path: &std::path::Path) -> String {
    printable(&path.display().to_string())
}

fn compared(extent: Extent) -> String {
    match extent {
        Extent::Blocks(ranges) => format!("blksum of the whole disk and of {}", of_ranges(ranges)),
        Extent::Sha256 => "SHA-256 of the whole disk".to_owned(),
        Extent::Sample { compared, of } => {
            format!(
                "{compared} of {}; the others were not looked at, and nothing is proved of them",
                of_ranges(of)
            )
        }
    }
}

fn of_ranges(count: usize) -> String {
    format!("{count} range{}", if count == 1 { "" } else { "s" })
}

/// A command of any Linux that shows the same, and what it must print.
fn stock(verified: &Verified<'_>) -> Option<(String, Sha256Digest)> {
    let image = verified.image.display().to_string();
    let size = verified.manifest.disk.virtual_size;
    let command = proof::stock_command(verified.format, &image, size).filter(|_| image != "-")?;
    Some((command, verified.manifest.content.sha256?))
}

/// The message of a copy that is not right, in the form of all messages.
fn mismatch(verified: &Verified<'_>) -> String {
    let (image, manifest) = (shown(verified.image), shown(verified.manifest_path));
    let mut lines = Vec::new();
    match &verified.verdict {
        Verdict::Equal => {}
        Verdict::Different(ranges) => {
            lines.push(format!(
                "error: `{image}` differs from the disk of `{manifest}`{}",
                number(ranges, verified.extent)
            ));
            lines.extend(ranges.iter().take(SHOWN).map(|range| format!("  {}", range_words(range))));
            if ranges.len() > SHOWN {
                lines.push(format!("  and {} more ranges", ranges.len() - SHOWN));
            }
            lines.extend(hint_about(ranges, verified));
        }
        Verdict::Truncated { have, want } => {
            lines.push(format!("error: `{image}` is truncated: it has {have} of {want} bytes"));
            lines.push("hint: the copy is not complete: make it again".to_owned());
        }
        Verdict::OtherSize { have, want } => {
            lines.push(format!(
                "error: `{image}` holds a disk of {have} bytes, that of `{manifest}` has {want}"
            ));
            lines.push("hint: is it the manifest of another disk?".to_owned());
        }
        Verdict::OtherFile { expected, found } => {
            lines.push(format!(
                "error: `{image}` is not the file that was written, though the disk in it is right"
            ));
            lines.push(format!("  sha256 of the file as it was written: {expected}"));
            lines.push(format!("  sha256 of this file:                  {found}"));
            lines.push("hint: the file was damaged, or used by something that writes to it".to_owned());
        }
        Verdict::Unreadable(why) => {
            lines.push(format!("error: `{image}` cannot be read as a disk: {}", printable(why)));
        }
    }
    lines.join("\n") + "\n"
}

fn number(ranges: &[Difference], extent: Extent) -> String {
    match extent {
        _ if ranges.is_empty() => String::new(),
        Extent::Blocks(1) => " in its only range".to_owned(),
        Extent::Blocks(all) => format!(" in {} of {}", ranges.len(), of_ranges(all)),
        Extent::Sample { compared, .. } => {
            format!(" in {} of {compared} ranges that were sampled", ranges.len())
        }
        Extent::Sha256 => String::new(),
    }
}

fn range_words(difference: &Difference) -> String {
    let range = difference.range;
    let first = difference.first_block.map(|block| format!(", first in the block at {}", block.start()));
    format!("at {}, {}{}", range.start(), show_size(range.len()), first.unwrap_or_default())
}

fn hint_about(ranges: &[Difference], verified: &Verified<'_>) -> Option<String> {
    let all = match verified.extent {
        Extent::Blocks(all) | Extent::Sample { compared: all, .. } => all,
        Extent::Sha256 => {
            return Some("hint: the manifest has no digests of ranges, so where is not known".to_owned());
        }
    };
    let is_everywhere = ranges.len() == all && all > 1;
    is_everywhere.then(|| "hint: is it the manifest of another disk or checkpoint?".to_owned())
}

#[derive(Serialize)]
struct Report {
    image: String,
    manifest: String,
    /// `equal`, `different`, `truncated`, `other-size`, `other-file` or `unreadable`.
    result: &'static str,
    virtual_size: u64,
    compared: Compared,
    differences: Vec<DifferenceReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    bytes_behind: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<Check>,
}

#[derive(Serialize)]
struct Compared {
    /// `blksum`, `sha256` or `sample`.
    by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ranges: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    of_ranges: Option<usize>,
}

#[derive(Serialize)]
struct DifferenceReport {
    offset: u64,
    length: u64,
    /// Where the first differing block starts, where that is known.
    first_block: Option<u64>,
}

#[derive(Serialize)]
struct Check {
    command: String,
    sha256: Sha256Digest,
}

fn report(verified: &Verified<'_>) -> Report {
    let differences = match &verified.verdict {
        Verdict::Different(ranges) => ranges.iter().map(difference_report).collect(),
        _ => Vec::new(),
    };
    let problem =
        (!matches!(verified.verdict, Verdict::Equal | Verdict::Different(_))).then(|| mismatch(verified));
    Report {
        image: verified.image.display().to_string(),
        manifest: verified.manifest_path.display().to_string(),
        result: match verified.verdict {
            Verdict::Equal => "equal",
            Verdict::Different(_) => "different",
            Verdict::Truncated { .. } => "truncated",
            Verdict::OtherSize { .. } => "other-size",
            Verdict::OtherFile { .. } => "other-file",
            Verdict::Unreadable(_) => "unreadable",
        },
        virtual_size: verified.manifest.disk.virtual_size,
        compared: match verified.extent {
            Extent::Blocks(ranges) => {
                Compared { by: "blksum", ranges: Some(ranges), of_ranges: Some(ranges) }
            }
            Extent::Sha256 => Compared { by: "sha256", ranges: None, of_ranges: None },
            Extent::Sample { compared, of } => {
                Compared { by: "sample", ranges: Some(compared), of_ranges: Some(of) }
            }
        },
        differences,
        problem,
        bytes_behind: verified.behind,
        check: stock(verified).map(|(command, sha256)| Check { command, sha256 }),
    }
}

fn difference_report(difference: &Difference) -> DifferenceReport {
    DifferenceReport {
        offset: difference.range.start().0,
        length: difference.range.len(),
        first_block: difference.first_block.map(|block| block.start().0),
    }
}
