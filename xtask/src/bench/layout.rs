//! Which layer of a disk stores which sectors, and what that makes of the disk: plans, without a byte of content.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use vhdx_format::forge::{Block, Image, Kind, SectorSet};
use vhdx_format::{BlockSize, Geometry, SectorSize};

use super::sector_map::{SECTOR, SectorMap};

pub(super) const MIB: u64 = 1 << 20;

/// A disk as a chain of images, base first.
pub(super) struct Disk {
    /// Its folder, and the beginning of its files' names.
    pub(super) name: &'static str,
    /// In bytes.
    pub(super) size: u64,
    /// Of its content. Disks with one seed and equal `data` hold the same.
    pub(super) seed: u64,
    /// The sectors that are not zero because nothing was ever written there.
    pub(super) data: Rc<SectorMap>,
    /// At least one.
    pub(super) layers: Vec<Layer>,
}

/// One image: what it stores of the disk.
pub(super) struct Layer {
    pub(super) block_size: BlockSize,
    pub(super) blocks: BTreeMap<u64, Stored>,
}

/// One block of an image. The room of a block is written wholly, also where nobody may see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Stored {
    /// State 6.
    Whole,
    /// State 7: the sectors of these ranges, counted from the start of the block.
    Part(Vec<Range<u64>>),
    /// State 2: reads as zeros, and hides what is below.
    Zero,
}

impl Disk {
    /// A disk that holds what its layers say, nothing else.
    pub(super) fn from_layers(name: &'static str, size: u64, seed: u64, layers: Vec<Layer>) -> Self {
        let data = Rc::new(laid_over(&layers, size));
        Self { name, size, seed, data, layers }
    }

    /// The same disk in other layers, which must store all of its data.
    pub(super) fn restacked(&self, name: &'static str, layers: Vec<Layer>) -> Self {
        Self { name, size: self.size, seed: self.seed, data: Rc::clone(&self.data), layers }
    }

    /// The same disk in one image: each block whole that has any data.
    pub(super) fn in_one_layer(&self, name: &'static str, block_size: BlockSize) -> Self {
        let blocks = self.blocks_with_data(block_size).map(|number| (number, Stored::Whole)).collect();
        self.restacked(name, vec![Layer { block_size, blocks }])
    }

    /// How many bytes the blocks hold that a guest can see, be they zeros.
    pub(super) fn stored_len(&self) -> u64 {
        laid_over(&self.layers, self.size).len() * SECTOR
    }

    /// The blocks of that size in which the disk has any data.
    pub(super) fn blocks_with_data(&self, block_size: BlockSize) -> impl Iterator<Item = u64> {
        let len = u64::from(block_size.bytes()) / SECTOR;
        let count = (self.size / SECTOR).div_ceil(len);
        (0..count).filter(move |number| self.data.touches(number * len..(number + 1) * len))
    }

    /// The name of an image's file.
    pub(super) fn file_name(&self, layer: usize) -> String {
        match layer {
            0 => format!("{}.vhdx", self.name),
            _ => format!("{}-{layer:02}.avhdx", self.name),
        }
    }

    /// The name of the newest image's file.
    pub(super) fn leaf_name(&self) -> String {
        self.file_name(self.layers.len() - 1)
    }

    /// What describes the images' structures, base first. Their blocks have room and no bytes in it.
    pub(super) fn images(&self) -> Vec<Image> {
        let geometry = Geometry::new(self.size, SectorSize::B512, SectorSize::B4096)
            .expect("the sizes in this task make disks");
        let mut images: Vec<Image> = Vec::with_capacity(self.layers.len());
        for (number, layer) in self.layers.iter().enumerate() {
            let name = format!("bench {} {number}", self.name);
            let empty = match images.last() {
                None => Image::dynamic(&name, geometry),
                Some(parent) => Image::child(&name, parent, &self.file_name(number - 1)),
            };
            let blocks = layer.blocks.iter().map(|(&number, stored)| (number, stored.described())).collect();
            images.push(Image { block_size: layer.block_size, blocks, ..empty });
        }
        debug_assert!(images.iter().skip(1).all(|image| matches!(image.kind, Kind::Differencing(_))));
        images
    }
}

