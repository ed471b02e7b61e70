//! The tree that the entries of all key tables make.
//!
//! An entry names its parent by place, in any table, before or behind it, so all entries are at hand first. The walk
//! from the root keeps its own stack and meets each entry once: cycles are never reached, and end up as orphans like
//! everything whose parent is lost.

use limits::configuration::DEPTH_MAX;
use std::collections::HashMap;

use super::entry::{Entry, Id, ROOT};
use super::error::{Problem, Warnings};
use super::table::Table;
use super::value::Values;
use super::wire::entry_kind;
use crate::vm::tree::{KeyTree, Node};

/// Below this key of the first level lies the guest's saved memory.
const SAVED_STATE: &[u8] = b"savedstate";

/// The whole tree; every readable entry is in it once, but for those that lie too deep.
pub(super) fn tree(file: &[u8], tables: &[Table<'_>], warnings: &mut Warnings) -> KeyTree {
    let entries: Vec<&Entry<'_>> = tables.iter().flat_map(|table| &table.entries).collect();
    report_unverified(&entries, warnings);
    let mut growth = Growth {
        children: children(&entries),
        met: vec![false; entries.len()],
        too_deep: Vec::new(),
        values: Values::new(file),
        entries,
    };
    let mut tree = KeyTree { root: Node::new(""), orphans: Vec::new() };
    for start in growth.children.get(&ROOT).cloned().unwrap_or_default() {
        tree.root.children.extend(growth.grow(start, warnings));
    }
    growth.orphans(&mut tree, warnings);
    if let Some(first) = growth.too_deep.first() {
        warnings.push(*first, Problem::TooDeep(growth.too_deep.len()));
    }
    tree
}

/// All places of children by their parent's, in the order of siblings.
fn children(entries: &[&Entry<'_>]) -> HashMap<Id, Vec<usize>> {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|i| entries.get(*i).map(|entry| (entry.insertion, entry.id)));
    let mut children: HashMap<Id, Vec<usize>> = HashMap::new();
    for i in order {
        if let Some(entry) = entries.get(i) {
            children.entry(entry.parent).or_default().push(i);
        }
    }
    children
}

fn report_unverified(entries: &[&Entry<'_>], warnings: &mut Warnings) {
    let bad = || entries.iter().filter(|entry| entry.checksums.0 != entry.checksums.1);
    if let Some(first) = bad().next() {
        let (expected, found) = first.checksums;
        warnings.push(first.at, Problem::Unverified { count: bad().count(), expected, found });
    }
}

struct Growth<'a> {
    entries: Vec<&'a Entry<'a>>,
    children: HashMap<Id, Vec<usize>>,
    met: Vec<bool>,
    /// Positions of the entries that were left out.
    too_deep: Vec<usize>,
    values: Values<'a>,
}

/// A node that still waits for children.
struct Open<'a> {
    node: Node,
    waiting: std::vec::IntoIter<usize>,
    entry: &'a Entry<'a>,
}

impl<'a> Growth<'a> {
    /// The subtree of one entry; `None` if it was met before.
    fn grow(&mut self, start: usize, warnings: &mut Warnings) -> Option<Node> {
        let first = self.open(start, false, warnings)?;
        let saved_memory = first.entry.parent == ROOT && first.entry.name.eq_ignore_ascii_case(SAVED_STATE);
        let mut path = vec![first];
        loop {
            let depth = path.len();
            let open = path.last_mut()?;
            match open.waiting.next() {
                Some(child) if depth >= DEPTH_MAX => self.leave_out(child),
                Some(child) => path.extend(self.open(child, saved_memory, warnings)),
                None => {
                    let done = path.pop()?.node;
                    match path.last_mut() {
                        Some(parent) => parent.node.children.push(done),
                        None => return Some(done),
                    }
                }
            }
        }
    }

    fn open(&mut self, i: usize, saved_memory: bool, warnings: &mut Warnings) -> Option<Open<'a>> {
        let entry = *self.entries.get(i)?;
        if std::mem::replace(self.met.get_mut(i)?, true) {
            return None;
        }
        let mut node = Node::new(String::from_utf8_lossy(entry.name));
        node.verified = entry.verified();
        let mut waiting = Vec::new();
        if entry.kind == entry_kind::NODE {
            waiting = self.children.get(&entry.id).cloned().unwrap_or_default();
        } else {
            node.value = Some(self.values.of(entry, saved_memory, warnings));
        }
        Some(Open { node, waiting: waiting.into_iter(), entry })
    }

    /// Marks a subtree as met without building it.
    fn leave_out(&mut self, start: usize) {
        let mut next = vec![start];
        while let Some(i) = next.pop() {
            let (Some(entry), Some(met)) = (self.entries.get(i), self.met.get_mut(i)) else { continue };
            if !std::mem::replace(met, true) {
                self.too_deep.push(entry.at);
                next.extend(self.children.get(&entry.id).into_iter().flatten());
            }
        }
    }

    /// What the root does not reach: first below lost parents, then what only reaches itself.
    fn orphans(&mut self, tree: &mut KeyTree, warnings: &mut Warnings) {
        let nodes: HashMap<Id, u8> = self.entries.iter().map(|entry| (entry.id, entry.kind)).collect();
        let all = 0..self.entries.len();
        for only_lost in [true, false] {
            for i in all.clone() {
                let Some(entry) = self.entries.get(i) else { continue };
                let (at, (table, offset)) = (entry.at, entry.parent);
                if only_lost && nodes.get(&entry.parent) == Some(&entry_kind::NODE) {
                    continue;
                }
                if let Some(orphan) = self.grow(i, warnings) {
                    warnings.push(at, Problem::Orphan { table, offset });
                    tree.orphans.push(orphan);
                }
            }
        }
    }
}
