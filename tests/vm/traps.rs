//! Folders that once gave another disk, or another state, than the one asked for: never again without a refusal.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use super::{FORMS, Machine, flattened, gives, linear, put};
use crate::harness::{Bench, Content};
use chain_resolve::forge::history::{History, LeftFile};
use chain_resolve::forge::hvs::{Container, reseal};
use chain_resolve::forge::vm::{Disk, Slot};
use chain_resolve::forge::xml;
use chain_resolve::vm::tree::Node;
use chain_resolve::vm::{Form, Generation};
use uuid::Uuid;

/// A VM with one disk and no checkpoint.
fn lone(name: &str, folder: &str, stem: &str) -> History {
    let mut history = History::new(name, Generation::Two);
    history.attach_in(folder, stem, Slot::Scsi(0, 0));
    history
}

/// One disk, and these checkpoints in a line.
fn line(name: &str, stem: &str, checkpoints: &[&str]) -> History {
    let mut history = History::new(name, Generation::Two);
    history.attach(stem, Slot::Scsi(0, 0));
    for checkpoint in checkpoints {
        history.checkpoint(checkpoint);
        history.write(stem);
    }
    history
}

/// The file with zeros where a reader begins: both headers of a store, the declaration of an XML document.
fn headless(file: &LeftFile) -> LeftFile {
    let mut file = file.clone();
    let zeros = file.content.len().min(0x2000) as usize;
    file.content.write(0, &vec![0; zeros]);
    file
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

/// A format that a file of that name may have.
fn format_of(path: &str) -> &'static str {
    if path.rsplit('.').next() == Some("vhdx") { "vhdx" } else { "raw" }
}

/// Puts a configuration of these keys on the bench.
fn write_configuration(bench: &Bench, path: &str, keys: &Node, form: Form) {
    let bytes = match form {
        Form::Store => Container::of(std::slice::from_ref(keys)).build(),
        Form::Xml => xml::file(keys, xml::Encoding::Utf16Le),
    };
    bench.write(path, &bytes);
}

#[test]
fn a_checkpoint_that_can_not_be_read_may_be_the_newest_or_take_a_number() {
    let (history, [first, second, third]) = linear();
    for form in FORMS {
        let files = history.files(form);
        for lost in [1, 2, 3] {
            let machine = Machine::new(&history, form);
            put(&machine.bench, "vm", &[headless(&files[lost])]);
            for word in ["@latest", "#1", "#2"] {
                let args = ["vm", "--vm", "web01", "--disk", "web01", "--checkpoint", word];
                let refused = machine.bench.run(&[&args[..], &["--out", "out/n.raw"]].concat());
                refused.fails(6).says(&[file_name(&files[lost].path), "cannot be read"]);
            }
            let names = [("Installed", first), ("Before update", second), ("In use", third)];
            for (name, id) in names.into_iter().enumerate().filter(|(at, _)| at + 1 != lost).map(|(_, n)| n) {
                for name in [name, &id.to_string()] {
                    let args = ["vm", "--vm", "web01", "--disk", "web01", "--checkpoint", name];
                    machine.gives(&args, Some(id), "web01");
                }
            }
        }
    }
}

#[test]
fn checkpoints_that_are_counted_and_not_here_leave_no_state_that_goes_without_saying() {
    let history = line("web01", "web01", &["A", "B", "C", "D"]);
    let ids: Vec<Uuid> = history.vm.checkpoints.iter().map(|checkpoint| checkpoint.id).collect();
    for form in FORMS {
        let machine = Machine::new(&history, form);
        let files = history.files(form);
        machine.bench.remove(&format!("vm/{}", files[4].path));
        for word in ["@latest", "#3", "#1"] {
            let args = ["vm", "--checkpoint", word, "--out", "out/n.raw"];
            let counts = "VM `web01` has 4 checkpoints by its own configuration, 3 of them are here";
            machine.bench.run(&args).fails(4).says(&[counts, "#3 `C`"]);
        }
        machine.gives(&["vm", "--checkpoint", "C"], Some(ids[2]), "web01");
        machine.gives(&["vm", "--checkpoint", &ids[0].to_string()], Some(ids[0]), "web01");
        for file in &files[1..4] {
            machine.bench.remove(&format!("vm/{}", file.path));
        }
        let counts = "VM `web01` has 4 checkpoints by its own configuration, 0 of them are here";
        let own = format!("vm/{}", files[0].path);
        for source in ["vm", &own] {
            machine.bench.run(&[source, "--out", "out/n.raw"]).fails(4).says(&[counts, "@current"]);
        }
        machine.gives(&["vm", "--checkpoint", "@current"], None, "web01");
    }
}

