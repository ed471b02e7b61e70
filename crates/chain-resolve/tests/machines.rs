//! VMs put together from forged configurations and images: whose a checkpoint is, what it came from, which file a
//! recorded path means, and when it was taken.
//!
//! Configurations of checkpoints are written as descriptions of the format say: this proves agreement with those, not
//! yet with a real checkpoint.
#![expect(clippy::unwrap_used, reason = "clippy.toml lets tests unwrap, but not the functions they share")]

use std::fs::{self, File};
use std::path::Path;

use chain_resolve::Folder;
use chain_resolve::forge::history::{History, LeftFile};
use chain_resolve::forge::hvs::Container;
use chain_resolve::forge::vm::{Disk, Slot, Vm as ForgedVm};
use chain_resolve::machine::{CheckpointKind, CreatedSource, DiskFile, StateParent, Vm};
use chain_resolve::vm::tree::{Node, Value};
use chain_resolve::vm::{Form, Generation};
use tempfile::TempDir;
use uuid::Uuid;
use vhdx_format::forge::SparseFile;

const FORMS: [Form; 2] = [Form::Store, Form::Xml];

fn put(folder: &Path, files: &[LeftFile]) {
    for file in files {
        let path = folder.join(&file.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        file.content.save(&File::create(path).unwrap()).unwrap();
    }
}

fn left(files: &[LeftFile]) -> (TempDir, Folder) {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), files);
    let folder = Folder::scan(dir.path(), &[], &limits::Limits::default()).unwrap();
    (dir, folder)
}

fn flattened(files: &[LeftFile]) -> Vec<LeftFile> {
    let name = |path: &str| path.rsplit_once('/').map_or(path, |(_, name)| name).to_owned();
    files.iter().map(|file| LeftFile { path: name(&file.path), ..file.clone() }).collect()
}

/// The only VM.
fn only(folder: &Folder) -> &Vm {
    assert_eq!(folder.machines().len(), 1, "{:?}", folder.machines());
    &folder.machines()[0]
}

/// Name of each checkpoint and of what it came from, the running state last.
fn tree(vm: &Vm) -> Vec<(&str, Option<&str>)> {
    let parent = |parent: &StateParent| parent.checkpoint().map(|at| vm.checkpoints[at].name.as_str());
    let checkpoints = vm.checkpoints.iter().map(|found| (found.name.as_str(), parent(&found.state.parent)));
    checkpoints.chain(vm.current.iter().map(|state| ("now", parent(&state.parent)))).collect()
}

/// The names of the files of a state.
fn files_of<'a>(folder: &'a Folder, vm: &'a Vm, name: &str) -> Vec<&'a str> {
    let checkpoint = vm.checkpoints.iter().find(|checkpoint| checkpoint.name == name).unwrap();
    let image = |file: &DiskFile| folder.catalog().image(file.image().unwrap()).unwrap();
    let disks = checkpoint.state.disks.iter();
    disks.map(|disk| image(&disk.file).path.file_name().unwrap().to_str().unwrap()).collect()
}

fn history() -> History {
    let mut history = History::new("web01", Generation::Two);
    history.attach("web01", Slot::Scsi(0, 0));
    history
}

fn store(vm: &ForgedVm) -> LeftFile {
    let mut content = SparseFile::default();
    content.write(0, &Container::of(&[vm.configuration(Form::Store)]).build());
    LeftFile { path: format!("Virtual Machines/{}.vmcx", vm.id), content }
}

mod parents {
    use super::*;

    #[test]
    fn in_a_line_each_checkpoint_comes_from_the_one_before() {
        let mut history = history();
        for name in ["a", "b", "c"] {
            history.checkpoint(name);
        }
        for form in FORMS {
            let (_dir, folder) = left(&history.files(form));
            let expected = [("a", None), ("b", Some("a")), ("c", Some("b")), ("now", Some("c"))];
            assert_eq!(tree(only(&folder)), expected);
        }
    }

    #[test]
    fn a_branch_comes_from_the_checkpoint_that_was_applied() {
        let mut history = history();
        let a = history.checkpoint("a");
        history.checkpoint("b");
        history.apply(a);
        history.checkpoint("c");
        let (_dir, folder) = left(&history.files(Form::Store));
        let expected = [("a", None), ("b", Some("a")), ("c", Some("a")), ("now", Some("c"))];
        assert_eq!(tree(only(&folder)), expected);
        assert!(matches!(only(&folder).checkpoints[2].state.parent, StateParent::Disks(0)));
    }

