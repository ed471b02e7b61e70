//! Random trees of images in a folder, resolved and read, against the naive model of what a guest would see.
//!
//! `VHDX_EXPORT_TREES` says how many trees, `VHDX_EXPORT_SEED` which one comes first: a number, or `clock`. A failure
//! says how to have its tree again, alone.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use chain_resolve::{Chain, FoundBy, SearchPolicy, resolve};
use vhdx_format::forge::random::Random;
use vhdx_format::forge::tree::{Node, chain, tree};
use vhdx_format::forge::{assert_extent_law, clip, disk_of};
use vhdx_format::{
    Content, DiskOffset, DiskRange, Extent, FileOffset, LayerContent, LayerIndex, LogState, ReadAt,
    VirtualDisk, read_disk, read_extent,
};

const TREES: u64 = 200;

/// Any fixed number does; it decides which trees everybody sees by default.
const SEED: u64 = 20_260_101;

#[test]
fn every_leaf_reads_as_its_model_and_no_source_changes() {
    let trees = std::env::var("VHDX_EXPORT_TREES").map_or(TREES, |text| text.parse().expect("a number"));
    let first = first_seed();
    println!("VHDX_EXPORT_SEED={first} VHDX_EXPORT_TREES={trees}");
    let mut tally = Tally::default();
    for seed in (0..trees).map(|number| first.wrapping_add(number)) {
        let on_failure = Reproduce(seed);
        check_tree(seed, &mut tally);
        drop(on_failure);
    }
    println!("{tally:?}");
    // Seeds alone do not promise that every case turns up; the default ones must.
    if trees >= TREES {
        assert!(tally.by_path > 0 && tally.by_name > 0 && tally.by_identity > 0, "{tally:?}");
        assert!(tally.replayed > 0 && tally.branches > 0 && tally.deepest > 16, "{tally:?}");
        assert!(tally.shorter_parents > 0 && tally.longer_parents > 0, "{tally:?}");
    }
}

fn first_seed() -> u64 {
    match std::env::var("VHDX_EXPORT_SEED").as_deref() {
        Err(_) => SEED,
        Ok("clock") => SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs() << 20,
        Ok(text) => text.parse().expect("a number or `clock`"),
    }
}

/// Says how to have the failure again, whatever the failure is.
struct Reproduce(u64);

impl Drop for Reproduce {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("tree {0}: again with VHDX_EXPORT_SEED={0} VHDX_EXPORT_TREES=1", self.0);
        }
    }
}

/// What turned up in a run.
#[derive(Default, Debug)]
struct Tally {
    leaves: u64,
    branches: u64,
    deepest: usize,
    replayed: u64,
    by_path: u64,
    by_name: u64,
    by_identity: u64,
    shorter_parents: u64,
    longer_parents: u64,
}

impl Tally {
    fn note(&mut self, found: &Chain) {
        self.leaves += 1;
        self.deepest = self.deepest.max(found.files().len());
        for (file, layer) in found.links() {
            self.replayed += u64::from(layer.outline().log_state() != LogState::Clean);
            match file.found_by {
                FoundBy::Selection => {}
                FoundBy::StoredPath => self.by_path += 1,
                FoundBy::StoredName => self.by_name += 1,
                FoundBy::Identity => self.by_identity += 1,
            }
        }
        for pair in found.layers().windows(2) {
            let [child, parent] = [0, 1].map(|at| pair[at].outline().geometry().size());
            self.shorter_parents += u64::from(parent < child);
            self.longer_parents += u64::from(parent > child);
        }
    }
}

fn check_tree(seed: u64, tally: &mut Tally) {
    let mut random = Random::new(!seed);
    let nodes = tree(seed);
    let dir = tempfile::tempdir().expect("a folder");
    let files: Vec<PathBuf> = nodes.iter().map(|node| save(dir.path(), node)).collect();
    let before: Vec<SystemTime> = files.iter().map(|path| modified(path)).collect();
    let policy = SearchPolicy::new([dir.path().to_path_buf()]).expect("the folder is there");

    let is_leaf = |number: &usize| nodes.iter().all(|node| node.parent != Some(*number));
    let mut ends: Vec<usize> = (0..nodes.len()).filter(is_leaf).collect();
    tally.branches += u64::from(ends.len() > 1);
    // A checkpoint's disk is an inner image.
    ends.push(random.below(nodes.len() as u64) as usize);
    for end in ends {
        let found = resolve(&files[end], &policy).expect("every parent can be found");
        tally.note(&found);
        let images = chain(&nodes, end);
        assert_eq!(found.files().len(), images.len(), "layers");
        check_disk(&found, &disk_of(&images), &mut random);
        check_layers(&found);
        found.check_unchanged().expect("nobody writes");
    }
    for ((node, path), before) in nodes.iter().zip(&files).zip(before) {
        assert_eq!(modified(path), before, "{} was written to", node.path);
        assert_same_bytes(node, path);
    }
}

