//! An edited binary configuration: it is refused with a place, or read within the limits.

use std::sync::OnceLock;

use chain_resolve::forge::hvs::{Change, Container, reseal};
use chain_resolve::forge::vm::{Checkpoint, Disk, Slot, Vm};
use chain_resolve::vm::hvs::{self, Store};
use chain_resolve::vm::tree::{KeyTree, Node, Value};
use chain_resolve::vm::{Configuration, Form, Generation, Keys, has_saved_memory, read_keys};
use limits::configuration::{DEPTH_MAX, ENTRIES_MAX, VALUES_BYTES_MAX};
use uuid::Uuid;

use super::bytes::Choices;

/// Reads bytes as they are, or an edited store whose checksums are right again.
pub fn vmcx(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    match choices.byte() {
        0 => read(choices.rest()),
        1 => {
            let mut bytes = choices.rest().to_vec();
            reseal(&mut bytes);
            read(&bytes);
        }
        which => read(&edited(usize::from(which), &mut choices)),
    }
}

fn edited(which: usize, choices: &mut Choices<'_>) -> Vec<u8> {
    let mut bytes = stores()[which / 2 % stores().len()].clone();
    if choices.byte().is_multiple_of(16) {
        bytes.truncate(choices.below(bytes.len()));
    }
    while !choices.is_empty() {
        let at = choices.below(bytes.len());
        for (to, from) in bytes[at..].iter_mut().zip(choices.patch()) {
            *to = *from;
        }
    }
    if which.is_multiple_of(2) {
        reseal(&mut bytes);
    }
    bytes
}

fn read(bytes: &[u8]) {
    match hvs::read(bytes) {
        Ok(store) => check_store(&store),
        Err(error) => assert!(error.to_string().contains("0x"), "{error}"),
    }
    if let Ok(keys) = read_keys(bytes) {
        view(keys);
    }
}

fn check_store(store: &Store) {
    check_tree(&store.tree);
    assert!(store.tree.key_count() <= ENTRIES_MAX);
    let mut held = 0;
    let roots = store.tree.orphans.iter().chain([&store.tree.root]);
    for (_, node) in roots.flat_map(Node::walk) {
        held += node.value.as_ref().map_or(0, len);
    }
    assert!(held <= VALUES_BYTES_MAX, "{held} bytes of values");
    for warning in &store.warnings.first {
        assert!(warning.to_string().contains("0x"), "{warning}");
    }
}

fn len(value: &Value) -> usize {
    match value {
        Value::Bytes(bytes) => bytes.len(),
        Value::String(text) => text.len(),
        _ => 0,
    }
}

/// No key lies deeper than the limit. The tree's root is no key.
pub(crate) fn check_tree(tree: &KeyTree) {
    let mut level: Vec<&Node> = vec![&tree.root];
    for _ in 0..=DEPTH_MAX {
        level = level.into_iter().flat_map(|node| &node.children).collect();
    }
    assert!(level.is_empty(), "keys below level {DEPTH_MAX}");
}

/// Everything that is shown of a configuration.
pub(crate) fn view(keys: Keys) {
    let form = keys.form;
    let _ = has_saved_memory(&keys.tree);
    let Ok(view) = Configuration::from_keys(keys) else { return };
    assert_eq!(view.form, form);
    assert!(view.listed_checkpoints.len() <= 1024 && view.references.len() <= 1024);
    let _ = format!("{:?} {:?} {:?}", view.disks, view.created, view.version);
    view.warnings.iter().for_each(|warning| drop(warning.to_string()));
}

/// Stores to start from: a VM with all it may have, a checkpoint of it, and one with slack, free space and a log.
fn stores() -> &'static [Vec<u8>] {
    static STORES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    STORES.get_or_init(|| {
        let vm = machine();
        let keys = [vm.configuration(Form::Store)];
        let checkpoint = [vm.checkpoint_configuration(&vm.checkpoints[0], Form::Store)];
        vec![small(), Container::of(&keys).build(), Container::of(&checkpoint).build()]
    })
}

/// A VM with two disks and a checkpoint.
pub(crate) fn machine() -> Vm {
    let disk = |slot, path: &str| Disk { slot, path: path.to_owned() };
    let mut vm = Vm::new("web01", Uuid::from_u128(1), Generation::Two);
    vm.created = Some(0x019D_B1DE_D53E_8000);
    vm.disks = vec![disk(Slot::Scsi(0, 0), r"D:\vm\a.avhdx"), disk(Slot::Scsi(0, 1), r"D:\vm\b.vhdx")];
    vm.checkpoints = vec![Checkpoint {
        name: "before".to_owned(),
        id: Uuid::from_u128(2),
        created: Some(0x019D_B1DE_D53E_9000),
        disks: vec![disk(Slot::Scsi(0, 0), r"D:\vm\a.vhdx")],
    }];
    vm
}

/// One of everything, in few keys.
fn small() -> Vec<u8> {
    let keys = [Node::new("configuration").with([
        Node::new("properties").with([
            Node::leaf("global_id", Value::String(Uuid::from_u128(1).to_string())),
            Node::leaf("version", Value::Int(2304)),
            Node::leaf("u", Value::UInt(7)),
            Node::leaf("d", Value::Double(1.5)),
            Node::leaf("b", Value::Bool(true)),
        ]),
        Node::leaf("big", Value::Bytes(vec![5; 2048])),
    ])];
    let mut container = Container::of(&keys);
    container.entry_mut("version").expect("the key").slack = vec![9; 12];
    container.entry_mut("u").expect("the key").free_behind = Some(22);
    container.log.changes = vec![Change::new(0x3e00, [0; 4]), Change::new(0x3f00, [1; 8])];
    container.log.cut = true;
    container.build()
}
