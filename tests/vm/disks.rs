//! Several disks of one state: by slot, by stem, all of them into a folder, one of them missing.

use std::fs;

use super::{FORMS, Machine, linear};
use crate::harness::Content;
use chain_resolve::forge::history::History;
use chain_resolve::forge::vm::Slot;
use chain_resolve::vm::{Form, Generation};

#[test]
fn a_disk_is_named_by_its_slot_or_its_stem() {
    let mut old = History::new("old", Generation::One);
    old.attach("boot", Slot::Ide(0, 0));
    old.attach("files", Slot::Ide(1, 1));
    old.attach("more", Slot::Scsi(0, 3));
    let id = old.checkpoint("A");
    old.write("files");
    for form in FORMS {
        let machine = Machine::new(&old, form);
        let pairs = [("ide0:0", "boot"), ("IDE1:1", "files"), ("scsi0:3", "more")];
        for (slot, stem) in pairs {
            for name in [slot, stem, &stem.to_uppercase()] {
                machine.gives(&["vm", "--checkpoint", "A", "--disk", name], Some(id), stem);
                machine.gives(&["vm", "--checkpoint", "@current", "--disk", name], None, stem);
            }
        }
        let args = ["vm", "--checkpoint", "A", "--disk", "scsi0:0", "--out", "out/m.vhdx"];
        machine.bench.run(&args).fails(4).says(&["no disk `scsi0:0`", "ide0:0 (boot)", "scsi0:3 (more)"]);
    }
}

#[test]
fn several_disks_do_not_fit_into_one_file_or_one_pipe() {
    let (history, _) = linear();
    for form in FORMS {
        let machine = Machine::new(&history, form);
        let texts = ["2 disks to choose from", "scsi0:0 (web01)", "scsi0:1 (data)", "--disk scsi0:0"];
        let args = ["vm", "--checkpoint", "In use", "--out"];
        machine.bench.run(&[&args[..], &["out/m.vhdx"]].concat()).fails(4).says(&texts);
        machine.bench.run(&[&args[..], &["-", "--format", "raw"]].concat()).fails(4).says(&texts);
    }
}

#[test]
fn a_folder_gets_every_disk_under_a_name_that_tells_what_it_is() {
    let (history, [_, second, _]) = linear();
    for form in FORMS {
        let machine = Machine::new(&history, form);
        let args = ["vm", "--checkpoint", "Before update", "--format", "raw", "--out", "out/all/", "--json"];
        let reports = machine.bench.run(&args).succeeds().json();
        let names = [
            "web01_Before update_data.raw",
            "web01_Before update_data.raw.manifest.json",
            "web01_Before update_web01.raw",
            "web01_Before update_web01.raw.manifest.json",
        ];
        assert_eq!(machine.bench.names_in("out/all"), names);
        for disk in history.state(Some(second)) {
            let name = format!("out/all/web01_Before update_{}.raw", disk.stem);
            assert_eq!(machine.bench.content(&name), Content::of(&disk.bytes));
        }
        assert_eq!(reports.as_array().unwrap().len(), 2);
        assert_eq!(reports[0]["slot"], "scsi0:0");
        assert_eq!(reports[1]["checkpoint"], "Before update");
        assert_eq!(reports[1]["vm"], "web01");
    }
}

