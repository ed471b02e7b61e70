//! Sinks that write a VHDX image, into a file by position or into a stream in order; both give the same bytes.
//!
//! What lies where in the image is `vhdx_format::writer`'s; here it is only filled. Its block table comes first, so
//! which blocks are stored is found out in a pass over the extents beforehand and can not change afterwards.

use std::io::{self, Write};
use std::sync::Arc;

use vhdx_format::blocks::BlockSet;
use vhdx_format::geometry::{BlockLayout, GeometryError};
use vhdx_format::writer::{Allocation, Identities, ImageLayout, ImageSpec};
use vhdx_format::{
    BlockSize, DiskOffset, DiskRange, FileOffset, Geometry, ReadError, SectorSize, VirtualDisk,
};

use crate::digest::Hashed;
use crate::raw::Untouched;
use crate::sequence::Sequence;
use crate::sharing::Sharing;
use crate::sink::{DigestSource, Placeable, Room, Stage, WriteAt};
use crate::{
    Artifact, Doing, Encode, ExportError, FilledPiece, Follow, Place, Run, Sha256Digest, Sink, SinkError,
    StagedFile, Target, zeros,
};

/// What kind of image to write; size and sectors are the disk's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageOptions {
    /// Size of a block.
    pub block_size: BlockSize,
    /// Whether blocks without data are stored.
    pub allocation: Allocation,
    /// The image's GUIDs.
    pub identities: Identities,
    /// Program name for the image's file type identifier.
    pub creator: String,
}

/// A VHDX file that takes all its room at once: Hyper-V refuses images that are sparse files, and a file system that
/// is too full says so before anything is written.
///
/// Where data turns out to be zeros, nothing is written, since the room for it reads as zeros already. The file still
/// has all its blocks, so copying tools do not take it for sparse. Where the file system can share blocks with the sources,
/// it takes the room for the others last.
pub fn to_file(
    target: &Target,
    disk: &dyn VirtualDisk,
    options: &ImageOptions,
) -> Result<VhdxFile, ExportError> {
    target.check()?;
    let layout = layout(disk, options)?;
    let stage = StagedFile::create(target)?;
    let sharing = Sharing::find(target.reflink(), &stage, disk)?;
    let len = layout.file_len();
    if target.checks_space() {
        stage.require_up_to(len, || Ok(len.saturating_sub(sharing.expect(disk)?.shared)))?;
    }
    Ok(VhdxFile::with_sharing(stage, layout, sharing)?)
}

/// A VHDX image as a stream. Everything before the payload is written right away; `out` is given large writes and
/// needs no buffer of its own. A stream that ends early is an image whose table points behind its end.
pub fn to_stream<W: Write>(
    out: W,
    disk: &dyn VirtualDisk,
    options: &ImageOptions,
) -> Result<VhdxStream<W>, ExportError> {
    Ok(VhdxStream::new(out, layout(disk, options)?)?)
}

/// Where everything will lie: the blocks in which some image stores data, however little, or all of them.
pub fn layout(disk: &dyn VirtualDisk, options: &ImageOptions) -> Result<ImageLayout, ReadError> {
    let geometry = image_geometry(disk.geometry());
    let blocks = BlockLayout::new(geometry, options.block_size, false);
    let stored = match options.allocation {
        Allocation::Fixed => BlockSet::all(&blocks),
        Allocation::Dynamic => BlockSet::with_data(disk, &blocks)?,
    };
    let spec = ImageSpec {
        geometry,
        block_size: options.block_size,
        allocation: options.allocation,
        identities: options.identities,
        creator: options.creator.clone(),
    };
    Ok(ImageLayout::new(spec, stored))
}

/// The disk's geometry, with physical sectors of 512 bytes where its size is no whole number of 4096: whether Windows
/// takes such an image otherwise is not known, and the physical sector is a hint for speed only.
fn image_geometry(disk: &Geometry) -> Geometry {
    let whole = disk.size().is_multiple_of(u64::from(SectorSize::B4096.bytes()));
    let physical = if whole { disk.physical_sector() } else { SectorSize::B512 };
    let changed: Result<_, GeometryError> = Geometry::new(disk.size(), disk.logical_sector(), physical);
    changed.unwrap_or(*disk)
}

/// A part of the disk that lies in one block, and where it goes; `None` if the block is not stored.
struct Segment {
    range: DiskRange,
    at: Option<FileOffset>,
}

/// Cuts a range at the borders of blocks.
fn segments(layout: &ImageLayout, range: DiskRange) -> impl Iterator<Item = Segment> {
    let blocks = layout.blocks();
    let mut start = range.start();
    std::iter::from_fn(move || {
        let block_end = blocks.block_range(blocks.block_at(start)).end().min(range.end());
        let part = DiskRange::new(start, block_end);
        start = block_end;
        (!part.is_empty()).then(|| Segment { range: part, at: layout.position_of(part.start()) })
    })
}

