//! The table at the end of a file in the zstd seekable format, version 0.1.0: which frames there are and what each
//! holds of the content. Reading and writing of the table only; what lies in the frames is [`crate::ZstdDisk`]'s.
//!
//! ```text
//! frame 0 | frame 1 | .. | 0x184D2A5E  length | packed, content [, checksum] | .. | frames  descriptor  0x8F92EAB1
//!                          skippable frame      one entry per frame, in order       footer, 9 bytes
//! ```
//!
//! All numbers are little-endian and of 4 bytes, but for the descriptor's one: bit 7 says that entries have checksums,
//! bits 2 to 6 must be 0, bits 0 and 1 mean nothing. Programs that know nothing of it skip the table.

use std::io::{self, Write};

use vhdx_format::{DiskOffset, FileOffset, ReadAt};

use limits::frames::{
    CONTENT_LEN_MAX, EMPTY_FRAMES_MAX, FORMAT_CONTENT_MAX, FORMAT_FRAMES_MAX, FRAMES_MAX, PACKED_LEN_MAX,
};

const TABLE_MAGIC: u32 = 0x184D_2A5E;
const FOOTER_MAGIC: u32 = 0x8F92_EAB1;
const HEADER_LEN: u32 = 8;
const FOOTER_LEN: u32 = 9;
const HAS_CHECKSUMS: u8 = 1 << 7;
const RESERVED: u8 = 0b0111_1100;

/// Entries are read this many at a time: some ten thousand, so that a table is read in few and small pieces.
const ENTRIES_AT_A_TIME: u32 = 1 << 14;

/// One frame and what it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Which frame of the file, counted from 0.
    pub index: u32,
    /// Where it lies in the file.
    pub at: FileOffset,
    /// Its length in the file, in bytes.
    pub packed: u32,
    /// Where its content starts in the content of all frames.
    pub start: DiskOffset,
    /// Length of its content, in bytes.
    pub len: u32,
    /// The low half of the XXH64 of its content, where the table says so.
    pub checksum: Option<u32>,
}

/// The frames of a file, findable by what they hold.
///
/// Guarantees: the frames follow each other without gaps from the start of the file to the table; none goes over
/// [`CONTENT_LEN_MAX`] or [`PACKED_LEN_MAX`], none has no byte, and no more than [`EMPTY_FRAMES_MAX`] have no content. Takes 8 bytes of memory for each, 12 where they have checksums, and a
/// little for marks.
#[derive(Clone, Debug, Default)]
pub struct SeekTable {
    lengths: Lengths,
    /// As many as there are frames, or none.
    checksums: Vec<u32>,
}

/// The file has no table, or one that can not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeekTableError {
    /// The system could not read the table.
    #[error("cannot read the seek table at {at}")]
    Io {
        /// Where in the file.
        at: FileOffset,
        /// What the system said.
        source: io::Error,
    },
    /// The file does not end as the format says: it may be a compressed file of another kind, or cut off.
    #[error("not a seekable zstd file: it does not end with a seek table")]
    NoTable,
    /// The file is shorter than the table says that the table is.
    #[error("the seek table is truncated: {frames} frames need {need} bytes, the file has {have}")]
    Truncated {
        /// Number of frames, as the footer says.
        frames: u32,
        /// Length of such a table, in bytes.
        need: u64,
        /// Length of the file, in bytes.
        have: u64,
    },
    /// The table contradicts the format or the file.
    #[error("seek table at {at}: {what} expected {expected:#x}, found {found:#x}")]
    Corrupt {
        /// What of the table.
        what: &'static str,
        /// Where in the file it is; for sums, where the table is.
        at: FileOffset,
        /// What it has to be.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// The table lists a frame without a single byte, which no frame is, not even one without content.
    #[error("the seek table gives frame {index} a length of 0 bytes")]
    NoBytes {
        /// Which frame, counted from 0.
        index: u32,
    },
    /// The file goes over a limit of this program (see [`limits::frames`]).
    #[error("{what} of {found}, more than the limit of {limit}; {reason}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit.
        limit: u32,
        /// What was found.
        found: u32,
        /// Why there is a limit.
        reason: &'static str,
    },
}

