//! The binary store: golden bytes of the writer, and each thing a store may hold, read back.
//!
//! The golden bytes were checked against files that Windows wrote. Numbers in the comments are rows of the list of
//! fixtures that the format's description asks for.

use chain_resolve::forge::hvs::{Change, Container, Content, Entry, EntryId, ExtraTable, HeaderCopy, Parent};
use chain_resolve::vm::hvs::{self, LogFault, Problem, Store, StoreError, Structure};
use chain_resolve::vm::tree::{Node, Unreadable, Value};

fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}

/// `/configuration/properties/name` = "A".
fn minimal() -> Container {
    Container::of(&[
        Node::new("configuration").with([Node::new("properties").with([Node::leaf("name", text("A"))])])
    ])
}

fn name_of(store: &Store) -> Option<&str> {
    store.tree.root.text_at("configuration/properties/name")
}

#[track_caller]
fn clean(bytes: &[u8]) -> Store {
    let store = hvs::read(bytes).expect("a store");
    assert!(store.warnings.is_empty(), "{:?}", store.warnings);
    assert!(store.tree.orphans.is_empty());
    store
}

#[track_caller]
fn problems(store: &Store) -> Vec<Problem> {
    store.warnings.first.iter().map(|warning| warning.problem.clone()).collect()
}

fn hex(digits: &str) -> Vec<u8> {
    digits.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("hex digits")).collect()
}

/// Bytes at given offsets of a file that is zero otherwise.
fn golden(len: usize, parts: &[(usize, &str)]) -> Vec<u8> {
    let mut bytes = vec![0; len];
    for (at, digits) in parts {
        let part = hex(digits);
        bytes[*at..at + part.len()].copy_from_slice(&part);
    }
    for at in (0..226).map(|slot| 0x201a + 18 * slot) {
        bytes[at..at + 18].copy_from_slice(&hex("00 4d cf 1b 67 00 00 00 00 00 00 00 00 00 00 00 00 00"));
    }
    bytes
}

const TABLES: [(usize, &str); 7] = [
    (0x2000, "01 00 11 01 e3 00 00 00"),
    (0x2008, "02 c3 f5 f8 51 00 30 00 00 00 00 00 00 00 10 00 00 01"),
    (0x3000, "02 00 01 00 01 00 70 6b 89 e0"),
    (
        0x300a,
        "09 00 2f 00 00 00 00 00 00 00 00 00 85 6a b6 bc 01 00 00 00 0e \
         63 6f 6e 66 69 67 75 72 61 74 69 6f 6e 00 00 00 00 00 00 00 00 00 02 00 00 00",
    ),
    (
        0x3039,
        "09 00 2c 00 00 00 01 00 0a 00 00 00 d8 d5 f7 66 01 00 00 00 0b \
         70 72 6f 70 65 72 74 69 65 73 00 00 00 00 00 00 00 00 00 02 00 00 00",
    ),
    (
        0x3065,
        "06 00 20 00 00 00 01 00 39 00 00 00 4d 67 d4 1f 01 00 00 00 05 6e 61 6d 65 00 02 00 00 00 41 00",
    ),
    (0x3085, "01 00 7b 0f 00 00 00"),
];

fn golden_minimal() -> Vec<u8> {
    let own = [
        (0, "14 20 28 01 fc 09 27 b6 01 00 00 04 00 00 00 00 00 00 00 00 00 00 00 10 00 00 00 40"),
        (0x20, "00 00 00 10 00 00 00 00 00 00 00 10"),
        (0x1000, "14 20 28 01 1e f4 af 3b 00 00 00 04 00 00 00 00 00 00 00 00 00 00 00 10 00 00 00 40"),
        (0x1020, "00 00 00 10 00 00 00 00 00 00 00 10"),
        (0x4000, "03 00 11 01 33 10 1e 28 00 00 00 00 00 91 00 00 00"),
    ];
    golden(20480, &[&own[..], &TABLES].concat())
}

/// 1.
#[test]
fn the_minimal_store_is_written_byte_for_byte_and_read_back() {
    let bytes = minimal().build();
    assert!(bytes == golden_minimal(), "first difference at {:?}", difference(&bytes, &golden_minimal()));
    assert_eq!(name_of(&clean(&bytes)), Some("A"));
}

