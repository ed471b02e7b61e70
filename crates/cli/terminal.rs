//! Text as a terminal may show it: names made safe, lines kept within its width, and talking on standard error.
//!
//! Names, paths and notes come from files that anybody may have written. Whatever is printed goes through [`printable`],
//! or as JSON through [`JsonOut`]; what is said about a failure also through [`shortened`].

use std::fmt::Write as _;
use std::io::{self, Write};

/// Lines are kept within this many columns where no single name is longer.
pub(crate) const WIDTH: usize = 80;

/// Names come from disks and images: what a terminal would obey is shown as an escape.
pub(crate) fn printable(text: &str) -> String {
    let escaped =
        text.chars().map(|c| if steers(c) { c.escape_default().to_string() } else { c.to_string() });
    escaped.collect()
}

/// Whether a terminal obeys the character rather than shows it: controls, and what hides text, shows nothing or turns its
/// direction, so that a name would read as another.
pub(crate) fn steers(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
                | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Most characters of one line about a failure: room for two of the longest paths.
const LINE_MAX: usize = 8192;

/// A line without its middle, if it is longer than anybody reads: a path stored in an image may have 32 000 characters.
pub(crate) fn shortened(line: &str) -> String {
    const HALF: usize = LINE_MAX / 2;
    let count = line.chars().count();
    if count <= LINE_MAX {
        return line.to_owned();
    }
    let front: String = line.chars().take(HALF).collect();
    let back: String = line.chars().skip(count - HALF).collect();
    format!("{front} ... {} characters left out ... {back}", count - 2 * HALF)
}

/// Writes JSON with what a terminal would obey as escapes, of which JSON itself demands only those below U+0020. It says
/// the same to whoever reads it as JSON.
pub(crate) struct JsonOut<W>(pub(crate) W);

impl<W: Write> Write for JsonOut<W> {
    /// Takes all that is whole characters. JSON is text, so what is none of it is the beginning of one that is cut.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) if error.valid_up_to() > 0 => {
                std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
            }
            Err(_) => return self.0.write(bytes),
        };
        let mut rest = text;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| steers(*c) && *c != '\n') {
            let mut escape = String::new();
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(escape, "\\u{unit:04x}");
            }
            self.0.write_all(&rest.as_bytes()[..at])?;
            self.0.write_all(escape.as_bytes())?;
            rest = &rest[at + c.len_utf8()..];
        }
        self.0.write_all(rest.as_bytes())?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Says something on standard error. Nobody may be listening there, which is no reason to stop.
pub(crate) fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// How many columns a terminal takes for it. Scripts of East Asia take two for each character; where that is not so, a
/// line is broken too early, which does no harm.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().map(|c| if c < '\u{2e80}' { 1 } else { 2 }).sum()
}

/// Printable text in lines that begin with `indent` and are broken at spaces only.
pub(crate) fn wrapped(text: &str, indent: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in printable(text).split(' ') {
        if !line.is_empty() && columns(indent) + columns(&line) + 1 + columns(word) > WIDTH {
            lines.push(format!("{indent}{line}"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(format!("{indent}{line}"));
    lines
}

/// As a POSIX shell takes it for one word: names are free text, and a hint is there to be pasted.
pub(crate) fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-.@/".contains(c);
    if !name.is_empty() && !name.starts_with('-') && name.chars().all(is_plain) {
        return name.to_owned();
    }
    format!("'{}'", name.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_not_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\\d"), "a\\u{1b}[2Jb\\nc\\d");
    }

    #[test]
    fn a_name_can_not_pass_for_another() {
        let hidden = [
            0xad, 0x180e, 0x3164, 0xfff9, 0xe0041, 0x61c, 0x200b, 0x200e, 0x200f, 0x2028, 0x202a, 0x202e,
            0x2060, 0x2066, 0x2069, 0xfeff,
        ];
        for c in hidden.map(|code| char::from_u32(code).unwrap()) {
            assert_eq!(printable(&format!("a{c}b")), format!("a\\u{{{:x}}}b", u32::from(c)));
        }
        assert_eq!(printable("Überprüfung 更新 ‐ שלום"), "Überprüfung 更新 ‐ שלום");
    }

    #[test]
    fn json_says_the_same_without_a_character_that_steers() {
        let text = "a\u{9b}31m\u{202e}b\u{7f}\u{e0041}\u{1f600}更\n";
        let mut out = Vec::new();
        serde_json::to_writer_pretty(JsonOut(&mut out), &[text]).unwrap();
        assert_eq!(serde_json::from_slice::<Vec<String>>(&out).unwrap(), [text]);
        let out = String::from_utf8(out).unwrap();
        assert!(out.chars().all(|c| c == '\n' || !steers(c)), "{out:?}");
        assert!(out.contains("\u{1f600}更"), "{out:?}");
    }

    #[test]
    fn what_is_too_long_loses_its_middle_only() {
        assert_eq!(shortened("short"), "short");
        let cut = shortened(&format!("begin{}end", "更".repeat(32_000)));
        assert!(cut.starts_with("begin更") && cut.ends_with("更end"));
        assert!(cut.chars().count() < LINE_MAX + 100);
    }

    #[test]
    fn lines_are_broken_at_spaces_and_nothing_is_lost() {
        let text = "word ".repeat(40) + &"x".repeat(100);
        let lines = wrapped(&text, "  ");
        assert!(lines.iter().all(|line| line.len() <= WIDTH || !line.trim().contains(' ')), "{lines:?}");
        let joined: Vec<&str> = lines.iter().map(|line| line.trim_start()).collect();
        assert_eq!(joined.join(" "), text);
        assert_eq!(columns("a更"), 3);
    }
}
