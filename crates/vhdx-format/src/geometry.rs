//! Sizes validated together, and the only owner of block, chunk and table arithmetic.
//!
//! [`Geometry`] is what a guest sees: the size of the disk and of its sectors. [`BlockLayout`] adds how one image cuts
//! that disk into blocks. Nothing outside this file divides by a block size.

use std::fmt;
use std::ops::Range;

use limits::image::DISK_SIZE_MAX;

use crate::offset::MIB;
use crate::wire::bat::ENTRY_LEN;
use crate::{DiskOffset, DiskRange};

/// Size of a sector in bytes; the format knows two (MS-VHDX 2.6.2.4, 2.6.2.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SectorSize {
    /// 512 bytes.
    B512,
    /// 4096 bytes.
    B4096,
}

impl SectorSize {
    /// The sector size of that many bytes, if the format knows it.
    #[must_use]
    pub fn from_bytes(bytes: u32) -> Option<Self> {
        match bytes {
            512 => Some(Self::B512),
            4096 => Some(Self::B4096),
            _ => None,
        }
    }

    /// In bytes.
    #[must_use]
    pub fn bytes(self) -> u32 {
        match self {
            Self::B512 => 512,
            Self::B4096 => 4096,
        }
    }
}

impl fmt::Display for SectorSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bytes())
    }
}

/// Size of a block: a power of two from 1 MiB to 256 MiB (MS-VHDX 2.6.2.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct BlockSize(u32);

impl BlockSize {
    /// 1 MiB.
    pub const MIN: Self = Self(1 << 20);
    /// 256 MiB.
    pub const MAX: Self = Self(256 << 20);

    /// The block size of that many bytes, if the format allows it.
    #[must_use]
    pub fn from_bytes(bytes: u32) -> Option<Self> {
        let allowed = bytes.is_power_of_two() && (Self::MIN.0..=Self::MAX.0).contains(&bytes);
        allowed.then_some(Self(bytes))
    }

    /// In bytes.
    #[must_use]
    pub fn bytes(self) -> u32 {
        self.0
    }

    /// The next larger size, up to [`Self::MAX`].
    #[must_use]
    pub fn doubled(self) -> Option<Self> {
        Self::from_bytes(self.0.checked_mul(2)?)
    }
}

/// What a guest sees of a disk: its size and its sectors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geometry {
    size: u64,
    logical: SectorSize,
    physical: SectorSize,
}

/// Why three numbers make no disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GeometryError {
    /// A disk holds at least one sector.
    #[error("the disk has no bytes")]
    Empty,
    /// MS-VHDX 2.6.2.2.
    #[error("a disk of {0} bytes is larger than 64 TiB")]
    TooLarge(u64),
    /// MS-VHDX 2.6.2.2: the size is a multiple of the logical sector size.
    #[error("a disk of {size} bytes is no whole number of {sector}-byte sectors")]
    BrokenSector {
        /// Size of the disk in bytes.
        size: u64,
        /// Size of a logical sector.
        sector: SectorSize,
    },
}

impl Geometry {
    /// A disk of `size` bytes: not empty, at most 64 TiB, whole logical sectors.
    pub fn new(size: u64, logical: SectorSize, physical: SectorSize) -> Result<Self, GeometryError> {
        if size == 0 {
            return Err(GeometryError::Empty);
        }
        if size > DISK_SIZE_MAX {
            return Err(GeometryError::TooLarge(size));
        }
        if !size.is_multiple_of(u64::from(logical.bytes())) {
            return Err(GeometryError::BrokenSector { size, sector: logical });
        }
        Ok(Self { size, logical, physical })
    }

    /// Size of the disk in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The sector a guest addresses.
    #[must_use]
    pub fn logical_sector(&self) -> SectorSize {
        self.logical
    }

    /// The sector the disk claims to be built from; informative.
    #[must_use]
    pub fn physical_sector(&self) -> SectorSize {
        self.physical
    }

    /// The whole disk.
    #[must_use]
    pub fn range(&self) -> DiskRange {
        DiskRange::new(DiskOffset(0), DiskOffset(self.size))
    }
}

/// Number of a payload block, counted from the start of the disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct BlockIndex(pub u64);

/// Number of a chunk: the blocks that one sector bitmap describes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ChunkIndex(pub u64);

/// How one image cuts its disk into blocks, and how its block allocation table (BAT) is laid out (MS-VHDX 2.5).
///
/// The table interleaves: the payload entries of a chunk, then one sector bitmap entry, and so on. The last chunk's
/// bitmap entry exists in differencing images only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockLayout {
    geometry: Geometry,
    block_size: BlockSize,
    differencing: bool,
}

/// Sectors that one sector bitmap block describes: 1 MiB of bits.
const SECTORS_PER_CHUNK: u64 = 1 << 23;

