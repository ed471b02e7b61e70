//! What several exports at a time share: how many threads work at once, how much memory their buffers take, and how many
//! bytes are read in a second.
//!
//! Each export has threads of its own, as many as its share of the memory allows, which wait here for their turn before they
//! read a piece. So many exports do not use more processors than there are, and few can use all of them.

use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Cancel, Cancelled};

/// What the buffers and encoders of all exports together may take, in bytes.
const MEMORY: usize = 384 << 20;

/// What a thread takes besides the pieces in flight: what it compresses with, and into. Level 3 of zstd takes less.
const THREAD: usize = 8 << 20;

/// What a piece in flight takes: itself, and what it was compressed to, which noise makes no shorter and which waits for those
/// before it.
const IN_FLIGHT: usize = 2 * crate::piece::PIECE;

/// Shared by exports that run at the same time; clones are the same pool.
#[derive(Clone, Debug)]
pub struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// How many threads may still begin to work.
    idle: Mutex<usize>,
    freed: Condvar,
    share: Share,
    pace: Option<Pace>,
}

/// What one export of a pool may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Share {
    /// Threads that read and encode.
    pub(crate) threads: NonZeroUsize,
    /// Pieces in flight.
    pub(crate) buffers: usize,
}

impl Share {
    /// The share of one of so many exports, on so many processors.
    fn of(exports: NonZeroUsize, processors: NonZeroUsize) -> Self {
        let memory = MEMORY / exports;
        let threads = (memory / (3 * THREAD)).clamp(1, processors.get());
        let buffers = memory.saturating_sub(threads * THREAD) / IN_FLIGHT;
        Self { threads: NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN), buffers: buffers.max(2) }
    }
}

impl Pool {
    /// A pool for so many exports at a time, which together read at most so many bytes a second. Together they take at most
    /// 384 MiB of memory, if there are no more than 16 and they do not compress with high levels.
    #[must_use]
    pub fn new(exports: NonZeroUsize, bytes_per_second: Option<NonZeroU64>) -> Self {
        let processors = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self(Arc::new(Shared {
            idle: Mutex::new(processors.get()),
            freed: Condvar::new(),
            share: Share::of(exports, processors),
            pace: bytes_per_second.map(Pace::new),
        }))
    }

    pub(crate) fn share(&self) -> Share {
        self.0.share
    }

    /// Waits until fewer threads work than there are processors, and until so many bytes may be read.
    pub(crate) fn turn(&self, bytes: u64, cancel: &Cancel) -> Result<Turn<'_>, Cancelled> {
        if let Some(pace) = &self.0.pace {
            pace.wait(bytes, cancel)?;
        }
        let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while *idle == 0 {
            idle = self.0.freed.wait(idle).unwrap_or_else(PoisonError::into_inner);
        }
        *idle = idle.saturating_sub(1);
        Ok(Turn(self))
    }
}

/// The right to work, as long as it is held.
pub(crate) struct Turn<'a>(&'a Pool);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let Pool(shared) = self.0;
        let mut idle = shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        *idle = idle.saturating_add(1);
        shared.freed.notify_one();
    }
}

/// A limit on bytes in a second: each run of bytes is due when those before it have had their time.
#[derive(Debug)]
struct Pace {
    bytes_per_second: NonZeroU64,
    due: Mutex<Option<Instant>>,
}

/// How long a wait may take until it is asked whether to stop.
const NAP: Duration = Duration::from_millis(100);

impl Pace {
    fn new(bytes_per_second: NonZeroU64) -> Self {
        Self { bytes_per_second, due: Mutex::new(None) }
    }

    /// How long so many bytes have to wait at that time.
    fn delay(&self, now: Instant, bytes: u64) -> Duration {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let start = due.map_or(now, |due| due.max(now));
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second.get());
        let time = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        // A time that no clock reaches is waited for like any other: until somebody stops it.
        *due = Some(start.checked_add(time).unwrap_or(start));
        start.saturating_duration_since(now)
    }

    #[expect(clippy::disallowed_methods, reason = "a limit on speed is made of waiting")]
    fn wait(&self, bytes: u64, cancel: &Cancel) -> Result<(), Cancelled> {
        let mut left = self.delay(Instant::now(), bytes);
        while !left.is_zero() {
            cancel.check()?;
            let nap = left.min(NAP);
            thread::sleep(nap);
            left = left.saturating_sub(nap);
        }
        cancel.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: usize) -> NonZeroUsize {
        NonZeroUsize::new(number).unwrap()
    }

    #[test]
    fn all_shares_together_stay_within_the_memory() {
        for exports in 1..=16 {
            for processors in [1, 2, 4, 10, 64] {
                let share = Share::of(number(exports), number(processors));
                let each = share.threads.get() * THREAD + share.buffers * IN_FLIGHT;
                assert!(exports * each <= MEMORY, "{exports} exports on {processors} processors: {share:?}");
                assert!(share.buffers >= 2 && share.threads.get() <= processors);
            }
        }
    }

    #[test]
    fn no_more_threads_work_than_there_are_processors() {
        let pool = Pool::new(number(3), None);
        let processors = *pool.0.idle.lock().unwrap();
        let (working, most) = (Mutex::new(0), Mutex::new(0));
        thread::scope(|scope| {
            for _ in 0..4 * processors {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let _turn = pool.turn(1, &Cancel::new()).unwrap();
                        let now = {
                            let mut working = working.lock().unwrap();
                            *working += 1;
                            *working
                        };
                        let mut most = most.lock().unwrap();
                        *most = now.max(*most);
                        drop(most);
                        thread::yield_now();
                        *working.lock().unwrap() -= 1;
                    }
                });
            }
        });
        assert!(*most.lock().unwrap() <= processors);
        assert_eq!(*pool.0.idle.lock().unwrap(), processors, "all turns were given back");
    }

    #[test]
    fn bytes_are_due_when_those_before_them_have_had_their_time() {
        let pace = Pace::new(NonZeroU64::new(1000).unwrap());
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(pace.delay(start, 500), Duration::ZERO);
        assert_eq!(pace.delay(start, 2000), Duration::from_millis(500));
        assert_eq!(pace.delay(at(600), 1), Duration::from_millis(1900));
        // What was not used is not saved up.
        assert_eq!(pace.delay(at(10_000), 1000), Duration::ZERO);
        assert_eq!(pace.delay(at(10_000), 1), Duration::from_secs(1));
    }

    #[test]
    fn a_wait_ends_when_it_is_stopped() {
        let pace = Pace::new(NonZeroU64::MIN);
        let cancel = Cancel::new();
        pace.wait(1 << 40, &cancel).unwrap();
        cancel.set(2);
        assert_eq!(pace.wait(1, &cancel), Err(Cancelled { reason: 2 }));
    }
}
