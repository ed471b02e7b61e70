//! The replay log as bytes.

use super::seal;

/// A change in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Where it goes, in bytes from the start of the file.
    pub at: u64,
    /// What goes there.
    pub bytes: Vec<u8>,
    /// Whether the entry's checksum is wrong.
    pub broken_entry: bool,
    /// Whether the payload's checksum is wrong.
    pub broken_payload: bool,
}

impl Change {
    /// A sound change.
    #[must_use]
    pub fn new(at: u64, bytes: impl Into<Vec<u8>>) -> Self {
        Self { at, bytes: bytes.into(), broken_entry: false, broken_payload: false }
    }
}

/// A replay log to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    /// Bytes of the region, as the file header states them.
    pub region: usize,
    /// Bytes of the header and the entries, as the file header states them.
    pub header_size: usize,
    /// The entries from slot 0 on, pending or stale.
    pub changes: Vec<Change>,
    /// How many are pending: 0 is a clean log, `None` all of them.
    pub pending: Option<u32>,
    /// Whether the file ends with the last payload, as real ones do.
    pub cut: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { region: 0x1000, header_size: 0x1000, changes: Vec::new(), pending: None, cut: false }
    }
}

impl Log {
    /// The region's bytes, longer than stated if the payloads are.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.header();
        let mut payloads: Vec<u8> = Vec::new();
        for change in &self.changes {
            bytes.extend(entry(change, (self.header_size + payloads.len()) as u64));
            payloads.extend(&change.bytes);
        }
        bytes.resize(self.header_size, 0);
        bytes.extend(payloads);
        if !self.cut && bytes.len() < self.region {
            bytes.resize(self.region, 0);
        }
        bytes
    }

    fn header(&self) -> Vec<u8> {
        let mut bytes = vec![0x03, 0x00, 0x11, 0x01, 0, 0, 0, 0];
        bytes.extend(self.pending.unwrap_or(self.changes.len() as u32).to_le_bytes());
        bytes.push(0);
        bytes.extend((self.header_size.saturating_sub(34) as u32 / 28).to_le_bytes());
        bytes.resize(34, 0);
        seal(&mut bytes, 4);
        bytes
    }
}

fn entry(change: &Change, payload_at: u64) -> Vec<u8> {
    let mut bytes = change.at.to_le_bytes().to_vec();
    bytes.extend((change.bytes.len() as u32).to_le_bytes());
    bytes.extend(payload_at.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend((crc32fast::hash(&change.bytes) ^ u32::from(change.broken_payload)).to_le_bytes());
    seal(&mut bytes, 20);
    bytes[20] ^= u8::from(change.broken_entry);
    bytes
}
