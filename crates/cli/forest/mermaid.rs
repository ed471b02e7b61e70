//! Trees as a Mermaid flowchart, to be pasted into a ticket or a wiki.
//!
//! Names come from anybody: every ASCII character that could mean something to Mermaid, Markdown or HTML becomes an
//! entity by its number, in Mermaid's own form (`#34;`). Characters of other scripts mean nothing to any of them.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::{Forest, Mark, Node};
use crate::terminal::printable;

/// Draws the trees, one subgraph each.
pub(crate) fn draw(out: &mut dyn Write, forests: &[Forest]) -> io::Result<()> {
    writeln!(out, "flowchart TD")?;
    for (graph, forest) in forests.iter().enumerate() {
        let heading: Vec<String> = forest.heading().into_iter().map(escaped).collect();
        writeln!(out, "  subgraph g{graph}[\"{}\"]", heading.join("<br/>"))?;
        for (place, node) in forest.nodes.iter().enumerate() {
            let class = class(node).map(|class| format!(":::{class}")).unwrap_or_default();
            writeln!(out, "    g{graph}n{place}[\"{}\"]{class}", label(node))?;
        }
        for (place, node) in forest.nodes.iter().enumerate() {
            let Some(parent) = node.parent else { continue };
            let arrow = if node.guessed { "-. guessed .->" } else { "-->" };
            writeln!(out, "    g{graph}n{parent} {arrow} g{graph}n{place}")?;
        }
        writeln!(out, "  end")?;
    }
    writeln!(out, "  classDef current stroke-width:3px")?;
    writeln!(out, "  classDef broken stroke:#c00,stroke-dasharray:4")?;
    writeln!(out, "  classDef unused stroke:#888,stroke-dasharray:4")
}

fn class(node: &Node) -> Option<&'static str> {
    if node.has(Mark::Broken) {
        Some("broken")
    } else if node.has(Mark::Unused) {
        Some("unused")
    } else {
        node.current.then_some("current")
    }
}

fn label(node: &Node) -> String {
    let lines: Vec<String> = node.lines().iter().map(|line| escaped(line)).collect();
    lines.join("<br/>")
}

fn escaped(text: &str) -> String {
    let text = printable(text);
    let mut escaped = String::new();
    let mut chars = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        let after = chars.peek().copied().unwrap_or(' ');
        if means_nothing(before, c, after) {
            escaped.push(c);
        } else {
            let _ = write!(escaped, "#{};", u32::from(c));
        }
        before = c;
    }
    escaped
}

/// Markdown makes emphasis of `_` around words, not within them, and lists of `-` and `1.` before a space.
fn means_nothing(before: char, c: char, after: char) -> bool {
    match c {
        '_' => before.is_alphanumeric() && after.is_alphanumeric(),
        '-' | '.' => after != ' ',
        _ => !c.is_ascii() || c.is_ascii_alphanumeric() || " :,/()!?@".contains(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_not_end_its_label() {
        assert_eq!(escaped("a\"]<b>#1;`x`"), "a#34;#93;#60;b#62;#35;1#59;#96;x#96;");
        assert_eq!(escaped("1. - x-y.z"), "1#46; #45; x-y.z");
        assert_eq!(escaped("_a_b_"), "#95;a_b#95;");
        assert_eq!(escaped("Über 更新\n"), "Über 更新#92;n");
    }
}
