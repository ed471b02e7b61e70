//! What lies in wait where an artifact is to be written, and who may read the artifact.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::fifo;
use crate::harness::{Bench, chain};

fn bench() -> Bench {
    Bench::with_stack(&chain("vm"))
}

/// The names that an export writes first.
const PARTIALS: [&str; 2] = ["out/m.raw.partial", "out/m.raw.manifest.json.partial"];

fn mode(bench: &Bench, name: &str) -> u32 {
    fs::metadata(bench.path(name)).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_link_in_the_place_of_a_partial_file_is_not_followed() {
    for partial in PARTIALS {
        let bench = bench();
        bench.write("victim", b"precious");
        for to in ["../victim", "../absent"] {
            bench.link(partial, to);
            for force in [&[][..], &["--force"]] {
                let refused = bench.run(&[&["vm", "--out", "out/m.raw"], force].concat()).fails(7);
                refused.says(&[&format!("`{partial}` is a symbolic link")]);
            }
            bench.remove(partial);
        }
        assert_eq!(bench.bytes("victim"), b"precious");
        assert!(!bench.path("absent").exists());
    }
}

#[test]
fn a_fifo_or_a_folder_in_the_place_of_a_partial_file_makes_nobody_wait() {
    for partial in PARTIALS {
        let bench = bench();
        fifo(&bench, partial);
        bench.run(&["vm", "--out", "out/m.raw"]).fails(7).says(&["neither a file nor a directory"]);
        bench.remove(partial);
        fs::create_dir(bench.path(partial)).unwrap();
        bench.run(&["vm", "--out", "out/m.raw"]).fails(7).says(&["is a directory"]);
    }
}

/// What was left there, maybe by somebody who keeps it open or under another name, is not written into.
#[test]
fn a_partial_file_of_somebody_else_is_replaced_and_not_used() {
    let bench = bench();
    bench.write("out/m.raw.partial", b"somebody's");
    fs::hard_link(bench.path("out/m.raw.partial"), bench.path("kept")).unwrap();
    bench.run(&["vm", "--out", "out/m.raw"]).succeeds();
    assert_eq!(bench.bytes("kept"), b"somebody's");
}

#[test]
fn a_link_by_the_final_name_is_replaced_and_what_it_names_is_not_written() {
    let bench = bench();
    bench.write("victim", b"precious");
    bench.link("out/m.raw", "../victim");
    bench.link("out/m.raw.manifest.json", "../victim");
    bench.run(&["vm", "--out", "out/m.raw"]).fails(7).says(&["exists"]);
    bench.run(&["vm", "--out", "out/m.raw", "--force"]).succeeds();
    assert_eq!(bench.bytes("victim"), b"precious");
    assert!(!bench.path("out/m.raw").is_symlink());
}

#[test]
fn a_fifo_by_the_final_name_is_refused_by_force_as_well() {
    let bench = bench();
    fifo(&bench, "out/m.raw");
    for force in [&[][..], &["--force"]] {
        bench.run(&[&["vm", "--out", "out/m.raw"], force].concat()).fails(7).says(&["neither a file nor"]);
    }
}

/// The folder was named, wherever it lies; nothing else comes of that.
#[test]
fn an_output_folder_may_be_a_link() {
    let bench = bench();
    fs::create_dir(bench.path("real")).unwrap();
    bench.link("out/link", "../real");
    bench.run(&["vm", "--out", "out/link/m.raw"]).succeeds();
    bench.run(&["vm", "--out", "out/link/"]).succeeds();
    assert_eq!(bench.names_in("real"), ["0.vhdx", "0.vhdx.manifest.json", "m.raw", "m.raw.manifest.json"]);
}

/// With that umask, the modes of an artifact and its manifest whose sources have these.
fn modes(umask: &str, sources: [u32; 3]) -> [u32; 3] {
    let bench = bench();
    for (number, mode) in sources.into_iter().enumerate() {
        let path = bench.path(&format!("vm/{number}.vhdx"));
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let script = format!("umask {umask}; exec \"$@\"");
    let args = ["vm", "--out", "out/m.raw", "--sums"];
    bench.call(&args).within(&["sh", "-c", &script, "sh"]).run().succeeds();
    ["out/m.raw", "out/m.raw.manifest.json", "out/m.raw.sha256"].map(|name| mode(&bench, name))
}

#[test]
fn nobody_may_read_an_artifact_who_may_not_read_all_of_its_sources() {
    assert_eq!(modes("022", [0o644, 0o600, 0o644]), [0o600; 3]);
    // The group of a source may be another than the artifact's.
    assert_eq!(modes("022", [0o640, 0o644, 0o644]), [0o600; 3]);
    assert_eq!(modes("022", [0o604, 0o644, 0o644]), [0o600; 3]);
    assert_eq!(modes("000", [0o604, 0o640, 0o666]), [0o600; 3]);
}

#[test]
fn nor_whom_the_umask_does_not_let() {
    assert_eq!(modes("022", [0o644, 0o644, 0o444]), [0o644; 3]);
    assert_eq!(modes("077", [0o666; 3]), [0o600; 3]);
    assert_eq!(modes("002", [0o666; 3]), [0o664; 3]);
}
