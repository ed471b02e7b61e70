//! `check`: each kind of finding with its words, its advice and the exit code, and a VM in order that gives none.

use std::fs;

use chain_resolve::forge::vm::Checkpoint;
use chain_resolve::vm::Form;
use chain_resolve::vm::tree::{Node, Value};
use vhdx_format::forge::{DirtyLog, Image, Kind, Locator, make_dirty};
use vhdx_format::writer::Identities;

use crate::harness::{Bench, Confinement, Outcome, Web01, disk, guid, small_base, store, time};

/// Ends with that code, says each of the texts on standard output, and finds exactly these kinds, in this order.
#[track_caller]
fn finds(bench: &Bench, code: i32, kinds: &[&str], texts: &[&str]) -> Outcome {
    let text = bench.run(&["check", "vm"]).ends_with(code);
    // Prose is broken into lines.
    let said = text.text().split_whitespace().collect::<Vec<_>>().join(" ");
    for wanted in texts {
        assert!(said.contains(wanted), "nothing of `{wanted}`:\n{}", text.text());
    }
    let json = bench.run(&["check", "vm", "--json"]).ends_with(code);
    let findings = json.json()["findings"].as_array().unwrap().clone();
    let found: Vec<_> = findings.iter().map(|finding| finding["kind"].as_str().unwrap()).collect();
    assert_eq!(found, kinds, "{}", text.text());
    for finding in &findings {
        for part in ["what", "why", "advice"] {
            let words = finding[part].as_str().unwrap();
            assert!(!words.is_empty() && said.contains(words), "{part}: {words}");
        }
    }
    json
}

#[test]
fn a_vm_in_order_has_no_findings() {
    let web01 = Web01::new();
    let json = finds(&web01.bench, 0, &[], &["1 VM, 2 images: nothing is wrong"]).json();
    assert_eq!(
        json["summary"],
        serde_json::json!({"vms": 1, "images": 2, "errors": 0, "warnings": 0, "notes": 0})
    );
    let one = web01.bench.run(&["check", "vm", "--vm", "WEB01"]).succeeds();
    assert_eq!(one.text(), "1 VM, 2 images: nothing is wrong\n");
    // A file stands for its folder, a configuration for its VM's.
    web01.bench.run(&["check", &web01.configuration()]).succeeds();
    web01.bench.call(&["check"]).from("vm").run().succeeds();
}

#[test]
fn where_nothing_is_nothing_is_called_in_order() {
    Web01::new().bench.run(&["check", "out"]).fails(4).says(&["no VHDX image below"]);
    Web01::new().bench.run(&["check", "nowhere"]).fails(4).says(&["nowhere"]);
    Web01::new().bench.run(&["check", "vm", "--vm", "web02"]).fails(4).says(&["`web02`", "`web01`"]);
}

#[test]
fn a_missing_parent_says_what_it_was_and_which_states_are_lost() {
    let web01 = Web01::new();
    web01
        .bench
        .forge("vm/Virtual Hard Disks/web01_B.avhdx", &Image::child("b", &web01.current, "web01_A.avhdx"));
    web01.bench.remove(Web01::BASE);
    let wanted = format!("it wants a parent with DataWriteGuid {{{}}}", web01.base.ids.data_write);
    let texts = [
        "error: the parent of `Virtual Hard Disks/web01_A.avhdx` is not here",
        &wanted,
        "it was at `C:\\VMs\\web01.vhdx`",
        "lost: the running state (@current) of VM `web01`",
        "lost: what `Virtual Hard Disks/web01_B.avhdx` holds",
        "do: add the parent to the folder, under any name, or point --parent-dir",
        "error: disk scsi0:0 of VM `web01` is not here",
        "lost: checkpoint #1 `Before update` of VM `web01`",
    ];
    let json =
        finds(&web01.bench, 5, &["parent-missing", "disk-missing", "unused-child", "parent-guessed"], &texts);
    let lost = &json.json()["findings"][0]["lost_states"];
    assert_eq!(*lost, serde_json::json!([{"vm": "web01", "checkpoint": "@current"}]));

    // Elsewhere it is found.
    web01.bench.forge("base/renamed.bin", &web01.base);
    let found = web01.bench.run(&["check", "vm", "--parent-dir", "base"]).ends_with(4);
    assert!(!found.text().contains("the parent of"), "{}", found.text());
}

