//! What is particular to devices: old data under the zeros, a start that comes last, a second look, and who is in the way.
//!
//! Most of it with a file that stands for a device; the rest with loop devices, which take root.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use tempfile::TempDir;
use vhdx_format::{DiskOffset, DiskRange, FileOffset, Geometry, ReadAt, SectorSize, VirtualDisk};

use super::faults::Faults;
use super::model::{Fill, Hollow, ModelDisk, disks};
use super::{Subject, conformance, exported, threads};
use crate::device::{
    BlockDevice, Clearing, DeviceError, DeviceSink, DeviceTarget, HEAD_LEN, Medium, NotKept, ReadBackError,
    Usage, read_back, to_device,
};
use crate::sink::WriteAt;
use crate::{
    Cancel, Completed, DigestChoice, ExportError, FileIdentity, NoProgress, Options, Overwrite, Place,
    SinkError, Target, TargetError, export,
};

conformance!(device, StandIns::new(512, 0));
conformance!(device_of_large_sectors_that_can_not_punch, StandIns::new(4096, 1));
conformance!(device_that_can_not_clear, StandIns::new(512, 2));

/// What a device holds before.
const OLD: u8 = 0xFF;
/// How much longer it is than the disk.
const BEHIND: usize = (1 << 20) + 512;

/// Files that stand for devices.
struct StandIns {
    directory: TempDir,
    sector_size: u32,
    /// How many ways to clear it does not have.
    lacks: usize,
    /// Where the medium does not hold what the cache says.
    rots_at: Option<u64>,
    disk_len: Cell<usize>,
}

impl StandIns {
    fn new(sector_size: u32, lacks: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory, sector_size, lacks, rots_at: None, disk_len: Cell::new(0) }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("device")
    }

    fn sink(&self, geometry: &Geometry, faults: &Faults) -> DeviceSink<Faulty> {
        let len = usize::try_from(geometry.size()).unwrap();
        self.disk_len.set(len);
        fs::write(self.path(), vec![OLD; len + BEHIND]).unwrap();
        let file = File::options().read(true).write(true).open(self.path()).unwrap();
        let inner = BlockDevice::stand_in(file, self.path(), self.sector_size);
        let (clears, faults) = (AtomicUsize::new(0), faults.clone());
        let (lacks, rots_at) = (self.lacks, self.rots_at);
        DeviceSink::new(Faulty { inner, faults, lacks, rots_at, clears }, *geometry)
    }

    /// What lies in the range of the disk; behind it everything is as before.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = fs::read(self.path()).unwrap();
        let behind = bytes.split_off(self.disk_len.get());
        assert!(behind == vec![OLD; BEHIND], "what lies behind the disk was written");
        bytes
    }

    fn head(&self) -> Vec<u8> {
        self.bytes().into_iter().take(1 << 20).collect()
    }

    fn completed(&self, disk: &ModelDisk) -> Completed<DeviceSink<Faulty>> {
        let sink = self.sink(disk.geometry(), &Faults::none());
        let cancel = Cancel::new();
        export(disk, sink, &digested(), &NoProgress, &cancel).unwrap().complete(&cancel).unwrap()
    }
}

fn digested() -> Options {
    Options { digests: DigestChoice { blksum: true, ..DigestChoice::default() }, ..threads(2) }
}

fn compared<M: Medium>(completed: &Completed<DeviceSink<M>>) -> Result<(), ReadBackError> {
    read_back(completed, threads(2).threads, &NoProgress, &Cancel::new())
}

impl Subject for StandIns {
    type Sink = DeviceSink<Faulty>;

    fn open(&self, disk: &ModelDisk, faults: &Faults) -> Result<Self::Sink, ExportError> {
        Ok(self.sink(disk.geometry(), faults))
    }

    fn artifact(&self) -> Option<Vec<u8>> {
        Some(self.bytes())
    }

    fn content(&self, artifact: &[u8], _disk: &ModelDisk) -> Vec<u8> {
        artifact.to_vec()
    }

    /// Nothing of the start of the disk is there.
    fn is_clean(&self) -> bool {
        self.head().iter().all(|&byte| byte == 0 || byte == OLD)
    }
}

/// A device that may fail, and may not know how to clear.
#[derive(Debug)]
struct Faulty {
    inner: BlockDevice,
    faults: Faults,
    lacks: usize,
    rots_at: Option<u64>,
    clears: AtomicUsize,
}

