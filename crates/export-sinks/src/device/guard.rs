//! Who would be harmed if a device were written: what Linux tells of it in `/proc` and `/sys`.
//!
//! It does not tell of everybody. Mounts are those of this mount namespace, processes those that this user may look at.
//! Opening the device exclusively (`block.rs`) keeps out whoever opens it that way, which are mounts, swap space and what
//! is built on it in any namespace, but not who just opens it.

use std::fs;
use std::path::{Path, PathBuf};

use super::made_of::{self, DeviceNumber, Node, entries, look, look_if_any, path_of};
use super::openers::opener;
use super::{DeviceError, Usage};
use crate::{FileIdentity, SinkError};

/// Where the kernel tells of devices.
pub(super) struct System {
    proc: PathBuf,
    sys: PathBuf,
}

impl System {
    /// The one that this program runs on.
    pub(super) fn running() -> Self {
        Self { proc: "/proc".into(), sys: made_of::SYS.into() }
    }

    /// Refuses a device that is a source, that is in use as far as can be learnt, or that is read-only.
    pub(super) fn check(
        &self,
        device: &Path,
        number: DeviceNumber,
        forbidden: &[FileIdentity],
    ) -> Result<(), SinkError> {
        let node = Node::of(&self.sys, number)?;
        let parts = node.parts()?;
        if self.is_source(std::iter::once(&node).chain(&parts), forbidden)? {
            return Err(DeviceError::IsSource(device.to_owned()).into());
        }
        let whole = node.whole()?;
        let mounts = look(&self.proc.join("self/mountinfo"), |path| fs::read(path))?;
        let swaps = look_if_any(&self.proc.join("swaps"), |path| fs::read(path))?.unwrap_or_default();
        let used: Vec<&Node> = std::iter::once(&node).chain(&parts).chain(&whole).collect();
        let in_use = |by: &Node, usage| {
            let part = (by.number != number).then(|| by.name());
            DeviceError::InUse { device: device.to_owned(), part, usage }
        };
        for by in &used {
            if let Some(usage) = usage(by, &mounts, &swaps)? {
                return Err(in_use(by, usage).into());
            }
        }
        if let Some((by, usage)) = opener(&self.proc, &used) {
            return Err(in_use(by, usage).into());
        }
        if look_if_any(&node.directory.join("ro"), |path| fs::read(path))?
            .is_some_and(|ro| ro.starts_with(b"1"))
        {
            return Err(DeviceError::ReadOnly(device.to_owned()).into());
        }
        Ok(())
    }

    /// Whether one of the devices may have bytes in common with a source.
    fn is_source<'a>(
        &self,
        devices: impl Iterator<Item = &'a Node>,
        sources: &[FileIdentity],
    ) -> Result<bool, SinkError> {
        let mut read = Vec::new();
        for source in sources {
            read.extend(made_of::strata(&self.sys, source)?);
        }
        if read.is_empty() {
            return Ok(false);
        }
        for device in devices {
            let written = made_of::strata(&self.sys, &device.identity())?;
            if written.iter().any(|one| read.iter().any(|other| one.meets(other))) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn usage(of: &Node, mounts: &[u8], swaps: &[u8]) -> Result<Option<Usage>, SinkError> {
    if let Some(path) = mounted_at(mounts, of.number) {
        return Ok(Some(Usage::MountedAt(path)));
    }
    if is_swap(swaps, of.number) {
        return Ok(Some(Usage::Swap));
    }
    let mut holders = entries(&of.directory.join("holders"))?.into_iter();
    let holder = holders.next().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    Ok(holder.map(Usage::HeldBy))
}

/// Where the device is mounted, as `/proc/self/mountinfo` says: fields, up to a dash, then the type and the source.
///
/// The third field is the number of the file system. Some (btrfs) have one that belongs to no device; there the source
/// tells.
fn mounted_at(mounts: &[u8], number: DeviceNumber) -> Option<PathBuf> {
    let wanted = number.to_string();
    mounts.split(|&byte| byte == b'\n').find_map(|line| {
        let mut fields = line.split(|&byte| byte == b' ');
        let of = fields.nth(2)?;
        let point = fields.nth(1)?;
        let source = fields.skip_while(|field| *field != b"-").nth(2);
        let from =
            || source.is_some_and(|source| source.starts_with(b"/") && number.is_at(&unescaped(source)));
        (of == wanted.as_bytes() || of.starts_with(b"0:") && from()).then(|| unescaped(point))
    })
}

/// Whether `/proc/swaps` names the device; the first line is a heading.
fn is_swap(swaps: &[u8], number: DeviceNumber) -> bool {
    let mut lines = swaps.split(|&byte| byte == b'\n').skip(1);
    lines.any(|line| {
        let name = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        !name.is_empty() && number.is_at(&unescaped(name))
    })
}

/// A path in which some bytes are written as a backslash and three octal digits.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, behind)) = rest.split_first() {
        let code = behind.get(..3).filter(|_| byte == b'\\').and_then(octal);
        path.push(code.unwrap_or(byte));
        rest = if code.is_some() { behind.get(3..).unwrap_or_default() } else { behind };
    }
    path_of(path)
}

