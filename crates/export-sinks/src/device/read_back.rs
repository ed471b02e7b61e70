//! Whether a device holds what was written to it: everything is read again, from the medium, and digested again.

use std::num::NonZeroUsize;

use vhdx_format::{
    Content, DiskRange, Extent, Extents, FileOffset, Geometry, LayerIndex, ReadAt, VirtualDisk,
};

use super::{Device, DeviceSink, Medium, ReadBackError};
use crate::{BlockSums, Cancel, Completed, DigestChoice, ExportError, Options, Progress, differences};

/// Compares a device that was completed with the content, over the handle that it was written through. To be done before
/// it is published: after a difference the caller drops `completed`, which zeroes the start of the device.
///
/// It takes the block digests of the content, so the export must have asked for [`DigestChoice::blksum`].
pub fn read_back<M: Medium>(
    completed: &Completed<DeviceSink<M>>,
    threads: NonZeroUsize,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<(), ReadBackError> {
    let device = completed.sink().device.as_ref();
    let place = || device.medium.place();
    let Some(expected) = &completed.export().digests.blocks else {
        return Err(ReadBackError::NotDigested(place()));
    };
    device.medium.forget().map_err(|source| ReadBackError::Forget { place: place(), source })?;
    let found = block_sums(device, threads, progress, cancel).map_err(|error| match error {
        ExportError::Cancelled(cancelled) => cancelled.into(),
        source => ReadBackError::Read { place: place(), source },
    })?;
    match found.filter(|found| found != expected) {
        None => Ok(()),
        Some(found) => {
            let first = differences(expected, &found, device.geometry.size()).first().copied();
            let range =
                first.map_or(device.geometry.range(), |first| first.first_block.unwrap_or(first.range));
            Err(ReadBackError::Differs { place: place(), range })
        }
    }
}

fn block_sums<M: Medium>(
    device: &Device<M>,
    threads: NonZeroUsize,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Option<BlockSums>, ExportError> {
    let options = Options { threads, digests: DigestChoice { blksum: true, ..DigestChoice::default() } };
    let written = Written { medium: &device.medium, geometry: device.geometry };
    Ok(crate::digest(&written, &options, progress, cancel)?.blocks)
}

/// The beginning of a device as a disk.
struct Written<'a, M> {
    medium: &'a M,
    geometry: Geometry,
}

impl<M: Medium> VirtualDisk for Written<'_, M> {
    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn extents(&self, range: DiskRange) -> Extents<'_> {
        let end = range.end().min(self.geometry.range().end());
        let range = DiskRange::new(range.start(), end);
        let content = Content::Data { layer: LayerIndex(0), at: FileOffset(range.start().0) };
        let extent = Extent { start: range.start(), len: range.len(), content };
        Box::new((!range.is_empty()).then_some(Ok(extent)).into_iter())
    }

    fn layer(&self, index: LayerIndex) -> Option<&dyn ReadAt> {
        (index == LayerIndex(0)).then_some(self.medium)
    }
}
