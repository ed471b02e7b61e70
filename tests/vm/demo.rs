//! The VM that comes with the project, in every state that its manifest names.

use std::fs;
use std::path::Path;

use toml::{Table, Value};

use crate::harness::{Bench, sha256_and_content};

#[test]
fn every_checkpoint_of_the_demo_vm_gives_the_digests_of_its_manifest() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let manifest: Table = fs::read_to_string(fixtures.join("MANIFEST.toml")).unwrap().parse().unwrap();
    let bench = Bench::new();
    copy(&fixtures.join("demo-vm"), &bench.path("vm"));
    let states = manifest["checkpoint"].as_array().unwrap();
    assert_eq!(states.len(), 9);
    for state in states {
        let text = |key| state.get(key).and_then(Value::as_str).unwrap();
        let args = ["vm", "--checkpoint", text("checkpoint"), "--disk", text("disk")];
        let args = [&args[..], &["--out", "-", "--format", "raw"]].concat();
        let (outcome, (sha256, _)) = bench.call(&args).run_reading(sha256_and_content);
        outcome.succeeds();
        assert_eq!(sha256, text("sha256"), "{} {}", text("checkpoint"), text("disk"));
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
