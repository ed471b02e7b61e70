//! What checkpoints and VMs are called: twice the same, in any script, by GUID, by another name than before.

use super::{FORMS, Machine, put};
use chain_resolve::forge::history::History;
use chain_resolve::forge::vm::Slot;
use chain_resolve::vm::{Form, Generation};

fn with_checkpoints(names: &[&str]) -> History {
    let mut history = History::new("web01", Generation::Two);
    history.attach("web01", Slot::Scsi(0, 0));
    for name in names {
        history.checkpoint(name);
        history.write("web01");
    }
    history
}

#[test]
fn checkpoints_of_one_name_are_listed_and_told_apart_by_guid() {
    let history = with_checkpoints(&["Before update", "Other", "Before update"]);
    let [first, _, third] = [0, 1, 2].map(|at| history.vm.checkpoints[at].id);
    for form in FORMS {
        let machine = Machine::new(&history, form);
        let args = ["vm", "--checkpoint", "Before update", "--out", "out/m.vhdx"];
        machine
            .bench
            .run(&args)
            .fails(4)
            .says(&[
                "`Before update` names 2 states of VM `web01`",
                &format!("#1 `Before update` 2024-01-01T01:00:00Z {{{first}}}"),
                &format!("#3 `Before update` 2024-01-01T03:00:00Z {{{third}}}"),
                "hint: ",
            ])
            .says_nothing_of("Other");
        machine.gives(&["vm", "--checkpoint", &first.to_string()], Some(first), "web01");
        machine.gives(&["vm", "--checkpoint", &format!("{{{third}}}").to_uppercase()], Some(third), "web01");
        machine.gives(&["vm", "--checkpoint", &third.to_string()[..8]], Some(third), "web01");
        machine.gives(&["vm", "--checkpoint", &first.to_string()[..13].to_uppercase()], Some(first), "web01");
    }
}

#[test]
fn the_beginning_of_two_guids_is_no_answer() {
    let mut history = with_checkpoints(&["A", "B"]);
    let ids = [0xABCD_1234_0000_u128 << 80, (0xABCD_1234_0000_u128 << 80) + 1].map(uuid::Uuid::from_u128);
    for (checkpoint, id) in history.vm.checkpoints.iter_mut().zip(ids) {
        checkpoint.id = id;
    }
    let machine = Machine::new(&history, Form::Store);
    let args = ["vm", "--checkpoint", "abcd1234", "--out", "out/m.vhdx"];
    machine.bench.run(&args).fails(4).says(&["names 2 states", "`A`", "`B`"]);
    // Too short to be meant as one.
    let args = ["vm", "--checkpoint", "abc", "--out", "out/m.vhdx"];
    machine.bench.run(&args).fails(4).says(&["no checkpoint `abc`"]);
}

#[test]
fn letter_case_counts_only_where_it_must() {
    let history = with_checkpoints(&["before update", "Before Update", "alone"]);
    let [first, second, third] = [0, 1, 2].map(|at| history.vm.checkpoints[at].id);
    for form in FORMS {
        let machine = Machine::new(&history, form);
        machine.gives(&["vm", "--checkpoint", "before update"], Some(first), "web01");
        machine.gives(&["vm", "--checkpoint", "Before Update"], Some(second), "web01");
        machine.gives(&["vm", "--checkpoint", "ALONE"], Some(third), "web01");
        let args = ["vm", "--checkpoint", "BEFORE UPDATE", "--out", "out/m.vhdx"];
        machine.bench.run(&args).fails(4).says(&["names 2 states"]);
    }
}

