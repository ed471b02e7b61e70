//! Reading a file of jobs: one JSON object a line, or a table with a header (CSV).
//!
//! All of it is read and understood before anything is done, so a mistake in the last line is no surprise at night.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::BatchError;
use super::job::{Job, JobLine};

/// The jobs of a file, or of standard input where it is called `-`; each once, in their order.
pub(crate) fn jobs(path: &Path) -> Result<Vec<Job>, BatchError> {
    let failed = |source| BatchError::Read { path: path.to_path_buf(), source };
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes).map_err(failed)?;
    } else {
        bytes = std::fs::read(path).map_err(failed)?;
    }
    let text = decoded(&bytes).ok_or_else(|| BatchError::NotText(path.to_path_buf()))?;
    let wrong = |(line, problem)| BatchError::Line { path: path.to_path_buf(), line, problem };
    let text = text.trim_start_matches('\u{feff}');
    let is_json = text.trim_start().is_empty() || text.trim_start().starts_with(['{', '[']);
    let lines = if is_json { of_json(text) } else { of_table(text) }.map_err(wrong)?;
    let mut jobs: Vec<Job> = Vec::new();
    let mut targets: HashMap<String, usize> = HashMap::new();
    for (number, line) in lines {
        let job = Job::new(line).map_err(|problem| wrong((number, problem)))?;
        let Some(out) = job.out.clone().filter(|_| !job.is_blocked()) else {
            jobs.push(job);
            continue;
        };
        // Where case does not count, two that differ in it are one.
        let target = real_name(&out).to_string_lossy().to_lowercase();
        match targets.get(&target) {
            None => {
                targets.insert(target, jobs.len());
                jobs.push(job);
            }
            // The same job twice is one job.
            Some(other) if jobs.get(*other).is_some_and(|other| other.id == job.id) => {}
            Some(_) => return Err(BatchError::SameTarget { path: path.to_path_buf(), line: number, out }),
        }
    }
    Ok(jobs)
}

/// UTF-8, or UTF-16 as some shells write it, by its mark.
fn decoded(bytes: &[u8]) -> Option<String> {
    let units = |unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.get(2..)?.as_chunks::<2>();
        let text = char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).collect::<Result<_, _>>();
        text.ok().filter(|_: &String| rest.is_empty())
    };
    match bytes {
        [0xFF, 0xFE, ..] => units(u16::from_le_bytes),
        [0xFE, 0xFF, ..] => units(u16::from_be_bytes),
        _ => String::from_utf8(bytes.to_vec()).ok(),
    }
}

/// The name in the folder that it really lies in, as far as there is one.
fn real_name(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    match (path.parent().map(std::fs::canonicalize), path.file_name()) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => path,
    }
}

type Wrong = (usize, String);

fn of_json(text: &str) -> Result<Vec<(usize, JobLine)>, Wrong> {
    if text.trim_start().starts_with('[') {
        return Err((1, "expected one JSON object a line, found a list".to_owned()));
    }
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let job = serde_json::from_str(line).map_err(|error| (number, error.to_string()))?;
            Ok((number, job))
        })
        .collect()
}

/// Columns are named like the fields of a line. Empty cells are fields that are not there; several folders or limits in
/// one cell are separated by `;`.
fn of_table(text: &str) -> Result<Vec<(usize, JobLine)>, Wrong> {
    let separator = if text.lines().next().is_some_and(|header| header.contains(';')) { b';' } else { b',' };
    let mut table =
        csv::ReaderBuilder::new().delimiter(separator).trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = table.headers().map_err(|error| (1, error.to_string()))?.clone();
    judge(&header).map_err(|problem| (1, problem))?;
    let mut lines = Vec::new();
    for record in table.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(1, csv::Position::line);
            (usize::try_from(line).unwrap_or(usize::MAX), error.to_string())
        })?;
        let number = record.position().map_or(1, csv::Position::line);
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        let mut job = JobLine::default();
        for (column, cell) in header.iter().zip(&record).filter(|(_, cell)| !cell.is_empty()) {
            set(&mut job, column, cell).map_err(|problem| (number, problem))?;
        }
        lines.push((number, job));
    }
    Ok(lines)
}

/// Refuses a column that is misspelt, which would be a choice that is not made.
fn judge(header: &csv::StringRecord) -> Result<(), String> {
    for (index, column) in header.iter().enumerate() {
        if !COLUMNS.contains(&column) {
            return Err(format!("no column `{column}` is known; known are {}", COLUMNS.join(", ")));
        }
        if header.iter().take(index).any(|other| other == column) {
            return Err(format!("the column `{column}` is there twice"));
        }
    }
    let missing = ["source", "out"].into_iter().find(|needed| !header.iter().any(|column| column == *needed));
    missing.map_or(Ok(()), |needed| Err(format!("the column `{needed}` is missing")))
}

