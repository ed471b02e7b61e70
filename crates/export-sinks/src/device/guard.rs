//! Who would be harmed if a device were written: what Linux tells of it in `/proc` and `/sys`.
//!
//! It tells of this mount namespace only, and not of everybody: that nobody else uses the device is proved by opening it
//! exclusively (`block.rs`). That it is no source, nothing else proves.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{DeviceError, Usage};
use crate::{Doing, FileIdentity, Place, SinkError};

/// Which device it is, whatever it is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct DeviceNumber(u64);

impl DeviceNumber {
    /// From what `stat` says.
    pub(super) fn of(rdev: u64) -> Self {
        Self(rdev)
    }

    fn is_at(self, path: &Path) -> bool {
        use std::os::unix::fs::FileTypeExt;
        fs::metadata(path).is_ok_and(|found| found.file_type().is_block_device() && found.rdev() == self.0)
    }
}

/// As `/sys` and `/proc` write it.
impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", rustix::fs::major(self.0), rustix::fs::minor(self.0))
    }
}

impl FromStr for DeviceNumber {
    type Err = io::Error;

    fn from_str(text: &str) -> io::Result<Self> {
        let parsed = text.trim().split_once(':').and_then(|(major, minor)| {
            Some(Self(rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?)))
        });
        parsed.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a device number"))
    }
}

/// Where the kernel tells of devices.
pub(super) struct System {
    proc: PathBuf,
    sys: PathBuf,
}

/// A block device in `/sys`.
struct Node {
    directory: PathBuf,
    number: DeviceNumber,
}

impl System {
    /// The one that this program runs on.
    pub(super) fn running() -> Self {
        Self { proc: "/proc".into(), sys: "/sys".into() }
    }

    /// Refuses a device that is a source, that is in use as far as can be learnt, or that is read-only.
    pub(super) fn check(
        &self,
        device: &Path,
        number: DeviceNumber,
        forbidden: &[FileIdentity],
    ) -> Result<(), SinkError> {
        let node = self.node(number)?;
        let parts = node.parts()?;
        for part in std::iter::once(&node).chain(&parts) {
            if part.reaches(device, forbidden)? {
                return Err(DeviceError::IsSource(device.to_owned()).into());
            }
        }
        let whole = node.whole()?;
        let mounts = look(&self.proc.join("self/mountinfo"), |path| fs::read(path))?;
        let swaps = look_if_any(&self.proc.join("swaps"), |path| fs::read(path))?.unwrap_or_default();
        for used in std::iter::once(&node).chain(&parts).chain(&whole) {
            if let Some(usage) = used.usage(&mounts, &swaps)? {
                let part = (used.number != number).then(|| used.name());
                return Err(DeviceError::InUse { device: device.to_owned(), part, usage }.into());
            }
        }
        if look_if_any(&node.directory.join("ro"), |path| fs::read(path))?
            .is_some_and(|ro| ro.starts_with(b"1"))
        {
            return Err(DeviceError::ReadOnly(device.to_owned()).into());
        }
        Ok(())
    }

    fn node(&self, number: DeviceNumber) -> Result<Node, SinkError> {
        let link = self.sys.join(format!("dev/block/{number}"));
        Ok(Node { directory: look(&link, |path| fs::canonicalize(path))?, number })
    }
}

impl Node {
    fn at(directory: PathBuf) -> Result<Self, SinkError> {
        let number = look(&directory.join("dev"), |path| fs::read_to_string(path)?.parse())?;
        Ok(Self { directory, number })
    }

