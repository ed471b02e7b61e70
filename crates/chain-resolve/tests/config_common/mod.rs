//! What the tests of the binary store share: the smallest store, and what reading one gave.

use chain_resolve::forge::hvs::Container;
use chain_resolve::vm::hvs::{self, Problem, Store};
use chain_resolve::vm::tree::{Node, Value};

pub(crate) fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}

/// `/configuration/properties/name` = "A".
pub(crate) fn minimal() -> Container {
    Container::of(&[
        Node::new("configuration").with([Node::new("properties").with([Node::leaf("name", text("A"))])])
    ])
}

pub(crate) fn name_of(store: &Store) -> Option<&str> {
    store.tree.root.text_at("configuration/properties/name")
}

#[track_caller]
pub(crate) fn clean(bytes: &[u8]) -> Store {
    let store = hvs::read(bytes).expect("a store");
    assert!(store.warnings.is_empty(), "{:?}", store.warnings);
    assert!(store.tree.orphans.is_empty());
    store
}

#[track_caller]
pub(crate) fn problems(store: &Store) -> Vec<Problem> {
    store.warnings.first.iter().map(|warning| warning.problem.clone()).collect()
}