#[test]
fn a_parent_that_was_attached_after_the_checkpoint_is_told_from_another_disk() {
    let mut web01 = Web01::new();
    let was = web01.base.ids;
    web01.base.ids = Identities { data_write: guid(0xC0), ..was };
    web01.put();
    let texts = [
        "error: `Virtual Hard Disks/web01.vhdx` was changed after `Virtual Hard Disks/web01_A.avhdx` was made on it",
        "most likely it was attached read-write",
        "has DataWriteGuid {00000000-0000-0000-0000-0000000000c0}",
        "do: get the parent from a backup that was made before",
    ];
    finds(&web01.bench, 5, &["parent-changed", "parent-guessed"], &texts[..]);

    web01.base.ids = Identities { virtual_disk: guid(0xC1), ..web01.base.ids };
    web01.put();
    let texts = [
        "lies where the parent of `Virtual Hard Disks/web01_A.avhdx` should, but is another disk",
        "do: find the right file, give each VM a folder of its own",
    ];
    finds(&web01.bench, 5, &["parent-other-disk", "disk-missing", "unused-disk", "parent-guessed"], &texts);
}

#[test]
fn a_parent_that_can_not_be_read_is_no_parent_and_is_damaged() {
    let web01 = Web01::new();
    let mut file = web01.base.build();
    file.write(64 << 10, &[0xEE; 4096]);
    file.write(128 << 10, &[0xEE; 4096]);
    web01.bench.save(Web01::BASE, &file);
    let texts = [
        "error: `Virtual Hard Disks/web01.vhdx` is damaged",
        "header 1: expected the signature `head`",
        "lost: checkpoint #1 `Before update`",
        "is probably `Virtual Hard Disks/web01.vhdx`, which can not be read",
        "lost: the running state (@current)",
    ];
    finds(&web01.bench, 6, &["damaged", "parent-unreadable", "parent-guessed"], &texts);
}

#[test]
fn several_possible_parents_are_all_named() {
    let web01 = Web01::new();
    web01.bench.forge("vm/Virtual Hard Disks/copy 1.vhdx", &web01.base);
    web01.bench.forge("vm/Virtual Hard Disks/copy 2.vhdx", &web01.base);
    web01.bench.remove(Web01::BASE);
    let texts = [
        "error: 2 images could be the parent of `Virtual Hard Disks/web01_A.avhdx`",
        "candidate: `Virtual Hard Disks/copy 1.vhdx`",
        "candidate: `Virtual Hard Disks/copy 2.vhdx`",
        "do: keep one of them",
    ];
    let kinds =
        ["parent-ambiguous", "disk-missing", "copies", "unused-disk", "unused-disk", "parent-guessed"];
    finds(&web01.bench, 5, &kinds, &texts);
}

#[test]
fn copies_are_named_and_a_second_name_of_a_file_is_none() {
    let web01 = Web01::new();
    let second = web01.bench.path("vm/Virtual Hard Disks/zzz.vhdx");
    fs::hard_link(web01.bench.path(Web01::BASE), &second).unwrap();
    finds(&web01.bench, 0, &[], &[]);
    fs::remove_file(&second).unwrap();
    fs::copy(web01.bench.path(Web01::BASE), &second).unwrap();
    let texts = [
        "warning: `Virtual Hard Disks/web01.vhdx` and 1 other file say that they are the same image",
        "`Virtual Hard Disks/zzz.vhdx`",
        "do: keep one of them",
        "1 VM, 3 images: 0 errors, 1 warning, 1 note",
    ];
    finds(&web01.bench, 0, &["copies", "unused-disk"], &texts);
}

