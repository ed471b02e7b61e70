//! The laws of the pipeline itself, seen by sinks that record, fail and panic.

mod followers;

use std::collections::BTreeSet;
use std::io::Write;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use vhdx_format::{
    Content, DiskOffset, DiskRange, Extent, Extents, Geometry, LayerIndex, ReadAt, VirtualDisk,
};

use super::model::{Fill, Hollow, ModelDisk, disks};
use super::{exported, threads};
use crate::{
    Artifact, Cancel, DigestSource, Encode, ExportError, FilledPiece, NoProgress, Options, Pool, Progress,
    Run, Sink, SinkError, Tally, raw,
};

/// Writes down what it is given.
#[derive(Default)]
struct Recording {
    content: Vec<u8>,
    ranges: Vec<DiskRange>,
    flight: Arc<Flight>,
    finished: Arc<AtomicUsize>,
}

/// How many pieces are encoded and not yet accepted, or not yet followed.
#[derive(Default)]
struct Flight {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Flight {
    fn enter(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

struct RecordingEncoder(Arc<Flight>);

impl Encode for RecordingEncoder {
    type Encoded = DiskRange;

    fn encode(&mut self, piece: &FilledPiece) -> Result<DiskRange, SinkError> {
        self.0.enter();
        Ok(piece.range())
    }
}

impl Sink for &mut Recording {
    type Encoder = RecordingEncoder;

    fn encoder(&self) -> RecordingEncoder {
        RecordingEncoder(Arc::clone(&self.flight))
    }

    fn accept(&mut self, piece: &FilledPiece, encoded: DiskRange) -> Result<(), SinkError> {
        assert_eq!(encoded, piece.range());
        self.flight.leave();
        for run in piece.runs() {
            match run {
                Run::Zeros(range) => {
                    assert_eq!(range.start().0, self.content.len() as u64);
                    self.content.resize(usize::try_from(range.end().0).unwrap(), 0);
                }
                Run::Data { at, bytes } => {
                    assert_eq!(at.0, self.content.len() as u64);
                    self.content.write_all(bytes).unwrap();
                }
            }
        }
        self.ranges.push(piece.range());
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
        DigestSource::Sink
    }
}

#[derive(Default)]
struct Heard(Mutex<Vec<Tally>>);

impl Progress for Heard {
    fn advance(&self, done: Tally) {
        self.0.lock().unwrap().push(done);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_sink_gets_the_whole_disk_in_order_once(disk in disks(), count in 1_usize..7) {
        let mut sink = Recording::default();
        let heard = Heard::default();
        let done = exported(&disk, &mut sink, &threads(count), &heard, &Cancel::new()).unwrap();
        prop_assert!(sink.content == disk.content);
        prop_assert_eq!(sink.finished.load(Ordering::SeqCst), 1);
        prop_assert!(sink.flight.most.load(Ordering::SeqCst) <= 2 * count + 2);

        let mut at = DiskOffset(0);
        for range in &sink.ranges {
            prop_assert_eq!(range.start(), at);
            prop_assert_eq!(range.start().0 % (4 << 20), 0);
            at = range.end();
        }
        prop_assert_eq!(at.0, disk.content.len() as u64);

        let heard = heard.0.into_inner().unwrap();
        prop_assert_eq!(heard.len(), sink.ranges.len());
        prop_assert!(heard.iter().zip(&sink.ranges).all(|(done, range)| done.total() == range.end().0));
        prop_assert_eq!(*heard.last().unwrap(), done.content);
        let data: usize = disk.content.iter().map(|&byte| usize::from(byte != 0)).sum();
        prop_assert!(done.content.data >= data as u64);
    }
}

#[test]
fn the_cut_depends_on_where_data_is_not_on_the_threads() {
    let disk = ModelDisk::new(&[(30 << 20, Fill::Hole), (512, Fill::Noise), (9 << 20, Fill::Hole)]);
    let mut cuts = BTreeSet::new();
    for count in 1..5 {
        let mut sink = Recording::default();
        exported(&disk, &mut sink, &threads(count), &NoProgress, &Cancel::new()).unwrap();
        cuts.insert(sink.ranges.iter().map(|range| (range.start().0 >> 20, range.len())).collect::<Vec<_>>());
    }
    let expected = vec![(0, 28 << 20), (28, 4 << 20), (32, (7 << 20) + 512)];
    assert_eq!(cuts.into_iter().collect::<Vec<_>>(), [expected]);
}

/// Fails or panics at a piece, in the encoder or in the sink.
#[derive(Clone)]
struct Failing {
    at: u64,
    in_encoder: bool,
    panics: bool,
    finished: Arc<AtomicUsize>,
}

impl Failing {
    fn strike(&self, piece: &FilledPiece) -> Result<(), SinkError> {
        if piece.range().start().0 < self.at {
            return Ok(());
        }
        assert!(!self.panics, "injected");
        Err(SinkError::BrokenPipe)
    }
}

impl Encode for Failing {
    type Encoded = ();

    fn encode(&mut self, piece: &FilledPiece) -> Result<(), SinkError> {
        if self.in_encoder { self.strike(piece) } else { Ok(()) }
    }
}

impl Sink for Failing {
    type Encoder = Self;

    fn encoder(&self) -> Self {
        self.clone()
    }

    fn accept(&mut self, piece: &FilledPiece, (): ()) -> Result<(), SinkError> {
        if self.in_encoder { Ok(()) } else { self.strike(piece) }
    }

    fn complete(&mut self) -> Result<Artifact, SinkError> {
        Ok(Artifact::default())
    }

    fn publish(self) -> Result<(), SinkError> {
        self.finished.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn digest_source(&self) -> DigestSource {
        DigestSource::Sink
    }
}

#[test]
fn a_failure_or_panic_anywhere_ends_the_export_unfinished() {
    let disk = ModelDisk::new(&[(60 << 20, Fill::Noise)]);
    for (count, at) in [(1, 0), (2, 20 << 20), (5, 56 << 20)] {
        for in_encoder in [false, true] {
            let finished = Arc::default();
            let failing = |panics| Failing { at, in_encoder, panics, finished: Arc::clone(&finished) };
            let run = |sink| exported(&disk, sink, &threads(count), &NoProgress, &Cancel::new());
            let error = run(failing(false)).unwrap_err();
            assert!(matches!(error, ExportError::Sink(SinkError::BrokenPipe)), "{error}");
            let panic = catch_unwind(AssertUnwindSafe(|| run(failing(true)))).unwrap_err();
            assert_eq!(panic.downcast_ref(), Some(&"injected"));
            assert_eq!(finished.load(Ordering::SeqCst), 0);
        }
    }
}

#[test]
fn a_set_flag_stops_the_export_before_anything_is_read() {
    let disk = ModelDisk::new(&[(1 << 20, Fill::Noise)]);
    disk.fail_read(0);
    let cancel = Cancel::new();
    cancel.set(15);
    let mut sink = Recording::default();
    let error = exported(&disk, &mut sink, &threads(2), &NoProgress, &cancel).unwrap_err();
    assert!(matches!(error, ExportError::Cancelled(by) if by.reason == 15), "{error}");
    assert!(sink.ranges.is_empty());
}

#[test]
fn a_reader_that_goes_away_is_told_apart() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _bytes: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let disk = ModelDisk::new(&[(9 << 20, Fill::Noise)]);
    let error =
        exported(&disk, raw::to_stream(Closed), &threads(2), &NoProgress, &Cancel::new()).unwrap_err();
    assert!(matches!(error, ExportError::Sink(SinkError::BrokenPipe)), "{error}");
}

/// A disk whose extents are whatever one says.
struct Lying(ModelDisk, Vec<Extent<Content>>);

impl VirtualDisk for Lying {
    fn geometry(&self) -> &Geometry {
        self.0.geometry()
    }

    fn extents(&self, _range: DiskRange) -> Extents<'_> {
        Box::new(self.1.iter().copied().map(Ok))
    }

    fn layer(&self, index: LayerIndex) -> Option<&dyn ReadAt> {
        self.0.layer(index)
    }
}

#[test]
fn extents_that_do_not_cover_the_disk_are_an_error() {
    let zeros =
        |start: u64, end: u64| Extent { start: DiskOffset(start), len: end - start, content: Content::Zero };
    let size = 9 << 20;
    for extents in [
        vec![],
        vec![zeros(0, size - 512)],
        vec![zeros(512, size)],
        vec![zeros(0, 1 << 20), zeros(2 << 20, size)],
        vec![zeros(0, 6 << 20), zeros(5 << 20, size)],
        vec![zeros(0, size + 512)],
        vec![zeros(0, 512), zeros(512, 512), zeros(512, size)],
    ] {
        let disk = Lying(ModelDisk::new(&[(9 << 20, Fill::Hole)]), extents);
        let mut sink = Recording::default();
        let error = exported(&disk, &mut sink, &threads(2), &NoProgress, &Cancel::new()).unwrap_err();
        assert!(matches!(error, ExportError::BrokenExtents { .. }), "{error}");
        assert_eq!(sink.finished.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn neighbouring_zeros_that_nobody_merged_are_still_zeros() {
    let zeros =
        |start: u64, end: u64| Extent { start: DiskOffset(start), len: end - start, content: Content::Zero };
    let extents = vec![zeros(0, 512), zeros(512, 5 << 20), zeros(5 << 20, 9 << 20)];
    let disk = Lying(ModelDisk::new(&[(9 << 20, Fill::Hole)]), extents);
    let mut sink = Recording::default();
    let done = exported(&disk, &mut sink, &threads(2), &NoProgress, &Cancel::new()).unwrap();
    assert_eq!(done.content, Tally { data: 0, zeros: 9 << 20 });
}

#[test]
fn the_largest_disk_costs_a_piece_for_each_quarter_of_a_gib() {
    let disk = Hollow::new(64 << 40);
    let sink = Failing { at: u64::MAX, in_encoder: false, panics: false, finished: Arc::default() };
    let heard = Heard::default();
    exported(&disk, sink, &threads(2), &heard, &Cancel::new()).unwrap();
    assert_eq!(heard.0.into_inner().unwrap().len(), (64 << 40 >> 28) + 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    /// Several at a time: each gets its whole disk, and has no more pieces in flight than its share.
    #[test]
    fn exports_that_share_a_pool_each_have_their_whole_disk(
        disks in prop::collection::vec(disks(), 1..5),
        at_once in 1_usize..32,
    ) {
        let pool = Pool::new(NonZeroUsize::new(at_once).unwrap(), None);
        let options = Options { pool: Some(pool.clone()), ..Options::default() };
        std::thread::scope(|scope| {
            for disk in &disks {
                let (options, buffers) = (&options, pool.share().buffers);
                scope.spawn(move || {
                    let mut recording = Recording::default();
                    exported(disk, &mut recording, options, &NoProgress, &Cancel::new()).unwrap();
                    assert!(recording.content == disk.content);
                    assert!(recording.flight.most.load(Ordering::SeqCst) <= buffers);
                });
            }
        });
    }
}
