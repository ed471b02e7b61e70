//! The disks that are measured, each made for one question. The same every time: they come from fixed seeds.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use clap::ValueEnum;
use vhdx_format::forge::random::Random;

use super::layout::{Disk, Layer, MIB, Stored, mib};
use super::sector_map::SectorMap;

const GIB: u64 = 1 << 30;
/// Sectors in a block of 2 MiB, the size that Windows gives its checkpoints.
const BLOCK_SECTORS: u64 = 4096;

/// A disk by name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
pub(super) enum DiskName {
    /// A VM's disk of 6 GiB with four checkpoints
    Five,
    /// The disk of `five` in one dynamic image
    Plain,
    /// The disk of `five` in 64 images
    Deep,
    /// The disk of `five` in one image with blocks as small as those of `deep`
    Shallow,
    /// A disk whose sectors alternate between a base and its child
    Scattered,
    /// The disk of `scattered` in one image
    Whole,
    /// 64 TiB, nearly all of it empty
    Huge,
    /// As `five`, for those who count instructions
    Small,
}

impl DiskName {
    /// Every disk.
    pub(super) const ALL: [Self; 8] = [
        Self::Five,
        Self::Plain,
        Self::Deep,
        Self::Shallow,
        Self::Scattered,
        Self::Whole,
        Self::Huge,
        Self::Small,
    ];

    /// The name of its folder and in the report.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Five => "five",
            Self::Plain => "plain",
            Self::Deep => "deep",
            Self::Shallow => "shallow",
            Self::Scattered => "scattered",
            Self::Whole => "whole",
            Self::Huge => "huge",
            Self::Small => "small",
        }
    }

    /// The disk that stands for all that hold the same in other layers.
    pub(super) fn content(self) -> Self {
        match self {
            Self::Five | Self::Plain | Self::Deep | Self::Shallow => Self::Five,
            Self::Scattered | Self::Whole => Self::Scattered,
            Self::Huge => Self::Huge,
            Self::Small => Self::Small,
        }
    }

    /// The newest image, below the folder that disks are made in.
    pub(super) fn leaf(self) -> String {
        format!("{}/{}", self.name(), self.disk().leaf_name())
    }

    /// Its plan.
    pub(super) fn disk(self) -> Disk {
        match self {
            Self::Five => five(),
            Self::Plain => five().in_one_layer(self.name(), mib(32)),
            Self::Deep => deep(&five()),
            Self::Shallow => five().in_one_layer(self.name(), mib(2)),
            Self::Scattered => scattered(),
            Self::Whole => scattered().in_one_layer(self.name(), mib(2)),
            Self::Huge => huge(),
            Self::Small => small(),
        }
    }
}

/// A base in blocks of 32 MiB as Windows makes them, and four checkpoints that changed files here and there.
fn five() -> Disk {
    const SIZE: u64 = 6 * GIB;
    const TOUCHED: [u64; 4] = [240, 110, 170, 140];
    let mut random = Random::new(0xF17E);
    let base = Layer {
        block_size: mib(32),
        blocks: choose(&mut random, SIZE / (32 * MIB), 73)
            .into_iter()
            .map(|at| (at, Stored::Whole))
            .collect(),
    };
    let used: Vec<u64> = base.blocks.keys().flat_map(|block| block * 16..block * 16 + 16).collect();
    let mut layers = vec![base];
    for count in TOUCHED {
        layers.push(checkpoint(&mut random, SIZE / (2 * MIB), &used, count));
    }
    Disk::from_layers(DiskName::Five.name(), SIZE, 0x0005, layers)
}

/// `count` blocks in runs of neighbours, mostly where the base has data.
fn checkpoint(random: &mut Random, end: u64, used: &[u64], count: u64) -> Layer {
    let mut touched = BTreeSet::new();
    while (touched.len() as u64) < count {
        let start = if random.once_in(4) { random.below(end) } else { random.one_of(used) };
        let wanted = (1 + random.below(8)).min(count - touched.len() as u64);
        touched.extend(start..end.min(start + wanted));
    }
    let blocks = touched.into_iter().map(|block| (block, changed(random))).collect();
    Layer { block_size: mib(2), blocks }
}