fn difference(a: &[u8], b: &[u8]) -> Option<usize> {
    (0..a.len().max(b.len())).find(|i| a.get(*i) != b.get(*i))
}

#[test]
fn single_entries_are_written_byte_for_byte() {
    let leaf = |name: &str, value, insertion| {
        Entry::new(EntryId(0), Parent::Root, &Node::leaf(name, value), insertion)
    };
    let time = [0x8f, 0x78, 0xb3, 0xdb, 0xde, 0xfb, 0xcf, 0x01];
    let cases = [
        (
            leaf("version", Value::Int(2304), 2).to_bytes((1, 0x39), 0, 0),
            "03 00 25 00 00 00 01 00 39 00 00 00 42 a4 90 ea 02 00 00 00 08 76 65 72 73 69 6f 6e 00 \
             00 09 00 00 00 00 00 00",
        ),
        (
            leaf("u", Value::UInt(7), 4).to_bytes((1, 0x0a), 0, 0),
            "04 00 1f 00 00 00 01 00 0a 00 00 00 48 d5 f5 08 04 00 00 00 02 75 00 07 00 00 00 00 00 00 00",
        ),
        (
            leaf("dbl", Value::Double(1.5), 3).to_bytes((1, 0x0a), 0, 0),
            "05 00 21 00 00 00 01 00 0a 00 00 00 43 58 d9 5d 03 00 00 00 04 64 62 6c 00 \
             00 00 00 00 00 00 f8 3f",
        ),
        (
            leaf("notes", text(""), 3).to_bytes((1, 0x39), 0, 0),
            "06 00 1f 00 00 00 01 00 39 00 00 00 af 75 e3 61 03 00 00 00 06 6e 6f 74 65 73 00 00 00 00 00",
        ),
        (
            leaf("big", text(&"x".repeat(1100)), 4).to_bytes((1, 0x39), 0x5000, 0),
            "06 01 25 00 00 00 01 00 39 00 00 00 31 7c 0e bf 04 00 00 00 04 62 69 67 00 \
             98 08 00 00 00 50 00 00 00 00 00 00",
        ),
        (
            leaf("creation_time", Value::Bytes(time.to_vec()), 3).to_bytes((1, 0x39), 0, 0),
            "07 00 2f 00 00 00 01 00 39 00 00 00 57 a4 a4 4e 01 00 00 00 0e \
             63 72 65 61 74 69 6f 6e 5f 74 69 6d 65 00 08 00 00 00 8f 78 b3 db de fb cf 01",
        ),
        (
            leaf("flag", Value::Bool(true), 2).to_bytes((1, 0x0a), 0, 0),
            "08 00 1e 00 00 00 01 00 0a 00 00 00 80 c0 fe 12 02 00 00 00 05 66 6c 61 67 00 01 00 00 00",
        ),
    ];
    for (written, expected) in cases {
        let mut expected = hex(expected);
        // The description prints the time's insertion as 1.
        if expected[0] == 7 {
            let entry = leaf("creation_time", Value::Bytes(time.to_vec()), 1).to_bytes((1, 0x39), 0, 0);
            assert_eq!(entry, expected);
            expected = written.clone();
        }
        assert_eq!(written, expected);
    }
}

fn rename_to_b() -> Container {
    let mut container = minimal();
    container.log.region = 0x2000;
    container.log.cut = true;
    let entry = Entry::new(EntryId(0), Parent::Root, &Node::leaf("name", text("B")), 1);
    container.log.changes = vec![Change::new(0x3065, entry.to_bytes((1, 0x39), 0, 0))];
    container
}

