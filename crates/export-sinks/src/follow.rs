//! What reads along behind a sink: serial work over the whole disk, each on a thread of its own.
//!
//! A SHA-256 can not be split, so it must neither wait for the sink nor hold it up. Followers form a train: each is handed
//! a piece when the one before is done with it, so every piece has one owner and its buffer comes back from the last.

use crate::digest::Hashed;
use crate::raw::{self, RawStream};
use crate::{FilledPiece, Sha256Digest, Sink, SinkError};

/// Digests the disk, or something made of it, piece after piece in disk order.
pub trait Follow: Send {
    /// Takes the next piece: it starts where the one before ended, the first at 0.
    fn follow(&mut self, piece: &FilledPiece) -> Result<(), SinkError>;

    /// The digest, once there are no more pieces.
    fn finish(self: Box<Self>) -> Sha256Digest;
}

/// The SHA-256 of the content: that of the disk as a bare stream.
pub(crate) fn content_hasher() -> Box<dyn Follow> {
    Box::new(raw::to_stream(Hashed::default()))
}

impl Follow for RawStream<Hashed> {
    fn follow(&mut self, piece: &FilledPiece) -> Result<(), SinkError> {
        self.accept(piece, ())
    }

    fn finish(self: Box<Self>) -> Sha256Digest {
        self.into_inner().finish()
    }
}
