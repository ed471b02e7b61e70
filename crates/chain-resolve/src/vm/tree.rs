//! The key tree that both forms of a configuration become.
//!
//! A node has a name, maybe a value, and children in their stored order. Names of siblings need not be unique (real
//! files repeat them), so children are a list and never a map. Names are compared without regard to ASCII case: GUID
//! names are lower-case in one kind of file and upper-case in another. What the keys mean is not known here.

use std::fmt;
use std::slice;

/// Everything one file holds.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct KeyTree {
    /// The nameless root; the first level of a path are its children.
    pub root: Node,
    /// Subtrees whose parent is lost or cannot be reached from the root, each with what lies below it.
    pub orphans: Vec<Node>,
}

/// A key: a leaf with a value, or a node with children, never both.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// As stored; need not be unique among siblings.
    pub name: String,
    /// `None` for a key that can have children.
    pub value: Option<Value>,
    /// In the order of the file.
    pub children: Vec<Node>,
    /// Whether the file's own checksum of this key holds; true where the form has no checksums.
    pub verified: bool,
}

/// What a leaf holds.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Value {
    /// A signed number.
    Int(i64),
    /// An unsigned number.
    UInt(u64),
    /// A floating point number.
    Double(f64),
    /// A text, without the terminators that some writers store; what is not Unicode is replaced by U+FFFD.
    String(String),
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// Yes or no.
    Bool(bool),
    /// The key is there, its value is not to be had.
    Unreadable(Unreadable),
}

/// Why a value is not to be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// The value lies, in part or whole, behind the end of the file.
    #[error("behind the end of the file")]
    PastEnd,
    /// The value is longer than its key says there is room for.
    #[error("longer than its entry")]
    Overlong,
    /// The value goes over a limit on the size of values.
    #[error("too large")]
    TooLarge,
    /// The value is part of a guest's saved memory, which nobody here reads.
    #[error("saved memory, not read")]
    SavedMemory,
    /// The text is none of the stated type.
    #[error("not of its type")]
    Malformed,
}

impl KeyTree {
    /// The first key at a path such as `configuration/properties/name`; a slash in front is accepted.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Node> {
        self.root.at(path)
    }

    /// How many keys [`Self::walk`] goes through.
    #[must_use]
    pub fn key_count(&self) -> usize {
        count(&self.root.children).saturating_add(count(&self.orphans))
    }

    /// Every key with its path, parents first: `/configuration/..` for what the root reaches, `?/..` for orphans.
    pub fn walk(&self) -> impl Iterator<Item = (String, &Node)> {
        let orphans = self.orphans.iter().flat_map(|orphan| Walk::new("?", slice::from_ref(orphan)));
        self.root.walk().chain(orphans)
    }
}

