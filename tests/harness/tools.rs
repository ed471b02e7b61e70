//! Programs of other people that tests ask, and what is done where one is missing: said aloud, or refused in CI.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write as _;
use std::process::{Command, Stdio};

use vhdx_format::forge::random::Random;

/// Prints a line that is seen even if the test passes: the test runner holds back what `eprintln!` prints.
pub(crate) fn note(line: &str) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Says that something was not tested.
pub(crate) fn skipped(what: &str) {
    note(&format!("skipped: {what}"));
}

/// Randomness that differs from run to run. The seed is said; `VHDX_EXPORT_SEED` gives it again.
pub(crate) fn random(test: &str) -> Random {
    let given = std::env::var("VHDX_EXPORT_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seed = given.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    note(&format!("{test}: VHDX_EXPORT_SEED={seed}"));
    Random::new(seed)
}

/// Whether a program can be started. In CI it must be there.
pub(crate) fn has_tool(name: &str, package: &str) -> bool {
    let started = Command::new(name)
        .arg("--help")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !started {
        let missing = format!("what {name} (Debian package {package}) says: it is not installed");
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI must not skip {missing}");
        skipped(&missing);
    }
    started
}

/// Whether a command succeeds; what it says is not shown.
pub(crate) fn succeeds(command: &[&str]) -> bool {
    let output = Command::new(command[0]).args(&command[1..]).stdin(Stdio::null()).output();
    output.is_ok_and(|output| output.status.success())
}

/// A way to take something from the executable that a test would otherwise have.
#[derive(Clone, Copy)]
pub(crate) enum Confinement {
    /// The right to read and write whatever root may: permissions then hold for root, too.
    NoPrivilege,
    /// The outside: mounts are seen by the executable alone, and go with it.
    OwnMounts,
    /// The same, for file systems on devices, which takes root.
    OwnDeviceMounts,
}

impl Confinement {
    /// The program that does it, or `None`, said aloud, where this machine does not let us.
    pub(crate) fn wrapper(self, test: &str) -> Option<&'static [&'static str]> {
        let (wrapper, probe): (&[&str], &[&str]) = match self {
            Self::NoPrivilege if !is_root() => (&["env"], &["true"]),
            Self::NoPrivilege => (&["setpriv", UNPRIVILEGED], &["setpriv", UNPRIVILEGED, "true"]),
            Self::OwnMounts => (
                &["unshare", "--map-root-user", "--mount"],
                &["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"],
            ),
            Self::OwnDeviceMounts => {
                (&["unshare", "--mount"], &["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"])
            }
        };
        if succeeds(probe) {
            return Some(wrapper);
        }
        skipped(&format!("{test}: this machine does not allow `{}`", wrapper.join(" ")));
        None
    }
}

const UNPRIVILEGED: &str = "--bounding-set=-dac_override,-dac_read_search";

fn is_root() -> bool {
    // A new file belongs to whoever made it.
    use std::os::unix::fs::MetadataExt;
    tempfile::tempfile().unwrap().metadata().unwrap().uid() == 0
}