impl Layer {
    /// The sectors of the disk that a block is about, as far as the disk goes.
    pub(super) fn sectors_of(&self, block: u64, disk_size: u64) -> Range<u64> {
        let len = u64::from(self.block_size.bytes()) / SECTOR;
        block * len..((block + 1) * len).min(disk_size / SECTOR)
    }

    /// The sectors that this layer answers for: what is below them is hidden.
    pub(super) fn answers(&self, disk_size: u64) -> impl Iterator<Item = (Range<u64>, &Stored)> {
        self.blocks.iter().flat_map(move |(&block, stored)| {
            let whole = self.sectors_of(block, disk_size);
            let runs = match stored {
                Stored::Whole | Stored::Zero => vec![whole],
                Stored::Part(runs) => runs
                    .iter()
                    .map(|run| whole.start + run.start..(whole.start + run.end).min(whole.end))
                    .filter(|run| !run.is_empty())
                    .collect(),
            };
            runs.into_iter().map(move |run| (run, stored))
        })
    }

    fn lay_over(&self, data: &mut SectorMap, disk_size: u64) {
        for (run, stored) in self.answers(disk_size) {
            match stored {
                Stored::Zero => data.remove(run),
                Stored::Whole | Stored::Part(_) => data.insert(run),
            }
        }
    }
}

/// The sectors that are stored, and not hidden by zeros above.
fn laid_over(layers: &[Layer], disk_size: u64) -> SectorMap {
    let mut data = SectorMap::default();
    for layer in layers {
        layer.lay_over(&mut data, disk_size);
    }
    data
}

impl Stored {
    fn described(&self) -> Block {
        match self {
            Self::Whole => Block::full(Vec::new()),
            Self::Zero => Block::absent(2),
            Self::Part(runs) => {
                let sectors: SectorSet = runs.iter().cloned().flatten().collect();
                Block::partial(sectors, Vec::new())
            }
        }
    }
}

/// A block size in MiB.
pub(super) fn mib(count: u32) -> BlockSize {
    BlockSize::from_bytes(count << 20).expect("the sizes in this task make blocks")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(run: Range<u64>) -> Vec<Range<u64>> {
        std::iter::once(run).collect()
    }

    #[test]
    fn zeros_hide_and_parts_add() {
        let layer =
            |blocks: Vec<(u64, Stored)>| Layer { block_size: mib(1), blocks: blocks.into_iter().collect() };
        let base = layer(vec![(0, Stored::Whole), (1, Stored::Whole)]);
        let child =
            layer(vec![(0, Stored::Zero), (1, Stored::Part(one(0..9))), (2, Stored::Part(one(3..5)))]);
        let disk = Disk::from_layers("d", 4 * MIB, 1, vec![base, child]);
        let mut expected = SectorMap::default();
        expected.insert(2048..4096);
        expected.insert(4096 + 3..4096 + 5);
        assert_eq!(*disk.data, expected);
        assert_eq!(disk.blocks_with_data(mib(1)).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((disk.file_name(0), disk.leaf_name()), ("d.vhdx".to_owned(), "d-01.avhdx".to_owned()));
    }

    #[test]
    fn no_block_reaches_past_the_disk() {
        let layer = Layer {
            block_size: mib(2),
            blocks: [(0, Stored::Whole), (1, Stored::Part(one(2000..4096)))].into(),
        };
        let disk = Disk::from_layers("d", 3 * MIB, 1, vec![layer]);
        assert_eq!(disk.data.len(), 4096 + 48);
    }

    #[test]
    fn one_layer_holds_all_of_the_data() {
        let parts = Layer { block_size: mib(2), blocks: [(3, Stored::Part(one(1..2)))].into() };
        let disk = Disk::from_layers("d", 64 * MIB, 1, vec![parts]);
        let one = disk.in_one_layer("one", mib(32));
        assert_eq!(one.layers[0].blocks.keys().copied().collect::<Vec<_>>(), [0]);
        assert_eq!((&one.data, one.stored_len()), (&disk.data, 32 * MIB));
    }
}