fn changed(random: &mut Random) -> Stored {
    match random.below(20) {
        0..9 => Stored::Whole,
        9..18 => Stored::Part(runs(random)),
        _ => Stored::Zero,
    }
}

/// Runs from one sector to 1 MiB, with as much between them.
fn runs(random: &mut Random) -> Vec<Range<u64>> {
    let mut runs = Vec::new();
    let mut at = random.below(64);
    while at < BLOCK_SECTORS {
        let mut len = || (1 << random.below(12)) + random.below(8);
        let end = (at + len().min(MIB / 512)).min(BLOCK_SECTORS);
        runs.push(at..end);
        at = end + len();
    }
    runs
}

/// Each block's data in any one of 64 layers, of some in two; below a few lies something older.
fn deep(five: &Disk) -> Disk {
    const LAYERS: u64 = 64;
    let mut random = Random::new(0xDEE9);
    let mut layers: Vec<BTreeMap<u64, Stored>> = vec![BTreeMap::new(); LAYERS as usize];
    for block in five.blocks_with_data(mib(2)) {
        let newest = random.below(LAYERS);
        let below = random.below(newest.max(1));
        let stored =
            if newest > 0 && random.once_in(24) { Stored::Part(runs(&mut random)) } else { Stored::Whole };
        if newest > 0 && (stored != Stored::Whole || random.once_in(24)) {
            layers[below as usize].insert(block, Stored::Whole);
        }
        layers[newest as usize].insert(block, stored);
    }
    let layers = layers.into_iter().map(|blocks| Layer { block_size: mib(2), blocks }).collect();
    five.restacked(DiskName::Deep.name(), layers)
}

/// 512 blocks, every second sector of which is the child's.
fn scattered() -> Disk {
    const SIZE: u64 = 2 * GIB;
    let mut random = Random::new(0x5CA7);
    let blocks = choose(&mut random, SIZE / (2 * MIB), 512);
    let every_second =
        || Stored::Part((1..BLOCK_SECTORS).step_by(2).map(|sector| sector..sector + 1).collect());
    let base = blocks.iter().map(|&block| (block, Stored::Whole)).collect();
    let child = blocks.iter().map(|&block| (block, every_second())).collect();
    let layers = [base, child].map(|blocks| Layer { block_size: mib(2), blocks });
    Disk::from_layers(DiskName::Scattered.name(), SIZE, 0x5CA7, layers.into())
}

/// 300 blocks all over the largest disk there is, each with a little data.
fn huge() -> Disk {
    const SIZE: u64 = 64 << 40;
    const BLOCK: u64 = 32 * MIB;
    let mut random = Random::new(0x0060);
    let blocks = choose(&mut random, SIZE / BLOCK, 300);
    let mut data = SectorMap::default();
    for block in &blocks {
        let len = 128 + random.below(896);
        let start = (block * BLOCK / 512) + random.below(BLOCK / 512 - len) / 8 * 8;
        data.insert(start..start + len);
    }
    let blocks = blocks.into_iter().map(|block| (block, Stored::Whole)).collect();
    let layers = vec![Layer { block_size: mib(32), blocks }];
    Disk { name: DiskName::Huge.name(), size: SIZE, seed: 0x0060, data: Rc::new(data), layers }
}

/// A base and a checkpoint with some 40 MB, in every state that a block can have.
fn small() -> Disk {
    const SIZE: u64 = 64 * MIB;
    let mut random = Random::new(0x5111);
    let used: Vec<u64> = choose(&mut random, SIZE / (2 * MIB), 18).into_iter().collect();
    let base = Layer { block_size: mib(2), blocks: used.iter().map(|&at| (at, Stored::Whole)).collect() };
    let child = checkpoint(&mut random, SIZE / (2 * MIB), &used, 12);
    Disk::from_layers(DiskName::Small.name(), SIZE, 0x5111, vec![base, child])
}

