//! Where the files are: moved, flattened, spread, in another letter case, partly gone, beside those of other VMs.

use std::fs;

use super::{FORMS, Machine, flattened, gives, linear, put};
use crate::harness::Bench;
use chain_resolve::forge::history::{History, LeftFile};
use chain_resolve::forge::vm::Slot;
use chain_resolve::vm::{Form, Generation};

/// A VM with one disk and one checkpoint.
fn small(name: &str, stem: &str) -> History {
    let mut history = History::new(name, Generation::Two);
    history.attach(stem, Slot::Scsi(0, 0));
    history.checkpoint("A");
    history.write(stem);
    history
}

#[test]
fn a_moved_and_flattened_backup_gives_every_state() {
    for form in FORMS {
        for (names_vm, lists) in [(true, false), (false, true), (false, false)] {
            let (mut history, _) = linear();
            history.vm.guesses.checkpoint_names_vm = names_vm;
            history.vm.guesses.vm_lists_checkpoints = lists;
            if !names_vm {
                history.vm.guesses.checkpoint_type = "Virtual Machines".to_owned();
            }
            let machine = Machine { bench: Bench::new(), history };
            put(&machine.bench, "vm", &flattened(&machine.history.files(form)));
            machine.gives_every_state("vm");
        }
    }
}

/// The type that a checkpoint's configuration has was never seen: nothing may hang on it.
#[test]
fn nothing_hangs_on_keys_that_were_never_seen_in_a_checkpoint() {
    for form in FORMS {
        for kind in ["Snapshots", "Virtual Machines", "", "something else"] {
            let (mut history, _) = linear();
            history.vm.guesses.checkpoint_type = kind.to_owned();
            history.vm.guesses.checkpoint_names_vm = false;
            Machine::new(&history, form).gives_every_state("vm");
        }
    }
}

/// Only files that no configuration names by themselves can have another name: parents are found by identity.
#[test]
fn renamed_parents_in_a_flattened_backup_are_found_by_identity() {
    let (mut history, [first, second, _]) = linear();
    history.delete(first);
    let base = history.state(Some(first))[0].file.clone();
    for form in FORMS {
        let mut files = flattened(&history.files(form));
        for file in files.iter_mut().filter(|file| file.path == base) {
            "restored (2).bin".clone_into(&mut file.path);
        }
        let machine = Machine { bench: Bench::new(), history: history.clone() };
        put(&machine.bench, "vm", &files);
        let slot = |checkpoint| ["vm", "--checkpoint", checkpoint, "--disk", "scsi0:0"];
        machine.gives(&slot("Before update"), Some(second), "web01");
        machine.gives(&slot("@current"), None, "web01");
    }
}

#[test]
fn disks_in_several_folders_and_another_letter_case_are_found() {
    let mut history = History::new("web01", Generation::Two);
    history.attach_in(r"\\server\share\VMs\Fast Disks", "web01", Slot::Scsi(0, 0));
    history.attach_in(r"C:\ClusterStorage\Volume1\Slow Disks", "data", Slot::Scsi(0, 1));
    history.attach_in(r"\\?\Volume{c0ffee00-1111-2222-3333-444455556666}\Third", "more", Slot::Scsi(0, 2));
    history.checkpoint("A");
    history.write("data");
    for form in FORMS {
        Machine::new(&history, form).gives_every_state("vm");
        let other_case = |file: LeftFile| match file.path.rsplit_once('/') {
            Some((folder, name)) if folder.ends_with("Disks") => {
                LeftFile { path: format!("{}/{}", folder.to_lowercase(), name.to_uppercase()), ..file }
            }
            _ => LeftFile { path: file.path.to_lowercase(), ..file },
        };
        let files: Vec<LeftFile> = history.files(form).into_iter().map(other_case).collect();
        let machine = Machine { bench: Bench::new(), history: history.clone() };
        put(&machine.bench, "vm", &files);
        machine.gives_every_state("vm");
    }
}

#[test]
fn a_configuration_as_source_means_its_vm_or_its_checkpoint() {
    let (history, [_, second, _]) = linear();
    let other = small("db01", "db01");
    for form in FORMS {
        let machine = Machine::new(&history, form);
        let files = history.files(form);
        let of_checkpoint = format!("vm/{}", files[2].path);
        let own = format!("vm/{}", files[0].path);
        machine.gives(&[&of_checkpoint, "--disk", "data"], Some(second), "data");
        machine.gives(&[&own, "--disk", "data", "--checkpoint", "Before update"], Some(second), "data");
        let args = [&own, "--disk", "data", "--out", "out/n.vhdx"];
        machine.bench.run(&args).fails(4).says(&["has checkpoints", "#2 `Before update`", "@current"]);
        // It says which VM is meant where there are several.
        put(&machine.bench, "vm", &flattened(&other.files(form)));
        machine.gives(&[&own, "--disk", "data", "--checkpoint", "@current"], None, "data");
        machine.gives(&[&of_checkpoint, "--disk", "data"], Some(second), "data");
    }
}