fn save(folder: &Path, node: &Node) -> PathBuf {
    let path = folder.join(&node.path);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a new folder");
    node.file.save(&File::create(&path).expect("a new file")).expect("room");
    path
}

fn modified(path: &Path) -> SystemTime {
    std::fs::metadata(path).and_then(|data| data.modified()).expect("a time")
}

/// The pages that hold anything, and the length; a hole that was filled shows in the time.
fn assert_same_bytes(node: &Node, path: &Path) {
    let file = File::open(path).expect("still there");
    assert_eq!(file.byte_len().expect("a length"), node.file.len(), "{}", node.path);
    for at in node.file.pages() {
        let len = (node.file.len() - at).min(4096) as usize;
        let mut bytes = vec![0; len];
        ReadAt::read_exact_at(&file, FileOffset(at), &mut bytes).expect("a page");
        assert!(bytes == node.file.read(at, len), "{} changed at {at:#x}", node.path);
    }
}

fn check_disk(disk: &dyn VirtualDisk, model: &[u8], random: &mut Random) {
    let size = model.len() as u64;
    assert_eq!(disk.geometry().size(), size, "size of the disk");
    let whole = disk.geometry().range();
    let extents = extents_of(disk, whole);
    assert_extent_law(whole, &extents);
    for extent in &extents {
        let (start, len) = (extent.start.0 as usize, extent.len as usize);
        let expected = &model[start..start + len];
        let mut bytes = vec![0x55; len];
        read_extent(disk, &extent.content, &mut bytes).expect("an extent can be read");
        assert!(bytes == expected, "bytes of {extent:?}");
    }
    for _ in 0..12 {
        let range = odd_range(size, random);
        let clipped = extents_of(disk, range);
        assert_extent_law(range, &clipped);
        assert_eq!(clipped, clip(&extents, range), "a walk over {range} alone");
        let mut bytes = vec![0x55; range.len() as usize];
        read_disk(disk, range.start(), &mut bytes).expect("a range can be read");
        assert!(bytes == model[range.start().0 as usize..range.end().0 as usize], "bytes of {range}");
    }
    let past = DiskRange::new(DiskOffset(0), DiskOffset(u64::MAX));
    assert_eq!(extents_of(disk, past), extents, "what lies behind the disk's end is left out");
    assert!(read_disk(disk, DiskOffset(size), &mut [0]).is_err(), "a byte behind the end");
}

fn extents_of(disk: &dyn VirtualDisk, range: DiskRange) -> Vec<Extent<Content>> {
    disk.extents(range).collect::<Result<_, _>>().expect("a walk without errors")
}

/// A range of any length, most often a short one.
fn odd_range(size: u64, random: &mut Random) -> DiskRange {
    let start = random.below(size);
    let longest = random.one_of(&[1, 700, 5000, 3 << 20, u64::MAX]).min(size - start);
    let len = random.below(longest) + 1;
    DiskRange::new(DiskOffset(start), DiskOffset(start + len))
}

/// Each image alone obeys the law, inside its disk and past its end.
fn check_layers(found: &Chain) {
    for (index, layer) in found.layers().iter().enumerate() {
        let size = layer.outline().geometry().size();
        for range in [
            DiskRange::new(DiskOffset(0), DiskOffset(size)),
            DiskRange::new(DiskOffset(size / 3), DiskOffset(size + (9 << 20))),
        ] {
            let extents: Result<Vec<_>, _> = layer.extents(range).collect();
            let extents = extents.expect("a walk without errors");
            assert_extent_law(range, &extents);
            let last = extents.last().expect("an extent");
            assert!(range.end().0 <= size || last.content == LayerContent::Zero, "past the end of {index}");
        }
        assert!(found.layer(LayerIndex(index)).is_some(), "the bytes of layer {index}");
    }
    assert!(found.layer(LayerIndex(found.layers().len())).is_none(), "a layer too many");
}
