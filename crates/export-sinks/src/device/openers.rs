//! Which other process has a device open, as `/proc` tells it.

use std::fs;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, StatxFlags, makedev, statx};

use super::Usage;
use super::made_of::{DeviceNumber, Node};

/// The first process found, and which of the devices it has open.
///
/// Processes that this user may not look at are passed over without a word: of what other users run, only root learns.
/// So are those that end meanwhile, and whoever opens the device later.
pub(super) fn opener<'a>(proc: &Path, devices: &[&'a Node]) -> Option<(&'a Node, Usage)> {
    fs::read_dir(proc).ok()?.find_map(|entry| {
        let process = entry.ok()?;
        let id: u32 = process.file_name().to_str()?.parse().ok()?;
        let opened = if id == std::process::id() { None } else { opened_by(&process.path(), devices) };
        opened.map(|device| (device, Usage::OpenedBy { process: name(&process.path()), id }))
    })
}

fn opened_by<'a>(process: &Path, devices: &[&'a Node]) -> Option<&'a Node> {
    fs::read_dir(process.join("fd")).ok()?.find_map(|entry| {
        let number = device_at(&entry.ok()?.path())?;
        devices.iter().copied().find(|device| device.number == number)
    })
}

/// Nothing is synced first: another process's file may lie on a server that does not answer.
fn device_at(path: &Path) -> Option<DeviceNumber> {
    let found = statx(CWD, path, AtFlags::STATX_DONT_SYNC, StatxFlags::TYPE).ok()?;
    let is_device = FileType::from_raw_mode(found.stx_mode.into()) == FileType::BlockDevice;
    is_device.then(|| DeviceNumber::of(makedev(found.stx_rdev_major, found.stx_rdev_minor)))
}

fn name(process: &Path) -> String {
    let name = fs::read(process.join("comm")).unwrap_or_default();
    String::from_utf8_lossy(&name).trim_end().to_owned()
}
