//! Reproducible randomness, and random stacks of images for property tests: one seed, one stack.
//!
//! Everything that a reader must cope with in valid images turns up: all legal states, mixed block sizes, single and
//! alternating sectors, bytes in the file that no guest may see, shuffled files, parents of another length.

use super::{Block, DirtyLog, Image, Kind, Order, Ring, SectorSet, SparseFile, Stale};
use crate::wire::log::SECTOR_LEN;
use crate::{BlockSize, Geometry, SectorSize};

/// A small generator (`SplitMix64`), so that a seed means the same bytes for ever.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of that seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, or 0 where there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end.max(1)
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of `choices`, which are not empty.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// Bytes of which none is zero, so that a missing one shows.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.number() as u8 | 1).collect()
    }

    /// Puts `items` in a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// A random stack of `depth` valid images, base first, of disks between one sector and `size_max` bytes.
///
/// Image number n names its parent `.\{n - 1}.vhdx`. The base is dynamic or fixed. Most layers have the base's size,
/// some another one. What the disk holds is for [`super::disk_of`] to say.
#[must_use]
pub fn stack(seed: u64, depth: usize, size_max: u64) -> Vec<Image> {
    let mut random = Random::new(seed);
    let sector = random.one_of(&[SectorSize::B512, SectorSize::B4096]);
    let mut images: Vec<Image> = Vec::with_capacity(depth);
    let Some(base_geometry) = geometry(&mut random, sector, size_max) else { return images };
    for number in 0..depth {
        let name = format!("stack {seed} image {number}");
        let mut image = match images.last() {
            Some(parent) => Image::child(&name, parent, &format!("{}.vhdx", number - 1)),
            None if random.once_in(4) => Image::fixed(&name, base_geometry),
            None => Image::dynamic(&name, base_geometry),
        };
        image.geometry = base_geometry;
        if random.once_in(6) {
            image.geometry = geometry(&mut random, sector, size_max).unwrap_or(base_geometry);
        }
        fill(&mut image, &mut random);
        images.push(image);
    }
    images
}

/// A log of everything that may be logged in the file that `image` built, with every trap that a seed may set.
///
/// # Panics
///
/// Where the file has no header.
#[must_use]
pub fn dirty_log(image: &Image, file: &SparseFile, seed: u64) -> DirtyLog {
    let mut random = Random::new(seed);
    let ring = Ring::of(file).unwrap_or_else(|| unreachable!("a built file has headers"));
    let starts: Vec<u64> =
        image.places().into_values().map(|range| range.start).filter(|&at| at != ring.at).collect();
    let mut sectors = image.metadata_sectors(file);
    random.shuffle(&mut sectors);
    sectors.truncate(20);
    // The metadata and the table come first among the places, then sector bitmaps and payload.
    let zeroed = starts.iter().take(random.one_of(&[0, 1, 2])).map(|&at| at..at + 4 * SECTOR_LEN).collect();
    DirtyLog {
        first_sequence_number: random.number() >> random.below(60) | 1 << 12,
        start: random.below(ring.len / SECTOR_LEN) * SECTOR_LEN,
        sectors,
        sectors_per_entry: random.below(9) as usize + 1,
        stale: random.one_of(&[Stale::Zeros, Stale::Garbage]),
        zeroed,
        superseded: random.once_in(2),
        before_tail: starts.into_iter().filter(|_| random.once_in(2)).take(5).collect(),
        torn: random.once_in(2),
        foreign: random.once_in(2),
        ..DirtyLog::default()
    }
}

pub(super) fn geometry(random: &mut Random, sector: SectorSize, size_max: u64) -> Option<Geometry> {
    let sectors = size_max / u64::from(sector.bytes());
    let size = (random.below(sectors) + 1) * u64::from(sector.bytes());
    let physical = random.one_of(&[SectorSize::B512, SectorSize::B4096]);
    Geometry::new(size, sector, physical).ok()
}

/// Gives an image random blocks in a random order.
fn fill(image: &mut Image, random: &mut Random) {
    let mib = random.one_of(&[1, 1, 2, 2, 4, 32]);
    image.block_size = BlockSize::from_bytes(mib << 20).unwrap_or(BlockSize::MIN);
    let shuffled = Order::Shuffled(random.number());
    image.placement.order = random.one_of(&[Order::Windows, shuffled]);
    let states: &[u8] = match image.kind {
        Kind::Differencing(_) => &[0, 0, 1, 2, 3, 6, 7, 7, 7],
        Kind::Dynamic => &[0, 1, 2, 3, 6, 6],
        Kind::Fixed => &[6],
    };
    fill_blocks(image, random, states);
}

/// Gives every block one of `states`, and whatever that state needs.
pub(super) fn fill_blocks(image: &mut Image, random: &mut Random, states: &[u8]) {
    for number in 0..image.layout().block_count() {
        let state = random.one_of(states);
        let block = match state {
            7 => Block::partial(sectors(image, random), data(image, random)),
            6 => Block::full(data(image, random)),
            1 | 3 if random.once_in(2) => Block::anchored(state, data(image, random)),
            _ => Block::absent(state),
        };
        image.blocks.insert(number, block);
    }
}

/// A few runs of bytes anywhere in the block, the part that no guest may see included.
fn data(image: &Image, random: &mut Random) -> Vec<(u64, Vec<u8>)> {
    let block_len = u64::from(image.block_size.bytes());
    // Where the disk is smaller than the block, most of the block would be invisible.
    let reach = block_len.min(image.geometry.size() + 4096);
    (0..random.below(5))
        .map(|_| {
            let at = random.below(reach);
            let len = random.below(10_000).min(block_len - at);
            (at, random.bytes(len as usize))
        })
        .collect()
}

fn sectors(image: &Image, random: &mut Random) -> SectorSet {
    let count = u64::from(image.block_size.bytes() / image.geometry.logical_sector().bytes());
    let visible = count.min(image.geometry.size() / u64::from(image.geometry.logical_sector().bytes()));
    match random.below(6) {
        0 => SectorSet::default(),
        1 => (0..count).collect(),
        2 => std::iter::once(random.below(visible)).collect(),
        3 => (random.below(2)..count).step_by(2).collect(),
        4 => (0..count).filter(|sector| sector / 8 % 3 != 1).collect(),
        _ => {
            let start = random.below(visible);
            (start..count.min(start + random.below(64) + 1)).collect()
        }
    }
}
