//! Making frames: the one place that compresses.
//!
//! A frame stands for itself: it names no dictionary and needs no other frame, states the length of its content, and has a
//! checksum of it. Where it lies is left to [`crate::SeekTableBuilder`].

use std::io;

use zstd::bulk::Compressor;

use crate::zero_frame::{is_zeros, zero_frame};

/// Compresses pieces of content, each into a frame of its own.
///
/// Guarantees: the same content, level and version of libzstd give the same bytes, whatever was encoded before; content
/// of zeros alone gives [`zero_frame`], whatever the level.
pub struct FrameEncoder {
    compressor: Compressor<'static>,
}

impl FrameEncoder {
    /// An encoder of that zstd level. Levels beyond those that libzstd has mean the nearest that it has, and 0 means
    /// its default.
    pub fn new(level: i32) -> io::Result<Self> {
        let mut compressor = Compressor::new(level)?;
        compressor.include_checksum(true)?;
        compressor.include_contentsize(true)?;
        compressor.include_dictid(false)?;
        Ok(Self { compressor })
    }

    /// Compresses `content` into one frame. `out` holds the frame and nothing else afterwards; the room it has is used
    /// again. Fails only where memory runs out.
    pub fn encode(&mut self, content: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        out.clear();
        match u32::try_from(content.len()) {
            Ok(len) if is_zeros(content) => out.extend(zero_frame(len)),
            _ => {
                out.reserve(zstd::zstd_safe::compress_bound(content.len()));
                self.compressor.compress_to_buffer(content, out)?;
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for FrameEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrameEncoder").finish_non_exhaustive()
    }
}
