//! Damages every field of every subject and holds each outcome against what is allowed.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vhdx_format::ReadAt;

use crate::classes::{CLASSES, Checksum};
use crate::fields::{Field, FieldKind};
use crate::mutant::{Mutant, Work, renew_checksum};
use crate::outcome::{Outcome, outcome};
use crate::subjects::{self, MIB, Subject};

/// Opening and reading a damaged subject asks for at most this many bytes. Its files have less than 16 MiB together, of
/// which no two blocks share a byte, so their payload is less than that, the log with it. Besides, an image has at most
/// 6 MiB of metadata items (each is at most 1 MiB, whatever else it claims), 1 MiB of block table, read once to be judged and
/// once in pages to be walked, and a page of a bitmap for each block. Read from memory that is 0.01 s, from a slow medium
/// with 100 MB/s under one.
const BYTES_MAX: u64 = 48 << 20;

/// And this many reads: some 20 to open an image, then a page or a run of sectors each. The subjects have a few dozen
/// runs; every changed bit of a bitmap adds two, and a changed size or entry leads to other bits.
const READS_MAX: u64 = 8192;

/// What the project promises of any input, in processor time.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(2);

#[test]
fn dynamic_image() {
    sweep(subjects::dynamic);
}

#[test]
fn fixed_image() {
    sweep(subjects::fixed);
}

#[test]
fn child_of_a_chain() {
    sweep(subjects::child);
}

#[test]
fn parent_of_a_chain() {
    sweep(subjects::parent);
}

#[test]
fn child_of_large_sectors() {
    sweep(subjects::large_sectors);
}

#[test]
fn dirty_image() {
    sweep(subjects::dirty);
}

#[test]
fn image_that_grows_in_its_log() {
    sweep(subjects::growing);
}

#[test]
fn image_that_grows_in_its_log_with_a_clean_older_header() {
    sweep(subjects::growing_by_one_header);
}

fn sweep(subject: fn() -> Subject) {
    let _beside_others = crate::beside_others();
    let subject = &subject();
    let unread = assert_every_byte_that_is_read_has_a_name(subject);
    let mut run = Run::new(subject);
    for field in subject.fields.iter().filter(|field| (subject.swept)(&field.name)) {
        for changes in damages(field, subject.file()) {
            run.damage(field, changes);
        }
    }
    run.damage_what_is_never_read(&unread);
    run.finish(unread.iter().map(|range| range.end - range.start).sum());
}

/// Bytes that change together.
type Changes = Vec<(u64, Vec<u8>)>;

/// Everything that is done to a field.
fn damages(field: &Field, file: &[u8]) -> Vec<Changes> {
    let len = field.at[0].end - field.at[0].start;
    let original = |offset: u64| file[(field.at[0].start + offset) as usize];
    let put = |offset: u64, value: u8| field.at.iter().map(|at| (at.start + offset, vec![value])).collect();
    let singles = |offsets: Vec<u64>, values: fn(u8) -> Vec<u8>| -> Vec<Changes> {
        let each = offsets.into_iter().map(|offset| (offset, values(original(offset))));
        each.flat_map(|(offset, values)| values.into_iter().map(move |value| put(offset, value))).collect()
    };
    match field.kind {
        FieldKind::Meant => singles((0..len).collect(), several),
        FieldKind::Decisive => singles((0..len).collect(), all_others),
        FieldKind::Content => singles(ends_and_strides(len, 4, len / 64 + 1), inverted),
        FieldKind::Padding => {
            let fills = fills(len as usize).into_iter();
            let fills = fills.map(|fill| field.at.iter().map(|at| (at.start, fill.clone())).collect());
            fills.chain(singles(ends_and_strides(len, 32, 1009), inverted)).collect()
        }
    }
}

/// Values for a byte: the least and the greatest, the next ones, and some flipped bits.
fn several(byte: u8) -> Vec<u8> {
    let values = [
        0,
        0xFF,
        byte.wrapping_add(1),
        byte.wrapping_sub(1),
        byte ^ 0x01,
        byte ^ 0x02,
        byte ^ 0x04,
        byte ^ 0x10,
        byte ^ 0x80,
    ];
    let distinct: BTreeSet<u8> = values.into_iter().filter(|value| *value != byte).collect();
    distinct.into_iter().collect()
}

