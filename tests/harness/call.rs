//! One run of the executable, and what came of it.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::Bench;
use super::snapshot::Snapshot;

/// Nothing here takes a tenth of that, even on a busy machine: whoever takes longer hangs.
const HANGS_AFTER: Duration = Duration::from_mins(5);

/// A command to be run.
pub(crate) struct Call<'a> {
    bench: &'a Bench,
    command: Command,
    /// The arguments, to begin again behind a wrapper.
    args: Vec<String>,
}

impl<'a> Call<'a> {
    pub(super) fn new(bench: &'a Bench, args: &[&str]) -> Self {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let mut command = Command::new(env!("CARGO_BIN_EXE_vhdx-export"));
        command.args(&args);
        Self { bench, command: prepared(command, bench), args }
    }

    /// Starts the executable through another program, given with its arguments. Before anything else.
    pub(crate) fn within(self, wrapper: &[&str]) -> Self {
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).arg(env!("CARGO_BIN_EXE_vhdx-export")).args(&self.args);
        Self { command: prepared(command, self.bench), ..self }
    }

    /// Sets a variable of the environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts in a folder of the bench.
    pub(crate) fn from(mut self, folder: &str) -> Self {
        self.command.current_dir(self.bench.path(folder));
        self
    }

    /// Gives the executable this as its standard input.
    pub(crate) fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.command.stdin(stdin);
        self
    }

    /// Gives the executable this as its standard output.
    pub(crate) fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.command.stdout(stdout);
        self
    }

    pub(crate) fn run(self) -> Outcome {
        let (mut outcome, stdout) = self.run_reading(|stdout| {
            let mut bytes = Vec::new();
            stdout.read_to_end(&mut bytes).unwrap();
            bytes
        });
        outcome.stdout = stdout;
        outcome
    }

    /// Runs with somebody who reads standard output meanwhile. What is not read is lost.
    pub(crate) fn run_reading<T>(self, read: impl FnOnce(&mut dyn Read) -> T) -> (Outcome, T) {
        let mut running = self.start();
        let read = match running.stdout.take() {
            Some(mut stdout) => read(&mut stdout),
            None => read(&mut std::io::empty()),
        };
        (running.wait(), read)
    }

    /// Starts, and leaves the rest to the test.
    pub(crate) fn start(mut self) -> Running<'a> {
        let sources = Snapshot::of(&self.bench.path("vm"));
        let targets = Snapshot::of(&self.bench.path("out"));
        let mut child = self.command.spawn().unwrap();
        // From here on, whatever the parent's copy of a pipe would keep open is closed.
        let line = format!("{:?}", self.command);
        let stdout = child.stdout.take();
        let stderr = child.stderr.take().map(BufReader::new);
        let (ended, watched) = mpsc::channel::<()>();
        let id = child.id();
        thread::spawn(move || {
            if watched.recv_timeout(HANGS_AFTER) == Err(mpsc::RecvTimeoutError::Timeout) {
                signal(id, "KILL");
            }
        });
        let bench = self.bench;
        Running { bench, child, stdout, stderr, said: String::new(), line, sources, targets, ended }
    }
}

fn prepared(mut command: Command, bench: &Bench) -> Command {
    command
        .current_dir(bench.path(""))
        .env_remove("VHDX_EXPORT_SOURCE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The executable while it runs.
pub(crate) struct Running<'a> {
    bench: &'a Bench,
    child: Child,
    /// Taken by whoever wants to read or close it.
    pub(crate) stdout: Option<ChildStdout>,
    stderr: Option<BufReader<ChildStderr>>,
    said: String,
    line: String,
    sources: Snapshot,
    targets: Snapshot,
    /// Dropped at the end: the watch is over.
    ended: mpsc::Sender<()>,
}

impl Running<'_> {
    /// Waits for the next line on standard error.
    pub(crate) fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.as_mut().unwrap().read_line(&mut line).unwrap();
        self.said += &line;
        line
    }

    /// Sends a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        assert!(signal(self.child.id(), name), "no signal to `{}`", self.line);
    }

    /// Waits for the end.
    pub(crate) fn wait(mut self) -> Outcome {
        if let Some(mut stderr) = self.stderr.take() {
            let mut rest = Vec::new();
            stderr.read_to_end(&mut rest).unwrap();
            self.said += &String::from_utf8_lossy(&rest);
        }
        let status = self.child.wait().unwrap();
        drop(self.ended);
        let outcome = Outcome {
            line: self.line,
            status,
            stdout: Vec::new(),
            stderr: self.said,
            left: self.targets.changes_to(&Snapshot::of(&self.bench.path("out"))),
        };
        let touched = self.sources.changes_to(&Snapshot::of(&self.bench.path("vm")));
        assert!(touched.is_empty(), "sources were touched:\n{touched}\n{}", outcome.told());
        outcome
    }
}

/// Whether the signal could be sent. A shell's `kill` is everywhere; the program may be missing.
fn signal(process: u32, name: &str) -> bool {
    let kill = format!("kill -s {name} {process}");
    Command::new("sh").args(["-c", &kill]).status().is_ok_and(|status| status.success())
}

/// How a run ended and what it said.
#[derive(Debug)]
pub(crate) struct Outcome {
    line: String,
    status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    /// What changed in the folder of targets.
    left: String,
}

impl Outcome {
    /// Exit code 0.
    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert!(self.status.success(), "expected success\n{}", self.told());
        self
    }

    /// That exit code, a message in the form of all messages, nothing on standard output, and the folder of targets as
    /// it was.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "\n{}", self.told());
        assert!(self.stderr.lines().any(|line| line.starts_with("error: ")), "no message\n{}", self.told());
        assert!(self.stdout.is_empty(), "output in spite of failure\n{}", self.told());
        self.leaves_nothing()
    }

    /// [`Self::fails`], where more than one code is right.
    #[track_caller]
    pub(crate) fn fails_with_one_of(self, codes: &[i32]) -> Self {
        let code = self.status.code().filter(|code| codes.contains(code));
        let Some(code) = code else { panic!("expected one of {codes:?}\n{}", self.told()) };
        self.fails(code)
    }

    /// An end by the program itself that has that code, whatever it said.
    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "\n{}", self.told());
        self
    }

    /// An end by a signal that nobody can catch.
    #[track_caller]
    pub(crate) fn killed(self) -> Self {
        assert_eq!(self.status.signal(), Some(9), "\n{}", self.told());
        self
    }

    /// The exit code, if it was an end by the program itself.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Whether it was an end by that signal.
    pub(crate) fn is_killed(&self) -> bool {
        self.status.signal() == Some(9)
    }

    /// The folder of targets is as it was.
    #[track_caller]
    pub(crate) fn leaves_nothing(self) -> Self {
        assert!(self.left.is_empty(), "left behind:\n{}\n{}", self.left, self.told());
        self
    }

    /// Every one of the texts on standard error.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stderr.contains(text), "nothing of `{text}`\n{}", self.told());
        }
        self
    }

    /// Nothing of the text on standard error.
    #[track_caller]
    pub(crate) fn says_nothing_of(self, text: &str) -> Self {
        assert!(!self.stderr.contains(text), "speaks of `{text}`\n{}", self.told());
        self
    }

    /// Standard output as text.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{}", self.told()))
    }

    fn told(&self) -> String {
        let stdout = String::from_utf8_lossy(&self.stdout[..self.stdout.len().min(4000)]);
        format!("{}\n{}\nstderr:\n{}\nstdout:\n{stdout}", self.line, self.status, self.stderr)
    }
}