impl Medium for Faulty {
    fn clear(&self, how: Clearing, range: DiskRange) -> io::Result<()> {
        self.clears.fetch_add(1, Ordering::Relaxed);
        let sector = u64::from(self.sector_size());
        let ends = [range.start().0, range.end().0];
        assert!(!range.is_empty() && ends.iter().all(|at| at.is_multiple_of(sector)));
        if self.lacks > how as usize {
            // As bad as it gets: it fails when it has written something.
            self.inner.write_all_at(FileOffset(range.start().0), &[0xEE; 512])?;
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.inner.clear(how, range)
    }

    fn sync(&self) -> io::Result<()> {
        self.faults.step()?;
        self.inner.sync()
    }

    fn forget(&self) -> io::Result<()> {
        self.faults.step()?;
        if let Some(at) = self.rots_at {
            let mut byte = [0];
            self.inner.read_exact_at(FileOffset(at), &mut byte)?;
            self.inner.write_all_at(FileOffset(at), &[byte[0] ^ 0x10])?;
        }
        self.inner.forget()
    }

    fn sector_size(&self) -> u32 {
        self.inner.sector_size()
    }
}

impl WriteAt for Faulty {
    fn write_all_at(&self, at: FileOffset, bytes: &[u8]) -> io::Result<()> {
        self.faults.step()?;
        self.inner.write_all_at(at, bytes)
    }

    fn place(&self) -> Place {
        self.inner.place()
    }
}

impl ReadAt for Faulty {
    fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
        self.faults.step()?;
        self.inner.read_exact_at(at, buf)
    }

    fn byte_len(&self) -> io::Result<u64> {
        self.inner.byte_len()
    }
}

#[test]
fn the_start_of_the_disk_comes_last_and_goes_again_unless_published() {
    let devices = StandIns::new(512, 0);
    let disk = ModelDisk::new(&[(5 << 20, Fill::Noise), (512, Fill::Hole)]);
    let zeros = vec![0; 1 << 20];
    let cancel = Cancel::new();

    let sink = devices.sink(disk.geometry(), &Faults::none());
    assert!(devices.head() == vec![OLD; 1 << 20], "nothing is written before the first piece");
    let received = export(&disk, sink, &threads(2), &NoProgress, &cancel).unwrap();
    assert!(devices.head() == zeros);
    assert!(devices.bytes()[1 << 20..] == disk.content[1 << 20..]);
    let completed = received.complete(&cancel).unwrap();
    assert!(devices.head() == zeros);
    drop(completed);
    assert!(devices.head() == zeros);

    let completed = devices.completed(&disk);
    compared(&completed).unwrap();
    assert!(devices.head() == zeros, "the rest is known to be right before anything begins");
    completed.publish().unwrap();
    assert!(devices.bytes() == disk.content);

    devices.completed(&disk).publish().unwrap();
    assert!(devices.bytes() == disk.content);
}

#[test]
fn a_start_that_the_medium_does_not_keep_goes_again() {
    let disk = ModelDisk::new(&[(3 << 20, Fill::Noise)]);
    for at in [0, 5000, HEAD_LEN - 1] {
        let devices = StandIns { rots_at: Some(at), ..StandIns::new(512, 0) };
        let completed = devices.completed(&disk);
        compared(&completed).unwrap();
        let error = completed.publish().unwrap_err();
        let ExportError::Sink(SinkError::NotKept(NotKept { range, .. })) = error else { panic!("{error}") };
        assert_eq!((range.start(), range.len()), (DiskOffset(0), HEAD_LEN));
        assert!(devices.head() == vec![0; 1 << 20]);
    }
}

