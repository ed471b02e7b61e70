//! Text as a terminal may show it: names made safe, lines kept within its width, and talking on standard error.

use std::io::Write;

/// Lines are kept within this many columns where no single name is longer.
pub(crate) const WIDTH: usize = 80;

/// Names come from disks and images: what a terminal would obey is shown as an escape.
pub(crate) fn printable(text: &str) -> String {
    let escaped =
        text.chars().map(|c| if steers(c) { c.escape_default().to_string() } else { c.to_string() });
    escaped.collect()
}

/// Whether a terminal obeys the character rather than shows it: controls, and the format characters that hide text or
/// turn its direction, so that a name would read as another.
pub(crate) fn steers(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
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
        let hidden = [0x61c, 0x200b, 0x200e, 0x200f, 0x2028, 0x202a, 0x202e, 0x2060, 0x2066, 0x2069, 0xfeff];
        for c in hidden.map(|code| char::from_u32(code).unwrap()) {
            assert_eq!(printable(&format!("a{c}b")), format!("a\\u{{{:x}}}b", u32::from(c)));
        }
        assert_eq!(printable("Überprüfung 更新 ‐ שלום"), "Überprüfung 更新 ‐ שלום");
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