#[test]
fn a_cycle_is_found_once() {
    let bench = Bench::new();
    let mut a = Image::child("a", &small_base("none"), "b.avhdx");
    let b = Image::child("b", &a, "a.avhdx");
    a.kind = Kind::Differencing(Locator::windows(b.ids.data_write, "b.avhdx"));
    bench.forge("vm/a.avhdx", &a);
    bench.forge("vm/b.avhdx", &b);
    let texts =
        ["error: `a.avhdx` is its own ancestor", "in the cycle: `b.avhdx`", "do: fetch these files again"];
    finds(&bench, 5, &["cycle", "no-configuration"], &texts);
}

#[test]
fn a_block_table_is_judged_and_a_cut_file_is_called_cut() {
    let web01 = Web01::new();
    let mut file = web01.base.build();
    file.set_len(file.len() - (1 << 20));
    web01.bench.save(Web01::BASE, &file);
    let texts = [
        "error: `Virtual Hard Disks/web01.vhdx` is cut off",
        "block allocation table at 0x",
        "expected an offset from",
        "lost: checkpoint #1 `Before update` of VM `web01`",
        "lost: the running state (@current) of VM `web01`",
        "lost: what `Virtual Hard Disks/web01_A.avhdx` holds",
        "do: fetch the file again",
    ];
    finds(&web01.bench, 6, &["truncated"], &texts);
    file.set_len(3 << 20);
    web01.bench.save(Web01::BASE, &file);
    finds(
        &web01.bench,
        6,
        &["truncated", "parent-unreadable", "parent-guessed"],
        &["needs 4194304 bytes, the file has"],
    );
}

#[test]
fn a_file_that_is_no_image_is_not_passed_over() {
    let web01 = Web01::new();
    web01.bench.write("vm/Virtual Hard Disks/data.vhdx", &[0; 5000]);
    let texts = [
        "error: `Virtual Hard Disks/data.vhdx` is called like a VHDX image, but is none",
        "do: fetch the file",
    ];
    finds(&web01.bench, 6, &["not-an-image"], &texts);
    web01.bench.remove("vm/Virtual Hard Disks/data.vhdx");
    web01.bench.write("vm/old.vhd", b"conectix");
    web01.bench.write("vm/web01_A.avhdx.rct", b"change tracking");
    finds(
        &web01.bench,
        0,
        &["other-format"],
        &["note: `old.vhd` is no VHDX and was not looked at", "Convert-VHD"],
    );
}

#[test]
fn a_disk_that_a_configuration_names_is_missed() {
    let mut web01 = Web01::new();
    web01.vm.disks[0] = disk("elsewhere.vhdx");
    web01.put();
    let texts = [
        "error: disk scsi0:0 of VM `web01` is not here",
        "it was at `C:\\VMs\\web01\\Virtual Hard Disks\\elsewhere.vhdx`",
        "do: add the file to the folder",
        "note: no configuration here uses `Virtual Hard Disks/web01_A.avhdx`",
    ];
    finds(&web01.bench, 4, &["disk-missing", "unused-child", "parent-guessed"], &texts);
    web01.vm.disks[0] = disk("old.vhd");
    web01.put();
    finds(
        &web01.bench,
        4,
        &["disk-missing", "unused-child", "parent-guessed"],
        &["do: VHD and VHD sets are not read"],
    );
}

