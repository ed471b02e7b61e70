//! Log entries (MS-VHDX 2.3.1) as bytes, and the ring that holds them.

use uuid::Uuid;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::SparseFile;
use crate::seal;
use crate::wire::{self, header, log};

/// What a descriptor does to the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Puts 4096 bytes at `at`.
    Data {
        /// File offset in bytes.
        at: u64,
        /// The sector; short ones are filled up with zeros.
        bytes: Vec<u8>,
    },
    /// Clears a range.
    Zero {
        /// File offset in bytes.
        at: u64,
        /// Length in bytes.
        len: u64,
    },
}

/// A log entry to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogEntry {
    /// `LogGuid`.
    pub log: Uuid,
    /// `SequenceNumber`, in the header, the descriptors and the data sectors.
    pub sequence_number: u64,
    /// Offset in the ring of the oldest entry to be replayed with this one.
    pub tail: u32,
    /// `FlushedFileOffset` in bytes.
    pub flushed: u64,
    /// `LastFileOffset` in bytes.
    pub last: u64,
    /// The descriptors, in order.
    pub changes: Vec<Change>,
}

impl LogEntry {
    /// Length in bytes: whole sectors.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        let data = self.changes.iter().filter(|change| matches!(change, Change::Data { .. })).count();
        self.descriptor_area() + log::SECTOR_LEN * data as u64
    }

    /// The entry's bytes with its checksum.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = log::EntryHeader {
            signature: *log::ENTRY_SIGNATURE,
            checksum: U32::ZERO,
            entry_length: U32::new(self.byte_len() as u32),
            tail: U32::new(self.tail),
            sequence_number: U64::new(self.sequence_number),
            descriptor_count: U32::new(self.changes.len() as u32),
            reserved: U32::ZERO,
            log_guid: self.log.into(),
            flushed_file_offset: U64::new(self.flushed),
            last_file_offset: U64::new(self.last),
        };
        let mut bytes = header.as_bytes().to_vec();
        let mut sectors = Vec::new();
        for change in &self.changes {
            match change {
                Change::Data { at, bytes: sector } => {
                    let (descriptor, sector) = self.data(*at, sector);
                    bytes.extend_from_slice(descriptor.as_bytes());
                    sectors.extend_from_slice(sector.as_bytes());
                }
                Change::Zero { at, len } => bytes.extend_from_slice(self.zero(*at, *len).as_bytes()),
            }
        }
        bytes.resize(self.descriptor_area() as usize, 0);
        bytes.extend(sectors);
        seal::with_checksum(bytes)
    }

    fn descriptor_area(&self) -> u64 {
        let used = size_of::<log::EntryHeader>() + self.changes.len() * log::DESCRIPTOR_LEN;
        (used as u64).next_multiple_of(log::SECTOR_LEN)
    }

    fn zero(&self, at: u64, len: u64) -> log::ZeroDescriptor {
        log::ZeroDescriptor {
            signature: *log::ZERO_SIGNATURE,
            reserved: U32::ZERO,
            zero_length: U64::new(len),
            file_offset: U64::new(at),
            sequence_number: U64::new(self.sequence_number),
        }
    }

    fn data(&self, at: u64, bytes: &[u8]) -> (log::DataDescriptor, log::DataSector) {
        let mut target = [0; log::SECTOR];
        target[..bytes.len()].copy_from_slice(bytes);
        let mut descriptor = log::DataDescriptor::new_zeroed();
        descriptor.signature = *log::DATA_SIGNATURE;
        descriptor.trailing_bytes.copy_from_slice(&target[4092..]);
        descriptor.leading_bytes.copy_from_slice(&target[..8]);
        descriptor.file_offset = U64::new(at);
        descriptor.sequence_number = U64::new(self.sequence_number);
        let mut sector = log::DataSector::new_zeroed();
        sector.signature = *log::SECTOR_SIGNATURE;
        sector.sequence_high = U32::new((self.sequence_number >> 32) as u32);
        sector.data.copy_from_slice(&target[8..4092]);
        sector.sequence_low = U32::new(self.sequence_number as u32);
        (descriptor, sector)
    }
}

/// An entry whose second half never reached the disk: its checksum no longer holds.
#[must_use]
pub fn torn(mut entry: Vec<u8>) -> Vec<u8> {
    let half = entry.len() / 2;
    for byte in &mut entry[half..] {
        *byte ^= 0xA5;
    }
    entry
}

/// Where a file's log lies, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ring {
    /// File offset.
    pub at: u64,
    /// Length.
    pub len: u64,
}

impl Ring {
    /// The log that header 1 states; `None` if the file is too short for a header.
    #[must_use]
    pub fn of(file: &SparseFile) -> Option<Self> {
        let bytes = file.read(header::OFFSETS[0], header::LEN);
        let header = wire::prefix::<header::Header>(&bytes)?;
        Some(Self { at: header.log_offset.get(), len: u64::from(header.log_length.get()) })
    }

    /// Writes bytes from `position` on, over the ring's end into its beginning. Returns the position behind them.
    pub fn put(&self, file: &mut SparseFile, position: u64, bytes: &[u8]) -> u64 {
        let mut position = position % self.len;
        for sector in bytes.chunks(log::SECTOR) {
            file.write(self.at + position, sector);
            position = (position + sector.len() as u64) % self.len;
        }
        position
    }
}