    #[test]
    fn a_checkpoint_that_is_gone_is_skipped() {
        let mut history = history();
        history.checkpoint("a");
        let b = history.checkpoint("b");
        history.checkpoint("c");
        history.delete(b);
        let (_dir, folder) = left(&history.files(Form::Store));
        assert_eq!(tree(only(&folder)), [("a", None), ("c", Some("a")), ("now", Some("c"))]);
    }

    #[test]
    fn a_disk_that_came_later_has_no_say() {
        let mut history = history();
        history.checkpoint("a");
        history.attach("new", Slot::Scsi(0, 1));
        history.checkpoint("b");
        history.checkpoint("c");
        let (_dir, folder) = left(&history.files(Form::Store));
        let expected = [("a", None), ("b", Some("a")), ("c", Some("b")), ("now", Some("c"))];
        assert_eq!(tree(only(&folder)), expected);
    }

    /// As when a second checkpoint is taken of a disk that does not take part.
    #[test]
    fn of_two_checkpoints_on_one_file_the_later_one_is_the_parent_of_what_follows() {
        let mut history = history();
        history.checkpoint("a");
        let frozen = history.vm.checkpoints[0].disks.clone();
        history.checkpoint("b");
        history.vm.checkpoints[1].disks = frozen;
        let (_dir, folder) = left(&history.files(Form::Store));
        let tree = tree(only(&folder));
        assert_eq!(tree[2], ("now", Some("b")));
        assert_eq!(tree[0], ("a", None));
    }

    #[test]
    fn a_backups_own_child_stands_for_its_parent() {
        let mut history = history();
        history.checkpoint("a");
        let recovery = history.checkpoint("backup");
        let frozen = history.state(Some(recovery))[0].file.clone();
        let sibling = {
            let mut other = history.clone();
            other.checkpoint("x");
            other.files(Form::Store).into_iter().find(|file| {
                let name = &history.state(None)[0].file;
                file.path.ends_with(name.as_str())
            })
        };
        let name = format!("{}-AutoRecovery.avhdx", frozen.trim_end_matches(".avhdx"));
        let path = format!(r"C:\VMs\web01\Virtual Hard Disks\{name}");
        history.vm.checkpoints[1].disks = vec![Disk { slot: Slot::Scsi(0, 0), path }];
        let mut files = history.files(Form::Store);
        files.push(LeftFile { path: format!("Virtual Hard Disks/{name}"), ..sibling.unwrap() });
        let (_dir, folder) = left(&files);
        let vm = only(&folder);
        assert_eq!(vm.checkpoints[1].kind, CheckpointKind::Recovery);
        assert_eq!(files_of(&folder, vm, "backup"), [name.as_str()]);
        assert_eq!(tree(vm), [("a", None), ("backup", Some("a")), ("now", Some("backup"))]);
    }

    /// The keys that may name a parent were never seen: what they say changes nothing.
    #[test]
    fn keys_that_may_name_a_parent_never_override_the_disks() {
        let mut history = history();
        let a = history.checkpoint("a");
        history.checkpoint("b");
        history.checkpoint("c");
        let mut files = history.files(Form::Store);
        let last = &history.vm.checkpoints[2];
        let mut keys = history.vm.checkpoint_configuration(last, Form::Store);
        let hint = Node::new("parent").with([Node::leaf("id", Value::String(a.to_string()))]);
        keys.children.push(hint);
        files[3].content = SparseFile::default();
        files[3].content.write(0, &Container::of(&[keys]).build());
        let (_dir, folder) = left(&files);
        let expected = [("a", None), ("b", Some("a")), ("c", Some("b")), ("now", Some("c"))];
        assert_eq!(tree(only(&folder)), expected);
    }

    #[test]
    fn where_a_disk_is_missing_time_is_a_guess_and_said_to_be_one() {
        let mut history = history();
        history.checkpoint("a");
        history.checkpoint("b");
        let missing = history.state(Some(history.vm.checkpoints[1].id))[0].file.clone();
        let mut files = history.files(Form::Store);
        files.retain(|file| !file.path.ends_with(&missing));
        let (_dir, folder) = left(&files);
        let vm = only(&folder);
        assert!(matches!(vm.checkpoints[1].state.parent, StateParent::Guessed(0)));
        assert_eq!(vm.checkpoints[1].state.disks[0].file, DiskFile::Missing);
        assert!(matches!(vm.current.as_ref().unwrap().parent, StateParent::Guessed(1)));
    }
}

mod owners {
    use super::*;

    fn two() -> (History, History) {
        let mut other = History::new("db01", Generation::Two);
        other.attach("db01", Slot::Scsi(0, 0));
        other.checkpoint("of db01");
        let mut history = history();
        history.checkpoint("of web01");
        (history, other)
    }