/// The lengths of frames that lie behind each other, with a mark every [`Lengths::STRIDE`] so that none is far from a
/// known position.
#[derive(Clone, Debug, Default)]
struct Lengths {
    pairs: Vec<Pair>,
    marks: Vec<Mark>,
    end: Mark,
}

#[derive(Clone, Copy, Debug)]
struct Pair {
    packed: u32,
    len: u32,
}

/// Where a frame starts, in the file and in the content.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    at: u64,
    start: u64,
}

impl Mark {
    /// Where the next frame starts. Fewer than 2^32 frames of fewer than 2^32 bytes never leave 64 bits.
    fn behind(self, pair: Pair) -> Self {
        Self {
            at: self.at.saturating_add(pair.packed.into()),
            start: self.start.saturating_add(pair.len.into()),
        }
    }
}

impl Lengths {
    const STRIDE: usize = 64;

    fn push(&mut self, pair: Pair) {
        if self.pairs.len().is_multiple_of(Self::STRIDE) {
            self.marks.push(self.end);
        }
        self.pairs.push(pair);
        self.end = self.end.behind(pair);
    }

    /// The index of a mark, and of the frame that starts there.
    fn marked(&self, mark: usize) -> (usize, Mark) {
        let index = mark.saturating_mul(Self::STRIDE);
        self.marks.get(mark).map_or((self.pairs.len(), self.end), |at| (index, *at))
    }
}

impl SeekTable {
    /// Reads the table at the end of a file and holds it to the file's length. Allocates no more than the file backs.
    pub fn read(source: &dyn ReadAt) -> Result<Self, SeekTableError> {
        let place = Place::find(source)?;
        place.check_header(source)?;
        let mut table = Self::default();
        table.lengths.pairs.reserve_exact(to_usize(place.frames));
        let mut left = place.frames;
        let mut at = place.at.0.saturating_add(HEADER_LEN.into());
        while left > 0 {
            let count = left.min(ENTRIES_AT_A_TIME);
            let mut bytes = vec![0; to_usize(count.saturating_mul(place.entry_len()))];
            read(source, FileOffset(at), &mut bytes)?;
            table.append(&bytes, place.has_checksums)?;
            at = at.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            left = left.saturating_sub(count);
        }
        table.check_empty_frames()?;
        match table.lengths.end.at {
            found if found == place.at.0 => Ok(table),
            found => Err(place.corrupt("sum of the frames' lengths", place.at.0, found)),
        }
    }

    fn append(&mut self, entries: &[u8], has_checksums: bool) -> Result<(), SeekTableError> {
        let (words, _) = entries.as_chunks::<4>();
        let mut words = words.iter().map(|word| u32::from_le_bytes(*word));
        while let (Some(packed), Some(len)) = (words.next(), words.next()) {
            check_limits(packed, len)?;
            if packed == 0 {
                return Err(SeekTableError::NoBytes { index: self.frame_count() });
            }
            self.lengths.push(Pair { packed, len });
            if has_checksums {
                self.checksums.extend(words.next());
            }
        }
        Ok(())
    }

    fn check_empty_frames(&self) -> Result<(), SeekTableError> {
        let found = self.lengths.pairs.iter().filter(|pair| pair.len == 0).count();
        match u32::try_from(found).unwrap_or(u32::MAX) {
            0..=EMPTY_FRAMES_MAX => Ok(()),
            found => {
                let reason = "each of them is read when the file is opened";
                Err(too_large("a number of frames without content", EMPTY_FRAMES_MAX, found, reason))
            }
        }
    }

    /// Number of frames, those without content included.
    #[must_use]
    pub fn frame_count(&self) -> u32 {
        u32::try_from(self.lengths.pairs.len()).unwrap_or(u32::MAX)
    }

    /// Length in bytes of the content of all frames.
    #[must_use]
    pub fn content_len(&self) -> u64 {
        self.lengths.end.start
    }

    /// The frame of that number, if there is one.
    #[must_use]
    pub fn frame(&self, index: u32) -> Option<Frame> {
        let index = to_usize(index);
        let (mut at, mut mark) = self.lengths.marked(index.checked_div(Lengths::STRIDE)?);
        for pair in self.lengths.pairs.get(at..index)? {
            mark = mark.behind(*pair);
            at = at.saturating_add(1);
        }
        self.frame_at(at, mark)
    }

