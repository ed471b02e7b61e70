//! The sinks that the suite is run against.

use std::cell::RefCell;
use std::fs;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use vhdx_format::BlockSize;
use vhdx_format::writer::{Allocation, Identities};

use super::faults::{Faults, FaultyOut, FaultyStage};
use super::model::ModelDisk;
use super::{Subject, conformance, what_the_system_did_in_part_is_gone_on_with as goes_on};
use crate::compressed::{self, ArtifactDigest, CompressedFile, CompressedStream};
use crate::raw::{self, RawFile, RawStream};
use crate::vhdx::{self, ImageOptions, VhdxFile, VhdxStream};
use crate::{Compression, ExportError, Overwrite, StagedFile, Target};
use vhdx_format::VirtualDisk;

conformance!(raw_file, RawFiles(Files::new()));
conformance!(raw_stream, RawStreams(Streams::default()));
conformance!(zstd_file, frames(Files::new(), "zstd:1"));
conformance!(zstd_stream, frames(Streams::default(), "zstd:3"));
conformance!(gzip_file, frames(Files::new(), "gzip:6"));
conformance!(gzip_stream, frames(Streams::default(), "gzip:1"));
conformance!(xz_file, frames(Files::new(), "xz:0"));
conformance!(xz_stream, frames(Streams::default(), "xz:3"));
conformance!(vhdx_file_dynamic, images(Files::new(), 1, Allocation::Dynamic));
conformance!(vhdx_file_fixed, images(Files::new(), 2, Allocation::Fixed));
conformance!(vhdx_file_unallocated, images(Files::unallocated(), 2, Allocation::Dynamic));
conformance!(vhdx_file_fixed_unallocated, images(Files::unallocated(), 8, Allocation::Fixed));
conformance!(vhdx_stream_dynamic, images(Streams::default(), 2, Allocation::Dynamic));
conformance!(vhdx_stream_fixed, images(Streams::default(), 1, Allocation::Fixed));

#[test]
fn what_the_system_did_in_part_is_gone_on_with() {
    goes_on(&RawStreams(Streams::default()));
    for compression in ["zstd:3", "gzip:1", "xz:0"] {
        goes_on(&frames(Streams::default(), compression));
    }
    goes_on(&images(Streams::default(), 2, Allocation::Dynamic));
    goes_on(&images(Streams::default(), 1, Allocation::Fixed));
}

/// Where file sinks write.
pub(crate) struct Files {
    directory: TempDir,
    unallocated: bool,
}

impl Files {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), unallocated: false }
    }

    fn unallocated() -> Self {
        Self { unallocated: true, ..Self::new() }
    }

    fn target(&self) -> Target {
        Target::new(self.directory.path().join("disk"), Overwrite::Refuse)
    }

    fn stage(&self, faults: &Faults) -> FaultyStage<StagedFile> {
        let target = self.target();
        let _ = fs::remove_file(target.path());
        let inner = StagedFile::create(&target).unwrap();
        FaultyStage { inner, faults: faults.clone(), unallocated: self.unallocated }
    }

    fn artifact(&self) -> Option<Vec<u8>> {
        fs::read(self.target().path()).ok()
    }

    fn is_clean(&self) -> bool {
        fs::read_dir(self.directory.path()).unwrap().next().is_none()
    }
}

/// Where stream sinks write.
#[derive(Default)]
pub(crate) struct Streams(RefCell<Arc<Mutex<Vec<u8>>>>);

pub(crate) struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Streams {
    fn out(&self, faults: &Faults) -> FaultyOut<Pipe> {
        let bytes = Arc::default();
        *self.0.borrow_mut() = Arc::clone(&bytes);
        FaultyOut { inner: Pipe(bytes), faults: faults.clone() }
    }

    fn artifact(&self) -> Vec<u8> {
        self.0.borrow().lock().unwrap().clone()
    }
}

struct RawFiles(Files);

impl Subject for RawFiles {
    type Sink = RawFile<FaultyStage<StagedFile>>;

    fn open(&self, disk: &ModelDisk, faults: &Faults) -> Result<Self::Sink, ExportError> {
        Ok(RawFile::new(self.0.stage(faults), disk.geometry().size())?)
    }

    fn artifact(&self) -> Option<Vec<u8>> {
        self.0.artifact()
    }

    fn content(&self, artifact: &[u8], _disk: &ModelDisk) -> Vec<u8> {
        artifact.to_vec()
    }

    fn is_clean(&self) -> bool {
        self.0.is_clean()
    }
}

struct RawStreams(Streams);

impl Subject for RawStreams {
    type Sink = RawStream<FaultyOut<Pipe>>;

    fn open(&self, _disk: &ModelDisk, faults: &Faults) -> Result<Self::Sink, ExportError> {
        Ok(raw::to_stream(self.0.out(faults)))
    }

    fn artifact(&self) -> Option<Vec<u8>> {
        Some(self.0.artifact())
    }

    fn content(&self, artifact: &[u8], _disk: &ModelDisk) -> Vec<u8> {
        artifact.to_vec()
    }

