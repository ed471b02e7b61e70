//! `.ci/run readme FILE` on made-up files: which commands it runs, and that it fails when it must.
//!
//! The README's own commands are run by `.ci/run`, not here.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "clippy.toml lets tests unwrap, but not the functions they share")]

use std::fs;
use std::process::{Command, Output};

fn run_commands_of(readme: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("README.md");
    fs::write(&file, readme).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci/run");
    Command::new("bash").args([script, "readme"]).arg(&file).output().unwrap()
}

#[track_caller]
fn assert_refused(readme: &str, expected: &str) {
    let output = run_commands_of(readme);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(stderr.contains(expected), "{stderr}");
}

#[test]
fn marked_blocks_run_in_order_and_nothing_else_does() {
    let output = run_commands_of(
        "# A\n```sh\necho before\n```\n<!-- ci: begin -->\n```sh\necho 'one  \\ \"$((1 + 1))\"'\ncat\n```\n\
         ```text\necho text\n```\n<!-- ci: end -->\n```sh\necho between\n```\n\
         <!-- ci: begin -->\n```sh\nfalse || echo two\ntest -f Cargo.lock && echo root\n```\n<!-- ci: end -->\n",
    );
    assert!(output.status.success(), "{output:?}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let results: Vec<&str> = stdout.lines().filter(|line| !line.starts_with("$ ")).collect();
    assert_eq!(results[..3], ["one  \\ \"$((1 + 1))\"", "two", "root"]);
    assert!(results[3].ends_with("README.md: 2 blocks of commands passed"), "{results:?}");
    assert_eq!(results.len(), 4, "{results:?}");
}

#[test]
fn each_command_is_echoed_before_its_block_runs() {
    let output = run_commands_of("<!-- ci: begin -->\n```sh\necho a\necho b\n```\n<!-- ci: end -->\n");
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.starts_with("$ echo a\n$ echo b\na\nb\n"), "{stdout}");
}

#[test]
fn the_first_failing_command_ends_the_run_with_its_status() {
    for failing in ["(exit 7)", "(exit 7) | cat"] {
        let output = run_commands_of(&format!(
            "<!-- ci: begin -->\n```sh\n{failing}\necho after\n```\n```sh\necho after\n```\n<!-- ci: end -->\n"
        ));
        assert_eq!(output.status.code(), Some(7));
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(!stdout.lines().any(|line| line == "after"), "{stdout}");
    }
}

#[test]
fn a_readme_without_marked_commands_is_refused() {
    assert_refused("# A\n```sh\necho a\n```\n", "no ```sh block");
    assert_refused("<!-- ci: begin -->\n<!-- ci: end -->\n", "no ```sh block");
}

#[test]
fn an_unclosed_marker_or_block_is_refused_before_anything_runs() {
    assert_refused("<!-- ci: begin -->\n```sh\necho a\n```\n", "without its end");
    assert_refused("<!-- ci: begin -->\n```sh\necho a\n<!-- ci: end -->\n", "not closed");
}
