//! How the disk and its parents are named: SOURCE, `--checkpoint`, `--parent-dir`, the environment, and files that are
//! no longer where their children say.

use std::fs;

use vhdx_format::forge::{Image, disk_of};

use crate::harness::{Bench, Confinement, Content, chain};

/// A base and a chain of two over it, with a second child of the base: two states to choose from.
struct Branched {
    bench: Bench,
    /// The disks of `base`, `web01_A`, `web01_B` (over A) and `web01_C` (over the base).
    disks: [Content; 4],
}

impl Branched {
    fn new() -> Self {
        let stack = chain("vm");
        let bench = Bench::new();
        let [base, middle, leaf] = &stack[..] else { panic!("a chain of three") };
        let other = Image { ids: vhdx_format::writer::Identities::derive(b"other"), ..middle.clone() };
        let mut other = other;
        other.blocks.remove(&0);
        bench.forge("vm/0.vhdx", base);
        bench.forge("vm/1.vhdx", middle);
        fs::rename(bench.path("vm/1.vhdx"), bench.path("vm/web01_A.avhdx")).unwrap();
        bench.forge("vm/web01_B.avhdx", leaf);
        bench.forge("vm/web01_C.avhdx", &other);
        let disk = |images: &[Image]| Content::of(&disk_of(images));
        let disks = [disk(&stack[..1]), disk(&stack[..2]), disk(&stack), disk(&[base.clone(), other])];
        Self { bench, disks }
    }

    #[track_caller]
    fn gives(&self, args: &[&str], disk: usize) {
        self.bench.run(&[args, &["--force", "--out", "out/m.raw"]].concat()).succeeds();
        assert_eq!(self.bench.content("out/m.raw"), self.disks[disk], "{args:?}");
    }
}

#[test]
fn a_state_is_named_by_its_file_by_its_stem_or_in_another_case() {
    let vm = Branched::new();
    vm.gives(&["vm", "--checkpoint", "web01_B.avhdx"], 2);
    vm.gives(&["vm", "--checkpoint", "web01_B"], 2);
    vm.gives(&["vm", "--checkpoint", "WEB01_b"], 2);
    vm.gives(&["vm", "--checkpoint", "web01_C.AVHDX"], 3);
    vm.gives(&["vm", "--checkpoint", "web01_A"], 1);
    vm.gives(&["vm", "--checkpoint", "0"], 0);
    vm.gives(&["vm/web01_C.avhdx"], 3);
    // A file as SOURCE names its folder.
    vm.gives(&["vm/web01_C.avhdx", "--checkpoint", "web01_A"], 1);
}

#[test]
fn several_states_are_listed_with_two_likely_commands() {
    let vm = Branched::new();
    let texts = [
        "2 states to choose from",
        "vm/web01_B.avhdx",
        "vm/web01_C.avhdx",
        "hint: ",
        "`--checkpoint web01_B`",
        "`--checkpoint web01_C`",
    ];
    for args in [&["vm", "--out", "out/m.raw"][..], &["info", "vm"], &["map", "--json", "vm"]] {
        vm.bench.run(args).fails(4).says(&texts).says_nothing_of("web01_A");
    }
    vm.bench.run(&["vm", "--checkpoint", "web02", "--out", "out/m.raw"]).fails(4).says(&[
        "no disk file is called `web02`",
        "web01_A.avhdx",
        "0.vhdx",
        "hint: ",
    ]);
}

#[test]
fn a_name_in_two_folders_is_ambiguous() {
    let vm = Branched::new();
    fs::create_dir(vm.bench.path("vm/copy")).unwrap();
    fs::copy(vm.bench.path("vm/web01_C.avhdx"), vm.bench.path("vm/copy/web01_C.avhdx")).unwrap();
    vm.bench.run(&["vm", "--checkpoint", "web01_C", "--out", "out/m.raw"]).fails(4).says(&[
        "`web01_C` names 2 disk files",
        "vm/web01_C.avhdx",
        "copy/web01_C.avhdx",
    ]);
}

#[test]
fn names_that_differ_only_in_case_are_told_apart_and_else_ambiguous() {
    let vm = Branched::new();
    fs::copy(vm.bench.path("vm/web01_A.avhdx"), vm.bench.path("vm/WEB01_c.avhdx")).unwrap();
    vm.gives(&["vm", "--checkpoint", "web01_C"], 3);
    let args = ["vm", "--checkpoint", "Web01_C", "--out", "out/n.raw"];
    vm.bench.run(&args).fails(4).says(&["names 2 disk files"]);
}

#[test]
fn the_source_comes_from_the_arguments_then_the_environment_then_the_current_folder() {
    let vm = Branched::new();
    let (bench, disks) = (&vm.bench, &vm.disks);
    let args = ["--checkpoint", "web01_C", "--force", "--out", "../out/m.raw"];
    bench.call(&args).from("vm").run().succeeds();
    assert_eq!(bench.content("out/m.raw"), disks[3]);
    bench.call(&args).from("vm").env("VHDX_EXPORT_SOURCE", "").run().succeeds();
    bench.call(&args).from("out").run().fails(4).says(&["web01_C"]);
    bench.call(&args).from("out").env("VHDX_EXPORT_SOURCE", bench.path("vm")).run().succeeds();
    assert_eq!(bench.content("out/m.raw"), disks[3]);
    bench
        .call(&[&["../vm/web01_B.avhdx"], &args[2..]].concat())
        .from("out")
        .env("VHDX_EXPORT_SOURCE", bench.path("vm/0.vhdx"))
        .run()
        .succeeds();
    assert_eq!(bench.content("out/m.raw"), disks[2]);
}