#[test]
fn check_finds_checkpoints_that_are_counted_and_not_here() {
    let history = line("web01", "web01", &["A", "B"]);
    for form in FORMS {
        let machine = Machine::new(&history, form);
        let files = history.files(form);
        let of_kind = || {
            let json = machine.bench.run(&["check", "vm", "--json"]).succeeds().json();
            let findings = json["findings"].as_array().unwrap().clone();
            findings.into_iter().find(|finding| finding["kind"] == "checkpoints-missing")
        };
        assert!(of_kind().is_none());
        machine.bench.remove(&format!("vm/{}", files[1].path));
        let finding = of_kind().unwrap();
        assert_eq!(finding["severity"], "warning");
        let what = "VM `web01` has 2 checkpoints by its own configuration, 1 of them here";
        assert_eq!(finding["what"], what);
        assert!(finding["files"][0].as_str().unwrap().ends_with(file_name(&files[0].path)));
        let text = machine.bench.run(&["check", "vm", "--vm", "web01"]).succeeds();
        assert!(text.text().contains(&format!("warning: {what}")), "{}", text.text());
    }
}

#[test]
fn a_vm_whose_configuration_is_damaged_does_not_make_the_other_one_the_only_one() {
    for form in FORMS {
        for checkpoints in [&[][..], &["A"]] {
            let (web, db) = (line("web01", "web01", checkpoints), line("db01", "db01", checkpoints));
            let bench = Bench::new();
            put(&bench, "vm/web01", &web.files(form));
            put(&bench, "vm/db01", &db.files(form));
            let own = headless(&web.files(form)[0]);
            put(&bench, "vm/web01", std::slice::from_ref(&own));
            let damaged = format!("vm/web01/{}", own.path);
            // With a checkpoint that can be read, it is another VM that is there to choose.
            let codes: &[i32] = if checkpoints.is_empty() { &[6] } else { &[4, 6] };
            for args in [&["vm"][..], &["vm", "--checkpoint", "@current"], &["vm", "--checkpoint", "@latest"]]
            {
                bench.run(&[args, &["--out", "out/n.raw"]].concat()).fails_with_one_of(codes);
            }
            if checkpoints.is_empty() {
                bench.run(&["vm", "--out", "out/n.raw"]).fails(6).says(&[file_name(&own.path), "--vm"]);
            }
            for checkpoint in [&[][..], &["--checkpoint", "@current"]] {
                let args = [&[damaged.as_str()][..], checkpoint, &["--out", "out/n.raw"]].concat();
                bench.run(&args).fails(6).says(&[file_name(&own.path)]);
            }
            let args = ["vm", "--vm", "db01", "--checkpoint", "@current"];
            gives(&bench, &args, &db.state(None)[0]);
        }
    }
}

/// A VM whose two disks have one name, and the histories that each of them comes from.
fn two_of_a_name(form: Form, bench: &Bench) -> [History; 2] {
    let make = |name, folder| {
        let mut history = lone(name, folder, "disk");
        history.checkpoint("A");
        history.write("disk");
        history
    };
    let disks = [make("web01", r"C:\fast"), make("other", r"D:\slow")];
    let recorded = |state: &dyn Fn(&History) -> String| -> Vec<Disk> {
        let places = [(Slot::Scsi(0, 0), r"C:\fast"), (Slot::Scsi(0, 1), r"D:\slow")];
        let paths = disks.iter().zip(places);
        paths.map(|(of, (slot, folder))| Disk { slot, path: format!(r"{folder}\{}", state(of)) }).collect()
    };
    let mut vm = disks[0].vm.clone();
    vm.disks = recorded(&|of| of.state(None)[0].file.clone());
    vm.checkpoints[0].disks = recorded(&|of| of.state(Some(of.vm.checkpoints[0].id))[0].file.clone());
    let names: Vec<String> = disks[0].files(form)[..2].iter().map(|file| file.path.clone()).collect();
    write_configuration(bench, &format!("vm/{}", names[0]), &vm.configuration(form), form);
    let keys = vm.checkpoint_configuration(&vm.checkpoints[0], form);
    write_configuration(bench, &format!("vm/{}", names[1]), &keys, form);
    disks
}

