//! What a sink is: the laws between [`crate::export`] and whatever an artifact is written to.
//!
//! A sink receives the whole disk, front to back, once. After any error it is dropped and never published. Dropped
//! unpublished, it leaves nothing behind (a stream: nothing more; a device: no start of the disk, which is its name).
//!
//! The work is split in two: an encoder does what may happen in any order, on many threads; the sink itself does what
//! must happen in disk order, on one. A plain file is written by position, so its encoders do everything; a plain
//! stream's do nothing; those of what is compressed do all but write.

use std::io;
use std::sync::Arc;

use vhdx_format::FileOffset;

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

    /// Encodes one piece. What it takes from the sink's memory beyond the piece must be in proportion to it.
    fn encode(&mut self, piece: &FilledPiece) -> Result<Self::Encoded, SinkError>;
}

/// What an export made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Artifact {
    /// Its length in bytes.
    pub len: u64,
    /// Its digest, where the sink was asked for it and its [`DigestSource`] is the sink itself.
    pub sha256: Option<Sha256Digest>,
}

/// Writes by position, from any thread.
pub trait WriteAt: Send + Sync {
    /// Writes all of `bytes` at `at`.
    fn write_all_at(&self, at: FileOffset, bytes: &[u8]) -> io::Result<()>;

    /// What is written to, for messages.
    fn place(&self) -> Place;

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

    /// Gives the file its length and, where the file system can, all the room for it.
    fn allocate(&self, len: u64) -> Result<Room, SinkError>;

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
