//! Parent locators that lie: broken tables, broken texts, no identity. Which file a path leads to is not asked here.

use limits::Limit;
use uuid::{Uuid, uuid};
use vhdx_format::forge::{Image, Kind, Locator};
use vhdx_format::{Linkage, ParentLocator, Problem, Structure, Unsupported};

use crate::support::{METADATA, assert_corrupt, child, item, open, shortage, unsupported};

const AT: u64 = METADATA + 0x1_0028;
const PARENT: Uuid = uuid!("7584f8fb-36d3-4091-afb5-b1afe587bfa8");

fn with(locator: Locator) -> Image {
    Image { kind: Kind::Differencing(locator), ..child() }
}

/// A child whose locator's bytes were changed.
fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Image {
    let mut image = with(Locator::windows(PARENT, "base.vhdx"));
    change(&mut item(&mut image, 5).bytes);
    image
}

fn parent(image: &Image) -> ParentLocator {
    let layer = open(&image.build()).expect("a child");
    layer.outline().parent().expect("a parent").clone()
}

#[track_caller]
fn assert_refused(image: &Image, problem: Problem) {
    assert_corrupt(&image.build(), Structure::ParentLocator, AT, problem);
}

fn text(field: &'static str) -> Problem {
    Problem::Text { field, expected: "a text of whole UTF-16 units inside the item" }
}

#[test]
fn windows_locators_are_read_whole() {
    let found = parent(&with(Locator::windows(PARENT, "base.vhdx")));
    assert_eq!(found.linkage, Linkage { first: PARENT, second: None });
    assert_eq!(found.relative_path.as_deref(), Some(".\\base.vhdx"));
    assert_eq!(found.absolute_win32_path.as_deref(), Some("C:\\VMs\\base.vhdx"));
    assert!(found.volume_path.expect("a path").ends_with("}\\VMs\\base.vhdx"));
}

#[test]
fn an_identity_is_read_in_any_wording() {
    let bare = PARENT.to_string();
    for wording in
        [bare.clone(), bare.to_uppercase(), format!("{{{bare}}}"), format!("{{{bare}}}").to_uppercase()]
    {
        let found = parent(&with(Locator::empty().pair("parent_linkage", &wording)));
        assert_eq!(found.linkage.first, PARENT, "{wording}");
        assert_eq!(found.relative_path, None);
    }
    let second = with(Locator::empty().linkage(Uuid::max()).linkage2(PARENT));
    assert_eq!(parent(&second).linkage.second, Some(PARENT));
}

#[test]
fn a_locator_of_another_type_is_refused() {
    let image = with(Locator { locator_type: PARENT, ..Locator::windows(PARENT, "x") });
    assert_eq!(unsupported(&image.build()), Unsupported::LocatorType(PARENT));
}

#[test]
fn an_item_without_room_for_what_it_says_is_corrupt() {
    for len in [1, 19] {
        assert_refused(
            &changed(|item| item.truncate(len)),
            Problem::Missing { what: "a whole locator header" },
        );
    }
    for len in [20, 79] {
        let problem = Problem::Missing { what: "all key-value entries" };
        assert_refused(&changed(|item| item.truncate(len)), problem);
    }
    let counted = |count: u16| changed(|item| item[18..20].copy_from_slice(&count.to_le_bytes()));
    let most = u16::try_from(Limit::LocatorPairs.usual()).expect("16 bits");
    assert_refused(&counted(most), Problem::Missing { what: "all key-value entries" });
    for count in [most + 1, u16::MAX] {
        let expected = (Structure::ParentLocator, most.into(), count.into());
        assert_eq!(shortage(&counted(count).build()), expected);
    }
}

#[test]
fn texts_lie_inside_the_item_in_whole_units() {
    let len = Locator::windows(PARENT, "base.vhdx").to_bytes().len() as u32;
    for (field, at) in [("a key", 20), ("a value", 24)] {
        for offset in [len - 1, len, len + 1, u32::MAX] {
            let image = changed(|item| item[at..at + 4].copy_from_slice(&offset.to_le_bytes()));
            assert_refused(&image, text(field));
        }
    }
    for (field, at) in [("a key", 28), ("a value", 30)] {
        for len in [0_u16, 1, 27, u16::MAX] {
            let image = changed(|item| item[at..at + 2].copy_from_slice(&len.to_le_bytes()));
            assert_refused(&image, text(field));
        }
    }
}

#[test]
fn a_key_is_there_once() {
    let image = with(Locator::windows(PARENT, "x").linkage(PARENT));
    assert_refused(&image, Problem::Text { field: "a key", expected: "to be there once" });
}

#[test]
fn without_an_identity_there_is_no_parent() {
    let missing = Problem::Missing { what: "the key parent_linkage" };
    assert_refused(&with(Locator::empty().relative_path(".\\base.vhdx")), missing.clone());
    assert_refused(&with(Locator::empty()), missing.clone());
    assert_refused(&with(Locator::empty().linkage2(PARENT)), missing.clone());
    // Keys are case-sensitive.
    assert_refused(&with(Locator::empty().pair("Parent_Linkage", &PARENT.to_string())), missing);
}

#[test]
fn an_identity_is_a_guid() {
    for wording in
        ["x", "{}", "{7584f8fb-36d3-4091-afb5-b1afe587bfa}", "{7584f8fb-36d3-4091-afb5-b1afe587bfa8"]
    {
        let image = with(Locator::empty().pair("parent_linkage", wording));
        assert_refused(&image, Problem::Text { field: "parent_linkage", expected: "a GUID" });
        let image = with(Locator::empty().linkage(PARENT).pair("parent_linkage2", wording));
        assert_refused(&image, Problem::Text { field: "parent_linkage2", expected: "a GUID" });
    }
}

#[test]
fn half_a_surrogate_is_shown_and_matches_nothing() {
    let clean = Locator::empty().linkage(PARENT).relative_path("a");
    let len = clean.to_bytes().len();
    let mut image = with(clean);
    item(&mut image, 5).bytes[len - 2..].copy_from_slice(&0xD800_u16.to_le_bytes());
    assert_eq!(parent(&image).relative_path.as_deref(), Some("\u{FFFD}"));
}
