//! Reading what frames hold: the one place that decompresses. Which frame holds what is [`crate::SeekTable`]'s.
//!
//! libzstd gets a whole frame and a buffer of the length that the table says, and nothing that a frame says of itself
//! makes it allocate more.

use std::io;

use vhdx_format::{FileOffset, ReadAt};
use zstd::bulk::Decompressor;

use crate::seek_table::Frame;
use crate::zero_frame::checksum;

/// A frame could not be read or is not what it should be. Comes as the inner value of an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The system could not read it.
    #[error("cannot read frame {index} at {at} of the compressed file")]
    Read {
        /// Which frame, counted from 0.
        index: u32,
        /// Where in the file.
        at: FileOffset,
        /// What the system said.
        source: io::Error,
    },
    /// It is damaged, its own checksum does not fit, or it asks for something that frames must not ask for.
    #[error("frame {index} at {at} of the compressed file can not be decompressed")]
    Damaged {
        /// Which frame, counted from 0.
        index: u32,
        /// Where in the file.
        at: FileOffset,
        /// What libzstd said.
        source: io::Error,
    },
    /// It holds more or less than the seek table says.
    #[error(
        "frame {index} at {at} of the compressed file: bytes of content expected {expected}, found {found}"
    )]
    Length {
        /// Which frame, counted from 0.
        index: u32,
        /// Where in the file.
        at: FileOffset,
        /// What the table says.
        expected: u32,
        /// What the frame says or holds.
        found: u64,
    },
    /// It holds something else than the seek table says.
    #[error(
        "frame {index} at {at} of the compressed file: checksum expected {expected:#010x}, found {found:#010x}"
    )]
    Checksum {
        /// Which frame, counted from 0.
        index: u32,
        /// Where in the file.
        at: FileOffset,
        /// What the table says.
        expected: u32,
        /// What the content amounts to.
        found: u32,
    },
}

/// A file that can not be read is no damaged one: the kind of the error says which it is.
impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> Self {
        let kind = match &error {
            FrameError::Read { source, .. } => source.kind(),
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// Reads frames for one caller.
///
/// Made anew for each read: what libzstd needs for that is some 100 KiB, nothing beside the MiBs that a read
/// decompresses, and nothing is shared between threads or kept by a disk that nobody reads.
pub(crate) struct FrameReader<'a> {
    source: &'a dyn ReadAt,
    decompressor: Decompressor<'static>,
    packed: Vec<u8>,
    content: Vec<u8>,
}

impl<'a> FrameReader<'a> {
    pub(crate) fn new(source: &'a dyn ReadAt) -> io::Result<Self> {
        let decompressor = Decompressor::new()?;
        Ok(Self { source, decompressor, packed: Vec::new(), content: Vec::new() })
    }

    /// Fills `buf` with the content of `frame` from `skip` on. All of the content is decompressed where it belongs, a part
    /// by way of a buffer for all of it.
    pub(crate) fn read(&mut self, frame: &Frame, skip: usize, buf: &mut [u8]) -> io::Result<()> {
        let len = usize::try_from(frame.len).map_err(io::Error::other)?;
        if buf.len() == len {
            return Ok(self.read_whole(frame, buf)?);
        }
        let mut content = std::mem::take(&mut self.content);
        content.resize(len, 0);
        self.read_whole(frame, &mut content)?;
        let wanted = content.get(skip..skip.saturating_add(buf.len()));
        buf.copy_from_slice(wanted.ok_or(io::ErrorKind::UnexpectedEof)?);
        self.content = content;
        Ok(())
    }

    fn read_whole(&mut self, frame: &Frame, content: &mut [u8]) -> Result<(), FrameError> {
        read_packed(self.source, frame, &mut self.packed)?;
        let len = match self.decompressor.decompress_to_buffer(&self.packed, content) {
            Ok(len) => u64::try_from(len).unwrap_or(u64::MAX),
            Err(source) => return Err(self.why_refused(frame, source)),
        };
        if len != u64::from(frame.len) {
            return Err(wrong_length(frame, len));
        }
        match frame.checksum {
            Some(expected) => check(frame, expected, checksum(content)),
            None => Ok(()),
        }
    }

    /// What libzstd says of content that is too long for the buffer means nothing to a user.
    fn why_refused(&self, frame: &Frame, source: io::Error) -> FrameError {
        match zstd::zstd_safe::get_frame_content_size(&self.packed) {
            Ok(Some(found)) if found != u64::from(frame.len) => wrong_length(frame, found),
            _ => FrameError::Damaged { index: frame.index, at: frame.at, source },
        }
    }
}

/// That a frame which the table says to be empty is.
pub(crate) fn check_empty(source: &dyn ReadAt, frame: &Frame) -> Result<(), FrameError> {
    let mut reader = FrameReader::new(source).map_err(|source| unreadable(frame, source))?;
    reader.read_whole(frame, &mut [])
}

/// Reads a frame as it lies in the file into `packed`, which holds nothing else afterwards.
pub(crate) fn read_packed(
    source: &dyn ReadAt,
    frame: &Frame,
    packed: &mut Vec<u8>,
) -> Result<(), FrameError> {
    let len = usize::try_from(frame.packed).map_err(|error| unreadable(frame, io::Error::other(error)))?;
    packed.resize(len, 0);
    source.read_exact_at(frame.at, packed).map_err(|source| unreadable(frame, source))
}

fn unreadable(frame: &Frame, source: io::Error) -> FrameError {
    FrameError::Read { index: frame.index, at: frame.at, source }
}

fn wrong_length(frame: &Frame, found: u64) -> FrameError {
    FrameError::Length { index: frame.index, at: frame.at, expected: frame.len, found }
}

/// A table may have checksums of frames that have none themselves: libzstd has not looked at these.
fn check(frame: &Frame, expected: u32, found: u32) -> Result<(), FrameError> {
    if found == expected {
        return Ok(());
    }
    Err(FrameError::Checksum { index: frame.index, at: frame.at, expected, found })
}
