//! What the system puts in place by itself: whatever it does of what it is asked for, the artifact is the same.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use vhdx_format::writer::Allocation;
use vhdx_format::{DiskRange, Extents, FileOffset, Geometry, LayerIndex, ReadAt, VirtualDisk};

use super::model::{ModelDisk, disks};
use super::subjects::options;
use super::{exported, threads};
use crate::raw::RawFile;
use crate::sharing::Sharing;
use crate::sink::{Room, Stage, WriteAt};
use crate::vhdx::{self, VhdxFile};
use crate::{
    Cancel, DigestChoice, Export, NoProgress, Options, Overwrite, Place, Sink, SinkError, StagedFile, Target,
};

/// A model disk whose layers are files.
struct OnFiles {
    disk: ModelDisk,
    layers: Vec<File>,
}

impl OnFiles {
    fn new(disk: ModelDisk) -> Self {
        let layers = (0..).map_while(|index| disk.layer(LayerIndex(index)).map(saved)).collect();
        Self { disk, layers }
    }
}

fn saved(layer: &dyn ReadAt) -> File {
    use std::os::unix::fs::FileExt;
    let mut bytes = vec![0; layer.byte_len().unwrap() as usize];
    layer.read_exact_at(FileOffset(0), &mut bytes).unwrap();
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(&bytes, 0).unwrap();
    file
}

impl VirtualDisk for OnFiles {
    fn geometry(&self) -> &Geometry {
        self.disk.geometry()
    }

    fn extents(&self, range: DiskRange) -> Extents<'_> {
        self.disk.extents(range)
    }

    fn layer(&self, index: LayerIndex) -> Option<&dyn ReadAt> {
        self.layers.get(index.0).map(|file| -> &dyn ReadAt { file })
    }
}

/// A file in the making whose system copies a part of what it is asked for, then more, and gives up after a while.
struct Fickle {
    inner: StagedFile,
    patience: Arc<AtomicU64>,
    copied: Arc<AtomicU64>,
}

struct FickleWriter {
    inner: Arc<<StagedFile as Stage>::Writer>,
    patience: Arc<AtomicU64>,
    copied: Arc<AtomicU64>,
}

impl Stage for Fickle {
    type Writer = FickleWriter;

    fn writer(&self) -> Arc<FickleWriter> {
        let (patience, copied) = (Arc::clone(&self.patience), Arc::clone(&self.copied));
        Arc::new(FickleWriter { inner: self.inner.writer(), patience, copied })
    }

    fn set_len(&self, len: u64) -> Result<(), SinkError> {
        self.inner.set_len(len)
    }

    fn allocate(&self, len: u64) -> Result<Room, SinkError> {
        self.inner.allocate(len)
    }

    fn allocate_holes(&self, len: u64) -> Result<(), SinkError> {
        self.inner.allocate_holes(len)
    }

    fn sync(&self) -> Result<(), SinkError> {
        self.inner.sync()
    }

    fn publish(self) -> Result<(), SinkError> {
        self.inner.publish()
    }
}

impl WriteAt for FickleWriter {
    fn write_all_at(&self, at: FileOffset, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_all_at(at, bytes)
    }

    fn place(&self) -> Place {
        self.inner.place()
    }

    fn copy_from(&self, at: FileOffset, source: &File, from: FileOffset, len: u64) -> io::Result<u64> {
        match self.patience.fetch_sub(1, Ordering::Relaxed) {
            0 => Ok(0),
            left if left > 1 << 63 => Err(io::ErrorKind::Unsupported.into()),
            left => {
                let copied = self.inner.copy_from(at, source, from, len.min(left * 30_000))?;
                self.copied.fetch_add(copied, Ordering::Relaxed);
                Ok(copied)
            }
        }
    }
}

