//! The one frame of zeros of each length: made by hand, so that its bytes are known before anything is compressed.
//!
//! What libzstd makes of zeros depends on its version and on the level. This frame does not, so a reader that finds its
//! bytes knows that they are zeros without decompressing anything. What else a frame may hold is left to [`crate::FrameEncoder`].

use std::hash::Hasher;

use twox_hash::XxHash64;

const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
const CHECKSUM_LEN: usize = 4;
/// A block header of three bytes, and the byte that is repeated.
const RUN_LEN: usize = 4;
/// Longest block of the zstd format, in bytes.
const BLOCK_MAX: u32 = 128 << 10;
const ZEROS: [u8; 4 << 10] = [0; 4 << 10];

/// The frame that says `len` zeros: header with the content's length, runs of at most 128 KiB, checksum. Every zstd
/// decoder takes it; without being told to use more memory, the `zstd` program does so up to 128 MiB.
#[must_use]
pub fn zero_frame(len: u32) -> Vec<u8> {
    let mut frame = Vec::with_capacity(zero_frame_len(len));
    frame.extend(MAGIC);
    push_header(&mut frame, len);
    let mut left = len;
    loop {
        let run = left.min(BLOCK_MAX);
        left = left.saturating_sub(run);
        push_run(&mut frame, run, left == 0);
        if left == 0 {
            break;
        }
    }
    frame.extend(checksum_of_zeros(len).to_le_bytes());
    frame
}

/// Length in bytes of [`zero_frame`].
#[must_use]
pub fn zero_frame_len(len: u32) -> usize {
    let runs = usize::try_from(len.div_ceil(BLOCK_MAX)).unwrap_or(usize::MAX);
    // Without content there is one block all the same, and no byte to repeat.
    let blocks = if runs == 0 { 3 } else { runs.saturating_mul(RUN_LEN) };
    let header = MAGIC.len().saturating_add(1).saturating_add(length_field(len));
    header.saturating_add(blocks).saturating_add(CHECKSUM_LEN)
}

/// Whether all of `bytes` are zeros.
pub(crate) fn is_zeros(bytes: &[u8]) -> bool {
    bytes.chunks(ZEROS.len()).all(|chunk| ZEROS.starts_with(chunk))
}

/// Bytes of the header that hold the content's length: the fewest that can.
fn length_field(len: u32) -> usize {
    match len {
        0..256 => 1,
        256..65_792 => 2,
        _ => 4,
    }
}

/// RFC 8878, 3.1.1.1: one segment, with a checksum, without a dictionary.
fn push_header(frame: &mut Vec<u8>, len: u32) {
    const ONE_SEGMENT: u8 = 1 << 5;
    const HAS_CHECKSUM: u8 = 1 << 2;
    let bytes = len.to_le_bytes();
    let (size_flag, field) = match length_field(len) {
        1 => (0, bytes),
        // The field of two bytes counts from 256.
        2 => (1, len.saturating_sub(256).to_le_bytes()),
        _ => (2, bytes),
    };
    frame.push(size_flag << 6 | ONE_SEGMENT | HAS_CHECKSUM);
    frame.extend(field.into_iter().take(length_field(len)));
}

/// RFC 8878, 3.1.1.2: a zero repeated, or an empty raw block where there is nothing to repeat.
fn push_run(frame: &mut Vec<u8>, run: u32, is_last: bool) {
    const RAW: u32 = 0;
    const REPEATED: u32 = 1;
    let kind = if run == 0 { RAW } else { REPEATED };
    let [a, b, c, _] = (run << 3 | kind << 1 | u32::from(is_last)).to_le_bytes();
    frame.extend([a, b, c]);
    if run > 0 {
        frame.push(0);
    }
}

/// RFC 8878, 3.1.1: the low half of the XXH64 of the content.
fn checksum_of_zeros(len: u32) -> u32 {
    let mut hasher = XxHash64::with_seed(0);
    let mut left = usize::try_from(len).unwrap_or(usize::MAX);
    while left > 0 {
        let (some, _) = ZEROS.split_at(left.min(ZEROS.len()));
        hasher.write(some);
        left = left.saturating_sub(some.len());
    }
    low_half(hasher.finish())
}

/// The low half of the XXH64 of `content`: what frames and tables have as checksum.
pub(crate) fn checksum(content: &[u8]) -> u32 {
    low_half(XxHash64::oneshot(0, content))
}

fn low_half(hash: u64) -> u32 {
    let [a, b, c, d, ..] = hash.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}
