//! The view of a configuration: a VM in both forms and both generations, its disks in their slots, and checkpoints.
//!
//! What is said about VMs agrees with real files. What is said about checkpoints does not: no configuration of one was
//! at hand, so these tests hold the reader to the description of the format only.

use chain_resolve::forge::hvs::Container;
use chain_resolve::forge::vm::{Checkpoint, Disk, IDE, SCSI, Slot, Vm};
use chain_resolve::forge::xml::{self, Encoding};
use chain_resolve::vm::tree::{Node, Value};
use chain_resolve::vm::{
    Configuration, ConfigurationError, ConfigurationWarning, ControllerKind, DiskSlot, Form, Generation,
};
use proptest::prelude::*;
use uuid::Uuid;

/// 2014-11-09 05:34:40 UTC.
const CREATED: u64 = 0x01CF_FBDE_DBB3_788F;

fn disk(slot: Slot, path: &str) -> Disk {
    Disk { slot, path: path.to_owned() }
}

fn vm(generation: Generation, disks: &[Disk]) -> Vm {
    let mut vm = Vm::new("web & <db>", Uuid::from_u128(0xA0), generation);
    vm.created = Some(CREATED);
    vm.disks = disks.to_vec();
    vm
}

fn store(root: &Node) -> Vec<u8> {
    Container::of(std::slice::from_ref(root)).build()
}

#[track_caller]
fn read(bytes: &[u8]) -> Configuration {
    let configuration = Configuration::parse(bytes).expect("a configuration");
    assert_eq!(configuration.warnings, []);
    configuration
}

fn slots(configuration: &Configuration) -> Vec<(ControllerKind, u32, u32, &str)> {
    fn slot(disk: &DiskSlot) -> (ControllerKind, u32, u32, &str) {
        (disk.kind, disk.controller, disk.location, &disk.path)
    }
    configuration.disks.iter().map(slot).collect()
}

#[test]
fn one_vm_is_the_same_in_every_form_and_encoding() {
    for generation in [Generation::One, Generation::Two] {
        let mut vm = vm(generation, &[disk(Slot::Scsi(0, 3), r"D:\a & b.vhdx")]);
        vm.dvds = vec![Slot::Scsi(0, 1)];
        if generation == Generation::One {
            vm.disks.push(disk(Slot::Ide(1, 0), r"\\host\share\ü.avhdx"));
        }
        let mut views = vec![read(&store(&vm.configuration(Form::Store)))];
        for encoding in [Encoding::Utf16Le, Encoding::Utf16Be, Encoding::Utf8, Encoding::Utf8Marked] {
            views.push(read(&xml::file(&vm.configuration(Form::Xml), encoding)));
        }
        for view in &views {
            assert_eq!(view.name.as_deref(), Some("web & <db>"));
            assert_eq!((view.id, view.logical_id), (Some(vm.id), Some(vm.id)));
            assert_eq!(view.type_id.as_deref(), Some("Virtual Machines"));
            assert_eq!(view.generation, Some(generation));
            assert_eq!(view.version.map(|version| version.to_string()).as_deref(), Some("9.0"));
            assert_eq!(view.created.map(|at| at.to_string()).as_deref(), Some("2014-11-09T05:34:40Z"));
            assert_eq!((view.last_state_change, view.notes.as_deref()), (None, None));
            assert_eq!(view.disks, views[0].disks);
            assert!(view.references.is_empty() && view.listed_checkpoints.is_empty());
        }
        let scsi = (ControllerKind::Scsi, 0, 3, r"D:\a & b.vhdx");
        let ide = (ControllerKind::Ide, 1, 0, r"\\host\share\ü.avhdx");
        let expected = if generation == Generation::One { vec![ide, scsi] } else { vec![scsi] };
        assert_eq!(slots(&views[0]), expected);
        assert!(views[0].disks.iter().all(|disk| !disk.detached));
    }
}

