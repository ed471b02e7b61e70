//! `list`: every checkpoint with the file whose state it is and the files that it created, and all else in the folder.

use std::fs;

use serde_json::Value;
use vhdx_format::forge::{DirtyLog, make_dirty};

#[cfg(target_os = "linux")]
use crate::harness::Opened;
use crate::harness::{A, B, Bench, C, VmFolder, branched, fits_80_columns, has_tool, succeeds};

/// Through the names that a person would read, and in the order in which they come.
#[test]
fn a_checkpoint_has_the_file_that_was_frozen_and_those_that_it_created() {
    let bench = Bench::new();
    branched(&bench).write();
    let expected = format!(
        "\
VM web01
  {{00000000-0000-0000-0000-000000000abc}}  generation 2  version 9.0
  Virtual Machines/00000000-0000-0000-0000-000000000ABC.vmcx

  #1  Before update
      2024-01-01T01:00:00Z  {{00000000-0000-0000-0000-000000000001}}
      scsi0:0  state at #1
        Virtual Hard Disks/web01.vhdx
      scsi0:0  created by #1, holds what came after
        Virtual Hard Disks/{A}
        Virtual Hard Disks/{C}

  #2  Before update
      2024-01-01T02:00:00Z  {{00000000-0000-0000-0000-000000000002}}
      after #1  Before update
      scsi0:0  state at #2
        Virtual Hard Disks/{A}
      scsi0:0  created by #2, holds what came after
        Virtual Hard Disks/{B}

  @current  the running state
      after #1  Before update
      scsi0:0  state now
        Virtual Hard Disks/{C}

Disk files that no configuration uses

  Disk web01 (4 MiB)
    built on
      Virtual Hard Disks/{A}
    Virtual Hard Disks/{B}
        leaf: nothing is built on it
        --checkpoint web01_BBBBBBBB-1111-2222-3333-444444444444.avhdx
"
    );
    let list = bench.run(&["list", "vm"]).succeeds();
    assert_eq!(list.text(), expected);
    fits_80_columns(list.text());
    // From inside the folder, by its configuration, and by the VM's name.
    assert_eq!(bench.call(&["list"]).from("vm").run().succeeds().text(), expected);
    let configuration = "vm/Virtual Machines/00000000-0000-0000-0000-000000000ABC.vmcx";
    assert_eq!(bench.run(&["list", configuration]).succeeds().text(), expected);
    assert_eq!(bench.run(&["list", "vm", "--vm", "WEB01"]).succeeds().text(), expected);
}

/// What is listed is what `--checkpoint` then takes: the number, the identity, and the name of a file.
#[test]
fn what_is_listed_can_be_asked_for() {
    let bench = Bench::new();
    branched(&bench).write();
    let list = bench.run(&["list", "--json", "vm"]).succeeds().json();
    let mut asked = 0;
    for checkpoint in list["vms"][0]["checkpoints"].as_array().unwrap() {
        let file = checkpoint["disks"][0]["state_at"].as_str().unwrap();
        let names = [format!("#{}", checkpoint["number"]), checkpoint["id"].as_str().unwrap().to_owned()];
        for name in names {
            let info = bench.run(&["info", "--json", "vm", "--checkpoint", &name]).succeeds().json();
            assert!(info["filename"].as_str().unwrap().ends_with(file), "{name}: {info}");
            asked += 1;
        }
    }
    for image in list["images"].as_array().unwrap() {
        let name = image["checkpoint"].as_str().unwrap();
        let info = bench.run(&["info", "--json", "vm", "--checkpoint", name]).succeeds().json();
        assert!(info["filename"].as_str().unwrap().ends_with(image["filename"].as_str().unwrap()));
        asked += 1;
    }
    assert_eq!(asked, 2 * 2 + 4);
}

