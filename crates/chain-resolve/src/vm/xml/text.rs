//! The encoding of an XML configuration, by its bytes alone.

use std::borrow::Cow;

/// The text of a file without its byte order mark: UTF-16 in either order or UTF-8, with or without a mark. `None` if
/// it begins like none of these. What is not Unicode becomes U+FFFD.
pub(super) fn decode(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let text = match bytes {
        [0xFF, 0xFE, rest @ ..] => Cow::Owned(utf16(rest, u16::from_le_bytes)),
        [0xFE, 0xFF, rest @ ..] => Cow::Owned(utf16(rest, u16::from_be_bytes)),
        [0x3C, 0, ..] => Cow::Owned(utf16(bytes, u16::from_le_bytes)),
        [0, 0x3C, ..] => Cow::Owned(utf16(bytes, u16::from_be_bytes)),
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8_lossy(rest),
        _ => String::from_utf8_lossy(bytes),
    };
    text.trim_start().starts_with('<').then_some(text)
}

/// An odd last byte is dropped: what it was part of cannot be known, and the parser will miss it.
fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (pairs, _) = bytes.as_chunks::<2>();
    char::decode_utf16(pairs.iter().map(|pair| unit(*pair)))
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_is_read_from_every_encoding() {
        let text = "<a>ä𝄞</a>";
        let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let utf8 = text.as_bytes();
        let marked = |mark: &[u8], rest: &[u8]| [mark, rest].concat();
        for bytes in [
            le.clone(),
            be.clone(),
            utf8.to_vec(),
            marked(&[0xFF, 0xFE], &le),
            marked(&[0xFE, 0xFF], &be),
            marked(&[0xEF, 0xBB, 0xBF], utf8),
        ] {
            assert_eq!(decode(&bytes).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_does_not_begin_with_a_tag_is_no_xml() {
        for bytes in [&b""[..], b"a<b>", &[0xFF], &[0xFF, 0xFE], &[0xFF, 0xFE, 0x3C], b"{}", &[0; 9]] {
            assert_eq!(decode(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn halves_of_characters_become_the_replacement_character() {
        assert_eq!(decode(&[0x3C, 0, 0, 0xD8, 0x3E, 0]).as_deref(), Some("<\u{FFFD}>"));
        assert_eq!(decode(b"<\xFF>").as_deref(), Some("<\u{FFFD}>"));
    }
}
