//! `cargo xtask dist`: what is given to users: an archive, a Debian package, and their checksums.
//!
//! The same source gives the same files: everything in them has one time, that of `SOURCE_DATE_EPOCH` or of the last commit,
//! and nothing tells where or by whom it was built. This file says which files belong in; how each kind of package takes
//! them is for the modules below.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use sha2::{Digest, Sha256};

use crate::{cargo, workspace_root};
use moment::Moment;
use tree::Tree;

mod archive;
mod debian;
mod moment;
mod needs;
mod notices;
mod tree;

/// What to pack, and where to.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The folder that gets the packages [default: target/dist]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Pack this executable instead of building one for release
    #[arg(long, value_name = "PATH")]
    executable: Option<PathBuf>,
}

/// Makes all packages. Returns 0 if they are there, else 1.
pub(crate) fn run(arguments: &Arguments) -> u8 {
    match make(arguments) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("error: {error}");
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                eprintln!("  caused by: {cause}");
                source = cause.source();
            }
            1
        }
    }
}

/// Why there are no packages.
#[derive(Debug, thiserror::Error)]
enum DistError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot start {program}")]
    Start { program: String, source: io::Error },
    #[error("`{program}` failed: {said}")]
    Failed { program: String, said: String },
    #[error("cargo metadata printed something else than expected")]
    Metadata(#[source] serde_json::Error),
    #[error(
        "no time for what is packed: SOURCE_DATE_EPOCH is no number of seconds, or there is neither it nor a commit"
    )]
    NoMoment,
    #[error("no licence text of `{0}` is found; the packages must bring it along")]
    NoNotice(String),
    #[error("the executable is no 64-bit little-endian ELF file")]
    NotElf,
    #[error("the executable needs `{0}`, and no Debian package is known for it")]
    UnknownLibrary(String),
    #[error("no Debian architecture is known for `{0}`")]
    UnknownArchitecture(String),
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What everything is made of.
struct Parts {
    executable: Vec<u8>,
    /// As [`completions`] names them.
    completions: Tree,
    /// `NAME.1`
    man: Tree,
    /// What is read by people, as it lies in the workspace.
    texts: Tree,
    /// Licences of what is linked into the executable.
    notices: String,
    moment: Moment,
}

fn make(arguments: &Arguments) -> Result<(), DistError> {
    let out = arguments.out.clone().unwrap_or_else(|| workspace_root().join("target/dist"));
    let target = target()?;
    let executable = match &arguments.executable {
        Some(executable) => executable.clone(),
        None => build(&target)?,
    };
    let parts = Parts::gather(&executable, &target)?;
    fs::create_dir_all(&out).map_err(|source| DistError::Write { path: out.clone(), source })?;
    let name = format!("vhdx-export-{VERSION}-{target}");
    let mut packages = vec![(format!("{name}.tar.gz"), archive::of(&archived(&parts), &name, parts.moment)?)];
    if is_there("dpkg-deb") {
        packages.push(debian::package(&parts)?);
    } else {
        println!("skipped: the Debian package, for want of dpkg-deb (Debian package dpkg)");
    }
    packages.sort();
    let mut sums = String::new();
    for (name, bytes) in &packages {
        write(&out.join(name), bytes)?;
        let _ = writeln!(sums, "{}  {name}", hex_sha256(bytes));
        println!("{}", out.join(name).display());
    }
    write(&out.join("SHA256SUMS"), sums.as_bytes())
}

impl Parts {
    fn gather(executable: &Path, target: &str) -> Result<Self, DistError> {
        let moment = Moment::of_source()?;
        Ok(Self {
            completions: completions(executable)?,
            man: man_pages(executable, moment)?,
            executable: read(executable)?,
            texts: texts()?,
            notices: notices::of(target)?,
            moment,
        })
    }
}

/// What the archive holds.
fn archived(parts: &Parts) -> Tree {
    let mut tree = parts.texts.clone();
    tree.add_executable("vhdx-export", parts.executable.clone());
    tree.add("THIRD-PARTY-LICENSES", parts.notices.clone().into_bytes());
    tree.add_below("completions", &parts.completions);
    tree.add_below("man", &parts.man);
    tree
}

/// Those that are there: not every one is written yet.
fn texts() -> Result<Tree, DistError> {
    let mut tree = Tree::default();
    for name in
        ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "SECURITY.md", "docs", "deploy"]
    {
        let path = workspace_root().join(name);
        if path.exists() {
            tree.add_from_disk(name, &path)?;
        }
    }
    Ok(tree)
}

/// The scripts under the names that the shells look for, or would take.
fn completions(executable: &Path) -> Result<Tree, DistError> {
    let mut tree = Tree::default();
    for (shell, name) in [
        ("bash", "vhdx-export.bash"),
        ("zsh", "_vhdx-export"),
        ("fish", "vhdx-export.fish"),
        ("powershell", "_vhdx-export.ps1"),
        ("elvish", "vhdx-export.elv"),
    ] {
        tree.add(name, output(Command::new(executable).args(["completions", shell]))?);
    }
    Ok(tree)
}

fn man_pages(executable: &Path, moment: Moment) -> Result<Tree, DistError> {
    let folder = scratch()?;
    output(Command::new(executable).arg("man-pages").arg(folder.path()).args(["--date", &moment.date()]))?;
    let mut tree = Tree::default();
    tree.add_from_disk("", folder.path())?;
    Ok(tree)
}

/// An executable for release without what only a debugger reads, and without the paths of this machine.
fn build(target: &str) -> Result<PathBuf, DistError> {
    let folder = workspace_root().join("target/dist-build");
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let mut remapped = vec![format!("--remap-path-prefix={}=/src", workspace_root().display())];
    remapped.extend(home.map(|home| format!("--remap-path-prefix={}=/cargo", home.display())));
    let mut cargo = cargo();
    cargo
        .args(["build", "--release", "--locked", "--package", "vhdx-export", "--bin", "vhdx-export"])
        .args(["--target", target, "--config", "profile.release.strip=\"symbols\"", "--target-dir"])
        .arg(&folder)
        .env("CARGO_ENCODED_RUSTFLAGS", remapped.join("\u{1f}"));
    let status =
        cargo.status().map_err(|source| DistError::Start { program: "cargo build".into(), source })?;
    if !status.success() {
        return Err(DistError::Failed { program: "cargo build".into(), said: status.to_string() });
    }
    Ok(folder.join(target).join("release/vhdx-export"))
}

/// The target that this toolchain builds for: the machine it runs on.
fn target() -> Result<String, DistError> {
    let said = output(Command::new("rustc").arg("-vV").current_dir(workspace_root()))?;
    let said = String::from_utf8_lossy(&said);
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| DistError::Failed { program: "rustc -vV".into(), said: "no host".into() })
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// What a command prints.
fn output(command: &mut Command) -> Result<Vec<u8>, DistError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|source| DistError::Start { program: program.clone(), source })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(DistError::Failed { program, said });
    }
    Ok(output.stdout)
}

fn read(path: &Path) -> Result<Vec<u8>, DistError> {
    fs::read(path).map_err(|source| DistError::Read { path: path.to_owned(), source })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), DistError> {
    fs::write(path, bytes).map_err(|source| DistError::Write { path: path.to_owned(), source })
}

fn scratch() -> Result<tempfile::TempDir, DistError> {
    tempfile::tempdir().map_err(|source| DistError::Write { path: std::env::temp_dir(), source })
}

fn hex_sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