#[test]
fn a_folder_with_one_leaf_is_enough() {
    let stack = chain("vm");
    let bench = Bench::with_stack(&stack);
    bench.write("vm/notes.txt", b"kept with the disks");
    bench.call(&["--out", "../out/m.raw"]).from("vm").run().succeeds();
    assert_eq!(bench.content("out/m.raw"), Content::of(&disk_of(&stack)));
}

/// A backup renamed everything and put it elsewhere: names are only hints, identities count.
#[test]
fn moved_and_renamed_parents_are_found_by_identity_and_reported() {
    let stack = chain("vm");
    let disk = Content::of(&disk_of(&stack));
    let bench = Bench::new();
    bench.forge("vm/snapshots/leaf-renamed.bin", &stack[2]);
    bench.forge("vm/disks/middle-renamed.bin", &stack[1]);
    bench.forge("vm/disks/deeper/base-renamed.bin", &stack[0]);
    // Somebody else's image has the name that the child has stored.
    bench.forge("vm/disks/0.vhdx", &crate::harness::small_base("somebody else's"));
    let notes = [
        "note: parent found by identity at `",
        "middle-renamed.bin` (its child says `.\\1.vhdx`)",
        "base-renamed.bin` (its child says `.\\0.vhdx`)",
    ];
    let args = ["vm", "--checkpoint", "leaf-renamed", "--out", "out/m.raw"];
    bench.run(&args).succeeds().says(&notes);
    assert_eq!(bench.content("out/m.raw"), disk);

    // From the leaf's own folder, the others must be named.
    let leaf = "vm/snapshots/leaf-renamed.bin";
    bench.run(&[leaf, "--out", "out/n.raw"]).fails(5).says(&["hint: point --parent-dir"]);
    bench.run(&[leaf, "--parent-dir", "vm/disks", "--out", "out/n.raw"]).succeeds().says(&notes);
    assert_eq!(bench.content("out/n.raw"), disk);
    let report = bench.run(&[leaf, "--parent-dir", "vm/disks", "--out", "out/o.raw", "--json"]);
    let report = report.succeeds().json();
    assert_eq!(report["chain"][1]["found_by"], "identity");
    assert_eq!(report["warnings"].as_array().unwrap().len(), 2);
}

#[test]
fn parent_dirs_may_be_repeated() {
    let stack = chain("vm");
    let bench = Bench::new();
    for (folder, number) in [("a", 0), ("b", 1), ("c", 2)] {
        bench.forge(&format!("vm/{folder}/{number}.vhdx"), &stack[number]);
    }
    let args = ["vm/c/2.vhdx", "--parent-dir", "vm/a", "--parent-dir", "vm/b", "--out", "out/m.raw"];
    bench.run(&args).succeeds();
    assert_eq!(bench.content("out/m.raw"), Content::of(&disk_of(&stack)));
}

#[test]
fn stored_names_are_found_in_another_case_without_a_note() {
    let stack = chain("vm");
    let bench = Bench::with_stack(&stack);
    fs::rename(bench.path("vm/0.vhdx"), bench.path("vm/0.VHDX")).unwrap();
    bench.run(&["vm/2.vhdx", "--out", "out/m.raw"]).succeeds().says_nothing_of("note:");
    assert_eq!(bench.content("out/m.raw"), Content::of(&disk_of(&stack)));
}

/// The parents lie beside the file, not beside the link.
#[test]
fn a_link_leads_to_the_folder_of_the_file() {
    let stack = chain("vm");
    let bench = Bench::with_stack(&stack);
    bench.link("vm/shortcuts/current.vhdx", "../2.vhdx");
    bench.link("shortcut", "vm");
    for source in ["vm/shortcuts/current.vhdx", "shortcut/2.vhdx"] {
        bench.run(&[source, "--out", "out/m.raw", "--force"]).succeeds();
        assert_eq!(bench.content("out/m.raw"), Content::of(&disk_of(&stack)), "{source}");
    }
}

#[test]
fn sources_in_a_read_only_folder_are_enough() {
    use std::os::unix::fs::PermissionsExt;
    let Some(wrapper) = Confinement::NoPrivilege.wrapper("a read-only folder") else { return };
    let stack = chain("vm");
    let bench = Bench::with_stack(&stack);
    let set_mode = |name: &str, mode| {
        fs::set_permissions(bench.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    for name in ["vm/0.vhdx", "vm/1.vhdx", "vm/2.vhdx"] {
        set_mode(name, 0o444);
    }
    set_mode("vm", 0o555);
    for args in [&["vm", "--out", "out/m.raw"][..], &["info", "--chain", "vm"], &["map", "vm"]] {
        bench.call(args).within(wrapper).run().succeeds();
    }
    assert_eq!(bench.content("out/m.raw"), Content::of(&disk_of(&stack)));
    set_mode("vm", 0o755);
}

#[test]
fn sources_on_a_read_only_file_system_are_enough() {
    let Some(wrapper) = Confinement::OwnMounts.wrapper("a read-only file system") else { return };
    let stack = chain("vm");
    let bench = Bench::with_stack(&stack);
    let script = "mount --bind vm vm && mount -o remount,bind,ro vm && ! touch vm/x 2>&- && exec \"$@\"";
    let wrapper = [wrapper, &["sh", "-c", script, "sh"]].concat();
    bench.call(&["vm", "--out", "out/m.raw"]).within(&wrapper).run().succeeds();
    assert_eq!(bench.content("out/m.raw"), Content::of(&disk_of(&stack)));
}
