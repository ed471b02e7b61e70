//! Chains that do not hold: exit code 5, what was wanted and every place looked at, and nothing left behind.

use vhdx_format::forge::{Image, Kind, Locator};

use crate::harness::{Bench, chain, guid, small_base};

const ALL_FORMATS: [&[&str]; 4] = [
    &["--out", "out/merged.raw"],
    &["--out", "out/merged.vhdx"],
    &["--out", "-", "--format", "raw"],
    &["--out", "-", "--format", "vhdx"],
];

#[track_caller]
fn is_broken(bench: &Bench, source: &str, texts: &[&str]) {
    for format in ALL_FORMATS {
        bench.run(&[&[source], format].concat()).fails(5).says(texts);
    }
    bench.run(&["map", source]).fails(5).says(texts);
    bench.run(&["info", "--chain", source]).fails(5).says(texts);
}

#[test]
fn a_missing_parent_is_named_by_identity_with_every_place_looked_at() {
    let stack = chain("vm");
    let bench = Bench::with_stack(&stack);
    bench.remove("vm/0.vhdx");
    std::fs::create_dir(bench.path("out/elsewhere")).unwrap();
    let wanted = stack[0].ids.data_write.to_string();
    let folder = bench.path("vm").canonicalize().unwrap().display().to_string();
    is_broken(
        &bench,
        "vm/2.vhdx",
        &[
            "parent of `",
            "1.vhdx` not found",
            &wanted,
            "tried `.\\0.vhdx`: not there",
            &format!("searched `{folder}`"),
            "2 images looked at",
            "hint: point --parent-dir",
        ],
    );
    let elsewhere = ["vm/2.vhdx", "--parent-dir", "out/elsewhere", "--out", "out/merged.raw"];
    bench.run(&elsewhere).fails(5).says(&["/elsewhere`"]);
}

/// The parent was written to after its child was made, or another image took its name: its bytes are not what the
/// child was made from.
#[test]
fn a_parent_of_another_identity_is_never_used() {
    let stack = chain("vm");
    let bench = Bench::with_stack(&stack);
    let other = small_base("another");
    bench.forge("vm/0.vhdx", &other);
    let wanted = stack[0].ids.data_write.to_string();
    let found = format!("tried `.\\0.vhdx`: has DataWriteGuid {{{}}}", other.ids.data_write);
    is_broken(&bench, "vm/2.vhdx", &[&wanted, &found, "read-write after the checkpoint?"]);
}

#[test]
fn two_images_of_the_wanted_identity_are_not_chosen_from() {
    let stack = chain("vm");
    let bench = Bench::with_stack(&stack);
    bench.remove("vm/0.vhdx");
    for copy in ["vm/a/copy.vhdx", "vm/b/copy.vhdx"] {
        bench.forge(copy, &stack[0]);
    }
    for format in ALL_FORMATS {
        bench.run(&[&["vm/2.vhdx"], format].concat()).fails(4).says(&[
            "ambiguous",
            "2 images",
            "a/copy.vhdx",
            "b/copy.vhdx",
            "hint: ",
        ]);
    }
}

#[test]
fn a_cycle_is_seen_whatever_its_length() {
    for length in [1_usize, 2, 3] {
        let bench = Bench::new();
        let base = small_base("base");
        for number in 0..length {
            let parent = (number + 1) % length;
            let mut image = Image::child(&number.to_string(), &base, "");
            image.ids.data_write = guid(number as u128 + 1);
            let name = format!("{parent}.avhdx");
            image.kind = Kind::Differencing(Locator::windows(guid(parent as u128 + 1), &name));
            bench.forge(&format!("vm/{number}.avhdx"), &image);
        }
        is_broken(&bench, "vm/0.avhdx", &["cycle", "0.avhdx"]);
        bench.run(&["vm", "--out", "out/merged.raw"]).fails(5).says(&["cycle"]);
    }
}

#[test]
fn a_parent_outside_the_folders_that_were_named_is_not_looked_at() {
    let stack = chain("vm");
    let bench = Bench::new();
    bench.forge("vm/secret/0.vhdx", &stack[0]);
    let mut child = stack[1].clone();
    let stored = "..\\secret\\0.vhdx";
    child.kind = Kind::Differencing(Locator::empty().linkage(stack[0].ids.data_write).relative_path(stored));
    bench.forge("vm/child/1.vhdx", &child);
    is_broken(&bench, "vm/child/1.vhdx", &[stored, "outside the folders that are searched"]);
    bench.run(&["vm/child/1.vhdx", "--parent-dir", "vm", "--out", "out/merged.raw"]).succeeds();
}

#[test]
fn parents_of_another_sector_size_can_not_lie_under_a_child() {
    let base = Image::dynamic("base", crate::harness::geometry(8 << 20, 4096));
    let mut child = Image::child("child", &base, "0.vhdx");
    child.geometry = crate::harness::geometry(8 << 20, 512);
    let bench = Bench::with_stack(&[base, child]);
    is_broken(&bench, "vm/1.vhdx", &["cannot be the parent of", "512", "4096"]);
}
