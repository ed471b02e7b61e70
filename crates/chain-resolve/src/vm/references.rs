//! Identifiers that a configuration mentions and whose keys are not known for certain.
//!
//! No configuration of a checkpoint, and none of a VM that has checkpoints, has been seen byte for byte, so what names
//! a checkpoint's parent and what a VM's list of checkpoints looks like is not known. What is collected here are hints:
//! good to confirm what the disks say, never enough alone.

use limits::configuration::REFERENCES_MAX;
use uuid::Uuid;

use super::guid::{guid_of_name, parse_guid};
use super::tree::{Node, Value};

/// A GUID in a place that may refer to a checkpoint.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reference {
    /// The key, from `/configuration` on.
    pub path: String,
    /// What it says.
    pub id: Uuid,
}

/// Every GUID below `global_settings/snapshots`, as a text or as a name of a node.
pub(super) fn listed(configuration: &Node) -> Vec<Reference> {
    let mut found = Found::new("/configuration/global_settings/snapshots");
    if let Some(snapshots) = configuration.at("global_settings/snapshots") {
        found.collect(snapshots, |_, node| {
            let name = guid_of_name(&node.name).or_else(|| parse_guid(&node.name));
            Some([name, text_guid(node)])
        });
    }
    found.references
}

/// Every text that is a GUID, but for those whose meaning is known: the file's own two, what is below
/// `global_settings/snapshots`, devices, the manifest, and metrics.
pub(super) fn others(configuration: &Node) -> Vec<Reference> {
    let mut found = Found::new("/configuration");
    found.collect(
        configuration,
        |path, node| {
            if is_known(path, node) { None } else { Some([text_guid(node), None]) }
        },
    );
    found.references
}

struct Found {
    path: String,
    references: Vec<Reference>,
}

impl Found {
    fn new(path: &str) -> Self {
        Self { path: path.to_owned(), references: Vec::new() }
    }

    /// What `ids` sees in each node below this one; where it answers `None`, the whole subtree is passed by. Recurses:
    /// the tree is no deeper than its limit.
    fn collect(&mut self, node: &Node, ids: fn(&str, &Node) -> Option<[Option<Uuid>; 2]>) {
        let path_len = self.path.len();
        for child in &node.children {
            self.path.push('/');
            self.path.push_str(&child.name);
            if let Some(ids_here) = ids(&self.path, child) {
                for id in ids_here.into_iter().flatten() {
                    if self.references.len() < REFERENCES_MAX {
                        self.references.push(Reference { path: self.path.clone(), id });
                    }
                }
                self.collect(child, ids);
            }
            self.path.truncate(path_len);
        }
    }
}

fn is_known(path: &str, node: &Node) -> bool {
    const OWN: [&str; 3] = [
        "/configuration/properties/global_id",
        "/configuration/settings/global/logical_id",
        "/configuration/global_settings/snapshots",
    ];
    guid_of_name(&node.name).is_some()
        || node.is_named("manifest")
        || node.is_named("metrics")
        || OWN.iter().any(|own| path.eq_ignore_ascii_case(own))
}

fn text_guid(node: &Node) -> Option<Uuid> {
    match &node.value {
        Some(Value::String(text)) => parse_guid(text),
        _ => None,
    }
}
