//! What a comparison says to programs.

use export_sinks::{Difference, MARK_LEN, Sha256Digest};
use serde::Serialize;

use super::{Behind, Compared, Verdict, Verified, words};

/// The document of `verify --json`.
#[derive(Serialize)]
pub(super) struct Report {
    image: String,
    manifest: String,
    /// `equal`, `sampled` (equal where it was looked at), `different`, `truncated`, `other-size`, `other-file` or
    /// `unreadable`.
    result: &'static str,
    virtual_size: u64,
    compared: ComparedReport,
    differences: Vec<DifferenceReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// `null` where a stream goes on.
    bytes_behind: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<Check>,
}

#[derive(Serialize)]
struct ComparedReport {
    /// `blksum`, `sha256`, `sample` or `nothing`.
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
    /// Where the first block starts that differs, where that is known.
    first_block: Option<u64>,
    /// Its length: the resolution with which a manifest tells where.
    block_length: u64,
}

#[derive(Serialize)]
struct Check {
    command: String,
    sha256: Sha256Digest,
}

pub(super) fn of(verified: &Verified<'_>) -> Report {
    let differences = match &verified.verdict {
        Verdict::Different(ranges) => ranges.iter().map(difference).collect(),
        _ => Vec::new(),
    };
    let has_problem = !matches!(verified.verdict, Verdict::Equal | Verdict::Different(_));
    Report {
        image: verified.image.display().to_string(),
        manifest: verified.manifest_path.display().to_string(),
        result: result(verified),
        virtual_size: verified.manifest.disk.virtual_size,
        compared: compared(verified.compared),
        differences,
        problem: has_problem.then(|| words::mismatch(verified)),
        bytes_behind: match verified.behind {
            Behind::Nothing => Some(0),
            Behind::Bytes(bytes) => Some(bytes),
            Behind::More => None,
        },
        check: words::stock(verified).map(|stock| Check { command: stock.line, sha256: stock.expected }),
    }
}

fn result(verified: &Verified<'_>) -> &'static str {
    match verified.verdict {
        Verdict::Equal if verified.is_sample() => "sampled",
        Verdict::Equal => "equal",
        Verdict::Different(_) => "different",
        Verdict::Truncated { .. } => "truncated",
        Verdict::OtherSize { .. } => "other-size",
        Verdict::OtherFile { .. } => "other-file",
        Verdict::Unreadable(_) => "unreadable",
    }
}

fn compared(compared: Compared) -> ComparedReport {
    let (by, ranges, of_ranges) = match compared {
        Compared::Nothing => ("nothing", None, None),
        Compared::Blocks(ranges) => ("blksum", Some(ranges), Some(ranges)),
        Compared::Sha256 => ("sha256", None, None),
        Compared::Sample { compared, of } => ("sample", Some(compared), Some(of)),
    };
    ComparedReport { by, ranges, of_ranges }
}

fn difference(difference: &Difference) -> DifferenceReport {
    DifferenceReport {
        offset: difference.range.start().0,
        length: difference.range.len(),
        first_block: difference.first_block.map(|block| block.start().0),
        block_length: difference.first_block.map_or(MARK_LEN, |block| block.len()),
    }
}
