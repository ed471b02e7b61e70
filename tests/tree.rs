//! `tree`: which state came from which, as a drawing in several hands.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use vhdx_format::forge::{DirtyLog, make_dirty};

use crate::harness::{A, B, Bench, C, VmFolder, branched, fits_80_columns, has_tool};

#[test]
fn states_are_drawn_under_the_states_they_came_from() {
    let bench = Bench::new();
    let mut folder = branched(&bench);
    folder.checkpoint("Later", 3, &[B]);
    folder.write();
    let expected = format!(
        "\
VM web01  {{00000000-0000-0000-0000-000000000abc}}

o #1  Before update  2024-01-01T01:00:00Z {{00000000-0000-0000-0000-000000000001}}
|   scsi0:0 web01.vhdx
+-* @current
|     scsi0:0 {C}
|
o #2  Before update  2024-01-01T02:00:00Z {{00000000-0000-0000-0000-000000000002}}
|   scsi0:0 {A}
|
o #3  Later  2024-01-01T03:00:00Z
    scsi0:0 {B}

* running state
"
    );
    let tree = bench.run(&["tree", "--ascii", "vm"]).succeeds();
    assert_eq!(tree.text(), expected);
    let boxes = bench.call(&["tree", "vm"]).env("LC_ALL", "de_DE.UTF-8").run().succeeds();
    let translated = expected.replace("+-", "├─").replace('|', "│").replace("o #", "● #");
    assert_eq!(boxes.text(), translated);
    let plain = bench.call(&["tree", "vm"]).env("LC_ALL", "C").env("LANG", "de_DE.UTF-8").run().succeeds();
    assert_eq!(plain.text(), expected);
}

#[test]
fn marks_tell_of_what_needs_attention() {
    let bench = Bench::new();
    let mut folder = branched(&bench);
    let mut dirty = folder.base("data.vhdx").build();
    make_dirty(&mut dirty, &DirtyLog::default());
    bench.save(&folder.disk("data.vhdx"), &dirty);
    folder.current(&[C, "data.vhdx", "gone.vhdx"]);
    folder.write();
    bench.remove(&folder.disk("web01.vhdx"));
    let tree = bench.run(&["tree", "--ascii", "vm"]).succeeds();
    for part in [
        "! scsi0:0 web01.vhdx (missing)\n",
        "~ scsi0:1 data.vhdx\n",
        "! scsi0:2 gone.vhdx (missing)\n",
        "its parent is not here\n",
        "\n|   the parent is a guess by time\n",
        &format!("Disk files of no state\n\n? {B}\n    built on {A}\n"),
        "\n* running state   ! missing or mismatched   ? used by no state   ~ dirty log\n",
    ] {
        assert!(tree.text().contains(part), "{part}: {}", tree.text());
    }
    fits_80_columns(tree.text());
}

#[test]
fn without_configurations_the_images_are_the_tree() {
    let bench = Bench::new();
    let folder = branched(&bench);
    folder.base("data.vhdx");
    let expected = format!(
        "\
Disk files (no VM configuration here)

o data.vhdx

o web01.vhdx
+-o {C}
|
o {A}
|
o {B}
"
    );
    assert_eq!(bench.run(&["tree", "--ascii", "vm"]).succeeds().text(), expected);
}

/// Fifty checkpoints in a row are what Hyper-V allows.
#[test]
fn a_long_row_of_checkpoints_stays_within_the_terminal() {
    let bench = Bench::new();
    let mut folder = VmFolder::new(&bench, "vm", "web01", 1);
    let name = |number: usize| format!("web01_{number:08}-1111-2222-3333-444444444444.avhdx");
    let mut image = folder.base(&name(0));
    for number in 1..=50 {
        image = folder.child(&name(number), &image, &name(number - 1));
        folder.checkpoint("web01 - (2/17/2023 - 5:03:06 PM)", number as u128, &[&name(number - 1)]);
    }
    folder.current(&[&name(50)]);
    folder.write();
    let tree = bench.run(&["tree", "--ascii", "vm"]).succeeds();
    assert_eq!(tree.text().matches("\no #").count(), 50, "{}", tree.text());
    assert!(tree.text().lines().all(|line| line.chars().count() <= 80), "{}", tree.text());
}

