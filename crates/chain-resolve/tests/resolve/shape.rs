//! Chains that can not be: cycles, too many images, sectors that do not fit.

use chain_resolve::{ResolveError, resolve};
use limits::{Limit, Limits};
use vhdx_format::forge::Image;
use vhdx_format::{LinkError, SectorSize, VirtualDisk};

use crate::support::{Folder, base, child, child_with, geometry, linked};

/// Row 22 of the matrix: A -> B -> A.
#[test]
fn two_images_that_are_each_others_parents_are_a_cycle() {
    let (a, b) = (base("a"), base("b"));
    // By stored path and by identity.
    for [to_a, to_b] in [[".\\a.avhdx", ".\\b.avhdx"], ["gone", "gone"]] {
        let folder = Folder::new();
        let image = |name, parent: &Image, path| child(name, parent, path);
        let leaf = folder.save("a.avhdx", &image("a", &b, to_b));
        let other = folder.save("b.avhdx", &image("b", &a, to_a));
        match folder.resolve(&leaf) {
            Err(ResolveError::Cycle { child, parent }) => assert_eq!((child, parent), (other, leaf)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_image_that_is_its_own_parent_is_a_cycle() {
    let own = base("own");
    for path in [".\\own.avhdx", "gone"] {
        let folder = Folder::new();
        let leaf = folder.save("own.avhdx", &child("own", &own, path));
        match folder.resolve(&leaf) {
            Err(ResolveError::Cycle { child, parent }) => assert_eq!((child, parent), (leaf.clone(), leaf)),
            other => panic!("{other:?}"),
        }
    }
}

#[cfg(unix)]
#[test]
fn a_cycle_through_another_name_of_the_file_is_a_cycle() {
    let folder = Folder::new();
    let own = base("own");
    let leaf = folder.save("own.avhdx", &child("own", &own, ".\\second.avhdx"));
    std::fs::hard_link(&leaf, folder.path("second.avhdx")).expect("a second name");
    assert!(matches!(folder.resolve(&leaf), Err(ResolveError::Cycle { .. })));
}

/// Saves a line of that many images, base first, and returns the leaf's path.
fn line(folder: &Folder, depth: usize) -> std::path::PathBuf {
    let mut image = base("image 0");
    let mut path = folder.save("0", &image);
    for number in 1..depth {
        image = child(&format!("image {number}"), &image, &format!(".\\{}", number - 1));
        path = folder.save(&number.to_string(), &image);
    }
    path
}

#[test]
fn as_many_images_as_the_limit_are_a_chain_and_one_more_are_none() {
    let folder = Folder::new();
    let most = usize::try_from(Limit::ChainDepth.usual()).expect("a length");
    let leaf = line(&folder, most + 1);
    match folder.resolve(&leaf) {
        Err(ResolveError::Link { source: LinkError::TooDeep { .. }, parent, .. }) => {
            assert_eq!(parent, folder.path("0"));
        }
        other => panic!("{other:?}"),
    }
    let below = folder.path(&(most - 1).to_string());
    let chain = folder.resolve(&below).expect("a chain of as many images as are allowed");
    assert_eq!(chain.layers().len(), most);
    let range = chain.geometry().range();
    assert_eq!(chain.extents(range).count(), 1);
    let mut limits = Limits::default();
    limits.raise(Limit::ChainDepth, Limit::ChainDepth.usual() + 1).expect("a value above the usual one");
    let chain =
        resolve(&leaf, &folder.policy(&[""]).within(limits)).expect("a chain within the raised limit");
    assert_eq!(chain.layers().len(), most + 1);
}

#[test]
fn sectors_of_another_size_make_no_chain() {
    let folder = Folder::new();
    let mut parent = base("base");
    parent.geometry = geometry(SectorSize::B4096);
    let mut leaf = child_with("leaf", &parent, linked(&parent));
    leaf.geometry = geometry(SectorSize::B512);
    let parent_path = folder.save("base.vhdx", &parent);
    let leaf_path = folder.save("leaf.avhdx", &leaf);
    match folder.resolve(&leaf_path) {
        Err(ResolveError::Link { child, parent, source }) => {
            assert_eq!((child, parent), (leaf_path, parent_path));
            let (child, parent) = (SectorSize::B512, SectorSize::B4096);
            assert_eq!(source, LinkError::SectorSize { child, parent });
        }
        other => panic!("{other:?}"),
    }
}