/// The tree of the XML form is the tree that was written, whatever the encoding.
#[test]
fn an_xml_file_gives_back_its_tree() {
    let mut root = vm(Generation::One, &[]).configuration(Form::Xml);
    root.children.push(Node::leaf("long", Value::Bytes((0..=255).collect())));
    root.children.extend([1, 2].map(|n| Node::new("metric").with([Node::leaf("n", Value::Int(-n))])));
    let keys = chain_resolve::vm::read_keys(&xml::file(&root, Encoding::Utf16Le)).expect("XML");
    assert_eq!(keys.tree.root.children, [root]);
}

#[test]
fn the_files_look_as_windows_writes_them() {
    let text = xml::text(&vm(Generation::One, &[]).configuration(Form::Xml));
    assert!(text.starts_with(
        "<?xml version=\"1.0\" encoding=\"UTF-16\" standalone=\"yes\"?>\r\n<configuration>\r\n"
    ));
    assert!(text.contains("\r\n    <creation_time type=\"bytes\">j3iz2977zwE=\r\n</creation_time>\r\n"));
    assert!(text.contains("\r\n        <pathname type=\"string\"></pathname>\r\n"));
    assert!(text.ends_with("\r\n</configuration>"));
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
}

#[test]
fn times_that_make_no_sense_are_dropped_with_a_warning() {
    let mut vm = vm(Generation::Two, &[]);
    vm.created = Some(CREATED.swap_bytes());
    let view = Configuration::parse(&store(&vm.configuration(Form::Store))).expect("a configuration");
    assert_eq!(view.created, None);
    assert!(matches!(
        view.warnings[..],
        [ConfigurationWarning::Value { key: "properties/creation_time", .. }]
    ));
    vm.created = None;
    assert_eq!(read(&store(&vm.configuration(Form::Store))).created, None);
}

#[test]
fn scsi_controllers_are_numbered_by_the_manifest_not_by_the_tree() {
    let mut disks = [3, 0, 2].map(|n| disk(Slot::Scsi(n, 5 - n), &format!("{n}.vhdx")));
    let vm = vm(Generation::Two, &disks);
    let mut root = vm.configuration(Form::Store);
    root.children.reverse();
    root.children.iter_mut().filter(|child| child.is_named("manifest")).for_each(|it| it.children.reverse());
    disks.sort_by_key(|disk| disk.path.clone());
    let expected: Vec<_> = [0, 2, 3]
        .iter()
        .zip(&disks)
        .map(|(n, disk)| (ControllerKind::Scsi, *n, 5 - n, disk.path.as_str()))
        .collect();
    let view = read(&store(&root));
    assert_eq!(slots(&view), expected);
    assert_eq!(view.disks[1].instance, vm.scsi_instance(2));
}

/// The line of the manifest that lists a device is taken away.
fn unlist(root: &mut Node, instance: Uuid) {
    let manifest = root.children.iter_mut().find(|child| child.is_named("manifest")).expect("a manifest");
    let is = |line: &Node| {
        line.text_at("instance").is_some_and(|id| id.eq_ignore_ascii_case(&instance.to_string()))
    };
    manifest.children.retain(|line| !is(line));
}

