//! Every committed input of the fuzz targets, and every finding, held to the laws on the stable toolchain.
//!
//! `cargo xtask fuzz` looks for new ones and needs a nightly compiler; what it has found must stay found without one.
#![cfg(test)]

use std::path::{Path, PathBuf};
use std::{fs, panic};

#[path = "../fuzz/src/lib.rs"]
pub mod targets;

fn folder(kind: &str, target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(kind).join(target)
}

/// The files of a folder, which need not be there.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.expect("a readable folder").path()).collect()
}

fn hold_all(target: &str, law: targets::Target) {
    let corpus = files(&folder("corpus", target));
    assert!(!corpus.is_empty(), "no inputs for {target}");
    for file in corpus.into_iter().chain(files(&folder("findings", target))) {
        let bytes = fs::read(&file).expect("a readable file");
        let held = panic::catch_unwind(|| law(&bytes)).is_ok();
        assert!(held, "{} breaks a law of the target {target}", file.display());
    }
}

macro_rules! hold {
    ($($target:ident)*) => {$(
        #[test]
        fn $target() {
            hold_all(stringify!($target), targets::$target);
        }
    )*
        #[test]
        fn every_target_has_its_test() {
            let names: Vec<_> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($target)),*]);
        }
    };
}

hold! { image log chain vmcx xml manifest seek_table }

/// Inputs that no fuzzer would keep: none, and the same byte all along.
#[test]
fn dull_inputs_are_survived() {
    for (_, law) in targets::TARGETS {
        law(&[]);
        for byte in [0, 1, 0x7F, 0xFF] {
            law(&[byte; 300]);
        }
    }
}