const COLUMNS: [&str; 17] = [
    "source",
    "out",
    "vm",
    "checkpoint",
    "disk",
    "parent_dirs",
    "format",
    "compress",
    "digest",
    "block_size",
    "fixed",
    "disk_id",
    "sums",
    "bmap",
    "sector_size",
    "limits",
    "title",
];

fn set(job: &mut JobLine, column: &str, cell: &str) -> Result<(), String> {
    let text = || Some(cell.to_owned());
    let flag = || match cell.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err(format!("`{column}` is `{cell}`, expected true or false")),
    };
    match column {
        "source" => job.source = cell.into(),
        "out" => job.out = Some(cell.into()),
        "vm" => job.vm = text(),
        "checkpoint" => job.checkpoint = text(),
        "disk" => job.disk = text(),
        "parent_dirs" => job.parent_dirs = cell.split(';').map(Into::into).collect(),
        "format" => job.format = text(),
        "compress" => job.compress = text(),
        "digest" => job.digest = text(),
        "block_size" => job.block_size = text(),
        "fixed" => job.fixed = flag()?,
        "disk_id" => job.disk_id = text(),
        "sums" => job.sums = flag()?,
        "bmap" => job.bmap = flag()?,
        "sector_size" => {
            let bytes = cell.parse().map_err(|_| format!("`sector_size` is `{cell}`, expected a number"))?;
            job.sector_size = Some(bytes);
        }
        "limits" => job.limits = cell.split(';').map(str::to_owned).collect(),
        "title" => job.title = text(),
        _ => return Err(format!("no column `{column}` is known")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_and_json_lines_say_the_same() {
        let table = "source,out,vm,checkpoint,fixed,parent_dirs\n\
                     /b/web01,/o/1.vhdx,web01,\"Before, update\",yes,/p;/q\n/b/web02,/o/2.raw,,,,\n";
        let json = r#"{"source":"/b/web01","out":"/o/1.vhdx","vm":"web01","checkpoint":"Before, update","fixed":true,"parent_dirs":["/p","/q"]}

            {"source":"/b/web02","out":"/o/2.raw"}"#;
        let (table, json) = (of_table(table).unwrap(), of_json(json).unwrap());
        let arguments = |lines: &[(usize, JobLine)]| -> Vec<_> {
            lines.iter().map(|(_, line)| line.arguments()).collect()
        };
        assert_eq!(arguments(&table), arguments(&json));
        assert_eq!(table.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(json.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn spreadsheets_that_separate_by_semicolon_are_read() {
        let lines = of_table("source;out\r\n/b;/o.raw\r\n").unwrap();
        assert_eq!(lines[0].1.out.as_deref(), Some(Path::new("/o.raw")));
    }

    #[test]
    fn what_some_shells_write_is_decoded() {
        let text = "{\"source\":\"ä\"}";
        let units = || text.encode_utf16();
        let little: Vec<u8> = [0xFF, 0xFE].into_iter().chain(units().flat_map(u16::to_le_bytes)).collect();
        let big: Vec<u8> = [0xFE, 0xFF].into_iter().chain(units().flat_map(u16::to_be_bytes)).collect();
        for bytes in [&little, &big, &text.as_bytes().to_vec()] {
            assert_eq!(decoded(bytes).as_deref(), Some(text));
        }
        assert_eq!(decoded(&little[..little.len() - 1]), None);
        assert_eq!(decoded(&[0x80]), None);
    }

    #[test]
    fn what_is_misspelt_is_said_with_its_line() {
        assert_eq!(of_table("source,out\na,b\n").unwrap().len(), 1);
        let (line, problem) = of_table("source,out,chekpoint\na,b,c\n").unwrap_err();
        assert!(line == 1 && problem.contains("chekpoint"));
        for header in ["source\n", "source,out,out\n", "a line of text\n"] {
            assert_eq!(of_table(header).unwrap_err().0, 1, "{header}");
        }
        let (line, problem) = of_json("{\"source\":\"a\",\"out\":\"b\"}\n{\"sorce\":\"a\"}").unwrap_err();
        assert!(line == 2 && problem.contains("sorce"));
        assert!(of_table("source,out,fixed\na,b,maybe\n").unwrap_err().1.contains("true or false"));
        assert_eq!(of_table("source,out\na,b\nc\n").unwrap_err().0, 3);
    }
}
