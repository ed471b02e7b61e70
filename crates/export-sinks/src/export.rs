//! The pipeline: reads the disk on several threads, digests it and hands it to a sink in disk order, in bounded memory.
//!
//! Everything it knows of the disk it learns through [`VirtualDisk`], everything of the artifact through [`Sink`].
//! Serial digests run behind the sink (`follow.rs`).

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};
use vhdx_format::{
    Content, DiskOffset, DiskRange, Extent, FileOffset, Gatherer, Holes, ReadError, VirtualDisk,
};

use crate::digesting::{OrderedDigests, PieceDigests};
use crate::follow::{Next, Stop, Train, joined};
use crate::piece::{PIECE, Piece, Pieces};
use crate::sink::{DigestSource, Placeable, Reading};
use crate::{
    ArtifactDigests, Cancel, ContentDigests, DigestChoice, Encode, ExportError, FilledPiece, Pool, Progress,
    Sha256Digest, Sink, Tally,
};

/// How to run an export.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads that read and encode, besides the calling one. Each costs 8 MiB of buffers; where a serial digest follows,
    /// there are 64 MiB of them in any case.
    pub threads: NonZeroUsize,
    /// What to digest on the way.
    pub digests: DigestChoice,
    /// What is shared with other exports. Then the pool says how many threads and buffers there are.
    pub pool: Option<Pool>,
}

impl Options {
    /// How many threads there are.
    fn threads(&self) -> usize {
        self.pool.as_ref().map_or(self.threads, |pool| pool.share().threads).get()
    }

    /// How many pieces may be in flight.
    fn buffers(&self, followers: usize) -> usize {
        match &self.pool {
            Some(pool) => pool.share().buffers,
            None => buffer_count(self.threads.get(), followers),
        }
    }
}

/// What the buffers of an export may take by default, in bytes: an ordinary disk is to be exported below 128 MiB on any
/// machine, and the rest is for the program, its threads and their stacks, and the tables of images.
const BUFFERS_MAX: usize = 104 << 20;

/// Most followers there are: of the content, and of the artifact.
const FOLLOWERS_MAX: usize = 2;

/// Most threads whose buffers, and those of all followers, stay within [`BUFFERS_MAX`].
const THREADS_MAX: usize = BUFFERS_MAX / (2 * PIECE) - FOLLOWERS_MAX - 1;

impl Default for Options {
    /// No digests, and one thread for each processor, at most 10: whatever is digested, the buffers take no more than
    /// 104 MiB then, and an export of an ordinary disk stays below 128 MiB on any machine. Compressing is not held to that:
    /// see [`crate::compressed`] for what it adds.
    fn default() -> Self {
        let processors = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let threads = NonZeroUsize::new(THREADS_MAX).map_or(processors, |max| processors.min(max));
        Self { threads, digests: DigestChoice::default(), pool: None }
    }
}

/// Fewest pieces in flight where there are followers: 64 MiB. Where the disk is zeros, followers have more to do than the
/// threads, and where it is not, less: the threads are to be that far ahead before the next zeros end.
const AHEAD_MIN: usize = 16;

/// How many pieces may be in flight: two for each thread (one being filled, one waiting its turn), two for the calling
/// thread and two for each follower, or [`AHEAD_MIN`].
fn buffer_count(threads: usize, followers: usize) -> usize {
    let least = if followers > 0 { AHEAD_MIN } else { 0 };
    threads.saturating_add(followers).saturating_add(1).saturating_mul(2).max(least)
}

/// What an export did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Export {
    /// Length of the artifact in bytes.
    pub len: u64,
    /// Digests of the artifact, where they were asked for.
    pub artifact: Option<ArtifactDigests>,
    /// What the disk holds.
    pub content: Tally,
    /// Digests of what the disk holds.
    pub digests: ContentDigests,
    /// Bytes of the artifact that lie in blocks which it shares with the sources.
    pub shared: u64,
}

