//! A member of gzip (RFC 1952): a header that says nothing of time, name or system, deflated content, its CRC-32 and its
//! length.

use std::io;

use flate2::{Compress, Crc, FlushCompress, Status};

use super::{Codec, ROOM, stuck};
use crate::compression::GzipLevel;

/// Magic number, method, no flags, no time, nothing about the level, and 255 for a system that is not known: the same
/// everywhere.
const HEADER: [u8; 10] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255];

pub(super) struct Gzip(Compress);

impl Gzip {
    pub(super) fn new(level: GzipLevel) -> Self {
        Self(Compress::new(flate2::Compression::new(level.get().into()), false))
    }

    fn deflate(&mut self, mut content: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.0.reset();
        loop {
            out.reserve(ROOM);
            let before = self.0.total_in();
            let status = self.0.compress_vec(content, out, FlushCompress::Finish)?;
            let taken = usize::try_from(self.0.total_in().saturating_sub(before)).unwrap_or(usize::MAX);
            content = content.split_at_checked(taken).ok_or_else(stuck)?.1;
            match status {
                Status::Ok => {}
                Status::StreamEnd => return Ok(()),
                Status::BufError => return Err(stuck()),
            }
        }
    }
}

impl Codec for Gzip {
    fn encode(&mut self, content: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        out.clear();
        out.extend(HEADER);
        self.deflate(content, out)?;
        let mut crc = Crc::new();
        crc.update(content);
        out.extend(crc.sum().to_le_bytes());
        out.extend(crc.amount().to_le_bytes());
        Ok(())
    }
}
