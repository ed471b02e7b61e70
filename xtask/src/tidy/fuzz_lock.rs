//! What fuzzing builds is what the program is built of: the same versions, and nothing besides the fuzzer.
//!
//! Text alone, so that it costs no download. The licences of what both have are judged with the program's own lock file.

use std::collections::BTreeSet;

use super::Finding;

const FILE: &str = "fuzz/Cargo.lock";

/// The fuzzer, what it is built with, and the targets themselves; never part of the program. libfuzzer-sys is under
/// NCSA besides, which is as permissive as those that are accepted.
const OWN: [&str; 3] = ["arbitrary", "libfuzzer-sys", "vhdx-export-fuzz"];

/// Findings in the lock file of the fuzz targets.
pub(super) fn check(fuzz: &str, program: &str) -> Vec<Finding> {
    let known: BTreeSet<_> = packages(program).map(|(_, package)| package).collect();
    let strange = packages(fuzz).filter(|(_, (name, _))| !OWN.contains(name));
    let strange = strange.filter(|(_, package)| !known.contains(package));
    strange
        .map(|(line, (name, version))| {
            let message = format!(
                "{name} {version} is not in the program's lock file; copy Cargo.lock to {FILE} and run \
                 `cargo metadata` in fuzz/"
            );
            Finding::new(FILE, line, message)
        })
        .collect()
}

/// Names and versions, with the line of the name.
fn packages(lock: &str) -> impl Iterator<Item = (usize, (&str, &str))> {
    let lines = || lock.lines().map(|line| line.split_once(" = ").unwrap_or_default());
    let pairs = lines().zip(lines().skip(1)).zip(1..);
    let packages = pairs.filter(|((first, second), _)| first.0 == "name" && second.0 == "version");
    packages.map(|((name, version), line)| (line, (name.1.trim_matches('"'), version.1.trim_matches('"'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: &str =
        "version = 4\n\n[[package]]\nname = \"uuid\"\nversion = \"1.2.3\"\nsource = \"x\"\n";

    #[test]
    fn another_version_and_another_package_are_found() {
        assert!(check(PROGRAM, PROGRAM).is_empty());
        assert!(check(&PROGRAM.replace("uuid", "libfuzzer-sys"), PROGRAM).is_empty());
        for fuzz in [PROGRAM.replace("1.2.3", "1.2.4"), PROGRAM.replace("uuid", "ours")] {
            let found = check(&fuzz, PROGRAM);
            assert_eq!(found.len(), 1, "{fuzz}");
            assert_eq!((found[0].file.as_str(), found[0].line), (FILE, 4));
        }
    }
}
