//! What a person reads to learn the program: the purpose and the examples of each command, and the exit codes.
//!
//! The options say themselves what they do (`args.rs`). Here the rest is put around them, from one text for the help
//! and for the man pages, so that a command without a text is found by a test.

mod pages;

use std::fmt::Write as _;

use clap::builder::StyledStr;
use clap::{Command, CommandFactory};

pub(crate) use self::pages::{EXIT_CODES, PAGES};
use crate::args::Cli;

/// Which disk, in which state, and where its parts may be.
pub(crate) const WHAT: &str = "What to read";
/// The form and the place of what is written.
pub(crate) const WHERE: &str = "What to write, and where";
/// Digests, and what stands beside an image.
pub(crate) const PROOF: &str = "Proof";
/// What changes the way, and not the bytes.
pub(crate) const HOW: &str = "How to work";
/// What is printed, and how.
pub(crate) const SAID: &str = "How it is said";

/// So many examples fit a screen beside the options.
const IN_SHORT: usize = 5;

/// What is told of one command besides its options.
pub(crate) struct Page {
    /// The command as it is typed, without arguments.
    pub(crate) command: &'static str,
    /// What it is for and what it prints. Paragraphs are apart by an empty line.
    pub(crate) purpose: &'static str,
    /// In the order in which one needs them.
    pub(crate) examples: &'static [Example],
}

/// A question, and the command lines that answer it.
pub(crate) struct Example {
    pub(crate) question: &'static str,
    pub(crate) lines: &'static [&'static str],
}

/// The command line with all that is told of it.
pub(crate) fn command() -> Command {
    let command = with_page(Cli::command(), "");
    let headline = headline(&command, "Examples");
    let lines = PAGES[0].examples.iter().take(IN_SHORT).filter_map(|example| example.lines.first());
    let short = lines.fold(headline, |text, line| text + "\n  " + line);
    command.after_help(StyledStr::from(short))
}

/// The page of a command, by what is typed for it.
pub(crate) fn page(command: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.command == command)
}

/// What is typed for a command below another.
pub(crate) fn full_name(parent: &str, command: &Command) -> String {
    format!("{parent} {}", command.get_name()).trim_start().to_owned()
}

fn with_page(command: Command, parent: &str) -> Command {
    let name = full_name(parent, &command);
    let command = match page(&name) {
        Some(page) => {
            let after = after_options(&command, page, parent.is_empty());
            command.long_about(page.purpose).after_long_help(after)
        }
        None => command,
    };
    command.mut_subcommands(|below| with_page(below, &name))
}

fn after_options(command: &Command, page: &Page, with_codes: bool) -> StyledStr {
    let mut text = headline(command, "Examples");
    for Example { question, lines } in page.examples {
        let _ = write!(text, "\n  {question}");
        for line in *lines {
            let _ = write!(text, "\n    {line}");
        }
        text.push('\n');
    }
    if with_codes {
        let _ = write!(text, "\n{}\n{}", headline(command, "Exit codes"), codes_in_two_columns());
    }
    StyledStr::from(text.trim_end().to_owned())
}

/// Where clap shows colours, a headline looks like clap's own.
fn headline(command: &Command, text: &str) -> String {
    let style = command.get_styles().get_header();
    format!("{style}{text}:{style:#}")
}

fn codes_in_two_columns() -> String {
    let cells: Vec<String> = EXIT_CODES.iter().map(|(code, meaning)| format!("{code} {meaning}")).collect();
    let (left, right) = cells.split_at(cells.len().div_ceil(2));
    let width = left.iter().map(String::len).max().unwrap_or(0);
    let mut text = String::new();
    for (number, cell) in left.iter().enumerate() {
        let beside = right.get(number).map_or("", String::as_str);
        let _ = writeln!(text, "  {}", format!("{cell:<width$}    {beside}").trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command that a person sees, by what is typed for it.
    fn visible(command: &Command, parent: &str) -> Vec<(String, Command)> {
        let name = full_name(parent, command);
        let below = command.get_subcommands().filter(|below| !below.is_hide_set());
        let mut found: Vec<_> = below.flat_map(|below| visible(below, &name)).collect();
        found.push((name, command.clone()));
        found
    }

    /// The arguments of each call of the program in a line of a shell.
    fn calls(line: &str) -> Vec<Vec<String>> {
        let mut commands = vec![vec![String::new()]];
        let mut is_quoted = false;
        for c in line.chars() {
            let words = commands.last_mut().unwrap();
            match c {
                '\'' => is_quoted = !is_quoted,
                ' ' if !is_quoted => words.push(String::new()),
                '|' | '>' | '&' | ';' | '\n' if !is_quoted => commands.push(vec![String::new()]),
                _ => words.last_mut().unwrap().push(c),
            }
        }
        for words in &mut commands {
            words.retain(|word| !word.is_empty());
        }
        commands.retain(|words| words.first().is_some_and(|word| word == "vhdx-export"));
        commands
    }

    #[test]
    fn every_command_has_its_page_and_every_page_its_command() {
        let mut commands: Vec<_> = visible(&command(), "").into_iter().map(|(name, _)| name).collect();
        let mut pages: Vec<_> = PAGES.iter().map(|page| page.command.to_owned()).collect();
        commands.sort();
        pages.sort();
        assert_eq!(commands, pages);
    }

    #[test]
    fn every_example_is_accepted_and_is_of_its_command() {
        for page in PAGES {
            let mut own = 0;
            for example in page.examples {
                let line = example.lines.join("\n").replace("\\\n", " ");
                for words in calls(&line) {
                    let parsed = command().try_get_matches_from(&words);
                    assert!(parsed.is_ok(), "{line}\n{}", parsed.unwrap_err());
                    own += usize::from(words.join(" ").starts_with(page.command));
                }
            }
            assert!(own > 0, "no example of {}", page.command);
        }
    }

    #[test]
    fn examples_fit_80_columns() {
        for page in PAGES {
            for Example { question, lines } in page.examples {
                assert!(question.chars().count() <= 78, "{question}");
                for line in *lines {
                    assert!(line.chars().count() <= 76, "{line}");
                }
            }
        }
    }

    #[test]
    fn every_option_stands_under_a_headline() {
        for (name, command) in visible(&command(), "") {
            for option in command.get_arguments().filter(|argument| !argument.is_positional()) {
                let headline = option.get_help_heading();
                assert!(headline.is_some(), "{name}: --{}", option.get_long().unwrap());
            }
        }
    }

    #[test]
    fn the_short_help_fits_a_screen() {
        for (name, command) in visible(&command(), "") {
            let help = command.term_width(100).render_help().to_string();
            assert!(help.lines().count() <= 50, "{name}: {} lines\n{help}", help.lines().count());
        }
    }
}
