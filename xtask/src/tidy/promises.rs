//! Rules on `SECURITY.md`: each promise names the tests that hold it, so what it names must be there.

use super::Finding;

/// The document that these rules are about.
pub(super) const FILE: &str = "SECURITY.md";

/// Where in the workspace the files lie that it names.
const PLACES: [&str; 4] = ["tests/", "crates/", "fuzz/", "xtask/"];

/// A finding for each file or folder that the text names and `exists` does not know.
pub(super) fn check(text: &str, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        // Every second part lies between backticks.
        let spans = line.split('`').skip(1).step_by(2);
        for path in spans.filter(|span| PLACES.iter().any(|place| span.starts_with(place)) && !exists(span)) {
            findings.push(Finding::new(
                FILE,
                number,
                format!("`{path}` does not exist; name the test that holds the promise, or make none"),
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_whose_test_is_gone_is_found() {
        let text =
            "**Promise.** `tests/here.rs`,\n`tests/gone.rs` and `fuzz/` hold it; `info --keys` is no file.\n";
        let findings = check(text, |path| path == "tests/here.rs");
        let found: Vec<_> =
            findings.iter().map(|finding| (finding.line, finding.message.split(' ').next())).collect();
        assert_eq!(found, [(2, Some("`tests/gone.rs`")), (2, Some("`fuzz/`"))]);
    }
}
