//! What a sink is: the laws between [`crate::export`] and whatever an artifact is written to.
//!
//! A sink receives the whole disk, front to back, once. After any error it is dropped and never published. Dropped
//! unpublished, it leaves nothing behind (a stream: nothing more; a device: no start of the disk, which is its name).
//!
//! The work is split in two: an encoder does what may happen in any order, on many threads; the sink itself does what
//! must happen in disk order, on one. A plain file is written by position, so its encoders do everything; a plain
//! stream's do nothing; those of what is compressed do all but write.

use std::fs::File;
use std::io;
use std::sync::Arc;

use vhdx_format::{DiskOffset, DiskRange, FileOffset, LayerIndex};

use crate::{Doing, FilledPiece, Follow, Place, Sha256Digest, SinkError};

/// Receives a disk in order.
pub trait Sink {
    /// What works ahead of it.
    type Encoder: Encode;

    /// A new encoder; each thread has its own.
    fn encoder(&self) -> Self::Encoder;

    /// Takes the next piece: it starts where the one before ended, the first at 0.
    fn accept(
        &mut self,
        piece: &FilledPiece,
        encoded: <Self::Encoder as Encode>::Encoded,
    ) -> Result<(), SinkError>;

    /// Completes the artifact and makes it durable, still without its name. All encoders are gone by then.
    fn complete(&mut self) -> Result<Artifact, SinkError>;

    /// Gives the completed artifact its name.
    fn publish(self) -> Result<(), SinkError>;

    /// How the digest of the artifact comes about.
    fn digest_source(&self) -> DigestSource;
}

/// How the SHA-256 of an artifact comes about.
pub enum DigestSource {
    /// Its bytes are the disk's: its digest is the content's.
    Content,
    /// Its bytes follow from the pieces alone, so they are digested behind the sink.
    Follower(Box<dyn Follow>),
    /// The sink digests what it writes.
    Sink,
}

/// Works on single pieces, in any order.
pub trait Encode: Send {
    /// What the sink is given together with the piece.
    type Encoded: Send;

    /// Puts a run in place without its bytes, if it can, before the piece is read; says which part of the run that is. The
    /// piece that is encoded then has it in [`FilledPiece::runs`] only if it was read in any case, and in
    /// [`FilledPiece::unplaced_runs`] never.
    fn place(&mut self, run: &Placeable<'_>) -> Result<DiskRange, SinkError> {
        Ok(DiskRange::new(run.start, run.start))
    }

    /// Encodes one piece. What it takes from the sink's memory beyond the piece must be in proportion to it.
    fn encode(&mut self, piece: &FilledPiece) -> Result<Self::Encoded, SinkError>;
}

/// A run of the disk that lies in a file just as it is.
#[derive(Clone, Copy, Debug)]
pub struct Placeable<'a> {
    /// Where it starts on the disk.
    pub start: DiskOffset,
    /// Its length in bytes.
    pub len: u64,
    /// Which image holds it.
    pub layer: LayerIndex,
    /// The file.
    pub file: &'a File,
    /// Where it starts in the file.
    pub from: FileOffset,
    /// Whether its bytes are read whatever becomes of it.
    pub reading: Reading,
}

/// What of a disk is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// All of it: somebody digests it.
    All,
    /// What is not in place without being read.
    Remaining,
}

/// What an export made.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Artifact {
    /// Its length in bytes.
    pub len: u64,
    /// How many of them lie in blocks that the file system was asked to share with the sources. Where it says that it shares
    /// with a source and copies all the same, they count.
    pub shared: u64,
    /// Its digest, where the sink was asked for it and its [`DigestSource`] is the sink itself.
    pub sha256: Option<Sha256Digest>,
}

/// Writes by position, from any thread.
pub trait WriteAt: Send + Sync {
    /// Writes all of `bytes` at `at`.
    fn write_all_at(&self, at: FileOffset, bytes: &[u8]) -> io::Result<()>;

    /// What is written to, for messages.
    fn place(&self) -> Place;

    /// Has the system put bytes of a file at `at`, `len` of them or fewer, and says how many; 0 where that is not possible,
    /// which is what this says unless it is overridden.
    fn copy_from(&self, at: FileOffset, source: &File, from: FileOffset, len: u64) -> io::Result<u64> {
        let _ = (at, source, from, len);
        Ok(0)
    }

    /// [`Self::write_all_at`], with the error placed.
    fn put(&self, at: FileOffset, bytes: &[u8]) -> Result<(), SinkError> {
        self.write_all_at(at, bytes).map_err(|source| SinkError::from_io(Doing::Write, self.place(), source))
    }
}

/// A file in the making. Dropped unpublished, it is gone.
pub trait Stage {
    /// Writes into the file.
    type Writer: WriteAt;

    /// The file, to write into.
    fn writer(&self) -> Arc<Self::Writer>;

    /// Gives the file its length; what is not written reads as zeros and takes no room where the file system knows
    /// holes.
    fn set_len(&self, len: u64) -> Result<(), SinkError>;

    /// Gives the file at least that length and, where the file system can, all the room for it; what it holds stays.
    fn allocate(&self, len: u64) -> Result<Room, SinkError>;

    /// Gives a file of that length room for what it has none for yet. Less is asked of the file system than by
    /// [`Self::allocate`], which some count in full before they see what is there.
    fn allocate_holes(&self, len: u64) -> Result<(), SinkError>;

    /// Makes the file's content durable.
    fn sync(&self) -> Result<(), SinkError>;

    /// Gives the file, which was synced, its final name.
    fn publish(self) -> Result<(), SinkError>;
}

/// Whether a file has the room that it was asked to take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Room {
    /// All of it is allocated; what is not written reads as zeros.
    Allocated,
    /// The file system can not allocate: zeros have to be written.
    Unallocated,
}
