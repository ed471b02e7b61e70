//! Leaving out what a sparse source does not store.
//!
//! An image may have room for a block that was never written, and lie in a file that has no room for it. Such a run is
//! zeros, as if no image stored it, and is known to be without a read.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::extent::Coalesced;
use crate::{Content, DiskOffset, Extent, FileOffset, LayerIndex, ReadAt, ReadError, VirtualDisk};

/// Shortest run that a source is asked about, in bytes: reading less takes no longer than asking.
const ASKED_MIN: u64 = 64 << 10;

/// What is known of the holes of each image. It pays to ask in ascending order.
#[derive(Debug, Default)]
pub struct Holes {
    /// The last stretch of each image that its source said to be data.
    stretches: BTreeMap<LayerIndex, Range<FileOffset>>,
}

impl Holes {
    /// The same extents, with zeros where the source of an image knows of a hole.
    pub fn leave_out(
        &mut self,
        disk: &dyn VirtualDisk,
        extents: &[Extent<Content>],
    ) -> Result<Vec<Extent<Content>>, ReadError> {
        let mut found = Vec::with_capacity(extents.len());
        for extent in extents {
            match extent.content {
                Content::Data { layer, at } if extent.len >= ASKED_MIN => {
                    let source = disk.layer(layer).ok_or(ReadError::NoSuchLayer(layer))?;
                    let failed = |source| ReadError::Payload { layer, at, len: extent.len, source };
                    let stretch = self.stretches.entry(layer).or_insert(FileOffset(0)..FileOffset(0));
                    cut(extent, layer, at, |at, end| next_data(source, stretch, at, end), &mut found)
                        .map_err(failed)?;
                }
                _ => found.push(*extent),
            }
        }
        Coalesced::new(found.into_iter().map(Ok)).collect()
    }
}

/// Cuts a run that begins at `from` of its image into holes and data.
fn cut(
    extent: &Extent<Content>,
    layer: LayerIndex,
    from: FileOffset,
    mut next_data: impl FnMut(FileOffset, FileOffset) -> std::io::Result<Range<FileOffset>>,
    found: &mut Vec<Extent<Content>>,
) -> std::io::Result<()> {
    let end = FileOffset(from.0.saturating_add(extent.len));
    let mut at = from;
    let mut push = |part: Range<FileOffset>, content| {
        let start = DiskOffset(extent.start.0.saturating_add(part.start.since(from)));
        let len = part.end.since(part.start);
        found.extend((len > 0).then_some(Extent { start, len, content }));
    };
    while at < end {
        let run = next_data(at, end)?;
        push(at..run.start, Content::Zero);
        push(run.clone(), Content::Data { layer, at: run.start });
        at = run.end;
    }
    Ok(())
}

/// The next data from `at` on and up to `end`; empty only at `end`.
fn next_data(
    source: &dyn ReadAt,
    stretch: &mut Range<FileOffset>,
    at: FileOffset,
    end: FileOffset,
) -> std::io::Result<Range<FileOffset>> {
    if !stretch.contains(&at) {
        let found = source.next_data(at, end)?;
        // An answer that leads nowhere is none: then all is read.
        let leads_on = found.end > found.start.max(at) || found.start >= end;
        *stretch = if leads_on { found } else { at..end };
    }
    Ok(stretch.start.clamp(at, end)..stretch.end.clamp(at, end))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::{DiskRange, Extents, Geometry};

    const UNIT: u64 = 16 << 10;

    /// An image that knows which of its units are data and counts how often it is asked.
    struct Sparse {
        data: Vec<bool>,
        asked: AtomicUsize,
    }

    impl Sparse {
        fn is_data(&self, at: u64) -> bool {
            self.data.get((at / UNIT) as usize).copied().unwrap_or(false)
        }

        fn boundary(&self, from: u64, wanted: bool) -> u64 {
            let units = from / UNIT..self.data.len() as u64;
            let found = units.map(|unit| unit * UNIT).find(|&at| self.is_data(at) == wanted);
            found.map_or(self.data.len() as u64 * UNIT, |at| at.max(from))
        }
    }

    impl ReadAt for Sparse {
        fn read_exact_at(&self, _: FileOffset, _: &mut [u8]) -> io::Result<()> {
            unreachable!("nothing is read")
        }

        fn byte_len(&self) -> io::Result<u64> {
            Ok(self.data.len() as u64 * UNIT)
        }

        fn next_data(&self, at: FileOffset, end: FileOffset) -> io::Result<Range<FileOffset>> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let start = self.boundary(at.0, true);
            if start >= end.0 {
                return Ok(end..end);
            }
            Ok(FileOffset(start)..FileOffset(self.boundary(start, false)))
        }
    }

    struct Images([Sparse; 2]);

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

    fn images(data: [Vec<bool>; 2]) -> Images {
        Images(data.map(|data| Sparse { data, asked: AtomicUsize::new(0) }))
    }

    proptest! {
        #[test]
        fn holes_become_zeros_and_nothing_else_changes(
            data in [prop::collection::vec(any::<bool>(), 64), prop::collection::vec(any::<bool>(), 64)],
            runs in prop::collection::vec((1_u64..40, prop::option::of((0_usize..2, 0_u64..90))), 1..12),
        ) {
            let images = images(data);
            let mut extents = Vec::new();
            let mut start = 0;
            for (sectors, place) in runs {
                let len = sectors * 8192;
                let content = match place {
                    Some((layer, at)) if at * 8192 + len <= 64 * UNIT => {
                        Content::Data { layer: LayerIndex(layer), at: FileOffset(at * 8192) }
                    }
                    _ => Content::Zero,
                };
                extents.push(Extent { start: DiskOffset(start), len, content });
                start += len;
            }
            let found = Holes::default().leave_out(&images, &extents).unwrap();
            let at = |extents: &[Extent<Content>], at: u64| {
                let extent = extents.iter().find(|extent| extent.start.0 <= at && at < extent.end().0).unwrap();
                match extent.content {
                    Content::Zero => None,
                    Content::Data { layer, at: from } => Some((layer, from.0 + (at - extent.start.0), extent.len)),
                }
            };
            prop_assert_eq!(found.iter().map(|extent| extent.len).sum::<u64>(), start);
            for sector in 0..start / 8192 {
                let (was, is) = (at(&extents, sector * 8192), at(&found, sector * 8192));
                let expected = was.filter(|(layer, from, len)| *len < ASKED_MIN || images.0[layer.0].is_data(*from));
                prop_assert_eq!(is.map(|(layer, from, _)| (layer, from)), expected.map(|(layer, from, _)| (layer, from)));
            }
        }
    }

    #[test]
    fn a_stretch_of_data_is_asked_for_once() {
        let images = images([vec![true; 4096], Vec::new()]);
        let mut holes = Holes::default();
        for part in 0..16_u64 {
            let content = Content::Data { layer: LayerIndex(0), at: FileOffset(part << 20) };
            let extent = Extent { start: DiskOffset(part << 20), len: 1 << 20, content };
            assert_eq!(holes.leave_out(&images, &[extent]).unwrap(), [extent]);
        }
        assert_eq!(images.0[0].asked.load(Ordering::Relaxed), 1);
    }
}