/// A sink that has received the whole disk. Nothing has its final name yet: the caller may ask first whether the
/// sources stayed as they were. Dropped, it leaves nothing behind.
#[must_use = "nothing is published yet"]
#[derive(Debug)]
pub struct Received<S> {
    sink: S,
    content: Tally,
    digests: ContentDigests,
    /// What a follower digested for the artifact.
    followed: Option<Sha256Digest>,
}

/// An artifact that is complete and durable but has no name yet. Dropped, it leaves nothing behind.
#[must_use = "nothing is published yet"]
#[derive(Debug)]
pub struct Completed<S> {
    sink: S,
    export: Export,
}

impl<S: Sink> Received<S> {
    /// Completes the artifact and makes it durable, unless `cancel` is set by now.
    pub fn complete(mut self, cancel: &Cancel) -> Result<Completed<S>, ExportError> {
        cancel.check()?;
        let made = self.sink.complete()?;
        let sha256 = match self.sink.digest_source() {
            DigestSource::Content => self.digests.sha256,
            DigestSource::Follower(_) => self.followed,
            DigestSource::Sink => made.sha256,
        };
        let export = Export {
            len: made.len,
            artifact: sha256.map(|sha256| ArtifactDigests { sha256 }),
            content: self.content,
            digests: self.digests,
            shared: made.shared,
        };
        Ok(Completed { sink: self.sink, export })
    }
}

impl<S: Sink> Completed<S> {
    /// What was done.
    pub fn export(&self) -> &Export {
        &self.export
    }

    /// What was done, without the artifact.
    pub(crate) fn into_export(self) -> Export {
        self.export
    }

    pub(crate) fn sink(&self) -> &S {
        &self.sink
    }

    /// Gives the artifact its name. Stopping from outside ends here: whoever publishes may have removed by now what the
    /// artifact replaces.
    pub fn publish(self) -> Result<Export, ExportError> {
        self.sink.publish()?;
        Ok(self.export)
    }
}

