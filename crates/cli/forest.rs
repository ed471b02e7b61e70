//! States and images as trees to be drawn: in which order, and by which of several hands.
//!
//! What a node says is decided elsewhere ([`crate::commands::tree`]); here are its place and the forms of a drawing.

pub(crate) mod dot;
pub(crate) mod mermaid;
pub(crate) mod text;

/// Trees that belong together, such as the states of one VM.
#[derive(Debug)]
pub(crate) struct Forest {
    /// What they are.
    pub(crate) title: String,
    /// Where they lie, if that is needed to tell them from others.
    pub(crate) place: Option<String>,
    pub(crate) nodes: Vec<Node>,
}

impl Forest {
    fn heading(&self) -> Vec<&str> {
        std::iter::once(self.title.as_str()).chain(self.place.as_deref()).collect()
    }
}

/// A state, or an image where no configuration tells of states.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Node {
    /// Its place among the forest's nodes.
    pub(crate) parent: Option<usize>,
    /// The parent is not certain.
    pub(crate) guessed: bool,
    /// What it needs attention for, as a whole.
    pub(crate) mark: Option<Mark>,
    /// The running state.
    pub(crate) current: bool,
    /// What it is called.
    pub(crate) title: String,
    /// What tells it from others of that name.
    pub(crate) aside: String,
    /// Its files, and what is wrong with them.
    pub(crate) details: Vec<Detail>,
}

/// A line about a node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Detail {
    pub(crate) mark: Option<Mark>,
    pub(crate) text: String,
}

/// What needs attention.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Mark {
    Broken,
    Unused,
    Dirty,
}

impl Mark {
    pub(crate) fn sign(self) -> char {
        match self {
            Self::Broken => '!',
            Self::Unused => '?',
            Self::Dirty => '~',
        }
    }

    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Broken => "missing or mismatched",
            Self::Unused => "used by no state",
            Self::Dirty => "dirty log",
        }
    }
}

impl Node {
    fn marks(&self) -> impl Iterator<Item = Mark> {
        self.mark.into_iter().chain(self.details.iter().filter_map(|detail| detail.mark))
    }

    fn has(&self, wanted: Mark) -> bool {
        self.marks().any(|mark| mark == wanted)
    }

    /// Everything it says, a line each.
    fn lines(&self) -> Vec<String> {
        let marked = |mark: Option<Mark>, text: &str| {
            mark.map_or_else(|| text.to_owned(), |mark| format!("{} {text}", mark.sign()))
        };
        let aside = (!self.aside.is_empty()).then(|| self.aside.clone());
        let details = self.details.iter().map(|detail| marked(detail.mark, &detail.text));
        std::iter::once(marked(self.mark, &self.title)).chain(aside).chain(details).collect()
    }
}

/// Which nodes follow which: parents that lead round in a circle are cut, so that every node is reached once.
#[derive(Debug)]
pub(crate) struct Order {
    /// Nodes without a parent, or with one that was cut.
    pub(crate) roots: Vec<usize>,
    pub(crate) children: Vec<Vec<usize>>,
}

impl Order {
    pub(crate) fn new(parents: &[Option<usize>]) -> Self {
        let mut order = Self { roots: Vec::new(), children: vec![Vec::new(); parents.len()] };
        // For each node the walk that came by first: meeting one's own steps again is a circle.
        let mut seen_by: Vec<Option<usize>> = vec![None; parents.len()];
        let mut cut = vec![false; parents.len()];
        for start in 0..parents.len() {
            let mut at = start;
            while seen_by[at].is_none() {
                seen_by[at] = Some(start);
                match parents[at] {
                    Some(parent) if seen_by.get(parent) == Some(&Some(start)) => cut[at] = true,
                    Some(parent) if parent < parents.len() => at = parent,
                    _ => {}
                }
            }
        }
        for (node, parent) in parents.iter().enumerate() {
            match parent.filter(|parent| !cut[node] && *parent < parents.len()) {
                Some(parent) => order.children[parent].push(node),
                None => order.roots.push(node),
            }
        }
        order
    }

    /// Every node, each before its children, trees in the order of their roots.
    pub(crate) fn preorder(&self) -> Vec<usize> {
        let mut left: Vec<usize> = self.roots.iter().rev().copied().collect();
        let mut order = Vec::with_capacity(self.children.len());
        while let Some(node) = left.pop() {
            order.push(node);
            left.extend(self.children[node].iter().rev());
        }
        order
    }

    /// How many nodes each tree has, by its root.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![1; self.children.len()];
        for node in self.preorder().into_iter().rev() {
            sizes[node] += self.children[node].iter().map(|child| sizes[*child]).sum::<usize>();
        }
        sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_comes_once_and_after_its_parent() {
        let order = Order::new(&[None, Some(0), Some(0), Some(1), None]);
        assert_eq!(order.preorder(), [0, 1, 3, 2, 4]);
        assert_eq!(order.sizes(), [4, 2, 1, 1, 1]);
    }

    #[test]
    fn circles_are_cut_in_one_place() {
        let order = Order::new(&[Some(2), Some(0), Some(1), Some(2), Some(4), Some(9)]);
        let mut reached = order.preorder();
        assert_eq!(order.roots.len(), 3, "{order:?}");
        reached.sort_unstable();
        assert_eq!(reached, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_long_line_of_nodes_costs_no_stack() {
        let parents: Vec<_> = (0..200_000_usize).map(|node| node.checked_sub(1)).collect();
        assert_eq!(Order::new(&parents).preorder().len(), 200_000);
    }
}
