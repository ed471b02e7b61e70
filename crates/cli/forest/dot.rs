//! Trees for Graphviz: `vhdx-export tree --format dot | dot -Tsvg`.

use std::io::{self, Write};

use super::{Forest, Mark, Node};
use crate::terminal::printable;

/// Draws the trees, one cluster each.
pub(crate) fn draw(out: &mut dyn Write, forests: &[Forest]) -> io::Result<()> {
    writeln!(out, "digraph states {{")?;
    writeln!(out, "  node [shape=box, fontname=\"sans-serif\"];")?;
    writeln!(out, "  graph [fontname=\"sans-serif\"];")?;
    for (graph, forest) in forests.iter().enumerate() {
        let heading: Vec<String> = forest.heading().into_iter().map(escaped).collect();
        writeln!(out, "  subgraph cluster_{graph} {{")?;
        writeln!(out, "    label=\"{}\";", heading.join("\\n"))?;
        for (place, node) in forest.nodes.iter().enumerate() {
            writeln!(out, "    g{graph}n{place} [label=\"{}\"{}];", label(node), style(node))?;
        }
        for (place, node) in forest.nodes.iter().enumerate() {
            let Some(parent) = node.parent else { continue };
            let guessed = if node.guessed { " [style=dashed, label=\"guessed\"]" } else { "" };
            writeln!(out, "    g{graph}n{parent} -> g{graph}n{place}{guessed};")?;
        }
        writeln!(out, "  }}")?;
    }
    writeln!(out, "}}")
}

fn style(node: &Node) -> &'static str {
    if node.has(Mark::Broken) {
        ", style=dashed, color=\"#cc0000\""
    } else if node.has(Mark::Unused) {
        ", style=dashed, color=\"#888888\""
    } else if node.current {
        ", style=bold"
    } else {
        ""
    }
}

/// Lines that end in `\l` are set flush left.
fn label(node: &Node) -> String {
    node.lines().iter().map(|line| escaped(line) + "\\l").collect()
}

/// In labels a backslash begins an escape, and Graphviz reads HTML's entities.
fn escaped(text: &str) -> String {
    printable(text).replace('&', "&amp;").replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_not_end_its_label() {
        assert_eq!(escaped("a\"b\\N&lt;\n"), "a\\\"b\\\\N&amp;lt;\\\\n");
    }
}
