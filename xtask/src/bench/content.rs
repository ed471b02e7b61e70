//! What the disks hold: zeros, text and noise in about the shares of a used disk, each byte told by its position alone.
//!
//! Positions tell the bytes, so that any part of any layer can be written on its own, in any order, by any thread.

use vhdx_format::forge::random::Random;

/// The unit in which zeros, text and noise alternate within a mixed region, and in which bytes are made.
pub(super) const PAGE: u64 = 4096;
/// The unit of the coarse choice: most files of a real disk are longer than a page.
const REGION: u64 = 256 << 10;

/// Which writing of a sector is asked for: the bytes that the guest sees, or those that a later layer hides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Age {
    /// What the flattened disk holds.
    Newest,
    /// What that layer, counted from the base, holds where nobody may see it.
    Stale(usize),
}

/// The bytes of one disk.
#[derive(Clone)]
pub(super) struct Content {
    seed: u64,
    words: Vec<Word>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Page {
    Zeros,
    Text,
    Noise,
}

impl Content {
    /// The content of that seed: two disks with one seed hold the same.
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, words: vocabulary() }
    }

    /// Fills `bytes` with what the disk holds from `at` on.
    pub(super) fn fill(&self, at: u64, age: Age, bytes: &mut [u8]) {
        let seed = self.seed_of(age);
        let mut page = [0; PAGE as usize];
        let mut done = 0;
        while done < bytes.len() {
            let here = at + done as u64;
            let in_page = (here % PAGE) as usize;
            let count = (PAGE as usize - in_page).min(bytes.len() - done);
            self.make(seed, here / PAGE, &mut page);
            bytes[done..done + count].copy_from_slice(&page[in_page..in_page + count]);
            done += count;
        }
    }

    fn seed_of(&self, age: Age) -> u64 {
        match age {
            Age::Newest => self.seed,
            Age::Stale(layer) => Random::new(self.seed ^ (layer as u64 + 1).rotate_left(40)).number(),
        }
    }

    fn make(&self, seed: u64, page: u64, bytes: &mut [u8; PAGE as usize]) {
        let mut random = Random::new(seed ^ page.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        match kind(seed, page, &mut random) {
            Page::Zeros => bytes.fill(0),
            Page::Text => self.write_text(&mut random, bytes),
            Page::Noise => {
                for word in bytes.chunks_exact_mut(8) {
                    word.copy_from_slice(&random.number().to_le_bytes());
                }
            }
        }
    }

    /// Words of a small vocabulary, common ones more often, in lines: a log, a table or source code to a compressor.
    fn write_text(&self, random: &mut Random, bytes: &mut [u8; PAGE as usize]) {
        let mut at = 0;
        while at < bytes.len() {
            let number = random.number();
            for draw in 0..4 {
                let draw = number >> (16 * draw);
                let word = &self.words[(((draw & 0xFF) * (draw >> 8 & 0xFF)) >> 8) as usize];
                let Some(rest) = bytes.get_mut(at..) else { return };
                let count = word.len.min(rest.len());
                rest[..count].copy_from_slice(&word.bytes[..count]);
                at += word.len;
            }
        }
    }
}

/// Regions of one kind, and mixed ones where each page has its own.
fn kind(seed: u64, page: u64, of_page: &mut Random) -> Page {
    let region = page / (REGION / PAGE);
    match Random::new(seed.rotate_left(17) ^ region.wrapping_mul(0xA076_1D64_78BD_642F)).below(100) {
        0..11 => Page::Zeros,
        11..51 => Page::Text,
        51..86 => Page::Noise,
        _ => match of_page.below(100) {
            0..30 => Page::Zeros,
            30..80 => Page::Text,
            _ => Page::Noise,
        },
    }
}

/// A word with the space or the end of line behind it.
#[derive(Clone, Copy)]
struct Word {
    bytes: [u8; 16],
    len: usize,
}

/// 256 words of two to twelve letters, the same for every disk.
fn vocabulary() -> Vec<Word> {
    const LETTERS: &[u8] = b"etaoinshrdlucmfwygpbvk0123";
    let mut random = Random::new(0x0057_0A0D);
    let mut word = |number: u64| {
        let letters = 2 + random.below(11) as usize;
        let mut bytes = [0; 16];
        for letter in &mut bytes[..letters] {
            *letter = LETTERS[(random.below(26) * random.below(26) / 26) as usize];
        }
        bytes[letters] = if number % 12 == 5 { b'\n' } else { b' ' };
        Word { bytes, len: letters + 1 }
    };
    (0..256).map(&mut word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_told_by_its_position_whatever_else_is_asked_for() {
        let content = Content::new(7);
        let mut whole = vec![0; 3 << 20];
        content.fill(0, Age::Newest, &mut whole);
        for (at, len) in [(0, 1), (511, 2), (4095, 4098), (1 << 20, 1 << 20), (300_000, 70_000)] {
            let mut part = vec![1; len];
            content.fill(at as u64, Age::Newest, &mut part);
            assert!(part == whole[at..at + len], "{len} bytes at {at}");
        }
    }

    #[test]
    fn another_seed_and_another_age_are_other_bytes() {
        let of = |seed, age| {
            let mut bytes = vec![0; 4 << 20];
            Content::new(seed).fill(0, age, &mut bytes);
            bytes
        };
        let all = [of(1, Age::Newest), of(2, Age::Newest), of(1, Age::Stale(0)), of(1, Age::Stale(1))];
        for (number, bytes) in all.iter().enumerate() {
            assert!(!all[..number].contains(bytes));
        }
    }

    #[test]
    fn the_shares_are_those_of_a_used_disk() {
        let mut counts = [0_u32; 3];
        for page in 0..600_000 {
            let mut of_page = Random::new(page);
            counts[kind(42, page, &mut of_page) as usize] += 1;
        }
        let percent = counts.map(|count| count / 6000);
        assert!((14..=16).contains(&percent[0]), "zeros: {percent:?}");
        assert!((35..=40).contains(&percent[2]), "noise: {percent:?}");
    }

    #[test]
    fn text_compresses_well_and_noise_not_at_all() {
        let content = Content::new(7);
        let mut page = [0; PAGE as usize];
        let compressed = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap().len();
        content.write_text(&mut Random::new(1), &mut page);
        assert!(compressed(&page) < page.len() / 2);
        assert!(page.iter().all(|&byte| byte != 0));
        let noise = (0..1000).find(|&page| kind(7, page, &mut Random::new(7 ^ page)) == Page::Noise);
        content.make(7, noise.unwrap(), &mut page);
        assert!(compressed(&page) >= page.len());
    }
}
