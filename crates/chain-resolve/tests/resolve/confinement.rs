//! What hostile images and folders ask for and do not get: files outside the roots, and files that are none.

use chain_resolve::{FoundBy, Refusal, ResolveError, StoreError, Tried, WhyNot, resolve};

use crate::support::{Folder, base, child, child_with, linked, parent};

/// What was tried for a leaf in `vm` that stores this path; the parent lies outside, under several names.
fn tried(stored: &str) -> Vec<Tried> {
    let folder = Folder::new();
    let base = base("base");
    for name in ["secret.vhdx", "other/secret.vhdx", "x"] {
        folder.save(name, &base);
    }
    let leaf = folder.save("vm/disks/leaf.avhdx", &child("leaf", &base, stored));
    match resolve(&leaf, &folder.policy(&["vm"])) {
        Err(ResolveError::ParentNotFound { tried, images_seen, .. }) => {
            assert_eq!(images_seen, 1, "only the leaf lies below the root");
            tried
        }
        other => panic!("{stored:?}: {other:?}"),
    }
}

/// Row 21 of the matrix.
#[test]
fn paths_that_lead_out_are_refused() {
    for stored in
        ["..\\..\\x", "..\\..\\secret.vhdx", "../../other/secret.vhdx", "..\\..\\..\\..\\..\\..\\..\\..\\x"]
    {
        let tried = tried(stored);
        assert!(matches!(tried[0].why, WhyNot::Path(Refusal::Outside)), "{stored}: {tried:?}");
    }
    for stored in
        ["C:\\secret.vhdx", "\\\\srv\\share\\secret.vhdx", "/secret.vhdx", "\\\\?\\C:\\x", "a\0b", "C:x"]
    {
        let tried = tried(stored);
        assert!(matches!(tried[0].why, WhyNot::Path(Refusal::NotRelative)), "{stored:?}: {tried:?}");
    }
}

/// Whether something is there shows in no answer about what lies outside.
#[test]
fn what_lies_outside_is_not_even_asked_whether_it_exists() {
    let said = |stored| tried(stored).into_iter().map(|tried| tried.why.to_string()).collect::<Vec<_>>();
    assert_eq!(said("..\\..\\secret.vhdx"), said("..\\..\\absent.vhdx"));
}

#[test]
fn a_path_that_leads_out_and_in_again_is_followed_by_its_names() {
    let folder = Folder::new();
    let base = base("base");
    let expected = folder.save("vm/base.vhdx", &base);
    let leaf = folder.save("vm/leaf.avhdx", &child("leaf", &base, "..\\vm\\base.vhdx"));
    let found = resolve(&leaf, &folder.policy(&["vm"]));
    assert_eq!(parent(found), (expected, FoundBy::StoredPath));
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use super::*;

    fn make_fifo(path: &Path) {
        let made = std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo can be run");
        assert!(made.success());
    }

    #[test]
    fn links_that_lead_out_are_refused_by_name_and_by_search() {
        let folder = Folder::new();
        let base = base("base");
        folder.save("outside/secret.vhdx", &base);
        let leaf = folder.save("vm/leaf.avhdx", &child("leaf", &base, ".\\link.vhdx"));
        symlink(folder.path("outside/secret.vhdx"), folder.path("vm/link.vhdx")).expect("a link");
        symlink(folder.path("outside"), folder.path("vm/folder")).expect("a link");
        let through = folder.save("vm/through.avhdx", &child("x", &base, ".\\folder\\secret.vhdx"));
        for leaf in [leaf, through] {
            match resolve(&leaf, &folder.policy(&["vm"])) {
                Err(ResolveError::ParentNotFound { tried, images_seen, .. }) => {
                    assert!(matches!(tried[0].why, WhyNot::Path(Refusal::Outside)), "{tried:?}");
                    assert_eq!(images_seen, 2);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_link_that_stays_inside_is_followed() {
        let folder = Folder::new();
        let base = base("base");
        let expected = folder.save("store/base.vhdx", &base);
        symlink(&expected, folder.path("link.vhdx")).expect("a link");
        let leaf = folder.save("leaf.avhdx", &child("leaf", &base, ".\\link.vhdx"));
        assert_eq!(parent(folder.resolve(&leaf)), (expected, FoundBy::StoredPath));
    }

    /// Opening a FIFO for reading waits for a writer: if that happened, this test would never end.
    #[test]
    fn what_is_no_regular_file_is_never_opened() {
        let folder = Folder::new();
        let base = base("base");
        let leaf = folder.save("leaf.avhdx", &child("leaf", &base, ".\\fifo"));
        make_fifo(&folder.path("fifo"));
        let _socket = UnixListener::bind(folder.path("socket")).expect("a socket");
        std::fs::create_dir(folder.path("folder")).expect("a folder");
        let why = |name: &str| {
            let leaf = folder.save("leaf.avhdx", &child("leaf", &base, &format!(".\\{name}")));
            match folder.resolve(&leaf) {
                Err(ResolveError::ParentNotFound { mut tried, .. }) => tried.remove(0).why,
                other => panic!("{other:?}"),
            }
        };
        for (name, expected) in [("fifo", "a FIFO"), ("socket", "a socket"), ("folder", "a folder")] {
            match why(name) {
                WhyNot::Open(StoreError::NotAFile { found, .. }) => assert_eq!(found, expected),
                other => panic!("{name}: {other:?}"),
            }
        }
        for (name, expected) in [("fifo", "a FIFO"), ("folder", "a folder")] {
            match folder.resolve(&folder.path(name)) {
                Err(ResolveError::Store(StoreError::NotAFile { found, .. })) => assert_eq!(found, expected),
                other => panic!("{name}: {other:?}"),
            }
        }
        drop(leaf);
    }

    #[test]
    fn a_device_is_no_source() {
        let folder = Folder::new();
        let base = base("base");
        symlink("/dev/zero", folder.path("zero")).expect("a link");
        let leaf = folder.save("leaf.avhdx", &child("leaf", &base, ".\\zero"));
        let found =
            resolve(&leaf, &chain_resolve::SearchPolicy::new([folder.root(), "/dev".into()]).expect("roots"));
        // Below /dev a search may meet anything; the stored path alone is asked here.
        match found {
            Err(ResolveError::ParentNotFound { tried, .. }) => {
                let WhyNot::Open(StoreError::NotAFile { found, .. }) = tried[0].why else {
                    panic!("{tried:?}")
                };
                assert_eq!(found, "a character device");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn links_that_go_round_or_nowhere_end_no_search() {
        let folder = Folder::new();
        let base = base("base");
        symlink(folder.root(), folder.path("round")).expect("a link");
        symlink(folder.path("absent"), folder.path("nowhere")).expect("a link");
        symlink(folder.path("self"), folder.path("self")).expect("a link");
        let leaf =
            folder.save("leaf.avhdx", &child_with("leaf", &base, linked(&base).relative_path(".\\self")));
        assert!(matches!(folder.resolve(&leaf), Err(ResolveError::ParentNotFound { images_seen: 1, .. })));
        let expected = folder.save("store/base.vhdx", &base);
        assert_eq!(parent(folder.resolve(&leaf)), (expected, FoundBy::Identity));
    }
}