/// Copies the whole disk into the sink.
///
/// Ends with the first error, whoever meets it, and then drops the sink; all threads are joined by then. `cancel` is
/// looked at for each piece. A panic of the disk, the sink, an encoder or a follower becomes a panic of the caller.
pub fn export<S: Sink>(
    disk: &dyn VirtualDisk,
    mut sink: S,
    options: &Options,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Received<S>, ExportError> {
    cancel.check()?;
    let copied = copy(disk, &mut sink, options, progress, cancel)?;
    let end = DiskOffset(disk.geometry().size());
    if copied.content.total() != end.0 {
        return Err(ExportError::BrokenExtents { expected: end, found: DiskOffset(copied.content.total()) });
    }
    Ok(Received { sink, content: copied.content, digests: copied.digests, followed: copied.followed })
}

/// What is known when the last piece has gone through.
struct Copied {
    content: Tally,
    digests: ContentDigests,
    /// What a follower digested for the artifact.
    followed: Option<Sha256Digest>,
}

/// Runs the threads.
///
/// Buffers bound everything: a piece is in flight from the moment it is taken, which needs a buffer, to the moment it
/// is accepted and followed, which gives the buffer back; even pieces without data, or a stretch of them could pile up
/// behind one slow read. [`buffer_count`] says how many there are.
///
/// This can not deadlock. A buffer and the next piece are taken together, under one lock, so buffers go out in disk
/// order. The calling thread waits for the first piece that is not yet accepted. If that piece is in flight, its
/// thread has all it needs, since encoding waits for nothing but its turn to write (`staged.rs`), which is held for one
/// system call, and the channel of finished pieces is unbounded; so it arrives. If it is not in flight, no piece is but those that are being followed, for all later ones would have
/// been taken after it; followers wait for nothing, so then all buffers become free, and the next thread takes it.
///
/// It also stops: whichever way the calling thread leaves, its ends of the channels go, and unless that is the end of the
/// disk, each follower leaves before its next piece. With the last of them no more buffers come, so each thread ends at
/// its next buffer or its next finished piece. A follower that fails leaves too, and the calling thread accepts no more.
///
/// Of several exports that share a [`Pool`], a thread has its piece and its buffer before it waits for its turn, and gives the
/// turn back when the piece is encoded, for which it waits for nothing: so every turn ends.
fn copy<S: Sink>(
    disk: &dyn VirtualDisk,
    sink: &mut S,
    options: &Options,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Copied, ExportError> {
    let threads = options.threads();
    let (give_back, free) = unbounded();
    let (done, finished) = unbounded();
    let queue = Mutex::new(Queue { pieces: Pieces::of(disk), free, taken: 0 });
    let stop = Stop::default();
    thread::scope(|scope| {
        let train = Train::start(scope, &*sink, options.digests, give_back.clone(), &stop)?;
        for _ in 0..options.buffers(train.len()) {
            // An empty vector: what never holds data never takes memory. Sending can not fail, `free` is alive.
            let _ = give_back.send(Vec::new());
        }
        drop(give_back);
        let Train { content, artifact, next } = train;
        // Moved in here, so that a panic below drops it before the scope waits for the threads.
        let digests = options.digests.into();
        let acceptance = Acceptance { sink, finished, next, progress, cancel, digests, stop: &stop };
        let mut handles = Vec::with_capacity(threads);
        for _ in 0..threads {
            let encoder = acceptance.sink.encoder();
            let digests = options.digests;
            let (holes, gatherer) = (Holes::default(), Gatherer::default());
            let worker = Worker {
                disk,
                queue: &queue,
                holes,
                gatherer,
                encoder,
                digests,
                pool: options.pool.as_ref(),
                cancel,
                done: done.clone(),
                stop: &stop,
            };
            let handle = thread::Builder::new().spawn_scoped(scope, move || worker.run());
            handles.push(handle.map_err(ExportError::Thread)?);
        }
        drop(done);
        let accepted = acceptance.run();
        for handle in handles {
            joined(handle);
        }
        let sha256 = content.map_or(Ok(None), joined);
        let followed = artifact.map_or(Ok(None), joined);
        let (content, digests) = accepted?;
        Ok(Copied { content, digests: ContentDigests { sha256: sha256?, ..digests }, followed: followed? })
    })
}

/// Where pieces and buffers are taken from, together.
struct Queue<'a> {
    pieces: Pieces<'a>,
    free: Receiver<Vec<u8>>,
    taken: u64,
}

struct Taken {
    index: u64,
    piece: Piece,
    buffer: Vec<u8>,
}

impl Queue<'_> {
    /// The next piece; `None` at the end of the disk, after an error, and when nobody wants any more.
    fn take(&mut self) -> Option<Result<Taken, ExportError>> {
        let buffer = self.free.recv().ok()?;
        let piece = self.pieces.next()?;
        let index = self.taken;
        self.taken = index.saturating_add(1);
        Some(piece.map(|piece| Taken { index, piece, buffer }))
    }
}

enum Message<E> {
    Ready { index: u64, piece: FilledPiece, tally: Tally, digests: PieceDigests, encoded: E },
    Failed(ExportError),
    Panicked,
}

struct Worker<'a, 'disk, E: Encode> {
    disk: &'disk dyn VirtualDisk,
    queue: &'a Mutex<Queue<'disk>>,
    holes: Holes,
    gatherer: Gatherer,
    encoder: E,
    digests: DigestChoice,
    pool: Option<&'a Pool>,
    cancel: &'a Cancel,
    done: Sender<Message<E::Encoded>>,
    stop: &'a Stop,
}

impl<E: Encode> Worker<'_, '_, E> {
    fn run(mut self) {
        let done = self.done.clone();
        let _alarm = Alarm { done: &done, stop: self.stop };
        while let Some(taken) = self.take() {
            let message = taken.and_then(|taken| self.work(taken)).unwrap_or_else(Message::Failed);
            if done.send(message).is_err() {
                return;
            }
        }
    }

    fn take(&self) -> Option<Result<Taken, ExportError>> {
        // Poisoned: another thread panicked in there and has said so.
        self.queue.lock().ok()?.take()
    }

