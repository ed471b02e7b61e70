//! `vhdx-export info` of a configuration: what it says about a VM or checkpoint, and with `--keys` all that it holds.
//!
//! Any store of Hyper-V may be asked, also those that are no VM configuration: their keys are what support wants to see.

use std::fmt::{Display, Write as _};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use chain_resolve::vm::tree::{KeyTree, Node, Value};
use chain_resolve::vm::{Configuration, DiskSlot, Form, Generation, Keys, Reference, has_saved_memory};
use chain_resolve::{open_keys, slot_name};
use limits::Limits;
use serde::{Serialize, Serializer};

use crate::commands::print_json;
use crate::failure::{Failure, with_sources};
use crate::terminal::printable;

pub(super) fn run(path: &Path, with_keys: bool, json: bool, limits: &Limits) -> Result<(), Failure> {
    let (source, keys) = open_keys(path, limits)?;
    let (report, tree) = Report::of(&source.path, keys);
    let mut out = BufWriter::new(io::stdout().lock());
    if json {
        let report = Report { keys: with_keys.then_some(AllKeys(&tree)), ..report };
        print_json(&mut out, &report)?;
        return out.flush().map_err(Failure::Output);
    }
    let printed = print_text(&mut out, &report).and_then(|()| {
        if !with_keys {
            return Ok(());
        }
        writeln!(out)?;
        print_keys(&mut out, &tree)
    });
    printed.and_then(|()| out.flush()).map_err(Failure::Output)
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    filename: String,
    /// `store` (`.vmcx`, `.vmrs`) or `xml`.
    form: &'static str,
    key_count: usize,
    /// `None` for a store that is something else than the configuration of a VM or checkpoint.
    configuration: Option<ConfigurationReport>,
    has_saved_memory: bool,
    warnings: Vec<String>,
    /// Warnings that were only counted.
    warnings_left_out: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<AllKeys<'a>>,
}

/// The keys, written one by one: the paths of a hostile file's keys together are larger than any memory.
#[derive(Debug)]
struct AllKeys<'a>(&'a KeyTree);

impl Serialize for AllKeys<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.walk().map(|(path, node)| Key::of(path, node)))
    }
}

#[derive(Debug, Serialize)]
struct ConfigurationReport {
    name: Option<String>,
    id: Option<String>,
    logical_id: Option<String>,
    type_id: Option<String>,
    version: Option<String>,
    generation: Option<u8>,
    created: Option<String>,
    last_state_change: Option<String>,
    notes: Option<String>,
    disks: Vec<DiskReport>,
    listed_checkpoints: Vec<ReferenceReport>,
    disk_merge_pending: bool,
}

#[derive(Debug, Serialize)]
struct DiskReport {
    slot: String,
    controller_id: String,
    /// As the host wrote it.
    path: String,
    /// The manifest does not list the controller.
    detached: bool,
}

#[derive(Debug, Serialize)]
struct ReferenceReport {
    key: String,
    id: String,
}

/// A key; `value` is a number, a text, a truth, the hex digits of bytes, or null for a key that has children.
#[derive(Debug, Serialize)]
struct Key {
    path: String,
    #[serde(rename = "type")]
    kind: &'static str,
    value: serde_json::Value,
    /// Whether the file's own checksum of the key holds.
    verified: bool,
}

impl Report<'_> {
    /// Gives the keys too.
    fn of(path: &Path, keys: Keys) -> (Self, KeyTree) {
        let warnings_left_out = keys.warnings_left_out;
        let form = match keys.form {
            Form::Store => "store",
            Form::Xml => "xml",
        };
        let (configuration, warnings, tree) = match Configuration::from_keys(keys) {
            Ok(found) => {
                let warnings = found.warnings.iter().map(|warning| with_sources(warning)).collect();
                (Some(ConfigurationReport::of(&found)), warnings, found.tree)
            }
            Err(keys) => {
                (None, keys.warnings.iter().map(|warning| with_sources(warning)).collect(), keys.tree)
            }
        };
        let report = Self {
            filename: path.display().to_string(),
            form,
            key_count: tree.key_count(),
            configuration,
            has_saved_memory: has_saved_memory(&tree),
            warnings,
            warnings_left_out,
            keys: None,
        };
        (report, tree)
    }
}

impl ConfigurationReport {
    fn of(found: &Configuration) -> Self {
        Self {
            name: found.name.clone(),
            id: shown(found.id),
            logical_id: shown(found.logical_id),
            type_id: found.type_id.clone(),
            version: shown(found.version),
            generation: found.generation.map(|generation| match generation {
                Generation::One => 1,
                Generation::Two => 2,
            }),
            created: shown(found.created),
            last_state_change: shown(found.last_state_change),
            notes: found.notes.clone(),
            disks: found.disks.iter().map(DiskReport::of).collect(),
            listed_checkpoints: found.listed_checkpoints.iter().map(ReferenceReport::of).collect(),
            disk_merge_pending: found.disk_merge_pending,
        }
    }
}

