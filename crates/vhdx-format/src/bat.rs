//! Judging a whole block allocation table once, when an image is opened (MS-VHDX 2.5).
//!
//! Afterwards every entry is known to have a state that means something, to point inside the file, and to share its
//! bytes with nothing. Reading the table costs one pass in pieces; it is never held.

use crate::geometry::{BlockIndex, BlockLayout};
use crate::offset::MIB;
use crate::overlay::Overlay;
use crate::region::{Region, Regions};
use crate::wire::bat::{ENTRY_LEN, Entry, state};
use crate::{FileOffset, ImageError, Problem, ReadAt, Structure};

/// How many payload blocks an image has in each state (MS-VHDX 2.5.1.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BlockCounts {
    /// State 0: the parent's to answer, or zeros without one.
    pub not_present: u64,
    /// State 1: reads as zeros.
    pub undefined: u64,
    /// State 2: zeros.
    pub zero: u64,
    /// State 3: reads as zeros.
    pub unmapped: u64,
    /// State 6: stored whole.
    pub fully_present: u64,
    /// State 7: stored sector by sector.
    pub partially_present: u64,
}

/// A run of bytes that something in the file uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    pub(crate) structure: Structure,
    pub(crate) region: Region,
}

/// The parts of the file that no block may touch, checked to be disjoint: header area, log, regions.
pub(crate) fn fixed_parts(log: Region, regions: &Regions) -> Result<Vec<Used>, ImageError> {
    let header_area = Region { at: FileOffset(0), len: MIB };
    let mut parts = vec![
        Used { structure: Structure::Headers, region: header_area },
        Used { structure: Structure::Log, region: log },
        Used { structure: Structure::Bat, region: regions.bat },
        Used { structure: Structure::MetadataTable, region: regions.metadata },
    ];
    let other =
        regions.other.iter().map(|region| Used { structure: Structure::OtherRegion, region: *region });
    parts.extend(other);
    parts.retain(|part| part.region.len > 0);
    parts.sort_by_key(|part| part.region.at);
    for (before, after) in parts.iter().zip(parts.iter().skip(1)) {
        if after.region.at.0 < before.region.end() {
            let problem = Problem::Overlap { other: before.structure, other_at: before.region.at };
            return Err(ImageError::corrupt(after.structure, after.region.at, problem));
        }
    }
    Ok(parts)
}

/// Judges every entry of the table.
pub(crate) fn check(
    file: &Overlay,
    bat: Region,
    layout: &BlockLayout,
    fixed: &[Used],
) -> Result<BlockCounts, ImageError> {
    let need = layout.entry_count().saturating_mul(ENTRY_LEN);
    if need > bat.len {
        let problem = Problem::TooLarge {
            field: "length of the table that the disk needs",
            most: bat.len,
            found: need,
        };
        return Err(ImageError::corrupt(Structure::Bat, bat.at, problem));
    }
    let mut used = UsedMibs::default();
    for part in fixed {
        used.claim(part.region);
    }
    let chunk_ratio = layout.chunk_ratio();
    let mut judge = Judge { file, bat, layout, chunk_ratio, fixed, used, counts: BlockCounts::default() };
    let mut piece = vec![0; usize::try_from(need.min(MIB)).unwrap_or(0)];
    let mut at = 0_u64;
    let mut place = Place { entry: 0, block: 0, in_chunk: 0, partial: false };
    while at < need {
        let len = usize::try_from(need.saturating_sub(at)).unwrap_or(usize::MAX).min(piece.len());
        let (bytes, _) = piece.split_at_mut(len);
        let file_at = FileOffset(bat.at.0.saturating_add(at));
        file.read_exact_at(file_at, bytes).map_err(ImageError::reading(Structure::Bat, file_at))?;
        for word in bytes.as_chunks::<8>().0 {
            judge.entry(&mut place, Entry(u64::from_le_bytes(*word)))?;
        }
        at = at.saturating_add(MIB);
    }
    Ok(judge.counts)
}

/// Where in the table the judge is; kept by counting, because dividing for each of 67 million entries shows.
struct Place {
    entry: u64,
    block: u64,
    in_chunk: u64,
    /// Whether the chunk has a partially present block so far.
    partial: bool,
}

struct Judge<'a> {
    file: &'a Overlay,
    bat: Region,
    layout: &'a BlockLayout,
    /// The layout's, divided once.
    chunk_ratio: u64,
    /// Only asked which part it is that a block clashes with: `used` knows whether one does.
    fixed: &'a [Used],
    used: UsedMibs,
    counts: BlockCounts,
}

