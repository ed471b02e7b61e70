//! File names for exports into a folder: `{vm}_{checkpoint}_{disk}.vhdx`, made safe for any file system.
//!
//! Names of VMs and checkpoints are free text: they may hold slashes, quotes, line ends, or be `..`. What comes out never
//! leaves the folder and is a legal name on Windows as well.

use std::collections::BTreeSet;

use chain_resolve::{SelectedDisk, Selection};

use crate::terminal::steers;

/// Longest name without suffix in bytes: common file systems end at 255, and a partial file's suffix must fit too.
const LEN_MAX: usize = 200;

/// A name for each disk of the selection, all different, also where case does not count.
///
/// The slot is added where the disk's name alone does not tell two apart, and a number where that does not either.
pub(crate) fn of_selection(selection: &Selection, suffix: &str) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let mut free = |name: &String| taken.insert(name.to_lowercase());
    let names = selection.disks.iter().map(|disk| {
        let slot = disk.slot.as_deref().map(|slot| format!("_{}", safe(slot))).unwrap_or_default();
        let numbered = (2_u64..).map(|number| format!("{slot}_{number}"));
        let mut names = [String::new(), slot.clone()]
            .into_iter()
            .chain(numbered)
            .map(|mark| name_of(selection, disk, &mark, suffix));
        // Numbers do not run out: the search ends with a name.
        names.find(&mut free).unwrap_or_default()
    });
    names.collect()
}

/// What tells disks apart stays whole: the front is cut first, and the disk's name only where it alone is too long.
fn name_of(selection: &Selection, disk: &SelectedDisk, mark: &str, suffix: &str) -> String {
    let disk = safe(&disk.name);
    let disk = cut(&disk, LEN_MAX.saturating_sub(mark.len()));
    let room = LEN_MAX.saturating_sub(disk.len() + mark.len() + 1);
    let vm = selection.vm.as_ref().map(|vm| safe(&vm.name));
    let checkpoint = selection.checkpoint.as_ref().map(|checkpoint| safe(&checkpoint.name));
    let front: Vec<String> = [vm, checkpoint].into_iter().flatten().collect();
    let front = front.join("_");
    let name = match cut(&front, room) {
        "" => format!("{disk}{mark}.{suffix}"),
        front => format!("{front}_{disk}{mark}.{suffix}"),
    };
    // Whoever types `rm *` in the folder must not give `rm` an option.
    if is_reserved(&name) || name.starts_with('-') { format!("_{name}") } else { name }
}

/// Whether Windows takes the name for a device: it looks no further than the first dot.
fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    let numbered = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
    matches!(stem.as_str(), "con" | "nul" | "aux" | "prn" | "conin$" | "conout$")
        || matches!(numbered, Some("1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³"))
}

/// Characters that mean something to a file system or a terminal become `_`, as do the dots and spaces that Windows
/// drops from the ends of names.
fn safe(text: &str) -> String {
    let text: String = text
        .trim_matches(['.', ' '])
        .chars()
        .map(|c| if steers(c) || r#"/\:*?"<>|"#.contains(c) { '_' } else { c })
        .collect();
    if text.is_empty() { "_".to_owned() } else { text }
}

/// The front of it, in as many bytes, cut between characters.
fn cut(text: &str, len_max: usize) -> &str {
    let mut end = text.len().min(len_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use chain_resolve::{SelectedCheckpoint, SelectedVm};

    use chain_resolve::SearchPolicy;

    use super::*;

    fn names(vm: Option<&str>, checkpoint: Option<&str>, disks: &[(&str, Option<&str>)]) -> Vec<String> {
        let disks = disks.iter().map(|(name, slot)| SelectedDisk {
            leaf: PathBuf::from("leaf.avhdx"),
            name: (*name).to_owned(),
            slot: slot.map(str::to_owned),
        });
        let selection = Selection {
            disks: disks.collect(),
            vm: vm.map(|name| SelectedVm { name: name.to_owned(), id: None }),
            checkpoint: checkpoint.map(|name| SelectedCheckpoint {
                name: name.to_owned(),
                id: None,
                created: None,
            }),
            policy: SearchPolicy::new([]).unwrap(),
            notes: Vec::new(),
            protected: Vec::new(),
        };
        of_selection(&selection, "raw")
    }

    #[test]
    fn names_say_vm_checkpoint_and_disk() {
        let disks = [("web01", Some("scsi0:0")), ("data", Some("scsi0:1"))];
        let found = names(Some("web01"), Some("Before update"), &disks);
        assert_eq!(found, ["web01_Before update_web01.raw", "web01_Before update_data.raw"]);
        assert_eq!(names(None, None, &[("data", None)]), ["data.raw"]);
    }

    #[test]
    fn disks_of_a_vm_with_a_long_name_have_different_names_in_full() {
        let (vm, checkpoint) = ("v".repeat(150), "c".repeat(150));
        let disks = [("data", Some("scsi0:0")), ("logs", Some("scsi0:1")), ("data", Some("scsi0:2"))];
        let found = names(Some(&vm), Some(&checkpoint), &disks);
        assert!(found[0].ends_with("_data.raw") && found[1].ends_with("_logs.raw"), "{found:?}");
        assert!(found[2].ends_with("_data_scsi0_2.raw"), "{found:?}");
        assert!(found.iter().all(|name| name.len() <= LEN_MAX + ".raw".len()));
    }

    #[test]
    fn names_differ_whatever_the_disks_are_called() {
        let long = "d".repeat(300);
        let disks = [
            ("a", Some("ide0:0")),
            ("a", Some("ide0:0")),
            ("a", None),
            ("a_ide0_0", None),
            ("A", None),
            ("Ärger", None),
            ("ärger", None),
            (&long, Some("scsi0:0")),
            (&long, Some("scsi0:1")),
            (&long, None),
            (&long, None),
        ];
        let found = names(None, None, &disks);
        let different: BTreeSet<String> = found.iter().map(|name| name.to_lowercase()).collect();
        assert_eq!(different.len(), disks.len(), "{found:?}");
        assert!(found.iter().all(|name| name.len() <= LEN_MAX + ".raw".len()));
    }

    #[test]
    fn no_name_is_a_device_of_windows() {
        for (disk, expected) in [
            ("con", "_con.raw"),
            ("NUL", "_NUL.raw"),
            ("aux.old", "_aux.old.raw"),
            ("prn .x", "_prn .x.raw"),
            ("Com1", "_Com1.raw"),
            ("lpt9", "_lpt9.raw"),
            ("com10", "com10.raw"),
            ("console", "console.raw"),
        ] {
            assert_eq!(names(None, None, &[(disk, None)]), [expected]);
        }
        assert_eq!(names(Some("con"), None, &[("nul", None)]), ["con_nul.raw"]);
    }

    #[test]
    fn no_name_is_an_option() {
        assert_eq!(names(Some("-rf"), None, &[("a", None)]), ["_-rf_a.raw"]);
        assert_eq!(names(None, None, &[("--", None)]), ["_--.raw"]);
    }

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
        assert_eq!(cut(&"ü".repeat(200), 200).len(), 200);
        assert_eq!(cut(&"更".repeat(200), 200).len(), 198);
    }
}