fn shown(value: Option<impl Display>) -> Option<String> {
    value.map(|value| value.to_string())
}

impl DiskReport {
    fn of(disk: &DiskSlot) -> Self {
        Self {
            slot: slot_name(disk),
            controller_id: disk.instance.to_string(),
            path: disk.path.clone(),
            detached: disk.detached,
        }
    }
}

impl ReferenceReport {
    fn of(reference: &Reference) -> Self {
        Self { key: reference.path.clone(), id: reference.id.to_string() }
    }
}

impl Key {
    fn of(path: String, node: &Node) -> Self {
        let value = node.value.as_ref();
        Self {
            path,
            kind: kind_of(value),
            value: value.map_or(serde_json::Value::Null, json_of),
            verified: node.verified,
        }
    }
}

fn kind_of(value: Option<&Value>) -> &'static str {
    match value {
        None => "node",
        Some(Value::Int(_)) => "int",
        Some(Value::UInt(_)) => "uint",
        Some(Value::Double(_)) => "double",
        Some(Value::String(_)) => "string",
        Some(Value::Bytes(_)) => "bytes",
        Some(Value::Bool(_)) => "bool",
        Some(_) => "unreadable",
    }
}

/// JSON knows no infinities: a double that is none of its numbers becomes null.
fn json_of(value: &Value) -> serde_json::Value {
    match value {
        Value::Int(number) => (*number).into(),
        Value::UInt(number) => (*number).into(),
        Value::Double(number) => (*number).into(),
        Value::Bool(flag) => (*flag).into(),
        other => other.to_string().into(),
    }
}

fn print_text(out: &mut dyn Write, report: &Report<'_>) -> io::Result<()> {
    let mut line = |name: &str, value: &str| writeln!(out, "{name:<15}{}", printable(value));
    line("configuration", &report.filename)?;
    line("form", if report.form == "xml" { "XML" } else { "binary store" })?;
    match &report.configuration {
        Some(found) => print_configuration(&mut line, found)?,
        None => line("VM", "none: this is another kind of store")?,
    }
    if report.has_saved_memory {
        line("saved memory", "yes")?;
    }
    line("keys", &report.key_count.to_string())?;
    for warning in &report.warnings {
        line("warning", warning)?;
    }
    if report.warnings_left_out > 0 {
        line("warning", &format!("and {} more", report.warnings_left_out))?;
    }
    Ok(())
}

fn print_configuration(
    line: &mut dyn FnMut(&str, &str) -> io::Result<()>,
    found: &ConfigurationReport,
) -> io::Result<()> {
    let generation = found.generation.map(|generation| generation.to_string());
    let logical_id = found.logical_id.as_ref().filter(|id| found.id.as_ref() != Some(*id)).cloned();
    let fields = [
        ("name", &found.name),
        ("ID", &found.id),
        ("logical ID", &logical_id),
        ("type", &found.type_id),
        ("version", &found.version),
        ("generation", &generation),
        ("created", &found.created),
        ("state changed", &found.last_state_change),
        ("notes", &found.notes),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            line(name, value)?;
        }
    }
    for disk in &found.disks {
        let mark = if disk.detached { " (controller not in the manifest)" } else { "" };
        line("disk", &format!("{:<8} {}{mark}", disk.slot, disk.path))?;
    }
    for reference in &found.listed_checkpoints {
        line("checkpoint", &format!("{} ({})", reference.id, reference.key))?;
    }
    if found.disk_merge_pending {
        line("merge", "disks were waiting to be merged")?;
    }
    Ok(())
}

/// One key a line: `path = type value`, and what can have children as `path/`.
fn print_keys(out: &mut dyn Write, tree: &KeyTree) -> io::Result<()> {
    for (path, node) in tree.walk() {
        let mark = if node.verified { "" } else { " (checksum wrong)" };
        let path = printable(&path);
        match &node.value {
            None => writeln!(out, "{path}/{mark}")?,
            Some(value) => writeln!(out, "{path} = {} {}{mark}", kind_of(Some(value)), text_of(value))?,
        }
    }
    Ok(())
}

/// A value in one line. Long byte strings are cut: JSON has all of them.
fn text_of(value: &Value) -> String {
    const BYTES_SHOWN: usize = 32;
    match value {
        Value::String(text) => format!("\"{}\"", printable(text)),
        Value::Bytes(bytes) if bytes.len() > BYTES_SHOWN => {
            let mut text = String::new();
            for byte in bytes.iter().take(BYTES_SHOWN) {
                let _ = write!(text, "{byte:02x}");
            }
            format!("{text}… ({} bytes)", bytes.len())
        }
        other => other.to_string(),
    }
}
