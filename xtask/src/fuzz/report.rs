//! What is printed of a target that has run: one line of numbers, and for a finding how to see it again.

use std::path::Path;

use super::job::{End, Job, Outcome};
use crate::workspace_root;

/// The lines of one target.
pub(super) fn lines(job: &Job, outcome: &Outcome) -> String {
    let target = &job.target;
    let more = match &outcome.end {
        End::Time => String::new(),
        End::SlowOnce(file) => {
            format!("  note:    an input was slow once and not again: {}\n", shown(file))
        }
        End::Finding(None) => format!("  finding: {}; no input was left behind\n", reason(&outcome.log)),
        End::Finding(Some(file)) => {
            let (reason, file) = (reason(&outcome.log), shown(file));
            let run = "cargo +nightly fuzz run --sanitizer none --target-dir ../target/fuzz";
            format!("  finding: {file}: {reason}\n  again:   (cd fuzz && {run} {target} ../{file})\n")
        }
    };
    format!("{target:<10} {}\n{more}", numbers(&outcome.log))
}

/// Executions, coverage, corpus and memory, from libFuzzer's own words.
fn numbers(log: &str) -> String {
    let stat = |name: &str| stat(log, name).unwrap_or("?");
    let status = log.lines().rev().find(|line| line.contains(" cov: ")).unwrap_or_default();
    let field = |name: &str| {
        let mut words = status.split_whitespace().skip_while(|word| *word != name);
        words.nth(1).unwrap_or("?")
    };
    format!(
        "{} runs, {} a second, {} edges, {} inputs, {} of them new, {} MiB at most",
        stat("number_of_executed_units"),
        stat("average_exec_per_sec"),
        field("cov:"),
        field("corp:"),
        stat("new_units_added"),
        stat("peak_rss_mb"),
    )
}

fn stat<'a>(log: &'a str, name: &str) -> Option<&'a str> {
    let mut stats = log.lines().rev().filter_map(|line| line.strip_prefix("stat::")?.split_once(':'));
    stats.find(|(found, _)| *found == name).map(|(_, value)| value.trim())
}

/// The message of the panic, or libFuzzer's own.
fn reason(log: &str) -> &str {
    let mut lines = log.lines().skip_while(|line| !line.contains("panicked at"));
    let panic = lines.nth(1);
    panic
        .or_else(|| log.lines().find(|line| line.contains("ERROR: libFuzzer")))
        .unwrap_or("takes too long, each time")
}

/// A path as it is typed in the folder of the workspace.
fn shown(file: &Path) -> String {
    file.strip_prefix(workspace_root()).unwrap_or(file).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
#23\tINITED cov: 5 ft: 9 corp: 2/9b exec/s: 0 rss: 30Mb
#99\tDONE   cov: 1200 ft: 9000 corp: 310/12Kb lim: 99 exec/s: 5 rss: 39Mb
stat::number_of_executed_units: 99
stat::average_exec_per_sec:     3501
stat::new_units_added:          7
stat::slowest_unit_time_sec:    0
stat::peak_rss_mb:              39
";

    fn job() -> Job {
        Job::new("image", Path::new("/"), 60)
    }

    #[test]
    fn a_target_is_one_line_of_numbers() {
        let outcome = Outcome { log: LOG.to_owned(), end: End::Time };
        let line =
            "image      99 runs, 3501 a second, 1200 edges, 310/12Kb inputs, 7 of them new, 39 MiB at most\n";
        assert_eq!(lines(&job(), &outcome), line);
    }

    #[test]
    fn a_finding_says_what_happened_and_how_to_see_it_again() {
        let log =
            "thread '<unnamed>' panicked at src/a.rs:1:1:\nthe law\n==1== ERROR: libFuzzer: deadly signal\n";
        let file = workspace_root().join("target/fuzz/artifacts/image/crash-01");
        let outcome = Outcome { log: log.to_owned(), end: End::Finding(Some(file)) };
        let found = lines(&job(), &outcome);
        assert!(found.contains("  finding: target/fuzz/artifacts/image/crash-01: the law\n"), "{found}");
        assert!(found.contains("image ../target/fuzz/artifacts/image/crash-01)"), "{found}");
    }

    #[test]
    fn an_end_without_a_panic_is_told_in_the_words_of_the_fuzzer() {
        let log = "==7== ERROR: libFuzzer: out-of-memory (used: 300Mb; limit: 256Mb)\n";
        assert!(reason(log).ends_with("(used: 300Mb; limit: 256Mb)"));
    }
}
