//! Parents found by who they are: moved, renamed, flattened, elsewhere; and those that only look like the one.

use chain_resolve::{FoundBy, ResolveError, WhyNot};
use uuid::Uuid;
use vhdx_format::forge::{Locator, edit_header};

use crate::support::{Folder, base, child, child_with, linked, parent};

#[test]
fn a_moved_or_renamed_parent_is_found_by_its_identity() {
    let base = base("base");
    for name in ["renamed.vhdx", "deep/er/base.vhdx", "no suffix at all", "base.vhdx.bak", ".hidden"] {
        let folder = Folder::new();
        let expected = folder.save(name, &base);
        let leaf = folder.save("vm/leaf.avhdx", &child("leaf", &base, ".\\base.vhdx"));
        assert_eq!(parent(folder.resolve(&leaf)), (expected, FoundBy::Identity), "{name}");
    }
}

#[test]
fn a_flattened_tree_is_found_whole() {
    let folder = Folder::new();
    let base = base("base");
    let first = child("first", &base, "..\\Virtual Hard Disks\\base.vhdx");
    let second = child("second", &first, "..\\Snapshots\\first.avhdx");
    let expected =
        [folder.save("3.avhdx", &second), folder.save("2.avhdx", &first), folder.save("1.vhdx", &base)];
    let chain = folder.resolve(&expected[0]).expect("a chain");
    let found: Vec<_> = chain.files().iter().map(|file| file.source.path.clone()).collect();
    assert_eq!(found, expected);
    let by: Vec<_> = chain.files().iter().map(|file| file.found_by.clone()).collect();
    assert_eq!(by, [FoundBy::Selection, FoundBy::Identity, FoundBy::Identity]);
}

#[test]
fn a_parent_elsewhere_is_found_where_the_operator_allows_it() {
    let folder = Folder::new();
    let base = base("base");
    let expected = folder.save("store/base.vhdx", &base);
    let leaf = folder.save("vm/leaf.avhdx", &child("leaf", &base, "..\\store\\base.vhdx"));
    let policy = folder.policy(&["vm"]);
    match chain_resolve::resolve(&leaf, &policy) {
        Err(ResolveError::ParentNotFound { tried, .. }) => {
            assert!(matches!(tried[0].why, WhyNot::Path(chain_resolve::Refusal::Outside)), "{tried:?}");
        }
        other => panic!("{other:?}"),
    }
    let policy = folder.policy(&["vm", "store"]);
    let found = chain_resolve::resolve(&leaf, &policy);
    assert_eq!(parent(found), (expected, FoundBy::StoredPath));
}

#[test]
fn either_linkage_is_enough() {
    let folder = Folder::new();
    let base = base("base");
    let expected = folder.save("base.vhdx", &base);
    let locator = Locator::empty().linkage(Uuid::max()).linkage2(base.ids.data_write);
    for (name, locator) in
        [("path.avhdx", locator.clone().relative_path(".\\base.vhdx")), ("search.avhdx", locator)]
    {
        let leaf = folder.save(name, &child_with(name, &base, locator));
        assert_eq!(parent(folder.resolve(&leaf)).0, expected);
    }
}

#[test]
fn a_zero_second_linkage_matches_no_image() {
    let folder = Folder::new();
    let mut nobody = base("nobody");
    nobody.ids.data_write = Uuid::nil();
    folder.save("base.vhdx", &nobody);
    let locator = Locator::windows(Uuid::max(), "base.vhdx");
    let leaf = folder.save("leaf.avhdx", &child_with("leaf", &nobody, locator));
    match folder.resolve(&leaf) {
        Err(ResolveError::ParentNotFound { tried, .. }) => {
            let WhyNot::Identity { found } = tried[0].why else { panic!("{:?}", tried[0]) };
            assert_eq!(found, Uuid::nil());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_copies_of_the_parent_are_no_guess_unless_one_is_where_the_child_says() {
    let folder = Folder::new();
    let base = base("base");
    let copies = [folder.save("copy 1.vhdx", &base), folder.save("copy 2.vhdx", &base)];
    let leaf = folder.save("leaf.avhdx", &child("leaf", &base, ".\\base.vhdx"));
    match folder.resolve(&leaf) {
        Err(ResolveError::AmbiguousParent { child, wanted, mut candidates }) => {
            candidates.sort();
            assert_eq!((child, wanted.first), (leaf.clone(), base.ids.data_write));
            assert_eq!(candidates, copies);
        }
        other => panic!("{other:?}"),
    }
    let named = folder.save("base.vhdx", &base);
    assert_eq!(parent(folder.resolve(&leaf)), (named, FoundBy::StoredPath));
}

#[cfg(unix)]
#[test]
fn one_file_under_two_names_is_one_candidate() {
    let folder = Folder::new();
    let base = base("base");
    let first = folder.save("a.vhdx", &base);
    std::fs::hard_link(&first, folder.path("b.vhdx")).expect("a second name");
    std::os::unix::fs::symlink(&first, folder.path("c.vhdx")).expect("a third name");
    let leaf = folder.save("leaf.avhdx", &child("leaf", &base, ".\\base.vhdx"));
    assert_eq!(parent(folder.resolve(&leaf)), (first, FoundBy::Identity));
}

#[test]
fn the_current_header_says_who_a_candidate_is() {
    let folder = Folder::new();
    let base = base("base");
    let mut written_to = base.build();
    // Header 2 is current; the older one still has the identity that the child wants.
    edit_header(&mut written_to, 1, |header| header[32..48].fill(7));
    let file = std::fs::File::create(folder.path("base.vhdx")).expect("a new file");
    written_to.save(&file).expect("room");
    let leaf = folder.save("leaf.avhdx", &child("leaf", &base, ".\\base.vhdx"));
    let Err(ResolveError::ParentNotFound { tried, .. }) = folder.resolve(&leaf) else {
        panic!("an image that was written to is no parent");
    };
    assert!(matches!(tried[0].why, WhyNot::Identity { found } if found == Uuid::from_bytes([7; 16])));
}

#[test]
fn the_right_image_in_a_bad_state_is_reported_not_replaced() {
    let folder = Folder::new();
    let mut damaged = base("base");
    damaged.raw_entries.insert(0, 5);
    let at = folder.save("base.vhdx", &damaged);
    folder.save("copy.vhdx", &base("base"));
    let leaf = folder.save("leaf.avhdx", &child("leaf", &damaged, ".\\base.vhdx"));
    match folder.resolve(&leaf) {
        Err(ResolveError::Image { path, .. }) => assert_eq!(path, at),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_parent_is_any_image_with_the_identity_whatever_the_disk_is_called() {
    let folder = Folder::new();
    let base = base("base");
    let mut leaf = child_with("leaf", &base, linked(&base));
    leaf.ids.virtual_disk = Uuid::max();
    let expected = folder.save("base.vhdx", &base);
    let leaf = folder.save("leaf.avhdx", &leaf);
    assert_eq!(parent(folder.resolve(&leaf)), (expected, FoundBy::Identity));
}
