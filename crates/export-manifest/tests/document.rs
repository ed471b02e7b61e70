//! The document: what is written fits the checked-in schema and comes back the same; what is damaged is refused.

#![cfg(test)]

use export_manifest::{
    ArtifactProof, Checkpoint, ContentProof, DiskProof, Format, Inconsistency, Link, LogState, Manifest,
    ManifestError, Options, SCHEMA, Source, Tool, VERSION, Vm,
};
use export_sinks::{BlockSums, ContentDigests, MARK_LEN, RANGE_LEN, RangeSum, Sha256Digest};
use proptest::prelude::*;
use serde_json::{Value, json};

const GUID: &str = "7584f8fb-36d3-4091-afb5-b1afe587bfa8";

fn content(ranges: &[Option<u8>], size: u64) -> ContentProof {
    let lengths = (0..).map(|number| (size - number * RANGE_LEN).min(RANGE_LEN));
    let ranges = ranges.iter().zip(lengths).map(|(byte, len)| {
        let marks = usize::try_from(len.div_ceil(MARK_LEN)).unwrap();
        byte.map(|byte| RangeSum { blksum: Sha256Digest([byte; 32]), marks: vec![[byte, 255]; marks] })
    });
    let blocks = BlockSums { blksum: Sha256Digest::of(b"blocks"), ranges: ranges.collect() };
    let sha256 = Some(Sha256Digest::of(b"content"));
    ContentProof::of(&ContentDigests { sha256, blocks: Some(blocks), runs: None })
}

fn manifest(content: ContentProof, virtual_size: u64) -> Manifest {
    let link = |name: &str, log| Link {
        filename: name.to_owned(),
        format: Format::Vhdx,
        size: 4 << 20,
        data_write_guid: Some(GUID.to_owned()),
        virtual_disk_id: Some(GUID.to_owned()),
        sequence_number: Some(7),
        log: Some(log),
    };
    Manifest {
        schema: SCHEMA.to_owned(),
        schema_version: VERSION,
        tool: Tool { name: "vhdx-export".to_owned(), version: "0.1.0".to_owned() },
        source: Source {
            vm: Some(Vm { name: "web01".to_owned(), id: None }),
            checkpoint: Some(Checkpoint {
                name: "Vor dem Update".to_owned(),
                id: Some(GUID.to_owned()),
                created: Some("2024-03-05T08:30:00Z".to_owned()),
            }),
            slot: None,
            chain: vec![link("b.avhdx", LogState::Replayed { entries: 3 }), link("a.vhdx", LogState::Clean)],
        },
        disk: DiskProof {
            virtual_size,
            logical_sector_size: 512,
            physical_sector_size: 4096,
            data: 0,
            zeros: virtual_size,
        },
        content,
        artifact: ArtifactProof {
            filename: "m.raw.zst".to_owned(),
            format: Format::RawZst,
            size: 12,
            sha256: Some(Sha256Digest::of(b"artifact")),
            options: Options { compression: Some("zstd:3".to_owned()), ..Options::default() },
        },
        warnings: vec!["a \"note\" of ünïcode".to_owned()],
        manifest_sha256: None,
    }
}

fn sample() -> Manifest {
    let size = 2 * RANGE_LEN + MARK_LEN + 512;
    manifest(content(&[Some(1), None, Some(3)], size), size)
}