#[test]
fn without_the_vms_configuration_checkpoints_are_still_there_and_the_current_state_is_not_guessed() {
    let (history, [_, second, _]) = linear();
    for form in FORMS {
        let machine = Machine::new(&history, form);
        machine.bench.remove(&format!("vm/{}", history.files(form)[0].path));
        let args = ["vm", "--checkpoint", "Before update", "--disk", "data"];
        machine.gives(&args, Some(second), "data");
        let args = ["vm", "--checkpoint", "@current", "--out", "out/n.vhdx"];
        machine.bench.run(&args).fails(4).says(&["configuration is missing", "hint: "]);
        machine.bench.run(&["vm", "--out", "out/n.vhdx"]).fails(4).says(&["3 states to choose from"]);
    }
}

#[test]
fn without_a_checkpoints_configuration_its_disk_file_still_names_its_state() {
    let (history, [first, second, third]) = linear();
    let state = &history.state(Some(second))[0];
    for form in FORMS {
        let machine = Machine::new(&history, form);
        machine.bench.remove(&format!("vm/{}", history.files(form)[2].path));
        let args = ["vm", "--checkpoint", "Before update", "--out", "out/n.vhdx"];
        machine.bench.run(&args).fails(4).says(&["no checkpoint `Before update`"]);
        gives(&machine.bench, &["vm", "--checkpoint", &state.file], state);
        let disk = |checkpoint| ["vm", "--checkpoint", checkpoint, "--disk", "web01"];
        machine.gives(&disk("Installed"), Some(first), "web01");
        machine.gives(&disk("In use"), Some(third), "web01");
        machine.gives(&disk("@current"), None, "web01");
    }
}

#[test]
fn without_any_configuration_states_are_named_by_their_files() {
    let (history, [first, second, third]) = linear();
    let bench = Bench::new();
    let files = history.files(Form::Store);
    put(&bench, "vm", &flattened(&files[4..]));
    for checkpoint in [Some(first), Some(second), Some(third), None] {
        for disk in history.state(checkpoint) {
            gives(&bench, &["vm", "--checkpoint", &disk.file], &disk);
        }
    }
    let last = &history.state(None)[1];
    gives(&bench, &["vm", "--disk", "data"], last);
    bench.run(&["vm", "--out", "out/n.vhdx"]).fails(4).says(&["2 states to choose from"]);
}

/// A backup leaves a child that the VM never writes to again.
#[test]
fn leftover_recovery_disks_change_no_state() {
    for form in FORMS {
        let (history, _) = linear();
        let machine = Machine::new(&history, form);
        let parent = &history.state(None)[0].file;
        let leftover = {
            let mut late = history.clone();
            late.checkpoint("late");
            late.write("web01");
            late.files(form).into_iter().find(|file| file.path.ends_with(&late.state(None)[0].file)).unwrap()
        };
        let stem = parent.trim_end_matches(".avhdx");
        let name = format!("vm/Virtual Hard Disks/{stem}-AutoRecovery.avhdx");
        machine.bench.save(&name, &leftover.content);
        machine.gives_every_state("vm");
    }
}

#[test]
fn two_vms_that_share_one_snapshots_folder_keep_their_own_checkpoints() {
    let (web, db) = (small("web01", "web01"), small("db01", "db01"));
    for form in FORMS {
        for names_vm in [true, false] {
            let machine = Machine { bench: Bench::new(), history: web.clone() };
            for history in [&web, &db] {
                let mut history = history.clone();
                history.vm.guesses.checkpoint_names_vm = names_vm;
                let into = |file: LeftFile| {
                    let shared = file.path.starts_with("Snapshots/");
                    let name = &history.vm.name;
                    let path = if shared { file.path } else { format!("{name}/{}", file.path) };
                    LeftFile { path, ..file }
                };
                put(&machine.bench, "vm", &history.files(form).into_iter().map(into).collect::<Vec<_>>());
            }
            for history in [&web, &db] {
                let (name, id) = (&history.vm.name, history.vm.checkpoints[0].id);
                let args = ["vm", "--vm", name, "--checkpoint", "A"];
                gives(&machine.bench, &args, &history.state(Some(id))[0]);
                let args = ["vm", "--vm", name, "--checkpoint", "@current"];
                gives(&machine.bench, &args, &history.state(None)[0]);
            }
        }
    }
}