fn octal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    /// A system with the disk sda (8:0), its partitions sda1 and sda2, the loop devices loop8 (7:8) and loop9 (7:9), and
    /// the volumes dm-3 (253:3) and dm-4 (253:4).
    struct Forged {
        directory: TempDir,
        system: System,
    }

    impl Forged {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let system = System { proc: directory.path().join("proc"), sys: directory.path().join("sys") };
            let forged = Self { directory, system };
            forged.write("proc/self/mountinfo", "22 27 0:21 / /proc rw,relatime - proc proc rw\n");
            for (number, path) in [
                ("8:0", "sda"),
                ("8:1", "sda/sda1"),
                ("8:2", "sda/sda2"),
                ("7:8", "loop8"),
                ("7:9", "loop9"),
                ("253:3", "dm-3"),
                ("253:4", "dm-4"),
            ] {
                forged.add(number, path);
                if path.contains('/') {
                    forged.write(&format!("sys/block/{path}/partition"), "1\n");
                }
            }
            forged
        }

        fn add(&self, number: &str, path: &str) {
            self.write(&format!("sys/block/{path}/dev"), &format!("{number}\n"));
            self.link(&format!("sys/dev/block/{number}"), &self.at(&format!("sys/block/{path}")));
        }

        fn at(&self, path: &str) -> PathBuf {
            self.directory.path().join(path)
        }

        fn link(&self, path: &str, to: &Path) {
            fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
            symlink(to, self.at(path)).unwrap();
        }

        fn show(&self, name: &str, shown: &Path) {
            let text = format!("{}\n", shown.display());
            self.write(&format!("sys/block/{name}/loop/backing_file"), &text);
        }

        fn put_onto(&self, volume: &str, below: &str) {
            let name = below.rsplit('/').next().unwrap();
            self.link(&format!("sys/block/{volume}/slaves/{name}"), &self.at(&format!("sys/block/{below}")));
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn mount(&self, number: &str, point: &str) {
            let line = format!("36 35 {number} / {point} rw,noatime master:1 - ext4 /dev/root rw\n");
            self.write("proc/self/mountinfo", &line);
        }

        #[track_caller]
        fn assert(&self, number: &str, expected: &str) {
            self.assert_with(number, &[], expected);
        }

        #[track_caller]
        fn assert_with(&self, number: &str, forbidden: &[FileIdentity], expected: &str) {
            let found = self.system.check(Path::new("/dev/it"), number.parse().unwrap(), forbidden);
            let found = found.map_or_else(|error| error.to_string(), |()| "free".to_owned());
            assert_eq!(found, expected);
        }
    }

    fn device(number: &str) -> FileIdentity {
        FileIdentity::of_device(number.parse::<DeviceNumber>().unwrap().0)
    }

    #[test]
    fn a_device_that_nobody_uses_is_free() {
        let forged = Forged::new();
        for number in ["8:0", "8:1", "7:9", "253:3"] {
            forged.assert_with(number, &[device("7:8")], "free");
        }
    }

    #[test]
    fn a_mounted_partition_stops_its_disk_and_not_its_neighbour() {
        let forged = Forged::new();
        forged.mount("8:1", "/with\\040space");
        forged.assert("8:1", "`/dev/it` is mounted at `/with space`");
        forged.assert("8:0", "`/dev/it` is in use: sda1 is mounted at `/with space`");
        forged.assert("8:2", "free");
    }

    #[test]
    fn a_mounted_disk_stops_its_partitions() {
        let forged = Forged::new();
        forged.mount("8:0", "/data");
        forged.assert("8:0", "`/dev/it` is mounted at `/data`");
        forged.assert("8:2", "`/dev/it` is in use: sda is mounted at `/data`");
    }

    #[test]
    fn who_is_built_on_a_device_is_named() {
        let forged = Forged::new();
        forged.write("sys/block/sda/sda2/holders/dm-3", "");
        forged.assert("8:2", "`/dev/it` is held by dm-3");
        forged.assert("8:0", "`/dev/it` is in use: sda2 is held by dm-3");
        forged.assert("8:1", "free");
    }

    #[test]
    fn a_read_only_device_is_refused() {
        let forged = Forged::new();
        forged.write("sys/block/sda/ro", "1\n");
        forged.assert("8:0", "`/dev/it` is read-only");
    }

    #[test]
    fn a_device_is_a_source_with_all_that_shares_its_bytes() {
        let forged = Forged::new();
        let refused = "`/dev/it` is one of the sources";
        for number in ["8:0", "8:1"] {
            forged.assert_with(number, &[device("8:1")], refused);
        }
        forged.assert_with("8:2", &[device("8:1")], "free");
        for number in ["8:0", "8:1", "8:2"] {
            forged.assert_with(number, &[device("8:0")], refused);
        }
    }

    #[test]
    fn a_loop_device_is_the_file_it_shows_also_from_above() {
        let forged = Forged::new();
        forged.write("image", "");
        let image = forged.at("image");
        forged.show("loop9", &image);
        forged.put_onto("dm-3", "loop9");
        let identity = FileIdentity::of(&image).unwrap();
        for number in ["7:9", "253:3"] {
            forged.assert_with(number, std::slice::from_ref(&identity), "`/dev/it` is one of the sources");
            forged.assert_with(number, &[device("8:0")], "free");
        }
        fs::remove_file(&image).unwrap();
        let unknown = format!(
            "cannot look at `{}`, which loop9 is made of: it may be source and target at once",
            image.display()
        );
        for (target, source) in [("7:9", identity), ("8:0", device("7:9")), ("8:0", device("253:3"))] {
            forged.assert_with(target, &[source], &unknown);
        }
        forged.assert("7:9", "free");
    }

    #[test]
    fn what_shows_a_file_is_what_else_shows_it() {
        let forged = Forged::new();
        forged.write("image", "");
        forged.show("loop8", &forged.at("image"));
        forged.show("loop9", &forged.at("image"));
        forged.put_onto("dm-3", "loop9");
        for (target, source) in [("7:8", "7:9"), ("7:9", "7:8"), ("7:8", "253:3"), ("253:3", "7:8")] {
            forged.assert_with(target, &[device(source)], "`/dev/it` is one of the sources");
        }
        forged.write("other", "");
        forged.show("loop8", &forged.at("other"));
        forged.assert_with("7:8", &[device("7:9")], "free");
    }

    #[test]
    fn what_a_source_is_made_of_is_a_source() {
        let forged = Forged::new();
        forged.put_onto("dm-3", "sda/sda2");
        for target in ["8:2", "8:0"] {
            forged.assert_with(target, &[device("253:3")], "`/dev/it` is one of the sources");
        }
        forged.assert_with("8:1", &[device("253:3")], "free");
    }

    #[test]
    fn shares_of_one_device_are_not_each_other() {
        let forged = Forged::new();
        forged.write("image", "");
        forged.show("loop9", &forged.at("image"));
        for volume in ["dm-3", "dm-4"] {
            forged.put_onto(volume, "loop9");
            forged.put_onto(volume, "sda/sda2");
        }
        forged.assert_with("253:3", &[device("253:4")], "free");
    }

    #[test]
    fn a_loop_device_that_shows_a_device_is_that_device() {
        let Some((path, number)) = any_node() else { return };
        let forged = Forged::new();
        forged.add(&number.to_string(), "sdz");
        forged.show("loop9", &path);
        forged.put_onto("dm-3", "loop9");
        let node = FileIdentity::of_device(number.0);
        for (target, source) in [
            ("7:9", node.clone()),
            ("253:3", node),
            (&*number.to_string(), device("7:9")),
            (&*number.to_string(), device("253:3")),
        ] {
            forged.assert_with(target, &[source], "`/dev/it` is one of the sources");
        }
    }

    #[test]
    fn another_process_that_has_a_device_open_is_named() {
        let Some((path, number)) = any_node() else { return };
        let forged = Forged::new();
        forged.add(&number.to_string(), "sdz");
        forged.write("proc/4711/comm", "qemu\n");
        forged.write("proc/4712/comm", "may not be looked at\n");
        forged.link("proc/4711/fd/0", Path::new("/dev/null"));
        forged.assert(&number.to_string(), "free");
        forged.link("proc/4711/fd/3", &path);
        forged.assert(&number.to_string(), "`/dev/it` is open in qemu (process 4711)");
        forged.assert("8:0", "free");
        forged.write("sys/block/sda/sda3/dev", &format!("{number}\n"));
        forged.write("sys/block/sda/sda3/partition", "3\n");
        forged.assert("8:0", "`/dev/it` is in use: sda3 is open in qemu (process 4711)");
        let own = format!("proc/{}", std::process::id());
        fs::rename(forged.at("proc/4711"), forged.at(&own)).unwrap();
        forged.assert("8:0", "free");
    }

    /// Nothing is done to it.
    fn any_node() -> Option<(PathBuf, DeviceNumber)> {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        let nodes = fs::read_dir("/dev").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
        let mut devices = nodes.filter_map(|path| {
            let found = fs::symlink_metadata(&path).ok()?;
            found.file_type().is_block_device().then(|| (path, DeviceNumber::of(found.rdev())))
        });
        let any = devices.next();
        if any.is_none() {
            let _ = writeln!(
                io::stderr(),
                "skipped: what is known of devices by their nodes: there are none in /dev"
            );
        }
        any
    }

    #[test]
    fn swap_space_and_file_systems_without_a_number_are_known_by_their_node() {
        let Some((path, number)) = any_node() else { return };
        let path = path.display();
        let swaps = format!("Filename Type Size\n/swapfile file 1 0 -2\n{path}    partition 1 0 -2\n");
        let mounts = format!("36 35 0:45 / /data rw - btrfs {path} rw\n");
        let other = DeviceNumber::of(number.0 + 1);
        assert!(is_swap(swaps.as_bytes(), number) && !is_swap(swaps.as_bytes(), other));
        assert_eq!(mounted_at(mounts.as_bytes(), number), Some("/data".into()));
        assert_eq!(mounted_at(mounts.as_bytes(), other), None);
    }

    #[test]
    fn only_whole_octal_codes_are_replaced() {
        for (field, path) in [("/a\\040b\\134", "/a b\\"), ("/a\\04", "/a\\04"), ("/\\999\\", "/\\999\\")] {
            assert_eq!(unescaped(field.as_bytes()), PathBuf::from(path));
        }
    }
}