impl Node {
    /// A key that can have children, without any.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), value: None, children: Vec::new(), verified: true }
    }

    /// A key with a value.
    #[must_use]
    pub fn leaf(name: impl Into<String>, value: Value) -> Self {
        Self { value: Some(value), ..Self::new(name) }
    }

    /// The same with these children.
    #[must_use]
    pub fn with(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(children);
        self
    }

    /// All children of a name, in order.
    pub fn children_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.is_named(name))
    }

    /// The child of a name: the first whose checksum holds, else the first.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        let mut named = self.children.iter().filter(|child| child.is_named(name));
        let first = named.next()?;
        if first.verified { Some(first) } else { named.find(|child| child.verified).or(Some(first)) }
    }

    /// The key at a path below this one, such as `properties/name`; empty steps are skipped.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Self> {
        path.split('/').filter(|step| !step.is_empty()).try_fold(self, |node, step| node.child(step))
    }

    /// The text at a path.
    #[must_use]
    pub fn text_at(&self, path: &str) -> Option<&str> {
        match self.at(path)?.value.as_ref()? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number at a path, if it is one that an `i64` can hold.
    #[must_use]
    pub fn int_at(&self, path: &str) -> Option<i64> {
        match self.at(path)?.value.as_ref()? {
            Value::Int(number) => Some(*number),
            Value::UInt(number) => i64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// The yes or no at a path.
    #[must_use]
    pub fn bool_at(&self, path: &str) -> Option<bool> {
        match self.at(path)?.value.as_ref()? {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// The bytes at a path.
    #[must_use]
    pub fn bytes_at(&self, path: &str) -> Option<&[u8]> {
        match self.at(path)?.value.as_ref()? {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Whether this is its name, in any ASCII case.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Every key below this one with its path from here, parents first, each path beginning with a slash.
    pub fn walk(&self) -> impl Iterator<Item = (String, &Self)> {
        Walk::new("", &self.children)
    }
}

impl Default for Node {
    fn default() -> Self {
        Self::new("")
    }
}

impl fmt::Display for Value {
    /// One line without quotes or escapes; bytes as hex digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => number.fmt(f),
            Self::UInt(number) => number.fmt(f),
            Self::Double(number) => number.fmt(f),
            Self::String(text) => text.fmt(f),
            Self::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Self::Bool(flag) => flag.fmt(f),
            Self::Unreadable(why) => write!(f, "<{why}>"),
        }
    }
}

/// These nodes and all below them. Recurses: the tree is no deeper than its limit.
fn count(nodes: &[Node]) -> usize {
    nodes.iter().fold(nodes.len(), |sum, node| sum.saturating_add(count(&node.children)))
}

/// Keeps one iterator per level, so a wide tree costs no memory.
struct Walk<'a> {
    path: String,
    levels: Vec<Level<'a>>,
}

struct Level<'a> {
    /// How much of the path belongs to the parent.
    path_len: usize,
    nodes: slice::Iter<'a, Node>,
}

impl<'a> Walk<'a> {
    fn new(path: &str, nodes: &'a [Node]) -> Self {
        let level = Level { path_len: path.len(), nodes: nodes.iter() };
        Self { path: path.to_owned(), levels: vec![level] }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = (String, &'a Node);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(level) = self.levels.last_mut() {
            self.path.truncate(level.path_len);
            if let Some(node) = level.nodes.next() {
                self.path.push('/');
                self.path.push_str(&node.name);
                self.levels.push(Level { path_len: self.path.len(), nodes: node.children.iter() });
                return Some((self.path.clone(), node));
            }
            self.levels.pop();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> KeyTree {
        let int = |n| Value::Int(n);
        let a = Node::new("A").with([Node::leaf("x", int(1)), Node::leaf("X", int(2)), Node::new("y")]);
        let root = Node::new("").with([a, Node::leaf("b", Value::Bytes(vec![1, 0xAB]))]);
        KeyTree { root, orphans: vec![Node::new("lost").with([Node::leaf("z", Value::Bool(true))])] }
    }

    #[test]
    fn as_many_keys_are_counted_as_are_walked() {
        assert_eq!(sample().key_count(), 7);
        assert_eq!(sample().walk().count(), 7);
        assert_eq!(KeyTree::default().key_count(), 0);
    }

    #[test]
    fn a_walk_names_every_key_once_parents_first_and_orphans_last() {
        let paths: Vec<_> = sample().walk().map(|(path, _)| path).collect();
        assert_eq!(paths, ["/A", "/A/x", "/A/X", "/A/y", "/b", "?/lost", "?/lost/z"]);
    }

    #[test]
    fn names_are_found_in_any_case_and_repeated_ones_in_order() {
        let tree = sample();
        assert_eq!(tree.root.int_at("/a/X"), Some(1));
        let all: Vec<_> = tree.at("a").unwrap().children_named("x").map(|node| node.value.clone()).collect();
        assert_eq!(all, [Some(Value::Int(1)), Some(Value::Int(2))]);
        assert_eq!(tree.at("a/x/y"), None);
        assert_eq!(tree.at("").map(|root| root.children.len()), Some(2));
    }

    #[test]
    fn of_two_siblings_of_a_name_the_verified_one_is_found() {
        let mut tree = sample();
        tree.root.children[0].children[0].verified = false;
        assert_eq!(tree.root.int_at("a/x"), Some(2));
        tree.root.children[0].children[1].verified = false;
        assert_eq!(tree.root.int_at("a/x"), Some(1));
    }

    #[test]
    fn a_typed_question_about_another_type_has_no_answer() {
        let tree = sample();
        assert_eq!(tree.root.text_at("a/x"), None);
        assert_eq!(tree.root.int_at("b"), None);
        assert_eq!(tree.root.bytes_at("b"), Some(&[1, 0xAB][..]));
        assert_eq!(tree.root.bool_at("a"), None);
        let huge =
            Node::new("").with([Node::leaf("u", Value::UInt(u64::MAX)), Node::leaf("v", Value::UInt(7))]);
        assert_eq!((huge.int_at("u"), huge.int_at("v")), (None, Some(7)));
    }
}
