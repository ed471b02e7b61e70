//! The images that tests start from. What their disks hold is for the forge's model to say.

use uuid::Uuid;
use vhdx_format::forge::random::Random;
use vhdx_format::forge::{Block, Image};
use vhdx_format::{BlockSize, Geometry, SectorSize};

const MIB: u64 = 1 << 20;

/// A disk of that size. The physical sector is the common one, 4096 bytes.
pub(crate) fn geometry(size: u64, logical: u32) -> Geometry {
    let logical = SectorSize::from_bytes(logical).unwrap();
    Geometry::new(size, logical, SectorSize::B4096).unwrap()
}

/// The GUID with that number.
pub(crate) fn guid(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// A disk of 4 MiB and a bit in blocks of 1 MiB, of which the first and the third hold data.
pub(crate) fn small_base(name: &str) -> Image {
    let mut image = Image::dynamic(name, geometry(4 * MIB + 4096, 512));
    image.block_size = BlockSize::MIN;
    let mut random = Random::new(name.len() as u64);
    image.blocks.insert(0, Block::full(vec![(0, random.bytes(5000)), (700_000, random.bytes(3000))]));
    image.blocks.insert(2, Block::full(vec![(0, random.bytes(MIB as usize))]));
    image
}

/// `small_base` as `0.vhdx`, and two children over it.
pub(crate) fn chain(name: &str) -> Vec<Image> {
    let base = small_base(&format!("{name} base"));
    filled_over(base, name)
}

/// A stack of three on a disk of any size: data in the first blocks and up to the last byte, whole blocks, single and
/// alternating sectors, zeroed blocks that hide data.
pub(crate) fn filled_chain(name: &str, geometry: Geometry) -> Vec<Image> {
    let mut base = Image::dynamic(name, geometry);
    base.block_size = BlockSize::MIN;
    let mut random = Random::new(name.len() as u64);
    let last = (geometry.size() - 1) / MIB;
    let end = geometry.size() - last * MIB;
    for number in (0..last).filter(|number| number % 3 != 2) {
        base.blocks.insert(number, Block::full(vec![(number * 1000, random.bytes(30_000))]));
    }
    base.blocks.insert(last, Block::full(vec![(end - 300, random.bytes(300))]));
    filled_over(base, name)
}

/// A stack of three on a disk that is mostly holes, and longer than two ranges of a manifest. In the second of its three
/// ranges there are stored zeros and nothing else; the last sector is no whole 4 KiB.
pub(crate) fn sparse_chain(name: &str) -> Vec<Image> {
    let size = 150 * MIB + 512;
    let mut base = Image::dynamic(name, geometry(size, 512));
    base.block_size = BlockSize::MIN;
    let mut random = Random::new(name.len() as u64);
    base.blocks.insert(5, Block::full(vec![(300_000, random.bytes(70_000))]));
    base.blocks.insert(63, Block::full(vec![(MIB - 1000, random.bytes(1000))]));
    base.blocks.insert(70, Block::full(Vec::new()));
    base.blocks.insert(130, Block::full(vec![(4096, random.bytes(300_000))]));
    base.blocks.insert(150, Block::full(vec![(0, random.bytes(512))]));
    filled_over(base, name)
}

fn filled_over(base: Image, name: &str) -> Vec<Image> {
    let mut random = Random::new(7);
    let last = (base.geometry.size() - 1) / MIB;
    let mut middle = Image::child(&format!("{name} middle"), &base, "0.vhdx");
    let alternating = (0..512).step_by(2).collect();
    middle.blocks.insert(0, Block::partial(alternating, vec![(0, random.bytes(2 * MIB as usize))]));
    middle.blocks.insert(1, Block::absent(2));
    let mut leaf = Image::child(&format!("{name} leaf"), &middle, "1.vhdx");
    leaf.block_size = BlockSize::MIN;
    leaf.blocks.insert(1, Block::full(vec![(0, random.bytes(10)), (4096, random.bytes(9000))]));
    let single = std::iter::once(0).collect();
    leaf.blocks.insert(last, Block::partial(single, vec![(0, random.bytes(4096))]));
    vec![base, middle, leaf]
}

/// A fixed image all of whose blocks are allocated and hold zeros: costs no disk space, and takes time to read.
pub(crate) fn zeros_of(size: u64) -> Image {
    let mut image = Image::fixed("zeros", geometry(size, 512));
    image.block_size = BlockSize::from_bytes(32 << 20).unwrap();
    image
}