    /// Flattened together, so that no folder helps.
    #[track_caller]
    fn are_told_apart(history: &History, other: &History) {
        for form in FORMS {
            let files = [flattened(&history.files(form)), flattened(&other.files(form))].concat();
            let (_dir, folder) = left(&files);
            assert_eq!(folder.machines().len(), 2, "{:?}", folder.machines());
            let [db, web] = [0, 1].map(|at| &folder.machines()[at]);
            assert_eq!((db.name.as_str(), web.name.as_str()), ("db01", "web01"));
            assert_eq!(tree(db), [("of db01", None), ("now", Some("of db01"))]);
            assert_eq!(tree(web), [("of web01", None), ("now", Some("of web01"))]);
        }
    }

    #[test]
    fn the_vm_that_a_checkpoint_names_owns_it() {
        let (history, other) = two();
        are_told_apart(&history, &other);
    }

    #[test]
    fn the_vm_that_lists_a_checkpoint_owns_it() {
        let (mut history, mut other) = two();
        for history in [&mut history, &mut other] {
            history.vm.guesses.checkpoint_names_vm = false;
            history.vm.guesses.vm_lists_checkpoints = true;
        }
        are_told_apart(&history, &other);
    }

    #[test]
    fn the_vm_whose_disks_are_built_on_a_checkpoint_owns_it() {
        let (mut history, mut other) = two();
        for history in [&mut history, &mut other] {
            history.vm.guesses.checkpoint_names_vm = false;
            history.vm.guesses.checkpoint_type = "Virtual Machines".to_owned();
        }
        are_told_apart(&history, &other);
    }

    /// No key and no chain: the disks are gone.
    #[test]
    fn the_only_vm_in_the_folder_owns_what_nobody_else_can() {
        let mut history = history();
        history.checkpoint("a");
        history.vm.guesses.checkpoint_names_vm = false;
        let (_dir, folder) = left(&history.files(Form::Store)[..2]);
        assert_eq!(only(&folder).checkpoints.len(), 1);
    }

    #[test]
    fn checkpoints_of_a_vm_that_is_not_here_are_kept_together_under_its_identifier() {
        let mut history = history();
        history.checkpoint("a");
        history.checkpoint("b");
        for form in FORMS {
            let (_dir, folder) = left(&history.files(form)[1..]);
            let vm = only(&folder);
            assert_eq!((vm.id, vm.current.is_none()), (Some(history.vm.id), true));
            assert_eq!(tree(vm), [("a", None), ("b", Some("a"))]);
            assert_eq!(vm.notes.len(), 1);
        }
    }
}

mod paths {
    use super::*;

    /// What a recorded path leads to.
    #[derive(PartialEq, Debug)]
    enum Found {
        File(String),
        Nothing,
        Several(usize),
    }

    /// One VM with one disk recorded by that path; the images of these names are there. Answers with the name found.
    fn find(recorded: &str, images: &[&str]) -> Found {
        let mut vm = ForgedVm::new("web01", Uuid::from_u128(5), Generation::Two);
        vm.disks = vec![Disk { slot: Slot::Scsi(0, 0), path: recorded.to_owned() }];
        let mut files = vec![store(&vm)];
        for name in images {
            let mut image = History::new(name, Generation::Two);
            image.attach("x", Slot::Scsi(0, 0));
            let content = image.files(Form::Store).pop().unwrap().content;
            files.push(LeftFile { path: (*name).to_owned(), content });
        }
        let (dir, folder) = left(&files);
        let root = fs::canonicalize(dir.path()).unwrap();
        match &only(&folder).current.as_ref().unwrap().disks[0].file {
            DiskFile::Missing => Found::Nothing,
            DiskFile::Ambiguous(several) => Found::Several(several.len()),
            DiskFile::Found(image) => {
                let path = &folder.catalog().image(*image).unwrap().path;
                Found::File(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned())
            }
        }
    }

    #[test]
    fn the_longest_tail_wins() {
        let images = ["disk.vhdx", "b/disk.vhdx", "a/b/disk.vhdx", "c/b/disk.vhdx"];
        assert_eq!(find(r"D:\x\a\b\disk.vhdx", &images), Found::File("a/b/disk.vhdx".to_owned()));
        assert_eq!(find(r"D:\x\c\b\disk.vhdx", &images), Found::File("c/b/disk.vhdx".to_owned()));
        // Of equal ones the nearest, if there is only one.
        assert_eq!(find(r"D:\x\b\disk.vhdx", &images), Found::File("b/disk.vhdx".to_owned()));
        assert_eq!(find(r"D:\x\b\disk.vhdx", &images[2..]), Found::Several(2));
        assert_eq!(find(r"D:\x\y\disk.vhdx", &images[2..]), Found::Several(2));
        assert_eq!(find(r"D:\x\y\disk.vhdx", &images[..1]), Found::File("disk.vhdx".to_owned()));
        assert_eq!(find(r"D:\x\y\other.vhdx", &images), Found::Nothing);
    }

