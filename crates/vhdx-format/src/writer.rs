//! Append-only VHDX writing: everything before the payload is known and streamed first, then the blocks in disk order.
//!
//! The layout is Windows' own (log at 1 MiB, metadata at 2 MiB, table at 3 MiB, payload behind it), in one forward
//! pass, so it works into a pipe. Which blocks are stored must be known before the first byte, because the table
//! precedes them: that is [`BlockSet`]. The same inputs give the same bytes.

use std::io::{self, Write};

use uuid::Uuid;
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32, U64};

use crate::blocks::BlockSet;
use crate::geometry::{BlockIndex, BlockLayout};
use crate::offset::MIB;
use crate::wire::{self, bat, metadata, region};
use crate::{BlockSize, DiskOffset, FileOffset, Geometry, SectorSize, seal};

/// Whether an image stores every block or only those with data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Allocation {
    /// Only blocks with data are stored; the others are zero by their state.
    Dynamic,
    /// Every block is stored.
    Fixed,
}

/// The GUIDs of a written image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identities {
    /// `FileWriteGuid` of both headers.
    pub file_write: Uuid,
    /// `DataWriteGuid` of both headers: what children made from this image will link to.
    pub data_write: Uuid,
    /// Virtual disk ID: what the guest sees as the disk's SCSI page 83 identity.
    pub virtual_disk: Uuid,
}

impl Identities {
    /// Identities that depend on nothing but `name` (UUID version 5), so that an export is reproducible.
    #[must_use]
    pub fn derive(name: &[u8]) -> Self {
        /// Names this program's derivations; drawn at random once.
        const NAMESPACE: Uuid = uuid::uuid!("6f1c3a52-8c0e-4a59-9d3f-0b1b7a4f6e21");
        let set = Uuid::new_v5(&NAMESPACE, name);
        let part = |part: &str| Uuid::new_v5(&set, part.as_bytes());
        Self {
            file_write: part("FileWriteGuid"),
            data_write: part("DataWriteGuid"),
            virtual_disk: part("VirtualDiskId"),
        }
    }
}

/// What kind of image to write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageSpec {
    /// The disk.
    pub geometry: Geometry,
    /// Size of a block.
    pub block_size: BlockSize,
    /// Whether absent blocks are stored.
    pub allocation: Allocation,
    /// The image's GUIDs.
    pub identities: Identities,
    /// Program name for the file type identifier; cut after 255 UTF-16 units.
    pub creator: String,
}

/// Where everything lies in an image to be written.
#[derive(Clone, Debug)]
pub struct ImageLayout {
    spec: ImageSpec,
    blocks: BlockLayout,
    stored: BlockSet,
}

const LOG_AT: u64 = MIB;
const METADATA_AT: u64 = 2 * MIB;
const BAT_AT: u64 = 3 * MIB;
const PAGE: usize = 1 << 20;

impl ImageLayout {
    /// Lays out an image that stores the blocks in `data`; a fixed one stores all, whatever `data` says.
    #[must_use]
    pub fn new(spec: ImageSpec, data: BlockSet) -> Self {
        let blocks = BlockLayout::new(spec.geometry, spec.block_size, false);
        let stored = match spec.allocation {
            Allocation::Dynamic => data,
            Allocation::Fixed => BlockSet::all(&blocks),
        };
        Self { spec, blocks, stored }
    }

    /// How the disk is cut into blocks.
    #[must_use]
    pub fn blocks(&self) -> &BlockLayout {
        &self.blocks
    }

    /// Length of everything before the first payload block, in bytes.
    #[must_use]
    pub fn prologue_len(&self) -> u64 {
        BAT_AT.saturating_add(self.blocks.bat_region_len())
    }

    /// Length of the whole file in bytes: a multiple of 1 MiB.
    #[must_use]
    pub fn file_len(&self) -> u64 {
        self.offset_of_rank(self.stored.len())
    }

    /// Whether the block is stored.
    #[must_use]
    pub fn is_stored(&self, block: BlockIndex) -> bool {
        self.stored.contains(block)
    }

