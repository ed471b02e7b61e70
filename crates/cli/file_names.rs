//! File names for exports into a folder: `{vm}_{checkpoint}_{disk}.vhdx`, made safe for any file system.
//!
//! Names of VMs and checkpoints are free text: they may hold slashes, quotes, line ends, or be `..`. What comes out never
//! leaves the folder and is a legal name on Windows as well.

use chain_resolve::{SelectedDisk, Selection};

/// Longest name in bytes: common file systems end at 255, and a partial file's suffix must fit too.
const LEN_MAX: usize = 200;

/// A name for each disk of the selection, all different.
pub(crate) fn of_selection(selection: &Selection, suffix: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for disk in &selection.disks {
        let name = name_of(selection, disk, None, suffix);
        let taken = |name: &String| names.iter().any(|other| other.eq_ignore_ascii_case(name));
        let name = if taken(&name) { name_of(selection, disk, disk.slot.as_deref(), suffix) } else { name };
        names.push(name);
    }
    names
}

fn name_of(selection: &Selection, disk: &SelectedDisk, slot: Option<&str>, suffix: &str) -> String {
    let parts = [selection.vm.as_deref(), selection.checkpoint.as_deref(), Some(&disk.name), slot];
    let parts: Vec<String> = parts.into_iter().flatten().map(safe).collect();
    format!("{}.{suffix}", cut(&parts.join("_")))
}

/// Characters that mean something to a file system or a terminal become `_`, as do the dots and spaces that Windows
/// drops from the ends of names.
fn safe(text: &str) -> String {
    let text: String = text
        .trim_matches(['.', ' '])
        .chars()
        .map(|c| if c.is_control() || r#"/\:*?"<>|"#.contains(c) { '_' } else { c })
        .collect();
    if text.is_empty() { "_".to_owned() } else { text }
}

fn cut(name: &str) -> &str {
    let end = name.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= LEN_MAX).last();
    &name[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_its_folder() {
        for text in ["..", ".", "", "a/b", "..\\x", "a\nb", "C:\\x", "\u{1b}[2J", "   ", "con."] {
            let name = safe(text);
            assert!(!name.is_empty() && name != "." && name != "..");
            assert!(!name.contains(['/', '\\', ':', '\n', '\u{1b}']), "{name:?}");
        }
        assert_eq!(safe("Before update"), "Before update");
        assert_eq!(safe("Überprüfung 更新"), "Überprüfung 更新");
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(cut(&"ü".repeat(200)).len(), LEN_MAX);
        assert_eq!(cut(&"更".repeat(200)).len(), LEN_MAX / 3 * 3);
    }
}