/// How many zeros fill up the last block if the disk ends at `end` inside of it, and where they go.
fn padding(layout: &ImageLayout, end: DiskOffset) -> Option<(FileOffset, u64)> {
    let last = DiskOffset(end.0.checked_sub(1)?);
    let at = FileOffset(layout.position_of(last)?.0.saturating_add(1));
    (end.0 == layout.blocks().geometry().size()).then(|| (at, layout.file_len().saturating_sub(at.0)))
}

/// Cuts data at the borders of blocks and gives the parts that are stored. In other blocks there may be zeros, read
/// along with data nearby, but nothing else.
fn stored_parts<'a>(
    layout: &ImageLayout,
    at: DiskOffset,
    mut bytes: &'a [u8],
) -> impl Iterator<Item = Result<(FileOffset, &'a [u8]), SinkError>> {
    let range = DiskRange::new(at, DiskOffset(at.0.saturating_add(bytes.len() as u64)));
    segments(layout, range).filter_map(move |segment| {
        let len = usize::try_from(segment.range.len()).unwrap_or(usize::MAX);
        let (part, behind) = bytes.split_at(len.min(bytes.len()));
        bytes = behind;
        match segment.at {
            Some(at) => Some(Ok((at, part))),
            None if zeros::is_zero(part) => None,
            None => Some(Err(SinkError::Changed { at: segment.range.start() })),
        }
    })
}

/// See [`to_file`].
#[derive(Debug)]
pub struct VhdxFile<S: Stage = StagedFile> {
    stage: S,
    layout: Arc<ImageLayout>,
    room: Room,
    sharing: Arc<Sharing>,
}

impl<S: Stage> VhdxFile<S> {
    /// Writes that image into an empty file in the making: takes the room and writes all that precedes the payload.
    pub fn new(stage: S, layout: ImageLayout) -> Result<Self, SinkError> {
        Self::with_sharing(stage, layout, Sharing::default())
    }

    /// Room that is taken at once could not be shared: then only that of what precedes the payload is taken now, which also
    /// shows whether the file system allocates, and the rest at the end.
    pub(crate) fn with_sharing(stage: S, layout: ImageLayout, sharing: Sharing) -> Result<Self, SinkError> {
        let now = if sharing.shares() { layout.prologue_len() } else { layout.file_len() };
        let room = stage.allocate(now)?;
        if sharing.shares() {
            stage.set_len(layout.file_len())?;
        }
        let writer = stage.writer();
        let mut prologue = Sequence::new(&*writer, FileOffset(0));
        layout
            .write_prologue(&mut prologue)
            .map_err(|error| SinkError::from_io(Doing::Write, writer.place(), error))?;
        Ok(Self { stage, layout: Arc::new(layout), room, sharing: Arc::new(sharing) })
    }
}

impl<S: Stage> Sink for VhdxFile<S> {
    type Encoder = VhdxFileEncoder<S::Writer>;

    fn encoder(&self) -> Self::Encoder {
        VhdxFileEncoder {
            out: self.stage.writer(),
            layout: Arc::clone(&self.layout),
            room: self.room,
            sharing: Arc::clone(&self.sharing),
        }
    }

    /// Nothing to do: the bytes are where they belong.
    fn accept(&mut self, _piece: &FilledPiece, (): ()) -> Result<(), SinkError> {
        Ok(())
    }

    fn complete(&mut self) -> Result<Artifact, SinkError> {
        let len = self.layout.file_len();
        if self.sharing.shares() && self.room == Room::Allocated {
            self.stage.allocate_holes(len)?;
        }
        self.stage.sync()?;
        Ok(Artifact { len, sha256: None, shared: self.sharing.shared() })
    }

    fn publish(self) -> Result<(), SinkError> {
        self.stage.publish()
    }

    fn digest_source(&self) -> DigestSource {
        image_digest(&self.layout)
    }
}

/// Writes data into its blocks.
#[derive(Debug)]
pub struct VhdxFileEncoder<W> {
    out: Arc<W>,
    layout: Arc<ImageLayout>,
    room: Room,
    sharing: Arc<Sharing>,
}

impl<W: WriteAt> Encode for VhdxFileEncoder<W> {
    type Encoded = ();

    /// The blocks of a run follow each other in the file, if all of them are stored.
    fn place(&mut self, run: &Placeable<'_>) -> Result<DiskRange, SinkError> {
        let range = DiskRange::new(run.start, DiskOffset(run.start.0.saturating_add(run.len)));
        if let Some(segment) = segments(&self.layout, range).find(|segment| segment.at.is_none()) {
            return Err(SinkError::Changed { at: segment.range.start() });
        }
        match self.layout.position_of(run.start) {
            Some(at) => self.sharing.place(&*self.out, run, at),
            None => Ok(DiskRange::new(run.start, run.start)),
        }
    }

