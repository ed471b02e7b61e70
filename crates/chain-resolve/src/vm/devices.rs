//! The devices of a VM: which GUID node belongs to which type of device.
//!
//! The manifest lists devices by type and instance; the state of each is in a node named after the instance. Neither
//! is complete: the manifest of old files leaves out the IDE controller, and removed devices may leave nodes behind.

use uuid::Uuid;

use super::guid::{guid_of_name, parse_guid};
use super::tree::Node;

/// The emulated IDE controller; one of a kind, so also its instance.
pub(super) const IDE: Uuid = Uuid::from_u128(0x83f8_638b_8dca_4152_9eda_2ca8_b330_39b4);
/// The synthetic SCSI controller, of which there may be several.
pub(super) const SCSI: Uuid = Uuid::from_u128(0xd422_512d_2bf2_4752_809d_7b82_b5fc_b1b4);
/// The floppy controller; one of a kind.
pub(super) const FLOPPY: Uuid = Uuid::from_u128(0x8f0d_2762_0b00_4e04_af4f_1901_0527_cb93);

/// One line of the manifest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Device {
    pub(super) kind: Uuid,
    pub(super) instance: Uuid,
}

/// The manifest's devices in the order of their numbers; each instance once. Its `size` is not trusted.
pub(super) fn manifest(configuration: &Node) -> Vec<Device> {
    let mut numbered: Vec<(u32, Device)> = configuration
        .children_named("manifest")
        .flat_map(|manifest| &manifest.children)
        .filter_map(|line| {
            let number = numbered_name(line, "vdev")?;
            let guid = |key| line.text_at(key).and_then(parse_guid);
            Some((number, Device { kind: guid("device")?, instance: guid("instance")? }))
        })
        .collect();
    numbered.sort_by_key(|(number, _)| *number);
    let mut seen = std::collections::HashSet::new();
    numbered.into_iter().map(|(_, device)| device).filter(|device| seen.insert(device.instance)).collect()
}

/// The nodes that hold the state of devices, by instance, in order.
pub(super) fn states(configuration: &Node) -> impl Iterator<Item = (Uuid, &Node)> {
    configuration.children.iter().filter_map(|node| Some((guid_of_name(&node.name)?, node)))
}

/// The number in a name such as `controller0`: decimal digits behind a prefix of any case.
pub(super) fn numbered_name(node: &Node, prefix: &str) -> Option<u32> {
    let (head, digits) = node.name.split_at_checked(prefix.len())?;
    let is_number = head.eq_ignore_ascii_case(prefix) && digits.bytes().all(|digit| digit.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_names_are_digits_and_nothing_else() {
        for (name, number) in
            [("drive0", Some(0)), ("Drive63", Some(63)), ("drive", None), ("drive+1", None), ("drivé1", None)]
        {
            assert_eq!(numbered_name(&Node::new(name), "drive"), number, "{name}");
        }
    }
}
