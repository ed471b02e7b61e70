//! From what a user says to one leaf: folders, files, names, and the refusal to guess.

use std::path::{Path, PathBuf};

use chain_resolve::{FolderError, LeafProblem, Request, SelectError, Selection, resolve, select};
use limits::Limits;

use crate::support::{Folder, base, child, parent};

fn said(source: &Path, checkpoint: Option<&str>, parent_dirs: &[PathBuf]) -> Result<Selection, SelectError> {
    select(&Request {
        source,
        vm: None,
        checkpoint,
        disk: None,
        parent_dirs,
        target: None,
        limits: Limits::default(),
    })
}

/// The file of the only disk that was found.
fn only(selection: &Selection) -> PathBuf {
    selection.only_disk().expect("one disk").leaf.clone()
}

fn leaf(source: &Path, checkpoint: Option<&str>) -> Result<PathBuf, SelectError> {
    said(source, checkpoint, &[]).map(|selection| only(&selection))
}

/// A base with two checkpoints in a line.
fn line(folder: &Folder) -> [PathBuf; 3] {
    let base = base("base");
    let first = child("first", &base, ".\\web01.vhdx");
    let second = child("second", &first, ".\\web01_A.avhdx");
    [
        folder.save("web01.vhdx", &base),
        folder.save("web01_A.avhdx", &first),
        folder.save("web01_B.avhdx", &second),
    ]
}

#[test]
fn the_only_leaf_of_a_folder_is_meant() {
    let folder = Folder::new();
    let [_, _, last] = line(&folder);
    std::fs::write(folder.path("config.vmcx"), "no image").expect("a new file");
    assert_eq!(leaf(&folder.root(), None).expect("one leaf"), last);
}

#[test]
fn of_two_leaves_none_is_picked() {
    let folder = Folder::new();
    let [_, first, last] = line(&folder);
    let branch = folder.save("web01_C.avhdx", &child("branch", &base("base"), ".\\web01.vhdx"));
    match leaf(&folder.root(), None) {
        Err(SelectError::SeveralLeaves { candidates, .. }) => {
            let mut candidates: Vec<PathBuf> = candidates.into_iter().map(|choice| choice.path).collect();
            candidates.sort();
            assert_eq!(candidates, [last, branch]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(leaf(&folder.root(), Some("web01_A")).expect("a name"), first);
}

#[test]
fn an_image_that_can_not_be_read_may_be_the_leaf_and_is_a_candidate() {
    let folder = Folder::new();
    let [_, _, last] = line(&folder);
    let damaged = folder.path("web01_X.avhdx");
    std::fs::write(&damaged, "vhdxfile, and nothing else").expect("a new file");
    match leaf(&folder.root(), None) {
        Err(SelectError::SeveralLeaves { candidates, .. }) => {
            let mut candidates: Vec<PathBuf> = candidates.into_iter().map(|choice| choice.path).collect();
            candidates.sort();
            assert_eq!(candidates, [last, damaged]);
        }
        other => panic!("{other:?}"),
    }
}

/// A leaf that was emptied or overwritten must not make its parent look like the newest state.
#[test]
fn what_is_called_like_an_image_and_is_none_may_have_been_the_leaf() {
    let folder = Folder::new();
    line(&folder);
    for content in [&b""[..], b"something else", &[0; 8192]] {
        std::fs::write(folder.path("web01_B.avhdx"), content).expect("a file");
        match leaf(&folder.root(), None) {
            Err(SelectError::SeveralLeaves { candidates, .. }) => {
                let problems: Vec<_> = candidates.iter().map(|choice| choice.problem).collect();
                assert_eq!(problems, [None, Some(LeafProblem::Damaged)]);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_file_means_itself_and_its_folder_is_where_parents_are() {
    let folder = Folder::new();
    let [base, first, _] = line(&folder);
    let found = said(&first, None, &[]).expect("a file");
    assert_eq!(only(&found), first);
    assert_eq!(found.policy.roots(), [folder.root()]);
    assert_eq!(parent(resolve(&only(&found), &found.policy)).0, base);
    assert_eq!(leaf(&base, Some("web01_B")).expect("a neighbour"), folder.path("web01_B.avhdx"));
}

#[test]
fn a_name_is_a_file_name_or_a_stem_in_any_case_and_an_exact_one_comes_first() {
    let folder = Folder::new();
    let [_, first, _] = line(&folder);
    for name in ["web01_A", "web01_A.avhdx", "WEB01_a", "Web01_A.AVHDX"] {
        assert_eq!(leaf(&folder.root(), Some(name)).expect(name), first);
    }
    // One stem, two files.
    let other = folder.save("web01_a.vhdx", &base("other"));
    match leaf(&folder.root(), Some("WEB01_A")) {
        Err(SelectError::AmbiguousName { name, mut candidates }) => {
            candidates.sort();
            assert_eq!((name.as_str(), candidates), ("WEB01_A", vec![first.clone(), other.clone()]));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(leaf(&folder.root(), Some("web01_A")).expect("exact"), first);
    assert_eq!(leaf(&folder.root(), Some("web01_a")).expect("exact"), other);
}

#[test]
fn an_unknown_name_comes_with_those_there_are() {
    let folder = Folder::new();
    let names = line(&folder);
    for unknown in ["web", "web01_", "", "web01_A.avhd"] {
        match leaf(&folder.root(), Some(unknown)) {
            Err(SelectError::NoSuchName { name, candidates }) => {
                assert_eq!((name.as_str(), candidates), (unknown, names.to_vec()));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_folder_without_images_has_none() {
    let folder = Folder::new();
    std::fs::write(folder.path("a.txt"), "no image").expect("a new file");
    assert!(
        matches!(leaf(&folder.root(), None), Err(SelectError::NoImages(found)) if found == folder.root())
    );
    let absent = folder.path("absent");
    assert!(
        matches!(leaf(&absent, None), Err(SelectError::Folder(FolderError::Look { path, .. })) if path == absent)
    );
}

#[test]
fn a_parent_folder_must_be_there_and_holds_no_leaves() {
    let folder = Folder::new();
    let base = base("base");
    folder.save("store/base.vhdx", &base);
    folder.save("store/unrelated.vhdx", &crate::support::base("unrelated"));
    let expected = folder.save("vm/leaf.avhdx", &child("leaf", &base, ".\\gone.vhdx"));
    let found = said(&folder.path("vm"), None, &[folder.path("store")]).expect("one leaf");
    assert_eq!(only(&found), expected);
    assert_eq!(parent(resolve(&only(&found), &found.policy)).0, folder.path("store/base.vhdx"));
    let absent = folder.path("absent");
    let error = said(&folder.path("vm"), None, std::slice::from_ref(&absent)).expect_err("not there");
    assert!(matches!(error, SelectError::Folder(FolderError::Look { path, .. }) if path == absent));
}

/// There is no leaf to find; resolving any of the images says why.
#[test]
fn a_folder_that_is_all_cycle_is_reported_as_one() {
    let folder = Folder::new();
    let (a, b) = (base("a"), base("b"));
    folder.save("a.avhdx", &child("a", &b, ".\\b.avhdx"));
    folder.save("b.avhdx", &child("b", &a, ".\\a.avhdx"));
    let found = said(&folder.root(), None, &[]).expect("an image to show");
    let error = resolve(&only(&found), &found.policy).expect_err("a cycle");
    assert!(matches!(error, chain_resolve::ResolveError::Cycle { .. }), "{error:?}");
}
