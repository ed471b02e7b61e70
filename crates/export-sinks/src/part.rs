//! A part of a disk as a disk of its own: for looking at one range without reading the others.

use vhdx_format::{
    DiskOffset, DiskRange, Extent, Extents, Geometry, GeometryError, LayerIndex, ReadAt, VirtualDisk,
};

/// A range of another disk.
pub struct Part<'a> {
    disk: &'a dyn VirtualDisk,
    start: DiskOffset,
    geometry: Geometry,
}

impl<'a> Part<'a> {
    /// The range of `disk`, which is whole sectors of it.
    pub fn new(disk: &'a dyn VirtualDisk, range: DiskRange) -> Result<Self, GeometryError> {
        let whole = disk.geometry();
        let geometry = Geometry::new(range.len(), whole.logical_sector(), whole.physical_sector())?;
        Ok(Self { disk, start: range.start(), geometry })
    }

    fn moved(&self, at: DiskOffset) -> DiskOffset {
        DiskOffset(self.start.0.saturating_add(at.0))
    }
}

impl VirtualDisk for Part<'_> {
    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn extents(&self, range: DiskRange) -> Extents<'_> {
        let end = range.end().min(self.geometry.range().end());
        let there = DiskRange::new(self.moved(range.start()), self.moved(end));
        Box::new(self.disk.extents(there).map(|extent| {
            let extent = extent?;
            Ok(Extent { start: DiskOffset(extent.start.since(self.start)), ..extent })
        }))
    }

    fn layer(&self, index: LayerIndex) -> Option<&dyn ReadAt> {
        self.disk.layer(index)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use raw_format::RawDisk;
    use vhdx_format::read_disk;

    use super::*;
    use crate::conformance::model::disks;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_part_holds_what_the_disk_holds_there(disk in disks(), start: prop::sample::Index, len: prop::sample::Index) {
            let sectors = disk.content.len() / 512;
            let start = start.index(sectors);
            let len = 1 + len.index(sectors - start);
            let (start, end) = (start * 512, (start + len) * 512);
            let range = DiskRange::new(DiskOffset(start as u64), DiskOffset(end as u64));
            let raw = RawDisk::new(disk.content.clone(), *disk.geometry()).unwrap();
            let part = Part::new(&raw, range).unwrap();
            let mut content = vec![0xEE; end - start];
            read_disk(&part, DiskOffset(0), &mut content).unwrap();
            prop_assert!(content == disk.content[start..end]);
        }
    }
}
