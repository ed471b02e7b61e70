//! A disk as frames behind each other, one for each cell of 4 MiB, the last of which may be short; and what follows them.
//!
//! Knows neither files nor streams: where bytes go is `compressed.rs`'s, what a frame is `codec.rs`'s.

use std::io::{self, Write};

use raw_format::SeekTableBuilder;

use crate::codec::{Codec, codec};
use crate::digest::Hashed;
use crate::piece::{CELL, PIECE, ZEROS_MAX};
use crate::{Artifact, Compression, FilledPiece, Run};

const _: () = assert!(raw_format::FRAME_LEN as u64 == CELL, "a frame is what one read takes");

/// What a piece is encoded to.
#[derive(Debug)]
pub struct EncodedPiece(Encoded);

#[derive(Debug)]
enum Encoded {
    /// The one frame of a piece with data.
    Frame(Vec<u8>),
    /// Nothing but zeros, in however many cells.
    Zeros,
}

/// Makes the frames of pieces; one for each thread.
pub(crate) struct FrameMaker {
    compression: Compression,
    /// There from the first frame on: making it may fail.
    codec: Option<Box<dyn Codec>>,
    /// What frames are made in. They are handed on at their own length, so that what waits for its turn takes no more
    /// memory than it must.
    scratch: Vec<u8>,
}

impl FrameMaker {
    pub(crate) fn new(compression: Compression) -> Self {
        Self { compression, codec: None, scratch: Vec::new() }
    }

    pub(crate) fn encode(&mut self, piece: &FilledPiece) -> io::Result<EncodedPiece> {
        match piece.bytes() {
            Some(bytes) if !is_zeros(piece) => {
                let made = self.codec.take().map_or_else(|| codec(self.compression), Ok)?;
                self.codec.insert(made).encode(bytes, &mut self.scratch)?;
                Ok(EncodedPiece(Encoded::Frame(self.scratch.clone())))
            }
            _ => Ok(EncodedPiece(Encoded::Zeros)),
        }
    }
}

/// Whether a piece is nothing but zeros: they are one run then.
fn is_zeros(piece: &FilledPiece) -> bool {
    piece.runs().all(|run| matches!(run, Run::Zeros(_)))
}

/// Puts frames behind each other.
#[derive(Debug)]
pub(crate) struct Frames {
    compression: Compression,
    written: Written,
    zeros: Option<ZeroFrames>,
    /// Takes 8 bytes for each frame, so 2 MiB for each TiB of the disk.
    table: Option<SeekTableBuilder>,
}

impl Frames {
    /// Nothing yet. The digest of all that is written is taken if `hashed`.
    pub(crate) fn new(compression: Compression, hashed: bool) -> Self {
        Self {
            compression,
            written: Written { len: 0, hasher: hashed.then(Hashed::default) },
            zeros: None,
            table: matches!(compression, Compression::Zstd(_)).then(SeekTableBuilder::new),
        }
    }

    /// Bytes written so far.
    pub(crate) fn len(&self) -> u64 {
        self.written.len
    }

    pub(crate) fn maker(&self) -> FrameMaker {
        FrameMaker::new(self.compression)
    }

    /// Writes the frames of the next piece.
    pub(crate) fn append(
        &mut self,
        piece: &FilledPiece,
        encoded: &EncodedPiece,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        match &encoded.0 {
            Encoded::Frame(frame) => {
                self.enter(frame.len(), piece.range().len())?;
                self.written.through(out).write_all(frame)
            }
            Encoded::Zeros => self.append_zeros(piece.range().len(), out),
        }
    }

    /// Writes what follows the last frame: in zstd the table of them, elsewhere nothing.
    pub(crate) fn finish(&mut self, out: &mut dyn Write) -> io::Result<Artifact> {
        if let Some(table) = self.table.take() {
            table.write_to(&mut self.written.through(out))?;
        }
        Ok(Artifact {
            len: self.written.len,
            sha256: self.written.hasher.take().map(Hashed::finish),
            shared: 0,
        })
    }

    /// Whole cells all have the same frame; only the last cell of a disk may need one of its own.
    fn append_zeros(&mut self, len: u64, out: &mut dyn Write) -> io::Result<()> {
        let zeros = match self.zeros.take() {
            Some(zeros) => zeros,
            None => ZeroFrames::new(self.compression)?,
        };
        let zeros = self.zeros.insert(zeros);
        let frame_len = zeros.frame_len;
        zeros.write(len / CELL, &mut self.written.through(out))?;
        for _ in 0..len / CELL {
            self.enter(frame_len, CELL)?;
        }
        let rest = len % CELL;
        if rest > 0 {
            let frame = zero_frame(self.compression, rest)?;
            self.enter(frame.len(), rest)?;
            self.written.through(out).write_all(&frame)?;
        }
        Ok(())
    }

    fn enter(&mut self, packed: usize, content: u64) -> io::Result<()> {
        let Some(table) = &mut self.table else { return Ok(()) };
        let content = usize::try_from(content).unwrap_or(usize::MAX);
        table.push(packed, content).map_err(io::Error::other)
    }
}

/// The frame of a cell of zeros, as often as the longest piece needs it: made once, and written at once.
#[derive(Debug)]
struct ZeroFrames {
    frame_len: usize,
    repeated: Vec<u8>,
}

impl ZeroFrames {
    const COUNT: u64 = ZEROS_MAX / CELL;

    fn new(compression: Compression) -> io::Result<Self> {
        let frame = zero_frame(compression, CELL)?;
        let repeated = frame.repeat(Self::COUNT as usize);
        Ok(Self { frame_len: frame.len(), repeated })
    }

    fn write(&self, mut count: u64, out: &mut dyn Write) -> io::Result<()> {
        while count > 0 {
            let some = count.min(Self::COUNT);
            let len = self.frame_len.saturating_mul(some as usize).min(self.repeated.len());
            out.write_all(self.repeated.split_at(len).0)?;
            count = count.saturating_sub(some);
        }
        Ok(())
    }
}

/// The frame of `len` zeros, at most a cell of them.
fn zero_frame(compression: Compression, len: u64) -> io::Result<Vec<u8>> {
    let zeros = vec![0; usize::try_from(len).unwrap_or(PIECE).min(PIECE)];
    let mut frame = Vec::new();
    codec(compression)?.encode(&zeros, &mut frame)?;
    Ok(frame)
}

/// What was written: its length, and its digest if anybody wants it.
#[derive(Debug)]
struct Written {
    len: u64,
    hasher: Option<Hashed>,
}

impl Written {
    fn through<'a>(&'a mut self, out: &'a mut dyn Write) -> Through<'a> {
        Through { written: self, out }
    }
}

/// Writes, and keeps account of it.
struct Through<'a> {
    written: &'a mut Written,
    out: &'a mut dyn Write,
}

impl Write for Through<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        let taken = bytes.split_at_checked(count).map_or(bytes, |(taken, _)| taken);
        if let Some(hasher) = &mut self.written.hasher {
            hasher.write_all(taken)?;
        }
        self.written.len = self.written.len.saturating_add(taken.len() as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
