//! What is particular to VHDX sinks: one image whatever the way, known bytes, and a table that is kept.

use std::fs;

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use vhdx_format::writer::{Allocation, Identities};
use vhdx_format::{
    Content, DiskOffset, DiskRange, Extent, Extents, FileOffset, Geometry, LayerIndex, ReadAt, SectorSize,
    VirtualDisk,
};

use super::model::{Hollow, ModelDisk, disks};
use super::subjects::options;
use super::{exported, threads};
use crate::vhdx::{self, ImageOptions, VhdxStream};
use crate::{Cancel, ExportError, NoProgress, Options, Overwrite, Sink, SinkError, Target};

fn streamed(disk: &dyn VirtualDisk, options: &ImageOptions) -> Vec<u8> {
    let mut out = Vec::new();
    let sink = vhdx::to_stream(&mut out, disk, options).unwrap();
    let done = exported(disk, sink, &threads(3), &NoProgress, &Cancel::new()).unwrap();
    assert_eq!(done.len, out.len() as u64);
    out
}

fn filed(disk: &dyn VirtualDisk, options: &ImageOptions) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let target = Target::new(directory.path().join("disk.vhdx"), Overwrite::Refuse);
    let sink = vhdx::to_file(&target, disk, options).unwrap();
    exported(disk, sink, &threads(2), &NoProgress, &Cancel::new()).unwrap();
    fs::read(target.path()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn file_and_stream_get_the_same_bytes(
        disk in disks(),
        mib in prop::sample::select(vec![1, 2, 32]),
        fixed: bool,
    ) {
        let allocation = if fixed { Allocation::Fixed } else { Allocation::Dynamic };
        let options = options(mib, allocation);
        prop_assert!(filed(&disk, &options) == streamed(&disk, &options));
    }
}

/// The disk of a golden image: 5 MiB + 512 bytes with one byte set at 2 MiB + 5 and one at its end.
struct Golden(Geometry, Vec<u8>);

impl Golden {
    fn new() -> Self {
        let mut bytes = vec![0; (5 << 20) + 512];
        bytes[(2 << 20) + 5] = 0xAA;
        bytes[(5 << 20) + 511] = 0x55;
        Self(Geometry::new(bytes.len() as u64, SectorSize::B512, SectorSize::B4096).unwrap(), bytes)
    }
}

impl VirtualDisk for Golden {
    fn geometry(&self) -> &Geometry {
        &self.0
    }

    fn extents(&self, _range: DiskRange) -> Extents<'_> {
        let start = 2 << 20;
        let data = Content::Data { layer: LayerIndex(0), at: FileOffset(start) };
        let rest = self.0.size() - start;
        Box::new(
            [
                Ok(Extent { start: DiskOffset(0), len: start, content: Content::Zero }),
                Ok(Extent { start: DiskOffset(start), len: rest, content: data }),
            ]
            .into_iter(),
        )
    }

    fn layer(&self, index: LayerIndex) -> Option<&dyn ReadAt> {
        (index == LayerIndex(0)).then_some(&self.1)
    }
}

/// The digests were computed by an independent script, and QEMU reads the images.
#[test]
fn the_golden_images_come_out() {
    for (allocation, len, digest) in [
        (Allocation::Dynamic, 8_388_608, "4dacc88dca3ebac9d2f3e1c95a1bb60d07fb4f0513b2623391ea6d3c367c6490"),
        (Allocation::Fixed, 10_485_760, "9dd6f79f9f15fbb98f6b9614a7f34831c7f765552d53f25302cf43ef31fadc03"),
    ] {
        let identities = Identities {
            file_write: uuid::uuid!("11111111-2222-3333-4444-555555555555"),
            data_write: uuid::uuid!("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"),
            virtual_disk: uuid::uuid!("01234567-89ab-cdef-0123-456789abcdef"),
        };
        let options = ImageOptions { identities, creator: "golden 1".to_owned(), ..options(2, allocation) };
        for image in [streamed(&Golden::new(), &options), filed(&Golden::new(), &options)] {
            assert_eq!(image.len(), len);
            let found = Sha256::digest(&image);
            let expected: Vec<_> =
                (0..64).step_by(2).map(|at| u8::from_str_radix(&digest[at..at + 2], 16).unwrap()).collect();
            assert_eq!(found[..], expected[..]);
        }
    }
}

#[test]
fn data_in_a_block_declared_absent_is_an_error() {
    let changed = ModelDisk::new(&[(9 << 20, super::Fill::Noise)]);
    let before = ModelDisk::new(&[(3 << 20, super::Fill::Noise), (6 << 20, super::Fill::Hole)]);
    let options = options(1, Allocation::Dynamic);
    let is_it =
        |error: ExportError| matches!(error, ExportError::Sink(SinkError::Changed { at }) if at.0 >= 3 << 20);

    let sink = VhdxStream::new(Vec::new(), vhdx::layout(&before, &options).unwrap()).unwrap();
    assert!(is_it(run(&changed, sink).unwrap_err()));

    let directory = tempfile::tempdir().unwrap();
    let target = Target::new(directory.path().join("disk.vhdx"), Overwrite::Refuse);
    let sink = vhdx::to_file(&target, &before, &options).unwrap();
    assert!(is_it(run(&changed, sink).unwrap_err()));
    assert!(!target.path().exists() && !target.partial().exists());
}

fn run<S: Sink>(disk: &dyn VirtualDisk, sink: S) -> Result<crate::Export, ExportError> {
    exported(disk, sink, &Options::default(), &NoProgress, &Cancel::new())
}

#[test]
fn the_largest_disk_makes_an_image_of_its_data() {
    let disk = Hollow::new(64 << 40);
    let image = streamed(&disk, &options(32, Allocation::Dynamic));
    assert_eq!(image.len(), (3 << 20) + (17 << 20) + (32 << 20));
    assert_eq!(image[20 << 20..][..512], [7; 512]);
}

#[cfg(target_os = "linux")]
#[test]
fn an_image_file_has_room_for_all_its_blocks() {
    use std::os::unix::fs::MetadataExt;
    let directory = tempfile::tempdir().unwrap();
    let target = Target::new(directory.path().join("disk.vhdx"), Overwrite::Refuse);
    let disk = Hollow::new(64 << 20);
    run(&disk, vhdx::to_file(&target, &disk, &options(2, Allocation::Fixed)).unwrap()).unwrap();
    let found = fs::metadata(target.path()).unwrap();
    assert_eq!(found.len(), (4 << 20) + (64 << 20));
    assert!(found.blocks() * 512 >= found.len(), "Hyper-V refuses sparse files");
}
