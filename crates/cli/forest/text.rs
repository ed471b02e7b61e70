//! Trees for a terminal, a pipe or a mail: no colours, nothing cut off.
//!
//! An only child continues in its parent's column, and so does the largest of several; only branches move to the right.
//! A VM may have fifty checkpoints in a row, and their files have names of fifty characters.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::{Forest, Mark, Node, Order};
use crate::terminal::{WIDTH, columns, printable};

/// What lines are drawn with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pen {
    state: &'static str,
    current: &'static str,
    down: &'static str,
    branch: &'static str,
    none: &'static str,
}

/// For terminals that show box characters.
pub(crate) const BOXES: Pen = Pen { state: "●", current: "*", down: "│ ", branch: "├─", none: "  " };
/// For all others.
pub(crate) const ASCII: Pen = Pen { state: "o", current: "*", down: "| ", branch: "+-", none: "  " };

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Join {
    /// To nothing.
    Root,
    /// In its parent's column, the last of its children.
    Straight,
    /// In a column of its own.
    Branch,
}

/// Draws the trees, and says below them what the marks mean that occur.
pub(crate) fn draw(out: &mut dyn Write, forests: &[Forest], pen: Pen) -> io::Result<()> {
    for (place, forest) in forests.iter().enumerate() {
        if place > 0 {
            writeln!(out)?;
        }
        forest.heading().into_iter().try_for_each(|line| writeln!(out, "{}", printable(line)))?;
        writeln!(out)?;
        draw_forest(out, forest, pen)?;
    }
    let nodes = || forests.iter().flat_map(|forest| &forest.nodes);
    let marks: BTreeSet<Mark> = nodes().flat_map(Node::marks).collect();
    let current = nodes().any(|node| node.current).then(|| format!("{} running state", pen.current));
    let meanings = marks.into_iter().map(|mark| format!("{} {}", mark.sign(), mark.meaning()));
    let legend: Vec<String> = current.into_iter().chain(meanings).collect();
    if legend.is_empty() { Ok(()) } else { writeln!(out, "\n{}", legend.join("   ")) }
}

fn draw_forest(out: &mut dyn Write, forest: &Forest, pen: Pen) -> io::Result<()> {
    let parents: Vec<_> = forest.nodes.iter().map(|node| node.parent).collect();
    let order = Order::new(&parents);
    let sizes = order.sizes();
    // What is left to draw: the node, the columns to its left, and how it is joined to what is above.
    let roots = order.roots.iter().rev().map(|root| (*root, String::new(), Join::Root));
    let mut left: Vec<(usize, String, Join)> = roots.collect();
    while let Some((place, before, join)) = left.pop() {
        let children = &order.children[place];
        let is_branch = join == Join::Branch;
        match join {
            Join::Root if place != order.roots[0] => writeln!(out)?,
            Join::Root | Join::Branch => {}
            Join::Straight => writeln!(out, "{before}{}", pen.down.trim_end())?,
        }
        let own = if is_branch { format!("{before}{}", pen.down) } else { before.clone() };
        let lead = if is_branch { format!("{before}{}", pen.branch) } else { before };
        let below = if children.is_empty() { pen.none } else { pen.down };
        draw_node(out, &forest.nodes[place], &lead, &format!("{own}{below}"), pen)?;
        let straight = children.iter().copied().max_by_key(|child| sizes[*child]);
        left.extend(straight.map(|child| (child, own.clone(), Join::Straight)));
        let aside = children.iter().rev().filter(|child| Some(**child) != straight);
        left.extend(aside.map(|child| (*child, own.clone(), Join::Branch)));
    }
    Ok(())
}

fn draw_node(out: &mut dyn Write, node: &Node, lead: &str, below: &str, pen: Pen) -> io::Result<()> {
    let plain = if node.current { pen.current } else { pen.state };
    let glyph = node.mark.map_or_else(|| plain.to_owned(), |mark| mark.sign().to_string());
    let title = format!("{lead}{glyph} {}", printable(&node.title));
    let aside = printable(&node.aside);
    if aside.is_empty() || columns(&title) + 2 + columns(&aside) > WIDTH {
        writeln!(out, "{title}")?;
        if !aside.is_empty() {
            writeln!(out, "{below}  {aside}")?;
        }
    } else {
        writeln!(out, "{title}  {aside}")?;
    }
    for detail in &node.details {
        let mark = detail.mark.map_or(' ', Mark::sign);
        writeln!(out, "{below}{mark} {}", printable(&detail.text))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forest::Detail;

    #[test]
    fn an_only_child_stays_in_the_column_and_the_smaller_branches_move_right() {
        let node = |parent, title: &str| Node { parent, title: title.to_owned(), ..Node::default() };
        let mut nodes = vec![
            node(None, "a"),
            node(Some(0), "b"),
            node(Some(1), "c"),
            node(Some(0), "d"),
            node(Some(1), "e"),
        ];
        nodes[4].current = true;
        nodes[1].details = vec![Detail { mark: Some(Mark::Dirty), text: "b.vhdx".to_owned() }];
        let mut drawn = Vec::new();
        draw(&mut drawn, &[Forest { title: "T".to_owned(), place: None, nodes }], ASCII).unwrap();
        let expected = "\
T

o a
+-o d
|
o b
| ~ b.vhdx
+-o c
|
* e

* running state   ~ dirty log
";
        assert_eq!(String::from_utf8(drawn).unwrap(), expected);
    }
}