#[expect(
    clippy::arithmetic_side_effects,
    reason = "Geometry and BlockSize bound what the layout brings along (sizes up to 2^46, block sizes 2^20 to 2^28) \
              and no divisor is 0; arguments from outside are only divided, or multiplied with saturation"
)]
impl BlockLayout {
    /// The layout of an image of that disk.
    #[must_use]
    pub fn new(geometry: Geometry, block_size: BlockSize, differencing: bool) -> Self {
        Self { geometry, block_size, differencing }
    }

    /// The disk it cuts.
    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Size of a block in bytes.
    #[must_use]
    pub fn block_size(&self) -> BlockSize {
        self.block_size
    }

    /// Whether absent blocks are a parent's to answer.
    #[must_use]
    pub fn is_differencing(&self) -> bool {
        self.differencing
    }

    /// Number of payload blocks; the last one may reach past the disk's end.
    #[must_use]
    pub fn block_count(&self) -> u64 {
        self.geometry.size.div_ceil(u64::from(self.block_size.0))
    }

    /// Payload blocks per chunk.
    #[must_use]
    pub fn chunk_ratio(&self) -> u64 {
        SECTORS_PER_CHUNK * u64::from(self.geometry.logical.bytes()) / u64::from(self.block_size.0)
    }

    /// Number of chunks, the last one possibly partial.
    #[must_use]
    pub fn chunk_count(&self) -> u64 {
        self.block_count().div_ceil(self.chunk_ratio())
    }

    /// Number of entries of the table.
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        if self.differencing {
            self.chunk_count() * (self.chunk_ratio() + 1)
        } else {
            self.block_count() + (self.block_count() - 1) / self.chunk_ratio()
        }
    }

    /// Length in bytes of a region that holds the table: whole MiBs.
    #[must_use]
    pub fn bat_region_len(&self) -> u64 {
        (self.entry_count() * ENTRY_LEN).next_multiple_of(MIB)
    }

    /// Where in the table the entry of a payload block is.
    #[must_use]
    pub fn payload_entry(&self, block: BlockIndex) -> u64 {
        block.0.saturating_add(block.0 / self.chunk_ratio())
    }

    /// Where in the table the entry of a chunk's sector bitmap is.
    #[must_use]
    pub fn bitmap_entry(&self, chunk: ChunkIndex) -> u64 {
        chunk.0.saturating_mul(self.chunk_ratio() + 1).saturating_add(self.chunk_ratio())
    }

    /// The payload block behind a table entry, or `None` for a bitmap's entry.
    #[must_use]
    pub fn block_of_entry(&self, entry: u64) -> Option<BlockIndex> {
        let stride = self.chunk_ratio() + 1;
        let in_chunk = entry % stride;
        (in_chunk < self.chunk_ratio()).then(|| BlockIndex(entry / stride * self.chunk_ratio() + in_chunk))
    }

    /// The block that holds a position of the disk.
    #[must_use]
    pub fn block_at(&self, at: DiskOffset) -> BlockIndex {
        BlockIndex(at.0 / u64::from(self.block_size.0))
    }

    /// The chunk that a block belongs to.
    #[must_use]
    pub fn chunk_of(&self, block: BlockIndex) -> ChunkIndex {
        ChunkIndex(block.0 / self.chunk_ratio())
    }

    /// First block of the chunk behind the one `block` belongs to.
    #[must_use]
    pub fn next_chunk_start(&self, block: BlockIndex) -> BlockIndex {
        BlockIndex((self.chunk_of(block).0 + 1).saturating_mul(self.chunk_ratio()))
    }

    /// Where a block starts on the disk.
    #[must_use]
    pub fn block_start(&self, block: BlockIndex) -> DiskOffset {
        DiskOffset(block.0.saturating_mul(u64::from(self.block_size.0)))
    }

    /// The part of the disk that a block holds: less than a block at the disk's end.
    #[must_use]
    pub fn block_range(&self, block: BlockIndex) -> DiskRange {
        let end = self.block_start(BlockIndex(block.0.saturating_add(1)));
        DiskRange::new(self.block_start(block), end.min(DiskOffset(self.geometry.size)))
    }

    /// The bits, counted from the start of the chunk's sector bitmap, of the sector that holds `at` and of all behind it
    /// in its block (MS-VHDX 2.4).
    #[must_use]
    pub fn bits_from(&self, at: DiskOffset) -> Range<u64> {
        let sector = u64::from(self.geometry.logical.bytes());
        let sectors_per_block = u64::from(self.block_size.0) / sector;
        let block = self.block_at(at);
        let block_bit = block.0 % self.chunk_ratio() * sectors_per_block;
        block_bit + at.since(self.block_start(block)) / sector..block_bit + sectors_per_block
    }

    /// Where `count` sectors end, the first of which is the one that holds `at`; the disk's end at the latest.
    #[must_use]
    pub fn end_of_sectors(&self, at: DiskOffset, count: u64) -> DiskOffset {
        let sector = u64::from(self.geometry.logical.bytes());
        let first = at.0 / sector;
        DiskOffset(first.saturating_add(count).saturating_mul(sector).min(self.geometry.size))
    }
}

