//! The digests of a manifest, made once more in a few lines from what its documentation says, for disks in memory.

use std::fmt::Write as _;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const BLOCK: usize = 64 << 10;
/// Bytes in a range of a manifest.
pub(crate) const RANGE: usize = 64 << 20;
/// Bytes that a mark of a manifest stands for.
pub(crate) const MARK: usize = 1 << 20;

static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// Everything that a manifest says of what a disk holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Digests {
    pub(crate) sha256: String,
    pub(crate) blksum: String,
    ranges: Vec<Option<String>>,
    marks: Vec<Option<String>>,
}

impl Digests {
    pub(crate) fn of(disk: &[u8]) -> Self {
        let ranges = || disk.chunks(RANGE).map(|range| Some(range).filter(|range| !is_zero(range)));
        let marks = |range: &[u8]| range.chunks(MARK).map(|mark| hex(&blksum(mark)[..2])).collect();
        Self {
            sha256: hex_sha256(disk),
            blksum: hex(&blksum(disk)),
            ranges: ranges().map(|range| range.map(|range| hex(&blksum(range)))).collect(),
            marks: ranges().map(|range| range.map(marks)).collect(),
        }
    }

    /// The field `content` of a manifest.
    pub(crate) fn document(&self) -> Value {
        json!({
            "sha256": self.sha256,
            "blksum": {
                "value": self.blksum,
                "block_size": BLOCK,
                "range_size": RANGE,
                "ranges": self.ranges,
                "mark_size": MARK,
                "marks": self.marks,
            },
        })
    }

    /// What `hash` prints.
    pub(crate) fn lines(&self) -> String {
        format!("sha256:{}\nblksum:{}\n", self.sha256, self.blksum)
    }
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn hex_sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// H(H(b1) .. H(bN), length), where H is SHA-256.
fn blksum(bytes: &[u8]) -> Vec<u8> {
    let mut outer = Sha256::new();
    for block in bytes.chunks(BLOCK) {
        outer.update(Sha256::digest(block));
    }
    outer.update((bytes.len() as u64).to_le_bytes());
    outer.finalize().to_vec()
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(BLOCK).all(|block| block == &ZEROS[..block.len()])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