fn written<S: Sink>(disk: &OnFiles, sink: S, digests: DigestChoice) -> Export {
    let options = Options { digests, ..threads(2) };
    exported(disk, sink, &options, &NoProgress, &Cancel::new()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_artifact_is_the_same_whoever_puts_it_together(
        disk in disks(),
        patience in 0_u64..20,
        shares: bool,
        is_digested: bool,
    ) {
        let disk = OnFiles::new(disk);
        let digests = DigestChoice { sha256: is_digested, blksum: is_digested, ..DigestChoice::default() };
        let directory = tempfile::tempdir().unwrap();
        let target = Target::new(directory.path().join("disk"), Overwrite::Replace);
        let copied = Arc::new(AtomicU64::new(0));
        let stage = || Fickle {
            inner: StagedFile::create(&target).unwrap(),
            patience: Arc::new(AtomicU64::new(patience)),
            copied: Arc::clone(&copied),
        };
        let sharing = || if shares { Sharing::everything(2) } else { Sharing::copying(2) };

        let sink = RawFile::new(stage(), disk.geometry().size()).unwrap().sharing(sharing());
        let done = written(&disk, sink, digests);
        prop_assert!(fs::read(target.path()).unwrap() == disk.disk.content);
        prop_assert_eq!(done.digests.sha256, is_digested.then(|| crate::Sha256Digest::of(&disk.disk.content)));
        prop_assert_eq!(done.shared, if shares { copied.load(Ordering::Relaxed) } else { 0 });

        let options = options(1, Allocation::Dynamic);
        let layout = || vhdx::layout(&disk, &options).unwrap();
        written(&disk, VhdxFile::new(stage(), layout()).unwrap(), digests);
        let expected = fs::read(target.path()).unwrap();
        let sink = VhdxFile::with_sharing(stage(), layout(), sharing()).unwrap();
        written(&disk, sink, digests);
        prop_assert!(fs::read(target.path()).unwrap() == expected);
    }
}

/// What the system puts in place is held to the table as what is written is.
#[test]
fn data_in_a_block_declared_absent_is_not_put_in_place() {
    use super::model::Fill;
    let changed = OnFiles::new(ModelDisk::new(&[(8 << 20, Fill::Noise)]));
    let before = ModelDisk::new(&[(3 << 20, Fill::Noise), (5 << 20, Fill::Hole)]);
    let layout = vhdx::layout(&before, &options(1, Allocation::Dynamic)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let target = Target::new(directory.path().join("disk"), Overwrite::Refuse);
    let stage = StagedFile::create(&target).unwrap();
    let sink = VhdxFile::with_sharing(stage, layout, Sharing::copying(2)).unwrap();
    let error = exported(&changed, sink, &threads(1), &NoProgress, &Cancel::new()).unwrap_err();
    assert!(
        matches!(error, crate::ExportError::Sink(SinkError::Changed { at }) if at.0 == 3 << 20),
        "{error}"
    );
    assert!(fs::read_dir(directory.path()).unwrap().next().is_none());
}

/// Without digests, what the system puts in place is not even read; a hole of a source is not with any.
#[test]
fn what_is_in_place_or_a_hole_is_not_read() {
    use super::model::Fill;
    let disk = OnFiles::new(ModelDisk::new(&[(4 << 20, Fill::StoredZeros)]));
    let directory = tempfile::tempdir().unwrap();
    for (blksum, hollow, is_read) in [(false, false, false), (true, false, true), (true, true, false)] {
        let target = Target::new(directory.path().join("disk"), Overwrite::Replace);
        let sink = RawFile::new(StagedFile::create(&target).unwrap(), disk.geometry().size()).unwrap();
        let layer = CountingFile { file: &disk.layers[0], hollow, reads: AtomicU64::new(0) };
        let counting = Counting { disk: &disk, layer };
        let options = Options { digests: DigestChoice { blksum, ..DigestChoice::default() }, ..threads(1) };
        let sink = sink.sharing(Sharing::copying(1));
        let done = exported(&counting, sink, &options, &NoProgress, &Cancel::new()).unwrap();
        assert_eq!(counting.layer.reads.load(Ordering::Relaxed) > 0, is_read, "{blksum} {hollow}");
        assert!(fs::read(target.path()).unwrap() == disk.disk.content);
        // What is stored is data where nobody looks at it.
        assert_eq!(done.content.data, if blksum { 0 } else { 4 << 20 });
    }
}

/// Counts how often its only layer is read, which may be nothing but a hole.
struct Counting<'a> {
    disk: &'a OnFiles,
    layer: CountingFile<'a>,
}

struct CountingFile<'a> {
    file: &'a File,
    hollow: bool,
    reads: AtomicU64,
}

impl ReadAt for CountingFile<'_> {
    fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.file.read_exact_at(at, buf)
    }

    fn byte_len(&self) -> io::Result<u64> {
        self.file.byte_len()
    }

    fn next_data(&self, at: FileOffset, end: FileOffset) -> io::Result<Range<FileOffset>> {
        Ok(if self.hollow { end..end } else { at..end })
    }

    fn file_of(&self, _: FileOffset, _: FileOffset) -> Option<&File> {
        Some(self.file)
    }
}

impl VirtualDisk for Counting<'_> {
    fn geometry(&self) -> &Geometry {
        self.disk.geometry()
    }

    fn extents(&self, range: DiskRange) -> Extents<'_> {
        self.disk.extents(range)
    }

    fn layer(&self, index: LayerIndex) -> Option<&dyn ReadAt> {
        (index == LayerIndex(0)).then_some(&self.layer)
    }
}
