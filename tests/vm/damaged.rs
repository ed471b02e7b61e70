//! Damaged configurations beside good images: the right disk or a refusal, never another disk, never a crash.

use super::{FORMS, Machine, linear, put};
use crate::harness::{Bench, Content};
use chain_resolve::forge::history::History;
use chain_resolve::vm::Form;
use vhdx_format::forge::SparseFile;
use vhdx_format::forge::random::Random;

/// Asks for a disk of a checkpoint whose configuration, or whose VM's, is damaged.
#[track_caller]
fn right_or_refused(history: &History, form: Form, damaged: usize, bytes: &[u8]) -> bool {
    let bench = Bench::new();
    let mut files = history.files(form);
    let mut content = SparseFile::default();
    content.write(0, bytes);
    files[damaged].content = content;
    put(&bench, "vm", &files);
    let id = history.vm.checkpoints[1].id;
    let outcome = bench.run(&[
        "vm",
        "--checkpoint",
        &id.to_string(),
        "--disk",
        "scsi0:1",
        "--out",
        "out/m.raw",
        "--quiet",
    ]);
    if bench.names_in("out").is_empty() {
        // 6 where the damaged file may hide what is meant, 4 where what is left does not fit.
        outcome.fails_with_one_of(&[4, 6]);
        return false;
    }
    outcome.succeeds();
    let expected = Content::of(&history.state(Some(id))[1].bytes);
    assert!(bench.content("out/m.raw") == expected, "file {damaged}: another disk");
    true
}

fn bytes_of(history: &History, form: Form, file: usize) -> Vec<u8> {
    let content = &history.files(form)[file].content;
    content.read(0, content.len() as usize)
}

#[test]
fn a_configuration_cut_anywhere_gives_the_right_disk_or_a_refusal() {
    let (history, _) = linear();
    for form in FORMS {
        for damaged in [0, 2] {
            let whole = bytes_of(&history, form, damaged);
            assert!(right_or_refused(&history, form, damaged, &whole));
            for tenths in 0..10 {
                right_or_refused(&history, form, damaged, &whole[..whole.len() * tenths / 10]);
            }
        }
    }
}

#[test]
fn a_configuration_with_flipped_bytes_gives_the_right_disk_or_a_refusal() {
    let (history, _) = linear();
    let mut random = Random::new(3);
    for form in FORMS {
        for damaged in [0, 2] {
            let whole = bytes_of(&history, form, damaged);
            for _ in 0..25 {
                let mut bytes = whole.clone();
                // Where the keys are: the rest of a store is zeros and tables.
                let first = if form == Form::Store { 0x3000 } else { 0 };
                let at = first + random.below((whole.len() - first).min(0x1000) as u64) as usize;
                bytes[at] ^= 1 << random.below(8);
                // In XML nothing guards a letter of a path: then the disk is not found.
                right_or_refused(&history, form, damaged, &bytes);
            }
        }
    }
}

#[test]
fn noise_in_place_of_configurations_leaves_the_disk_files_usable() {
    let (history, [_, second, _]) = linear();
    for form in FORMS {
        let machine = Machine::new(&history, form);
        for file in &history.files(form)[..4] {
            machine.bench.write(&format!("vm/{}", file.path), &Random::new(7).bytes(5000));
        }
        let args = ["vm", "--checkpoint", "Before update", "--out", "out/m.vhdx"];
        machine.bench.run(&args).fails(4);
        let disk = &history.state(Some(second))[0];
        super::gives(&machine.bench, &["vm", "--checkpoint", &disk.file], disk);
    }
}
