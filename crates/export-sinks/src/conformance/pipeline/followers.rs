//! The laws of followers, seen by some that fail, panic and wait for others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam_channel::unbounded;

use super::super::model::{Fill, Hollow, ModelDisk};
use super::super::{exported, threads};
use super::{Flight, Heard};
use crate::{
    Artifact, Cancel, DigestChoice, DigestSource, Encode, ExportError, FilledPiece, Follow, NoProgress,
    Options, Progress, Sha256Digest, Sink, SinkError, Tally,
};

type Step<T> = Arc<dyn Fn(&FilledPiece) -> T + Send + Sync>;

/// A sink whose encoders and whose follower do as they are told.
struct Led<E> {
    encode: Step<E>,
    follow: Step<Result<(), SinkError>>,
    finished: Arc<AtomicUsize>,
}

struct Encoding<E>(Step<E>);

impl<E: Send> Encode for Encoding<E> {
    type Encoded = E;

    fn encode(&mut self, piece: &FilledPiece) -> Result<E, SinkError> {
        Ok((self.0)(piece))
    }
}

struct Following(Step<Result<(), SinkError>>);

impl Follow for Following {
    fn follow(&mut self, piece: &FilledPiece) -> Result<(), SinkError> {
        (self.0)(piece)
    }

    fn finish(self: Box<Self>) -> Sha256Digest {
        Sha256Digest([7; 32])
    }
}

impl<E: Send> Sink for Led<E> {
    type Encoder = Encoding<E>;

    fn encoder(&self) -> Encoding<E> {
        Encoding(Arc::clone(&self.encode))
    }

    fn accept(&mut self, _piece: &FilledPiece, _encoded: E) -> Result<(), SinkError> {
        Ok(())
    }

    fn complete(&mut self) -> Result<Artifact, SinkError> {
        Ok(Artifact::default())
    }

    fn publish(self) -> Result<(), SinkError> {
        self.finished.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn digest_source(&self) -> DigestSource {
        DigestSource::Follower(Box::new(Following(Arc::clone(&self.follow))))
    }
}

/// Has a follower that fails or panics from a position on.
fn failing(at: u64, panics: bool, finished: &Arc<AtomicUsize>) -> Led<()> {
    let follow = move |piece: &FilledPiece| {
        if piece.range().start().0 < at {
            return Ok(());
        }
        assert!(!panics, "injected");
        Err(SinkError::BrokenPipe)
    };
    Led { encode: Arc::new(|_| ()), follow: Arc::new(follow), finished: Arc::clone(finished) }
}

fn following(count: usize, sha256: bool) -> Options {
    Options { digests: DigestChoice { sha256, artifact: true, ..DigestChoice::default() }, ..threads(count) }
}

#[test]
fn a_follower_that_fails_or_panics_ends_the_export_unfinished() {
    let disk = ModelDisk::new(&[(60 << 20, Fill::Noise)]);
    for (count, at) in [(1, 0), (2, 20 << 20), (5, 56 << 20)] {
        for sha256 in [false, true] {
            let finished = Arc::default();
            let run = |panics| {
                let sink = failing(at, panics, &finished);
                exported(&disk, sink, &following(count, sha256), &NoProgress, &Cancel::new())
            };
            let error = run(false).unwrap_err();
            assert!(matches!(error, ExportError::Sink(SinkError::BrokenPipe)), "{error}");
            let panic = catch_unwind(AssertUnwindSafe(|| run(true))).unwrap_err();
            assert_eq!(panic.downcast_ref(), Some(&"injected"));
            assert_eq!(finished.load(Ordering::SeqCst), 0);
        }
    }
}

#[test]
fn no_more_is_copied_for_a_follower_that_failed_than_was_in_flight() {
    let disk = Hollow::new(64 << 40);
    for panics in [false, true] {
        let heard = Heard::default();
        let run = || {
            let sink = failing(0, panics, &Arc::default());
            exported(&disk, sink, &following(2, false), &heard, &Cancel::new())
        };
        assert!(matches!(catch_unwind(AssertUnwindSafe(run)), Ok(Err(_)) | Err(_)));
        let accepted = heard.0.lock().unwrap().len();
        assert!(accepted <= 16, "{accepted} pieces");
    }
}

/// Stops the export at its fifth piece: by a flag that is set before it, or by a panic when it is accepted.
struct StopAtFifth<'a> {
    panics: bool,
    cancel: &'a Cancel,
}

impl Progress for StopAtFifth<'_> {
    fn advance(&self, done: Tally) {
        match done.total() >> 22 {
            4 if !self.panics => self.cancel.set(2),
            5 => panic!("injected"),
            _ => {}
        }
    }
}

/// With one thread and one follower, six pieces are in flight. The follower holds the first until the sixth is dropped,
/// which is when nobody accepts any more, and so three are left in its queue.
#[test]
fn what_a_follower_has_before_it_is_left_undone_when_the_export_stops() {
    let disk = ModelDisk::new(&[(60 << 20, Fill::Noise)]);
    for panics in [false, true] {
        let (held, gone) = unbounded::<()>();
        let held = Mutex::new(Some(held));
        let encode = move |piece: &FilledPiece| {
            let is_sixth = piece.range().start().0 == 20 << 20;
            if is_sixth { held.lock().unwrap().take() } else { None }
        };
        let followed = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&followed);
        let follow = move |_: &FilledPiece| {
            counted.fetch_add(1, Ordering::SeqCst);
            gone.recv().unwrap_err();
            Ok(())
        };
        let sink = Led { encode: Arc::new(encode), follow: Arc::new(follow), finished: Arc::default() };
        let cancel = Cancel::new();
        let stop = StopAtFifth { panics, cancel: &cancel };
        let run = || exported(&disk, sink, &following(1, false), &stop, &cancel);
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(stopped) => assert!(matches!(stopped, Err(ExportError::Cancelled(by)) if by.reason == 2)),
            Err(panic) => assert_eq!(panic.downcast_ref(), Some(&"injected")),
        }
        // Not even the first, where the follower gets its turn only after the end.
        assert!(followed.load(Ordering::SeqCst) <= 1);
    }
}

/// The last follower is done with no piece before all that can be in flight are.
#[test]
fn pieces_in_flight_are_bounded_by_the_buffers_of_threads_and_followers() {
    let disk = ModelDisk::new(&[(100 << 20, Fill::Noise)]);
    for (count, bound) in [(1, 16), (7, 2 * (7 + 2 + 1))] {
        let flight = Arc::new(Flight::default());
        let (arrive, arrived) = unbounded();
        let taken = Arc::clone(&flight);
        let encode = move |_: &FilledPiece| {
            taken.enter();
            arrive.send(()).unwrap();
        };
        let given_back = Arc::clone(&flight);
        let follow = move |piece: &FilledPiece| {
            if piece.range().start().0 == 0 {
                (0..bound).for_each(|_| arrived.recv().unwrap());
            }
            given_back.leave();
            Ok(())
        };
        let sink = Led { encode: Arc::new(encode), follow: Arc::new(follow), finished: Arc::default() };
        let done = exported(&disk, sink, &following(count, true), &NoProgress, &Cancel::new()).unwrap();
        assert_eq!(flight.most.load(Ordering::SeqCst), bound);
        assert_eq!(done.artifact.unwrap().sha256, Sha256Digest([7; 32]));
        assert_eq!(done.digests.sha256, Some(Sha256Digest::of(&disk.content)));
    }
}
