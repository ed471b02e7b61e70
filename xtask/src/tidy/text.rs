//! Rules on the text of one file: how it opens, its white space, its length, words it must not hold.
//!
//! Plain text search, no parsing: a rule that needs Rust's grammar belongs to clippy.

use super::Finding;

/// Longer than this, a file holds more than one idea.
const MAX_LINES: usize = 700;

/// Whether the rules here apply to the file at `path`.
pub(super) fn is_text(path: &str) -> bool {
    path == ".ci/run" || matches!(extension(path), "rs" | "md" | "toml" | "sh" | "yml" | "yaml")
}

/// Whether the file at `path` is Rust source.
pub(super) fn is_rust(path: &str) -> bool {
    extension(path) == "rs"
}

/// All findings in one text file, rule by rule.
pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = white_space(path, text);
    findings.extend(last_newline(path, text));
    findings.extend(forbidden_words(path, text));
    if is_rust(path) {
        findings.extend(opening(path, text));
        findings.extend(length(path, text));
    }
    findings
}

fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

fn opening(path: &str, text: &str) -> Option<Finding> {
    let is_library_root = path.ends_with("/lib.rs");
    let opens_well = text.starts_with("//!") || is_library_root && text.starts_with("#![doc = include_str!");
    (!opens_well).then(|| {
        Finding::new(
            path,
            1,
            "does not open with `//!`; say what the file answers for and what it leaves to others",
        )
    })
}

fn white_space(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, number) in text.split('\n').zip(1..) {
        if line.ends_with('\r') {
            findings.push(Finding::new(path, number, "line ends with CR LF; end lines with LF alone"));
        } else if line.ends_with(char::is_whitespace) {
            findings.push(Finding::new(path, number, "white space at the end of the line; remove it"));
        }
        if line.contains('\t') {
            findings.push(Finding::new(path, number, "tab; indent with spaces, or write `\\t` in a string"));
        }
    }
    findings
}

fn last_newline(path: &str, text: &str) -> Option<Finding> {
    let line = text.lines().count().max(1);
    if text.is_empty() {
        Some(Finding::new(path, line, "empty file; fill it or remove it"))
    } else if !text.ends_with('\n') {
        Some(Finding::new(path, line, "no newline at the end of the file; add one"))
    } else if text.ends_with("\n\n") {
        Some(Finding::new(path, line, "empty line at the end of the file; remove it"))
    } else {
        None
    }
}

fn length(path: &str, text: &str) -> Option<Finding> {
    let lines = text.lines().count();
    (lines > MAX_LINES).then(|| {
        let message = format!("{lines} lines, more than {MAX_LINES}; split the file by ideas");
        Finding::new(path, MAX_LINES.saturating_add(1), message)
    })
}

struct Forbidden {
    word: &'static str,
    instead: &'static str,
}

/// Cut in two with `concat!` so that this file does not hold them.
const FORBIDDEN: [Forbidden; 8] = [
    Forbidden { word: concat!("to", "do!("), instead: "finish it, or leave it out" },
    Forbidden { word: concat!("unimple", "mented!("), instead: "finish it, or return an error that says so" },
    Forbidden { word: concat!("db", "g!("), instead: "remove it" },
    Forbidden { word: concat!("FIX", "ME"), instead: "fix it, or open an issue" },
    Forbidden { word: concat!("XX", "X"), instead: "fix it, or open an issue" },
    Forbidden {
        word: concat!("#[ig", "nore"),
        instead: "make the test run everywhere, or skip with a visible line",
    },
    Forbidden { word: concat!("#[al", "low("), instead: "use `#[expect(lint, reason = \"..\")]`" },
    Forbidden { word: concat!("#![al", "low("), instead: "use `#![expect(lint, reason = \"..\")]`" },
];

fn forbidden_words(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        for Forbidden { word, instead } in FORBIDDEN {
            if holds_word(line, word) {
                findings.push(Finding::new(path, number, format!("holds `{word}`; {instead}")));
            }
        }
    }
    findings
}

/// A word of letters alone must stand alone: a GUID's pattern of X's is not a note to oneself.
fn holds_word(line: &str, word: &str) -> bool {
    if !word.chars().all(char::is_alphabetic) {
        return line.contains(word);
    }
    line.split(|c: char| !c.is_alphanumeric()).any(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(path: &str, text: &str) -> Vec<String> {
        check(path, text).iter().map(Finding::to_string).collect()
    }

    #[track_caller]
    fn assert_one(path: &str, text: &str, expected: &str) {
        let found = messages(path, text);
        assert!(matches!(found.as_slice(), [one] if one.starts_with(expected)), "{found:?}");
    }

    #[test]
    fn a_well_kept_file_has_no_findings() {
        assert!(messages("src/a.rs", "//! Answers for a.\n\nfn a() {}\n").is_empty());
        assert!(messages("src/lib.rs", "#![doc = include_str!(\"../README.md\")]\n").is_empty());
        assert!(messages("a.md", "# A\n").is_empty());
    }

    #[test]
    fn a_rust_file_opens_with_its_purpose() {
        assert_one("src/a.rs", "fn a() {}\n", "src/a.rs:1: does not open");
        assert_one("src/lib.rs", "fn a() {}\n", "src/lib.rs:1: does not open");
    }

    #[test]
    fn only_a_library_root_may_take_its_opening_from_a_readme() {
        assert_one("src/a.rs", "#![doc = include_str!(\"a.md\")]\n", "src/a.rs:1: does not open");
    }

    #[test]
    fn white_space_at_the_end_of_a_line_is_found() {
        assert_one("a.md", "# A\none \ntwo\n", "a.md:2: white space");
    }

    #[test]
    fn carriage_returns_are_found() {
        assert_one("a.toml", "a = 1\r\n", "a.toml:1: line ends with CR LF");
    }

    #[test]
    fn tabs_are_found() {
        assert_one("a.sh", "a\n\tb\n", "a.sh:2: tab");
    }

    #[test]
    fn a_file_ends_with_exactly_one_newline() {
        assert_one("a.yml", "a: 1", "a.yml:1: no newline");
        assert_one("a.yml", "a: 1\n\n", "a.yml:2: empty line at the end");
        assert_one("a.yml", "", "a.yml:1: empty file");
    }

    #[test]
    fn a_rust_file_may_reach_the_limit_of_lines_and_not_pass_it() {
        let longest = "//! a\n".repeat(MAX_LINES);
        assert!(messages("a.rs", &longest).is_empty());
        assert_one("a.rs", &format!("{longest}//! a\n"), "a.rs:701: 701 lines");
    }

    #[test]
    fn every_forbidden_word_is_found() {
        for Forbidden { word, .. } in FORBIDDEN {
            let text = format!("//! a\n    {word} rest\n");
            assert_one("a.rs", &text, &format!("a.rs:2: holds `{word}`"));
        }
    }

    #[test]
    fn a_pattern_of_letters_is_not_a_forbidden_word() {
        let pattern = "X".repeat(8);
        assert!(messages("a.md", &format!("{{{pattern}-{}}}\n", "X".repeat(4))).is_empty());
    }
}