#[test]
fn two_disks_of_one_stem_get_two_files() {
    let mut history = History::new("web01", Generation::Two);
    history.attach_in(r"C:\VMs\web01\one", "disk", Slot::Scsi(0, 0));
    let first = history.state(None)[0].bytes.clone();
    let mut other = History::new("other", Generation::Two);
    other.attach_in(r"D:\two", "disk", Slot::Scsi(0, 1));
    // One VM with a disk of each.
    let machine = Machine::new(&history, Form::Store);
    let files = other.files(Form::Store);
    super::put(&machine.bench, "vm", &files[1..]);
    let mut vm = history.vm.clone();
    vm.disks = [(Slot::Scsi(0, 0), r"C:\VMs\web01\one\disk.vhdx"), (Slot::Scsi(0, 1), r"D:\two\disk.vhdx")]
        .map(|(slot, path)| chain_resolve::forge::vm::Disk { slot, path: path.to_owned() })
        .to_vec();
    let keys = vm.configuration(Form::Store);
    let store = chain_resolve::forge::hvs::Container::of(&[keys]).build();
    machine.bench.write(&format!("vm/{}", history.files(Form::Store)[0].path), &store);
    let args = ["vm", "--disk", "disk", "--out", "out/m.raw"];
    machine.bench.run(&args).fails(4).says(&["2 disks to choose from", "scsi0:0", "scsi0:1"]);
    let args = ["vm", "--format", "raw", "--out", "out/all/", "--manifest", "none"];
    machine.bench.run(&args).succeeds();
    let names = ["web01_@current_disk.raw", "web01_@current_disk_scsi0_1.raw"];
    assert_eq!(machine.bench.names_in("out/all"), names);
    assert_eq!(machine.bench.content("out/all/web01_@current_disk.raw"), Content::of(&first));
    let second = Content::of(&other.state(None)[0].bytes);
    assert_eq!(machine.bench.content("out/all/web01_@current_disk_scsi0_1.raw"), second);
}

#[test]
fn a_missing_disk_is_named_with_its_recorded_path_and_never_replaced() {
    let (history, [_, second, _]) = linear();
    let file = history.state(Some(second))[1].file.clone();
    for form in FORMS {
        let machine = Machine::new(&history, form);
        fs::remove_file(machine.bench.path("vm/Virtual Hard Disks").join(&file)).unwrap();
        let recorded = format!(r"C:\VMs\web01\Virtual Hard Disks\{file}");
        let texts = ["the file of disk scsi0:1 is not here", &recorded, "hint: "];
        for disk in [&["--disk", "scsi0:1"][..], &[]] {
            let args = [&["vm", "--checkpoint", "Before update", "--out", "out/all/"], disk].concat();
            machine.bench.run(&args).fails(4).says(&texts);
        }
        // The other disk is whole.
        machine.gives(&["vm", "--checkpoint", "Before update", "--disk", "web01"], Some(second), "web01");
        // A later state of the missing disk has no parent.
        let args = ["vm", "--checkpoint", "In use", "--disk", "data", "--out", "out/n.vhdx"];
        machine.bench.run(&args).fails(5).says(&["not found: it wants DataWriteGuid"]);
        // Of two disks, one of which can not be read, not even the other is written.
        let args = ["vm", "--checkpoint", "In use", "--out", "out/all/"];
        machine.bench.run(&args).fails(5);
    }
}

#[test]
fn a_name_that_is_taken_stops_the_run_before_the_first_disk_is_written() {
    let (history, _) = linear();
    let machine = Machine::new(&history, FORMS[0]);
    let taken = "out/all/web01_Before update_data.raw";
    machine.bench.write(taken, b"mine");
    let args = ["vm", "--checkpoint", "Before update", "--format", "raw", "--out", "out/all/"];
    machine.bench.run(&args).fails(7).says(&[taken, "exists"]);
    assert_eq!(fs::read_dir(machine.bench.path("out/all")).unwrap().count(), 1);
    assert_eq!(fs::read(machine.bench.path(taken)).unwrap(), b"mine");
}

/// Whoever closes our output early has seen enough, but still wants all disks.
#[test]
fn a_reader_that_goes_away_keeps_no_disk_from_being_written() {
    let (history, _) = linear();
    let machine = Machine::new(&history, FORMS[0]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let args =
        ["vm", "--checkpoint", "Before update", "--format", "raw", "--out", "out/all/", "--manifest", "none"];
    machine.bench.call(&args).stdout(writer).run().succeeds();
    assert_eq!(machine.bench.names_in("out/all").len(), 2);
}
