//! The typed view of one configuration: what one file says about a VM, or about a checkpoint of it.
//!
//! Whether the file is a VM's or a checkpoint's, and what belongs together, depends on more than one file and is for
//! others to say. A field that is missing or makes no sense is `None`, with a warning if it makes no sense.

use std::fmt;

use limits::Limits;
use uuid::Uuid;

use super::drives::{self, DiskSlot};
use super::form::{self, Form, FormWarning, Keys, ReadKeysError};
use super::guid::parse_guid;
use super::references::{self, Reference};
use super::timestamp::Timestamp;
use super::tree::{KeyTree, Node};

/// What one configuration says.
#[derive(Clone, PartialEq, Debug)]
pub struct Configuration {
    /// The file's form.
    pub form: Form,
    /// The VM's name; in a checkpoint's file presumably the checkpoint's.
    pub name: Option<String>,
    /// The VM's identifier or the checkpoint's, `global_id`; the file is named after it.
    pub id: Option<Uuid>,
    /// In a VM's file the same; in a checkpoint's possibly the VM's.
    pub logical_id: Option<Uuid>,
    /// The kind of configuration, `Virtual Machines` for a VM. What it is for a checkpoint has not been seen.
    pub type_id: Option<String>,
    /// The configuration's version.
    pub version: Option<Version>,
    /// The VM's generation.
    pub generation: Option<Generation>,
    /// When the VM or checkpoint was made; many old files do not say.
    pub created: Option<Timestamp>,
    /// When the VM last changed its state.
    pub last_state_change: Option<Timestamp>,
    /// The user's notes.
    pub notes: Option<String>,
    /// The disks, detached ones last.
    pub disks: Vec<DiskSlot>,
    /// Every GUID in the list of checkpoints; its shape is not known.
    pub listed_checkpoints: Vec<Reference>,
    /// How many checkpoints the VM counts.
    pub checkpoint_count: Option<usize>,
    /// Other GUIDs that may refer to checkpoints, such as a parent: hints, never proof.
    pub references: Vec<Reference>,
    /// A merge of disks was pending: the chain on disk may be half merged.
    pub disk_merge_pending: bool,
    /// The file holds a guest's saved memory (old or runtime files only).
    pub has_saved_memory: bool,
    /// What was wrong.
    pub warnings: Vec<ConfigurationWarning>,
    /// Warnings about the file that were only counted.
    pub warnings_left_out: usize,
    /// All keys.
    pub tree: KeyTree,
}

/// A configuration's version, such as 9.0 for Server 2019.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Version(
    /// As stored: major in the upper bits, minor in the lowest byte.
    pub u32,
);

/// A VM's generation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Generation {
    /// BIOS and IDE.
    One,
    /// UEFI and SCSI only.
    Two,
}

/// Something wrong with a configuration that could be read nevertheless.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigurationWarning {
    /// With the file itself.
    #[error(transparent)]
    File(#[from] FormWarning),
    /// A key has a value that makes no sense.
    #[error("key `{key}`: expected {expected}")]
    Value {
        /// The key, below `configuration`.
        key: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A drive has a path, but of a thing that is not known to be a disk file.
    #[error("drive of type `{kind}` is not a disk file: `{path}`")]
    NotADiskFile {
        /// The type, as stored.
        kind: String,
        /// The path, as stored.
        path: String,
    },
    /// Two disks are in one slot.
    #[error("location {location} of controller {{{instance}}}: expected one disk, found more")]
    SlotTwice {
        /// The controller.
        instance: Uuid,
        /// The location.
        location: u32,
    },
    /// Keys whose parents are lost are not part of this view.
    #[error("{0} keys lost their place in the tree and are not taken into account")]
    Orphans(usize),
}

/// The file is no configuration of a VM or checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigurationError {
    /// Its keys cannot be read.
    #[error(transparent)]
    Keys(#[from] ReadKeysError),
    /// Its keys are others: it is a host's inventory, a runtime state, or of another program.
    #[error(
        "not a VM configuration: expected the key `configuration` with `properties/global_id` or `manifest`"
    )]
    NotAConfiguration(Form),
}

