//! GUIDs in the spellings that configurations use.

use uuid::Uuid;

/// The GUID that a text is: 36 characters in any case, maybe in braces, maybe behind `Microsoft:`. Nothing else is one:
/// 32 bare digits occur as serial numbers.
#[must_use]
pub fn parse_guid(text: &str) -> Option<Uuid> {
    const PREFIX: &str = "Microsoft:";
    let text = match text.split_at_checked(PREFIX.len()) {
        Some((head, rest)) if head.eq_ignore_ascii_case(PREFIX) => rest,
        _ => text,
    };
    let text = text.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')).unwrap_or(text);
    if text.len() == 36 { Uuid::try_parse(text).ok() } else { None }
}

/// The GUID in the name of a node, `_83f8638b-..-2ca8b33039b4_`.
pub(super) fn guid_of_name(name: &str) -> Option<Uuid> {
    parse_guid(name.strip_prefix('_')?.strip_suffix('_')?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read_and_nothing_else() {
        let id = Uuid::from_u128(0x83f8_638b_8dca_4152_9eda_2ca8_b330_39b4);
        for text in [
            "83f8638b-8dca-4152-9eda-2ca8b33039b4",
            "83F8638B-8DCA-4152-9EDA-2CA8B33039B4",
            "{83F8638B-8dca-4152-9eda-2ca8b33039b4}",
            "microsoft:83F8638B-8dca-4152-9eda-2ca8b33039b4",
        ] {
            assert_eq!(parse_guid(text), Some(id), "{text}");
        }
        assert_eq!(guid_of_name("_83f8638b-8dca-4152-9eda-2ca8b33039b4_"), Some(id));
        for text in ["", "{", "83f8638b8dca41529eda2ca8b33039b4", "83f8638b-8dca-4152-9eda-2ca8b33039bé"] {
            assert_eq!(parse_guid(text), None, "{text}");
        }
        assert_eq!(guid_of_name("83f8638b-8dca-4152-9eda-2ca8b33039b4"), None);
    }
}
