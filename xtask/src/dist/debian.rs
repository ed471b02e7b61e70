//! The Debian package, as `dpkg-deb` builds it of a folder: files where Debian looks for them, and what is said of them.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::archive::gzip;
use super::moment::Moment;
use super::tree::Tree;
use super::{DistError, Parts, PathBuf, VERSION, needs, output, read, scratch};

const MAINTAINER: &str = "vhdx-export developers <noreply@example.org>";

/// The package with its name.
pub(super) fn package(parts: &Parts) -> Result<(String, Vec<u8>), DistError> {
    let architecture = architecture(std::env::consts::ARCH)?;
    let mut tree = installed(parts)?;
    let control = control(parts, &tree, architecture)?;
    tree.add("DEBIAN/md5sums", md5sums(&tree)?);
    tree.add("DEBIAN/control", control.into_bytes());
    let name = format!("vhdx-export_{VERSION}_{architecture}.deb");
    Ok((name, built(&tree, parts.moment)?))
}

fn architecture(machine: &str) -> Result<&'static str, DistError> {
    match machine {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        "riscv64" => Ok("riscv64"),
        other => Err(DistError::UnknownArchitecture(other.to_owned())),
    }
}

/// Where everything lies once it is installed.
fn installed(parts: &Parts) -> Result<Tree, DistError> {
    let mut tree = Tree::default();
    tree.add_executable("usr/bin/vhdx-export", parts.executable.clone());
    for (from, to) in [
        ("vhdx-export.bash", "usr/share/bash-completion/completions/vhdx-export"),
        ("_vhdx-export", "usr/share/zsh/vendor-completions/_vhdx-export"),
        ("vhdx-export.fish", "usr/share/fish/vendor_completions.d/vhdx-export.fish"),
    ] {
        if let Some(script) = parts.completions.get(from) {
            tree.add(to, script.bytes.clone());
        }
    }
    for (name, page) in parts.man.iter() {
        tree.add(&format!("usr/share/man/man1/{name}.gz"), compressed(&page.bytes)?);
    }
    for (name, text) in parts.texts.iter() {
        // The licences are in `copyright`; what is for a system to run is an example here.
        match name {
            "LICENSE-APACHE" | "LICENSE-MIT" => {}
            _ => {
                let place = name.strip_prefix("deploy/").map(|name| format!("examples/{name}"));
                let place = place.unwrap_or_else(|| name.to_owned());
                tree.add(&format!("usr/share/doc/vhdx-export/{place}"), text.bytes.clone());
            }
        }
    }
    tree.add("usr/share/doc/vhdx-export/copyright", copyright(parts).into_bytes());
    let changelog = changelog(parts.moment);
    tree.add("usr/share/doc/vhdx-export/changelog.gz", compressed(changelog.as_bytes())?);
    let notices = compressed(parts.notices.as_bytes())?;
    tree.add("usr/share/doc/vhdx-export/THIRD-PARTY-LICENSES.gz", notices);
    Ok(tree)
}

fn compressed(bytes: &[u8]) -> Result<Vec<u8>, DistError> {
    gzip(bytes).map_err(|source| DistError::Write { path: PathBuf::from("a file of the package"), source })
}

fn control(parts: &Parts, tree: &Tree, architecture: &str) -> Result<String, DistError> {
    // As dpkg-gencontrol counts: each file in whole KiB.
    let size: usize = tree.iter().map(|(_, entry)| entry.bytes.len().div_ceil(1024)).sum();
    let depends =
        needs::of(&parts.executable)?.map(|needs| format!("Depends: {needs}\n")).unwrap_or_default();
    Ok(format!(
        "Package: vhdx-export\nVersion: {VERSION}\nArchitecture: {architecture}\nMaintainer: {MAINTAINER}\n\
         Installed-Size: {size}\n{depends}Section: utils\nPriority: optional\n\
         Description: flattens Hyper-V checkpoints (VHDX, AVHDX) into one image\n \
         Reads the folder of a Hyper-V VM, or a backup copy of one, and writes the\n \
         disk as of one checkpoint into a single VHDX, raw or compressed image, or\n \
         onto a block device, without Hyper-V and without touching the source.\n .\n \
         Each image comes with digests and a manifest, by which a restored copy can\n \
         be verified anywhere. Other commands list the checkpoints of a folder, say\n \
         what is wrong with it, and digest disks without writing anything.\n"
    ))
}