/// 12, and 13: the file ends with the log's last payload.
#[test]
fn the_dirty_log_is_written_byte_for_byte_and_applied_in_memory() {
    let own = [
        (0, "14 20 28 01 e0 42 4d 9e 01 00 00 04 00 00 00 00 00 00 00 00 00 00 00 10 00 00 00 40"),
        (0x20, "00 00 00 20 00 00 00 00 00 00 00 10"),
        (0x1000, "14 20 28 01 02 bf c5 13 00 00 00 04 00 00 00 00 00 00 00 00 00 00 00 10 00 00 00 40"),
        (0x1020, "00 00 00 20 00 00 00 00 00 00 00 10"),
        (0x4000, "03 00 11 01 a4 b6 03 cf 01 00 00 00 00 91"),
        (0x4022, "65 30 00 00 00 00 00 00 20 00 00 00 00 10 00 00 00 00 00 00 d8 f1 c8 42 55 99 a4 4f"),
        (
            0x5000,
            "06 00 20 00 00 00 01 00 39 00 00 00 8e 34 f9 34 01 00 00 00 05 6e 61 6d 65 00 02 00 00 00 42 00",
        ),
    ];
    let expected = golden(0x5020, &[&own[..], &TABLES].concat());
    let bytes = rename_to_b().build();
    assert!(bytes == expected, "first difference at {:?}", difference(&bytes, &expected));
    let store = clean(&bytes);
    assert_eq!((name_of(&store), store.replayed), (Some("B"), 1));
}

/// 12.
#[test]
fn a_log_with_one_bad_checksum_is_not_applied_at_all() {
    for (entry, payload) in [(true, false), (false, true)] {
        let mut container = rename_to_b();
        let rename = container.log.changes[0].clone();
        let broken = Change { broken_entry: entry, broken_payload: payload, ..Change::new(0x3085, [9; 4]) };
        container.log.changes = vec![rename, broken];
        let store = hvs::read(&container.build()).unwrap();
        assert_eq!((name_of(&store), store.replayed), (Some("A"), 0), "all or nothing");
        let problems = problems(&store);
        let [Problem::LogNotApplied(LogFault::Damaged(why))] = problems.as_slice() else {
            panic!("{:?}", store.warnings)
        };
        let expected = if entry { (Structure::LogEntry, 0x403e) } else { (Structure::LogPayload, 0x5020) };
        let Problem::Checksum { structure, .. } = why.problem else { panic!("{why}") };
        assert_eq!((structure, why.at), expected);
    }
}

/// 12.
#[test]
fn overlapping_changes_apply_in_their_order() {
    let mut container = rename_to_b();
    let mut changes = container.log.changes.clone();
    changes.insert(0, Change::new(0x3060, [0xEE; 37]));
    changes.insert(1, Change::new(0x3060, minimal().build()[0x3060..0x3065].to_vec()));
    container.log.changes = changes;
    let store = clean(&container.build());
    assert_eq!((name_of(&store), store.replayed), (Some("B"), 3));
}

/// 12.
#[test]
fn stale_slots_of_a_clean_log_are_neither_applied_nor_reported() {
    let mut container = rename_to_b();
    container.log.pending = Some(0);
    container.log.changes.push(Change { broken_payload: true, ..Change::new(0x2008, [1; 18]) });
    let store = clean(&container.build());
    assert_eq!((name_of(&store), store.replayed), (Some("A"), 0));
}

#[test]
fn a_log_that_states_more_than_it_can_hold_is_not_applied() {
    let mut container = rename_to_b();
    container.log.pending = Some(146);
    let store = hvs::read(&container.build()).unwrap();
    let fault = LogFault::Count { at: 0x4008, most: 145, found: 146 };
    assert_eq!(problems(&store), [Problem::LogNotApplied(fault)]);

    let mut container = rename_to_b();
    container.log.changes[0].at = u64::MAX - 3;
    let store = hvs::read(&container.build()).unwrap();
    assert!(matches!(
        &problems(&store)[..],
        [Problem::LogNotApplied(LogFault::Destination { at: 0x4022, .. })]
    ));
}

#[test]
fn a_change_may_lengthen_the_file() {
    let mut container = minimal();
    container.log.changes = vec![Change::new(0x8000, [7; 9])];
    let store = clean(&container.build());
    assert_eq!((name_of(&store), store.replayed), (Some("A"), 1));
}

