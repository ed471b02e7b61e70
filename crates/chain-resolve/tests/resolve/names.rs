//! Parents found by what their children say, in every wording and through every folder.

use chain_resolve::{FoundBy, ResolveError, WhyNot};

use crate::support::{Folder, base, child, child_with, linked, parent};

#[test]
fn a_stored_relative_path_leads_to_the_parent_in_any_wording() {
    let base = base("base");
    for stored in [
        ".\\base.vhdx",
        "base.vhdx",
        "./base.vhdx",
        ".\\BASE.VHDX",
        "BaSe.vhdX",
        ".\\.\\base.vhdx",
        "x\\..\\base.vhdx",
    ] {
        let folder = Folder::new();
        let expected = folder.save("Base.vhdx", &base);
        let leaf = folder.save("leaf.avhdx", &child("leaf", &base, stored));
        assert_eq!(parent(folder.resolve(&leaf)), (expected, FoundBy::StoredPath), "{stored}");
    }
}

#[test]
fn a_stored_path_leads_through_folders_inside_the_roots() {
    let base = base("base");
    for stored in ["..\\Virtual Hard Disks\\base.vhdx", "../virtual hard disks/BASE.vhdx"] {
        let folder = Folder::new();
        let expected = folder.save("vm/Virtual Hard Disks/base.vhdx", &base);
        let leaf = folder.save("vm/Snapshots/leaf.avhdx", &child("leaf", &base, stored));
        assert_eq!(parent(folder.resolve(&leaf)), (expected, FoundBy::StoredPath), "{stored}");
    }
}

#[test]
fn paths_start_at_the_real_folder_of_the_child() {
    let folder = Folder::new();
    let base = base("base");
    let expected = folder.save("images/base.vhdx", &base);
    folder.save("images/leaf.avhdx", &child("leaf", &base, ".\\base.vhdx"));
    let through_folder = folder.path("images").join("..").join("images").join("leaf.avhdx");
    assert_eq!(parent(folder.resolve(&through_folder)), (expected.clone(), FoundBy::StoredPath));
    #[cfg(unix)]
    {
        let link = folder.path("link.avhdx");
        std::os::unix::fs::symlink(folder.path("images/leaf.avhdx"), &link).expect("a link");
        assert_eq!(parent(folder.resolve(&link)), (expected, FoundBy::StoredPath));
    }
}

#[test]
fn the_last_name_of_an_absolute_or_volume_path_is_looked_for_beside_the_child() {
    let base = base("base");
    let volume = "\\\\?\\Volume{c0ffee00-1111-2222-3333-444455556666}\\VMs\\Base.vhdx";
    for locator in [
        linked(&base).absolute_path("C:\\VMs\\base.vhdx"),
        linked(&base).absolute_path("\\\\server\\share\\VMs\\base.vhdx"),
        linked(&base).volume_path(volume),
        linked(&base).relative_path("..\\elsewhere\\base.vhdx"),
        linked(&base).relative_path("C:\\VMs\\base.vhdx"),
    ] {
        let folder = Folder::new();
        let expected = folder.save("base.vhdx", &base);
        // Another one with that identity would make a search ambiguous, so the name alone must do.
        folder.save("copies/copy.vhdx", &base);
        let leaf = folder.save("leaf.avhdx", &child_with("leaf", &base, locator.clone()));
        assert_eq!(parent(folder.resolve(&leaf)), (expected, FoundBy::StoredName), "{locator:?}");
    }
}

#[test]
fn names_that_differ_only_in_case_are_no_guess() {
    let folder = Folder::new();
    let base = base("base");
    folder.save("BASE.vhdx", &base);
    if folder.path("base.vhdx").exists() {
        // The file system knows no case, so there can not be two.
        return;
    }
    folder.save("Base.vhdx", &base);
    let leaf = folder.save("leaf.avhdx", &child("leaf", &base, ".\\base.vhdx"));
    match folder.resolve(&leaf) {
        Err(ResolveError::AmbiguousParent { candidates, .. }) => assert_eq!(candidates.len(), 2),
        other => panic!("{other:?}"),
    }
    let exact = folder.save("base.vhdx", &base);
    assert_eq!(parent(folder.resolve(&leaf)), (exact, FoundBy::StoredPath));
}

#[test]
fn a_candidate_with_another_identity_is_noted_and_passed_over() {
    let folder = Folder::new();
    let (base, wrong) = (base("base"), base("wrong"));
    folder.save("base.vhdx", &wrong);
    let leaf = folder.save("leaf.avhdx", &child("leaf", &base, ".\\base.vhdx"));
    match folder.resolve(&leaf) {
        Err(ResolveError::ParentNotFound { child, wanted, tried, searched, images_seen }) => {
            assert_eq!(child, leaf);
            assert_eq!(wanted.first, base.ids.data_write);
            assert_eq!(tried.len(), 1);
            assert_eq!(tried[0].candidate, ".\\base.vhdx");
            let WhyNot::Identity { found } = tried[0].why else { panic!("{:?}", tried[0]) };
            assert_eq!(found, wrong.ids.data_write);
            assert_eq!((searched, images_seen), (vec![folder.root()], 2));
        }
        other => panic!("{other:?}"),
    }
    let right = folder.save("elsewhere/renamed", &base);
    assert_eq!(parent(folder.resolve(&leaf)), (right, FoundBy::Identity));
}

#[test]
fn a_missing_parent_comes_with_everything_that_was_tried() {
    let folder = Folder::new();
    let base = base("base");
    let locator = linked(&base)
        .relative_path("..\\other\\gone.vhdx")
        .absolute_path("D:\\VMs\\text.vhdx")
        .volume_path("\\\\?\\Volume{0}\\damaged.vhdx");
    let leaf = folder.save("vm/leaf.avhdx", &child_with("leaf", &base, locator));
    std::fs::write(folder.path("vm/text.vhdx"), "no image").expect("a new file");
    std::fs::write(folder.path("vm/damaged.vhdx"), "vhdxfile").expect("a new file");
    let Err(ResolveError::ParentNotFound { tried, images_seen, .. }) = folder.resolve(&leaf) else {
        panic!("a parent was found");
    };
    let reasons: Vec<String> =
        tried.iter().map(|tried| format!("{}: {}", tried.candidate, tried.why)).collect();
    let unknown = |name: &str| {
        format!("{}: is damaged or unsupported, so its identity is not known", folder.path(name).display())
    };
    assert_eq!(
        reasons,
        [
            "..\\other\\gone.vhdx: not there".to_owned(),
            "gone.vhdx: not there".to_owned(),
            "damaged.vhdx: the file is truncated: the pair of headers needs 1048576 bytes, the file has 8"
                .to_owned(),
            "text.vhdx: not a VHDX image".to_owned(),
            unknown("vm/damaged.vhdx"),
        ]
    );
    assert_eq!(images_seen, 2);
}
