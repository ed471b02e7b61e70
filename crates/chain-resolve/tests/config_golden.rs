//! The binary store's writer against golden bytes, and the choice of headers and the replay log against the reader.
//!
//! The golden bytes follow a description of the format that was checked against files that Windows wrote. Numbers in
//! the comments are rows of the list of fixtures that the description asks for.

mod config_common;

use chain_resolve::forge::hvs::{Change, Container, Entry, EntryId, HeaderCopy, Parent};
use chain_resolve::vm::hvs::{self, LogFault, Problem, StoreError, Structure};
use chain_resolve::vm::tree::{Node, Value};
use config_common::{clean, minimal, name_of, problems, text};

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