fn all_others(byte: u8) -> Vec<u8> {
    (0..=u8::MAX).filter(|value| *value != byte).collect()
}

fn inverted(byte: u8) -> Vec<u8> {
    vec![!byte]
}

/// Offsets below `len`: as many as `dense` at both ends, and every `stride`-th.
fn ends_and_strides(len: u64, dense: u64, stride: u64) -> Vec<u64> {
    let at_ends = (0..dense.min(len)).chain(len.saturating_sub(dense)..len);
    let offsets: BTreeSet<u64> = at_ends.chain((0..len).step_by(stride as usize)).collect();
    offsets.into_iter().collect()
}

/// What padding is filled with: every bit set, low and high ones, numbers that look like entries, and noise.
fn fills(len: usize) -> Vec<Vec<u8>> {
    let entries = 6_u64.to_le_bytes().repeat(len / 8 + 1);
    let mut random = vhdx_format::forge::random::Random::new(len as u64);
    vec![vec![0xFF; len], vec![0x01; len], vec![0x80; len], entries[..len].to_vec(), random.bytes(len)]
}

/// Reads the undamaged subject and returns what was never read of it. Every byte that was has a field.
fn assert_every_byte_that_is_read_has_a_name(subject: &Subject) -> Vec<std::ops::Range<u64>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let work = Arc::new(Work::default());
    let sources = (0..).zip(&subject.files).map(|(index, file)| -> Box<dyn ReadAt> {
        let source = Mutant::new(file, Vec::new(), &work);
        Box::new(if index == subject.damaged { source.recording(&seen) } else { source })
    });
    let outcome = outcome(sources.collect(), &subject.right, &mut vec![0; MIB as usize]);
    assert!(matches!(outcome, Outcome::Same), "{}, undamaged: {outcome:?}", subject.name);
    let len = subject.file().len();
    let (mut read, mut named) = (vec![false; len], vec![false; len]);
    for range in seen.lock().expect("no reader panics").iter() {
        read[range.start as usize..range.end as usize].fill(true);
    }
    for range in subject.fields.iter().flat_map(|field| &field.at) {
        named[range.start as usize..range.end as usize].fill(true);
    }
    let forgotten = (0..len).find(|at| read[*at] && !named[*at]);
    assert_eq!(forgotten.map(|at| format!("{at:#x}")), None, "{}: read, and in no field", subject.name);
    let starts = (0..len).filter(|at| !read[*at] && (*at == 0 || read[*at - 1]));
    let end = |start: usize| (start..len).find(|at| read[*at]).unwrap_or(len);
    starts.map(|start| start as u64..end(start) as u64).collect()
}

/// What came of a subject so far.
struct Run<'a> {
    subject: &'a Subject,
    buf: Vec<u8>,
    mutations: u64,
    same: u64,
    refused: u64,
    another: u64,
    /// The fields that led to another disk.
    led_astray: BTreeSet<(String, Checksum)>,
    slowest: Duration,
    most_bytes: u64,
    most_reads: u64,
}

impl<'a> Run<'a> {
    fn new(subject: &'a Subject) -> Self {
        Self {
            subject,
            buf: vec![0; MIB as usize],
            mutations: 0,
            same: 0,
            refused: 0,
            another: 0,
            led_astray: BTreeSet::new(),
            slowest: Duration::ZERO,
            most_bytes: 0,
            most_reads: 0,
        }
    }

    fn damage(&mut self, field: &Field, changes: Changes) {
        if field.sealed_by.is_empty() {
            self.look(&field.name, Checksum::None, changes);
            return;
        }
        let mut renewed = changes.clone();
        for structure in &field.sealed_by {
            renew_checksum(self.subject.file(), structure, &mut renewed);
        }
        self.look(&field.name, Checksum::Stale, changes);
        self.look(&field.name, Checksum::Renewed, renewed);
    }

    fn damage_what_is_never_read(&mut self, unread: &[std::ops::Range<u64>]) {
        let noise = unread.iter().map(|range| (range.start, vec![0xA5; (range.end - range.start) as usize]));
        self.look("never read", Checksum::None, noise.collect());
    }

