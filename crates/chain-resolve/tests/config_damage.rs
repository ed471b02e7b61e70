//! Damaged configurations of both forms: an error with a place or a tree with warnings, never a panic, never for ever.
//!
//! Every structure of a small store is cut at every length and each of its bytes is changed, as damage would change it
//! and with fresh checksums, as malice would. What takes too long here is seen as a test that does not end: the hostile
//! stores at the bottom would need hours without the limits.

use chain_resolve::forge::hvs::{Change, Container, Entry, EntryId, Parent, key_table, reseal};
use chain_resolve::forge::vm::{Disk, Slot, Vm};
use chain_resolve::forge::xml::{self, Encoding};
use chain_resolve::vm::hvs::{self, Problem, Store, Structure};
use chain_resolve::vm::tree::{KeyTree, Node, Value};
use chain_resolve::vm::xml::XmlError;
use chain_resolve::vm::{Configuration, Form, Generation, read_keys, xml as xml_reader};
use limits::Limit;
use limits::configuration::{DEPTH_MAX, ELEMENTS_MAX, NAME_BYTES_MAX, XML_DIVISOR};
use proptest::prelude::*;
use uuid::Uuid;

/// A store with one of everything: nodes and all types, slack, a free entry, a file object, a pending log.
fn small() -> Container {
    let keys = [Node::new("configuration").with([
        Node::new("properties").with([
            Node::leaf("global_id", Value::String("AAAAAAAA-0000-0000-0000-000000000001".to_owned())),
            Node::leaf("creation_time", Value::Bytes(vec![0x8f, 0x78, 0xb3, 0xdb, 0xde, 0xfb, 0xcf, 0x01])),
            Node::leaf("version", Value::Int(2304)),
            Node::leaf("u", Value::UInt(7)),
            Node::leaf("d", Value::Double(1.5)),
            Node::leaf("b", Value::Bool(true)),
        ]),
        Node::leaf("big", Value::Bytes(vec![5; 2048])),
    ])];
    let mut container = Container::of(&keys);
    container.entry_mut("version").expect("the key").slack = vec![9; 12];
    container.entry_mut("u").expect("the key").free_behind = Some(22);
    container.log.changes = vec![Change::new(0x3e00, [0; 4]), Change::new(0x3f00, [1; 8])];
    container.log.cut = true;
    container
}

/// Reads as keys and as a configuration; whatever is wrong is said with a place.
fn survives(bytes: &[u8]) -> Option<Store> {
    let _ = read_keys(bytes).map(Configuration::from_keys);
    match hvs::read(bytes) {
        Ok(store) => {
            assert!(depth(&store.tree) <= DEPTH_MAX);
            Some(store)
        }
        Err(error) => {
            assert!(error.to_string().contains("0x"), "{error}");
            None
        }
    }
}

fn depth(tree: &KeyTree) -> usize {
    tree.walk().map(|(path, _)| path.matches('/').count()).max().unwrap_or(0)
}

