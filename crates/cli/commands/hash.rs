//! `vhdx-export hash`: the digests of disks, without writing anything.

use std::io::{self, Write};
use std::path::Path;

use export_sinks::{Cancel, ContentDigests, DigestChoice, ExportError, Options, digest};
use serde::Serialize;
use vhdx_format::VirtualDisk;

use crate::args::HashArgs;
use crate::commands::{code_of_told, print_json};
use crate::disk::Disk;
use crate::failure::Failure;
use crate::interrupt::{self, Leftovers};
use crate::plan::{self, Wanted};
use crate::progress;
use crate::report::ContentReport;
use crate::slow_digest;
use crate::terminal::{printable, say};
use crate::usage::UsageError;

/// The digests of one disk.
#[derive(Serialize)]
struct Hashed {
    source: String,
    virtual_size: u64,
    content: ContentReport,
}

/// Ends with the code of the first source that failed.
pub(crate) fn run(args: &HashArgs) -> Result<u8, Failure> {
    let wanted = plan::wanted(&args.digest)?;
    if wanted == (Wanted { sha256: false, blksum: false }) {
        return Err(UsageError::NothingToHash.into());
    }
    let sources = match args.sources.as_slice() {
        [] => vec![plan::path_or_default(None)],
        sources => sources.to_vec(),
    };
    let choice = &args.choice;
    let chooses = choice.vm.is_some() || choice.checkpoint.is_some() || choice.disk.is_some();
    if chooses && sources.len() > 1 {
        return Err(UsageError::ChoiceForSeveral.into());
    }
    let cancel = Cancel::new();
    interrupt::listen(&cancel, Leftovers::None).map_err(Failure::Signals)?;
    let mut hashed = Vec::new();
    let mut worst = 0;
    for source in &sources {
        match digests_of(args, source, wanted, &cancel) {
            Ok((virtual_size, digests)) => {
                if !args.json {
                    let told = print(source, &digests, sources.len() > 1).map_err(Failure::Output);
                    if told.is_err() {
                        return code_of_told(told, worst);
                    }
                }
                let content = ContentReport::of(&digests);
                hashed.push(Hashed { source: source.display().to_string(), virtual_size, content });
            }
            // One that fails keeps none of the others from being digested.
            Err(failure) if sources.len() > 1 => {
                let code = failure.tell();
                worst = if worst == 0 { code } else { worst };
            }
            Err(failure) => return Err(failure),
        }
    }
    let told = if args.json { print_json(&mut io::stdout().lock(), &hashed) } else { Ok(()) };
    code_of_told(told, worst)
}

fn digests_of(
    args: &HashArgs,
    source: &Path,
    wanted: Wanted,
    cancel: &Cancel,
) -> Result<(u64, ContentDigests), Failure> {
    let selection = plan::selection_in(source, &args.choice, None)?;
    let disk = Disk::open(&selection.only_disk()?.leaf, &selection.policy, args.choice.sector_size)?;
    disk.expect_reading(args.cache.cache_use());
    let failed = |error| match error {
        ExportError::Read(error) => disk.read_failure(error),
        other => Failure::Export(other),
    };
    let digests = DigestChoice { sha256: wanted.sha256, blksum: wanted.blksum, ..DigestChoice::default() };
    let options = Options { digests, ..Options::default() };
    let size = disk.geometry().size();
    if let Some(warning) = slow_digest::warning(&disk, wanted.sha256)?.filter(|_| !args.talk.quiet) {
        say(&format!("note: {warning}\n"));
    }
    let drawn = progress::drawn(args.talk.progress(), size);
    let digests = digest(&disk, &options, drawn.as_ref(), cancel).map_err(failed)?;
    drop(drawn);
    disk.check_unchanged()?;
    Ok((size, digests))
}

/// One digest a line; where there are several disks, with their names as `sha256sum` puts them.
fn print(source: &Path, digests: &ContentDigests, with_name: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let name =
        if with_name { format!("  {}", printable(&source.display().to_string())) } else { String::new() };
    if let Some(sha256) = digests.sha256 {
        writeln!(out, "sha256:{sha256}{name}")?;
    }
    if let Some(blocks) = &digests.blocks {
        writeln!(out, "blksum:{}{name}", blocks.blksum)?;
    }
    Ok(())
}
