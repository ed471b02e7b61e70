//! Real images, made by Windows, Hyper-V, QEMU and others: each gives the digest that its manifest states.
//!
//! They are no part of the project: `VHDX_EXPORT_SAMPLES` names their folder, with a `MANIFEST.toml` and each file as
//! `FILE.zst`. Without it this is skipped, said aloud, unless `VHDX_EXPORT_REQUIRE_SAMPLES=1` forbids that.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use toml::{Table, Value};

use crate::harness::{Bench, Content, note, sha256_and_content, skipped};
use crate::peers::Peers;

struct Sample {
    file: String,
    sha256: Option<String>,
    exercises: String,
}

/// The folder and the VHDX images of its manifest, or `None` if there is none.
fn samples() -> Option<(PathBuf, Vec<Sample>)> {
    let folder = std::env::var_os("VHDX_EXPORT_SAMPLES").filter(|folder| !folder.is_empty());
    let Some(folder) = folder.map(PathBuf::from) else {
        let missing = "real sample images: VHDX_EXPORT_SAMPLES does not name their folder";
        assert!(std::env::var("VHDX_EXPORT_REQUIRE_SAMPLES").as_deref() != Ok("1"), "required: {missing}");
        skipped(missing);
        return None;
    };
    let manifest = std::fs::read_to_string(folder.join("MANIFEST.toml")).unwrap();
    let manifest: Table = manifest.parse().unwrap();
    let disks = manifest["disk"].as_array().unwrap().iter().map(|disk| {
        let text = |key| disk.get(key).and_then(Value::as_str).map(str::to_owned);
        let exercises = text("exercises").unwrap_or_default();
        Sample { file: text("file").unwrap(), sha256: text("sha256"), exercises }
    });
    let (vhdx, other): (Vec<_>, Vec<_>) = disks.partition(|sample| !is_vhd(&sample.file));
    if !other.is_empty() {
        skipped(&format!("{} sample images of the older format VHD", other.len()));
    }
    assert!(!vhdx.is_empty());
    Some((folder, vhdx))
}

fn is_vhd(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("vhd"))
}

/// Puts them on a bench, in their folders.
fn unpack(folder: &Path, samples: &[Sample]) -> Bench {
    let bench = Bench::new();
    for Sample { file, .. } in samples {
        let packed = File::open(folder.join(format!("{file}.zst"))).unwrap();
        let target = bench.path("vm").join(file);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        zstd::stream::copy_decode(packed, File::create(target).unwrap()).unwrap();
    }
    bench
}

#[test]
fn every_real_image_gives_its_digest_and_the_same_disk_as_a_vhdx() {
    let Some((folder, samples)) = samples() else { return };
    let wanted: Vec<_> = samples.iter().filter(|sample| sample.sha256.is_some()).collect();
    let queue = Mutex::new(wanted.iter());
    let peers = Peers::find();
    // Most of the time goes into the digests of two disks of 10 GiB, one after the other.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                // Each on its own, so that one's sources are not watched during the other's run.
                while let Some(sample) = { queue.lock().unwrap().next() } {
                    let together = Path::new(&sample.file).parent().unwrap();
                    let family: Vec<_> = samples
                        .iter()
                        .filter(|other| Path::new(&other.file).parent() == Some(together))
                        .map(|other| Sample {
                            file: other.file.clone(),
                            sha256: None,
                            exercises: String::new(),
                        })
                        .collect();
                    gives_its_digest(&unpack(&folder, &family), sample, &peers);
                }
            });
        }
    });
    note(&format!("real images: {} gave their digest; {}", wanted.len(), peers.tally()));
}

fn gives_its_digest(bench: &Bench, sample: &Sample, peers: &Peers) {
    let source = format!("vm/{}", sample.file);
    let raw = ["--out", "-", "--format", "raw", &source];
    let (outcome, (sha256, content)) = bench.call(&raw).run_reading(sha256_and_content);
    let outcome = outcome.succeeds();
    let expected = sample.sha256.as_ref().unwrap();
    assert_eq!(&sha256, expected, "{} ({})\n{}", sample.file, sample.exercises, outcome.stderr);

    bench.run(&[&source, "--out", "out/merged.vhdx"]).succeeds();
    let piped = ["--out", "-", "--format", "vhdx", &source];
    let (outcome, piped) = bench.call(&piped).run_reading(Content::read);
    outcome.succeeds();
    assert_eq!(bench.content("out/merged.vhdx"), piped, "{}: file and pipe differ", sample.file);
    assert_eq!(bench.disk_content("out/merged.vhdx"), content, "{}", sample.file);
    peers.agree(bench, "out/merged.vhdx", &content, logical_sector(bench, &source));
}

fn logical_sector(bench: &Bench, image: &str) -> u64 {
    let info = bench.run(&["info", "--json", image]).succeeds().json();
    info["logical-sector-size"].as_u64().unwrap()
}

/// Hyper-V's own child without its parent: no zeros in its place.
#[test]
fn the_orphan_names_the_identity_it_wants_and_each_place_looked_at() {
    let Some((folder, samples)) = samples() else { return };
    let (orphans, _): (Vec<_>, Vec<_>) = samples.into_iter().partition(|sample| sample.sha256.is_none());
    assert_eq!(orphans.len(), 1);
    let bench = unpack(&folder, &orphans);
    let source = format!("vm/{}", orphans[0].file);
    let looked_at = bench.path(&source).parent().unwrap().canonicalize().unwrap();
    let looked_at = format!("searched `{}`", looked_at.display());
    let texts = [
        "ff34003b-11ed-4cf8-a166-b2be05e20b80",
        "tried `.\\Generation 1_49C4BAF3-4B25-4406-8C4B-D39E65C32385.avhdx`: not there",
        &looked_at,
        "hint: ",
    ];
    for target in [["--out", "out/m.raw"], ["--out", "out/m.vhdx"]] {
        bench.run(&[&[source.as_str()], &target[..]].concat()).fails(5).says(&texts);
    }
    for format in ["raw", "vhdx"] {
        bench.run(&[&source, "--out", "-", "--format", format]).fails(5).says(&texts);
    }
    // What it says of itself needs no parent.
    let info = bench.run(&["info", "--json", &source]).succeeds().json();
    assert_eq!(info["parent"]["linkage"], "ff34003b-11ed-4cf8-a166-b2be05e20b80");
}
