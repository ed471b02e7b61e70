//! Makes the files of a disk: structures by the forge, payload by position, so that memory stays small.
//!
//! A finished disk has a stamp in its folder, a digest of its plan and of what its content looks like. While that fits,
//! the disk is not made again.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread;

use sha2::{Digest, Sha256};
use vhdx_format::forge::Object;

use super::content::{Age, Content};
use super::layout::{Disk, Layer, Stored};
use super::sector_map::{SECTOR, SectorMap, sectors};

/// What is written at once. Pieces that hold nothing at all are left out, as holes.
const PIECE: u64 = 64 << 10;
const STAMP: &str = "stamp";
/// Counts changes of what the stamp cannot see: how the forge and this file write what the plan says.
const VERSION: u32 = 1;

/// A disk's files.
pub(super) struct Made {
    /// The newest image.
    pub(super) leaf: PathBuf,
    /// Whether they were there before.
    pub(super) found: bool,
}

/// Finds the disk below `parent` or makes it there.
pub(super) fn ensure(disk: &Disk, parent: &Path) -> io::Result<Made> {
    let folder = parent.join(disk.name);
    let leaf = folder.join(disk.leaf_name());
    let stamp = stamp(disk);
    let found = is_there(disk, &folder, &stamp);
    if !found {
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        write(disk, &folder)?;
        fs::write(folder.join(STAMP), stamp)?;
    }
    Ok(Made { leaf, found })
}

/// Whether `ensure` would find the disk below `parent`.
pub(super) fn is_made(disk: &Disk, parent: &Path) -> bool {
    is_there(disk, &parent.join(disk.name), &stamp(disk))
}

/// About how much room the disk takes, in bytes.
pub(super) fn room(disk: &Disk) -> u64 {
    let alone = disk.layers.len() == 1;
    let of_block = |layer: &Layer, block: u64, stored: &Stored| match stored {
        Stored::Zero => 0,
        // What is hidden is written as well.
        Stored::Whole | Stored::Part(_) if !alone => u64::from(layer.block_size.bytes()),
        Stored::Whole | Stored::Part(_) => {
            let pieces = pieces(layer.sectors_of(block, disk.size));
            PIECE * pieces.filter(|piece| disk.data.touches(piece.clone())).count() as u64
        }
    };
    let of_layer = |layer: &Layer| {
        let blocks = layer.blocks.iter().map(|(&block, stored)| of_block(layer, block, stored));
        blocks.sum::<u64>() + (8 << 20)
    };
    disk.layers.iter().map(of_layer).sum()
}

fn is_there(disk: &Disk, folder: &Path, stamp: &str) -> bool {
    let files = (0..disk.layers.len()).map(|number| folder.join(disk.file_name(number)));
    fs::read_to_string(folder.join(STAMP)).is_ok_and(|found| found == stamp)
        && files.into_iter().all(|file| file.exists())
}

fn stamp(disk: &Disk) -> String {
    let mut digest = Sha256::new();
    let mut add = |number: u64| digest.update(number.to_le_bytes());
    [u64::from(VERSION), disk.size, disk.seed].into_iter().for_each(&mut add);
    for (run, present) in disk.data.runs(0..disk.size / SECTOR).filter(|(_, present)| *present) {
        [run.start, run.end, u64::from(present)].into_iter().for_each(&mut add);
    }
    for layer in &disk.layers {
        [u64::from(layer.block_size.bytes()), layer.blocks.len() as u64].into_iter().for_each(&mut add);
        for (run, stored) in layer.answers(disk.size) {
            [run.start, run.end, u64::from(*stored == Stored::Zero)].into_iter().for_each(&mut add);
        }
    }
    let mut sample = vec![0; 1 << 20];
    for age in [Age::Newest, Age::Stale(0)] {
        Content::new(disk.seed).fill(0, age, &mut sample);
        digest.update(&sample);
    }
    let digits: Vec<String> = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat() + "\n"
}