#[test]
fn two_slots_never_share_the_one_file_that_is_left_of_their_name() {
    for form in FORMS {
        for left in [0, 1] {
            for (folder, with_children) in [("", true), ("", false), ("fast/", true), ("slow/", false)] {
                let bench = Bench::new();
                let disks = two_of_a_name(form, &bench);
                for (which, history) in disks.iter().enumerate() {
                    for file in &history.files(form)[2..] {
                        let is_base = file_name(&file.path) == "disk.vhdx";
                        if if is_base { which == left } else { with_children } {
                            let path = format!("{folder}{}", file_name(&file.path));
                            put(&bench, "vm", &[LeftFile { path, ..file.clone() }]);
                        }
                    }
                }
                let base = disks[left].state(Some(disks[left].vm.checkpoints[0].id))[0].clone();
                let gave = ["scsi0:0", "scsi0:1"].map(|slot| {
                    let args = ["vm", "--checkpoint", "A", "--disk", slot, "--out"];
                    let out = format!("out/{}.raw", slot.replace(':', "-"));
                    let outcome = bench.run(&[&args[..], &[&out]].concat());
                    let gave = bench.path(&out).exists();
                    if gave {
                        outcome.succeeds();
                        assert!(bench.content(&out) == Content::of(&base.bytes));
                    } else {
                        outcome.fails(4).says(&["is not here"]);
                    }
                    gave
                });
                assert!(!(gave[0] && gave[1]), "{form:?} {left} {folder} {with_children}");
                if with_children {
                    assert!(gave[left] && !gave[1 - left], "{form:?} {left} {folder}");
                }
                let args = ["vm", "--checkpoint", "A", "--out", "out/all/"];
                bench.run(&args).fails(4);
            }
        }
    }
}

/// Every host records its VMs' disks in the same folder.
#[test]
fn another_hosts_disk_at_the_same_path_is_not_this_vms() {
    let folder = r"C:\Users\Public\Documents\Hyper-V\Virtual Hard Disks";
    let make = |name, checkpoint: bool| {
        let mut history = lone(name, folder, "disk");
        if checkpoint {
            history.checkpoint("A");
            history.write("disk");
        }
        history
    };
    for form in FORMS {
        for (has_checkpoint, word) in [(false, "@current"), (true, "A")] {
            let (web, db) = (make("web01", has_checkpoint), make("db01", has_checkpoint));
            let bench = Bench::new();
            put(&bench, "vm/host1", &web.files(form));
            put(&bench, "vm/host2", &db.files(form));
            let args = |name| ["vm", "--vm", name, "--checkpoint", word];
            let state = |history: &History| {
                history.state(history.vm.checkpoints.first().map(|checkpoint| checkpoint.id))[0].clone()
            };
            gives(&bench, &args("web01"), &state(&web));
            gives(&bench, &args("db01"), &state(&db));
            bench.remove("out/m.raw");
            bench.remove("vm/host1/Virtual Hard Disks/disk.vhdx");
            let refused = bench.run(&[&args("web01")[..], &["--out", "out/n.raw"]].concat());
            refused.fails(4).says(&["is not here", &format!(r"{folder}\disk.vhdx")]);
            gives(&bench, &args("db01"), &state(&db));
        }
    }
}