#[test]
fn names_in_any_script_with_any_punctuation_are_found_and_make_safe_file_names() {
    let names = [
        "Überprüfung",
        "更新前のチェックポイント",
        "قبل التحديث",
        "O'Brien's \"test\" & <more>",
        "a/b\\c:d*e?f|g",
        "../../../etc/passwd",
        "..",
        "-rf",
        "tab\there",
        "😀 e\u{301}",
        "web01 - (3/5/2024 - 9:14:07 AM)",
    ];
    let history = with_checkpoints(&names);
    for form in FORMS {
        let machine = Machine::new(&history, form);
        for (name, checkpoint) in names.iter().zip(&history.vm.checkpoints) {
            machine.gives(&["vm", &format!("--checkpoint={name}")], Some(checkpoint.id), "web01");
            machine.bench.remove("out/m.raw");
            machine.bench.remove("out/m.raw.manifest.json");
            let folder = ["--out", "out/all/", "--manifest", "none"];
            machine.bench.run(&[&["vm", &format!("--checkpoint={name}")], &folder[..]].concat()).succeeds();
        }
        assert_eq!(machine.bench.names_in("out"), ["all"]);
        let written = machine.bench.names_in("out/all");
        assert_eq!(written.len(), names.len(), "{written:?}");
        assert!(written.iter().all(|name| name.starts_with("web01_") && name.ends_with("_web01.vhdx")));
    }
}

/// A name can not make a terminal do things, nor forge a line of output.
#[test]
fn control_characters_in_names_are_never_printed() {
    let name = "a\u{1b}[2J\u{7}\nerror: b";
    let history = with_checkpoints(&[name, "c"]);
    let machine = Machine::new(&history, Form::Store);
    machine.gives(&["vm", "--checkpoint", name], Some(history.vm.checkpoints[0].id), "web01");
    let refused = machine.bench.run(&["vm", "--out", "out/m.vhdx"]).fails(4).says(&["error: b"]);
    assert!(!refused.stderr.contains(['\u{1b}', '\u{7}']), "{:?}", refused.stderr);
    assert!(refused.stderr.lines().filter(|line| line.starts_with("error: ")).count() == 1);
}

/// A command from a hint can be pasted into a shell whatever the checkpoint is called.
#[test]
fn hints_quote_names_for_the_shell() {
    let history = with_checkpoints(&["first", "it's $HOME `date`"]);
    let machine = Machine::new(&history, Form::Store);
    let quoted = r"`--checkpoint 'it'\''s $HOME `date`'`";
    machine.bench.run(&["vm", "--out", "out/m.vhdx"]).fails(4).says(&[quoted]);
}

#[test]
fn a_renamed_vm_keeps_its_disks() {
    for form in FORMS {
        let mut history = with_checkpoints(&["A"]);
        history.vm.name = "web01 (old)".to_owned();
        let machine = Machine::new(&history, form);
        machine.gives_every_state("vm");
        let id = history.vm.checkpoints[0].id;
        machine.gives(&["vm", "--vm", "WEB01 (OLD)", "--checkpoint", "A"], Some(id), "web01");
        let vm = history.vm.id.to_string();
        machine.gives(&["vm", "--vm", &vm, "--checkpoint", "A"], Some(id), "web01");
        let args = ["vm", "--vm", "web01", "--checkpoint", "A", "--out", "out/m.vhdx"];
        machine.bench.run(&args).fails(4).says(&["no VM is called `web01`", "`web01 (old)`"]);
    }
}

#[test]
fn a_folder_of_vms_needs_the_name_of_one() {
    let mut other = History::new("db01", Generation::One);
    other.attach("db01", Slot::Ide(0, 0));
    let id = other.checkpoint("A");
    for form in FORMS {
        let history = with_checkpoints(&["A"]);
        let machine = Machine::new(&history, form);
        put(&machine.bench, "vm/more/db01", &other.files(form));
        machine.bench.run(&["vm", "--checkpoint", "A", "--out", "out/m.vhdx"]).fails(4).says(&[
            "2 VMs to choose from",
            "`db01`",
            "`web01`",
            "--vm",
        ]);
        let web01 = history.vm.checkpoints[0].id;
        machine.gives(&["vm", "--vm", "web01", "--checkpoint", "A"], Some(web01), "web01");
        let disk = &other.state(Some(id))[0];
        super::gives(&machine.bench, &["vm", "--vm", "db01", "--checkpoint", "A"], disk);
        super::gives(&machine.bench, &["vm/more", "--checkpoint", "A"], disk);
        // The name of a disk file still says enough.
        super::gives(&machine.bench, &["vm", "--checkpoint", "db01.vhdx"], disk);
    }
}
