//! The text of an element as a value of the type its attribute names.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::tree::Value;

/// The value; the error says what the type asks for. An unknown or missing type means text.
pub(super) fn value(kind: Option<&str>, text: String) -> Result<Value, &'static str> {
    match kind {
        Some("integer") => text.trim().parse().map(Value::Int).map_err(|_| "a 64-bit integer"),
        Some("bool" | "boolean") => flag(text.trim()).ok_or("True or False").map(Value::Bool),
        Some("bytes") => bytes(&text).ok_or("base64").map(Value::Bytes),
        _ => Ok(Value::String(text)),
    }
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Base64 in lines.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(digits).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, text: &str) -> Result<Value, &'static str> {
        value(Some(kind), text.to_owned())
    }

    #[test]
    fn every_type_is_read() {
        assert_eq!(read("integer", "-9223372036854775808"), Ok(Value::Int(i64::MIN)));
        assert_eq!(read("string", " a "), Ok(Value::String(" a ".to_owned())));
        assert_eq!(read("double", "1.5"), Ok(Value::String("1.5".to_owned())));
        assert_eq!(value(None, "x".to_owned()), Ok(Value::String("x".to_owned())));
        for (text, flag) in [("True", true), ("false", false), ("1", true), ("0", false)] {
            assert_eq!(read("bool", text), Ok(Value::Bool(flag)));
        }
        let time = 0x019D_B1DE_D53E_8000_u64.to_le_bytes();
        assert_eq!(read("bytes", "AIA+\r\n1d6xnQE=\r\n"), Ok(Value::Bytes(time.to_vec())));
    }

    #[test]
    fn what_is_none_of_its_type_says_what_was_expected() {
        assert_eq!(read("integer", "9223372036854775808"), Err("a 64-bit integer"));
        assert_eq!(read("bool", ""), Err("True or False"));
        assert_eq!(read("bytes", "A"), Err("base64"));
    }
}
