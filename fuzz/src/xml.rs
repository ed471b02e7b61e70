//! An XML configuration of any bytes: it is refused, or read within the limits, and the same in every encoding.

use chain_resolve::forge::xml::{Encoding, encode};
use chain_resolve::vm::xml::{self, Document};
use chain_resolve::vm::{Configuration, read_keys};
use limits::configuration::{ELEMENTS_MAX, NAME_BYTES_MAX, WARNINGS_MAX};

use super::vmcx;

/// Reads bytes as XML, and once more in every other encoding if they are UTF-8.
pub fn xml(bytes: &[u8]) {
    let document = xml::read(bytes).ok();
    if let Some(document) = &document {
        check(document);
    }
    if let Ok(keys) = read_keys(bytes) {
        vmcx::view(keys);
    }
    // As a configuration even where nothing says that it is one.
    let wrapped = [b"<configuration><manifest/>", bytes, b"</configuration>"].concat();
    if let Ok(view) = Configuration::parse(&wrapped) {
        assert!(view.references.len() <= 1024);
    }
    // `<` and a zero is the beginning of UTF-16.
    let is_utf8 = bytes.starts_with(b"<") && !bytes.starts_with(b"<\0");
    if let Some(text) = std::str::from_utf8(bytes).ok().filter(|_| is_utf8) {
        for encoding in [Encoding::Utf16Le, Encoding::Utf16Be, Encoding::Utf8Marked] {
            let again = xml::read(&encode(text, encoding)).ok();
            assert!(again == document, "{encoding:?} says something else");
        }
    }
}

fn check(document: &Document) {
    vmcx::check_tree(&document.tree);
    assert!(document.tree.orphans.is_empty());
    assert!(document.tree.key_count() <= ELEMENTS_MAX);
    assert!(document.tree.walk().all(|(_, node)| node.name.len() <= NAME_BYTES_MAX));
    assert!(document.warnings.len() <= WARNINGS_MAX);
}
