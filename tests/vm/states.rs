//! Which file is a checkpoint's state: the one that was frozen, along chains and branches, for disks that come and go.

use super::{FORMS, Machine, linear};
use chain_resolve::forge::history::History;
use chain_resolve::forge::vm::Slot;
use chain_resolve::vm::Generation;

#[test]
fn every_checkpoint_of_a_line_gives_its_own_disks_in_both_forms() {
    let (history, _) = linear();
    for form in FORMS {
        Machine::new(&history, form).gives_every_state("vm");
    }
}

/// The rule that users get wrong, directly: what was written after X is in `@current` and not in X.
#[test]
fn what_was_written_after_a_checkpoint_is_not_in_its_disk_and_is_in_the_current_one() {
    let mut history = History::new("web01", Generation::Two);
    history.attach("web01", Slot::Scsi(0, 0));
    let before = history.state(None)[0].bytes.clone();
    let id = history.checkpoint("X");
    history.write("web01");
    let after = history.state(None)[0].bytes.clone();
    assert!(before != after && history.state(Some(id))[0].bytes == before);
    for form in FORMS {
        let machine = Machine::new(&history, form);
        machine.gives(&["vm", "--checkpoint", "X"], Some(id), "web01");
        assert!(std::fs::read(machine.bench.path("out/m.raw")).unwrap() == before);
        machine.gives(&["vm", "--checkpoint", "@current"], None, "web01");
        assert!(std::fs::read(machine.bench.path("out/m.raw")).unwrap() == after);
    }
}

#[test]
fn a_branch_after_an_applied_checkpoint_gives_both_lines() {
    let (mut history, [_, second, third]) = linear();
    let end = history.checkpoint("End of the line");
    history.apply(second);
    history.write("web01");
    let branch = history.checkpoint("On the branch");
    history.write("data");
    for form in FORMS {
        let machine = Machine::new(&history, form);
        machine.gives_every_state("vm");
        let of = |name| ["vm", "--checkpoint", name, "--disk", "data"];
        machine.gives(&of("In use"), Some(third), "data");
        machine.gives(&of("End of the line"), Some(end), "data");
        machine.gives(&of("On the branch"), Some(branch), "data");
        machine.gives(&of("@latest"), Some(branch), "data");
    }
}

#[test]
fn a_disk_that_was_attached_later_does_not_exist_in_earlier_checkpoints() {
    let (history, [first, second, _]) = linear();
    for form in FORMS {
        let machine = Machine::new(&history, form);
        // Its only disk needs no --disk.
        machine.gives(&["vm", "--checkpoint", "Installed"], Some(first), "web01");
        let args = ["vm", "--checkpoint", "Installed", "--disk", "data", "--out", "out/m.vhdx"];
        machine.bench.run(&args).fails(4).says(&["no disk `data` in that state", "scsi0:0 (web01)"]);
        machine.gives(&["vm", "--checkpoint", "Before update", "--disk", "data"], Some(second), "data");
    }
}

#[test]
fn checkpoints_that_were_deleted_leave_the_others_whole() {
    let (mut history, [first, second, _]) = linear();
    history.delete(second);
    for form in FORMS {
        let machine = Machine::new(&history, form);
        machine.gives_every_state("vm");
        machine.gives(&["vm", "--checkpoint", "#1"], Some(first), "web01");
        let args = ["vm", "--checkpoint", "Before update", "--out", "out/m.vhdx"];
        machine.bench.run(&args).fails(4).says(&["no checkpoint `Before update`", "`Installed`", "`In use`"]);
    }
}

#[test]
fn the_newest_the_current_and_numbered_checkpoints_have_short_names() {
    let (history, [first, second, third]) = linear();
    for form in FORMS {
        let machine = Machine::new(&history, form);
        let of = |name| ["vm", "--disk", "web01", "--checkpoint", name];
        machine.gives(&of("@current"), None, "web01");
        machine.gives(&of("@CURRENT"), None, "web01");
        machine.gives(&of("@latest"), Some(third), "web01");
        machine.gives(&of("#1"), Some(first), "web01");
        machine.gives(&of("#2"), Some(second), "web01");
        machine.gives(&of("#3"), Some(third), "web01");
        for wrong in ["#0", "#4", "#", "@newest"] {
            let args = ["vm", "--checkpoint", wrong, "--out", "out/m.vhdx"];
            machine.bench.run(&args).fails(4).says(&[&format!("no checkpoint `{wrong}`"), "#3 `In use`"]);
        }
    }
}

#[test]
fn without_checkpoints_the_current_state_is_meant_and_with_them_nothing_is() {
    let mut history = History::new("web01", Generation::One);
    history.attach("web01", Slot::Ide(0, 0));
    for form in FORMS {
        Machine::new(&history, form).gives(&["vm"], None, "web01");
    }
    history.checkpoint("A");
    history.checkpoint("B");
    for form in FORMS {
        let machine = Machine::new(&history, form);
        machine.bench.run(&["vm", "--out", "out/m.vhdx"]).fails(4).says(&[
            "VM `web01` has checkpoints: 3 states to choose from",
            "#1 `A` 2024-01-01T01:00:00Z {",
            "#2 `B` 2024-01-01T02:00:00Z {",
            "@current",
            "`--checkpoint B` or `--checkpoint @current`",
        ]);
    }
}
