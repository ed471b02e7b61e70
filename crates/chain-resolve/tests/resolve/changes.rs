//! Sources that change while they are read are noticed, and reading them changes nothing.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use chain_resolve::{Chain, ChangeError};
use vhdx_format::forge::edit_header;

use crate::support::{Folder, base, child};

fn chain(folder: &Folder) -> Chain {
    let base = base("base");
    folder.save("base.vhdx", &base);
    let leaf = folder.save("leaf.avhdx", &child("leaf", &base, ".\\base.vhdx"));
    folder.resolve(&leaf).expect("a chain")
}

fn open_for_writing(path: &Path) -> File {
    OpenOptions::new().write(true).open(path).expect("a file")
}

/// Puts the time back, so that only what was written can show.
fn with_time_kept(path: &Path, change: impl FnOnce(&mut File)) {
    let before = std::fs::metadata(path).and_then(|data| data.modified()).expect("a time");
    let mut file = open_for_writing(path);
    change(&mut file);
    file.set_modified(before).expect("a time can be set");
}

#[track_caller]
fn assert_changed(chain: &Chain, expected: &Path) {
    match chain.check_unchanged() {
        Err(ChangeError::Changed { path, .. }) => assert_eq!(path, expected),
        other => panic!("expected a change of {}, found {other:?}", expected.display()),
    }
}

#[test]
fn nothing_changes_by_being_read() {
    let folder = Folder::new();
    chain(&folder).check_unchanged().expect("nobody wrote");
}

#[test]
fn an_appended_byte_is_noticed_in_any_layer() {
    for name in ["base.vhdx", "leaf.avhdx"] {
        let folder = Folder::new();
        let chain = chain(&folder);
        let path = folder.path(name);
        with_time_kept(&path, |file| {
            file.seek(SeekFrom::End(0)).expect("an end");
            file.write_all(&[0]).expect("room");
        });
        assert_changed(&chain, &path);
    }
}

#[test]
fn a_new_time_is_noticed() {
    let folder = Folder::new();
    let chain = chain(&folder);
    let path = folder.path("base.vhdx");
    let later = SystemTime::now() + Duration::from_hours(1);
    open_for_writing(&path).set_modified(later).expect("a time can be set");
    assert_changed(&chain, &path);
}

#[test]
fn a_rewritten_header_is_noticed_even_with_the_old_time() {
    let folder = Folder::new();
    let chain = chain(&folder);
    let path = folder.path("leaf.avhdx");
    let mut image = child("leaf", &base("base"), ".\\base.vhdx").build();
    // As a writer does it: the older header becomes the newer one.
    edit_header(&mut image, 0, |header| header[8] = 9);
    with_time_kept(&path, |file| {
        file.seek(SeekFrom::Start(0x1_0000)).expect("a header");
        file.write_all(&image.read(0x1_0000, 4096)).expect("room");
    });
    assert_changed(&chain, &path);
}

#[test]
fn headers_that_are_gone_are_noticed() {
    let folder = Folder::new();
    let chain = chain(&folder);
    let path = folder.path("leaf.avhdx");
    with_time_kept(&path, |file| file.write_all(&vec![0; 0x3_0000]).expect("room"));
    match chain.check_unchanged() {
        Err(ChangeError::Image { path: found, .. }) => assert_eq!(found, path),
        other => panic!("{other:?}"),
    }
}

/// The handle that was verified is the one that is read: another file under the name changes nothing.
#[cfg(unix)]
#[test]
fn a_file_that_takes_the_name_is_not_read() {
    use vhdx_format::{DiskOffset, read_disk};
    let folder = Folder::new();
    let chain = chain(&folder);
    let mut impostor = base("base");
    impostor.blocks.insert(0, vhdx_format::forge::Block::full(vec![(0, vec![9; 512])]));
    std::fs::remove_file(folder.path("base.vhdx")).expect("a file");
    folder.save("base.vhdx", &impostor);
    let mut bytes = [1; 512];
    read_disk(&chain, DiskOffset(0), &mut bytes).expect("the file is still open");
    assert_eq!(bytes, [0; 512]);
    chain.check_unchanged().expect("the open file is as it was");
}
