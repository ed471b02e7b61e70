//! Opening what the user names as a disk: which kinds of files are taken, what is known of them, where they have holes.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::PathBuf;

use chain_resolve::{ChangeError, OpenFile, SourceKinds, StoreError, open_plain};
use vhdx_format::{FileOffset, ReadAt};

const BOTH: [SourceKinds; 2] = [SourceKinds::Files, SourceKinds::FilesAndDevices];
const MIB: u64 = 1 << 20;

struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    /// A file of that length with bytes at some places and holes, where the file system has them, elsewhere.
    fn sparse(&self, len: u64, written: &[u64]) -> PathBuf {
        let path = self.0.path().join("disk.img");
        let mut file = File::create(&path).expect("a new file");
        file.set_len(len).expect("a length");
        for at in written {
            file.seek(SeekFrom::Start(*at)).expect("a position");
            file.write_all(b"data").expect("room");
        }
        path
    }
}

fn runs(file: &OpenFile, range: Range<u64>) -> Vec<Range<u64>> {
    let (mut at, end) = (FileOffset(range.start), FileOffset(range.end));
    let mut runs = Vec::new();
    while at < end {
        let found = file.next_data(at, end).expect("an answer");
        assert!(at <= found.start && found.start <= found.end, "{found:?}");
        if found.is_empty() {
            assert_eq!(found, end..end);
        } else {
            runs.push(found.start.0..found.end.min(end).0);
        }
        at = found.end.min(end);
    }
    runs
}

#[test]
fn a_regular_file_is_opened_whatever_it_holds() {
    let scratch = Scratch::new();
    let path = scratch.sparse(1000, &[0]);
    for kinds in BOTH {
        let file = open_plain(&path, kinds).unwrap();
        assert_eq!((file.byte_len().unwrap(), file.source().len), (1000, 1000));
        assert_eq!(file.source().path, path);
        assert_eq!((file.is_device(), file.sector_size()), (false, None));
        let mut bytes = [0; 4];
        file.read_exact_at(FileOffset(0), &mut bytes).unwrap();
        assert_eq!(&bytes, b"data");
    }
}

#[test]
fn folders_are_refused_and_missing_files_are_the_systems_error() {
    let scratch = Scratch::new();
    for kinds in BOTH {
        let found = open_plain(scratch.0.path(), kinds);
        assert!(
            matches!(found, Err(StoreError::NotAFile { found: "a folder", expected, .. }) if expected == kinds)
        );
        let found = open_plain(&scratch.0.path().join("missing"), kinds);
        assert!(matches!(found, Err(StoreError::Open { .. })));
    }
}

#[cfg(unix)]
#[test]
fn fifos_and_character_devices_are_refused_without_waiting() {
    let scratch = Scratch::new();
    let fifo = scratch.0.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for kinds in BOTH {
        for (path, expected) in [(fifo.clone(), "a FIFO"), ("/dev/zero".into(), "a character device")] {
            let found = open_plain(&path, kinds);
            assert!(matches!(found, Err(StoreError::NotAFile { found, .. }) if found == expected));
        }
    }
}

/// Needs a device and the right to read it, which not every machine gives.
#[cfg(target_os = "linux")]
#[test]
fn a_block_device_is_opened_only_where_it_is_asked_for() {
    let names = fs::read_dir("/sys/class/block").map(|names| names.flatten().collect::<Vec<_>>());
    let devices = names.unwrap_or_default().into_iter().map(|entry| entry.file_name());
    let opened = devices.into_iter().find_map(|name| {
        let path = PathBuf::from("/dev").join(&name);
        Some((name, open_plain(&path, SourceKinds::FilesAndDevices).ok()?))
    });
    let Some((name, file)) = opened else {
        println!("skipped: no block device can be read here");
        return;
    };
    let facts = PathBuf::from("/sys/class/block").join(name);
    let number =
        |fact: &str| fs::read_to_string(facts.join(fact)).map(|text| text.trim().parse::<u64>().unwrap());
    assert!(file.is_device());
    assert_eq!(file.byte_len().unwrap(), number("size").unwrap() * 512);
    assert_eq!(file.source().len, file.byte_len().unwrap());
    // Partitions have no such fact of their own.
    if let Ok(sector) = number("queue/logical_block_size") {
        assert_eq!(file.sector_size().map(u64::from), Some(sector));
    }
    file.check_unchanged().unwrap();
    let found = open_plain(&file.source().path, SourceKinds::Files);
    assert!(matches!(found, Err(StoreError::NotAFile { found: "a block device", .. })));
}

#[test]
fn runs_of_data_hold_everything_that_was_written() {
    let scratch = Scratch::new();
    let written = [0, 3 * MIB + 5, 9 * MIB - 4];
    let file = open_plain(&scratch.sparse(16 * MIB, &written), SourceKinds::Files).unwrap();
    for range in [0..16 * MIB, 3 * MIB..9 * MIB, 3 * MIB + 6..3 * MIB + 7, 10 * MIB..16 * MIB] {
        let found = runs(&file, range.clone());
        for at in written.into_iter().filter(|at| range.contains(at)) {
            assert!(found.iter().any(|run| run.contains(&at)), "{at} in {found:?}");
        }
    }
    if cfg!(target_os = "linux") && file.source().allocated < MIB {
        assert_eq!(runs(&file, 10 * MIB..16 * MIB), []);
    } else {
        println!("skipped: holes are not known here");
    }
    assert_eq!(runs(&file, 5..5), []);
}

/// What is missing must not become zeros.
#[test]
fn what_lies_behind_the_end_of_a_file_is_no_hole() {
    let scratch = Scratch::new();
    let file = open_plain(&scratch.sparse(2 * MIB, &[]), SourceKinds::Files).unwrap();
    let found = runs(&file, 0..3 * MIB);
    assert!(found.iter().any(|run| run.contains(&(3 * MIB - 1))), "{found:?}");
    assert_eq!(runs(&file, 2 * MIB..3 * MIB), vec![Range { start: 2 * MIB, end: 3 * MIB }]);
}

#[test]
fn a_file_that_was_written_to_is_noticed() {
    let scratch = Scratch::new();
    let path = scratch.sparse(1000, &[]);
    let file = open_plain(&path, SourceKinds::Files).unwrap();
    file.check_unchanged().unwrap();
    File::options().write(true).open(&path).unwrap().set_len(1001).unwrap();
    assert!(
        matches!(file.check_unchanged(), Err(ChangeError::Changed { path: changed, .. }) if changed == path)
    );
}