#[test]
fn controllers_that_the_manifest_does_not_list_are_detached_and_last() {
    let vm = vm(Generation::Two, &[disk(Slot::Scsi(0, 0), "old.vhdx"), disk(Slot::Scsi(1, 0), "new.vhdx")]);
    let mut root = vm.configuration(Form::Store);
    unlist(&mut root, vm.scsi_instance(0));
    let (kind, instance) = (Uuid::from_u128(0xDF), Uuid::from_u128(0xDE));
    let line = [("device", kind), ("instance", instance)];
    let line = line.map(|(name, id)| Node::leaf(name, Value::String(id.to_string())));
    root.children.push(Node::new("manifest").with([Node::new("vdev099").with(line)]));
    root.children.push(with_drive(instance, "VHD", "other.vhdx"));
    let view = read(&store(&root));
    let expected = [
        (ControllerKind::Scsi, 0, 0, "new.vhdx"),
        (ControllerKind::Other(Some(kind)), 2, 7, "other.vhdx"),
        (ControllerKind::Scsi, 1, 0, "old.vhdx"),
    ];
    assert_eq!(slots(&view), expected);
    assert_eq!(view.disks.iter().map(|disk| disk.detached).collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn ide_belongs_to_the_vm_listed_or_not() {
    let vm = vm(Generation::One, &[disk(Slot::Ide(0, 1), "a.vhdx")]);
    let mut root = vm.configuration(Form::Store);
    for _ in 0..2 {
        let view = read(&store(&root));
        assert_eq!(slots(&view), [(ControllerKind::Ide, 0, 1, "a.vhdx")]);
        assert_eq!((view.disks[0].instance, view.disks[0].detached), (IDE, false));
        unlist(&mut root, IDE);
    }
}

/// A device node with one drive.
fn with_drive(instance: Uuid, kind: &str, path: &str) -> Node {
    let text = |name, value: &str| Node::leaf(name, Value::String(value.to_owned()));
    let drive = Node::new("Drive7").with([text("pathname", path), text("type", kind)]);
    Node::new(format!("_{instance}_")).with([Node::new("controller2").with([drive])])
}

#[test]
fn only_drives_of_type_vhd_with_a_path_are_disks_on_any_device() {
    let instance = Uuid::from_u128(0xDE);
    let cases = [
        ("VHD", "x.vhdx", 1, 0),
        ("vhd", "x", 1, 0),
        ("VHD", "", 0, 0),
        ("ISO", "x.iso", 0, 0),
        ("PHYS", "x", 0, 1),
    ];
    for (kind, path, disks, warnings) in cases {
        let mut root = vm(Generation::Two, &[]).configuration(Form::Store);
        root.children.push(with_drive(instance, kind, path));
        let view = Configuration::parse(&store(&root)).expect("a configuration");
        assert_eq!((view.disks.len(), view.warnings.len()), (disks, warnings), "{kind} {path}");
        for disk in &view.disks {
            assert_eq!((disk.kind, disk.controller, disk.location), (ControllerKind::Other(None), 2, 7));
            assert!(disk.detached);
        }
    }
}

#[test]
fn two_disks_in_one_slot_are_both_there_with_a_warning() {
    let mut root = vm(Generation::Two, &[]).configuration(Form::Store);
    root.children.extend(["a", "b"].map(|path| with_drive(SCSI, "VHD", path)));
    let view = Configuration::parse(&store(&root)).expect("a configuration");
    assert_eq!(view.disks.len(), 2);
    assert!(matches!(view.warnings[..], [ConfigurationWarning::SlotTwice { location: 7, .. }]));
}

fn with_checkpoint() -> Vm {
    let mut vm = vm(Generation::Two, &[disk(Slot::Scsi(0, 0), "now.avhdx")]);
    let disks = vec![disk(Slot::Scsi(0, 0), "frozen.vhdx"), disk(Slot::Scsi(1, 0), "gone.vhdx")];
    let id = Uuid::from_u128(0xC1);
    vm.checkpoints =
        vec![Checkpoint { name: "before update".to_owned(), id, created: Some(CREATED + 1), disks }];
    vm
}

#[test]
fn a_checkpoint_as_described_but_not_seen_has_its_own_name_time_and_disks() {
    let mut vm = with_checkpoint();
    for (names_vm, kind) in [(true, "Snapshots"), (false, "Something")] {
        vm.guesses.checkpoint_names_vm = names_vm;
        vm.guesses.checkpoint_type = kind.to_owned();
        let checkpoint = &vm.checkpoints[0];
        for form in [Form::Store, Form::Xml] {
            let root = vm.checkpoint_configuration(checkpoint, form);
            let bytes = if form == Form::Store { store(&root) } else { xml::file(&root, Encoding::Utf8) };
            let view = read(&bytes);
            assert_eq!(view.name.as_deref(), Some("before update"));
            assert_eq!(view.id, Some(checkpoint.id));
            assert_eq!(view.logical_id, Some(if names_vm { vm.id } else { checkpoint.id }));
            assert_eq!(view.type_id.as_deref(), Some(kind));
            let expected =
                [(ControllerKind::Scsi, 0, 0, "frozen.vhdx"), (ControllerKind::Scsi, 1, 0, "gone.vhdx")];
            assert_eq!(slots(&view), expected);
        }
    }
}

#[test]
fn guids_in_the_list_of_checkpoints_are_collected_whatever_their_keys() {
    let mut vm = with_checkpoint();
    vm.guesses.vm_lists_checkpoints = true;
    let view = read(&store(&vm.configuration(Form::Store)));
    let ids: Vec<_> = view.listed_checkpoints.iter().map(|reference| reference.id).collect();
    assert_eq!(ids, [vm.checkpoints[0].id]);
    assert_eq!(view.listed_checkpoints[0].path, "/configuration/global_settings/snapshots/list/item1");
    assert!(view.references.is_empty(), "{:?}", view.references);
}

#[test]
fn other_guids_are_references_but_those_of_devices_and_metrics_are_not() {
    let id = Uuid::from_u128(0xC2);
    let leaf = |name: &str| Node::leaf(name, Value::String(format!("Microsoft:{id}")));
    let mut root = vm(Generation::Two, &[]).configuration(Form::Store);
    root.children.extend([
        Node::new("a").with([leaf("parent_id")]),
        Node::new(format!("_{SCSI}_")).with([leaf("x")]),
        Node::new("settings").with([Node::new("metrics").with([leaf("y")])]),
    ]);
    let view = read(&store(&root));
    let found: Vec<_> =
        view.references.iter().map(|reference| (reference.path.as_str(), reference.id)).collect();
    assert_eq!(found, [("/configuration/a/parent_id", id)]);
}

#[test]
fn other_files_of_either_form_are_no_configurations() {
    let inventory = Node::new("Configurations").with([Node::leaf("FormatVersion", Value::Int(2))]);
    let error = Configuration::parse(&store(&inventory)).expect_err("an inventory");
    assert!(matches!(error, ConfigurationError::NotAConfiguration(Form::Store)));
    for text in
        ["<BackupDocument/>", "<configuration><properties><name>x</name></properties></configuration>"]
    {
        let error = Configuration::parse(text.as_bytes()).expect_err(text);
        assert!(matches!(error, ConfigurationError::NotAConfiguration(Form::Xml)), "{text}");
    }
    assert!(Configuration::parse(b"<configuration><manifest/></configuration>").is_ok());
    assert!(matches!(Configuration::parse(b"MZ"), Err(ConfigurationError::Keys(_))));
}

#[test]
fn saved_memory_and_a_pending_merge_are_told() {
    let root = Node::new("configuration").with([
        Node::new("manifest"),
        Node::new("global_settings").with([Node::leaf("disk_merge_pending", Value::Bool(true))]),
    ]);
    let memory = Node::new("savedstate").with([Node::leaf("RamBlock0", Value::Bytes(vec![0; 3]))]);
    let view = read(&Container::of(&[root, memory]).build());
    assert!(view.disk_merge_pending && view.has_saved_memory);
}

/// Trees of any shape, for the writer and the reader of the store.
fn tree() -> impl Strategy<Value = Node> {
    let value = prop_oneof![
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::UInt),
        any::<bool>().prop_map(Value::Bool),
        prop::num::f64::NORMAL.prop_map(Value::Double),
        // Terminators at the end are dropped on purpose.
        "[^\u{0}]{0,40}".prop_map(Value::String),
        prop::collection::vec(any::<u8>(), 0..3000).prop_map(Value::Bytes),
    ];
    let leaf = ("[A-Za-z_]{1,9}", value).prop_map(|(name, value)| Node::leaf(name, value));
    leaf.prop_recursive(5, 80, 8, |inner| {
        ("[A-Za-z_]{1,9}", prop::collection::vec(inner, 0..8))
            .prop_map(|(name, children)| Node::new(name).with(children))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn any_tree_comes_back_from_a_store_wherever_its_entries_lie(
        keys in prop::collection::vec(tree(), 0..4),
        seed in any::<prop::sample::Index>(),
    ) {
        let keys = [keys, vec![Node::new("last")]].concat();
        let mut container = Container::of(&keys);
        let len = container.entries.len();
        container.entries.rotate_left(seed.index(len));
        let store = chain_resolve::vm::hvs::read(&container.build()).expect("a store");
        prop_assert!(store.warnings.is_empty(), "{:?}", store.warnings);
        prop_assert_eq!(store.tree.root.children, keys);
    }
}
