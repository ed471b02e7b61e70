//! `vhdx-export completions`: a script that lets a shell complete the command line, made from its definitions.

use std::io::{self, Write};

use clap::Command;
use clap_complete::Shell;

use crate::args::CompletionsArgs;
use crate::failure::Failure;
use crate::help;

pub(crate) fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    // Into memory first: the generator has no way to say that nobody reads any more.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut visible(help::command()), "vhdx-export", &mut script);
    if args.shell == Shell::Bash {
        script = with_one_name(&script);
    }
    io::stdout().lock().write_all(&script).map_err(Failure::Output)
}

/// `clap_complete` (4.6.11) finds a command under one name and looks its options up under another, where the program's name
/// has a hyphen in it: nothing below a command would be completed.
fn with_one_name(script: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(script).replace("vhdx__subcmd__export", "vhdx__export").into_bytes()
}

/// The command line without the commands that are hidden, which the generators would offer. clap can not take one out, so
/// those who have one are put together anew, from what the generators look at.
fn visible(command: Command) -> Command {
    if !command.get_subcommands().any(Command::is_hide_set) {
        return command;
    }
    let shown = command.get_subcommands().filter(|below| !below.is_hide_set()).cloned();
    Command::new("vhdx-export")
        .version(env!("CARGO_PKG_VERSION"))
        .args(command.get_arguments())
        .subcommands(shown)
}
