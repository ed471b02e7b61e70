//! `cargo xtask dist`, judged by the programs that users unpack, install and compare with.
//!
//! It packs the executable of this build, without what only a debugger reads, so that nothing is built for it.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "clippy.toml lets tests unwrap, but not the functions they share")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// 5 March 2024, 08:30 UTC.
const MOMENT: &str = "1709627400";

/// Two sets of packages, made at different times in different circumstances.
struct Packed {
    root: TempDir,
}

impl Packed {
    /// `None`, said aloud, where the executable is not built: `cargo test --workspace` does.
    fn new() -> Option<Self> {
        let built = Path::new(env!("CARGO_BIN_EXE_xtask")).with_file_name("vhdx-export");
        if !built.is_file() {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "CI builds {}", built.display());
            eprintln!("skipped: what cargo xtask dist packs: {} is not built", built.display());
            return None;
        }
        let packed = Self { root: tempfile::tempdir().unwrap() };
        let executable = packed.path("executable");
        fs::copy(&built, &executable).unwrap();
        // Without it the test takes longer, and that is all.
        let _ = Command::new("strip").arg(&executable).status();
        packed.pack("one", "022");
        packed.pack("two", "077");
        Some(packed)
    }

    fn pack(&self, out: &str, umask: &str) {
        let output = Command::new("sh")
            .args(["-c", &format!("umask {umask}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_xtask"), "dist"])
            .arg("--executable")
            .arg(self.path("executable"))
            .arg("--out")
            .arg(self.path(out))
            .env("SOURCE_DATE_EPOCH", MOMENT)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// What a script of the shell prints that is run in the folder, and succeeds.
    #[track_caller]
    fn shell(&self, script: &str) -> String {
        let output: Output =
            Command::new("sh").args(["-euc", script]).current_dir(self.root.path()).output().unwrap();
        assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// One test, so that everything is packed twice and no more.
#[test]
fn packages_are_whole_installable_and_reproducible() {
    let Some(packed) = Packed::new() else { return };
    packed.shell("cd one && sha256sum --strict --quiet -c SHA256SUMS && test $(wc -l < SHA256SUMS) = $(ls | grep -vc SHA)");
    assert_eq!(packed.shell("diff -r one two"), "");
    the_archive_holds_everything(&packed);
    if Command::new("dpkg-deb").arg("--version").output().is_ok() {
        the_package_says_what_it_is(&packed);
        the_package_installs(&packed);
    } else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI must not skip the Debian package");
        eprintln!("skipped: the Debian package, for want of dpkg-deb");
    }
}

fn the_archive_holds_everything(packed: &Packed) {
    packed.shell("mkdir archive && tar -xzf one/*.tar.gz -C archive --strip-components 1");
    let version = packed.shell("archive/vhdx-export --version");
    assert_eq!(version.trim(), concat!("vhdx-export ", env!("CARGO_PKG_VERSION")));
    let names = packed.shell("cd archive && find . -type f");
    for name in [
        "./README.md",
        "./CHANGELOG.md",
        "./LICENSE-MIT",
        "./LICENSE-APACHE",
        "./THIRD-PARTY-LICENSES",
        "./docs/manifest.md",
        "./man/vhdx-export.1",
        "./man/vhdx-export-verify.1",
        "./completions/vhdx-export.bash",
        "./completions/_vhdx-export",
        "./completions/vhdx-export.fish",
    ] {
        assert!(names.lines().any(|line| line == name), "{name} is missing:\n{names}");
    }
    let listed = packed.shell("TZ=UTC tar -tvzf one/*.tar.gz");
    for line in listed.lines() {
        assert!(line.contains(" 0/0 ") && line.contains(" 2024-03-05 08:30 "), "{line}");
    }
    assert!(packed.shell("cat archive/man/vhdx-export.1").contains("\"2024-03-05\""));
    // What is linked in asks for that.
    let notices = packed.shell("cat archive/THIRD-PARTY-LICENSES");
    for package in ["\nclap ", "\nzstd-sys ", "\nliblzma-sys ", "\nuuid "] {
        assert!(notices.contains(package), "{package}");
    }
    assert!(!notices.contains("\nproptest "), "tests are not linked in");
}

fn the_package_says_what_it_is(packed: &Packed) {
    let field = |name: &str| packed.shell(&format!("dpkg-deb --field one/*.deb {name}")).trim().to_owned();
    assert_eq!(field("Package"), "vhdx-export");
    assert_eq!(field("Version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(
        format!("vhdx-export_{}_{}.deb\n", field("Version"), field("Architecture")),
        packed.shell("cd one && ls *.deb")
    );
    let size: u64 = field("Installed-Size").parse().unwrap();
    assert!(size >= fs::metadata(packed.path("executable")).unwrap().len() / 1024, "{size}");
    assert!(field("Depends").starts_with("libc6 (>= 2."), "{}", field("Depends"));
    packed.shell("dpkg-deb --info one/*.deb");
    for line in packed.shell("TZ=UTC dpkg-deb --contents one/*.deb").lines() {
        assert!(line.contains(" root/root ") && line.contains(" 2024-03-05 08:30 "), "{line}");
        let mode = if line.starts_with('d') || line.ends_with("/usr/bin/vhdx-export") {
            "rwxr-xr-x"
        } else {
            "rw-r--r--"
        };
        assert_eq!(&line[1..10], mode, "{line}");
    }
}

fn the_package_installs(packed: &Packed) {
    packed.shell("dpkg-deb --extract one/*.deb installed && dpkg-deb --control one/*.deb control");
    let version = packed.shell("installed/usr/bin/vhdx-export --version");
    assert_eq!(version.trim(), concat!("vhdx-export ", env!("CARGO_PKG_VERSION")));
    packed.shell("cd installed && md5sum --quiet --strict -c ../control/md5sums");
    packed.shell("bash -n installed/usr/share/bash-completion/completions/vhdx-export");
    let unpacked = packed.shell("for page in archive/man/*; do gzip -dc installed/usr/share/man/man1/${page##*/}.gz | cmp - $page; done");
    assert_eq!(unpacked, "");
    for (installed, archived) in [
        ("bash-completion/completions/vhdx-export", "vhdx-export.bash"),
        ("zsh/vendor-completions/_vhdx-export", "_vhdx-export"),
        ("fish/vendor_completions.d/vhdx-export.fish", "vhdx-export.fish"),
    ] {
        packed.shell(&format!("cmp installed/usr/share/{installed} archive/completions/{archived}"));
    }
    // A name or a time in one of these would differ from build to build.
    let headers = packed.shell("for file in $(find installed -name '*.gz'); do od -An -tx1 -N8 $file; done");
    assert!(headers.lines().all(|header| header.trim() == "1f 8b 08 00 00 00 00 00"), "{headers}");
    assert!(
        packed
            .shell("gzip -dc installed/usr/share/doc/vhdx-export/changelog.gz")
            .contains("Tue, 05 Mar 2024 08:30:00 +0000")
    );
    assert!(
        packed
            .shell("cat installed/usr/share/doc/vhdx-export/copyright")
            .contains("License: Expat or Apache-2.0")
    );
}

#[test]
fn what_is_no_executable_is_not_packed() {
    let root = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["dist", "--executable", "/nowhere/vhdx-export", "--out"])
        .arg(root.path().join("out"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("cannot start /nowhere/vhdx-export"),
        "{output:?}"
    );
    assert!(!root.path().join("out").exists());
}