    /// Where the byte at `at` of the disk goes, if its block is stored. The rest of its block follows contiguously.
    #[must_use]
    pub fn position_of(&self, at: DiskOffset) -> Option<FileOffset> {
        let block = self.blocks.block_at(at);
        let start = self.is_stored(block).then(|| self.offset_of_rank(self.stored.rank(block)))?;
        FileOffset(start).checked_add(at.since(self.blocks.block_start(block)))
    }

    /// Writes everything before the first payload block.
    pub fn write_prologue(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.header_area())?;
        out.write_all(&vec![0; PAGE])?;
        let mut metadata = seal::metadata(&self.metadata_items());
        metadata.resize(PAGE, 0);
        out.write_all(&metadata)?;
        self.write_bat(out)
    }

    fn offset_of_rank(&self, rank: u64) -> u64 {
        let payload = rank.saturating_mul(u64::from(self.spec.block_size.bytes()));
        self.prologue_len().saturating_add(payload)
    }

    fn header_area(&self) -> Vec<u8> {
        let region = |guid: Uuid, at: u64, len: u64| region::Entry {
            guid: guid.into(),
            file_offset: U64::new(at),
            length: U32::new(u32::try_from(len).unwrap_or(u32::MAX)),
            required: U32::new(1),
        };
        // The order in which Windows lists them.
        let regions = seal::region_table(&[
            region(region::BAT, BAT_AT, self.blocks.bat_region_len()),
            region(region::METADATA, METADATA_AT, MIB),
        ]);
        let parts =
            [seal::identifier(&self.spec.creator), self.header(1), self.header(2), regions.clone(), regions];
        let mut area = Vec::with_capacity(PAGE);
        for (slot, part) in (1_usize..).zip(parts) {
            area.extend_from_slice(&part);
            area.resize(slot.saturating_mul(region::LEN), 0);
        }
        area.resize(PAGE, 0);
        area
    }

    fn header(&self, sequence_number: u64) -> Vec<u8> {
        seal::header(&wire::header::Header {
            signature: *wire::header::SIGNATURE,
            checksum: U32::ZERO,
            sequence_number: U64::new(sequence_number),
            file_write_guid: self.spec.identities.file_write.into(),
            data_write_guid: self.spec.identities.data_write.into(),
            log_guid: Uuid::nil().into(),
            log_version: U16::ZERO,
            version: U16::new(1),
            log_length: U32::new(1 << 20),
            log_offset: U64::new(LOG_AT),
        })
    }

    /// The five mandatory items in Windows' order and with Windows' flags, as seen in its files (MS-VHDX 2.6).
    fn metadata_items(&self) -> [seal::Item; 5] {
        let item = |id, flags, bytes: &[u8]| seal::Item { id, flags, bytes: bytes.to_vec() };
        let of_file = metadata::FLAG_REQUIRED;
        let of_disk = metadata::FLAG_REQUIRED | metadata::FLAG_VIRTUAL_DISK;
        let geometry = &self.spec.geometry;
        let sector = |size: SectorSize| size.bytes().to_le_bytes();
        let parameters = metadata::FileParameters {
            block_size: U32::new(self.spec.block_size.bytes()),
            flags: U32::new(match self.spec.allocation {
                Allocation::Dynamic => 0,
                Allocation::Fixed => metadata::LEAVE_BLOCK_ALLOCATED,
            }),
        };
        [
            item(metadata::FILE_PARAMETERS, of_file, parameters.as_bytes()),
            item(metadata::VIRTUAL_DISK_SIZE, of_disk, &geometry.size().to_le_bytes()),
            item(metadata::LOGICAL_SECTOR_SIZE, of_disk, &sector(geometry.logical_sector())),
            item(metadata::PHYSICAL_SECTOR_SIZE, of_disk, &sector(geometry.physical_sector())),
            item(metadata::VIRTUAL_DISK_ID, of_disk, &self.spec.identities.virtual_disk.to_bytes_le()),
        ]
    }

    /// The table, a page at a time: for the largest disks it has hundreds of MiB.
    fn write_bat(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut page = Vec::with_capacity(PAGE);
        let mut rank = 0;
        for entry in 0..self.blocks.bat_region_len() / bat::ENTRY_LEN {
            page.extend_from_slice(&self.bat_entry(entry, &mut rank).0.to_le_bytes());
            if page.len() == PAGE {
                out.write_all(&page)?;
                page.clear();
            }
        }
        out.write_all(&page)
    }

    /// One entry; `rank` counts the stored blocks before it.
    ///
    /// An absent block is ZERO, which is defined, rather than `NOT_PRESENT`, which formally is not (2.5.1.1).
    fn bat_entry(&self, entry: u64, rank: &mut u64) -> bat::Entry {
        let nothing = bat::Entry(0);
        if entry >= self.blocks.entry_count() {
            return nothing;
        }
        let Some(block) = self.blocks.block_of_entry(entry) else { return nothing };
        if !self.is_stored(block) {
            return bat::Entry::new(bat::state::ZERO, 0);
        }
        let at = self.offset_of_rank(*rank);
        *rank = rank.saturating_add(1);
        bat::Entry::new(bat::state::FULLY_PRESENT, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SectorSize;

    const MIB: usize = 1 << 20;

    fn golden(allocation: Allocation) -> ImageLayout {
        let geometry = Geometry::new((5 << 20) + 512, SectorSize::B512, SectorSize::B512).unwrap();
        let block_size = BlockSize::from_bytes(2 << 20).unwrap();
        let identities = Identities {
            file_write: uuid::uuid!("11111111-2222-3333-4444-555555555555"),
            data_write: uuid::uuid!("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"),
            virtual_disk: uuid::uuid!("01234567-89ab-cdef-0123-456789abcdef"),
        };
        let creator = "golden 1".to_owned();
        let spec = ImageSpec { geometry, block_size, allocation, identities, creator };
        let blocks = BlockLayout::new(geometry, block_size, false);
        ImageLayout::new(spec, BlockSet::collect(&blocks, [(BlockIndex(1), BlockIndex(3))]))
    }

    /// Sheet 10.6, up to the payload; the whole files' digests are checked where the payload is written.
    #[test]
    fn the_golden_tables_come_out() {
        for (allocation, len, entries) in [
            (Allocation::Dynamic, 8_388_608, [2, 0x40_0006, 0x60_0006]),
            (Allocation::Fixed, 10_485_760, [0x40_0006, 0x60_0006, 0x80_0006]),
        ] {
            let layout = golden(allocation);
            assert_eq!(layout.file_len(), len);
            let mut bytes = Vec::new();
            layout.write_prologue(&mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, layout.prologue_len());
            for (index, entry) in entries.into_iter().enumerate() {
                let at = 3 * MIB + index * 8;
                assert_eq!(bytes[at..at + 8], u64::to_le_bytes(entry));
            }
        }
    }

    /// Sheet 10.1 and 10.2.
    #[test]
    fn the_golden_checksums_come_out() {
        let mut bytes = Vec::new();
        golden(Allocation::Dynamic).write_prologue(&mut bytes).unwrap();
        for (at, crc) in [(0x1_0004, 0x50C3_9629), (0x2_0004, 0xD226_4441), (0x3_0004, 0xC66B_8CAE)] {
            assert_eq!(bytes[at..at + 4], u32::to_le_bytes(crc), "at {at:#x}");
        }
        assert_eq!(bytes[0x3_0000..0x4_0000], bytes[0x4_0000..0x5_0000]);
    }

    #[test]
    fn stored_blocks_follow_each_other_in_disk_order() {
        let layout = golden(Allocation::Dynamic);
        let at = |offset: usize| layout.position_of(DiskOffset(offset as u64)).map(|at| at.0);
        assert_eq!(at(0), None);
        assert_eq!(at(2 * MIB + 5), Some(0x40_0005));
        assert_eq!(at(5 * MIB), Some(0x70_0000));
    }
}