#[test]
fn the_document_has_every_state_image_and_link() {
    let bench = Bench::new();
    branched(&bench).write();
    let list = bench.run(&["list", "--json", "vm"]).succeeds().json();
    let vm = &list["vms"][0];
    assert_eq!((&vm["name"], &vm["generation"], &vm["version"]), (&"web01".into(), &2.into(), &"9.0".into()));
    let [first, second] = &vm["checkpoints"].as_array().unwrap()[..] else { panic!("{vm}") };
    assert_eq!((&first["parent"], &second["parent"]), (&Value::Null, &1.into()));
    assert_eq!((&first["kind"], &first["created_source"]), (&"standard".into(), &"configuration".into()));
    let disk = &first["disks"][0];
    assert_eq!(disk["slot"], "scsi0:0");
    assert_eq!(disk["recorded"], r"C:\VMs\Virtual Hard Disks\web01.vhdx");
    assert_eq!((&disk["status"], &disk["broken_at"]), (&"found".into(), &Value::Null));
    let path = |name: &str| Value::from(format!("Virtual Hard Disks/{name}"));
    assert_eq!(disk["created_by_it"], Value::from(vec![path(A), path(C)]));
    assert_eq!((&vm["current"]["parent"], &vm["current"]["parent_guessed"]), (&1.into(), &false.into()));
    let images = list["images"].as_array().unwrap();
    let image = |name: &str| images.iter().find(|image| image["filename"] == path(name)).unwrap();
    assert_eq!(images.len(), 4);
    assert_eq!((&image(A)["parent"], &image(A)["children"]), (&path("web01.vhdx"), &vec![path(B)].into()));
    assert_eq!((&image(A)["used"], &image(B)["used"]), (&true.into(), &false.into()));
    assert_eq!((&image(B)["disk"], &image(B)["log"]["state"]), (&"web01".into(), &"clean".into()));
    assert_eq!((&image(B)["virtual_size"], &image(B)["problem"]), (&(4 << 20).into(), &Value::Null));
    assert_eq!(list["unreadable"], Value::Array(Vec::new()));
}

#[test]
fn missing_and_ambiguous_files_are_shown_with_the_recorded_path() {
    let bench = Bench::new();
    let mut folder = branched(&bench);
    folder.current(&[C, "gone.vhdx", "twice.vhdx"]);
    folder.write();
    for place in ["vm/one/twice.vhdx", "vm/two/twice.vhdx"] {
        fs::create_dir_all(bench.path(place).parent().unwrap()).unwrap();
        fs::copy(bench.path(&folder.disk("web01.vhdx")), bench.path(place)).unwrap();
    }
    let list = bench.run(&["list", "vm"]).succeeds();
    let expected = r"
      scsi0:1  state now
      ! not here; the configuration records
        C:\VMs\Virtual Hard Disks\gone.vhdx
      scsi0:2  state now
      ! 2 files fit what the configuration records
        C:\VMs\Virtual Hard Disks\twice.vhdx
      ? one/twice.vhdx
      ? two/twice.vhdx
";
    assert!(list.text().contains(expected), "{}", list.text());
    fits_80_columns(list.text());
    let json = bench.run(&["list", "--json", "vm"]).succeeds().json();
    let disks = &json["vms"][0]["current"]["disks"];
    assert_eq!((&disks[1]["status"], &disks[1]["state_at"]), (&"missing".into(), &Value::Null));
    assert_eq!(
        (&disks[2]["status"], disks[2]["candidates"].as_array().unwrap().len()),
        (&"ambiguous".into(), 2)
    );
}