impl Configuration {
    /// Reads a configuration of either form.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigurationError> {
        Self::parse_within(bytes, &Limits::default())
    }

    /// The same, within limits that were raised.
    pub fn parse_within(bytes: &[u8], limits: &Limits) -> Result<Self, ConfigurationError> {
        Self::from_keys(form::read_keys_within(bytes, limits)?)
            .map_err(|keys| ConfigurationError::NotAConfiguration(keys.form))
    }

    /// The view of keys that were read before; gives them back if they are no configuration's. They are never copied:
    /// a hostile file has a million.
    pub fn from_keys(keys: Keys) -> Result<Self, Box<Keys>> {
        let Some(root) = keys.tree.at("configuration").filter(|root| is_configuration(root)) else {
            return Err(Box::new(keys));
        };
        let Keys { form, ref tree, ref warnings, warnings_left_out } = keys;
        let mut warnings: Vec<_> = warnings.iter().cloned().map(ConfigurationWarning::File).collect();
        if !tree.orphans.is_empty() {
            warnings.push(ConfigurationWarning::Orphans(tree.orphans.len()));
        }
        let text = |key| root.text_at(key).map(str::to_owned);
        Ok(Self {
            form,
            name: text("properties/name"),
            id: guid(root, "properties/global_id", &mut warnings),
            logical_id: guid(root, "settings/global/logical_id", &mut warnings),
            type_id: text("properties/type_id"),
            version: root.int_at("properties/version").and_then(|raw| u32::try_from(raw).ok()).map(Version),
            generation: generation(root, &mut warnings),
            created: created(root, &mut warnings),
            last_state_change: last_state_change(root, &mut warnings),
            notes: text("properties/notes").filter(|notes| !notes.is_empty()),
            disks: drives::disks(root, &mut warnings),
            listed_checkpoints: references::listed(root),
            checkpoint_count: root
                .int_at("global_settings/snapshots/list/size")
                .and_then(|count| usize::try_from(count).ok()),
            references: references::others(root),
            disk_merge_pending: root.bool_at("global_settings/disk_merge_pending").unwrap_or(false),
            has_saved_memory: has_saved_memory(tree),
            warnings,
            warnings_left_out,
            tree: keys.tree,
        })
    }
}

/// Whether a file holds a guest's saved memory; to be asked of the runtime state (`.vmrs`) beside a configuration. Only
/// the keys can tell: a runtime state exists without memory too.
#[must_use]
pub fn has_saved_memory(tree: &KeyTree) -> bool {
    tree.at("savedstate/RamBlock0").is_some()
}

/// Other files in the same folders, of backup programs and of replication, are XML too.
fn is_configuration(root: &Node) -> bool {
    root.at("properties/global_id").is_some() || root.child("manifest").is_some()
}

fn guid(root: &Node, key: &'static str, warnings: &mut Vec<ConfigurationWarning>) -> Option<Uuid> {
    let id = parse_guid(root.text_at(key)?);
    if id.is_none() {
        warnings.push(ConfigurationWarning::Value { key, expected: "a GUID" });
    }
    id
}

fn generation(root: &Node, warnings: &mut Vec<ConfigurationWarning>) -> Option<Generation> {
    let key = "properties/subtype";
    match root.int_at(key)? {
        0 => Some(Generation::One),
        1 => Some(Generation::Two),
        _ => {
            warnings.push(ConfigurationWarning::Value { key, expected: "0 or 1" });
            None
        }
    }
}

/// Eight bytes, least significant first: the other order gives years beyond 10000 in real files.
fn created(root: &Node, warnings: &mut Vec<ConfigurationWarning>) -> Option<Timestamp> {
    let key = "properties/creation_time";
    // Checkpoints are told apart by their times: one that may be wrong is none.
    if !root.at(key)?.verified {
        return None;
    }
    let filetime = root.bytes_at(key)?.try_into().ok().map(u64::from_le_bytes);
    moment(key, filetime, warnings)
}

fn last_state_change(root: &Node, warnings: &mut Vec<ConfigurationWarning>) -> Option<Timestamp> {
    let key = "properties/last_state_change_time";
    let filetime = root.int_at(key)?;
    if filetime == 0 {
        return None;
    }
    moment(key, u64::try_from(filetime).ok(), warnings)
}

fn moment(
    key: &'static str,
    filetime: Option<u64>,
    warnings: &mut Vec<ConfigurationWarning>,
) -> Option<Timestamp> {
    let at = filetime.and_then(Timestamp::from_filetime);
    if at.is_none() {
        warnings.push(ConfigurationWarning::Value { key, expected: "a time from 2000 to 2100" });
    }
    at
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 >> 8, self.0 & 0xFF)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One => "1",
            Self::Two => "2",
        })
    }
}
