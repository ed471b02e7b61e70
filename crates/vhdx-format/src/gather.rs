//! Reading many runs of a disk at once.
//!
//! Where a child overlays single sectors, the runs of one image are short and lie close to each other. Their
//! neighbourhood is then read once and the runs are picked from it: a system call for each would take many times as long.

use std::collections::BTreeMap;

use crate::{Content, DiskOffset, Extent, FileOffset, LayerIndex, ReadAt, ReadError, VirtualDisk};

/// Longest gap between two runs that is read along with them, in bytes: reading so much from memory takes about as long
/// as another system call.
const GAP_MAX: u64 = 16 << 10;

/// Longest neighbourhood, in bytes: it stays in the processor's cache until the runs are picked from it.
const SPAN_MAX: u64 = 256 << 10;

/// Reads runs, and keeps the memory that it needs for that: at most 256 KiB, and 24 bytes for each run of one call.
#[derive(Debug, Default)]
pub struct Gatherer {
    runs: BTreeMap<LayerIndex, Vec<Run>>,
    neighbourhood: Vec<u8>,
}

/// A run of one image, and where its bytes go.
#[derive(Clone, Copy, Debug)]
struct Run {
    at: FileOffset,
    len: usize,
    /// Position in the buffer.
    to: usize,
}

impl Run {
    fn end(self) -> u64 {
        self.at.0.saturating_add(u64::try_from(self.len).unwrap_or(u64::MAX))
    }
}

impl Gatherer {
    /// Fills the parts of `buf` that `extents` cover; the first byte of `buf` is that of the disk at `start`. An
    /// extent that does not start in `buf` is left out, as is what reaches past its end; what no extent covers stays as it is.
    ///
    /// Nothing but the bytes of the extents decides whether it succeeds: a gap that can not be read harms nobody.
    pub fn read<'a>(
        &mut self,
        disk: &dyn VirtualDisk,
        start: DiskOffset,
        extents: impl IntoIterator<Item = &'a Extent<Content>>,
        buf: &mut [u8],
    ) -> Result<(), ReadError> {
        for extent in extents {
            let Some(to) = extent.start.0.checked_sub(start.0) else { continue };
            let to = usize::try_from(to).unwrap_or(usize::MAX);
            let rest = buf.get_mut(to..).unwrap_or_default();
            let len = usize::try_from(extent.len).unwrap_or(usize::MAX).min(rest.len());
            match extent.content {
                Content::Zero => rest.split_at_mut(len).0.fill(0),
                Content::Data { layer, at } => {
                    self.runs.entry(layer).or_default().push(Run { at, len, to });
                }
            }
        }
        let read = self.runs.iter().try_for_each(|(layer, runs)| {
            let source = disk.layer(*layer).ok_or(ReadError::NoSuchLayer(*layer))?;
            let source = Source { layer: *layer, bytes: source };
            neighbours(runs).try_for_each(|group| source.read(group, &mut self.neighbourhood, buf))
        });
        self.runs.values_mut().for_each(Vec::clear);
        read
    }
}

/// Cuts runs into groups that are read as one.
fn neighbours(mut runs: &[Run]) -> impl Iterator<Item = &[Run]> {
    std::iter::from_fn(move || {
        let first = runs.first()?;
        let pairs = runs.iter().zip(runs.iter().skip(1));
        let joined = pairs.take_while(|(last, next)| {
            let gap = next.at.0.checked_sub(last.end());
            gap.is_some_and(|gap| gap <= GAP_MAX) && next.end().saturating_sub(first.at.0) <= SPAN_MAX
        });
        let (group, rest) = runs.split_at(joined.count().saturating_add(1));
        runs = rest;
        Some(group)
    })
}

/// An image to read from.
struct Source<'a> {
    layer: LayerIndex,
    bytes: &'a dyn ReadAt,
}

impl Source<'_> {
    fn read(&self, group: &[Run], neighbourhood: &mut Vec<u8>, buf: &mut [u8]) -> Result<(), ReadError> {
        if let [first, .., last] = group
            && let Ok(len) = usize::try_from(last.end().saturating_sub(first.at.0))
        {
            if neighbourhood.len() < len {
                neighbourhood.resize(len, 0);
            }
            let (span, _) = neighbourhood.split_at_mut(len);
            if self.bytes.read_exact_at(first.at, span).is_ok() {
                for run in group {
                    pick(*run, first.at, span, buf);
                }
                return Ok(());
            }
        }
        group.iter().try_for_each(|run| {
            let target = target(*run, buf);
            let len = u64::try_from(target.len()).unwrap_or(u64::MAX);
            let failed = |source| ReadError::Payload { layer: self.layer, at: run.at, len, source };
            self.bytes.read_exact_at(run.at, target).map_err(failed)
        })
    }
}

/// Where the run's bytes go.
fn target(run: Run, buf: &mut [u8]) -> &mut [u8] {
    buf.get_mut(run.to..).map_or(&mut [], |rest| rest.split_at_mut(run.len.min(rest.len())).0)
}

