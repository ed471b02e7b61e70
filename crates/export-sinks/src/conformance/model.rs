//! A disk that is nothing but bytes in memory, with extents that name them in two layers.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use vhdx_format::extent::Coalesced;
use vhdx_format::{
    Content, DiskOffset, DiskRange, Extent, Extents, FileOffset, Geometry, LayerIndex, ReadAt, SectorSize,
    VirtualDisk,
};

/// What a run of a model disk holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fill {
    /// No layer stores it.
    Hole,
    /// A layer stores zeros.
    StoredZeros,
    /// A layer stores bytes that differ from run to run, none of them 0.
    Noise,
    /// A layer stores zeros, but for one byte in each 128 KiB.
    Specks,
}

pub(crate) struct ModelDisk {
    geometry: Geometry,
    pub content: Vec<u8>,
    pub extents: Vec<Extent<Content>>,
    layers: [Layer; 2],
}

struct Layer {
    bytes: Vec<u8>,
    reads_until_failure: AtomicU64,
}

impl ReadAt for Layer {
    fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
        if self.reads_until_failure.fetch_sub(1, Ordering::Relaxed) == 0 {
            return Err(io::Error::other("injected"));
        }
        self.bytes.read_exact_at(at, buf)
    }

    fn byte_len(&self) -> io::Result<u64> {
        self.bytes.byte_len()
    }
}

impl ModelDisk {
    /// A disk made of runs, each with its length in bytes.
    pub(crate) fn new(runs: &[(usize, Fill)]) -> Self {
        let mut content = Vec::new();
        let mut extents = Vec::new();
        let mut layers = [vec![0xEE; 512], vec![0xDD; 1024]];
        for (index, &(len, fill)) in runs.iter().enumerate() {
            let start = content.len();
            content.resize(start + len, 0);
            let bytes = &mut content[start..];
            match fill {
                Fill::Hole | Fill::StoredZeros => {}
                Fill::Noise => bytes.fill(u8::try_from(1 + index % 255).unwrap()),
                Fill::Specks => bytes.iter_mut().step_by(128 << 10).for_each(|byte| *byte = 0x80),
            }
            let layer = index % 2;
            let place = match fill {
                Fill::Hole => Content::Zero,
                _ => Content::Data { layer: LayerIndex(layer), at: FileOffset(layers[layer].len() as u64) },
            };
            if fill != Fill::Hole {
                layers[layer].extend_from_slice(bytes);
            }
            extents.push(Ok(Extent { start: DiskOffset(start as u64), len: len as u64, content: place }));
        }
        let extents: Result<_, std::convert::Infallible> = Coalesced::new(extents.into_iter()).collect();
        let geometry = Geometry::new(content.len() as u64, SectorSize::B512, SectorSize::B4096).unwrap();
        let layers = layers.map(|bytes| Layer { bytes, reads_until_failure: AtomicU64::new(u64::MAX) });
        Self { geometry, content, extents: extents.unwrap(), layers }
    }

    /// Makes the `nth` read of the first layer from now on fail.
    pub(crate) fn fail_read(&self, nth: u64) {
        self.layers[0].reads_until_failure.store(nth, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for ModelDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.extents).finish()
    }
}

impl VirtualDisk for ModelDisk {
    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn extents(&self, range: DiskRange) -> Extents<'_> {
        assert_eq!(range, self.geometry.range(), "an export asks for the whole disk");
        Box::new(self.extents.iter().copied().map(Ok))
    }

    fn layer(&self, index: LayerIndex) -> Option<&dyn ReadAt> {
        self.layers.get(index.0).map(|layer| layer as _)
    }
}

/// Disks of up to some 20 MiB, whose runs begin anywhere on a sector and love the borders of units and pieces.
pub(crate) fn disks() -> impl Strategy<Value = ModelDisk> {
    let fill = prop_oneof![
        3 => Just(Fill::Hole),
        1 => Just(Fill::StoredZeros),
        3 => Just(Fill::Noise),
        2 => Just(Fill::Specks),
    ];
    let len = prop_oneof![
        2 => (1_usize..=16).prop_map(|sectors| sectors * 512),
        2 => (1_usize..=64).prop_map(|units| units * (4 << 10)),
        2 => (1_usize..=5).prop_map(|mib| mib << 20),
        1 => (1_usize..=2).prop_map(|cells| cells * (4 << 20)),
    ];
    prop::collection::vec((len, fill), 1..8).prop_map(|runs| ModelDisk::new(&runs))
}

/// A disk as large as one likes that holds nothing but one sector of data in its middle.
pub(crate) struct Hollow(Geometry, Vec<u8>);

impl Hollow {
    pub(crate) fn new(size: u64) -> Self {
        Self(Geometry::new(size, SectorSize::B512, SectorSize::B4096).unwrap(), vec![7; 512])
    }

    pub(crate) fn data_at(&self) -> u64 {
        self.0.size() / 2
    }
}

impl VirtualDisk for Hollow {
    fn geometry(&self) -> &Geometry {
        &self.0
    }

    fn extents(&self, _range: DiskRange) -> Extents<'_> {
        let (at, size) = (self.data_at(), self.0.size());
        let data = Content::Data { layer: LayerIndex(0), at: FileOffset(0) };
        let extent = |start, end, content| Ok(Extent { start: DiskOffset(start), len: end - start, content });
        Box::new(
            [extent(0, at, Content::Zero), extent(at, at + 512, data), extent(at + 512, size, Content::Zero)]
                .into_iter(),
        )
    }

    fn layer(&self, index: LayerIndex) -> Option<&dyn ReadAt> {
        (index == LayerIndex(0)).then_some(&self.1)
    }
}
