//! A manifest of any bytes: it is refused, or it is what its own text says, to the byte when it is printed again.

use std::sync::OnceLock;

use export_manifest::{Inconsistency, Manifest, ManifestError, compare};
use serde_json::{Value, json};

use super::bytes::Choices;

/// Reads text as it is, or an edited document, each with its own seal and with a fresh one.
pub fn manifest(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let text = match choices.byte() {
        b'{' => bytes.to_vec(),
        which => {
            let mut document = documents()[usize::from(which) % documents().len()].clone();
            while !choices.is_empty() {
                edit(&mut document, &mut choices);
            }
            document.to_string().into_bytes()
        }
    };
    if let Ok(manifest) = Manifest::parse(&text) {
        check(&manifest);
    }
    if let Ok(unsealed) = serde_json::from_slice::<Manifest>(&text) {
        check_sealed(&unsealed);
    }
}

/// Printed with a fresh seal, a document is refused for what it says or is what it was.
fn check_sealed(unsealed: &Manifest) {
    let text = unsealed.clone().to_json().expect("a document can be printed");
    match Manifest::parse(&text) {
        Ok(manifest) => {
            assert!(Manifest { manifest_sha256: unsealed.manifest_sha256, ..manifest.clone() } == *unsealed);
            check(&manifest);
        }
        Err(ManifestError::Damaged(error)) => panic!("what was printed can not be read: {error}"),
        Err(ManifestError::Inconsistent(Inconsistency::Seal)) => panic!("a fresh seal is refused"),
        Err(error) => drop(error.to_string()),
    }
}

fn check(manifest: &Manifest) {
    let text = manifest.clone().to_json().expect("a document can be printed");
    let again = Manifest::parse(&text).expect("what was printed can be read");
    assert!(again == *manifest, "another document after printing");
    assert!(again.to_json().expect("a document can be printed") == text);
    let (digests, size) = (manifest.content.digests(), manifest.disk.virtual_size);
    let _ = compare(&digests, &digests, size);
}

/// One change of one value of the document.
fn edit(document: &mut Value, choices: &mut Choices<'_>) {
    let mut pointers = Vec::new();
    collect(document, String::new(), &mut pointers);
    let pointer = &pointers[choices.below(pointers.len())];
    let Some(value) = document.pointer_mut(pointer) else { return };
    match choices.byte() % 8 {
        0 => *value = Value::Null,
        1 => *value = json!(choices.number(8)),
        2 => *value = json!(String::from_utf8_lossy(choices.patch())),
        3 => *value = json!([]),
        4 => grow(value, choices),
        5 => shrink(value, choices),
        6 => *value = json!(value.as_u64().unwrap_or(0).wrapping_add(choices.number(1)).wrapping_sub(128)),
        _ => change_digit(value, choices),
    }
}

fn collect(value: &Value, pointer: String, pointers: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| collect(field, format!("{pointer}/{name}"), pointers));
        }
        Value::Array(elements) => {
            (0..)
                .zip(elements)
                .take(4)
                .for_each(|(n, element)| collect(element, format!("{pointer}/{n}"), pointers));
        }
        _ => {}
    }
    pointers.push(pointer);
}

fn grow(value: &mut Value, choices: &mut Choices<'_>) {
    match value {
        Value::Array(elements) => {
            let element = elements.last().cloned().unwrap_or(Value::Null);
            elements.extend(std::iter::repeat_n(element, choices.below(40)));
        }
        Value::Object(fields) => {
            fields.insert(String::from_utf8_lossy(choices.patch()).into_owned(), json!(1));
        }
        Value::String(text) => text.push_str(&String::from_utf8_lossy(choices.patch())),
        _ => {}
    }
}

fn shrink(value: &mut Value, choices: &mut Choices<'_>) {
    match value {
        Value::Array(elements) => drop(elements.pop()),
        Value::Object(fields) => {
            let name = fields.keys().nth(choices.below(fields.len())).cloned();
            name.and_then(|name| fields.remove(&name));
        }
        Value::String(text) => drop(text.pop()),
        _ => {}
    }
}

fn change_digit(value: &mut Value, choices: &mut Choices<'_>) {
    let (at, digit) = (choices.number(1) as usize, b"0123456789abcdefAG"[choices.below(18)]);
    if let Value::String(text) = value {
        let mut letters: Vec<char> = text.chars().collect();
        if let Some(letter) = letters.get_mut(at) {
            *letter = digit.into();
        }
        *text = letters.into_iter().collect();
    }
}

/// Documents to start from: one with every field, and one with as few as there may be.
fn documents() -> &'static [Value] {
    static DOCUMENTS: OnceLock<Vec<Value>> = OnceLock::new();
    DOCUMENTS.get_or_init(|| vec![full(), bare()])
}

/// Two ranges, the second of which is half a MiB of the disk's end.
fn full() -> Value {
    let (digest, guid) = ("5d".repeat(32), "7584f8fb-36d3-4091-afb5-b1afe587bfa8");
    let size = (64_u64 << 20) + (1 << 19);
    let link = |name: &str, log| {
        json!({"filename": name, "format": "vhdx", "size": 4 << 20, "data_write_guid": guid,
            "virtual_disk_id": guid, "sequence_number": 7, "log": log})
    };
    let marks = ["00ff".repeat(64), "abcd".to_owned()];
    json!({
        "schema": "vhdx-export-manifest", "schema_version": 1,
        "tool": {"name": "vhdx-export", "version": "0.1.0"},
        "source": {
            "vm": {"name": "web01", "id": guid},
            "checkpoint": {"name": "before", "id": guid, "created": "2024-03-05T08:30:00Z"},
            "slot": "scsi0:1",
            "chain": [link("b.avhdx", json!({"state": "replayed", "entries": 3})),
                link("a.vhdx", json!({"state": "clean"}))],
        },
        "disk": {"virtual_size": size, "logical_sector_size": 512, "physical_sector_size": 4096,
            "data": 1 << 20, "zeros": size - (1 << 20)},
        "content": {"sha256": digest, "blksum": {"value": digest, "block_size": 64 << 10,
            "range_size": 64 << 20, "ranges": [digest, digest], "mark_size": 1 << 20, "marks": marks}},
        "artifact": {"filename": "web01.vhdx", "format": "vhdx", "size": 8 << 20, "sha256": digest,
            "options": {"block_size": 2 << 20, "allocation": "dynamic", "virtual_disk_id": guid,
                "data_write_guid": guid, "compression": "zstd:3"}},
        "warnings": ["a \"note\""], "manifest_sha256": digest,
    })
}

fn bare() -> Value {
    json!({
        "schema": "vhdx-export-manifest", "schema_version": 1,
        "tool": {"name": "vhdx-export", "version": "0.1.0"},
        "source": {"vm": null, "checkpoint": null, "slot": null, "chain": []},
        "disk": {"virtual_size": 0, "logical_sector_size": 512, "physical_sector_size": 512,
            "data": 0, "zeros": 0},
        "content": {},
        "artifact": {"filename": "-", "format": "raw", "size": 0, "options": {}},
        "warnings": [],
    })
}
