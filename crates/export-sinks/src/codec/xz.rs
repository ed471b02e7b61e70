//! A stream of xz: one block of LZMA2 with a CRC-64.

use std::io;

use liblzma::stream::{Action, Check, Filters, LzmaOptions, Status, Stream};

use super::{Codec, ROOM, stuck};
use crate::compression::XzLevel;

/// The largest dictionary, in bytes: a cell holds nothing older to refer to. It also bounds memory, most of which is
/// some ten times the dictionary.
const DICTIONARY_MAX: u32 = 4 << 20;

/// The last level whose own dictionary is no larger than that.
const SMALL_UP_TO: u8 = 4;

pub(super) struct Xz(XzLevel);

impl Xz {
    pub(super) fn new(level: XzLevel) -> Self {
        Self(level)
    }

    /// A compressor for one frame: liblzma's can not be used again. Making one takes some thousandths of the time that it
    /// then works.
    fn stream(&self) -> io::Result<Stream> {
        let level = self.0.get();
        let mut options = LzmaOptions::new_preset(level.into())?;
        if level > SMALL_UP_TO {
            options.dict_size(DICTIONARY_MAX);
        }
        let mut filters = Filters::new();
        filters.lzma2(&options);
        Ok(Stream::new_stream_encoder(&filters, Check::Crc64)?)
    }
}

impl Codec for Xz {
    fn encode(&mut self, mut content: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        out.clear();
        let mut stream = self.stream()?;
        loop {
            out.reserve(ROOM);
            let before = stream.total_in();
            let status = stream.process_vec(content, out, Action::Finish)?;
            let taken = usize::try_from(stream.total_in().saturating_sub(before)).unwrap_or(usize::MAX);
            content = content.split_at_checked(taken).ok_or_else(stuck)?.1;
            match status {
                Status::Ok => {}
                Status::StreamEnd => return Ok(()),
                Status::MemNeeded | Status::GetCheck => return Err(stuck()),
            }
        }
    }
}