fn write(disk: &Disk, folder: &Path) -> io::Result<()> {
    let content = Content::new(disk.seed);
    let mut hidden = SectorMap::default();
    for (number, (image, layer)) in disk.images().iter().zip(&disk.layers).enumerate().rev() {
        let path = folder.join(disk.file_name(number));
        image.build().save(&File::create(&path)?)?;
        let places = image.places();
        let rooms = layer.blocks.iter().filter_map(|(&block, stored)| {
            let room = places.get(&Object::Block(block))?;
            Some(Room { at: room.start, sectors: layer.sectors_of(block, disk.size), stored })
        });
        let payload = Payload { disk, content: &content, hidden: &hidden, number };
        payload.write(&path, &rooms.collect::<Vec<_>>())?;
        layer.answers(disk.size).for_each(|(run, _)| hidden.insert(run));
    }
    Ok(())
}

/// Where a block's bytes go.
struct Room<'a> {
    at: u64,
    sectors: Range<u64>,
    stored: &'a Stored,
}

/// What one image holds in its blocks.
struct Payload<'a> {
    disk: &'a Disk,
    content: &'a Content,
    /// The sectors that layers above answer for.
    hidden: &'a SectorMap,
    number: usize,
}

impl Payload<'_> {
    fn write(&self, path: &Path, rooms: &[Room<'_>]) -> io::Result<()> {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(4);
        let share = rooms.len().div_ceil(threads).max(1);
        let (data, content, hidden) = (&*self.disk.data, self.content, self.hidden);
        let stale = Age::Stale(self.number);
        thread::scope(|scope| {
            let writers: Vec<_> = rooms
                .chunks(share)
                .map(|rooms| {
                    scope.spawn(move || {
                        let file = File::options().write(true).open(path)?;
                        let mut writer = Writer { file, data, content, hidden, stale, other: Vec::new() };
                        rooms.iter().try_for_each(|room| writer.write_block(room))
                    })
                })
                .collect();
            writers.into_iter().try_for_each(|writer| {
                writer.join().unwrap_or_else(|_| Err(io::Error::other("a writer of the disk panicked")))
            })
        })
    }
}

struct Writer<'a> {
    file: File,
    data: &'a SectorMap,
    content: &'a Content,
    hidden: &'a SectorMap,
    stale: Age,
    other: Vec<u8>,
}

impl Writer<'_> {
    fn write_block(&mut self, room: &Room<'_>) -> io::Result<()> {
        let shown = self.shown(room);
        let mut bytes = Vec::new();
        for piece in pieces(room.sectors.clone()) {
            if self.fill(&piece, &shown, &mut bytes) {
                self.file.seek(SeekFrom::Start(room.at + (piece.start - room.sectors.start) * SECTOR))?;
                self.file.write_all(&bytes)?;
            }
        }
        Ok(())
    }

    /// The sectors of the block that a guest reads from here.
    fn shown(&self, room: &Room<'_>) -> SectorMap {
        let mut shown = SectorMap::default();
        match room.stored {
            Stored::Zero => {}
            Stored::Whole => shown.insert(room.sectors.clone()),
            Stored::Part(runs) => {
                for run in runs {
                    let end = (room.sectors.start + run.end).min(room.sectors.end);
                    shown.insert(room.sectors.start + run.start..end);
                }
            }
        }
        for (run, hidden) in self.hidden.runs(room.sectors.clone()) {
            if hidden {
                shown.remove(run);
            }
        }
        shown
    }

    /// Makes the bytes of a piece: the disk's where they are shown, others where nobody may see them. False where
    /// there are none.
    fn fill(&mut self, piece: &Range<u64>, shown: &SectorMap, bytes: &mut Vec<u8>) -> bool {
        let all_shown = shown.covers(piece.clone());
        if all_shown && !self.data.touches(piece.clone()) {
            return false;
        }
        bytes.resize(((piece.end - piece.start) * SECTOR) as usize, 0);
        let in_piece = |run: &Range<u64>| {
            let start = ((run.start - piece.start) * SECTOR) as usize;
            start..start + ((run.end - run.start) * SECTOR) as usize
        };
        self.content.fill(piece.start * SECTOR, Age::Newest, bytes);
        for (run, _) in self.data.runs(piece.clone()).filter(|(_, present)| !present) {
            bytes[in_piece(&run)].fill(0);
        }
        if !all_shown {
            self.other.resize(bytes.len(), 0);
            self.content.fill(piece.start * SECTOR, self.stale, &mut self.other);
            for (run, _) in shown.runs(piece.clone()).filter(|(_, present)| !present) {
                let range = in_piece(&run);
                bytes[range.clone()].copy_from_slice(&self.other[range]);
            }
        }
        true
    }
}