fn text_of(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

fn fits_the_schema(text: &[u8]) -> bool {
    let schema: Value = serde_json::from_str(include_str!("../schema/manifest-1.json")).unwrap();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("urn:vhdx-export:manifest:1", schema).unwrap();
    let mut schemas = boon::Schemas::new();
    let index = compiler.compile("urn:vhdx-export:manifest:1", &mut schemas).unwrap();
    schemas.validate(&serde_json::from_slice(text).unwrap(), index).is_ok()
}

#[test]
fn what_is_written_fits_the_schema_and_comes_back_the_same() {
    let bare = Manifest {
        content: ContentProof::default(),
        source: Source { vm: None, checkpoint: None, ..sample().source },
        ..sample()
    };
    for manifest in [sample(), bare] {
        let text = manifest.clone().to_json().unwrap();
        assert!(fits_the_schema(&text));
        let parsed = Manifest::parse(&text).unwrap();
        assert!(parsed.manifest_sha256.is_some());
        assert_eq!(Manifest { manifest_sha256: None, ..parsed }, manifest);
    }
}

/// Whatever the schema refuses, the reader refuses too: nobody has to trust a document less than its schema.
#[test]
fn the_reader_is_as_strict_as_the_schema() {
    let good = serde_json::to_value(sample()).unwrap();
    for (pointer, wrong) in [
        ("/schema", json!("other")),
        ("/schema_version", json!(0)),
        ("/schema_version", json!("1")),
        ("/tool", json!(null)),
        ("/disk/virtual_size", json!(-1)),
        ("/content/sha256", json!("00")),
        ("/content/blksum/ranges/0", json!(7)),
        ("/content/blksum/marks/0", json!("+123")),
        ("/content/blksum/block_size", json!(4096)),
        ("/artifact/extra", json!(1)),
        ("/artifact/format", json!("")),
        ("/content/sha256", json!("A".repeat(64))),
        ("/content/blksum/marks/0", json!("ABCD".repeat(64))),
        ("/source/chain/0/log", json!({"state": "unknown"})),
        ("/warnings", json!([1])),
    ] {
        let mut document = good.clone();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        match document.pointer_mut(parent).unwrap() {
            Value::Array(list) => list[field.parse::<usize>().unwrap()] = wrong,
            object => object[field] = wrong,
        }
        assert!(!fits_the_schema(&text_of(&document)), "{pointer}");
        assert!(Manifest::parse(&text_of(&document)).is_err(), "{pointer}");
    }
}

#[test]
fn each_kind_of_wrong_file_has_its_own_answer() {
    let text = sample().to_json().unwrap();
    let cut = &text[..text.len() / 2];
    assert!(matches!(Manifest::parse(cut), Err(ManifestError::NotJson(_))));
    assert!(matches!(Manifest::parse(b""), Err(ManifestError::NotJson(_))));
    for other in [&b"[]"[..], b"{}", b"{\"schema\": 1}", b"{\"schema\": \"x\", \"schema_version\": 1}"] {
        assert!(matches!(Manifest::parse(other), Err(ManifestError::NotAManifest)));
    }
    // Whatever else a later version holds.
    let newer = json!({"schema": SCHEMA, "schema_version": 2, "content": []});
    let newer = Manifest::parse(&text_of(&newer));
    assert!(matches!(newer, Err(ManifestError::Newer { found: 2, known: 1 })));
    let damaged = String::from_utf8(text).unwrap().replace("\"zeros\"", "\"zeroz\"");
    assert!(matches!(Manifest::parse(damaged.as_bytes()), Err(ManifestError::Damaged(_))));
}

#[test]
fn what_contradicts_itself_is_refused() {
    let size = 2 * RANGE_LEN + MARK_LEN + 512;
    let refused = |content, virtual_size| {
        let text = manifest(content, virtual_size).to_json().unwrap();
        match Manifest::parse(&text) {
            Err(ManifestError::Inconsistent(found)) => found,
            other => panic!("{other:?}"),
        }
    };
    let found = refused(content(&[None, None], size), size);
    assert_eq!(found, Inconsistency::Count { field: "ranges", found: 2, expected: 3 });
    // One MiB less, and the last range has a mark too many.
    let found = refused(content(&[Some(1), None, Some(3)], size), size - MARK_LEN);
    assert_eq!(found, Inconsistency::Marks { range: 2 });
    let mut wrong = sample();
    wrong.disk.data = 1;
    let found = Manifest::parse(&wrong.to_json().unwrap()).unwrap_err();
    assert!(matches!(found, ManifestError::Inconsistent(Inconsistency::Tally { .. })));
}

/// Any change that is not of white space is seen, whatever it changes, and the text may be formatted in any way.
#[test]
fn a_changed_manifest_is_told_from_one_that_was_formatted() {
    let good = sample().to_json().unwrap();
    let compact = text_of(&serde_json::from_slice(&good).unwrap());
    assert!(compact.len() < good.len());
    assert_eq!(Manifest::parse(&compact).unwrap(), Manifest::parse(&good).unwrap());
    let edited = String::from_utf8(good).unwrap().replace("web01", "web02");
    let found = Manifest::parse(edited.as_bytes()).unwrap_err();
    assert!(matches!(found, ManifestError::Inconsistent(Inconsistency::Seal)), "{found}");
}

#[test]
fn a_short_text_does_not_ask_for_endless_lists() {
    let mut document = serde_json::to_value(sample()).unwrap();
    document["warnings"] = json!(vec![""; 20_000]);
    assert!(matches!(Manifest::parse(&text_of(&document)), Err(ManifestError::Damaged(_))));
    let nested = format!("{{\"schema\": [{}0], \"schema_version\": {{}}}}", "[0], ".repeat(100_000));
    assert!(matches!(Manifest::parse(nested.as_bytes()), Err(ManifestError::NotAManifest)));
    let mut document = serde_json::to_value(sample()).unwrap();
    document["content"]["blksum"]["ranges"] = json!(vec![Value::Null; (1 << 20) + 1]);
    assert!(matches!(Manifest::parse(&text_of(&document)), Err(ManifestError::Damaged(_))));
}

proptest! {
    /// A changed byte is refused, unless it is white space.
    #[test]
    fn a_changed_byte_is_refused(at in any::<prop::sample::Index>(), byte: u8) {
        let good = sample().to_json().unwrap();
        let mut text = good.clone();
        let at = at.index(text.len());
        text[at] = byte;
        if Manifest::parse(&text).is_ok() {
            prop_assert!(byte == good[at] || byte.is_ascii_whitespace() && good[at].is_ascii_whitespace());
        }
    }
}