/// A state whose own file is here can not be read if something below is not.
#[test]
fn a_broken_chain_is_shown_with_the_place_and_the_reason() {
    let bench = Bench::new();
    let folder = branched(&bench);
    folder.write();
    bench.remove(&folder.disk("web01.vhdx"));
    let text = bench.run(&["list", "vm"]).succeeds();
    let wanted = format!(
        "
      scsi0:0  state at #2
        Virtual Hard Disks/{A}
      ! its parent is not here
        it wants DataWriteGuid {{"
    );
    assert!(text.text().contains(&wanted), "{}", text.text());
    // Another image in its place.
    let other = VmFolder::new(&bench, "other", "other", 9);
    other.base("web01.vhdx");
    fs::rename(bench.path(&other.disk("web01.vhdx")), bench.path(&folder.disk("web01.vhdx"))).unwrap();
    let text = bench.run(&["list", "vm"]).succeeds();
    assert!(text.text().contains("! its parent was changed, or is another file\n"), "{}", text.text());
    fits_80_columns(text.text());
    let json = bench.run(&["list", "--json", "vm"]).succeeds().json();
    assert_eq!(json["vms"][0]["checkpoints"][1]["disks"][0]["broken_at"], format!("Virtual Hard Disks/{A}"));
    let images = json["images"].as_array().unwrap();
    let problems: Vec<_> = images.iter().map(|image| &image["problem"]["kind"]).collect();
    let mismatch = Value::from("parent-mismatch");
    assert_eq!(problems, [&Value::Null, &mismatch, &Value::Null, &mismatch]);
}

#[test]
fn a_dirty_log_is_told() {
    let bench = Bench::new();
    let folder = branched(&bench);
    let image = folder.base("web01.vhdx");
    let mut file = image.build();
    let sectors = image.metadata_sectors(&file);
    make_dirty(&mut file, &DirtyLog { sectors, ..DirtyLog::default() });
    bench.save(&folder.disk("web01.vhdx"), &file);
    folder.write();
    let text = bench.run(&["list", "vm"]).succeeds();
    let expected = "        Virtual Hard Disks/web01.vhdx\n      ~ its log is dirty: ";
    assert!(text.text().contains(expected), "{}", text.text());
    fits_80_columns(text.text());
}

#[test]
fn names_from_configurations_can_not_steer_the_terminal() {
    let bench = Bench::new();
    let mut folder = VmFolder::new(&bench, "vm", "evil\u{1b}[2J", 1);
    folder.base("a.vhdx");
    folder.checkpoint("two\nlines\u{7} \"更新\"", 2, &["a.vhdx"]);
    folder.current(&["\u{1b}]0;gone\u{7}.vhdx"]);
    folder.write();
    for args in [&["list", "vm"][..], &["tree", "vm"], &["tree", "vm", "--format", "mermaid"]] {
        let outcome = bench.run(args).succeeds();
        assert!(outcome.text().contains("evil"), "{}", outcome.text());
        assert!(outcome.text().contains("更新"), "{}", outcome.text());
        assert!(!outcome.text().contains(['\u{1b}', '\u{7}']), "{:?}", outcome.text());
    }
    let json = bench.run(&["list", "--json", "vm"]).succeeds().json();
    assert_eq!(json["vms"][0]["name"], "evil\u{1b}[2J");
    assert_eq!(json["vms"][0]["checkpoints"][0]["name"], "two\nlines\u{7} \"更新\"");
}

#[test]
fn without_configurations_states_are_named_by_their_files() {
    let bench = Bench::new();
    let folder = branched(&bench);
    fs::write(bench.path("vm/notes.txt"), "no image").unwrap();
    // A second disk whose name a shell would take apart.
    folder.base("it's data.vhdx");
    let text = bench.run(&["list", "vm"]).succeeds();
    let expected = format!(
        "\
No VM configuration here: states are named by their disk files.

  Disk it's data (4 MiB)
    Virtual Hard Disks/it's data.vhdx
        leaf: nothing is built on it
        --checkpoint 'it'\\''s data'

  Disk web01 (4 MiB)
    Virtual Hard Disks/web01.vhdx
        frozen: 2 files are built on it
        --checkpoint web01
    Virtual Hard Disks/{A}
        frozen: 1 file is built on it
        --checkpoint web01_AAAAAAAA-1111-2222-3333-444444444444
    Virtual Hard Disks/{B}
        leaf: nothing is built on it
        --checkpoint web01_BBBBBBBB-1111-2222-3333-444444444444
    Virtual Hard Disks/{C}
        leaf: nothing is built on it
        --checkpoint web01_CCCCCCCC-1111-2222-3333-444444444444
"
    );
    assert_eq!(text.text(), expected);
}

#[test]
fn names_that_two_files_have_are_not_offered() {
    let bench = Bench::new();
    let folder = VmFolder::new(&bench, "vm", "x", 1);
    folder.base("a.vhdx");
    folder.base("a.avhdx");
    let names = |bench: &Bench| {
        let json = bench.run(&["list", "--json", "vm"]).succeeds().json();
        json["images"].as_array().unwrap().iter().map(|image| image["checkpoint"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&bench), ["a.avhdx", "a.vhdx"]);
    fs::copy(bench.path(&folder.disk("a.vhdx")), bench.path("vm/a.vhdx")).unwrap();
    assert_eq!(names(&bench), [Value::from("a.avhdx"), Value::Null, Value::Null]);
    let text = bench.run(&["list", "vm"]).succeeds();
    assert!(text.text().contains("give the whole path as SOURCE"), "{}", text.text());
    fits_80_columns(text.text());
}

#[test]
fn one_of_several_vms_is_shown_with_what_is_built_on_its_files() {
    let bench = Bench::new();
    for (name, id) in [("one", 1), ("two", 2)] {
        let mut folder = VmFolder::new(&bench, &format!("vm/{name}"), name, id);
        let file = format!("{name}.vhdx");
        let base = folder.base(&file);
        folder.child(&format!("{name}-left.avhdx"), &base, &file);
        folder.current(&[&file]);
        folder.write();
    }
    let json = bench.run(&["list", "--json", "vm", "--vm", "two"]).succeeds().json();
    let names = |list: &Value, field: &str| -> Vec<String> {
        list.as_array().unwrap().iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&json["vms"], "name"), ["two"]);
    let folder = "two/Virtual Hard Disks";
    let expected = [format!("{folder}/two-left.avhdx"), format!("{folder}/two.vhdx")];
    assert_eq!(names(&json["images"], "filename"), expected);
    let all = bench.run(&["list", "--json", "vm"]).succeeds().json();
    assert_eq!((names(&all["vms"], "name").len(), names(&all["images"], "filename").len()), (2, 4));
    bench.run(&["list", "vm", "--vm", "three"]).fails(4).says(&["no VM is called `three`", "`one`", "`two`"]);
}

#[test]
fn what_can_not_be_read_is_listed_and_nothing_at_all_is_an_error() {
    let bench = Bench::new();
    bench.run(&["list", "vm"]).fails(4).says(&["no VHDX image below"]);
    bench.run(&["tree", "vm"]).fails(4).says(&["no VHDX image below"]);
    bench.run(&["list", "nowhere"]).fails(4);
    let folder = VmFolder::new(&bench, "vm", "x", 1);
    let image = folder.base("a.vhdx").build();
    bench.save("vm/a.vhdx", &image);
    fs::File::options().write(true).open(bench.path("vm/a.vhdx")).unwrap().set_len(70_000).unwrap();
    bench
        .write("vm/Virtual Machines/00000000-0000-0000-0000-000000000001.vmcx", &[0x14, 0x20, 0x28, 0x01, 0]);
    let text = bench.run(&["list", "vm"]).succeeds();
    for part in ["! cannot be read\n", "\nNot readable\n  Virtual Machines/00000000-"] {
        assert!(text.text().contains(part), "{part}: {}", text.text());
    }
    fits_80_columns(text.text());
    let json = bench.run(&["list", "--json", "vm"]).succeeds().json();
    assert_eq!(json["unreadable"].as_array().unwrap().len(), 1);
    assert_eq!(json["images"][1]["problem"]["kind"], "unreadable");
}

/// 200 VMs with 10 images each: everything is answered from one look at each file.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_of_200_vms_opens_each_image_once() {
    let bench = Bench::new();
    for number in 0..200_u128 {
        let name = format!("vm{number:03}");
        let mut folder = VmFolder::new(&bench, &format!("vm/{name}"), &name, number + 1);
        let files: Vec<String> = (0..10).map(|place| format!("{name}_{place}.vhdx")).collect();
        let mut image = folder.base(&files[0]);
        for pair in files.windows(2) {
            image = folder.child(&pair[1], &image, &pair[0]);
        }
        for (place, file) in files[..9].iter().enumerate() {
            folder.checkpoint(&format!("checkpoint {place}"), 1000 + number * 100 + place as u128, &[file]);
        }
        folder.current(&[&files[9]]);
        folder.write();
    }
    let opened = Opened::below(&bench.path("vm"));
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_vhdx-export"))
        .args(["list", "--json", "vm"])
        .current_dir(bench.path(""))
        .output()
        .unwrap();
    let counts = opened.counts();
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    let vms = list["vms"].as_array().unwrap();
    assert_eq!((vms.len(), list["images"].as_array().unwrap().len()), (200, 2000));
    for vm in vms {
        let parents: Vec<_> =
            vm["checkpoints"].as_array().unwrap().iter().map(|found| found["parent"].as_u64()).collect();
        let expected: Vec<_> = (0..9).map(|place| (place > 0).then_some(place)).collect();
        assert_eq!((parents, vm["current"]["parent"].as_u64()), (expected, Some(9)), "{}", vm["name"]);
    }
    let images: Vec<_> = counts.iter().filter(|(name, _)| name.contains('_')).collect();
    assert_eq!(images.len(), 2000);
    let often: Vec<_> = images.iter().filter(|(_, count)| **count != 1).collect();
    assert!(often.is_empty(), "{often:?}");
}

/// Only a shell knows how it takes words apart.
#[test]
fn the_offered_words_are_one_word_to_a_shell() {
    let bench = Bench::new();
    VmFolder::new(&bench, "vm", "x", 1).base("it's $HOME `x`.vhdx");
    let list = bench.run(&["list", "vm"]).succeeds();
    let word = list.text().lines().find_map(|line| line.trim_start().strip_prefix("--checkpoint ")).unwrap();
    if has_tool("sh", "dash") {
        let script = format!("test \"$(printf %s {word})\" = \"it's \\$HOME \\`x\\`\"");
        assert!(succeeds(&["sh", "-c", &script]), "{word}");
    }
}