    /// The frames that hold the content from `at` on, in order, the first of which may start before it. Frames without
    /// content are left out; there are none from the end of the content on.
    #[must_use]
    pub fn frames_from(&self, at: DiskOffset) -> Frames<'_> {
        let behind = self.lengths.marks.partition_point(|mark| mark.start <= at.0);
        let (index, mark) = self.lengths.marked(behind.saturating_sub(1));
        Frames { table: self, index, mark, from: at.0 }
    }

    /// The frames that the table says to hold nothing, in order.
    pub(crate) fn empty_frames(&self) -> impl Iterator<Item = Frame> {
        let mut next = Mark::default();
        self.lengths.pairs.iter().enumerate().filter_map(move |(index, pair)| {
            let mark = next;
            next = mark.behind(*pair);
            if pair.len == 0 { self.frame_at(index, mark) } else { None }
        })
    }

    fn frame_at(&self, index: usize, mark: Mark) -> Option<Frame> {
        let Pair { packed, len } = *self.lengths.pairs.get(index)?;
        Some(Frame {
            index: u32::try_from(index).ok()?,
            at: FileOffset(mark.at),
            packed,
            start: DiskOffset(mark.start),
            len,
            checksum: self.checksums.get(index).copied(),
        })
    }
}

/// See [`SeekTable::frames_from`].
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    table: &'a SeekTable,
    index: usize,
    mark: Mark,
    from: u64,
}

impl Iterator for Frames<'_> {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        loop {
            let frame = self.table.frame_at(self.index, self.mark)?;
            self.mark = self.mark.behind(Pair { packed: frame.packed, len: frame.len });
            self.index = self.index.saturating_add(1);
            if frame.len > 0 && self.mark.start > self.from {
                return Some(frame);
            }
        }
    }
}

/// Where the table is and how it is built, as its footer says.
struct Place {
    /// Where the table starts, which is where the frames end.
    at: FileOffset,
    frames: u32,
    has_checksums: bool,
}

impl Place {
    fn find(source: &dyn ReadAt) -> Result<Self, SeekTableError> {
        let have = source.byte_len().map_err(|source| SeekTableError::Io { at: FileOffset(0), source })?;
        let footer_at = have.checked_sub(FOOTER_LEN.into()).ok_or(SeekTableError::NoTable)?;
        let mut footer = [0; 9];
        read(source, FileOffset(footer_at), &mut footer)?;
        let [f0, f1, f2, f3, descriptor, m0, m1, m2, m3] = footer;
        if u32::from_le_bytes([m0, m1, m2, m3]) != FOOTER_MAGIC {
            return Err(SeekTableError::NoTable);
        }
        let frames = u32::from_le_bytes([f0, f1, f2, f3]);
        let mut place = Self { at: FileOffset(0), frames, has_checksums: descriptor & HAS_CHECKSUMS != 0 };
        if frames > FRAMES_MAX {
            let reason = "the whole list of frames is held in memory";
            return Err(too_large("a number of frames", FRAMES_MAX, frames, reason));
        }
        let need = place.table_len();
        let at = have.checked_sub(need).ok_or(SeekTableError::Truncated { frames, need, have })?;
        place.at = FileOffset(at);
        match descriptor & RESERVED {
            0 => Ok(place),
            found => Err(SeekTableError::Corrupt {
                what: "reserved bits of the descriptor",
                at: FileOffset(footer_at.saturating_add(4)),
                expected: 0,
                found: found.into(),
            }),
        }
    }

    fn check_header(&self, source: &dyn ReadAt) -> Result<(), SeekTableError> {
        let mut header = [0; 8];
        read(source, self.at, &mut header)?;
        let [m0, m1, m2, m3, l0, l1, l2, l3] = header;
        let magic = u32::from_le_bytes([m0, m1, m2, m3]);
        if magic != TABLE_MAGIC {
            return Err(self.corrupt("magic number", TABLE_MAGIC.into(), magic.into()));
        }
        let expected = self.table_len().saturating_sub(HEADER_LEN.into());
        let found = u64::from(u32::from_le_bytes([l0, l1, l2, l3]));
        if found == expected { Ok(()) } else { Err(self.corrupt("length", expected, found)) }
    }