impl Judge<'_> {
    fn entry(&mut self, place: &mut Place, entry: Entry) -> Result<(), ImageError> {
        if place.in_chunk == self.chunk_ratio {
            if self.layout.is_differencing() {
                self.bitmap(place, entry)?;
            }
            place.in_chunk = 0;
            place.partial = false;
        } else {
            // A differencing image's last chunk is padded with entries of blocks that do not exist.
            if place.block < self.layout.block_count() {
                self.payload(place, entry)?;
            }
            place.in_chunk = place.in_chunk.saturating_add(1);
            place.block = place.block.saturating_add(1);
        }
        place.entry = place.entry.saturating_add(1);
        Ok(())
    }

    fn payload(&mut self, place: &mut Place, entry: Entry) -> Result<(), ImageError> {
        let counts = &mut self.counts;
        let stored = match entry.state() {
            state::NOT_PRESENT => return self.absent(place, entry, |counts| &mut counts.not_present),
            state::UNDEFINED => return self.absent(place, entry, |counts| &mut counts.undefined),
            state::ZERO => return self.absent(place, entry, |counts| &mut counts.zero),
            state::UNMAPPED => return self.absent(place, entry, |counts| &mut counts.unmapped),
            state::FULLY_PRESENT => &mut counts.fully_present,
            state::PARTIALLY_PRESENT if self.layout.is_differencing() => {
                place.partial = true;
                &mut counts.partially_present
            }
            state::PARTIALLY_PRESENT => {
                return Err(self.bad_state(place, entry, "no state 7, because the image has no parent"));
            }
            _ => return Err(self.bad_state(place, entry, "one of the states 0, 1, 2, 3, 6, 7")),
        };
        *stored = stored.saturating_add(1);
        // The last block may be cut short by the end of the file, as long as the disk's part of it is there.
        let len = self.layout.block_range(BlockIndex(place.block)).len();
        self.claim(place, entry, Structure::PayloadBlock, len)
    }

    fn absent(
        &mut self,
        place: &Place,
        entry: Entry,
        count: fn(&mut BlockCounts) -> &mut u64,
    ) -> Result<(), ImageError> {
        let count = count(&mut self.counts);
        *count = count.saturating_add(1);
        self.check_reserved(place, entry)
    }

    fn bitmap(&mut self, place: &Place, entry: Entry) -> Result<(), ImageError> {
        match entry.state() {
            state::BITMAP_PRESENT => self.claim(place, entry, Structure::SectorBitmap, MIB),
            state::NOT_PRESENT if place.partial => Err(self.bad_state(
                place,
                entry,
                "a sector bitmap, because a block of its chunk is in state 7",
            )),
            state::NOT_PRESENT => Ok(()),
            _ => Err(self.bad_state(place, entry, "one of the states 0, 6")),
        }
    }

    /// Checks that `len` bytes at the entry's offset lie in the file, and that nothing else uses them.
    fn claim(
        &mut self,
        place: &Place,
        entry: Entry,
        structure: Structure,
        len: u64,
    ) -> Result<(), ImageError> {
        self.check_reserved(place, entry)?;
        let at = FileOffset(entry.file_offset());
        let most = self.file.len().saturating_sub(len);
        if at.0 < MIB || at.0 > most {
            let problem = Problem::BlockOffset { entry: place.entry, least: MIB, most, found: at.0 };
            return Err(self.corrupt(place, problem));
        }
        let region = Region { at, len };
        if self.used.claim(region) {
            return Ok(());
        }
        let clash =
            self.fixed.iter().find(|part| part.region.at.0 < region.end() && at.0 < part.region.end());
        let (other, other_at) =
            clash.map_or((Structure::OtherBlock, at), |part| (part.structure, part.region.at));
        Err(ImageError::corrupt(structure, at, Problem::Overlap { other, other_at }))
    }

    fn check_reserved(&self, place: &Place, entry: Entry) -> Result<(), ImageError> {
        if entry.reserved() == 0 {
            return Ok(());
        }
        let problem = Problem::Value { field: "Reserved", expected: "0", found: entry.reserved() };
        Err(self.corrupt(place, problem))
    }

    fn bad_state(&self, place: &Place, entry: Entry, expected: &'static str) -> ImageError {
        self.corrupt(place, Problem::BlockState { entry: place.entry, state: entry.state(), expected })
    }

    fn corrupt(&self, place: &Place, problem: Problem) -> ImageError {
        let at = self.bat.at.0.saturating_add(place.entry.saturating_mul(ENTRY_LEN));
        ImageError::corrupt(Structure::Bat, FileOffset(at), problem)
    }
}

/// Which MiBs of the file are used: one bit each, so at most 16 MiB for the largest file that is opened.
#[derive(Default)]
struct UsedMibs(Vec<u64>);

impl UsedMibs {
    /// Claims every MiB that `region` touches; false if one of them is taken.
    fn claim(&mut self, region: Region) -> bool {
        let last = region.end().div_ceil(MIB);
        (region.at.0 >> 20..last).all(|mib| {
            let word = usize::try_from(mib >> 6).unwrap_or(usize::MAX);
            if self.0.len() <= word {
                self.0.resize(word.saturating_add(1), 0);
            }
            let bit = 1 << (mib & 63);
            let Some(word) = self.0.get_mut(word) else { return false };
            let free = *word & bit == 0;
            *word |= bit;
            free
        })
    }
}
