//! Small images and the few questions that every test asks of them.

use vhdx_format::forge::{Block, Image, Item, SparseFile};
use vhdx_format::{
    BlockSize, Corruption, DiskOffset, FileOffset, Geometry, ImageError, Layer, LayerStack, OpenStack,
    Problem, SectorSize, Structure, VirtualDisk, read_disk,
};

pub(crate) const MIB: u64 = 1 << 20;

/// Where the structures of a forged image lie unless it says otherwise.
pub(crate) const LOG: u64 = MIB;
pub(crate) const METADATA: u64 = 2 * MIB;
pub(crate) const BAT: u64 = 3 * MIB;
pub(crate) const HEADERS: [u64; 2] = [0x1_0000, 0x2_0000];
pub(crate) const TABLES: [u64; 2] = [0x3_0000, 0x4_0000];

pub(crate) fn geometry(size: u64) -> Geometry {
    Geometry::new(size, SectorSize::B512, SectorSize::B4096).expect("a possible disk")
}

pub(crate) fn mib(count: u32) -> BlockSize {
    BlockSize::from_bytes(count << 20).expect("a possible block size")
}

/// A dynamic image of 8 MiB in blocks of 1 MiB; blocks 1 and 5 are there.
pub(crate) fn dynamic() -> Image {
    let mut image = Image::dynamic("dynamic", geometry(8 * MIB));
    image.block_size = mib(1);
    for number in [1, 5] {
        image.blocks.insert(number, Block::full(vec![(100, vec![0xD0 + number as u8; 5000])]));
    }
    image
}

/// A child of [`dynamic`] in blocks of 2 MiB; block 2 has its first two sectors.
pub(crate) fn child() -> Image {
    let mut child = Image::child("child", &dynamic(), "dynamic.vhdx");
    child.blocks.insert(2, Block::partial([0, 1].into_iter().collect(), vec![(0, vec![0xC2; 4096])]));
    child
}

/// The item of that number, as Windows orders them.
pub(crate) fn item(image: &mut Image, number: usize) -> &mut Item {
    &mut image.items_mut()[number]
}

pub(crate) fn open(file: &SparseFile) -> Result<Layer, ImageError> {
    Layer::open(Box::new(file.clone()))
}

/// Opens a stack of files, base first.
pub(crate) fn stack(files: &[SparseFile]) -> LayerStack {
    let mut layers = files.iter().rev().map(|file| open(file).expect("a valid image"));
    let mut stack = OpenStack::new(layers.next().expect("a leaf"));
    for parent in layers {
        stack.push(parent).expect("the parent that is wanted");
    }
    stack.complete().expect("the base is the last")
}

pub(crate) fn bytes(disk: &dyn VirtualDisk, at: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0x55; len];
    read_disk(disk, DiskOffset(at), &mut bytes).expect("a readable disk");
    bytes
}

/// The whole disk of a stack, base first.
pub(crate) fn disk(files: &[SparseFile]) -> Vec<u8> {
    let stack = stack(files);
    let len = usize::try_from(stack.geometry().size()).expect("a small disk");
    bytes(&stack, 0, len)
}

/// Builds the image and asserts that its disk is the model's.
#[track_caller]
pub(crate) fn assert_reads(file: &SparseFile, image: &Image) {
    let model = vhdx_format::forge::disk_of(std::slice::from_ref(image));
    assert!(disk(std::slice::from_ref(file)) == model, "the disk is not the model's");
}

#[track_caller]
pub(crate) fn assert_corrupt(file: &SparseFile, structure: Structure, at: u64, problem: Problem) {
    match open(file) {
        Err(ImageError::Corrupt(found)) => {
            assert_eq!(found, Corruption { structure, at: FileOffset(at), problem });
        }
        other => panic!("expected {structure} at {at:#x}: {problem}, found {other:?}"),
    }
}

/// The corruption, for problems that are too long to write down.
#[track_caller]
pub(crate) fn corruption(file: &SparseFile) -> Corruption {
    match open(file) {
        Err(ImageError::Corrupt(found)) => found,
        other => panic!("expected corruption, found {other:?}"),
    }
}

/// `Truncated` or `Limit` as its structure and its two numbers: need and have, limit and found.
#[track_caller]
pub(crate) fn shortage(file: &SparseFile) -> (Structure, u64, u64) {
    match open(file) {
        Err(ImageError::Truncated { structure, need, have }) => (structure, need, have),
        Err(ImageError::Limit { structure, limit, found, .. }) => (structure, limit, found),
        other => panic!("expected a file that is too short or asks too much, found {other:?}"),
    }
}

#[track_caller]
pub(crate) fn unsupported(file: &SparseFile) -> vhdx_format::Unsupported {
    match open(file) {
        Err(ImageError::Unsupported(found)) => found,
        other => panic!("expected something unsupported, found {other:?}"),
    }
}

pub(crate) fn value(field: &'static str, expected: &'static str, found: u64) -> Problem {
    Problem::Value { field, expected, found }
}

pub(crate) fn put(bytes: &mut [u8], at: usize, number: u64) {
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
}
