//! What is particular to files: names that may not be taken, partial files of others, and room.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::exported;
use super::model::{Fill, Hollow, ModelDisk};
use crate::sink::Stage;
use crate::{
    Cancel, ExportError, FileIdentity, NoProgress, NotAFile, Options, Overwrite, SinkError, SpaceError,
    StagedFile, Target, TargetError, raw,
};

fn directory_with(name: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    (directory, path)
}

fn refusal(target: &Target) -> TargetError {
    let checked = target.check().expect_err("the check refuses");
    let created = StagedFile::create(target).expect_err("so does the file");
    assert_eq!(checked.to_string(), created.to_string());
    match checked {
        SinkError::Target(error) => error,
        other => panic!("{other}"),
    }
}

fn names(directory: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(directory.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_exists_is_replaced_only_when_told_to_and_only_at_the_end() {
    let (_directory, path) = directory_with("disk.raw");
    fs::write(&path, "old").unwrap();
    assert_eq!(refusal(&Target::new(&path, Overwrite::Refuse)), TargetError::Exists(path.clone()));

    let stage = StagedFile::create(&Target::new(&path, Overwrite::Replace)).unwrap();
    stage.set_len(5).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"old");
    stage.publish().unwrap();
    assert_eq!(fs::read(&path).unwrap(), [0; 5]);
}

#[test]
fn a_file_that_appears_meanwhile_is_not_replaced() {
    let (directory, path) = directory_with("disk.raw");
    let stage = StagedFile::create(&Target::new(&path, Overwrite::Refuse)).unwrap();
    fs::write(&path, "somebody else's").unwrap();
    let error = stage.publish().unwrap_err();
    assert!(matches!(error, SinkError::Target(TargetError::Exists(_))), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"somebody else's");
    assert_eq!(names(&directory), ["disk.raw"]);
}

#[cfg(unix)]
#[test]
fn a_source_is_never_written_whatever_it_is_called() {
    let (directory, source) = directory_with("source.vhdx");
    fs::write(&source, "precious").unwrap();
    let (hard, soft) = (directory.path().join("hard"), directory.path().join("soft"));
    fs::hard_link(&source, &hard).unwrap();
    std::os::unix::fs::symlink(&source, &soft).unwrap();
    let identity = FileIdentity::of_open(&source, &File::open(&source).unwrap()).unwrap();
    for name in [&source, &hard, &soft] {
        for overwrite in [Overwrite::Refuse, Overwrite::Replace] {
            let target = Target::new(name, overwrite).forbid([identity.clone()]);
            assert_eq!(refusal(&target), TargetError::IsSource(name.clone()));
        }
    }
    // Also where only the partial file would hit it.
    let innocent = directory.path().join("out");
    fs::hard_link(&source, directory.path().join("out.partial")).unwrap();
    let target = Target::new(innocent, Overwrite::Replace).forbid([identity]);
    let error = StagedFile::create(&target).unwrap_err();
    assert!(matches!(error, SinkError::Target(TargetError::IsSource(_))), "{error}");
    assert_eq!(fs::read(&source).unwrap(), b"precious");
    assert_eq!(names(&directory), ["hard", "out.partial", "soft", "source.vhdx"]);
}

#[cfg(unix)]
#[test]
fn replacing_a_link_leaves_what_it_points_to() {
    let (directory, path) = directory_with("disk.raw");
    let elsewhere = directory.path().join("elsewhere");
    fs::write(&elsewhere, "stays").unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    assert_eq!(refusal(&Target::new(&path, Overwrite::Refuse)), TargetError::Exists(path.clone()));
    StagedFile::create(&Target::new(&path, Overwrite::Replace)).unwrap().publish().unwrap();
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
    assert_eq!(fs::read(&elsewhere).unwrap(), b"stays");
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_counts_as_taken() {
    let (_directory, path) = directory_with("disk.raw");
    std::os::unix::fs::symlink("nowhere", &path).unwrap();
    assert_eq!(refusal(&Target::new(&path, Overwrite::Refuse)), TargetError::Exists(path));
}

#[test]
fn a_target_must_be_a_file_in_a_directory_that_exists() {
    let (directory, path) = directory_with("not there/disk.raw");
    let missing = path.parent().map(Path::to_owned).unwrap();
    assert_eq!(refusal(&Target::new(path, Overwrite::Replace)), TargetError::NoDirectory(missing));

    let mut slashed = directory.path().join("disk.raw").into_os_string();
    slashed.push("/");
    for path in [directory.path().to_owned(), slashed.into(), directory.path().join("..")] {
        let expected = TargetError::NotAFile { path: path.clone(), kind: NotAFile::Directory };
        assert_eq!(refusal(&Target::new(path, Overwrite::Replace)), expected);
    }
    assert!(names(&directory).is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn devices_and_pipes_are_neither_targets_nor_partial_files() {
    let null = PathBuf::from("/dev/null");
    let expected = TargetError::NotAFile { path: null.clone(), kind: NotAFile::Special };
    assert_eq!(refusal(&Target::new(null, Overwrite::Replace)), expected);

    let (directory, path) = directory_with("disk.raw");
    let target = Target::new(path, Overwrite::Replace);
    let made = std::process::Command::new("mkfifo").arg(target.partial()).status().unwrap();
    assert!(made.success());
    for kind in [NotAFile::Special, NotAFile::Link] {
        let error = StagedFile::create(&target).unwrap_err();
        let expected = TargetError::NotAFile { path: target.partial(), kind };
        assert!(matches!(&error, SinkError::Target(found) if *found == expected), "{error}");
        assert_eq!(names(&directory), ["disk.raw.partial"]);
        fs::remove_file(target.partial()).unwrap();
        std::os::unix::fs::symlink("/dev/null", target.partial()).unwrap();
    }
}

#[test]
fn a_partial_file_of_a_killed_run_is_taken_over_but_not_its_other_names() {
    let (directory, path) = directory_with("disk.raw");
    let target = Target::new(&path, Overwrite::Refuse);
    fs::write(target.partial(), "left behind").unwrap();
    let other = directory.path().join("other");
    fs::hard_link(target.partial(), &other).unwrap();
    StagedFile::create(&target).unwrap().publish().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"");
    assert_eq!(fs::read(&other).unwrap(), b"left behind");
    assert!(!target.partial().exists());
}

#[test]
fn a_partial_file_in_use_is_left_alone() {
    let (directory, path) = directory_with("disk.raw");
    let target = Target::new(&path, Overwrite::Refuse);
    let first = StagedFile::create(&target).unwrap();
    let error = StagedFile::create(&target).unwrap_err();
    assert!(matches!(error, SinkError::Target(TargetError::Busy(_))), "{error}");
    assert_eq!(names(&directory), ["disk.raw.partial"]);
    drop(first);
    assert!(names(&directory).is_empty());
    StagedFile::create(&target).unwrap();
}

#[cfg(unix)]
#[test]
fn what_somebody_else_put_in_the_place_of_a_partial_file_is_not_published() {
    let (directory, path) = directory_with("disk.raw");
    let target = Target::new(&path, Overwrite::Replace);
    let stage = StagedFile::create(&target).unwrap();
    fs::remove_file(target.partial()).unwrap();
    fs::write(target.partial(), "not ours").unwrap();
    let error = stage.publish().unwrap_err();
    assert!(matches!(error, SinkError::Target(TargetError::Lost(_))), "{error}");
    assert_eq!(names(&directory), ["disk.raw.partial"]);
}

#[cfg(unix)]
#[test]
fn too_little_room_is_found_before_the_first_byte() {
    /// A disk that claims to store everything.
    struct Full(Hollow);
    impl vhdx_format::VirtualDisk for Full {
        fn geometry(&self) -> &vhdx_format::Geometry {
            self.0.geometry()
        }
        fn extents(&self, range: vhdx_format::DiskRange) -> vhdx_format::Extents<'_> {
            let at = vhdx_format::FileOffset(0);
            let content = vhdx_format::Content::Data { layer: vhdx_format::LayerIndex(0), at };
            Box::new(std::iter::once(Ok(vhdx_format::Extent {
                start: range.start(),
                len: range.len(),
                content,
            })))
        }
        fn layer(&self, index: vhdx_format::LayerIndex) -> Option<&dyn vhdx_format::ReadAt> {
            self.0.layer(index)
        }
    }
    let (directory, path) = directory_with("disk.raw");
    let disk = Full(Hollow::new(64 << 40));
    let target = Target::new(path, Overwrite::Refuse);
    let error = raw::to_file(&target, &disk).unwrap_err();
    let ExportError::Sink(SinkError::Space(SpaceError::Short { need, have, .. })) = error else {
        panic!("{error}")
    };
    assert_eq!(need, 64 << 40);
    assert!(have < need);
    assert!(names(&directory).is_empty());
    StagedFile::create(&target.without_space_check()).unwrap();
}

#[cfg(unix)]
#[test]
fn a_sparse_file_takes_room_for_its_data_only() {
    use std::os::unix::fs::{FileExt, MetadataExt};
    let (_directory, path) = directory_with("disk.raw");
    let disk = Hollow::new(1 << 40);
    let sink = raw::to_file(&Target::new(&path, Overwrite::Refuse), &disk).unwrap();
    let done = exported(&disk, sink, &Options::default(), &NoProgress, &Cancel::new()).unwrap();
    assert_eq!(done.content.total(), 1 << 40);
    assert!(done.content.data <= 64 << 10);
    let found = fs::metadata(&path).unwrap();
    assert_eq!(found.len(), 1 << 40);
    assert!(found.blocks() * 512 <= 1 << 20);
    let mut sector = [0; 512];
    File::open(&path).unwrap().read_exact_at(&mut sector, disk.data_at()).unwrap();
    assert_eq!(sector, [7; 512]);
}

#[cfg(unix)]
#[test]
fn stored_zeros_become_holes() {
    use std::os::unix::fs::MetadataExt;
    let (_directory, path) = directory_with("disk.raw");
    let disk = ModelDisk::new(&[(512, Fill::Noise), (16 << 20, Fill::StoredZeros)]);
    let sink = raw::to_file(&Target::new(&path, Overwrite::Refuse), &disk).unwrap();
    exported(&disk, sink, &Options::default(), &NoProgress, &Cancel::new()).unwrap();
    assert!(fs::metadata(&path).unwrap().blocks() * 512 <= 1 << 20);
    assert!(fs::read(&path).unwrap() == disk.content);
}