#[test]
fn a_disk_that_could_be_two_files_is_ambiguous() {
    let mut web01 = Web01::new();
    web01.vm.disks.push(chain_resolve::forge::vm::Disk {
        slot: chain_resolve::forge::vm::Slot::Scsi(0, 1),
        path: "D:\\data.vhdx".to_owned(),
    });
    web01.put();
    web01.bench.forge("vm/a/data.vhdx", &small_base("one"));
    web01.bench.forge("vm/b/data.vhdx", &small_base("two"));
    let texts = [
        "error: disk scsi0:1 of VM `web01` could be 2 files",
        "candidate: `a/data.vhdx`",
        "candidate: `b/data.vhdx`",
        "do: keep the right one",
    ];
    finds(&web01.bench, 4, &["disk-ambiguous", "unused-disk", "unused-disk"], &texts);
}

#[test]
fn what_no_configuration_uses_is_left_over() {
    let web01 = Web01::new();
    web01.bench.forge("vm/Virtual Hard Disks/web01_X.avhdx", &Image::child("x", &web01.base, "web01.vhdx"));
    web01.bench.forge("vm/other.vhdx", &small_base("another disk"));
    let texts = [
        "note: no configuration here uses `Virtual Hard Disks/web01_X.avhdx`",
        "a deleted checkpoint left, an abandoned branch",
        "note: no configuration here uses `other.vhdx`",
    ];
    finds(&web01.bench, 0, &["unused-child", "unused-disk"], &texts);
    // The branch is built on the VM's disk; the other disk is nobody's.
    let one = web01.bench.run(&["check", "vm", "--vm", "web01"]).succeeds();
    assert!(one.text().contains("web01_X.avhdx") && !one.text().contains("other.vhdx"), "{}", one.text());
}

#[test]
fn a_dirty_log_is_a_note() {
    let web01 = Web01::new();
    let mut file = web01.current.build();
    let sectors = web01.current.metadata_sectors(&file);
    make_dirty(&mut file, &DirtyLog { sectors, ..DirtyLog::default() });
    web01.bench.save(Web01::CURRENT, &file);
    let texts = [
        "note: `Virtual Hard Disks/web01_A.avhdx` was not closed properly",
        "the VM was running, or crashed, when the file was copied",
        "do: nothing",
    ];
    finds(&web01.bench, 0, &["dirty-log"], &texts);
}

#[test]
fn what_a_backup_left_is_told_with_and_without_its_checkpoint() {
    let mut web01 = Web01::new();
    let name = "web01_R-AutoRecovery.avhdx";
    web01
        .bench
        .forge(&format!("vm/Virtual Hard Disks/{name}"), &Image::child("r", &web01.base, "web01.vhdx"));
    let texts = [
        "warning: `Virtual Hard Disks/web01_R-AutoRecovery.avhdx` is left over from a backup",
        "do: never take it",
    ];
    finds(&web01.bench, 0, &["recovery-image"], &texts);
    web01.vm.checkpoints.push(Checkpoint {
        name: "web01 backup".to_owned(),
        id: guid(0x03),
        created: Some(time(3)),
        disks: vec![disk(name)],
    });
    web01.put();
    let texts = [
        "warning: checkpoint #2 `web01 backup` of VM `web01` was made by backup software and never removed",
        "do: exports are right",
    ];
    finds(&web01.bench, 0, &["recovery-checkpoint"], &texts);
}

#[test]
fn a_vm_without_its_own_configuration_keeps_its_checkpoints() {
    let web01 = Web01::new();
    web01.bench.remove(&web01.configuration());
    let texts = [
        "warning: the configuration of VM `",
        "1 checkpoint of it found",
        "do: add the file `Virtual Machines/",
    ];
    finds(&web01.bench, 0, &["configuration-missing", "unused-child"], &texts);
    web01.bench.remove(&web01.checkpoint());
    finds(&web01.bench, 0, &["no-configuration"], &["note: no VM configuration is here", "2 images found"]);
}