/// The classic mistake: every VM has a `disk.vhdx`, and one of them is missing.
#[test]
fn a_disk_of_the_same_name_that_belongs_to_another_vm_is_never_used() {
    let (web, db) = (small("web01", "disk"), small("db01", "disk"));
    for form in FORMS {
        let bench = Bench::new();
        put(&bench, "vm/web01", &web.files(form));
        put(&bench, "vm/db01", &db.files(form));
        let args = |name, checkpoint| ["vm", "--vm", name, "--checkpoint", checkpoint];
        for history in [&web, &db] {
            let id = history.vm.checkpoints[0].id;
            gives(&bench, &args(&history.vm.name, "A"), &history.state(Some(id))[0]);
            gives(&bench, &args(&history.vm.name, "@current"), &history.state(None)[0]);
        }
        bench.remove("vm/web01/Virtual Hard Disks/disk.vhdx");
        let refused = bench.run(&[&args("web01", "A")[..], &["--out", "out/n.vhdx"]].concat());
        refused.fails(4).says(&[r"C:\VMs\web01\Virtual Hard Disks\disk.vhdx"]);
        gives(&bench, &args("db01", "A"), &db.state(Some(db.vm.checkpoints[0].id))[0]);
    }
}

/// Flattening has left one `disk.vhdx` for two VMs: its children tell whose it is, and without them nobody does.
#[test]
fn one_disk_that_two_vms_record_belongs_to_the_one_that_is_built_on_it() {
    let (web, db) = (small("web01", "disk"), small("db01", "disk"));
    for form in FORMS {
        let bench = Bench::new();
        let is_base = |file: &LeftFile| file.path.ends_with("/disk.vhdx");
        let web_files: Vec<_> = web.files(form).into_iter().filter(|file| !is_base(file)).collect();
        let db_files = flattened(&db.files(form));
        put(&bench, "vm", &flattened(&web_files));
        put(&bench, "vm", &db_files);
        let args = |name| ["vm", "--vm", name, "--checkpoint", "A"];
        gives(&bench, &args("db01"), &db.state(Some(db.vm.checkpoints[0].id))[0]);
        let out = ["--out", "out/n.vhdx"];
        bench.run(&[&args("web01")[..], &out].concat()).fails(4).says(&["is not here", r"web01\Virtual"]);
        // The other VM's configuration gone, its disk still is not this one's.
        for file in &db_files[..2] {
            bench.remove(&format!("vm/{}", file.path));
        }
        bench.run(&[&args("web01")[..], &out].concat()).fails(4).says(&["is not here"]);
        put(&bench, "vm", &db_files);
        for (file, history) in [(&web_files[2], &web), (&db_files[3], &db)] {
            assert!(file.path.ends_with(&history.state(None)[0].file));
            let (_, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
            bench.remove(&format!("vm/{name}"));
        }
        for name in ["web01", "db01"] {
            bench.run(&[&args(name)[..], &out].concat()).fails(4).says(&["is not here"]);
        }
    }
}

/// The VM's own disk was put into a folder, and one of the same name, of nobody here, lies nearer.
#[test]
fn the_chain_counts_more_than_the_nearest_disk_of_the_name() {
    let (web, db) = (small("web01", "disk"), small("db01", "disk"));
    for form in FORMS {
        let machine = Machine { bench: Bench::new(), history: web.clone() };
        let place = |file: LeftFile| match file.path.as_str() {
            "disk.vhdx" => LeftFile { path: "restored/disk.vhdx".to_owned(), ..file },
            _ => file,
        };
        let files: Vec<LeftFile> = flattened(&web.files(form)).into_iter().map(place).collect();
        put(&machine.bench, "vm", &files);
        let other = flattened(&db.files(form)).into_iter().find(|file| file.path == "disk.vhdx");
        put(&machine.bench, "vm", &[other.unwrap()]);
        machine.gives(&["vm", "--checkpoint", "A"], Some(web.vm.checkpoints[0].id), "disk");
        machine.gives(&["vm", "--checkpoint", "@current"], None, "disk");
    }
}

/// A disk that two VMs record by the same path is one that they share.
#[test]
fn a_disk_that_vms_share_is_both_of_theirs() {
    let mut template = History::new("template", Generation::Two);
    template.attach_in(r"D:\Templates", "base", Slot::Scsi(0, 0));
    let mut copy = template.clone();
    copy.vm.id = uuid::Uuid::from_u128(77);
    copy.vm.name = "clone".to_owned();
    for form in FORMS {
        let bench = Bench::new();
        put(&bench, "vm", &template.files(form));
        put(&bench, "vm", &copy.files(form)[..1]);
        for name in ["template", "clone"] {
            gives(&bench, &["vm", "--vm", name], &template.state(None)[0]);
        }
    }
}

/// The same, flattened: nothing is left that tells whose disk it is but the chain.
#[test]
fn of_two_copies_of_a_name_in_one_backup_the_chain_decides_or_nobody() {
    let (web, db) = (small("web01", "disk"), small("db01", "disk"));
    for form in FORMS {
        let bench = Bench::new();
        let in_folder = |history: &History, folder: &str| -> Vec<LeftFile> {
            let base = |file: &LeftFile| file.path.ends_with("/disk.vhdx");
            let (bases, rest): (Vec<_>, Vec<_>) = history.files(form).into_iter().partition(base);
            put(&bench, &format!("vm/{folder}"), &flattened(&bases));
            rest
        };
        let (web_rest, db_rest) = (in_folder(&web, "1"), in_folder(&db, "2"));
        put(&bench, "vm", &flattened(&web_rest));
        put(&bench, "vm", &flattened(&db_rest));
        for history in [&web, &db] {
            let id = history.vm.checkpoints[0].id;
            let args = ["vm", "--vm", &history.vm.name, "--checkpoint", "A"];
            gives(&bench, &args, &history.state(Some(id))[0]);
        }
        // Without its children nothing tells.
        for file in web_rest.iter().chain(&db_rest).filter(|file| file.path.contains("disk_")) {
            let (_, name) = file.path.rsplit_once('/').unwrap();
            bench.remove(&format!("vm/{name}"));
        }
        let args = ["vm", "--vm", "web01", "--checkpoint", "A", "--out", "out/n.vhdx"];
        bench.run(&args).fails(4).says(&[
            "2 files fit the recorded path",
            "vm/1/disk.vhdx",
            "vm/2/disk.vhdx",
        ]);
    }
}

#[test]
fn two_copies_of_a_vm_must_be_told_apart_by_folder() {
    let history = small("web01", "web01");
    for form in FORMS {
        let bench = Bench::new();
        for copy in ["monday", "tuesday"] {
            put(&bench, &format!("vm/{copy}"), &history.files(form));
        }
        let args = ["vm", "--checkpoint", "A", "--out", "out/n.vhdx"];
        bench.run(&args).fails(4).says(&[
            "2 VMs to choose from",
            "copies of one VM",
            "vm/monday",
            "vm/tuesday",
        ]);
        let id = history.vm.checkpoints[0].id;
        gives(&bench, &["vm/tuesday", "--checkpoint", "A"], &history.state(Some(id))[0]);
    }
}

#[test]
fn configurations_of_the_host_beside_the_vms_are_passed_over() {
    let history = small("web01", "web01");
    for form in FORMS {
        let machine = Machine::new(&history, form);
        machine.bench.write("vm/notes.xml", b"<?xml version=\"1.0\"?><notes/>");
        machine.bench.write("vm/broken.xml", b"<notes>");
        let own = &history.files(form)[0];
        let (_, name) = own.path.rsplit_once('/').unwrap();
        machine.bench.save(&format!("vm/Virtual Machines Cache/{name}"), &own.content);
        machine.bench.save(&format!("vm/Planned Virtual Machines/{name}"), &own.content);
        machine.gives_every_state("vm");
    }
}

#[test]
fn a_renamed_disk_file_is_missing_and_no_other_takes_its_place() {
    let history = small("web01", "web01");
    let machine = Machine::new(&history, Form::Store);
    let folder = machine.bench.path("vm/Virtual Hard Disks");
    fs::rename(folder.join("web01.vhdx"), folder.join("web01 (1).vhdx")).unwrap();
    let args = ["vm", "--checkpoint", "A", "--out", "out/n.vhdx"];
    machine.bench.run(&args).fails(4).says(&["is not here", r"Virtual Hard Disks\web01.vhdx"]);
    // The running state has its parent by identity.
    machine.gives(&["vm", "--checkpoint", "@current"], None, "web01");
}
