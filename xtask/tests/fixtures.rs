//! Every image below `fixtures/`, read as the manifest says: its disk has that digest, or its error says that.
//!
//! The digests come from the descriptions that the images were made from, so reader and forge can not agree by
//! mistake. The same images go through the program itself elsewhere.
#![expect(clippy::unwrap_used, reason = "clippy.toml lets tests unwrap, but not the functions they share")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use chain_resolve::{Chain, Request, ResolveError, SearchPolicy, resolve, select};
use limits::Limits;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use vhdx_format::forge::SparseFile;
use vhdx_format::{DiskOffset, VirtualDisk, read_disk};

#[derive(Deserialize)]
struct Manifest {
    disk: Vec<Disk>,
    checkpoint: Vec<State>,
}

/// One disk of one state of a VM.
#[derive(Deserialize)]
struct State {
    folder: String,
    vm: String,
    checkpoint: String,
    id: Option<String>,
    disk: String,
    slot: String,
    sha256: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Disk {
    file: String,
    parent: Option<String>,
    len: u64,
    sha256: Option<String>,
    exit: Option<u8>,
    expect_error: Option<String>,
    exercises: String,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

fn manifest() -> Manifest {
    let text = fs::read_to_string(fixtures().join("MANIFEST.toml")).unwrap();
    toml::from_str(&text).unwrap()
}

/// Puts the images of one folder side by side, uncompressed.
fn unpack(disks: &[&Disk], to: &Path) {
    for disk in disks {
        let stored = fixtures().join(&disk.file);
        let bytes = match fs::read(&stored) {
            Ok(bytes) => bytes,
            Err(_) => zstd::decode_all(File::open(format!("{}.zst", stored.display())).unwrap()).unwrap(),
        };
        assert_eq!(bytes.len() as u64, disk.len, "{}", disk.file);
        let mut image = SparseFile::default();
        image.write(0, &bytes);
        image.save(&File::create(to.join(stored.file_name().unwrap())).unwrap()).unwrap();
    }
}

fn digest(chain: &Chain) -> String {
    const PIECE: u64 = 1 << 20;
    let size = chain.geometry().size();
    let mut digest = Sha256::new();
    for at in (0..size).step_by(1 << 20) {
        let mut piece = vec![0; usize::try_from(PIECE.min(size - at)).unwrap()];
        read_disk(chain, DiskOffset(at), &mut piece).unwrap();
        digest.update(&piece);
    }
    let digits: Vec<String> = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

/// The error and all its causes.
fn message(error: &ResolveError) -> String {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    message
}

/// What is wrong with the outcome, if anything is.
fn judge(disk: &Disk, folder: &Path) -> Option<String> {
    let leaf = folder.join(Path::new(&disk.file).file_name().unwrap());
    let policy = SearchPolicy::new([folder.to_path_buf()]).unwrap();
    match (resolve(&leaf, &policy), &disk.sha256, &disk.expect_error) {
        (Ok(chain), Some(sha256), None) => {
            let found = digest(&chain);
            (found != *sha256).then(|| format!("{}: sha256 is {found}", disk.file))
        }
        (Err(error), None, Some(expected)) => {
            let found = message(&error);
            (!found.contains(expected)).then(|| format!("{}: {found}", disk.file))
        }
        (Ok(_), ..) => Some(format!("{}: opens, and should not", disk.file)),
        (Err(error), ..) => Some(format!("{}: {}", disk.file, message(&error))),
    }
}

#[test]
fn every_fixture_gives_its_disk_or_its_error() {
    let disks = manifest().disk;
    let mut folders: BTreeMap<&str, Vec<&Disk>> = BTreeMap::new();
    for disk in &disks {
        folders.entry(disk.file.rsplit_once('/').unwrap().0).or_default().push(disk);
    }
    let mut wrong = Vec::new();
    for disks in folders.into_values() {
        let folder = tempfile::tempdir().unwrap();
        unpack(&disks, folder.path());
        wrong.extend(disks.iter().filter_map(|disk| judge(disk, folder.path())));
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), disks.len(), wrong.join("\n"));
}

#[test]
fn every_entry_of_the_manifest_says_what_is_expected_and_names_what_is_there() {
    let disks = manifest().disk;
    let files: Vec<&str> = disks.iter().map(|disk| disk.file.as_str()).collect();
    for disk in &disks {
        let is_refused = disk.expect_error.is_some();
        assert_eq!(disk.sha256.is_some(), !is_refused, "{}", disk.file);
        assert_eq!(disk.exit.is_some(), is_refused, "{}", disk.file);
        assert!(!disk.exercises.is_empty(), "{}", disk.file);
        if let Some(parent) = &disk.parent {
            let (folder, _) = disk.file.rsplit_once('/').unwrap();
            assert!(files.contains(&format!("{folder}/{parent}").as_str()), "{}", disk.file);
        }
    }
}

/// By name and by GUID, by stem and by slot.
#[test]
fn every_state_of_a_vm_gives_its_disks() {
    for state in manifest().checkpoint {
        let source = fixtures().join(&state.folder);
        for checkpoint in std::iter::once(&state.checkpoint).chain(&state.id) {
            for disk in [&state.disk, &state.slot] {
                let selection = select(&Request {
                    source: &source,
                    vm: Some(&state.vm),
                    checkpoint: Some(checkpoint),
                    disk: Some(disk),
                    parent_dirs: &[],
                    target: None,
                    limits: Limits::default(),
                });
                let selection = selection.unwrap();
                let chain = resolve(&selection.only_disk().unwrap().leaf, &selection.policy).unwrap();
                assert_eq!(digest(&chain), state.sha256, "{checkpoint} {disk}");
            }
        }
    }
}