/// The bytes that mean something: headers, first slots, entries and the log.
fn structures(bytes: &[u8]) -> Vec<usize> {
    let used = |at: usize, len: usize| at..(at + len).min(bytes.len());
    [used(0, 46), used(0x1000, 46), used(0x2000, 80), used(0x3000, 400), used(0x5000, 100), used(0x6000, 12)]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn a_store_cut_at_every_length_is_an_error_or_says_what_is_missing() {
    let bytes = small().build();
    assert_eq!(bytes.len(), 0x600c, "{:#x}", bytes.len());
    assert!(hvs::read(&bytes).unwrap().warnings.is_empty());
    for len in 0..bytes.len() {
        let cut_short = survives(&bytes[..len]).is_none_or(|store| !store.warnings.is_empty());
        assert!(cut_short, "{len:#x}");
    }
}

#[test]
fn a_store_with_any_byte_of_a_structure_changed_is_an_error_or_has_a_warning() {
    let clean = small().build();
    let tree = hvs::read(&clean).unwrap().tree;
    for at in structures(&clean) {
        for change in [0x01, 0x80, 0xFF, clean[at], clean[at] ^ 1] {
            let mut bytes = clean.clone();
            bytes[at] ^= change;
            let Some(store) = survives(&bytes) else { continue };
            // Slack and free space may change without a sound; nothing else may change the tree.
            let silent = store.warnings.is_empty();
            assert!(!silent || change == 0 || store.tree == tree, "{at:#x} ^ {change:#x}");
        }
    }
}

#[test]
fn a_store_with_any_byte_changed_and_sealed_again_is_read_or_refused() {
    let clean = small().build();
    for at in structures(&clean) {
        for value in [0, 1, 2, 6, 0x7F, 0x80, 0xFF, clean[at].wrapping_add(1)] {
            let mut bytes = clean.clone();
            bytes[at] = value;
            reseal(&mut bytes);
            survives(&bytes);
        }
    }
}

#[test]
fn sealing_again_is_what_makes_changes_pass_and_changes_nothing_else() {
    let clean = small().build();
    let mut same = clean.clone();
    reseal(&mut same);
    // The forged log's entries lie where the header says, so everything is found.
    assert!(same == clean);
    let mut renamed = clean.clone();
    let name = 0x300a + 21;
    renamed[name] = b'C';
    assert!(!hvs::read(&renamed).unwrap().warnings.is_empty());
    reseal(&mut renamed);
    assert!(hvs::read(&renamed).unwrap().warnings.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn stores_with_many_random_changes_are_read_or_refused(
        changes in prop::collection::vec((0_usize..0x600c, any::<u8>()), 1..12),
        sealed in any::<bool>(),
    ) {
        let mut bytes = small().build();
        for (at, value) in changes {
            bytes[at] = value;
        }
        if sealed {
            reseal(&mut bytes);
        }
        survives(&bytes);
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
        let _ = read_keys(&bytes);
        let store = [&[0x14, 0x20, 0x28, 0x01], &bytes[..]].concat();
        survives(&store);
    }
}

#[test]
fn keys_below_the_deepest_level_are_left_out_once() {
    let chain = (0..100_u32).rev().fold(None, |child, n| Some(Node::new(format!("n{n}")).with(child)));
    let store = hvs::read(&Container::of(&[chain.unwrap()]).build()).unwrap();
    assert_eq!(depth(&store.tree), DEPTH_MAX);
    let problems: Vec<_> = store.warnings.first.iter().map(|warning| &warning.problem).collect();
    assert_eq!(problems, [&Problem::TooDeep(36)]);
    assert!(store.tree.orphans.is_empty());
}

/// Tables that begin 32 bytes apart and each hold one text to nearly the end of the file, which is summed up.
#[test]
fn tables_that_overlap_do_not_multiply_the_work() {
    let mut bytes = Container::of(&[Node::new("x")]).build();
    bytes.resize(32 << 20, 0x41);
    let slots = 200_000_u32;
    bytes[0x2004..0x2008].copy_from_slice(&slots.to_le_bytes());
    let (entry_len, data_len) = (16_u32 << 20, (16_u32 << 20) - 100);
    for i in 0..slots as usize {
        let table = (8 << 20) + 32 * i;
        let slot = &mut bytes[0x2008 + 18 * i..][..18];
        slot[0] = 2;
        slot[5..13].copy_from_slice(&(table as u64).to_le_bytes());
        slot[13..17].copy_from_slice(&(entry_len + 10).to_le_bytes());
        let table = &mut bytes[table..][..32];
        table[..4].copy_from_slice(&[2, 0, 1, 0]);
        table[10] = 7;
        table[11] = 0;
        table[12..16].copy_from_slice(&entry_len.to_le_bytes());
        // The name takes five bytes, so the length of the data is behind the index of the next table.
        table[30] = 5;
    }
    for i in 0..slots as usize {
        let at = (8 << 20) + 32 * (i + 1) + 4;
        bytes[at..at + 4].copy_from_slice(&data_len.to_le_bytes());
    }
    let store = survives(&bytes).unwrap();
    let limit =
        Problem::TooMany { structure: Structure::KeyTable, limit: limits::configuration::TABLE_BYTES_MAX };
    assert!(store.warnings.first.iter().any(|warning| warning.problem == limit), "{:?}", store.warnings);
}

#[test]
fn values_that_share_bytes_do_not_multiply_the_memory() {
    // 11 400 keys, each with the same 16 MiB as its value.
    let value = (16_u32 << 20).to_le_bytes();
    let reference = Node::leaf("k", Value::Bytes(Vec::new()));
    let mut entry = Entry::new(EntryId(0), Parent::Root, &reference, 0);
    entry.elsewhere = true;
    let mut one = entry.to_bytes((0, 0), 0, 0);
    one[23..27].copy_from_slice(&value);
    one[12..16].fill(0);
    let crc = crc32fast::hash(&one);
    one[12..16].copy_from_slice(&crc.to_le_bytes());
    let mut bytes = Container::of(&[]).build();
    let per_table = 4000 / one.len();
    for index in 0..100 {
        let table = key_table(index + 2, 1, one.repeat(per_table), 0);
        bytes.extend(table);
    }
    bytes.resize(20 << 20, 0);
    bytes[0x2000] = 0;
    let store = survives(&bytes).unwrap();
    let held: usize = store.tree.root.children.iter().filter_map(|key| key.value.as_ref()).map(len).sum();
    assert_eq!(held, limits::configuration::VALUES_BYTES_MAX, "four of them, then no more");
}

fn len(value: &Value) -> usize {
    if let Value::Bytes(bytes) = value { bytes.len() } else { 0 }
}

#[test]
fn a_log_that_repeats_one_payload_does_not_multiply_the_work() {
    let mut container = Container::of(&[Node::new("x")]);
    container.log.header_size = 8 << 20;
    container.log.region = 16 << 20;
    container.log.changes = vec![Change::new(0x8_0000, vec![0; 4 << 20])];
    let mut bytes = container.build();
    let (log, slot) = (0x4000, 0x4000 + 34);
    let entry = bytes[slot..slot + 28].to_vec();
    for i in 0..200_000 {
        bytes[slot + 28 * i..][..28].copy_from_slice(&entry);
    }
    bytes[log + 8..log + 12].copy_from_slice(&200_000_u32.to_le_bytes());
    bytes[log + 4..log + 8].fill(0);
    let crc = crc32fast::hash(&bytes[log..log + 34]);
    bytes[log + 4..log + 8].copy_from_slice(&crc.to_le_bytes());
    let store = survives(&bytes).unwrap();
    assert!(matches!(store.warnings.first[0].problem, Problem::LogNotApplied(_)), "{:?}", store.warnings);
    assert_eq!(store.replayed, 0);
}

fn demo() -> Vm {
    let mut vm = Vm::new("demo", Uuid::from_u128(1), Generation::One);
    vm.disks = vec![Disk { slot: Slot::Ide(0, 0), path: r"D:\vm\a.vhdx".to_owned() }];
    vm.created = Some(0x019D_B1DE_D53E_8000);
    vm
}

#[test]
fn an_xml_file_cut_anywhere_is_an_error() {
    let root = demo().configuration(Form::Xml);
    for encoding in [Encoding::Utf16Le, Encoding::Utf16Be, Encoding::Utf8, Encoding::Utf8Marked] {
        let bytes = xml::file(&root, encoding);
        assert!(xml_reader::read(&bytes).is_ok());
        for len in 0..bytes.len() {
            assert!(xml_reader::read(&bytes[..len]).is_err(), "{encoding:?} {len}");
        }
    }
}

#[test]
fn an_xml_file_with_any_byte_changed_is_read_or_refused() {
    let bytes = xml::file(&demo().configuration(Form::Xml), Encoding::Utf8);
    for at in 0..bytes.len() {
        for value in [0, b'<', b'>', b'&', b'"', b'/', b'!', 0xFF] {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            let _ = Configuration::parse(&bytes);
        }
    }
}

fn refused(text: &str) -> XmlError {
    xml_reader::read(text.as_bytes()).expect_err("no XML that is read")
}

#[test]
fn document_types_and_entities_are_refused_with_a_place() {
    let bomb = r#"<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>"#;
    assert!(matches!(refused(bomb), XmlError::DocumentType { at: 21 }));
    assert!(matches!(
        refused("<!DOCTYPE a SYSTEM 'file:///etc/hostname'><a/>"),
        XmlError::DocumentType { .. }
    ));
    assert!(matches!(refused("<a>&other;</a>"), XmlError::Entity { at: 10 }));
    assert!(matches!(refused("<a>&#x110000;</a>"), XmlError::Syntax { .. }));
    let own = xml_reader::read(b"<a>&lt;&gt;&amp;&apos;&quot;&#65;&#x42;</a>").unwrap();
    assert_eq!(own.tree.root.text_at("a"), Some("<>&'\"AB"));
}

#[test]
fn nesting_is_bounded_and_costs_no_stack() {
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    assert!(xml_reader::read(nested(DEPTH_MAX).as_bytes()).is_ok());
    assert!(matches!(refused(&nested(DEPTH_MAX + 1)), XmlError::TooDeep { .. }));
    assert!(matches!(refused(&"<a>".repeat(5_000_000)), XmlError::TooDeep { .. }));
    assert!(matches!(refused(&nested(2)[..6]), XmlError::Ends { .. }));
}

#[test]
fn huge_attributes_names_and_crowds_of_elements_are_bounded() {
    let huge =
        format!("<a {} type=\"integer\" b=\"{}\">7</a>", "x=\"1\" ".repeat(2_000_000), "b".repeat(9_000_000));
    assert_eq!(xml_reader::read(huge.as_bytes()).unwrap().tree.root.int_at("a"), Some(7));
    let name = "n".repeat(NAME_BYTES_MAX + 1);
    assert!(matches!(refused(&format!("<{name}/>")), XmlError::NameTooLong { found: 255, .. }));
    let crowd = format!("<a>{}</a>", "<b/>".repeat(ELEMENTS_MAX));
    assert!(matches!(refused(&crowd), XmlError::TooMany { .. }));
    let large = "<".repeat(usize::try_from(Limit::ConfigurationSize.usual() / XML_DIVISOR).unwrap() + 1);
    assert!(matches!(refused(&large), XmlError::TooLarge { .. }));
}

#[test]
fn one_root_and_nothing_beside_it() {
    for text in ["<a/><b/>", "<a/>x", "x<a/>", "<a></b>", "</a>", "<a", "<a><b></a></b>", " ", "<!-- -->"] {
        assert!(xml_reader::read(text.as_bytes()).is_err(), "{text}");
    }
    assert!(xml_reader::read(b"<?xml version='1.0'?>\n<!-- c --><a/>\n<?pi?> \n").is_ok());
}

#[test]
fn a_hostile_list_of_references_is_cut_off() {
    let ids = "<i>AAAAAAAA-0000-0000-0000-000000000001</i>".repeat(50_000);
    let name = "n".repeat(NAME_BYTES_MAX);
    let (open, close) = (format!("<{name}>").repeat(60), format!("</{name}>").repeat(60));
    let text = format!("<configuration><manifest/>{open}{ids}{close}</configuration>");
    assert_eq!(Configuration::parse(text.as_bytes()).unwrap().references.len(), 1024);
}