/// `count` different numbers below `end`.
fn choose(random: &mut Random, end: u64, count: usize) -> BTreeSet<u64> {
    let mut chosen = BTreeSet::new();
    while chosen.len() < count {
        chosen.insert(random.below(end));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::super::sector_map::SECTOR;
    use super::*;

    fn bytes(sectors: u64) -> u64 {
        sectors * SECTOR
    }

    /// What the layers answer with, taken together.
    fn answered(disk: &Disk) -> SectorMap {
        let mut map = SectorMap::default();
        for layer in &disk.layers {
            layer.answers(disk.size).for_each(|(run, _)| map.insert(run));
        }
        map
    }

    #[test]
    fn disks_of_one_content_hold_the_same_and_store_all_of_it() {
        for name in DiskName::ALL {
            let (disk, same) = (name.disk(), name.content().disk());
            assert_eq!(disk.name, name.name());
            assert!(same.data == disk.data && same.seed == disk.seed && same.size == disk.size, "{name:?}");
            let stored = answered(&disk);
            let mut data = disk.data.runs(0..disk.size / SECTOR).filter(|(_, present)| *present);
            assert!(data.all(|(run, _)| stored.covers(run)), "{name:?}");
        }
    }

    #[test]
    fn five_is_a_used_disk_with_four_checkpoints() {
        let disk = five();
        let data = bytes(disk.data.len());
        assert!((2_500_000_000..2_600_000_000).contains(&data), "{data}");
        assert_eq!(disk.layers.len(), 5);
        for child in &disk.layers[1..] {
            let touched = child.blocks.len() as u64 * 2 * MIB;
            assert!((3..=8).contains(&(touched * 100 / disk.size)), "{touched}");
            let count =
                |wanted: fn(&Stored) -> bool| child.blocks.values().filter(|stored| wanted(stored)).count();
            assert!(count(|stored| matches!(stored, Stored::Part(_))) > 20);
            assert!(count(|stored| *stored == Stored::Whole) > 20);
            assert!(count(|stored| *stored == Stored::Zero) > 2);
        }
        let runs =
            disk.layers[1..].iter().flat_map(|child| child.blocks.values()).filter_map(
                |stored| match stored {
                    Stored::Part(runs) => Some(runs),
                    _ => None,
                },
            );
        let lens: BTreeSet<u64> = runs.flatten().map(|run| run.end - run.start).collect();
        assert_eq!((lens.first(), lens.last()), (Some(&1), Some(&2048)));
    }

    #[test]
    fn small_has_blocks_in_every_state() {
        let disk = small();
        assert!((35_000_000..45_000_000).contains(&bytes(disk.data.len())), "{}", bytes(disk.data.len()));
        let stored: Vec<&Stored> = disk.layers[1].blocks.values().collect();
        assert!(stored.contains(&&Stored::Whole) && stored.contains(&&Stored::Zero), "{stored:?}");
        assert!(stored.iter().any(|stored| matches!(stored, Stored::Part(_))), "{stored:?}");
    }

    #[test]
    fn every_layer_of_the_deep_disk_has_something_to_say() {
        let disk = deep(&five());
        assert_eq!(disk.layers.len(), 64);
        assert!(disk.layers.iter().all(|layer| !layer.blocks.is_empty()));
        let parts = disk.layers.iter().flat_map(|layer| layer.blocks.values());
        assert!(parts.filter(|stored| matches!(stored, Stored::Part(_))).count() > 20);
    }

    #[test]
    fn scattered_alternates_for_a_gibibyte() {
        let disk = scattered();
        assert_eq!(bytes(disk.data.len()), GIB);
        assert_eq!(
            disk.layers[1].answers(disk.size).map(|(run, _)| bytes(run.end - run.start)).sum::<u64>(),
            GIB / 2
        );
    }

    #[test]
    fn huge_holds_little_all_over_64_tib() {
        let disk = huge();
        assert_eq!((disk.size, disk.layers[0].blocks.len()), (1 << 46, 300));
        assert_eq!(disk.blocks_with_data(mib(32)).count(), 300);
        assert!(bytes(disk.data.len()) < 200 * MIB);
        assert!(disk.layers[0].blocks.keys().any(|&block| block > (1 << 21) / 100 * 98));
    }
}
