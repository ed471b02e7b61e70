//! Writes the XML form of a configuration the way Windows does.
//!
//! CRLF, two spaces a level, no line end behind the last tag, no self-closed tags, byte strings as base64 in lines of
//! 64. The declaration says UTF-16 whatever the bytes are: so do files that went through an editor.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::vm::tree::{Node, Value};

/// The bytes a text becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// UTF-16, least significant byte first, with a mark: what Windows writes.
    Utf16Le,
    /// UTF-16, most significant byte first, with a mark.
    Utf16Be,
    /// UTF-8 without a mark.
    Utf8,
    /// UTF-8 with a mark.
    Utf8Marked,
}

/// A file with this root element.
#[must_use]
pub fn file(root: &Node, encoding: Encoding) -> Vec<u8> {
    encode(&text(root), encoding)
}

/// The text of such a file.
#[must_use]
pub fn text(root: &Node) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-16\" standalone=\"yes\"?>");
    element(&mut text, root, 0);
    text
}

/// A text as bytes.
#[must_use]
pub fn encode(text: &str, encoding: Encoding) -> Vec<u8> {
    let marked = format!("\u{FEFF}{text}");
    match encoding {
        Encoding::Utf16Le => marked.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        Encoding::Utf16Be => marked.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        Encoding::Utf8 => text.as_bytes().to_vec(),
        Encoding::Utf8Marked => marked.into_bytes(),
    }
}

fn element(out: &mut String, node: &Node, depth: usize) {
    let line = format!("\r\n{}", "  ".repeat(depth));
    let name = &node.name;
    out.push_str(&line);
    if let Some(value) = &node.value {
        let (kind, text) = typed(value);
        out.extend(["<", name, " type=\"", kind, "\">", &text, "</", name, ">"]);
        return;
    }
    out.extend(["<", name, ">"]);
    node.children.iter().for_each(|child| element(out, child, depth + 1));
    if !node.children.is_empty() {
        out.push_str(&line);
    }
    out.extend(["</", name, ">"]);
}

fn typed(value: &Value) -> (&'static str, String) {
    match value {
        Value::Int(number) => ("integer", number.to_string()),
        Value::UInt(number) => ("integer", number.to_string()),
        Value::Double(number) => ("double", number.to_string()),
        Value::String(text) => ("string", escape(text)),
        Value::Bool(true) => ("bool", "True".to_owned()),
        Value::Bool(false) => ("bool", "False".to_owned()),
        Value::Bytes(bytes) => ("bytes", lines(bytes)),
        Value::Unreadable(_) => ("bytes", String::new()),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn lines(bytes: &[u8]) -> String {
    let digits = STANDARD.encode(bytes);
    let mut lines = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && i % 64 == 0 {
            lines.push_str("\r\n");
        }
        lines.push(digit);
    }
    lines + "\r\n"
}