    fn work(&mut self, taken: Taken) -> Result<Message<E::Encoded>, ExportError> {
        let Taken { index, mut piece, buffer } = taken;
        let stored = piece.tally();
        piece.extents = self.holes.leave_out(self.disk, &piece.extents)?;
        let data = piece.tally().data;
        let _turn = self.pool.map(|pool| pool.turn(data, self.cancel)).transpose()?;
        let placed = self.place(&piece)?;
        let piece = FilledPiece::read(self.disk, &piece, placed, self.reading(), buffer, &mut self.gatherer)?;
        let digests = PieceDigests::of(&piece, self.digests);
        let encoded = self.encoder.encode(&piece)?;
        let tally = if self.reading() == Reading::All { piece.tally() } else { stored };
        Ok(Message::Ready { index, piece, tally, digests, encoded })
    }

    fn reading(&self) -> Reading {
        if self.digests.any() { Reading::All } else { Reading::Remaining }
    }

    /// Has the encoder put in place what needs no bytes.
    fn place(&mut self, piece: &Piece) -> Result<Vec<DiskRange>, ExportError> {
        let mut placed = Vec::new();
        for extent in &piece.extents {
            let Content::Data { layer, at: from } = extent.content else { continue };
            let bytes = self.disk.layer(layer).ok_or(ReadError::NoSuchLayer(layer))?;
            let end = FileOffset(from.0.saturating_add(extent.len));
            if let Some(file) = bytes.file_of(from, end) {
                let Extent { start, len, .. } = *extent;
                let run = Placeable { start, len, layer, file, from, reading: self.reading() };
                placed.push(self.encoder.place(&run)?);
            }
        }
        placed.retain(|range| !range.is_empty());
        Ok(placed)
    }
}

/// Tells all others of a panic: without it, the calling thread would wait for a piece that never comes.
struct Alarm<'a, E> {
    done: &'a Sender<Message<E>>,
    stop: &'a Stop,
}

impl<E> Drop for Alarm<'_, E> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.stop.set();
            // Nobody listens: then nobody waits either.
            let _ = self.done.send(Message::Panicked);
        }
    }
}

/// The calling thread's part.
struct Acceptance<'a, S: Sink> {
    sink: &'a mut S,
    finished: Receiver<Message<<S::Encoder as Encode>::Encoded>>,
    next: Next,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
    digests: OrderedDigests,
    stop: &'a Stop,
}

impl<S: Sink> Acceptance<'_, S> {
    /// Accepts pieces in order until there are no more. Once another thread has given up it returns what it has: the reason
    /// is met at the join.
    fn run(mut self) -> Result<(Tally, ContentDigests), ExportError> {
        let giving_up = self.stop.unless_done();
        let mut early = BTreeMap::new();
        let mut next = 0_u64;
        let mut done = Tally::default();
        for message in &self.finished {
            self.cancel.check()?;
            match message {
                Message::Ready { index, piece, tally, digests, encoded } => {
                    early.insert(index, (piece, tally, digests, encoded))
                }
                Message::Failed(error) => return Err(error),
                Message::Panicked => break,
            };
            while !self.stop.is_set()
                && let Some((piece, tally, digests, encoded)) = early.remove(&next)
            {
                self.cancel.check()?;
                self.digests.push(&piece, digests);
                self.sink.accept(&piece, encoded)?;
                next = next.saturating_add(1);
                done = done.plus(tally);
                self.progress.advance(done);
                self.next.pass(piece);
            }
        }
        giving_up.done();
        Ok((done, self.digests.finish()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_as_many_threads_run_as_buffers_allow_with_every_follower() {
        assert_eq!(THREADS_MAX, 10);
        assert!(buffer_count(THREADS_MAX, FOLLOWERS_MAX) * PIECE <= BUFFERS_MAX);
        assert!(buffer_count(THREADS_MAX + 1, FOLLOWERS_MAX) * PIECE > BUFFERS_MAX);
        assert!(Options::default().threads.get() <= THREADS_MAX);
    }
}