    fn encode(&mut self, piece: &FilledPiece) -> Result<(), SinkError> {
        for run in piece.unplaced_runs() {
            match run {
                Run::Zeros(range) => self.put_zeros(range)?,
                Run::Data { at, bytes } => {
                    for part in stored_parts(&self.layout, at, bytes) {
                        let (at, bytes) = part?;
                        self.out.put(at, bytes)?;
                    }
                }
            }
        }
        self.put_padding(piece.range().end())
    }
}

impl<W: WriteAt> VhdxFileEncoder<W> {
    fn put_zeros(&self, range: DiskRange) -> Result<(), SinkError> {
        if self.room == Room::Allocated {
            return Ok(());
        }
        for segment in segments(&self.layout, range) {
            if let Some(at) = segment.at {
                self.put_zeros_at(at, segment.range.len())?;
            }
        }
        Ok(())
    }

    fn put_padding(&self, end: DiskOffset) -> Result<(), SinkError> {
        match padding(&self.layout, end) {
            Some((at, len)) if self.room == Room::Unallocated => self.put_zeros_at(at, len),
            _ => Ok(()),
        }
    }

    fn put_zeros_at(&self, mut at: FileOffset, len: u64) -> Result<(), SinkError> {
        zeros::each_part(len, |part| {
            self.out.put(at, part)?;
            at = FileOffset(at.0.saturating_add(part.len() as u64));
            Ok(())
        })
    }
}

/// See [`to_stream`].
#[derive(Debug)]
pub struct VhdxStream<W> {
    out: W,
    layout: Arc<ImageLayout>,
}

impl<W: Write> VhdxStream<W> {
    /// Writes all of that image that precedes the payload.
    pub fn new(mut out: W, layout: impl Into<Arc<ImageLayout>>) -> Result<Self, SinkError> {
        let layout = layout.into();
        layout.write_prologue(&mut out).map_err(failed)?;
        Ok(Self { out, layout })
    }
}

impl<W: Write> Sink for VhdxStream<W> {
    type Encoder = Untouched;

    fn encoder(&self) -> Untouched {
        Untouched
    }

    /// Stored blocks lie in disk order and without gaps, so their parts only need to be written one after the other.
    fn accept(&mut self, piece: &FilledPiece, (): ()) -> Result<(), SinkError> {
        let Self { out, layout } = self;
        for run in piece.runs() {
            match run {
                Run::Zeros(range) => {
                    for segment in segments(layout, range).filter(|segment| segment.at.is_some()) {
                        zeros::write_to(out, segment.range.len()).map_err(failed)?;
                    }
                }
                Run::Data { at, bytes } => {
                    for part in stored_parts(layout, at, bytes) {
                        out.write_all(part?.1).map_err(failed)?;
                    }
                }
            }
        }
        let padding = padding(layout, piece.range().end()).map_or(0, |(_, len)| len);
        zeros::write_to(out, padding).map_err(failed)
    }

    fn complete(&mut self) -> Result<Artifact, SinkError> {
        self.out.flush().map_err(failed)?;
        Ok(Artifact { len: self.layout.file_len(), sha256: None, shared: 0 })
    }

    /// A stream has no name.
    fn publish(self) -> Result<(), SinkError> {
        Ok(())
    }

    fn digest_source(&self) -> DigestSource {
        image_digest(&self.layout)
    }
}

/// A file is filled by position, in any order, but has the same bytes as a stream: the stream's are digested.
fn image_digest(layout: &Arc<ImageLayout>) -> DigestSource {
    DigestSource::Follower(Box::new(ImageHasher { layout: Arc::clone(layout), stream: None }))
}

/// Digests an image as if it were streamed.
struct ImageHasher {
    layout: Arc<ImageLayout>,
    /// There from the first piece on: what precedes the payload may be many MiB, and is nobody's if nothing follows.
    stream: Option<VhdxStream<Hashed>>,
}

impl ImageHasher {
    fn stream(&mut self) -> Result<&mut VhdxStream<Hashed>, SinkError> {
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => VhdxStream::new(Hashed::default(), Arc::clone(&self.layout))?,
        };
        Ok(self.stream.insert(stream))
    }
}

impl Follow for ImageHasher {
    fn follow(&mut self, piece: &FilledPiece) -> Result<(), SinkError> {
        self.stream()?.accept(piece, ())
    }

    fn finish(self: Box<Self>) -> Sha256Digest {
        self.stream.map(|stream| stream.out).unwrap_or_default().finish()
    }
}

fn failed(error: io::Error) -> SinkError {
    SinkError::from_io(Doing::Write, Place::Stream, error)
}