    fn is_clean(&self) -> bool {
        true
    }
}

struct Frames<P> {
    place: P,
    compression: Compression,
}

fn frames<P>(place: P, compression: &str) -> Frames<P> {
    Frames { place, compression: compression.parse().unwrap() }
}

/// What the usual decoder of that format makes of it, all frames one after the other.
pub(crate) fn decompressed(artifact: &[u8], compression: Compression) -> Vec<u8> {
    let mut content = Vec::new();
    match compression {
        Compression::Zstd(_) => zstd::Decoder::new(artifact).unwrap().read_to_end(&mut content),
        Compression::Gzip(_) => flate2::read::MultiGzDecoder::new(artifact).read_to_end(&mut content),
        Compression::Xz(_) => liblzma::read::XzDecoder::new_multi_decoder(artifact).read_to_end(&mut content),
    }
    .unwrap();
    content
}

impl Subject for Frames<Files> {
    type Sink = CompressedFile<FaultyStage<StagedFile>>;

    fn open(&self, _disk: &ModelDisk, faults: &Faults) -> Result<Self::Sink, ExportError> {
        Ok(CompressedFile::new(self.place.stage(faults), self.compression, ArtifactDigest::Sha256))
    }

    fn artifact(&self) -> Option<Vec<u8>> {
        self.place.artifact()
    }

    fn content(&self, artifact: &[u8], _disk: &ModelDisk) -> Vec<u8> {
        decompressed(artifact, self.compression)
    }

    fn is_clean(&self) -> bool {
        self.place.is_clean()
    }
}

impl Subject for Frames<Streams> {
    type Sink = CompressedStream<FaultyOut<Pipe>>;

    fn open(&self, _disk: &ModelDisk, faults: &Faults) -> Result<Self::Sink, ExportError> {
        Ok(compressed::to_stream(self.place.out(faults), self.compression, ArtifactDigest::Sha256))
    }

    fn artifact(&self) -> Option<Vec<u8>> {
        Some(self.place.artifact())
    }

    fn content(&self, artifact: &[u8], _disk: &ModelDisk) -> Vec<u8> {
        decompressed(artifact, self.compression)
    }

    fn is_clean(&self) -> bool {
        true
    }
}

struct Images<P> {
    place: P,
    options: ImageOptions,
}

fn images<P>(place: P, mib: u32, allocation: Allocation) -> Images<P> {
    Images { place, options: options(mib, allocation) }
}

pub(crate) fn options(mib: u32, allocation: Allocation) -> ImageOptions {
    ImageOptions {
        block_size: BlockSize::from_bytes(mib << 20).unwrap(),
        allocation,
        identities: Identities::derive(b"a test"),
        creator: "export-sinks".to_owned(),
    }
}

/// Reads an image the simplest way: the table lies at 3 MiB, and no disk here is large enough for a bitmap entry.
fn decode(image: &[u8], options: &ImageOptions, disk_len: usize) -> Vec<u8> {
    let block_size = options.block_size.bytes() as usize;
    let mut content = Vec::new();
    for block in 0..disk_len.div_ceil(block_size) {
        let at = (3 << 20) + block * 8;
        let entry = u64::from_le_bytes(image[at..at + 8].try_into().unwrap());
        match entry & 7 {
            2 => content.resize(content.len() + block_size, 0),
            6 => {
                let start = usize::try_from(entry >> 20 << 20).unwrap();
                content.extend_from_slice(&image[start..start + block_size]);
            }
            state => panic!("state {state}"),
        }
    }
    assert!(content[disk_len..].iter().all(|&byte| byte == 0), "the last block is filled up with zeros");
    content.truncate(disk_len);
    content
}

impl Subject for Images<Files> {
    type Sink = VhdxFile<FaultyStage<StagedFile>>;

    fn open(&self, disk: &ModelDisk, faults: &Faults) -> Result<Self::Sink, ExportError> {
        let layout = vhdx::layout(disk, &self.options)?;
        Ok(VhdxFile::new(self.place.stage(faults), layout)?)
    }

    fn artifact(&self) -> Option<Vec<u8>> {
        self.place.artifact()
    }

    fn content(&self, artifact: &[u8], disk: &ModelDisk) -> Vec<u8> {
        decode(artifact, &self.options, disk.content.len())
    }

    fn is_clean(&self) -> bool {
        self.place.is_clean()
    }
}

impl Subject for Images<Streams> {
    type Sink = VhdxStream<FaultyOut<Pipe>>;

    fn open(&self, disk: &ModelDisk, faults: &Faults) -> Result<Self::Sink, ExportError> {
        vhdx::to_stream(self.place.out(faults), disk, &self.options)
    }

    fn artifact(&self) -> Option<Vec<u8>> {
        Some(self.place.artifact())
    }

    fn content(&self, artifact: &[u8], disk: &ModelDisk) -> Vec<u8> {
        decode(artifact, &self.options, disk.content.len())
    }

    fn is_clean(&self) -> bool {
        true
    }
}
