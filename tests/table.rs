//! One table of exit codes: the one in the source, the one in the help, and the one in the README.

use std::collections::BTreeMap;
use std::path::Path;

use crate::harness::Bench;

fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Codes that no constant names: success, and 128 with the number of SIGINT or SIGTERM.
const UNNAMED: [u8; 4] = [0, 129, 130, 143];

/// The constants `NAME: u8 = N;` of the table in the source.
fn in_source() -> Vec<u8> {
    let source = file("crates/cli/failure/code.rs");
    let constants = source.lines().filter_map(|line| line.trim().strip_prefix("pub(crate) const "));
    let codes = constants.filter_map(|rest| rest.split_once(": u8 = ")?.1.strip_suffix(';')?.parse().ok());
    let mut codes: Vec<u8> = codes.chain(UNNAMED).collect();
    codes.sort_unstable();
    codes
}

/// The codes of the help, two to a line, each with its meaning.
fn in_help() -> BTreeMap<u8, String> {
    let help = Bench::new().run(&["--help"]).succeeds();
    let (_, table) = help.text().split_once("Exit codes:\n").unwrap();
    let mut meanings = BTreeMap::new();
    for cell in table.lines().flat_map(|line| line.split("  ")).map(str::trim) {
        let Some((codes, meaning)) = cell.split_once(' ') else { continue };
        for code in codes.split('/') {
            meanings.insert(code.parse().unwrap(), meaning.trim().to_owned());
        }
    }
    meanings
}

/// The rows `| code | meaning |` of the README; `130, 143` or `130/143` are two.
fn in_readme() -> BTreeMap<u8, String> {
    let mut meanings = BTreeMap::new();
    for line in file("README.md").lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let ["", codes, meaning, ""] = cells[..] else { continue };
        let codes = codes.split(|c: char| !c.is_ascii_digit()).filter(|code| !code.is_empty());
        for code in codes {
            meanings.insert(code.parse().unwrap(), meaning.to_owned());
        }
    }
    meanings
}

#[test]
fn the_help_lists_exactly_the_codes_of_the_source() {
    assert_eq!(in_help().into_keys().collect::<Vec<_>>(), in_source());
}

/// In the README the meaning may be longer, but it begins in the same words.
#[test]
fn the_readme_lists_exactly_the_codes_of_the_help() {
    let (help, readme) = (in_help(), in_readme());
    assert_eq!(readme.keys().collect::<Vec<_>>(), help.keys().collect::<Vec<_>>());
    for (code, meaning) in &help {
        let found = readme[code].to_lowercase();
        assert!(
            found.starts_with(&meaning.to_lowercase()),
            "{code}: `{meaning}` in the help, `{found}` here"
        );
    }
}