    /// As the kernel calls it.
    fn name(&self) -> String {
        self.directory.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn is_partition(&self) -> bool {
        self.directory.join("partition").exists()
    }

    /// Its partitions.
    fn parts(&self) -> Result<Vec<Self>, SinkError> {
        let inside = entries(&self.directory)?;
        inside.into_iter().filter(|path| path.join("partition").exists()).map(Self::at).collect()
    }

    /// The disk that it is a partition of.
    fn whole(&self) -> Result<Option<Self>, SinkError> {
        let parent = self.directory.parent().filter(|_| self.is_partition());
        parent.map(|parent| Self::at(parent.to_owned())).transpose()
    }

    /// What it is made of: the disk that it is a part of, and the devices that it was put together from.
    fn below(&self) -> Result<Vec<Self>, SinkError> {
        let mut below = Vec::from_iter(self.whole()?);
        for link in entries(&self.directory.join("slaves"))? {
            below.push(Self::at(look(&link, |path| fs::canonicalize(path))?)?);
        }
        Ok(below)
    }

    /// Whether it is one of the sources, or made of one.
    fn reaches(&self, device: &Path, sources: &[FileIdentity]) -> Result<bool, SinkError> {
        if sources.is_empty() {
            return Ok(false);
        }
        if sources.contains(&FileIdentity::of_device(self.number.0)) {
            return Ok(true);
        }
        if let Some(backing) = self.backing_file()? {
            match FileIdentity::of(&backing) {
                Ok(identity) if sources.contains(&identity) => return Ok(true),
                Ok(_) => {}
                Err(source) => {
                    return Err(
                        DeviceError::UnknownBacking { device: device.to_owned(), backing, source }.into()
                    );
                }
            }
        }
        for below in self.below()? {
            if below.reaches(device, sources)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The file that a loop device shows.
    fn backing_file(&self) -> Result<Option<PathBuf>, SinkError> {
        let text = look_if_any(&self.directory.join("loop/backing_file"), |path| fs::read(path))?;
        Ok(text.map(|mut text| {
            if text.last() == Some(&b'\n') {
                text.pop();
            }
            path_of(text)
        }))
    }

    fn usage(&self, mounts: &[u8], swaps: &[u8]) -> Result<Option<Usage>, SinkError> {
        if let Some(path) = mounted_at(mounts, self.number) {
            return Ok(Some(Usage::MountedAt(path)));
        }
        if is_swap(swaps, self.number) {
            return Ok(Some(Usage::Swap));
        }
        let mut holders = entries(&self.directory.join("holders"))?.into_iter();
        let holder = holders.next().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        Ok(holder.map(Usage::HeldBy))
    }
}

fn look<T>(path: &Path, with: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, SinkError> {
    with(path).map_err(|error| SinkError::from_io(Doing::Inspect, Place::File(path.to_owned()), error))
}

/// `None` where there is no such file.
fn look_if_any<T>(path: &Path, with: impl FnOnce(&Path) -> io::Result<T>) -> Result<Option<T>, SinkError> {
    look(path, |path| match with(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    })
}

/// What a directory holds, by name; nothing where there is no such directory.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, SinkError> {
    let found = look_if_any(directory, |path| {
        fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()
    })?;
    let mut found = found.unwrap_or_default();
    found.sort();
    Ok(found)
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

fn path_of(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    /// A system with the disk sda (8:0), its partitions sda1 and sda2, and the loop device loop9 (7:9).
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
                ("7:9", "loop9"),
                ("253:3", "dm-3"),
            ] {
                forged.write(&format!("sys/block/{path}/dev"), &format!("{number}\n"));
                let link = forged.directory.path().join("sys/dev/block").join(number);
                fs::create_dir_all(link.parent().unwrap()).unwrap();
                symlink(forged.directory.path().join("sys/block").join(path), link).unwrap();
                if path.contains('/') {
                    forged.write(&format!("sys/block/{path}/partition"), "1\n");
                }
            }
            forged
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
            forged.assert_with(number, &[device("1:1")], "free");
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
        let image = forged.directory.path().join("image");
        forged.write("sys/block/loop9/loop/backing_file", &format!("{}\n", image.display()));
        let slaves = forged.directory.path().join("sys/block/dm-3/slaves");
        fs::create_dir_all(&slaves).unwrap();
        symlink(forged.directory.path().join("sys/block/loop9"), slaves.join("loop9")).unwrap();
        let identity = FileIdentity::of(&image).unwrap();
        for number in ["7:9", "253:3"] {
            forged.assert_with(number, std::slice::from_ref(&identity), "`/dev/it` is one of the sources");
            forged.assert_with(number, &[device("8:0")], "free");
        }
        fs::remove_file(&image).unwrap();
        let unknown = format!(
            "cannot tell whether `{}`, which `/dev/it` is made of, is one of the sources",
            image.display()
        );
        forged.assert_with("7:9", &[identity], &unknown);
        forged.assert("7:9", "free");
    }

    /// Nothing is done to it.
    fn any_node() -> Option<(PathBuf, DeviceNumber)> {
        use std::os::unix::fs::FileTypeExt;
        let nodes = fs::read_dir("/dev").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
        let mut devices = nodes.filter_map(|path| {
            let found = fs::symlink_metadata(&path).ok()?;
            found.file_type().is_block_device().then(|| (path, DeviceNumber::of(found.rdev())))
        });
        let any = devices.next();
        if any.is_none() {
            let _ = writeln!(io::stderr(), "skipped: names of devices in /proc: there are none in /dev");
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