#[test]
fn a_way_to_clear_that_failed_is_not_tried_again() {
    let disk = ModelDisk::new(&[(16 << 20, Fill::StoredZeros)]);
    for (lacks, tries) in [(0, 4), (1, 5), (2, 2)] {
        let devices = StandIns::new(512, lacks);
        let sink = devices.sink(disk.geometry(), &Faults::none());
        let cancel = Cancel::new();
        let received = export(&disk, sink, &threads(1), &NoProgress, &cancel).unwrap();
        let completed = received.complete(&cancel).unwrap();
        assert_eq!(completed.sink().medium().clears.load(Ordering::Relaxed), tries, "lacking {lacks}");
        completed.publish().unwrap();
        assert!(devices.bytes() == disk.content);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_written_compares_equal_and_one_flipped_bit_is_found_or_overwritten(
        disk in disks(),
        at in any::<prop::sample::Index>(),
    ) {
        let devices = StandIns::new(512, 0);
        let completed = devices.completed(&disk);
        compared(&completed).unwrap();
        let at = at.index(disk.content.len());
        let file = File::options().write(true).open(devices.path()).unwrap();
        file.write_all_at(&[disk.content[at] ^ 0x10], at as u64).unwrap();
        let start = at as u64 >> 20 << 20;
        if start == 0 {
            compared(&completed).unwrap();
            completed.publish().unwrap();
            prop_assert!(devices.bytes() == disk.content);
        } else {
            let error = compared(&completed).unwrap_err();
            let ReadBackError::Differs(NotKept { range, .. }) = error else { panic!("{error}") };
            prop_assert_eq!(range.start(), DiskOffset(start));
            prop_assert_eq!(range.end().0, (start + (1 << 20)).min(disk.content.len() as u64));
        }
    }
}

#[test]
fn a_difference_is_found_in_the_range_and_the_mib_where_it_lies() {
    let devices = StandIns::new(512, 0);
    let disk = ModelDisk::new(&[(3 << 20, Fill::Noise), (127 << 20, Fill::Hole), (512, Fill::Specks)]);
    let completed = devices.completed(&disk);
    for (at, expected) in [
        (130 << 20, (130 << 20)..(130 << 20) + 512),
        (100 << 20, 100 << 20..101 << 20),
        (5 << 20, 5 << 20..6 << 20),
    ] {
        File::options().write(true).open(devices.path()).unwrap().write_all_at(&[9], at).unwrap();
        let error = compared(&completed).unwrap_err();
        let ReadBackError::Differs(NotKept { range, .. }) = &error else { panic!("{error}") };
        assert_eq!(range.start().0..range.end().0, expected);
    }
    let message = compared(&completed).unwrap_err().to_string();
    let place = devices.path().display().to_string();
    assert_eq!(
        message,
        format!(
            "`{place}` does not hold what was written to it: the first difference is in the 1048576 bytes at 0x500000"
        )
    );
}

#[test]
fn a_device_is_not_believed_without_digests_after_a_failed_read_or_half_way() {
    let devices = StandIns::new(512, 0);
    let disk = ModelDisk::new(&[(9 << 20, Fill::Noise)]);
    let cancel = Cancel::new();
    let sink = devices.sink(disk.geometry(), &Faults::none());
    let undigested =
        export(&disk, sink, &threads(1), &NoProgress, &cancel).unwrap().complete(&cancel).unwrap();
    assert!(matches!(compared(&undigested), Err(ReadBackError::NotDigested(_))));

    let completed = devices.completed(&disk);
    completed.sink().medium().faults.restart(0);
    assert!(matches!(compared(&completed), Err(ReadBackError::Forget(_))));
    completed.sink().medium().faults.restart(1);
    assert!(matches!(compared(&completed), Err(ReadBackError::Read { .. })));
    cancel.set(2);
    let stopped = read_back(&completed, threads(2).threads, &NoProgress, &cancel);
    assert!(matches!(stopped, Err(ReadBackError::Cancelled(by)) if by.reason == 2));
}

#[test]
fn only_block_devices_are_devices() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, vec![OLD; 1 << 20]).unwrap();
    for path in [file.clone(), "/dev/null".into(), directory.path().to_owned()] {
        let error = refusal(&DeviceTarget::new(&path), &Hollow::new(1 << 20));
        assert!(matches!(&error, DeviceError::NotADevice(found) if *found == path), "{error}");
    }
    let missing = to_device(&DeviceTarget::new(directory.path().join("none")), &Hollow::new(1 << 20));
    assert!(matches!(missing, Err(ExportError::Sink(SinkError::Io { .. }))));
    assert!(fs::read(file).unwrap() == vec![OLD; 1 << 20]);
}

fn refusal(target: &DeviceTarget, disk: &dyn VirtualDisk) -> DeviceError {
    match to_device(target, disk) {
        Err(ExportError::Sink(SinkError::Device(error))) => error,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the device is taken"),
    }
}

/// A loop device; dropped, it is detached.
struct Loop {
    node: PathBuf,
    image: PathBuf,
    _directory: TempDir,
}

/// Finding a free one and taking it are two steps.
static ATTACHING: Mutex<()> = Mutex::new(());

