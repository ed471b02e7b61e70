//! What a block device is made of, as `/sys` tells it: the disk that it is a part of, the devices that it was put together
//! from, and the file or device that a loop device shows.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::DeviceError;
use crate::{Doing, FileIdentity, Place, SinkError};

/// Where the kernel tells of devices.
pub(super) const SYS: &str = "/sys";

/// Which device it is, whatever it is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct DeviceNumber(pub(super) u64);

impl DeviceNumber {
    /// From what `stat` says.
    pub(super) fn of(rdev: u64) -> Self {
        Self(rdev)
    }

    pub(super) fn is_at(self, path: &Path) -> bool {
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

/// A file or device that has the bytes of another, or some of them.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Stratum {
    pub(super) what: FileIdentity,
    way: Way,
}

/// How it was come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// It is where the way begins.
    Itself,
    /// That loop device shows it.
    Shown(DeviceNumber),
    /// That device has a share of it: a partition, a volume.
    Share(DeviceNumber),
}

impl Stratum {
    /// Whether who came here and who came there may have bytes in common.
    ///
    /// Two shares of one device have none: neighbouring partitions, volumes of a group. And where both came by the same
    /// device, that one tells.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.what == other.what
            && match (self.way, other.way) {
                (Way::Itself, _) | (_, Way::Itself) => true,
                (Way::Share(_), Way::Share(_)) => false,
                (one, two) => one != two,
            }
    }
}

/// All that a file or device is made of, itself first.
pub(super) fn strata(sys: &Path, of: &FileIdentity) -> Result<Vec<Stratum>, SinkError> {
    let mut found = Vec::new();
    let mut next = vec![Stratum { what: of.clone(), way: Way::Itself }];
    while let Some(stratum) = next.pop() {
        if found.contains(&stratum) {
            continue;
        }
        if let Some(number) = stratum.what.device_number() {
            next.extend(Node::of(sys, DeviceNumber(number))?.below()?);
        }
        found.push(stratum);
    }
    Ok(found)
}

/// A block device in `/sys`.
pub(super) struct Node {
    pub(super) directory: PathBuf,
    pub(super) number: DeviceNumber,
}

impl Node {
    /// The device of that number.
    pub(super) fn of(sys: &Path, number: DeviceNumber) -> Result<Self, SinkError> {
        let link = sys.join(format!("dev/block/{number}"));
        Ok(Self { directory: look(&link, |path| fs::canonicalize(path))?, number })
    }

    fn at(directory: PathBuf) -> Result<Self, SinkError> {
        let number = look(&directory.join("dev"), |path| fs::read_to_string(path)?.parse())?;
        Ok(Self { directory, number })
    }

    pub(super) fn identity(&self) -> FileIdentity {
        FileIdentity::of_device(self.number.0)
    }

    /// As the kernel calls it.
    pub(super) fn name(&self) -> String {
        self.directory.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn is_partition(&self) -> bool {
        self.directory.join("partition").exists()
    }

    /// Its partitions.
    pub(super) fn parts(&self) -> Result<Vec<Self>, SinkError> {
        let inside = entries(&self.directory)?;
        inside.into_iter().filter(|path| path.join("partition").exists()).map(Self::at).collect()
    }

    /// The disk that it is a partition of.
    pub(super) fn whole(&self) -> Result<Option<Self>, SinkError> {
        let parent = self.directory.parent().filter(|_| self.is_partition());
        parent.map(|parent| Self::at(parent.to_owned())).transpose()
    }

    /// What it is made of directly.
    fn below(&self) -> Result<Vec<Stratum>, SinkError> {
        let mut devices = Vec::from_iter(self.whole()?);
        for link in entries(&self.directory.join("slaves"))? {
            devices.push(Self::at(look(&link, |path| fs::canonicalize(path))?)?);
        }
        let share = |device: Self| Stratum { what: device.identity(), way: Way::Share(self.number) };
        let shown = self.backing()?.map(|what| Stratum { what, way: Way::Shown(self.number) });
        Ok(devices.into_iter().map(share).chain(shown).collect())
    }

    /// What a loop device shows.
    fn backing(&self) -> Result<Option<FileIdentity>, SinkError> {
        let Some(backing) = self.backing_file()? else { return Ok(None) };
        match FileIdentity::of(&backing) {
            Ok(identity) => Ok(Some(identity)),
            Err(source) => Err(DeviceError::UnknownBacking { device: self.name(), backing, source }.into()),
        }
    }

    /// Its name, as the system tells it.
    fn backing_file(&self) -> Result<Option<PathBuf>, SinkError> {
        let text = look_if_any(&self.directory.join("loop/backing_file"), |path| fs::read(path))?;
        Ok(text.map(|mut text| {
            if text.last() == Some(&b'\n') {
                text.pop();
            }
            path_of(text)
        }))
    }
}

pub(super) fn look<T>(path: &Path, with: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, SinkError> {
    with(path).map_err(|error| SinkError::from_io(Doing::Inspect, Place::File(path.to_owned()), error))
}

/// `None` where there is no such file.
pub(super) fn look_if_any<T>(
    path: &Path,
    with: impl FnOnce(&Path) -> io::Result<T>,
) -> Result<Option<T>, SinkError> {
    look(path, |path| match with(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    })
}

/// What a directory holds, by name; nothing where there is no such directory.
pub(super) fn entries(directory: &Path) -> Result<Vec<PathBuf>, SinkError> {
    let found = look_if_any(directory, |path| {
        fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()
    })?;
    let mut found = found.unwrap_or_default();
    found.sort();
    Ok(found)
}

pub(super) fn path_of(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}