#[test]
fn another_hosts_disk_in_one_flat_folder_is_refuted_by_the_chain() {
    let folder = r"C:\Users\Public\Documents\Hyper-V\Virtual Hard Disks";
    for form in FORMS {
        let [web, db] = ["web01", "db01"].map(|name| {
            let mut history = lone(name, folder, "disk");
            history.checkpoint("A");
            history.write("disk");
            history
        });
        let bench = Bench::new();
        let web_files = web.files(form).into_iter().filter(|file| !file.path.ends_with("/disk.vhdx"));
        put(&bench, "vm", &flattened(&web_files.collect::<Vec<_>>()));
        put(&bench, "vm", &flattened(&db.files(form)));
        let args = |name| ["vm", "--vm", name, "--checkpoint", "A"];
        let refused = bench.run(&[&args("web01")[..], &["--out", "out/n.raw"]].concat());
        refused.fails(4).says(&["is not here"]);
        gives(&bench, &args("db01"), &db.state(Some(db.vm.checkpoints[0].id))[0]);
    }
}

#[test]
fn a_word_that_would_be_ignored_or_names_another_vms_file_is_refused() {
    let (web, db) = (line("web01", "web01", &["A"]), line("db01", "db01", &["B"]));
    for form in FORMS {
        let bench = Bench::new();
        put(&bench, "vm/web01", &web.files(form));
        put(&bench, "vm/db01", &db.files(form));
        let out = ["--out", "out/n.raw"];
        let file = "vm/web01/Virtual Hard Disks/web01.vhdx";
        for (flag, value) in [("--vm", "web01"), ("--vm", "db01"), ("--disk", "web01"), ("--disk", "scsi0:0")]
        {
            bench.run(&[&[file, flag, value], &out[..]].concat()).fails(2).says(&[flag]);
        }
        for state in [db.state(None), db.state(Some(db.vm.checkpoints[0].id))] {
            let name = &state[0].file;
            let args = ["vm", "--vm", "web01", "--checkpoint", name];
            bench.run(&[&args[..], &out].concat()).fails(4).says(&[name]);
            gives(&bench, &["vm", "--vm", "db01", "--checkpoint", name], &state[0]);
            bench.remove("out/m.raw");
        }
    }
}

/// That the files are unchanged is what every run is watched for.
#[test]
fn force_replaces_no_file_of_the_vm() {
    let (history, _) = linear();
    for form in FORMS {
        let machine = Machine::new(&history, form);
        for file in history.files(form) {
            let target = format!("vm/{}", file.path);
            let format = format_of(&target);
            let args = ["vm", "--checkpoint", "Installed", "--format", format, "--force", "--out", &target];
            machine.bench.run(&args).fails(7).says(&[file_name(&target)]);
        }
    }
}

#[test]
fn a_checkpoint_that_is_called_like_a_special_word_makes_the_word_ambiguous() {
    let cases = [
        (["A", "#1"], "#1", [true, true]),
        (["#2", "B"], "#2", [true, true]),
        (["@latest", "B"], "@latest", [true, true]),
        (["@current", "B"], "@current", [true, false]),
        (["A", "@current"], "@current", [false, true]),
    ];
    for form in FORMS {
        for (names, word, meant) in cases {
            let history = line("web01", "web01", &names);
            let machine = Machine::new(&history, form);
            let ids = [0, 1].map(|at| history.vm.checkpoints[at].id);
            let args = ["vm", "--checkpoint", word, "--out", "out/n.raw"];
            let refused = machine.bench.run(&args).fails(4);
            for (id, _) in ids.iter().zip(meant).filter(|(_, meant)| *meant) {
                assert!(refused.stderr.contains(&id.to_string()), "{word}: {}", refused.stderr);
            }
            for id in ids {
                machine.gives(&["vm", "--checkpoint", &id.to_string()], Some(id), "web01");
            }
        }
        // Both meanings are the same checkpoint.
        for (names, word, at) in [(["#1", "B"], "#1", 0), (["A", "@latest"], "@latest", 1)] {
            let history = line("web01", "web01", &names);
            let id = history.vm.checkpoints[at].id;
            Machine::new(&history, form).gives(&["vm", "--checkpoint", word], Some(id), "web01");
        }
    }
}

