//! A frame of zstd. What is in it, and that zeros always give the same one, is `raw_format`'s.

use std::io;

use raw_format::FrameEncoder;

use super::Codec;
use crate::compression::ZstdLevel;

pub(super) struct Zstd(FrameEncoder);

impl Zstd {
    pub(super) fn new(level: ZstdLevel) -> io::Result<Self> {
        Ok(Self(FrameEncoder::new(level.get().into())?))
    }
}

impl Codec for Zstd {
    fn encode(&mut self, content: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.0.encode(content, out)
    }
}