/// The minimal store, but copy 1 has a log that renames to "B": which copy was used shows. Each copy has a sequence and
/// may be torn.
fn with_headers(first: (u16, bool), second: (u16, bool)) -> Vec<u8> {
    let mut container = minimal();
    container.headers = [first, second].map(|(sequence, torn)| HeaderCopy { sequence, torn });
    let mut bytes = container.build();
    let log_at = bytes.len() as u64;
    bytes.extend(rename_to_b().log.to_bytes());
    let header = &mut bytes[0x1000..0x102e];
    header[26..34].copy_from_slice(&log_at.to_le_bytes());
    header[4..8].fill(0);
    let crc = crc32fast::hash(header) ^ u32::from(second.1);
    header[4..8].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// 2.
#[test]
fn the_newer_header_is_current_and_sequences_wrap() {
    for (first, second, name) in [
        ((1, false), (0, false), "A"),
        ((1, false), (2, false), "B"),
        ((0xFFFF, false), (0, false), "B"),
        ((0, false), (0xFFFF, false), "A"),
        ((0x7FFF, false), (0x8000, false), "B"),
    ] {
        let store = clean(&with_headers(first, second));
        assert_eq!(name_of(&store), Some(name), "{first:?} {second:?}");
    }
}

/// 2.
#[test]
fn a_torn_header_leaves_the_other_one() {
    for (first, second, name) in [((9, true), (8, false), "B"), ((8, false), (9, true), "A")] {
        let store = hvs::read(&with_headers(first, second)).unwrap();
        assert_eq!(name_of(&store), Some(name));
        assert!(matches!(
            problems(&store)[..],
            [Problem::Checksum { structure: Structure::FileHeader(_), .. }]
        ));
    }
}

/// 2.
#[test]
fn without_a_valid_header_the_keys_are_read_all_the_same() {
    let store = hvs::read(&with_headers((1, true), (0, true))).unwrap();
    assert_eq!(name_of(&store), Some("A"));
    assert!(problems(&store).contains(&Problem::NoValidHeader));
}

/// 2.
#[test]
fn equal_sequences_mean_the_first_header_and_a_warning() {
    let store = hvs::read(&with_headers((5, false), (5, false))).unwrap();
    assert_eq!(name_of(&store), Some("A"));
    assert_eq!(problems(&store), [Problem::EqualSequences(5)]);
}

#[test]
fn versions_are_read_warned_about_or_refused() {
    for (version, warned) in [(0x400, false), (0x401, true), (0x301, true), (0x200, true)] {
        let store = hvs::read(&Container { version, ..minimal() }.build()).unwrap();
        assert_eq!(name_of(&store), Some("A"));
        assert_eq!(problems(&store).contains(&Problem::Version(version)), warned, "{version:#x}");
    }
    for version in [0, 0x100, 0x101, 0x1FF, 0x500] {
        let error = hvs::read(&Container { version, ..minimal() }.build()).unwrap_err();
        assert_eq!(error, StoreError::Version { at: 10, found: version });
    }
}

/// Many keys in the order of their numbers.
fn many(count: i64) -> Container {
    let leaf = |n| Node::leaf(format!("key{n:04}"), Value::Int(n));
    Container::of(&[Node::new("all").with((0..count).map(leaf))])
}

#[track_caller]
fn assert_many(store: &Store, count: i64) {
    let all = &store.tree.at("all").expect("the node").children;
    let expected: Vec<_> = (0..count).map(|n| Some(Value::Int(n))).collect();
    assert!(all.iter().map(|key| key.value.clone()).eq(expected));
}

/// 3.
#[test]
fn parents_may_lie_behind_their_children_and_in_later_tables() {
    let mut container = many(500);
    let parent = container.entries.remove(0);
    container.entries.push(Entry { opens_table: true, ..parent });
    let bytes = container.build();
    assert_eq!(bytes[0x2008..].chunks(18).take_while(|slot| slot[0] == 2).count(), 6);
    assert_many(&clean(&bytes), 500);
}

/// 3.
#[test]
fn order_is_that_of_insertion_whatever_the_places() {
    let mut container = many(300);
    container.entries.reverse();
    assert_many(&clean(&container.build()), 300);
    for entry in &mut container.entries {
        entry.insertion = entry.insertion * 3 + 100;
    }
    assert_many(&clean(&container.build()), 300);
}

/// 4.
#[test]
fn object_tables_are_chained_for_more_than_226_objects() {
    let mut container = many(227);
    for entry in &mut container.entries {
        entry.opens_table = true;
    }
    let bytes = container.build();
    assert_eq!(bytes[0x2008 + 226 * 18], 1, "the last slot leads on");
    assert_many(&clean(&bytes), 227);
    // And many short tables.
    container.slots = 3;
    assert_many(&clean(&container.build()), 227);
}

#[test]
fn a_loop_of_object_tables_ends() {
    let mut container = many(300);
    container.slots = 2;
    let mut bytes = container.build();
    // The second table's chain slot leads back to the first.
    let second = u64::from_le_bytes(bytes[0x2008 + 18 + 5..0x2008 + 18 + 13].try_into().unwrap()) as usize;
    bytes[second + 8 + 18 + 5..second + 8 + 18 + 13].copy_from_slice(&0x2000_u64.to_le_bytes());
    let store = hvs::read(&bytes).unwrap();
    assert!(problems(&store).contains(&Problem::ObjectTableLoop));
}

/// 5.
#[test]
fn slack_of_any_length_and_content_is_never_read() {
    for slack in [12, 21, 48] {
        for fill in [0, 0x45] {
            let mut container = many(400);
            for entry in &mut container.entries {
                entry.slack = vec![fill; slack];
            }
            assert_many(&clean(&container.build()), 400);
        }
    }
}

/// 5.
#[test]
fn free_entries_of_any_length_and_content_are_passed_over() {
    for (size, fill) in [(21, 0), (22, 0), (39, 0xFD), (700, 0xFD)] {
        let mut container = many(100);
        container.free_fill = fill;
        for entry in &mut container.entries {
            entry.free_behind = Some(size);
        }
        assert_many(&clean(&container.build()), 100);
    }
}

#[test]
fn a_table_is_full_to_its_last_byte_whatever_is_left() {
    for slack in 0..60 {
        let mut container = many(200);
        for entry in container.entries.iter_mut().filter(|entry| entry.insertion % 100 == 99) {
            entry.slack = vec![0; slack];
        }
        assert_many(&clean(&container.build()), 200);
    }
}

/// 6 and 7.
#[test]
fn values_from_2048_bytes_on_lie_elsewhere_listed_or_not() {
    for (len, elsewhere) in [(2047, false), (2048, true), (5000, true)] {
        for list_file_objects in [true, false] {
            let value: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let key = Node::leaf("blob", Value::Bytes(value.clone()));
            let text = Node::leaf("text", text(&"é".repeat(len / 2)));
            let container = Container { list_file_objects, ..Container::of(&[key, text.clone()]) };
            assert_eq!(container.entries[0].elsewhere, elsewhere);
            let store = clean(&container.build());
            assert_eq!(store.tree.root.bytes_at("blob"), Some(&value[..]));
            assert_eq!(store.tree.at("text").unwrap().value, text.value);
        }
    }
}

/// 7.
#[test]
fn a_value_behind_the_end_is_missing_alone() {
    let keys = [Node::leaf("blob", Value::Bytes(vec![1; 4096])), Node::leaf("other", text("x"))];
    let mut container = Container::of(&keys);
    container.log.region = 0;
    container.log.header_size = 0;
    let bytes = container.build();
    // Without its log the file ends with the file object.
    let bytes = &bytes[..bytes.len() - container.log.to_bytes().len() - 1];
    let store = hvs::read(bytes).unwrap();
    assert_eq!(store.tree.at("blob").unwrap().value, Some(Value::Unreadable(Unreadable::PastEnd)));
    assert_eq!(store.tree.root.text_at("other"), Some("x"));
    let missing = Problem::Truncated { structure: Structure::FileObject, need: 4096, have: 4095 };
    assert!(problems(&store).contains(&missing), "{:?}", store.warnings);
}

/// 8.
#[test]
fn texts_are_read_with_and_without_terminator_whole_or_not() {
    let raw = |bytes: &[u8]| {
        let len = (bytes.len() as u32).to_le_bytes();
        Content::Raw(6, [&len[..], bytes].concat())
    };
    let cases = [
        (raw(b"A\0"), "A", false),
        (raw(b"A\0\0\0"), "A", false),
        (raw(b"A\0\0\0\0\0"), "A", false),
        (raw(b""), "", false),
        (raw(b"\0\0"), "", false),
        (raw(b"A\0\0\0B\0"), "A\0B", false),
        (raw(b"A\0B"), "A", true),
        (raw(b"\0\xD8A\0"), "\u{FFFD}A", false),
        (raw(b"\x34\xD8\x1E\xDD"), "𝄞", false),
    ];
    for (content, expected, odd) in cases {
        let mut container = minimal();
        container.entry_mut("name").unwrap().content = content.clone();
        let store = hvs::read(&container.build()).unwrap();
        assert_eq!(name_of(&store), Some(expected), "{content:?}");
        assert_eq!(!store.warnings.is_empty(), odd, "{content:?}");
    }
    let mut container = minimal();
    container.entry_mut("name").unwrap().terminated = true;
    assert_eq!(name_of(&clean(&container.build())), Some("A"));
}

/// 9.
#[test]
fn siblings_of_one_name_are_all_kept_in_order() {
    let twins = (0..3).map(|n| Node::new("metric").with([Node::leaf("n", Value::Int(n))]));
    let root = Node::new("root").with(twins);
    let store = clean(&Container::of(std::slice::from_ref(&root)).build());
    assert_eq!(store.tree.root.children, [root]);
}

/// 10.
#[test]
fn a_cycle_of_nodes_ends_up_among_the_orphans_once() {
    let keys =
        [Node::new("a").with([Node::new("b").with([Node::leaf("c", Value::Int(1))])]), Node::new("ok")];
    let mut container = Container::of(&keys);
    let inner = container.entry_mut("b").unwrap().id;
    container.entry_mut("a").unwrap().parent = Parent::Entry(inner);
    let store = hvs::read(&container.build()).unwrap();
    let paths: Vec<_> = store.tree.walk().map(|(path, _)| path).collect();
    assert_eq!(paths, ["/ok", "?/a", "?/a/b", "?/a/b/c"]);
    assert!(matches!(problems(&store)[..], [Problem::Orphan { table: 1, .. }]));
}

#[test]
fn a_key_without_its_parent_is_an_orphan_and_a_leaf_is_no_parent() {
    let keys = [Node::leaf("leaf", Value::Int(1)), Node::new("lost").with([Node::leaf("x", Value::Int(2))])];
    let mut container = Container::of(&keys);
    let leaf = container.entry_mut("leaf").unwrap().id;
    for parent in [Parent::Place(7, 10), Parent::Place(1, 11), Parent::Entry(leaf)] {
        container.entry_mut("lost").unwrap().parent = parent;
        let store = hvs::read(&container.build()).unwrap();
        let paths: Vec<_> = store.tree.walk().map(|(path, _)| path).collect();
        assert_eq!(paths, ["/leaf", "?/lost", "?/lost/x"]);
    }
}

/// 11.
#[test]
fn of_two_tables_of_one_index_the_later_one_counts() {
    for (own, other, expected) in
        [(2, 1, "A"), (1, 2, "stale"), (0xFFFF, 0, "stale"), (0, 0xFFFF, "A"), (4, 4, "A")]
    {
        let mut container = minimal();
        container.table_sequence = own;
        let mut entries = Vec::new();
        for (node, parent) in [
            (Node::new("configuration"), (0, 0)),
            (Node::new("properties"), (1, 0x0a)),
            (Node::leaf("name", text("stale")), (1, 0x39)),
        ] {
            let entry = Entry::new(EntryId(0), Parent::Root, &node, 1);
            entries.extend(entry.to_bytes(parent, 0, 2));
        }
        container.extra_tables = vec![ExtraTable { index: 1, sequence: other, entries, listed: true }];
        let store = hvs::read(&container.build()).unwrap();
        assert_eq!(name_of(&store), Some(expected), "{own} {other}");
        let lost = if expected == "A" { other } else { own };
        assert_eq!(problems(&store), [Problem::DuplicateTable { index: 1, sequence: lost }]);
    }
}

/// 13.
#[test]
fn a_table_cut_in_its_last_free_entry_is_whole() {
    let bytes = minimal().build();
    let store = hvs::read(&bytes[..0x3090]).unwrap();
    assert_eq!(name_of(&store), Some("A"));
    assert!(!problems(&store).iter().any(|problem| matches!(problem, Problem::EntrySize { .. })));
    let store = hvs::read(&bytes[..0x3080]).unwrap();
    assert_eq!(name_of(&store), None);
    assert!(problems(&store).iter().any(|problem| matches!(problem, Problem::EntrySize { .. })));
}

#[test]
fn a_key_with_a_bad_checksum_is_kept_and_marked_and_loses_to_a_sound_twin() {
    let mut container = Container::of(&[
        Node::leaf("name", text("damaged")),
        Node::leaf("name", text("sound")),
        Node::leaf("other", text("damaged")),
    ]);
    container.entries[0].broken = true;
    container.entries[2].broken = true;
    let store = hvs::read(&container.build()).unwrap();
    assert_eq!(store.tree.root.text_at("name"), Some("sound"));
    assert_eq!(store.tree.root.text_at("other"), Some("damaged"));
    let marks: Vec<_> = store.tree.root.children.iter().map(|node| node.verified).collect();
    assert_eq!(marks, [false, true, false]);
    assert!(matches!(problems(&store)[..], [Problem::Unverified { count: 2, .. }]));
    assert_eq!(store.warnings.first[0].at, 0x300a);
}

#[test]
fn key_tables_are_found_without_their_object_table_but_not_in_the_log() {
    let mut container = many(400);
    // A copy of the first table's beginning in the log's payload, as real logs have them.
    let copy = minimal().build()[0x3000..0x4000].to_vec();
    container.log.changes = vec![Change::new(0x3000, copy)];
    container.log.pending = Some(0);
    container.log.region = 0x2000;
    let mut bytes = container.build();
    bytes[0x2000] ^= 1;
    let store = hvs::read(&bytes).unwrap();
    assert_many(&store, 400);
    assert!(problems(&store).contains(&Problem::Salvaged { tables: 4 }), "{:?}", store.warnings);
    assert_eq!(problems(&store).len(), 2, "{:?}", store.warnings);
}

#[test]
fn a_damaged_slot_still_leads_to_its_key_table() {
    let mut bytes = many(400).build();
    bytes[0x2008] = 9;
    let store = hvs::read(&bytes).unwrap();
    assert_many(&store, 400);
    assert!(matches!(problems(&store)[..], [Problem::Checksum { structure: Structure::ObjectSlot, .. }]));
}

#[test]
fn nothing_but_a_header_is_an_error_with_a_place() {
    let bytes = minimal().build();
    assert_eq!(hvs::read(&bytes[..0x2008]).unwrap_err(), StoreError::NoKeyTable);
    assert_eq!(hvs::read(b"").unwrap_err(), StoreError::NotAStore);
    assert_eq!(hvs::read(&[0; 0x3000]).unwrap_err(), StoreError::NotAStore);
    let large = vec![0; hvs::limits::STORE_BYTES_MAX + 1];
    assert!(matches!(hvs::read(&large), Err(StoreError::TooLarge { .. })));
}

#[test]
fn the_signature_of_either_header_tells_a_store() {
    let mut bytes = minimal().build();
    bytes[0] = 0;
    assert!(hvs::is_store(&bytes));
    assert_eq!(name_of(&hvs::read(&bytes).unwrap()), Some("A"));
    bytes[0x1000] = 0;
    assert!(!hvs::is_store(&bytes));
}

#[test]
fn saved_memory_is_never_read_but_its_keys_are() {
    let keys = [Node::new("SavedState").with([Node::leaf("RamBlock0", Value::Bytes(vec![1; 4096]))])];
    let store = clean(&Container::of(&keys).build());
    assert!(chain_resolve::vm::has_saved_memory(&store.tree));
    let block = store.tree.at("savedstate/RamBlock0").unwrap();
    assert_eq!(block.value, Some(Value::Unreadable(Unreadable::SavedMemory)));
}
