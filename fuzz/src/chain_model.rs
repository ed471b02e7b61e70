//! One image as a list of its sectors, and a stack of such lists as a disk (MS-VHDX 2.4 to 2.6): slow and trusting. It
//! is asked only about files that the reader accepts, and shares no code with it.

use vhdx_format::forge::SparseFile;

use super::bytes::{u16_at, u32_at, u64_at};

const MIB: u64 = 1 << 20;

/// What an image says of a sector, in one number: that the parent has it, zeros, or where it lies.
pub(crate) const INHERITED: u64 = u64::MAX;
pub(crate) const ZERO: u64 = 0;

/// Offset `at` in the file of that image, counted from the leaf.
pub(crate) fn lies_at(layer: usize, at: u64) -> u64 {
    (layer as u64) << 56 | at
}

/// An image, its log replayed.
pub(crate) struct Model<'a> {
    file: &'a SparseFile,
    metadata: u64,
    bat: u64,
}

impl<'a> Model<'a> {
    /// Finds the two regions in the first region table that is valid.
    pub(crate) fn of(file: &'a SparseFile) -> Self {
        let tables = [0x3_0000, 0x4_0000].map(|at| file.read(at, 0x1_0000));
        let table = tables.iter().find(|table| is_valid(table)).expect("a valid region table");
        let region = |id: [u8; 2]| {
            let mut entries = table[16..].chunks(32).take(u32_at(table, 8) as usize);
            let entry = entries.find(|entry| entry.starts_with(&id) && is_known(entry));
            u64_at(entry.expect("a region"), 16)
        };
        Self { file, bat: region([0x66, 0x77]), metadata: region([0x06, 0xA2]) }
    }

    fn item(&self, id: [u8; 2]) -> Option<Vec<u8>> {
        let table = self.file.read(self.metadata, 0x1_0000);
        let mut entries = table[32..].chunks(32).take(u16_at(&table, 10) as usize);
        // Without the bit that says that a user has defined it.
        let entry = entries.find(|entry| entry.starts_with(&id) && is_known(entry) && entry[24] & 1 == 0)?;
        Some(self.file.read(self.metadata + u32_at(entry, 16), u32_at(entry, 20) as usize))
    }

    pub(crate) fn disk_size(&self) -> u64 {
        u64_at(&self.item([0x24, 0x42]).expect("a disk size"), 0)
    }

    pub(crate) fn sector_size(&self) -> u64 {
        u32_at(&self.item([0x1D, 0xBF]).expect("a sector size"), 0)
    }

    fn parameters(&self) -> (u64, bool) {
        let item = self.item([0x37, 0x67]).expect("the file parameters");
        (u32_at(&item, 0), u32_at(&item, 4) & 2 != 0)
    }

    /// Bytes in a block.
    pub(crate) fn block_size(&self) -> u64 {
        self.parameters().0
    }

    fn has_parent(&self) -> bool {
        self.parameters().1
    }

    /// What the image, number `layer` of its chain, says of each sector of its disk.
    pub(crate) fn sectors(&self, layer: usize) -> Vec<u64> {
        let (block_size, sector_size) = (self.block_size(), self.sector_size());
        let per_block = block_size / sector_size;
        let ratio = (1 << 23) * sector_size / block_size;
        let absent = if self.has_parent() { INHERITED } else { ZERO };
        let count = self.disk_size() / sector_size;
        let mut sectors = Vec::new();
        for block in 0..count.div_ceil(per_block) {
            let entry = self.entry(block + block / ratio);
            let at = lies_at(layer, entry >> 20 << 20);
            let stored = (0..per_block).map(|sector| at + sector * sector_size);
            match entry & 7 {
                0 => sectors.extend(stored.map(|_| absent)),
                1..=3 => sectors.extend(stored.map(|_| ZERO)),
                6 => sectors.extend(stored),
                7 => {
                    let bits = self.bits(block, ratio, per_block);
                    let bits = bits.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1));
                    sectors.extend(stored.zip(bits).map(|(at, bit)| if bit == 1 { at } else { INHERITED }));
                }
                state => panic!("block {block} in state {state}"),
            }
        }
        sectors.truncate(count as usize);
        sectors
    }

    /// The bits of one block in the sector bitmap of its chunk.
    fn bits(&self, block: u64, ratio: u64, per_block: u64) -> Vec<u8> {
        let bitmap = self.entry(block / ratio * (ratio + 1) + ratio);
        assert_eq!(bitmap & 7, 6, "a sector bitmap for block {block}");
        let at = (bitmap >> 20 << 20) + block % ratio * per_block / 8;
        self.file.read(at, (per_block / 8) as usize)
    }

    fn entry(&self, index: u64) -> u64 {
        u64_at(&self.file.read(self.bat + index * 8, 8), 0)
    }

    /// Whether the locator of this image names that identity, in whatever letters and with or without braces.
    pub(crate) fn wants(&self, data_write_guid: &str) -> bool {
        let locator = self.item([0x2D, 0x5F]).expect("a parent locator");
        let pairs = locator[20..].chunks(12).take(u16_at(&locator, 18) as usize);
        let text = |at: u64, len: u64| {
            let units = locator[at as usize..][..len as usize].chunks(2).map(|unit| u16_at(unit, 0) as u16);
            char::decode_utf16(units).map(|unit| unit.unwrap_or('?')).collect::<String>()
        };
        pairs.into_iter().any(|pair| {
            let key = text(u32_at(pair, 0), u16_at(pair, 8));
            let value = text(u32_at(pair, 4), u16_at(pair, 10));
            let digits = |text: &str| text.replace(['{', '}', '-'], "").to_lowercase();
            key.starts_with("parent_linkage") && digits(&value).ends_with(&digits(data_write_guid))
        })
    }

    pub(crate) fn read(&self, at: u64, len: usize) -> Vec<u8> {
        self.file.read(at, len)
    }

    /// Whether a list of its sectors is short enough to be made.
    pub(crate) fn is_small(&self) -> bool {
        self.disk_size() <= 16 * MIB && self.block_size() <= 16 * MIB
    }
}

