//! Each thing a binary store may hold, written and read back: tables, entries, values, order, orphans, damage.
//!
//! Numbers in the comments are rows of the list of fixtures that the format's description asks for.

mod config_common;

use chain_resolve::forge::hvs::{Change, Container, Content, Entry, EntryId, ExtraTable, Parent};
use chain_resolve::vm::hvs::{self, Problem, Store, StoreError, Structure};
use chain_resolve::vm::tree::{Node, Unreadable, Value};
use limits::Limit;

use config_common::{clean, minimal, name_of, problems, text};

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
fn a_table_found_by_searching_ends_with_its_page_unless_a_sound_key_follows() {
    for (broken, paths) in [(true, vec!["/x"]), (false, vec!["/x", "/ghost"])] {
        let mut bytes = Container::of(&[Node::new("x")]).build();
        bytes[0x2000] ^= 1;
        let mut ghost = Entry::new(EntryId(0), Parent::Root, &Node::new("ghost"), 2);
        ghost.broken = broken;
        let ghost = ghost.to_bytes((0, 0), 0, 0);
        bytes[0x4000..0x4000 + ghost.len()].copy_from_slice(&ghost);
        let store = hvs::read(&bytes).unwrap();
        assert_eq!(store.tree.walk().map(|(path, _)| path).collect::<Vec<_>>(), paths);
    }
}

#[test]
fn a_table_that_is_listed_twice_is_read_once() {
    let mut bytes = minimal().build();
    bytes.copy_within(0x2008..0x201a, 0x201a);
    assert_eq!(name_of(&clean(&bytes)), Some("A"));
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
    let large = vec![0; usize::try_from(Limit::ConfigurationSize.usual()).unwrap() + 1];
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