    #[test]
    fn every_kind_of_recorded_path_leads_to_its_file_in_any_letter_case() {
        let images = ["web01/Virtual Hard Disks/DISK.vhdx", "db01/Virtual Hard Disks/disk.vhdx"];
        for root in [
            r"C:\VMs",
            r"\\server\share$",
            r"C:\ClusterStorage\Volume1",
            r"\\?\C:\VMs",
            r"\\?\Volume{c0ffee00-1111-2222-3333-444455556666}",
            "C:/VMs",
        ] {
            for (vm, image) in ["WEB01", "db01"].iter().zip(images) {
                let recorded = format!(r"{root}\{vm}\virtual hard disks\Disk.VHDX");
                assert_eq!(find(&recorded, &images), Found::File(image.to_owned()), "{recorded}");
            }
        }
    }

    #[test]
    fn a_path_that_is_none_leads_nowhere() {
        for recorded in ["..", r"C:\", r"..\..\etc\..", "disk.vhdx:stream"] {
            assert_eq!(find(recorded, &["disk.vhdx"]), Found::Nothing, "{recorded}");
        }
    }

    /// Two VMs with a `disk.vhdx`, of which only the other's is there.
    #[test]
    fn the_path_that_agrees_in_more_names_takes_the_image_from_the_other() {
        let vm = |number, path: &str| {
            let mut vm = ForgedVm::new(&format!("vm{number}"), Uuid::from_u128(number), Generation::Two);
            vm.disks = vec![Disk { slot: Slot::Scsi(0, 0), path: path.to_owned() }];
            vm
        };
        let mut image = History::new("x", Generation::Two);
        image.attach("x", Slot::Scsi(0, 0));
        let content = image.files(Form::Store).pop().unwrap().content;
        let image = |path: &str| LeftFile { path: path.to_owned(), content: content.clone() };
        let of = |folder: &Folder| -> Vec<bool> {
            let disk = |vm: &Vm| vm.current.as_ref().unwrap().disks[0].file.image().is_some();
            folder.machines().iter().map(disk).collect()
        };
        let (first, second) = (vm(1, r"C:\VMs\vm1\Disks\disk.vhdx"), vm(2, r"C:\VMs\vm2\Disks\disk.vhdx"));
        let configurations = [store(&first), store(&second)];
        for (path, expected) in [
            ("vm2/Disks/disk.vhdx", [false, true]),
            ("VM1/disks/disk.vhdx", [true, false]),
            // Nothing tells whose it is.
            ("Disks/disk.vhdx", [false, false]),
            ("disk.vhdx", [false, false]),
        ] {
            let (_dir, folder) = left(&[&configurations[..], &[image(path)]].concat());
            assert_eq!(of(&folder), expected, "{path}");
        }
        let shared = [store(&first), store(&vm(2, r"c:\vms\VM1\Disks\disk.vhdx"))];
        let (_dir, folder) = left(&[&shared[..], &[image("disk.vhdx")]].concat());
        assert_eq!(of(&folder), [true, true], "one path, one disk");
    }
}

mod times {
    use super::*;

    fn created(history: &History) -> Vec<(CreatedSource, String)> {
        let (_dir, folder) = left(&history.files(Form::Store));
        let times = only(&folder).checkpoints.iter().map(|checkpoint| checkpoint.created.unwrap());
        times.map(|created| (created.source, created.at.to_string())).collect()
    }

    #[test]
    fn a_checkpoints_own_time_is_its_time() {
        let mut history = history();
        history.checkpoint("a");
        let expected = (CreatedSource::Configuration, "2024-01-01T01:00:00Z".to_owned());
        assert_eq!(created(&history), [expected]);
    }

    #[test]
    fn a_time_that_was_copied_from_the_vm_or_is_missing_gives_way_to_the_files() {
        for time in [None, history().vm.created] {
            let mut history = history();
            history.checkpoint("a");
            history.vm.checkpoints[0].created = time;
            assert_eq!(created(&history)[0].0, CreatedSource::FileTime);
        }
    }

    #[test]
    fn checkpoints_are_listed_by_time_whatever_their_names() {
        let mut history = history();
        for name in ["z", "a", "m"] {
            history.checkpoint(name);
        }
        let (_dir, folder) = left(&history.files(Form::Xml));
        let names: Vec<_> = only(&folder).checkpoints.iter().map(|found| found.name.as_str()).collect();
        assert_eq!(names, ["z", "a", "m"]);
    }
}