#[test]
fn copies_of_a_vm_are_told_apart_by_their_place() {
    let bench = Bench::new();
    for place in ["vm/monday", "vm/tuesday"] {
        let mut folder = VmFolder::new(&bench, place, "web01", 1);
        folder.base("web01.vhdx");
        folder.current(&["web01.vhdx"]);
        folder.write();
    }
    let tree = bench.run(&["tree", "--ascii", "vm"]).succeeds();
    for place in ["monday", "tuesday"] {
        let heading = format!("}}\n{place}/Virtual Machines/00000000-");
        assert!(tree.text().contains(&heading), "{}", tree.text());
    }
}

#[test]
fn json_is_the_document_of_list() {
    let bench = Bench::new();
    branched(&bench).write();
    let list = bench.run(&["list", "--json", "vm"]).succeeds().json();
    assert_eq!(bench.run(&["tree", "--json", "vm"]).succeeds().json(), list);
    assert_eq!(bench.run(&["tree", "--format", "json", "vm"]).succeeds().json(), list);
    bench.run(&["tree", "--json", "--format", "dot", "vm"]).fails(2);
}

/// A VM whose names try everything that Mermaid or Graphviz might take for its own.
fn nasty(bench: &Bench) {
    let mut folder = VmFolder::new(bench, "vm", "\"]; end %% {x}", 1);
    folder.base("a&b;#35;.vhdx");
    folder.checkpoint("1. \"quoted\" <b>[x](y)</b>\nend `更新` \\N \\", 2, &["a&b;#35;.vhdx"]);
    folder.current(&["a&b;#35;.vhdx"]);
    folder.write();
}

#[test]
fn names_can_not_break_a_flowchart() {
    let bench = Bench::new();
    nasty(&bench);
    let chart = bench.run(&["tree", "--format", "mermaid", "vm"]).succeeds();
    let mut lines = chart.text().lines();
    assert_eq!(lines.next(), Some("flowchart TD"));
    for line in lines.filter(|line| line.contains('"')) {
        let label = line.split_once('"').unwrap().1.rsplit_once('"').unwrap().0.replace("<br/>", "");
        let bare = label.split('#').enumerate().map(|(part, text)| match part {
            0 => text,
            _ => text.split_once(';').unwrap_or_else(|| panic!("no entity: {line}")).1,
        });
        let bare: String = bare.collect();
        assert!(!bare.contains(['"', '<', '>', '[', ']', '{', '}', '`', '&', ';', '%', '\\']), "{line}");
    }
    assert!(
        chart.text().contains("1#46; #34;quoted#34; #60;b#62;#91;x#93;(y)#60;/b#62;#92;nend #96;更新#96;")
    );
}

#[test]
fn names_can_not_break_a_graph() {
    let bench = Bench::new();
    nasty(&bench);
    let graph = bench.run(&["tree", "--format", "dot", "vm"]).succeeds();
    let labels = graph.text().lines().filter(|line| line.contains("label="));
    assert_eq!(labels.count(), 3, "{}", graph.text());
    if !has_tool("dot", "graphviz") {
        return;
    }
    let mut dot = Command::new("dot")
        .arg("-Tsvg")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    dot.stdin.take().unwrap().write_all(graph.text().as_bytes()).unwrap();
    let drawn = dot.wait_with_output().unwrap();
    let svg = String::from_utf8(drawn.stdout).unwrap();
    assert!(drawn.status.success(), "{}", String::from_utf8_lossy(&drawn.stderr));
    for text in ["&quot;quoted&quot; &lt;b&gt;[x](y)&lt;/b&gt;\\nend `更新` \\N \\<", "a&amp;b;#35;.vhdx"] {
        // Graphviz writes some spaces as entities.
        let svg = svg.replace("&#160;", " ").replace("&#45;", "-");
        assert!(svg.contains(text), "{text}: {svg}");
    }
}

#[test]
fn images_whose_parents_lead_back_to_them_are_all_drawn() {
    let bench = Bench::new();
    let cycle = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/damaged/cycle");
    for entry in fs::read_dir(cycle).unwrap() {
        let path = entry.unwrap().path();
        let bytes = zstd::decode_all(fs::File::open(&path).unwrap()).unwrap();
        bench.write(&format!("vm/{}", path.file_stem().unwrap().to_str().unwrap()), &bytes);
    }
    for args in [&["tree", "--ascii", "vm"][..], &["list", "vm"]] {
        let outcome = bench.run(args).succeeds();
        for part in ["a.avhdx", "b.avhdx", "its parents lead back to it"] {
            assert!(outcome.text().contains(part), "{part}: {}", outcome.text());
        }
    }
}