/// Smallest block size, from 2 MiB up, whose table for this disk stays within 17 MiB: what Windows itself makes for
/// the largest disk (64 TiB in blocks of 32 MiB). So 2 MiB up to 4 TiB, then doubling.
#[must_use]
pub fn default_block_size(geometry: &Geometry) -> BlockSize {
    const TABLE_LEN_MAX: u64 = 17 << 20;
    let mut block_size = BlockSize(2 << 20);
    while BlockLayout::new(*geometry, block_size, false).bat_region_len() > TABLE_LEN_MAX {
        match block_size.doubled() {
            Some(larger) => block_size = larger,
            None => break,
        }
    }
    block_size
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn layout(size: u64, block_mib: u32, sector: SectorSize, differencing: bool) -> BlockLayout {
        let geometry = Geometry::new(size, sector, SectorSize::B4096).unwrap();
        BlockLayout::new(geometry, BlockSize::from_bytes(block_mib << 20).unwrap(), differencing)
    }

    /// Worked examples, the first four of which are real files'.
    #[test]
    fn tables_have_the_known_lengths() {
        use SectorSize::{B512, B4096};
        let cases = [
            (127 * GIB, 32, B512, false, 128, 4064, 32, 4095),
            (10 * GIB, 32, B512, false, 128, 320, 3, 322),
            (8 * GIB, 2, B512, true, 2048, 4096, 2, 4098),
            (4 << 20, 2, B4096, true, 16384, 2, 1, 16385),
            (40 * GIB, 2, B512, true, 2048, 20480, 10, 20490),
            (64 << 40, 32, B512, false, 128, 2_097_152, 16384, 2_113_535),
            (64 << 40, 1, B512, false, 4096, 67_108_864, 16384, 67_125_247),
        ];
        for (size, block, sector, differencing, ratio, payload, chunks, entries) in cases {
            let layout = layout(size, block, sector, differencing);
            assert_eq!(layout.chunk_ratio(), ratio);
            assert_eq!(layout.block_count(), payload);
            assert_eq!(layout.chunk_count(), chunks);
            assert_eq!(layout.entry_count(), entries);
        }
    }

    #[test]
    fn entries_and_blocks_are_inverse() {
        let layout = layout(40 * GIB, 256, SectorSize::B512, true);
        for block in (0..layout.block_count()).map(BlockIndex) {
            assert_eq!(layout.block_of_entry(layout.payload_entry(block)), Some(block));
        }
        for chunk in (0..layout.chunk_count()).map(ChunkIndex) {
            assert_eq!(layout.block_of_entry(layout.bitmap_entry(chunk)), None);
        }
        assert_eq!(layout.bitmap_entry(ChunkIndex(layout.chunk_count() - 1)), layout.entry_count() - 1);
    }

    #[test]
    fn a_small_childs_bitmap_entry_lies_far_behind() {
        assert_eq!(layout(4 << 20, 2, SectorSize::B512, true).bitmap_entry(ChunkIndex(0)), 2048);
    }

    #[test]
    fn the_last_block_ends_with_the_disk() {
        let layout = layout((5 << 20) + 512, 2, SectorSize::B512, false);
        assert_eq!(layout.block_range(BlockIndex(2)).len(), MIB + 512);
    }

    #[test]
    fn block_size_grows_only_for_very_large_disks() {
        let default_mib = |size| {
            let geometry = Geometry::new(size, SectorSize::B512, SectorSize::B4096).unwrap();
            default_block_size(&geometry).bytes() >> 20
        };
        assert_eq!(default_mib(512), 2);
        assert_eq!(default_mib(4 << 40), 2);
        assert_eq!(default_mib(5 << 40), 4);
        assert_eq!(default_mib(64 << 40), 32);
    }

    #[test]
    fn impossible_disks_are_refused() {
        use SectorSize::{B512, B4096};
        assert_eq!(Geometry::new(0, B512, B512), Err(GeometryError::Empty));
        assert_eq!(
            Geometry::new((64 << 40) + 512, B512, B512),
            Err(GeometryError::TooLarge((64 << 40) + 512))
        );
        let broken = GeometryError::BrokenSector { size: 512, sector: B4096 };
        assert_eq!(Geometry::new(512, B4096, B4096), Err(broken));
    }
}