impl Loop {
    /// One that shows a file of old data. `None`, with a visible line, where this machine has none for us.
    ///
    /// Never a read-only one: a loop device stays that when it is detached.
    fn attach(len: usize, sector_size: u32) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("image");
        fs::write(&image, vec![OLD; len]).unwrap();
        Self::showing(image, sector_size, directory)
    }

    /// One that shows what another one shows, or another one itself.
    fn over(image: &Path) -> Option<Self> {
        Self::showing(image.to_owned(), 512, tempfile::tempdir().unwrap())
    }

    fn showing(image: PathBuf, sector_size: u32, directory: TempDir) -> Option<Self> {
        let _guard = ATTACHING.lock().unwrap();
        let made = Command::new("losetup")
            .args(["--find", "--show", "--sector-size", &sector_size.to_string()])
            .arg(&image)
            .output();
        let why = match made {
            Ok(made) if made.status.success() => {
                let node = String::from_utf8(made.stdout).unwrap().trim().into();
                return Some(Self { node, image, _directory: directory });
            }
            Ok(made) => String::from_utf8_lossy(&made.stderr).trim().to_owned(),
            Err(error) => format!("losetup: {error}"),
        };
        // Past the harness, which shows nothing of tests that pass.
        let _ = writeln!(io::stderr(), "skipped: tests that need loop devices: {why}");
        None
    }

    fn target(&self) -> DeviceTarget {
        DeviceTarget::new(&self.node)
    }

    fn is_untouched(&self) -> bool {
        fs::read(&self.image).unwrap().iter().all(|&byte| byte == OLD)
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let detached = Command::new("losetup").arg("--detach").arg(&self.node).status();
        assert!(std::thread::panicking() || detached.is_ok_and(|status| status.success()));
    }
}

#[test]
fn a_loop_device_gets_the_disk_and_keeps_what_lies_behind() {
    let disk = ModelDisk::new(&[
        (9 << 20, Fill::Noise),
        (21 << 20, Fill::Hole),
        (5 << 20, Fill::StoredZeros),
        (2 << 20, Fill::Specks),
        ((1 << 20) + 512, Fill::Hole),
    ]);
    let len = disk.content.len();
    for sector_size in [512, 4096] {
        let Some(device) = Loop::attach(len + (1 << 20) - 512, sector_size) else { return };
        // By a link, as people name disks.
        let link = device.image.with_file_name("link");
        std::os::unix::fs::symlink(&device.node, &link).unwrap();
        let sink = to_device(&DeviceTarget::new(&link), &disk).unwrap();
        assert_eq!(sink.sector_size(), sector_size);
        assert!(device.is_untouched());
        let cancel = Cancel::new();
        let received = export(&disk, sink, &digested(), &NoProgress, &cancel).unwrap();
        let completed = received.complete(&cancel).unwrap();
        compared(&completed).unwrap();
        completed.publish().unwrap();
        let written = fs::read(&device.image).unwrap();
        assert!(written[..len] == disk.content);
        assert!(written[len..].iter().all(|&byte| byte == OLD));
    }
}

/// The file behind the device changes without the device's cache knowing it. Nothing is read before that: the kernel keeps
/// what it is still reading ahead.
#[test]
fn reading_back_asks_the_medium_and_not_the_cache() {
    let disk = ModelDisk::new(&[(9 << 20, Fill::Noise)]);
    for at in [(1 << 20) + 3, (6 << 20) + 5] {
        let Some(device) = Loop::attach(9 << 20, 512) else { return };
        let sink = to_device(&device.target(), &disk).unwrap();
        let cancel = Cancel::new();
        let completed =
            export(&disk, sink, &digested(), &NoProgress, &cancel).unwrap().complete(&cancel).unwrap();
        File::options().write(true).open(&device.image).unwrap().write_all_at(&[0xAA], at).unwrap();
        let error = compared(&completed).unwrap_err();
        let ReadBackError::Differs(NotKept { range, .. }) = error else { panic!("{error}") };
        assert_eq!(range.start().0, at >> 20 << 20);
        drop(completed);
        assert!(fs::read(&device.image).unwrap()[..1 << 20].iter().all(|&byte| byte == 0));
    }
}

#[test]
fn a_loop_device_that_shows_a_source_is_refused() {
    let Some(device) = Loop::attach(2 << 20, 512) else { return };
    let disk = Hollow::new(1 << 20);
    for source in [&device.image, &device.node] {
        let target = device.target().forbid([FileIdentity::of(source).unwrap()]);
        assert!(matches!(refusal(&target, &disk), DeviceError::IsSource(_)));
    }
    let innocent = FileIdentity::of(device.image.parent().unwrap()).unwrap();
    to_device(&device.target().forbid([innocent]), &disk).unwrap();
    assert!(device.is_untouched());
}