/// The two regions and the six items have different first two bytes; whoever edits the rest makes another thing.
fn is_known(entry: &[u8]) -> bool {
    KNOWN.iter().any(|id| entry.starts_with(id))
}

/// Block table, metadata; file parameters, disk size, disk ID, both sector sizes, parent locator.
const KNOWN: [[u8; 16]; 8] = [
    [0x66, 0x77, 0xC2, 0x2D, 0x23, 0xF6, 0x00, 0x42, 0x9D, 0x64, 0x11, 0x5E, 0x9B, 0xFD, 0x4A, 0x08],
    [0x06, 0xA2, 0x7C, 0x8B, 0x90, 0x47, 0x9A, 0x4B, 0xB8, 0xFE, 0x57, 0x5F, 0x05, 0x0F, 0x88, 0x6E],
    [0x37, 0x67, 0xA1, 0xCA, 0x36, 0xFA, 0x43, 0x4D, 0xB3, 0xB6, 0x33, 0xF0, 0xAA, 0x44, 0xE7, 0x6B],
    [0x24, 0x42, 0xA5, 0x2F, 0x1B, 0xCD, 0x76, 0x48, 0xB2, 0x11, 0x5D, 0xBE, 0xD8, 0x3B, 0xF4, 0xB8],
    [0xAB, 0x12, 0xCA, 0xBE, 0xE6, 0xB2, 0x23, 0x45, 0x93, 0xEF, 0xC3, 0x09, 0xE0, 0x00, 0xC7, 0x46],
    [0x1D, 0xBF, 0x41, 0x81, 0x6F, 0xA9, 0x09, 0x47, 0xBA, 0x47, 0xF2, 0x33, 0xA8, 0xFA, 0xAB, 0x5F],
    [0xC7, 0x48, 0xA3, 0xCD, 0x5D, 0x44, 0x71, 0x44, 0x9C, 0xC9, 0xE9, 0x88, 0x52, 0x51, 0xC5, 0x56],
    [0x2D, 0x5F, 0xD3, 0xA8, 0x0B, 0xB3, 0x4D, 0x45, 0xAB, 0xF7, 0xD3, 0xD8, 0x48, 0x34, 0xAB, 0x0C],
];

fn is_valid(table: &[u8]) -> bool {
    let mut blank = table.to_vec();
    blank[4..8].fill(0);
    let sum = u64::from(crc32c::crc32c(&blank));
    table.starts_with(b"regi") && sum == u32_at(table, 4) && u32_at(table, 8) <= 2047
}

/// Who has each sector of a stack's disk, from the lists of its images, leaf first. Zeros past the end of a parent.
pub(crate) fn stacked(mut layers: Vec<Vec<u64>>) -> Vec<u64> {
    let mut disk = layers.pop().expect("a stack is not empty");
    while let Some(child) = layers.pop() {
        disk.resize(child.len(), ZERO);
        for (below, above) in disk.iter_mut().zip(child) {
            if above != INHERITED {
                *below = above;
            }
        }
    }
    disk
}
