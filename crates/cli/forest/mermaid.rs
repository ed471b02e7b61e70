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
        writeln!(out, "  subgraph g{graph}[\"{}\"]", escaped(&forest.title))?;
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
    let mut escaped = String::new();
    let text = printable(text);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        // With a space behind them, they would make a list of Markdown.
        let begins_list = "-.".contains(c) && chars.peek() == Some(&' ');
        if c.is_ascii() && !c.is_ascii_alphanumeric() && !" -.:,/".contains(c) || begins_list {
            let _ = write!(escaped, "#{};", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_not_end_its_label() {
        assert_eq!(escaped("a\"]<b>#1;`x`"), "a#34;#93;#60;b#62;#35;1#59;#96;x#96;");
        assert_eq!(escaped("1. - x-y.z"), "1#46; #45; x-y.z");
        assert_eq!(escaped("Über 更新\n"), "Über 更新#92;n");
    }
}