fn copyright(parts: &Parts) -> String {
    let mit = parts.texts.get("LICENSE-MIT").map(|entry| String::from_utf8_lossy(&entry.bytes).into_owned());
    let mit = mit.unwrap_or_default();
    let holder = mit.lines().find_map(|line| line.strip_prefix("Copyright (c) ")).unwrap_or_default();
    let terms = mit.lines().skip_while(|line| !line.starts_with("Permission"));
    let terms: Vec<String> =
        terms.map(|line| if line.is_empty() { " .".to_owned() } else { format!(" {line}") }).collect();
    format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: vhdx-export\n\
         Comment: The licences of what the executable is linked with are in\n \
         /usr/share/doc/vhdx-export/THIRD-PARTY-LICENSES.gz.\n\n\
         Files: *\nCopyright: {holder}\nLicense: Expat or Apache-2.0\n\n\
         License: Expat\n{}\n\nLicense: Apache-2.0\n \
         On Debian systems, the text of the Apache License 2.0 is in\n \
         /usr/share/common-licenses/Apache-2.0.\n",
        terms.join("\n")
    )
}

fn changelog(moment: Moment) -> String {
    format!(
        "vhdx-export ({VERSION}) unstable; urgency=medium\n\n  * What has changed is in CHANGELOG.md.\n\n \
         -- {MAINTAINER}  {}\n",
        moment.rfc_2822()
    )
}

/// What `dpkg --verify` compares with. No crate of the project knows MD5, but where there is dpkg there is md5sum.
fn md5sums(tree: &Tree) -> Result<Vec<u8>, DistError> {
    let folder = scratch()?;
    lay_out(tree, folder.path(), None)?;
    let names = tree.iter().map(|(name, _)| name);
    output(Command::new("md5sum").arg("--").args(names).current_dir(folder.path()))
}

fn built(tree: &Tree, moment: Moment) -> Result<Vec<u8>, DistError> {
    let folder = scratch()?;
    let (root, package) = (folder.path().join("root"), folder.path().join("package.deb"));
    lay_out(tree, &root, Some(moment))?;
    output(
        Command::new("dpkg-deb")
            .args(["--root-owner-group", "-Zxz", "--build"])
            .args([&root, &package])
            .env("SOURCE_DATE_EPOCH", moment.seconds().to_string())
            // xz cuts what it compresses into parts where there are several threads.
            .env("DPKG_DEB_THREADS_MAX", "1"),
    )?;
    read(&package)
}

/// Writes the files below `root`, with the modes of the tree, whatever the umask, and all folders alike.
fn lay_out(tree: &Tree, root: &Path, moment: Option<Moment>) -> Result<(), DistError> {
    for (name, entry) in tree.iter() {
        let path = root.join(name);
        let written = || -> io::Result<()> {
            fs::create_dir_all(path.parent().unwrap_or(root))?;
            fs::write(&path, &entry.bytes)?;
            finish(&path, entry.mode, moment)
        };
        written().map_err(|source| DistError::Write { path: path.clone(), source })?;
    }
    finish_folders(root, moment).map_err(|source| DistError::Write { path: root.to_owned(), source })
}

fn finish_folders(folder: &Path, moment: Option<Moment>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            finish_folders(&entry.path(), moment)?;
        }
    }
    finish(folder, 0o755, moment)
}

fn finish(path: &Path, mode: u32, moment: Option<Moment>) -> io::Result<()> {
    set_mode(path, mode)?;
    match moment {
        Some(moment) => {
            File::open(path)?.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(moment.seconds()))
        }
        None => Ok(()),
    }
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) -> io::Result<()> {
    Ok(())
}
