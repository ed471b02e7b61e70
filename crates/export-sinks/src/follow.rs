//! What reads along behind a sink: serial work over the whole disk, each on a thread of its own.
//!
//! A SHA-256 can not be split, so it must neither wait for the sink nor hold it up. Followers form a train: each is handed
//! a piece when the one before is done with it, so every piece has one owner and its buffer comes back from the last.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::digest::Hashed;
use crate::raw::{self, RawStream};
use crate::sink::DigestSource;
use crate::{DigestChoice, ExportError, FilledPiece, Sha256Digest, Sink, SinkError};

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

/// Tells that somebody has given up: then nobody wants what follows, and what waits in a follower's queue, which may be
/// many GiB of zeros, is not digested any more.
#[derive(Default)]
pub(crate) struct Stop(AtomicBool);

impl Stop {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn unless_done(&self) -> UnlessDone<'_> {
        UnlessDone(self)
    }
}

/// Sets the flag when it is dropped, whether by an error or a panic, unless the work is done by then.
pub(crate) struct UnlessDone<'a>(&'a Stop);

impl UnlessDone<'_> {
    pub(crate) fn done(self) {
        std::mem::forget(self);
    }
}

impl Drop for UnlessDone<'_> {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// What a thread returned; its panic becomes ours.
pub(crate) fn joined<T>(handle: ScopedJoinHandle<'_, T>) -> T {
    handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

pub(crate) type FollowerHandle<'scope> = ScopedJoinHandle<'scope, Result<Option<Sha256Digest>, SinkError>>;

/// The followers, and where an accepted piece goes.
pub(crate) struct Train<'scope> {
    /// What digests the content.
    pub(crate) content: Option<FollowerHandle<'scope>>,
    /// What digests the artifact, where that is a follower's to do.
    pub(crate) artifact: Option<FollowerHandle<'scope>>,
    pub(crate) next: Next,
}

/// Where a piece goes next.
pub(crate) enum Next {
    Follower(Sender<FilledPiece>),
    /// Its buffer is free again.
    Free(Sender<Vec<u8>>),
}

impl Next {
    pub(crate) fn pass(&self, piece: FilledPiece) {
        // It fails where nobody takes any more: after the end of the disk, or behind a follower that has left, the reason
        // of which is met at the join.
        match self {
            Self::Follower(follower) => drop(follower.send(piece)),
            Self::Free(free) => drop(free.send(piece.into_buffer())),
        }
    }
}

impl<'scope> Train<'scope> {
    pub(crate) fn start(
        scope: &'scope Scope<'scope, '_>,
        sink: &impl Sink,
        choice: DigestChoice,
        free: Sender<Vec<u8>>,
        stop: &'scope Stop,
    ) -> Result<Self, ExportError> {
        let mut next = Next::Free(free);
        let mut follow = |follower| -> Result<_, ExportError> {
            let (sender, pieces) = unbounded();
            let behind = std::mem::replace(&mut next, Next::Follower(sender));
            let follow = move || followed(follower, &pieces, &behind, stop);
            thread::Builder::new().spawn_scoped(scope, follow).map_err(ExportError::Thread)
        };
        let artifact = match sink.digest_source() {
            DigestSource::Follower(follower) if choice.artifact => Some(follow(follower)?),
            _ => None,
        };
        let content = choice.sha256.then(|| follow(content_hasher())).transpose()?;
        Ok(Self { content, artifact, next })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        [&self.content, &self.artifact].into_iter().flatten().count()
    }
}

/// A follower's thread. It leaves at its own error and as soon as anybody gives up, without a digest then; the pieces that
/// it was handed are dropped with its queue, and those behind it in the train come to the end of theirs.
fn followed(
    mut follower: Box<dyn Follow>,
    pieces: &Receiver<FilledPiece>,
    next: &Next,
    stop: &Stop,
) -> Result<Option<Sha256Digest>, SinkError> {
    let giving_up = stop.unless_done();
    for piece in pieces {
        if stop.is_set() {
            return Ok(None);
        }
        follower.follow(&piece)?;
        next.pass(piece);
    }
    giving_up.done();
    Ok(Some(follower.finish()))
}
