//! A set of a disk's sectors, as bits that cost nothing where there are none: 64 TiB with a few blocks is small.

use std::collections::BTreeMap;
use std::ops::Range;

/// Bytes in a sector of the disks made here.
pub(super) const SECTOR: u64 = 512;
/// Sectors in one piece of the map.
const PIECE: u64 = 4096;
const WORDS: usize = (PIECE / 64) as usize;

/// Sectors of a disk, by number.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct SectorMap(BTreeMap<u64, [u64; WORDS]>);

impl SectorMap {
    /// Adds the sectors of that range.
    pub(super) fn insert(&mut self, sectors: Range<u64>) {
        self.edit(sectors, |word, mask| *word |= mask);
    }

    /// Takes the sectors of that range away.
    pub(super) fn remove(&mut self, sectors: Range<u64>) {
        self.edit(sectors, |word, mask| *word &= !mask);
        self.0.retain(|_, words| words.iter().any(|&word| word != 0));
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.0.values().flatten().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Whether any sector of that range is in the set.
    pub(super) fn touches(&self, sectors: Range<u64>) -> bool {
        self.runs(sectors).any(|(_, present)| present)
    }

    /// Whether all sectors of that range are in the set.
    pub(super) fn covers(&self, sectors: Range<u64>) -> bool {
        self.runs(sectors).all(|(_, present)| present)
    }

    /// The range cut into runs that are in the set, or not. Neighbours may say the same.
    pub(super) fn runs(&self, sectors: Range<u64>) -> impl Iterator<Item = (Range<u64>, bool)> {
        let mut at = sectors.start;
        std::iter::from_fn(move || {
            let start = at;
            if start >= sectors.end {
                return None;
            }
            let (len, present) = self.run_at(start);
            at = (start + len).min(sectors.end);
            Some((start..at, present))
        })
    }

    /// How far what is said of `sector` goes, within its word; or within its piece where that is empty.
    fn run_at(&self, sector: u64) -> (u64, bool) {
        let Some(words) = self.0.get(&(sector / PIECE)) else {
            return (PIECE - sector % PIECE, false);
        };
        let bit = sector % 64;
        let word = words[(sector % PIECE / 64) as usize] >> bit;
        let present = word & 1 == 1;
        let alike = if present { word.trailing_ones() } else { word.trailing_zeros() };
        (u64::from(alike).min(64 - bit), present)
    }

    fn edit(&mut self, sectors: Range<u64>, change: impl Fn(&mut u64, u64)) {
        let mut at = sectors.start;
        while at < sectors.end {
            let end = sectors.end.min((at / 64 + 1) * 64);
            let mask = (u64::MAX >> (64 - (end - at))) << (at % 64);
            let words = self.0.entry(at / PIECE).or_insert([0; WORDS]);
            change(&mut words[(at % PIECE / 64) as usize], mask);
            at = end;
        }
    }
}

/// The sectors of a range of bytes that begins and ends with whole ones.
pub(super) fn sectors(bytes: &Range<u64>) -> Range<u64> {
    bytes.start / SECTOR..bytes.end / SECTOR
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use vhdx_format::forge::random::Random;

    use super::*;

    #[test]
    fn behaves_like_a_set_of_numbers() {
        const END: u64 = 3 * PIECE;
        let mut random = Random::new(3);
        let mut map = SectorMap::default();
        let mut model = BTreeSet::new();
        for _ in 0..200 {
            let start = random.below(END);
            let range = start..(start + random.below(500)).min(END);
            if random.once_in(3) {
                map.remove(range.clone());
                model.retain(|sector| !range.contains(sector));
            } else {
                map.insert(range.clone());
                model.extend(range.clone());
            }
            let listed: BTreeSet<u64> =
                map.runs(0..END).filter(|(_, present)| *present).flat_map(|(run, _)| run).collect();
            assert_eq!(listed, model);
            assert_eq!(map.len(), model.len() as u64);
            assert_eq!(map.touches(range.clone()), range.clone().any(|sector| model.contains(&sector)));
            assert_eq!(map.covers(range.clone()), range.clone().all(|sector| model.contains(&sector)));
        }
    }

    #[test]
    fn runs_cover_the_range_that_was_asked_for() {
        let mut map = SectorMap::default();
        map.insert(100..5000);
        let runs: Vec<_> = map.runs(10..9000).map(|(run, _)| run).collect();
        assert_eq!((runs[0].start, runs[runs.len() - 1].end), (10, 9000));
        assert!(runs.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert!(!map.touches(3..3));
    }

    #[test]
    fn far_apart_sectors_cost_little() {
        let mut map = SectorMap::default();
        map.insert(0..1);
        map.insert((1 << 37) - 1..1 << 37);
        assert_eq!((map.len(), map.0.len()), (2, 2));
    }
}