/// A copy gives files any time: what is built on what is the order.
#[test]
fn file_times_order_no_checkpoints_that_chains_order() {
    let mut history = line("web01", "web01", &["A", "B", "C", "D"]);
    history.vm.created = None;
    for checkpoint in &mut history.vm.checkpoints {
        checkpoint.created = None;
    }
    for form in FORMS {
        let machine = Machine::new(&history, form);
        for (file, age) in history.files(form)[1..5].iter().zip(1..) {
            let file = File::options().write(true).open(machine.bench.path("vm").join(&file.path)).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 - 3600 * age);
            file.set_modified(time).unwrap();
        }
        let ids: Vec<Uuid> = history.vm.checkpoints.iter().map(|checkpoint| checkpoint.id).collect();
        machine.gives(&["vm", "--checkpoint", "@latest"], Some(ids[3]), "web01");
        for (id, number) in ids.iter().zip(1..) {
            machine.gives(&["vm", "--checkpoint", &format!("#{number}")], Some(*id), "web01");
        }
        let json = machine.bench.run(&["list", "vm", "--json"]).succeeds().json();
        let checkpoints = json["vms"][0]["checkpoints"].as_array().unwrap();
        let names: Vec<_> = checkpoints.iter().map(|found| found["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["A", "B", "C", "D"]);
        for (found, number) in checkpoints.iter().zip(1..) {
            assert_eq!(found["number"], number);
            assert!(found["parent"].as_u64().is_none_or(|parent| parent < number));
        }
    }
}

/// One bit makes `disk0.vhdx` the name of another file. XML has no checksum to tell.
#[test]
fn a_recorded_path_with_a_wrong_checksum_leads_to_no_other_disk() {
    let folder = r"C:\VMs\web01\Virtual Hard Disks";
    let web = lone("web01", folder, "disk0");
    let other = lone("other", folder, "disk1");
    let machine = Machine::new(&web, Form::Store);
    put(&machine.bench, "vm", &other.files(Form::Store)[1..]);
    machine.gives(&["vm"], None, "disk0");
    machine.bench.remove("out/m.raw");

    let own = &web.files(Form::Store)[0];
    let mut bytes = own.content.read(0, own.content.len() as usize);
    let name: Vec<u8> = "disk0.vhdx".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    bytes[at + 8] ^= 1;
    let path = format!("vm/{}", own.path);
    machine.bench.write(&path, &bytes);
    machine.bench.run(&["vm", "--out", "out/n.raw"]).fails_with_one_of(&[4, 6]);
    machine.bench.run(&["vm", "--disk", "scsi0:0", "--out", "out/n.raw"]).fails_with_one_of(&[4, 6]);

    // Sealed again, it is what the configuration says.
    reseal(&mut bytes);
    machine.bench.write(&path, &bytes);
    gives(&machine.bench, &["vm"], &other.state(None)[0]);
}

#[test]
fn a_disk_that_only_its_bare_name_tells_is_exported_with_a_note() {
    let history = lone("web01", r"C:\VMs\web01\Virtual Hard Disks", "disk");
    for form in FORMS {
        let bench = Bench::new();
        let files = history.files(form);
        put(&bench, "vm/web01", &files);
        let args = ["vm", "--force", "--out", "out/m.raw"];
        bench.run(&args).succeeds().says_nothing_of("note: ");
        fs::create_dir(bench.path("vm/elsewhere")).unwrap();
        let home = bench.path("vm/web01/Virtual Hard Disks/disk.vhdx");
        fs::rename(home, bench.path("vm/elsewhere/disk.vhdx")).unwrap();
        bench.run(&args).succeeds().says(&[
            "note: disk scsi0:0 is `",
            "elsewhere/disk.vhdx`, by the end of the recorded path",
            r"`C:\VMs\web01\Virtual Hard Disks\disk.vhdx` alone",
        ]);
        assert_eq!(bench.content("out/m.raw"), Content::of(&history.state(None)[0].bytes));
    }
}

/// The files that are built on a disk file, and the configurations, are the VM's although only that file is read.
#[test]
fn force_replaces_no_file_of_the_vm_when_source_is_one_of_them() {
    let (history, _) = linear();
    for form in FORMS {
        let machine = Machine::new(&history, form);
        let files = history.files(form);
        let base = "vm/Virtual Hard Disks/web01.vhdx";
        for file in &files {
            let target = format!("vm/{}", file.path);
            let args = [base, "--format", format_of(&target), "--force", "--out", &target];
            machine.bench.run(&args).fails(7).says(&[file_name(&target)]);
        }
    }
}
