//! Text as `man` takes it. What is written is ASCII, so that it does not matter which encoding a reader takes it for.

use std::fmt::Write as _;

use crate::terminal::wrapped;

/// Where a paragraph stands: those below an item are indented like it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Fresh,
    Flowing,
    BelowItem,
}

/// A page that is being written.
pub(super) struct Roff {
    text: String,
    place: Place,
}

impl Roff {
    pub(super) fn new(title: &str, date: &str, source: &str) -> Self {
        let title = title.to_uppercase();
        let text = format!(".TH \"{title}\" \"1\" \"{date}\" \"{source}\" \"User Commands\"\n");
        Self { text, place: Place::Fresh }
    }

    pub(super) fn section(&mut self, headline: &str) {
        let _ = writeln!(self.text, ".SH \"{}\"", escaped(&headline.to_uppercase()));
        self.place = Place::Fresh;
    }

    pub(super) fn subsection(&mut self, headline: &str) {
        let _ = writeln!(self.text, ".SS \"{}\"", escaped(headline));
        self.place = Place::Fresh;
    }

    /// What the next paragraphs explain, as [`bold`] and [`italic`] give it.
    pub(super) fn item(&mut self, typed: &str) {
        let _ = writeln!(self.text, ".TP\n{typed}");
        self.place = Place::BelowItem;
    }

    /// Paragraphs, which are apart by an empty line. A line that begins with two spaces is an entry of a list.
    pub(super) fn paragraphs(&mut self, text: &str) {
        for (number, paragraph) in text.split("\n\n").enumerate() {
            match self.place {
                Place::BelowItem if number > 0 => self.text += ".IP\n",
                Place::Flowing => self.text += ".PP\n",
                Place::BelowItem | Place::Fresh => {}
            }
            let (entries, lines): (Vec<&str>, Vec<&str>) =
                paragraph.lines().partition(|line| line.starts_with("  "));
            self.text(&lines.join(" "));
            self.list(&entries);
        }
    }

    fn list(&mut self, entries: &[&str]) {
        if entries.is_empty() {
            return;
        }
        self.text += ".RS\n";
        for entry in entries {
            self.text += ".IP \\(bu 2\n";
            self.flow(entry.trim());
        }
        self.text += ".RE\n";
    }

    /// One paragraph, where it stands.
    pub(super) fn text(&mut self, text: &str) {
        self.flow(text);
        if self.place == Place::Fresh {
            self.place = Place::Flowing;
        }
    }

    fn flow(&mut self, text: &str) {
        for line in wrapped(&escaped(text), "") {
            self.line(&line);
        }
    }

    /// A line that is no request, whatever it begins with.
    fn line(&mut self, line: &str) {
        let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        let _ = writeln!(self.text, "{guard}{line}");
    }

    /// Lines that are kept as they are.
    pub(super) fn literal<'a>(&mut self, lines: impl Iterator<Item = &'a str>) {
        if self.place != Place::Fresh {
            self.text += ".PP\n";
        }
        self.text += ".RS 4\n.nf\n";
        for line in lines {
            self.line(&escaped(line));
        }
        self.text += ".fi\n.RE\n";
        self.place = Place::Flowing;
    }

    /// Other pages of the first section.
    pub(super) fn references(&mut self, names: &[String]) {
        for (number, name) in names.iter().enumerate() {
            let comma = if number + 1 < names.len() { "," } else { "" };
            let _ = writeln!(self.text, ".BR {} (1){comma}", escaped(name));
        }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

pub(super) fn bold(text: &str) -> String {
    format!("\\fB{}\\fR", escaped(text))
}

pub(super) fn italic(text: &str) -> String {
    format!("\\fI{}\\fR", escaped(text))
}

/// Each character as itself: those that have a meaning, that would be set as another, and those outside of ASCII.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\e"),
            '-' => escaped.push_str("\\-"),
            '\'' => escaped.push_str("\\(aq"),
            '"' => escaped.push_str("\\(dq"),
            '`' => escaped.push_str("\\(ga"),
            '^' => escaped.push_str("\\(ha"),
            '~' => escaped.push_str("\\(ti"),
            c if c.is_ascii() => escaped.push(c),
            c => {
                let _ = write!(escaped, "\\[u{:04X}]", u32::from(c));
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_roff_would_obey_or_change_stands_for_itself() {
        assert_eq!(
            escaped("a\\b-'c' \"d\" `e` ~ ^ …"),
            "a\\eb\\-\\(aqc\\(aq \\(dqd\\(dq \\(gae\\(ga \\(ti \\(ha \\[u2026]"
        );
    }

    #[test]
    fn a_line_is_never_taken_for_a_request() {
        let mut roff = Roff::new("a", "", "a 1");
        roff.section("Name");
        roff.text(".xml 'is' text");
        roff.literal(["'a'", ".b"].into_iter());
        assert!(roff.finish().ends_with(
            ".SH \"NAME\"\n\\&.xml \\(aqis\\(aq text\n.PP\n.RS 4\n.nf\n\\(aqa\\(aq\n\\&.b\n.fi\n.RE\n"
        ));
    }

    #[test]
    fn paragraphs_below_an_item_are_indented_like_it() {
        let mut roff = Roff::new("a", "2024-03-05", "a 1");
        roff.item(&bold("-a"));
        roff.paragraphs("one\n\ntwo:\n  x\n  y");
        roff.section("B");
        roff.paragraphs("three\n\nfour");
        assert_eq!(
            roff.finish(),
            ".TH \"A\" \"1\" \"2024-03-05\" \"a 1\" \"User Commands\"\n.TP\n\\fB\\-a\\fR\none\n.IP\ntwo:\n.RS\n\
             .IP \\(bu 2\nx\n.IP \\(bu 2\ny\n.RE\n.SH \"B\"\nthree\n.PP\nfour\n"
        );
    }
}