/// Copies a run out of the bytes that were read from `start` on. Here alone the bytes of a disk are copied twice on their
/// way: a neighbourhood is read as a whole, and only some of it belongs to the disk.
fn pick(run: Run, start: FileOffset, span: &[u8], buf: &mut [u8]) {
    let from = usize::try_from(run.at.0.saturating_sub(start.0)).unwrap_or(usize::MAX);
    let target = target(run, buf);
    if let Some(bytes) = span.get(from..).and_then(|rest| rest.get(..target.len())) {
        target.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::{DiskRange, Extents, Geometry, read_extent};

    /// An image whose byte at n depends on n, which counts how often it is read, and can not read some of its bytes.
    struct Image {
        seed: u64,
        unreadable: std::ops::Range<u64>,
        reads: AtomicUsize,
    }

    impl Image {
        fn new(seed: u64) -> Self {
            Self { seed, unreadable: 0..0, reads: AtomicUsize::new(0) }
        }

        fn byte(&self, at: u64) -> u8 {
            ((at ^ self.seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
        }
    }

    impl ReadAt for Image {
        fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            for (byte, at) in buf.iter_mut().zip(at.0..) {
                if self.unreadable.contains(&at) {
                    return Err(io::ErrorKind::Other.into());
                }
                *byte = self.byte(at);
            }
            Ok(())
        }

        fn byte_len(&self) -> io::Result<u64> {
            Ok(u64::MAX)
        }
    }

    struct Images(Vec<Image>);

    impl VirtualDisk for Images {
        fn geometry(&self) -> &Geometry {
            unreachable!("nobody asks")
        }

        fn extents(&self, _: DiskRange) -> Extents<'_> {
            unreachable!("nobody asks")
        }

        fn layer(&self, index: LayerIndex) -> Option<&dyn ReadAt> {
            self.0.get(index.0).map(|image| -> &dyn ReadAt { image })
        }
    }

    fn data(start: u64, len: u64, layer: usize, at: u64) -> Extent<Content> {
        let content = Content::Data { layer: LayerIndex(layer), at: FileOffset(at) };
        Extent { start: DiskOffset(start), len, content }
    }

    /// What is at stake: sectors in turn from two images, `count` in all.
    fn alternating(count: u64) -> Vec<Extent<Content>> {
        let sector = |n: u64| data(n * 512, 512, (n % 2) as usize, (7 << 20) + n * 512);
        (0..count).map(sector).collect()
    }

    proptest! {
        /// The model reads each extent alone.
        #[test]
        fn gathers_what_single_reads_give(
            runs in prop::collection::vec(
                (1_u64..5_000, prop::option::of((0_usize..3, 0_u64..60_000)), any::<bool>()),
                1..60,
            ),
            unreadable in prop::option::of((0_u64..60_000, 1_u64..40_000)),
        ) {
            let mut images = Images((1..4).map(Image::new).collect());
            if let Some((at, len)) = unreadable {
                images.0[1].unreadable = at..at + len;
            }
            let (mut extents, mut at) = (Vec::new(), 0);
            for (len, content, is_left_out) in runs {
                let extent = match content {
                    Some((layer, file_at)) => data(1 << 30 | at, len, layer, file_at),
                    None => Extent { start: DiskOffset(1 << 30 | at), len, content: Content::Zero },
                };
                at += len;
                extents.extend((!is_left_out).then_some(extent));
            }
            let mut expected = vec![0xEE; at as usize];
            let single = extents.iter().try_for_each(|extent| {
                let from = (extent.start.0 - (1 << 30)) as usize;
                read_extent(&images, &extent.content, &mut expected[from..from + extent.len as usize])
            });
            let mut found = vec![0xEE; at as usize];
            let gathered = Gatherer::default().read(&images, DiskOffset(1 << 30), &extents, &mut found);
            prop_assert_eq!(gathered.is_ok(), single.is_ok());
            prop_assert!(gathered.is_err() || found == expected);
        }
    }

    #[test]
    fn sectors_in_turn_cost_a_read_for_each_neighbourhood() {
        let images = Images(vec![Image::new(1), Image::new(2)]);
        let mut buf = vec![0; 1 << 20];
        Gatherer::default().read(&images, DiskOffset(0), &alternating(2048), &mut buf).unwrap();
        for image in &images.0 {
            let neighbourhoods = (1 << 20) / SPAN_MAX as usize;
            let reads = image.reads.load(Ordering::Relaxed);
            assert!((neighbourhoods..=neighbourhoods + 1).contains(&reads), "{reads}");
        }
    }

    #[test]
    fn what_lies_far_apart_is_read_alone() {
        let images = Images(vec![Image::new(1)]);
        let far = [data(0, 512, 0, 0), data(512, 512, 0, 512 + GAP_MAX + 1), data(1024, 512, 0, 0)];
        Gatherer::default().read(&images, DiskOffset(0), &far, &mut [0; 1536]).unwrap();
        assert_eq!(images.0[0].reads.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_gap_that_can_not_be_read_harms_nobody() {
        let mut images = Images(vec![Image::new(1), Image::new(2)]);
        images.0[0].unreadable = (7 << 20) + 512..(7 << 20) + 1024;
        let mut buf = vec![0; 16 * 512];
        Gatherer::default().read(&images, DiskOffset(0), &alternating(16), &mut buf).unwrap();
        assert_eq!(buf[1024], images.0[0].byte((7 << 20) + 1024));
        images.0[0].unreadable = (7 << 20) + 1024..(7 << 20) + 1025;
        let error = Gatherer::default().read(&images, DiskOffset(0), &alternating(16), &mut buf).unwrap_err();
        assert!(matches!(error, ReadError::Payload { layer: LayerIndex(0), len: 512, .. }), "{error}");
    }
}
