//! `vhdx-export check`: everything that is wrong with a folder, worst first, and what to do about it.
//!
//! The findings come from the library; the words are in `words.rs` beside this. The exit code is that of the worst one.

mod words;

use std::io::{self, Write};
use std::path::Path;

use chain_resolve::check::{Finding, Gravity, StateName};
use chain_resolve::{Folder, SelectError, check, vm_named};
use serde::Serialize;

use crate::args::CheckArgs;
use crate::commands::{code_of_told, print_json};
use crate::failure::{Failure, code};
use crate::plan;
use crate::terminal::{printable, shortened, wrapped};
use words::Words;

/// Gives the exit code.
pub(crate) fn run(args: &CheckArgs) -> Result<u8, Failure> {
    let source = plan::path_or_default(args.folder.source.as_deref());
    let folder = Folder::inspect(&source, &args.folder.parent_dir, &args.folder.limits.limits())
        .map_err(SelectError::from)?;
    let only = args.folder.vm.as_deref().map(|name| vm_named(&folder, name)).transpose()?;
    let findings = check(&folder, only);
    let summary = Summary::of(&folder, only.is_some(), &findings);
    if summary.images == 0 && summary.vms == 0 && findings.is_empty() {
        return Err(SelectError::NoImages(folder.root().to_path_buf()).into());
    }
    let mut out = io::stdout().lock();
    let told = if args.json {
        print_json(&mut out, &Report::of(&folder, &findings, summary))
    } else {
        print_text(&mut out, &folder, &findings, &summary).map_err(Failure::Output)
    };
    code_of_told(told, findings.first().map_or(0, |worst| exit_code(worst.trouble.gravity())))
}

/// Findings are sorted, so that the first decides.
fn exit_code(gravity: Gravity) -> u8 {
    match gravity {
        Gravity::Damage => code::CORRUPT,
        Gravity::BrokenChain => code::CHAIN_BROKEN,
        Gravity::MissingDisk => code::NOT_FOUND,
        Gravity::Unread => code::OTHER,
        Gravity::Warning | Gravity::Note => 0,
    }
}

/// How a finding is marked.
fn severity(gravity: Gravity) -> &'static str {
    match gravity {
        Gravity::Damage | Gravity::BrokenChain | Gravity::MissingDisk | Gravity::Unread => "error",
        Gravity::Warning => "warning",
        Gravity::Note => "note",
    }
}

#[derive(Debug, Serialize)]
struct Report {
    folder: String,
    findings: Vec<FindingReport>,
    summary: Summary,
}

#[derive(Debug, Serialize)]
struct FindingReport {
    severity: &'static str,
    /// Stable, for programs.
    kind: &'static str,
    /// The file at fault first.
    files: Vec<String>,
    what: String,
    details: Vec<String>,
    why: String,
    advice: String,
    lost_states: Vec<StateReport>,
    lost_images: Vec<String>,
}

#[derive(Debug, Serialize)]
struct StateReport {
    vm: String,
    checkpoint: String,
}

#[derive(Debug, Serialize)]
struct Summary {
    vms: usize,
    images: usize,
    errors: usize,
    warnings: usize,
    notes: usize,
}

impl Report {
    fn of(folder: &Folder, findings: &[Finding<'_>], summary: Summary) -> Self {
        let findings = findings.iter().map(|finding| FindingReport::of(folder, finding)).collect();
        Self { folder: full(folder.root()), findings, summary }
    }
}

impl FindingReport {
    fn of(folder: &Folder, finding: &Finding<'_>) -> Self {
        let words = Words::of(folder, &finding.trouble);
        Self {
            severity: severity(finding.trouble.gravity()),
            kind: words.kind,
            files: words.files.iter().map(|file| full(file)).collect(),
            what: words.what,
            details: words.details,
            why: words.why,
            advice: words.advice,
            lost_states: finding.harm.states.iter().map(StateReport::of).collect(),
            lost_images: finding.harm.images.iter().map(|image| full(image)).collect(),
        }
    }
}

impl StateReport {
    fn of(state: &StateName<'_>) -> Self {
        let checkpoint = state.checkpoint.map_or("@current", |(_, name)| name);
        Self { vm: state.vm.to_owned(), checkpoint: checkpoint.to_owned() }
    }
}

impl Summary {
    fn of(folder: &Folder, one_vm: bool, findings: &[Finding<'_>]) -> Self {
        let marked =
            |mark| findings.iter().filter(|finding| severity(finding.trouble.gravity()) == mark).count();
        Self {
            vms: if one_vm { 1 } else { folder.machines().len() },
            images: folder.catalog().images().len(),
            errors: marked("error"),
            warnings: marked("warning"),
            notes: marked("note"),
        }
    }
}

fn print_text(
    out: &mut dyn Write,
    folder: &Folder,
    findings: &[Finding<'_>],
    summary: &Summary,
) -> io::Result<()> {
    for finding in findings {
        print_finding(out, folder, finding)?;
        writeln!(out)?;
    }
    let Summary { vms, images, errors, warnings, notes } = *summary;
    let counts = format!("{}, {}", counted(vms, "VM"), counted(images, "image"));
    if findings.is_empty() {
        return writeln!(out, "{counts}: nothing is wrong");
    }
    let (errors, warnings) = (counted(errors, "error"), counted(warnings, "warning"));
    writeln!(out, "{counts}: {errors}, {warnings}, {}", counted(notes, "note"))
}

/// What, then why it matters, then what is lost, then what to do.
fn print_finding(out: &mut dyn Write, folder: &Folder, finding: &Finding<'_>) -> io::Result<()> {
    let words = Words::of(folder, &finding.trouble);
    writeln!(out, "{}: {}", severity(finding.trouble.gravity()), printable(&shortened(&words.what)))?;
    for detail in &words.details {
        writeln!(out, "  {}", printable(&shortened(detail)))?;
    }
    print_prose(out, "  why: ", &words.why)?;
    for state in &finding.harm.states {
        writeln!(out, "  lost: {}", printable(&words::state(state)))?;
    }
    for image in &finding.harm.images {
        writeln!(out, "  lost: what `{}` holds, which is built on it", printable(&short(folder, image)))?;
    }
    print_prose(out, "  do:  ", &words.advice)
}

/// Prose in lines that fit a terminal; names and positions have lines of their own, which nobody cuts.
fn print_prose(out: &mut dyn Write, label: &str, text: &str) -> io::Result<()> {
    let indent = " ".repeat(label.len());
    let lines = wrapped(text, &indent);
    let labels = std::iter::once(label).chain(std::iter::repeat(indent.as_str()));
    labels.zip(&lines).try_for_each(|(label, line)| writeln!(out, "{label}{}", &line[indent.len()..]))
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// A file's name from the folder on, or its whole name if it lies elsewhere.
fn short(folder: &Folder, path: &Path) -> String {
    let below = path.strip_prefix(folder.root()).ok().filter(|below| !below.as_os_str().is_empty());
    full(below.unwrap_or(path))
}

fn full(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worse_finding_never_hides_behind_the_code_of_a_lesser_one() {
        let all = [
            Gravity::Damage,
            Gravity::BrokenChain,
            Gravity::MissingDisk,
            Gravity::Unread,
            Gravity::Warning,
            Gravity::Note,
        ];
        assert!(all.is_sorted(), "the first finding decides");
        assert_eq!(all.map(exit_code), [6, 5, 4, 1, 0, 0]);
    }
}
