//! `vhdx-export man-pages`: a page for each command, from the definitions that its help is made from.
//!
//! How text becomes roff is for [`roff`]. A page has no date but the one that was given, so that the same program gives the
//! same pages.

mod roff;

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use clap::{Arg, Command};

use self::roff::Roff;
use crate::args::ManPagesArgs;
use crate::failure::Failure;
use crate::help::{self, EXIT_CODES, Example, PAGES};

pub(crate) fn run(args: &ManPagesArgs) -> Result<(), Failure> {
    let folder = args.folder.as_path();
    fs::create_dir_all(folder).map_err(|source| Failure::Folder { path: folder.to_owned(), source })?;
    // `help` is a way to the help, and has none of its own.
    let mut command = help::command().disable_help_subcommand(true);
    command.build();
    write_below(&command, folder, &args.date).map_err(Failure::Output)
}

fn write_below(command: &Command, folder: &Path, date: &str) -> io::Result<()> {
    for below in visible_below(command) {
        write_below(below, folder, date)?;
    }
    fs::write(folder.join(format!("{}.1", title(command))), page(command, date))
}

fn visible_below(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|below| !below.is_hide_set())
}

/// The name of the page: that of the command, with `-` between the words.
fn title(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn page(command: &Command, date: &str) -> String {
    let title = title(command);
    let mut roff = Roff::new(&title, date, concat!("vhdx-export ", env!("CARGO_PKG_VERSION")));
    roff.section("Name");
    roff.text(&format!("{title} - {}", about(command)));
    roff.section("Synopsis");
    roff.literal(synopsis(command).iter().map(String::as_str));
    roff.section("Description");
    roff.paragraphs(&command.get_long_about().map_or_else(|| about(command), ToString::to_string));
    commands(&mut roff, command);
    arguments(&mut roff, command);
    examples(&mut roff, command);
    ending(&mut roff, &title);
    roff.finish()
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

/// The forms of the command as the help has them: a list of thirty options in brackets tells nobody anything.
fn synopsis(command: &Command) -> Vec<String> {
    let usage = command.clone().render_usage().to_string();
    usage.trim_start_matches("Usage:").lines().map(|form| form.trim().to_owned()).collect()
}

fn commands(roff: &mut Roff, command: &Command) {
    let mut below = visible_below(command).peekable();
    if below.peek().is_some() {
        roff.section("Commands");
    }
    for below in below {
        roff.item(&roff::bold(below.get_name()));
        roff.paragraphs(&about(below));
    }
}

/// What is given by place, then the options under the headlines of the help.
fn arguments(roff: &mut Roff, command: &Command) {
    let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let (places, mut options): (Vec<&Arg>, Vec<&Arg>) = shown.partition(|argument| argument.is_positional());
    if !places.is_empty() {
        roff.section("Arguments");
    }
    for place in places {
        explain(roff, place);
    }
    roff.section("Options");
    let mut headlines: Vec<Option<&str>> = Vec::new();
    for option in &options {
        if !headlines.contains(&option.get_help_heading()) {
            headlines.push(option.get_help_heading());
        }
    }
    // Those of every program have none, and come last.
    headlines.sort_by_key(Option::is_none);
    options.sort_by_key(|option| option.get_display_order());
    for headline in headlines {
        roff.subsection(headline.unwrap_or("Help"));
        for option in options.iter().filter(|option| option.get_help_heading() == headline) {
            explain(roff, option);
        }
    }
}

fn explain(roff: &mut Roff, argument: &Arg) {
    let values = argument.get_value_names().unwrap_or_default().iter().map(|name| roff::italic(name));
    let values: Vec<String> =
        if argument.get_action().takes_values() { values.collect() } else { Vec::new() };
    let short = argument.get_short().map(|short| roff::bold(&format!("-{short}")));
    let long = argument.get_long().map(|long| roff::bold(&format!("--{long}")));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    let typed = [names.join(", "), values.join(" ")];
    roff.item(typed.join(" ").trim());
    roff.paragraphs(&explanation(argument));
}

fn explanation(argument: &Arg) -> String {
    let help = argument.get_long_help().or_else(|| argument.get_help());
    let mut text = help.map(ToString::to_string).unwrap_or_default();
    if !argument.get_action().takes_values() {
        return text;
    }
    let values = argument.get_possible_values();
    if !values.is_empty() {
        text += "\n\nPossible values:";
    }
    for value in values.iter().filter(|value| !value.is_hide_set()) {
        let meaning = value.get_help().map(|help| format!(": {help}")).unwrap_or_default();
        let _ = write!(text, "\n  {}{meaning}", value.get_name());
    }
    let defaults: Vec<_> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if !defaults.is_empty() {
        let _ = write!(text, "\n\n[default: {}]", defaults.join(","));
    }
    text
}

fn examples(roff: &mut Roff, command: &Command) {
    let typed = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let Some(page) = help::page(typed) else { return };
    roff.section("Examples");
    for Example { question, lines } in page.examples {
        roff.paragraphs(question);
        roff.literal(lines.iter().copied());
    }
}

fn ending(roff: &mut Roff, own: &str) {
    roff.section("Exit status");
    for (codes, meaning) in EXIT_CODES {
        roff.item(&roff::bold(codes));
        roff.paragraphs(meaning);
    }
    roff.section("Environment");
    for (name, meaning) in ENVIRONMENT {
        roff.item(&roff::bold(name));
        roff.paragraphs(meaning);
    }
    roff.section("See also");
    roff.references(&see_also(own));
}

const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "VHDX_EXPORT_SOURCE",
        "The source of commands that are given none; without it, that is the current folder.",
    ),
    (
        "LC_ALL, LC_CTYPE, LANG",
        "Whether trees are drawn with box characters, as where they name UTF-8, or in ASCII.",
    ),
];

/// All other pages, and programs that read what this one writes.
fn see_also(own: &str) -> Vec<String> {
    let pages = PAGES.iter().map(|page| page.command.replace(' ', "-"));
    let peers = ["bmaptool", "dot", "qemu-img", "sha256sum", "zstd"].map(str::to_owned);
    let mut names: Vec<String> = pages.chain(peers).filter(|name| name != own).collect();
    names.sort();
    names
}
