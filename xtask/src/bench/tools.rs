//! The programs of other people that are measured or that measure: where they are, and which Debian package has them.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A program that may be missing here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Tool {
    SevenZip,
    QemuImg,
    Openssl,
    Zstd,
    Time,
    Valgrind,
    MkfsXfs,
    Mount,
}

impl Tool {
    pub(super) const ALL: [Self; 8] = [
        Self::SevenZip,
        Self::QemuImg,
        Self::Openssl,
        Self::Zstd,
        Self::Time,
        Self::Valgrind,
        Self::MkfsXfs,
        Self::Mount,
    ];

    /// What one types.
    pub(super) fn program(self) -> &'static str {
        match self {
            Self::SevenZip => "7zz",
            Self::QemuImg => "qemu-img",
            Self::Openssl => "openssl",
            Self::Zstd => "zstd",
            Self::Time => "time",
            Self::Valgrind => "valgrind",
            Self::MkfsXfs => "mkfs.xfs",
            Self::Mount => "mount",
        }
    }

    /// The Debian package that has it.
    fn package(self) -> &'static str {
        match self {
            Self::SevenZip => "7zip",
            Self::QemuImg => "qemu-utils",
            Self::Openssl => "openssl",
            Self::Zstd => "zstd",
            Self::Time => "time",
            Self::Valgrind => "valgrind",
            Self::MkfsXfs => "xfsprogs",
            Self::Mount => "mount",
        }
    }

    /// The tools that a command line starts.
    pub(super) fn of(line: &str) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |tool| line.split_whitespace().any(|word| word == tool.program()))
    }

    /// The file, in one of the folders where a shell would look, or where only root's shell would.
    pub(super) fn path(self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let system = [OsStr::new("/usr/sbin").into(), OsStr::new("/sbin").into()];
        let folders = std::env::split_paths(&path).chain(system);
        folders.map(|folder| folder.join(self.program())).find(|file| {
            file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        })
    }

    /// What to say where it is missing; `None` if it is there.
    pub(super) fn missing(self) -> Option<String> {
        let said = || format!("needs {} (Debian package {})", self.program(), self.package());
        self.path().is_none().then(said)
    }

    /// What it says of itself, in its first line.
    pub(super) fn version(self) -> Option<String> {
        let argument = match self {
            Self::SevenZip => None,
            Self::Openssl => Some("version"),
            Self::MkfsXfs => Some("-V"),
            _ => Some("--version"),
        };
        let output = Command::new(self.path()?).args(argument).stdin(Stdio::null()).output().ok()?;
        // GNU time's own goes to standard error.
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        said.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tools_of_a_line_are_those_that_it_starts() {
        let of = |line| Tool::of(line).collect::<Vec<_>>();
        assert_eq!(of("7zz x -so a | zstd -q -o out/a.zst"), [Tool::SevenZip, Tool::Zstd]);
        assert_eq!(of("vhdx-export a.vhdx --out out/zstd.raw.zst"), []);
    }

    #[test]
    fn what_is_missing_is_said_with_its_package() {
        for tool in Tool::ALL {
            match tool.missing() {
                None => assert!(tool.path().is_some_and(|path| path.ends_with(tool.program()))),
                Some(said) => assert!(said.contains(tool.package()), "{said}"),
            }
        }
    }
}
