//! Which sectors of a partly present block lie in the image: the block's slice of a sector bitmap (MS-VHDX 2.4).

/// A set of sector numbers, counted in logical sectors from the start of the block.
///
/// Collected from numbers: `(0..4096).step_by(2).collect()` is every other sector.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SectorSet(Vec<u8>);

impl SectorSet {
    /// Whether the sector is in the set.
    #[must_use]
    pub fn contains(&self, sector: u64) -> bool {
        let byte = self.0.get((sector / 8) as usize);
        byte.is_some_and(|byte| byte & bit(sector) != 0)
    }

    /// Whether no sector is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&byte| byte == 0)
    }

    /// The bitmap, least significant bit first, up to the last byte that has a sector.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromIterator<u64> for SectorSet {
    fn from_iter<I: IntoIterator<Item = u64>>(sectors: I) -> Self {
        let mut bits = Vec::new();
        for sector in sectors {
            let byte = (sector / 8) as usize;
            if byte >= bits.len() {
                bits.resize(byte + 1, 0);
            }
            bits[byte] |= bit(sector);
        }
        Self(bits)
    }
}

fn bit(sector: u64) -> u8 {
    1 << (sector % 8)
}
