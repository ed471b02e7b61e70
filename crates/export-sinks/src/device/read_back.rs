//! Whether a device holds what was written to it: everything is read again, from the medium, and digested again.
//!
//! Everything but the start of the disk, which is not on the device before the rest is known to be right; what is digested
//! of it comes from memory. Publishing writes it and reads it again.

use std::num::NonZeroUsize;

use vhdx_format::{
    Content, DiskOffset, DiskRange, Extent, Extents, FileOffset, Geometry, LayerIndex, ReadAt, VirtualDisk,
};

use super::{DeviceSink, Medium, NotKept, ReadBackError};
use crate::{BlockSums, Cancel, Completed, DigestChoice, ExportError, Options, Place, Progress, differences};

/// Compares a device that was completed with the content, over the handle that it was written through, while it has no
/// start yet: after a difference the caller drops `completed`.
///
/// It takes the block digests of the content, so the export must have asked for [`DigestChoice::blksum`].
pub fn read_back<M: Medium>(
    completed: &Completed<DeviceSink<M>>,
    threads: NonZeroUsize,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<(), ReadBackError> {
    let DeviceSink { device, head, .. } = completed.sink();
    let place = device.medium.place();
    let Some(expected) = &completed.export().digests.blocks else {
        return Err(ReadBackError::NotDigested(place));
    };
    device.forget()?;
    let written = Written { head, medium: &device.medium, geometry: device.geometry };
    match block_sums(&written, threads, progress, cancel) {
        Ok(found) => compare(expected, found.as_ref(), device.geometry, place),
        Err(ExportError::Cancelled(cancelled)) => Err(cancelled.into()),
        Err(source) => Err(ReadBackError::Read { place, source }),
    }
}

/// Digests that are not there are equal to nothing.
fn compare(
    expected: &BlockSums,
    found: Option<&BlockSums>,
    geometry: Geometry,
    place: Place,
) -> Result<(), ReadBackError> {
    match found {
        None => Err(ReadBackError::NotDigested(place)),
        Some(found) if found == expected => Ok(()),
        Some(found) => {
            let first = differences(expected, found, geometry.size()).first().copied();
            let range = first.map_or(geometry.range(), |first| first.first_block.unwrap_or(first.range));
            Err(NotKept { place, range }.into())
        }
    }
}

fn block_sums(
    written: &dyn VirtualDisk,
    threads: NonZeroUsize,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Option<BlockSums>, ExportError> {
    let digests = DigestChoice { blksum: true, ..DigestChoice::default() };
    let options = Options { threads, digests, pool: None };
    Ok(crate::digest(written, &options, progress, cancel)?.blocks)
}

const HEAD: LayerIndex = LayerIndex(0);
const DEVICE: LayerIndex = LayerIndex(1);

/// The beginning of a device as a disk, with its start still in memory.
struct Written<'a, M> {
    head: &'a Vec<u8>,
    medium: &'a M,
    geometry: Geometry,
}

/// What a layer holds of the range.
fn extent(layer: LayerIndex, holds: DiskRange, range: DiskRange) -> Option<Extent<Content>> {
    let (start, end) = (holds.start().max(range.start()), holds.end().min(range.end()));
    let content = Content::Data { layer, at: FileOffset(start.0) };
    (start < end).then(|| Extent { start, len: end.0.saturating_sub(start.0), content })
}

impl<M: Medium> VirtualDisk for Written<'_, M> {
    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn extents(&self, range: DiskRange) -> Extents<'_> {
        let split = DiskOffset(self.head.len() as u64);
        let head = DiskRange::new(DiskOffset(0), split);
        let behind = DiskRange::new(split, self.geometry.range().end());
        let parts = [extent(HEAD, head, range), extent(DEVICE, behind, range)];
        Box::new(parts.into_iter().flatten().map(Ok))
    }

    fn layer(&self, index: LayerIndex) -> Option<&dyn ReadAt> {
        match index {
            HEAD => Some(self.head),
            DEVICE => Some(self.medium),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use vhdx_format::SectorSize;

    use super::*;
    use crate::Sha256Digest;

    #[test]
    fn digests_that_are_missing_are_no_proof() {
        let geometry = Geometry::new(1 << 20, SectorSize::B512, SectorSize::B512).unwrap();
        let sums = BlockSums { blksum: Sha256Digest([0; 32]), ranges: vec![None] };
        compare(&sums, Some(&sums), geometry, Place::Stream).unwrap();
        let missing = compare(&sums, None, geometry, Place::Stream);
        assert!(matches!(missing, Err(ReadBackError::NotDigested(_))));
    }
}