#[test]
fn a_damaged_configuration_is_damage() {
    let web01 = Web01::new();
    let whole = fs::read(web01.bench.path(&web01.checkpoint())).unwrap();
    let texts = [
        "error: configuration `Snapshots/00000000-0000-0000-0000-000000000002.vmcx` is damaged",
        "can not be chosen by its name",
        "do: fetch the file again",
    ];
    // Nothing at all, and headers over nothing.
    for kept in [0, 8192] {
        let mut bytes = whole.clone();
        bytes[kept..].fill(0);
        web01.bench.write(&web01.checkpoint(), &bytes);
        finds(&web01.bench, 6, &["damaged-configuration", "checkpoints-missing"], &texts);
    }
    // Whatever else is XML or a store is none of ours.
    web01.put();
    web01.bench.write("vm/notes.xml", b"<html/>");
    web01.bench.write("vm/data.vmcx", &store(&[Node::new("inventory")]));
    finds(&web01.bench, 0, &[], &[]);
}

#[test]
fn what_a_configuration_lost_and_a_pending_merge_are_warnings() {
    let web01 = Web01::new();
    let mut keys = web01.vm.configuration(Form::Store);
    let settings = keys.children.iter_mut().find(|child| child.name == "global_settings").unwrap();
    settings.children[0] = Node::leaf("disk_merge_pending", Value::Bool(true));
    let properties = keys.children.iter_mut().find(|child| child.name == "properties").unwrap();
    for key in &mut properties.children {
        if key.name == "subtype" {
            key.value = Some(Value::Int(9));
        }
    }
    web01.bench.write(&web01.configuration(), &store(&[keys]));
    let texts = [
        "warning: parts of configuration `Virtual Machines/",
        "key `properties/subtype`: expected 0 or 1",
        "do: compare its disks",
        "says that a merge of disks was pending",
        "do: let the merge finish",
    ];
    finds(&web01.bench, 0, &["configuration-faulty", "merge-pending"], &texts);
}

#[test]
fn what_can_not_be_read_leaves_the_check_incomplete() {
    use std::os::unix::fs::PermissionsExt;
    let Some(wrapper) = Confinement::NoPrivilege.wrapper("a file without permissions") else { return };
    let web01 = Web01::new();
    web01.bench.forge("vm/secret/locked.bin", &small_base("locked"));
    let folder = web01.bench.path("vm/secret");
    let mode = |mode| fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
    // Whoever snapshots the sources may be root; the executable is not.
    mode(0o000);
    if fs::read_dir(&folder).is_err() {
        mode(0o755);
        return;
    }
    let found = web01.bench.call(&["check", "vm"]).within(wrapper).run().ends_with(1);
    mode(0o755);
    for text in ["error: `secret` can not be read", "ermission denied", "do:  look at its permissions"] {
        assert!(found.text().contains(text), "{text}: {}", found.text());
    }
}

#[test]
fn a_chain_of_different_sectors_is_impossible() {
    let bench = Bench::new();
    let base = small_base("base");
    let mut child = Image::child("child", &base, "base.vhdx");
    child.geometry = crate::harness::geometry(4 << 20, 4096);
    bench.forge("vm/base.vhdx", &base);
    bench.forge("vm/child.avhdx", &child);
    let texts = [
        "error: `base.vhdx` can not be the parent of `child.avhdx`",
        "its sectors have 512 bytes, those of `child.avhdx` 4096",
        "do: fetch both files again",
    ];
    finds(&bench, 5, &["parent-unfit", "no-configuration"], &texts);
}

/// Names come from anybody.
#[test]
fn names_can_not_steer_the_terminal() {
    let mut web01 = Web01::new();
    web01.vm.name = "evil\u{1b}[2J".to_owned();
    web01.vm.disks[0] = disk("gone\u{7}.vhdx");
    web01.put();
    let text = web01.bench.run(&["check", "vm"]).ends_with(4);
    assert!(text.text().contains("evil\\u{1b}[2J"), "{}", text.text());
    assert!(!text.text().contains(['\u{1b}', '\u{7}']), "{:?}", text.text());
}