    fn look(&mut self, field: &str, checksum: Checksum, changes: Changes) {
        let on_panic = Named { subject: self.subject.name, field, checksum, changes: &describe(&changes) };
        let work = Arc::new(Work::default());
        let before = processor_time();
        let outcome = self.outcome(changes, &work);
        let time = processor_time().saturating_sub(before);
        self.mutations += 1;
        assert!(work.bytes() <= BYTES_MAX && work.reads() <= READS_MAX, "{work:?}");
        assert!(time < TIME_MAX, "{time:?}");
        crate::peak_memory();
        self.slowest = self.slowest.max(time);
        self.most_bytes = self.most_bytes.max(work.bytes());
        self.most_reads = self.most_reads.max(work.reads());
        match outcome {
            Outcome::Same => self.same += 1,
            Outcome::Refused(refusal) => {
                assert!(refusal.has_position(), "no position: {refusal}");
                self.refused += 1;
            }
            Outcome::Another => {
                self.led_astray.insert((field.to_owned(), checksum));
                self.another += 1;
            }
        }
        drop(on_panic);
    }

    fn outcome(&mut self, changes: Changes, work: &Arc<Work>) -> Outcome {
        let mut changes = Some(changes);
        let sources = (0..).zip(&self.subject.files).map(|(index, file)| -> Box<dyn ReadAt> {
            let changes = changes.take_if(|_| index == self.subject.damaged);
            Box::new(Mutant::new(file, changes.unwrap_or_default(), work))
        });
        outcome(sources.collect(), &self.subject.right, &mut self.buf)
    }

    /// Says the numbers, and that the listed fields are those that led astray.
    fn finish(self, unread: u64) {
        let name = self.subject.name;
        println!(
            "{name}: {} mutations: {} same disk, {} refused, {} another disk; slowest {:.1?}; most {} KiB in {} reads; \
             {unread} bytes of {} never read; at most {} MiB held by the binary so far",
            self.mutations,
            self.same,
            self.refused,
            self.another,
            self.slowest,
            self.most_bytes >> 10,
            self.most_reads,
            self.subject.file().len(),
            crate::peak_memory() >> 20,
        );
        let listed: BTreeSet<(String, Checksum)> = CLASSES
            .iter()
            .flat_map(|class| class.fields.iter().map(|(field, subjects)| (field, subjects, class.checksum)))
            .filter(|(_, subjects, _)| subjects.contains(&name))
            .map(|(field, _, checksum)| ((*field).to_owned(), checksum))
            .collect();
        let lines = |fields: &BTreeSet<(String, Checksum)>, without: &BTreeSet<(String, Checksum)>| {
            fields.difference(without).cloned().collect::<Vec<_>>()
        };
        let unlisted = lines(&self.led_astray, &listed);
        let stale = lines(&listed, &self.led_astray);
        assert!(
            unlisted.is_empty() && stale.is_empty(),
            "{name}: led to another disk and not listed: {unlisted:#?}, listed and led to no other disk: {stale:#?}"
        );
    }
}

fn describe(changes: &Changes) -> String {
    let change = |(at, bytes): &(u64, Vec<u8>)| {
        format!(" {at:#x}: {:02x?} ({} bytes)", &bytes[..bytes.len().min(8)], bytes.len())
    };
    changes.iter().take(4).map(change).collect()
}

/// Says what was damaged when the reader panics or an assertion fails.
struct Named<'a> {
    subject: &'a str,
    field: &'a str,
    checksum: Checksum,
    changes: &'a str,
}

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}, {}, checksum {:?}:{}", self.subject, self.field, self.checksum, self.changes);
        }
    }
}

/// Processor time of this thread.
#[cfg(unix)]
pub(crate) fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = time.tv_sec.try_into().expect("time since the thread began");
    Duration::new(seconds, time.tv_nsec.try_into().expect("less than a second"))
}

/// Not to be had here without `unsafe`; the bounds on work hold everywhere.
#[cfg(not(unix))]
pub(crate) fn processor_time() -> Duration {
    Duration::ZERO
}