    fn entry_len(&self) -> u32 {
        if self.has_checksums { 12 } else { 8 }
    }

    fn table_len(&self) -> u64 {
        table_len(self.frames, self.entry_len())
    }

    fn corrupt(&self, what: &'static str, expected: u64, found: u64) -> SeekTableError {
        SeekTableError::Corrupt { what, at: self.at, expected, found }
    }
}

fn table_len(frames: u32, entry_len: u32) -> u64 {
    let entries = u64::from(frames).saturating_mul(entry_len.into());
    entries.saturating_add(HEADER_LEN.into()).saturating_add(FOOTER_LEN.into())
}

fn check_limits(packed: u32, len: u32) -> Result<(), SeekTableError> {
    let reason = "reading any part of a frame takes memory for all of it";
    if len > CONTENT_LEN_MAX {
        return Err(too_large("a frame with content", CONTENT_LEN_MAX, len, reason));
    }
    if packed > PACKED_LEN_MAX {
        return Err(too_large("a frame with a length", PACKED_LEN_MAX, packed, reason));
    }
    Ok(())
}

fn too_large(what: &'static str, limit: u32, found: u32, reason: &'static str) -> SeekTableError {
    SeekTableError::TooLarge { what, limit, found, reason }
}

fn read(source: &dyn ReadAt, at: FileOffset, buf: &mut [u8]) -> Result<(), SeekTableError> {
    source.read_exact_at(at, buf).map_err(|source| SeekTableError::Io { at, source })
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The frames written so far, for the table behind them. Takes 8 bytes of memory for each.
#[derive(Clone, Debug, Default)]
pub struct SeekTableBuilder {
    pairs: Vec<Pair>,
}

/// A limit of the seekable format that a frame goes over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameLimit {
    /// More frames than a table can list.
    #[error("a seekable zstd file has no room for more than {FORMAT_FRAMES_MAX} frames")]
    Frames,
    /// The frame holds too much.
    #[error("a frame with content of {0} bytes is longer than {FORMAT_CONTENT_MAX}")]
    Content(usize),
    /// The frame itself is longer than the table can say.
    #[error("a frame of {0} bytes is longer than a seek table can say")]
    Packed(usize),
}

impl SeekTableBuilder {
    /// A table of no frames.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next frame: its length in the file and the length of its content, both in bytes.
    pub fn push(&mut self, packed: usize, len: usize) -> Result<(), FrameLimit> {
        if self.pairs.len() >= to_usize(FORMAT_FRAMES_MAX) {
            return Err(FrameLimit::Frames);
        }
        let fitting = u32::try_from(len).ok().filter(|len| *len <= FORMAT_CONTENT_MAX);
        let len = fitting.ok_or(FrameLimit::Content(len))?;
        let packed = u32::try_from(packed).map_err(|_| FrameLimit::Packed(packed))?;
        self.pairs.push(Pair { packed, len });
        Ok(())
    }

    /// Length in bytes of what [`Self::write_to`] writes.
    #[must_use]
    pub fn encoded_len(&self) -> u64 {
        table_len(self.frame_count(), 8)
    }

    /// Writes the table, which belongs directly behind the last frame, at the end of the file. Its entries have no
    /// checksums: each frame that this crate makes has its own.
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&TABLE_MAGIC.to_le_bytes())?;
        let behind_header = self.encoded_len().saturating_sub(HEADER_LEN.into());
        out.write_all(&u32::try_from(behind_header).map_err(io::Error::other)?.to_le_bytes())?;
        let mut bytes = Vec::new();
        for some in self.pairs.chunks(to_usize(ENTRIES_AT_A_TIME)) {
            bytes.clear();
            bytes.extend(some.iter().flat_map(|pair| [pair.packed, pair.len]).flat_map(u32::to_le_bytes));
            out.write_all(&bytes)?;
        }
        out.write_all(&self.frame_count().to_le_bytes())?;
        out.write_all(&[0])?;
        out.write_all(&FOOTER_MAGIC.to_le_bytes())
    }

    fn frame_count(&self) -> u32 {
        u32::try_from(self.pairs.len()).unwrap_or(u32::MAX)
    }
}
