//! The disks that a configuration names: which file is in which slot of which controller.
//!
//! A disk is every `controllerN/driveN` below a GUID node with type VHD and a path, whatever the device. The paths are
//! as the host wrote them; nothing is opened and nothing is resolved here.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::configuration::ConfigurationWarning;
use super::devices::{self, Device};
use super::tree::Node;

/// The kind of a controller.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ControllerKind {
    /// Emulated IDE, of generation 1.
    Ide,
    /// Synthetic SCSI.
    Scsi,
    /// Emulated floppy.
    Floppy,
    /// Another device that holds disks, by its type; `None` if the manifest does not say.
    Other(Option<Uuid>),
}

/// A disk in its slot.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct DiskSlot {
    /// The kind of its controller.
    pub kind: ControllerKind,
    /// Number of the controller among those of its kind, from 0. For SCSI it is the order of the manifest, which is what
    /// Hyper-V is believed to show; the configuration does not store it, so show `instance` too.
    pub controller: u32,
    /// Which controller it is, for certain.
    pub instance: Uuid,
    /// Position at the controller, from 0.
    pub location: u32,
    /// The image's path as the host wrote it; never empty.
    pub path: String,
    /// The manifest does not list the controller: it may be what a removed one left. Use such a disk only if there is no
    /// other.
    pub detached: bool,
    /// Whether the file's own checksums of the keys that name the disk are right. Where they are not, the path may be
    /// another disk's.
    pub verified: bool,
}

/// Whether a disk is called as backup software calls its temporary ones.
pub(crate) fn is_recovery_name(name: &str) -> bool {
    name.to_ascii_lowercase().contains("-autorecovery")
}

/// All disks by controller and location, attached ones first.
pub(super) fn disks(configuration: &Node, warnings: &mut Vec<ConfigurationWarning>) -> Vec<DiskSlot> {
    let manifest = devices::manifest(configuration);
    let kinds: HashMap<Uuid, Uuid> = manifest.iter().map(|device| (device.instance, device.kind)).collect();
    let scsi = scsi_numbers(configuration, &manifest, &kinds);
    let mut disks = Vec::new();
    for (instance, state) in devices::states(configuration) {
        let listed = kinds.get(&instance).copied();
        let kind = controller_kind(instance, listed, state);
        let one_of_a_kind = matches!(kind, ControllerKind::Ide | ControllerKind::Floppy);
        let detached = listed.is_none() && !one_of_a_kind;
        for Drive { controller: stored, location, node: drive, verified } in drives(state) {
            let controller = match kind {
                ControllerKind::Scsi => scsi.get(&instance).copied().unwrap_or(stored),
                _ => stored,
            };
            let Some(path) = disk_path(drive, warnings) else { continue };
            disks.push(DiskSlot { kind, controller, instance, location, path, detached, verified });
        }
    }
    disks.sort_by_key(|disk| (disk.detached, order(disk.kind), disk.controller, disk.location));
    let mut slots = HashSet::new();
    for disk in &disks {
        if !slots.insert((disk.instance, disk.controller, disk.location)) {
            let (instance, location) = (disk.instance, disk.location);
            warnings.push(ConfigurationWarning::SlotTwice { instance, location });
        }
    }
    disks
}

fn order(kind: ControllerKind) -> u8 {
    match kind {
        ControllerKind::Ide => 0,
        ControllerKind::Scsi => 1,
        ControllerKind::Floppy => 2,
        ControllerKind::Other(_) => 3,
    }
}

/// The numbers of SCSI controllers by instance: those of the manifest in its order, then the others of the tree.
fn scsi_numbers(
    configuration: &Node,
    manifest: &[Device],
    kinds: &HashMap<Uuid, Uuid>,
) -> HashMap<Uuid, u32> {
    let listed = manifest.iter().filter(|device| device.kind == devices::SCSI).map(|device| device.instance);
    let unlisted = devices::states(configuration)
        .filter(|(instance, state)| !kinds.contains_key(instance) && is_unlisted_scsi(*instance, state))
        .map(|(instance, _)| instance);
    let mut numbers = HashMap::new();
    for instance in listed.chain(unlisted) {
        let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        numbers.entry(instance).or_insert(next);
    }
    numbers
}

fn controller_kind(instance: Uuid, kind: Option<Uuid>, state: &Node) -> ControllerKind {
    let is = |id| instance == id || kind == Some(id);
    if is(devices::IDE) {
        ControllerKind::Ide
    } else if is(devices::FLOPPY) {
        ControllerKind::Floppy
    } else if kind == Some(devices::SCSI) || kind.is_none() && is_unlisted_scsi(instance, state) {
        ControllerKind::Scsi
    } else {
        ControllerKind::Other(kind)
    }
}

/// A channel to the guest beside drives: network adapters have the channel, emulated controllers the drives.
fn is_unlisted_scsi(instance: Uuid, state: &Node) -> bool {
    !matches!(instance, devices::IDE | devices::FLOPPY)
        && state.child("ChannelInstanceGuid").is_some()
        && drives(state).next().is_some()
}

/// A drive's node with both its numbers.
struct Drive<'a> {
    controller: u32,
    location: u32,
    node: &'a Node,
    verified: bool,
}

/// The drives of a controller's node.
fn drives(state: &Node) -> impl Iterator<Item = Drive<'_>> {
    let numbered = |prefix| move |node| Some((devices::numbered_name(node, prefix)?, node));
    state.children.iter().filter_map(numbered("controller")).flat_map(move |(number, controller)| {
        let drives = controller.children.iter().filter_map(numbered("drive"));
        drives.map(move |(location, node)| {
            let leaves =
                node.children.iter().filter(|leaf| leaf.is_named("pathname") || leaf.is_named("type"));
            let verified = [state, controller, node].into_iter().chain(leaves).all(|node| node.verified);
            Drive { controller: number, location, node, verified }
        })
    })
}

/// The path of a drive that is a disk. Empty slots, DVDs and floppies are none, and neither is a drive of a type that is
/// not known here, which is reported if it has a path.
fn disk_path(drive: &Node, warnings: &mut Vec<ConfigurationWarning>) -> Option<String> {
    let path = drive.text_at("pathname").filter(|path| !path.is_empty())?;
    let kind = drive.text_at("type").unwrap_or_default();
    let is = |name: &str| kind.eq_ignore_ascii_case(name);
    if is("VHD") {
        return Some(path.to_owned());
    }
    if !["", "ISO", "VFD", "NONE"].into_iter().any(is) {
        let (kind, path) = (kind.to_owned(), path.to_owned());
        warnings.push(ConfigurationWarning::NotADiskFile { kind, path });
    }
    None
}
