//! Sinks for the bare bytes of the disk, compressed: into a file or into a stream, both with the same bytes whatever the
//! number of threads.
//!
//! Each 4 MiB of the disk are a frame of their own, so threads compress them side by side, and a frame of zstd can be
//! decompressed without those before it. Programs that know one of the formats take the frames behind each other for one
//! file: `zstd -d`, `gzip -d` and `xz -d` give the disk. Frames of zeros are made once and repeated.
//!
//! Memory, besides the buffers of an export: as many frames as there are pieces in flight (2 × threads + 2, and 2 for
//! each follower, at least 16 with one), each at its own length, which is 4 MiB and 1 % at worst; a frame of at most twice that length on each
//! thread, with what the codec takes there (see [`Compression`]); and 2 MiB of table for each TiB of a disk in zstd.
//!
//! What is in frames is `frames.rs`, how they are made `codec.rs`.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use vhdx_format::{FileOffset, LayerIndex};

use crate::frames::{EncodedPiece, FrameMaker, Frames};
use crate::sequence::Sequence;
use crate::sink::{DigestSource, Stage, WriteAt};
use crate::{
    Artifact, Compression, DigestChoice, Doing, Encode, ExportError, FilledPiece, NotShared, Place, Reflink,
    Sink, SinkError, StagedFile, Target,
};

/// Whether the SHA-256 of the artifact is taken while it is written: on the calling thread, since it can not be split.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArtifactDigest {
    /// It is.
    Sha256,
    /// It is not, and costs nothing.
    Off,
}

/// As [`DigestChoice::artifact`] says.
impl From<DigestChoice> for ArtifactDigest {
    fn from(choice: DigestChoice) -> Self {
        if choice.artifact { Self::Sha256 } else { Self::Off }
    }
}

/// A compressed file.
///
/// How long it becomes is not known beforehand, so no room is asked for up front: a file system that is too full ends
/// the export while it writes, and then nothing is left.
pub fn to_file(
    target: &Target,
    compression: Compression,
    digest: ArtifactDigest,
) -> Result<CompressedFile, ExportError> {
    let stage = StagedFile::create(target)?;
    if target.reflink() == Reflink::Always {
        let (place, layer) = (stage.place(), LayerIndex(0));
        return Err(SinkError::from(NotShared { place, layer, source: None }).into());
    }
    Ok(CompressedFile::new(stage, compression, digest))
}

/// A compressed stream. `out` is given large writes and needs no buffer of its own.
pub fn to_stream<W: Write>(out: W, compression: Compression, digest: ArtifactDigest) -> CompressedStream<W> {
    CompressedStream { out, frames: Frames::new(compression, digest == ArtifactDigest::Sha256) }
}

/// See [`to_file`].
#[derive(Debug)]
pub struct CompressedFile<S: Stage = StagedFile> {
    stage: S,
    out: Arc<S::Writer>,
    frames: Frames,
}

impl<S: Stage> CompressedFile<S> {
    /// Writes into an empty file in the making.
    pub fn new(stage: S, compression: Compression, digest: ArtifactDigest) -> Self {
        let frames = Frames::new(compression, digest == ArtifactDigest::Sha256);
        Self { out: stage.writer(), stage, frames }
    }

    /// Behind what was written so far.
    fn write<T>(
        &mut self,
        write: impl FnOnce(&mut Frames, &mut dyn Write) -> io::Result<T>,
    ) -> Result<T, SinkError> {
        let mut out = Sequence::new(&*self.out, FileOffset(self.frames.len()));
        write(&mut self.frames, &mut out)
            .map_err(|error| SinkError::from_io(Doing::Write, self.out.place(), error))
    }
}

impl<S: Stage> Sink for CompressedFile<S> {
    type Encoder = FrameEncoder;

    fn encoder(&self) -> FrameEncoder {
        FrameEncoder { maker: self.frames.maker(), place: self.out.place() }
    }

    fn accept(&mut self, piece: &FilledPiece, encoded: EncodedPiece) -> Result<(), SinkError> {
        self.write(|frames, out| frames.append(piece, &encoded, out))
    }

    fn complete(&mut self) -> Result<Artifact, SinkError> {
        let artifact = self.write(Frames::finish)?;
        self.stage.sync()?;
        Ok(artifact)
    }

    fn publish(self) -> Result<(), SinkError> {
        self.stage.publish()
    }

    fn digest_source(&self) -> DigestSource {
        DigestSource::Sink
    }
}

/// See [`to_stream`].
#[derive(Debug)]
pub struct CompressedStream<W> {
    out: W,
    frames: Frames,
}

impl<W: Write> Sink for CompressedStream<W> {
    type Encoder = FrameEncoder;

    fn encoder(&self) -> FrameEncoder {
        FrameEncoder { maker: self.frames.maker(), place: Place::Stream }
    }

    fn accept(&mut self, piece: &FilledPiece, encoded: EncodedPiece) -> Result<(), SinkError> {
        self.frames.append(piece, &encoded, &mut self.out).map_err(failed)
    }

    fn complete(&mut self) -> Result<Artifact, SinkError> {
        let artifact = self.frames.finish(&mut self.out).map_err(failed)?;
        self.out.flush().map_err(failed)?;
        Ok(artifact)
    }

    /// A stream has no name.
    fn publish(self) -> Result<(), SinkError> {
        Ok(())
    }

    fn digest_source(&self) -> DigestSource {
        DigestSource::Sink
    }
}

fn failed(error: io::Error) -> SinkError {
    SinkError::from_io(Doing::Write, Place::Stream, error)
}

/// Compresses pieces.
pub struct FrameEncoder {
    maker: FrameMaker,
    place: Place,
}

impl Encode for FrameEncoder {
    type Encoded = EncodedPiece;

    fn encode(&mut self, piece: &FilledPiece) -> Result<EncodedPiece, SinkError> {
        self.maker
            .encode(piece)
            .map_err(|error| SinkError::from_io(Doing::Compress, self.place.clone(), error))
    }
}

impl fmt::Debug for FrameEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameEncoder").field("place", &self.place).finish_non_exhaustive()
    }
}
