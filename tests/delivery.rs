//! What packages bring along: shell completions and man pages. Each is held to what the help of every command says.

use std::collections::BTreeMap;

use crate::harness::{Bench, has_tool};

/// The long options of every command that the help shows, nested ones included, by the words typed for it.
fn options_by_command(bench: &Bench) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    let mut open = vec![Vec::<String>::new()];
    while let Some(command) = open.pop() {
        let words: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        let help = bench.run(&words).succeeds();
        let below = commands_in(help.text());
        open.extend(below.iter().map(|name| [command.as_slice(), std::slice::from_ref(name)].concat()));
        found.insert(command.join(" "), options_in(help.text()));
    }
    assert!(found.len() > 8, "{found:?}");
    found
}

fn commands_in(help: &str) -> Vec<String> {
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names =
        listed.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

fn options_in(help: &str) -> Vec<String> {
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let words = lines.flat_map(|line| line.split_whitespace().take(2));
    let long = words.filter_map(|word| word.strip_prefix("--"));
    long.map(|name| name.trim_end_matches(',').to_owned()).collect()
}

#[test]
fn every_shell_is_told_every_command_and_option() {
    let bench = Bench::new();
    let told = options_by_command(&bench);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = bench.run(&["completions", shell]).succeeds();
        for (command, options) in &told {
            let name = command.split(' ').next_back().unwrap();
            assert!(script.text().contains(name), "{shell}: {command}");
            for option in options {
                // fish has the names without their dashes.
                let wanted = if shell == "fish" { format!("-l {option}") } else { format!("--{option}") };
                assert!(script.text().contains(&wanted), "{shell}: {command} --{option}");
            }
        }
        assert!(!script.text().contains("man-pages"), "{shell} offers what is hidden");
    }
}

/// Bash itself, as it is when somebody presses the tabulator key.
#[test]
fn bash_completes_commands_options_and_their_values() {
    if !has_tool("bash", "bash") {
        return;
    }
    let bench = Bench::new();
    bench.write("out/script", &bench.run(&["completions", "bash"]).succeeds().stdout);
    let completed = |typed: &str| {
        let last = typed.split(' ').next_back().unwrap();
        let before = typed.split(' ').rev().nth(1).unwrap();
        let script = format!(
            ". ./script; COMP_WORDS=({typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _vhdx__export vhdx-export '{last}' '{before}'; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        bench.shell("out", &format!("bash -euc '{}'", script.replace('\'', r"'\''")))
    };
    assert_eq!(completed("vhdx-export ver").trim(), "verify");
    assert_eq!(completed("vhdx-export list --par").trim(), "--parent-dir");
    assert_eq!(completed("vhdx-export tree --format mer").trim(), "mermaid");
}

#[test]
fn every_command_has_a_man_page_with_every_option() {
    let bench = Bench::new();
    bench.run(&["man-pages", "out/man", "--date", "2024-03-05"]).succeeds();
    let told = options_by_command(&bench);
    assert_eq!(std::fs::read_dir(bench.path("out/man")).unwrap().count(), told.len());
    for (command, options) in told {
        let name = format!("vhdx-export {command}").trim_end().replace(' ', "-");
        let page = String::from_utf8(bench.bytes(&format!("out/man/{name}.1"))).unwrap();
        let sections = page.lines().filter_map(|line| line.strip_prefix(".SH "));
        let sections: Vec<_> =
            sections.filter(|name| !matches!(*name, "\"COMMANDS\"" | "\"ARGUMENTS\"")).collect();
        let wanted = "NAME SYNOPSIS DESCRIPTION OPTIONS EXAMPLES EXIT_STATUS ENVIRONMENT SEE_ALSO";
        assert_eq!(sections.join(" ").replace('"', ""), wanted.replace('_', " "), "{name}");
        for option in options {
            let escaped = format!("\\fB\\-\\-{}\\fR", option.replace('-', "\\-"));
            assert!(page.contains(&escaped), "{name}: --{option}");
        }
        assert!(page.contains("\\fBVHDX_EXPORT_SOURCE\\fR"), "{name}");
        assert!(
            page.starts_with(&format!(".TH \"{}\" \"1\" \"2024-03-05\" ", name.to_uppercase())),
            "{page}"
        );
    }
}

#[test]
fn man_pages_are_well_formed() {
    if !has_tool("mandoc", "mandoc") {
        return;
    }
    let bench = Bench::new();
    bench.run(&["man-pages", "out/man", "--date", "2024-03-05"]).succeeds();
    assert_eq!(bench.shell("out/man", "mandoc -T lint *.1"), "");
}

#[test]
fn a_folder_called_like_the_hidden_command_is_not_written_into() {
    let bench = Bench::new();
    bench.run(&["man-pages", "--out", "out/merged.vhdx"]).fails(2);
}
