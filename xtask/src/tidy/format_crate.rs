//! What `vhdx-format` and `raw-format` never touch: paths, threads, standard output, files opened for writing.
//!
//! Keeps the crates pure readers of bytes that others hand to them. Their tests and the forge, which
//! write images on purpose, are left out, and so are comments.

use super::Finding;
use super::text::is_rust;

/// Findings in one file, none if the rule does not apply to it.
pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    if !applies_to(path) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (line, number) in shipped_lines(text) {
        if line.trim_start().starts_with("//") {
            continue;
        }
        for (word, instead) in UNWANTED {
            if line.contains(word) {
                findings.push(Finding::new(path, number, format!("holds `{word}`; {instead}")));
            }
        }
    }
    findings
}

const UNWANTED: [(&str, &str); 8] = [
    ("std::path", "take a `ReadAt`: finding files is chain-resolve's work"),
    ("path::Path", "take a `ReadAt`: finding files is chain-resolve's work"),
    ("std::thread", "stay on the caller's thread: export-sinks decides what runs in parallel"),
    ("thread::spawn", "stay on the caller's thread: export-sinks decides what runs in parallel"),
    // These two also find their siblings for standard error.
    ("print!(", "return the fact: only the binary prints"),
    ("println!(", "return the fact: only the binary prints"),
    ("OpenOptions", "take a `ReadAt`: sources are opened, read-only, by chain-resolve"),
    ("File::create", "write to the `Write` that the caller hands over"),
];

fn applies_to(path: &str) -> bool {
    let formats = ["crates/vhdx-format/src/", "crates/raw-format/src/"];
    formats.into_iter().find_map(|format| path.strip_prefix(format)).is_some_and(|rest| {
        let mut names = rest.split('/');
        let is_left_out = names.any(|name| matches!(name, "forge" | "forge.rs" | "tests" | "tests.rs"));
        is_rust(path) && !is_left_out
    })
}

/// The numbered lines before the file's test module, which by clippy's `items_after_test_module` is last.
fn shipped_lines(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let is_test_module = |pair: &[&str]| matches!(pair, ["#[cfg(test)]", module] if module.starts_with("mod ") && module.ends_with('{'));
    let end = lines.windows(2).position(is_test_module).unwrap_or(lines.len());
    lines.into_iter().take(end).zip(1..)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "crates/vhdx-format/src/wire/header.rs";

    #[test]
    fn every_unwanted_word_is_found() {
        for (word, _) in UNWANTED {
            let found = check(FILE, &format!("//! a\nlet a = {word};\n"));
            let place = format!("{FILE}:2: holds `{word}`");
            assert!(found.iter().any(|finding| finding.to_string().starts_with(&place)), "{word}: {found:?}");
        }
    }

    #[test]
    fn the_rule_holds_for_raw_disks_too() {
        assert_eq!(check("crates/raw-format/src/raw.rs", "println!(\"a\");\n").len(), 1);
    }

    #[test]
    fn printing_to_standard_error_is_found() {
        assert_eq!(check(FILE, "    eprintln!(\"a\");\n").len(), 1);
        assert_eq!(check(FILE, "    eprint!(\"a\");\n").len(), 1);
    }

    #[test]
    fn a_test_module_and_comments_may_say_anything() {
        let text =
            "// std::path\n/// std::path\nfn a() {}\n\n#[cfg(test)]\nmod tests {\n    use std::path;\n}\n";
        assert!(check(FILE, text).is_empty());
    }

    #[test]
    fn what_follows_a_single_test_item_is_still_checked() {
        let text = "#[cfg(test)]\nmod tests;\n#[cfg(test)]\nuse a::b;\nuse std::path;\n";
        assert_eq!(check(FILE, text).first().map(|finding| finding.line), Some(5));
    }

    #[test]
    fn tests_forge_and_other_crates_are_left_out() {
        for path in [
            "crates/vhdx-format/src/forge/image.rs",
            "crates/vhdx-format/src/forge.rs",
            "crates/vhdx-format/src/wire/tests.rs",
            "crates/vhdx-format/tests/laws.rs",
            "crates/chain-resolve/src/store.rs",
        ] {
            assert!(check(path, "use std::path::Path;\n").is_empty(), "{path}");
        }
    }
}
