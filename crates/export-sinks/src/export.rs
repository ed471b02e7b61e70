//! The pipeline: reads the disk on several threads and hands it to a sink in disk order, in bounded memory.
//!
//! Everything it knows of the disk it learns through [`VirtualDisk`], everything of the artifact through [`Sink`].

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};
use vhdx_format::{DiskOffset, VirtualDisk};

use crate::piece::{Piece, Pieces};
use crate::{Artifact, Cancel, Encode, ExportError, FilledPiece, Progress, Sink, Tally};

/// How to run an export.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Threads that read and encode, besides the calling one. Each costs 8 MiB of buffers.
    pub threads: NonZeroUsize,
}

impl Default for Options {
    /// One thread for each processor, at most 12: their buffers take 104 MiB, and an export is to stay below 128 MiB on
    /// any machine.
    fn default() -> Self {
        const THREADS_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(11);
        let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN).min(THREADS_MAX);
        Self { threads }
    }
}

/// What an export did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Export {
    /// What the sink made.
    pub artifact: Artifact,
    /// What the disk holds.
    pub content: Tally,
}

/// A sink that has received the whole disk. Nothing has its final name yet: the caller may ask first whether the
/// sources stayed as they were. Dropped, it leaves nothing behind.
#[must_use = "nothing is published yet"]
#[derive(Debug)]
pub struct Received<S> {
    sink: S,
    content: Tally,
}

impl<S: Sink> Received<S> {
    /// Makes the artifact durable and gives it its name, unless `cancel` is set by now.
    pub fn publish(self, cancel: &Cancel) -> Result<Export, ExportError> {
        cancel.check()?;
        Ok(Export { artifact: self.sink.finish()?, content: self.content })
    }
}

/// Copies the whole disk into the sink.
///
/// Ends with the first error, whoever meets it, and then drops the sink; all threads are joined by then. `cancel` is
/// looked at for each piece. A panic of the disk, the sink or an encoder becomes a panic of the caller.
pub fn export<S: Sink>(
    disk: &dyn VirtualDisk,
    mut sink: S,
    options: &Options,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Received<S>, ExportError> {
    cancel.check()?;
    let content = copy(disk, &mut sink, options.threads, progress, cancel)?;
    let end = DiskOffset(disk.geometry().size());
    if content.total() != end.0 {
        return Err(ExportError::BrokenExtents { expected: end, found: DiskOffset(content.total()) });
    }
    Ok(Received { sink, content })
}

/// Runs the threads.
///
/// Buffers bound everything: a piece is in flight from the moment it is taken, which needs a buffer, to the moment it
/// is accepted, which gives the buffer back; even pieces without data, or a stretch of them could pile up behind one
/// slow read. There are two for each thread (one being filled, one waiting its turn) and two for the calling thread.
///
/// This can not deadlock. A buffer and the next piece are taken together, under one lock, so buffers go out in disk
/// order. The calling thread waits for the first piece that is not yet accepted. If that piece is in flight, its
/// thread has all it needs, since encoding waits for nothing and the channel of finished pieces is unbounded, and so
/// it arrives. If it is not in flight, no piece is, for all later ones would have been taken after it; then all buffers
/// are free, and the next thread takes it.
///
/// It also stops: whichever way the calling thread leaves, both its ends of the channels go, and each thread ends at
/// its next buffer or its next finished piece.
fn copy<S: Sink>(
    disk: &dyn VirtualDisk,
    sink: &mut S,
    threads: NonZeroUsize,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Tally, ExportError> {
    let threads = threads.get();
    let (give_back, free) = unbounded();
    for _ in 0..threads.saturating_mul(2).saturating_add(2) {
        // An empty vector: what never holds data never takes memory. Sending can not fail, `free` is alive.
        let _ = give_back.send(Vec::new());
    }
    let (done, finished) = unbounded();
    let queue = Mutex::new(Queue { pieces: Pieces::of(disk), free, taken: 0 });
    thread::scope(|scope| {
        // Moved in here, so that a panic below drops it before the scope waits for the threads.
        let acceptance = Acceptance { sink, finished, give_back, progress, cancel };
        let mut handles = Vec::with_capacity(threads);
        for _ in 0..threads {
            let worker =
                Worker { disk, queue: &queue, encoder: acceptance.sink.encoder(), done: done.clone() };
            let handle = thread::Builder::new().spawn_scoped(scope, move || worker.run());
            handles.push(handle.map_err(ExportError::Thread)?);
        }
        drop(done);
        let accepted = acceptance.run();
        for handle in handles {
            if let Err(panic) = handle.join() {
                std::panic::resume_unwind(panic);
            }
        }
        accepted
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
    Ready { index: u64, piece: FilledPiece, encoded: E },
    Failed(ExportError),
    Panicked,
}

struct Worker<'a, 'disk, E: Encode> {
    disk: &'disk dyn VirtualDisk,
    queue: &'a Mutex<Queue<'disk>>,
    encoder: E,
    done: Sender<Message<E::Encoded>>,
}

impl<E: Encode> Worker<'_, '_, E> {
    fn run(mut self) {
        let done = self.done.clone();
        let _alarm = Alarm(&done);
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
        let piece = FilledPiece::read(self.disk, &taken.piece, taken.buffer)?;
        let encoded = self.encoder.encode(&piece)?;
        Ok(Message::Ready { index: taken.index, piece, encoded })
    }
}

/// Tells the calling thread of a panic: without it, it would wait for a piece that never comes.
struct Alarm<'a, E>(&'a Sender<Message<E>>);

impl<E> Drop for Alarm<'_, E> {
    fn drop(&mut self) {
        if thread::panicking() {
            // Nobody listens: then nobody waits either.
            let _ = self.0.send(Message::Panicked);
        }
    }
}

/// The calling thread's part.
struct Acceptance<'a, S: Sink> {
    sink: &'a mut S,
    finished: Receiver<Message<<S::Encoder as Encode>::Encoded>>,
    give_back: Sender<Vec<u8>>,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
}

impl<S: Sink> Acceptance<'_, S> {
    /// Accepts pieces in order until there are no more. After a panic of a thread it returns what it has.
    fn run(self) -> Result<Tally, ExportError> {
        let mut early = BTreeMap::new();
        let mut next = 0_u64;
        let mut tally = Tally::default();
        for message in &self.finished {
            self.cancel.check()?;
            match message {
                Message::Ready { index, piece, encoded } => early.insert(index, (piece, encoded)),
                Message::Failed(error) => return Err(error),
                Message::Panicked => break,
            };
            while let Some((piece, encoded)) = early.remove(&next) {
                self.cancel.check()?;
                self.sink.accept(&piece, encoded)?;
                next = next.saturating_add(1);
                tally = tally.plus(piece.tally());
                self.progress.advance(tally);
                // Fails when all threads have ended: the disk has no more pieces.
                let _ = self.give_back.send(piece.into_buffer());
            }
        }
        Ok(tally)
    }
}