#[test]
fn what_the_source_shows_is_neither_a_device_nor_a_file_to_write() {
    let Some(source) = Loop::attach(2 << 20, 512) else { return };
    let Some(same) = Loop::over(&source.image) else { return };
    let Some(above) = Loop::over(&source.node) else { return };
    let disk = Hollow::new(1 << 20);
    let read = |device: &Loop| FileIdentity::of(&device.node).unwrap();
    for (target, read) in [(&same, read(&source)), (&source, read(&above)), (&same, read(&above))] {
        let refused = refusal(&target.target().forbid([read]), &disk);
        assert!(matches!(refused, DeviceError::IsSource(_)), "{refused}");
    }
    for device in [&source, &above] {
        let target = Target::new(&source.image, Overwrite::Replace).forbid([read(device)]);
        let refused = target.check().unwrap_err();
        assert!(matches!(refused, SinkError::Target(TargetError::IsSource(_))), "{refused}");
    }
    assert!(source.is_untouched());
}

#[test]
fn a_device_that_is_too_small_is_refused() {
    let Some(device) = Loop::attach(2 << 20, 512) else { return };
    to_device(&device.target(), &Hollow::new(2 << 20)).unwrap();
    let error = refusal(&device.target(), &Hollow::new((2 << 20) + 512));
    assert!(matches!(error, DeviceError::TooSmall { have: 0x20_0000, need: 0x20_0200, .. }), "{error}");
    assert!(device.is_untouched());
}

#[test]
fn a_device_that_somebody_holds_is_refused_and_this_program_holds_it() {
    use rustix::fs::{Mode, OFlags, open};
    let Some(device) = Loop::attach(2 << 20, 512) else { return };
    let disk = Hollow::new(1 << 20);
    let exclusively = || open(&device.node, OFlags::RDONLY | OFlags::EXCL | OFlags::CLOEXEC, Mode::empty());
    let held = exclusively().unwrap();
    let error = refusal(&device.target(), &disk);
    assert!(matches!(error, DeviceError::InUse { usage: Usage::Exclusive, .. }), "{error}");
    drop(held);
    let sink = to_device(&device.target(), &disk).unwrap();
    assert_eq!(exclusively().unwrap_err(), rustix::io::Errno::BUSY);
    drop(sink);
    exclusively().unwrap();
    assert!(device.is_untouched());
}

/// A mount; dropped, it is gone.
struct Mount(PathBuf);

impl Mount {
    fn of(device: &Path, point: PathBuf) -> Option<Self> {
        let ran = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
        fs::create_dir(&point).unwrap();
        if ran(Command::new("mkfs.ext4").arg("-q").arg(device))
            && ran(Command::new("mount").arg(device).arg(&point))
        {
            return Some(Self(point));
        }
        let _ = writeln!(io::stderr(), "skipped: a mounted device: mkfs.ext4 and mount do not work here");
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let gone = Command::new("umount").arg(&self.0).status();
        assert!(std::thread::panicking() || gone.is_ok_and(|status| status.success()));
    }
}

#[test]
fn a_mounted_device_is_refused_by_the_name_of_the_place() {
    let Some(device) = Loop::attach(16 << 20, 512) else { return };
    let point = device.image.with_file_name("a place");
    let Some(mount) = Mount::of(&device.node, point.clone()) else { return };
    let error = refusal(&device.target(), &Hollow::new(1 << 20));
    assert_eq!(error.to_string(), format!("`{}` is mounted at `{}`", device.node.display(), point.display()));
    drop(mount);
    let disk = Hollow::new(1 << 20);
    let sink = to_device(&device.target(), &disk).unwrap();
    exported(&disk, sink, &digested(), &NoProgress, &Cancel::new()).unwrap();
}

#[test]
fn a_disk_of_any_sector_can_be_compared() {
    let devices = StandIns::new(4096, 0);
    let geometry = Geometry::new(HEAD_LEN + 512, SectorSize::B512, SectorSize::B512).unwrap();
    let disk = Hollow::new(geometry.size());
    let cancel = Cancel::new();
    let sink = devices.sink(&geometry, &Faults::none());
    assert_eq!(sink.sector_size(), 4096);
    let completed =
        export(&disk, sink, &digested(), &NoProgress, &cancel).unwrap().complete(&cancel).unwrap();
    compared(&completed).unwrap();
}