fn pieces(all: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let step = sectors(&(0..PIECE)).end;
    all.clone().step_by(step as usize).map(move |start| start..(start + step).min(all.end))
}

#[cfg(test)]
mod tests {
    use chain_resolve::{SearchPolicy, resolve};
    use vhdx_format::{DiskOffset, read_disk};

    use super::super::layout::{MIB, mib};
    use super::*;

    fn one(run: Range<u64>) -> Vec<Range<u64>> {
        std::iter::once(run).collect()
    }

    /// Everything that the big disks have, on 5 MiB: parts, zeros, hidden bytes, a block cut by the disk's end.
    fn small() -> Disk {
        let layer = |size, blocks: Vec<(u64, Stored)>| Layer {
            block_size: mib(size),
            blocks: blocks.into_iter().collect(),
        };
        let base = layer(2, vec![(0, Stored::Whole), (2, Stored::Whole)]);
        let odd = (1..2048).step_by(2).map(|sector| sector..sector + 1).collect();
        let child = layer(1, vec![(0, Stored::Part(odd)), (1, Stored::Zero), (3, Stored::Part(one(5..700)))]);
        let leaf = layer(1, vec![(0, Stored::Part(one(0..3))), (4, Stored::Part(one(100..101)))]);
        Disk::from_layers("small", 5 * MIB, 3, vec![base, child, leaf])
    }

    fn read(leaf: &Path) -> Vec<u8> {
        let chain = resolve(leaf, &SearchPolicy::new([leaf.parent().unwrap().to_owned()]).unwrap()).unwrap();
        let mut bytes = vec![1; 5 << 20];
        read_disk(&chain, DiskOffset(0), &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_files_hold_the_disk_that_was_planned() {
        let folder = tempfile::tempdir().unwrap();
        let disk = small();
        let mut expected = vec![0; 5 << 20];
        for (run, _) in disk.data.runs(0..disk.size / SECTOR).filter(|(_, present)| *present) {
            let bytes = &mut expected[(run.start * SECTOR) as usize..(run.end * SECTOR) as usize];
            Content::new(disk.seed).fill(run.start * SECTOR, Age::Newest, bytes);
        }
        assert!(expected[..1 << 20].iter().any(|&byte| byte != 0));
        assert!(read(&ensure(&disk, folder.path()).unwrap().leaf) == expected);
        let one = disk.in_one_layer("one", mib(2));
        assert!(read(&ensure(&one, folder.path()).unwrap().leaf) == expected);
    }

    #[test]
    fn a_disk_is_made_again_only_if_its_stamp_does_not_fit() {
        let folder = tempfile::tempdir().unwrap();
        let disk = small();
        assert!(!is_made(&disk, folder.path()));
        let made = ensure(&disk, folder.path()).unwrap();
        assert!(!made.found && is_made(&disk, folder.path()));
        assert!(ensure(&disk, folder.path()).unwrap().found);
        let other = Disk { seed: 4, ..small() };
        assert!(!ensure(&other, folder.path()).unwrap().found);
        fs::remove_file(made.leaf).unwrap();
        assert!(!is_made(&other, folder.path()));
    }
}
