//! Sinks for the bare bytes of the disk: what the guest sees at position n is byte n of the artifact.

use std::io::Write;
use std::sync::Arc;

use vhdx_format::{DiskOffset, FileOffset, VirtualDisk};

use crate::sink::{DigestSource, Stage, WriteAt};
use crate::{
    Artifact, Doing, Encode, ExportError, FilledPiece, Place, Run, Sink, SinkError, StagedFile, Target,
    space, zeros,
};

/// A sparse file of exactly the disk's size. Runs of zeros of 64 KiB and more become holes where the file system knows
/// them.
///
/// Before the first byte, the target is checked, and the file system must have room for all bytes that images store.
pub fn to_file(target: &Target, disk: &dyn VirtualDisk) -> Result<RawFile, ExportError> {
    target.check()?;
    let need = if target.checks_space() { space::stored_len(disk)? } else { 0 };
    let stage = StagedFile::create(target)?;
    stage.require(need)?;
    Ok(RawFile::new(stage, disk.geometry().size())?)
}

/// A stream of exactly the disk's size. `out` is given large writes and needs no buffer of its own.
pub fn to_stream<W: Write>(out: W) -> RawStream<W> {
    RawStream { out, len: 0 }
}

/// See [`to_file`].
#[derive(Debug)]
pub struct RawFile<S: Stage = StagedFile> {
    stage: S,
    len: u64,
}

impl<S: Stage> RawFile<S> {
    /// Writes a disk of `len` bytes into an empty file in the making.
    pub fn new(stage: S, len: u64) -> Result<Self, SinkError> {
        stage.set_len(len)?;
        Ok(Self { stage, len })
    }
}

impl<S: Stage> Sink for RawFile<S> {
    type Encoder = RawFileEncoder<S::Writer>;

    fn encoder(&self) -> Self::Encoder {
        RawFileEncoder(self.stage.writer())
    }

    /// Nothing to do: the bytes are where they belong.
    fn accept(&mut self, _piece: &FilledPiece, (): ()) -> Result<(), SinkError> {
        Ok(())
    }

    fn complete(&mut self) -> Result<Artifact, SinkError> {
        self.stage.sync()?;
        Ok(Artifact { len: self.len, sha256: None })
    }

    fn publish(self) -> Result<(), SinkError> {
        self.stage.publish()
    }

    fn digest_source(&self) -> DigestSource {
        DigestSource::Content
    }
}

/// Writes data where it belongs.
#[derive(Debug)]
pub struct RawFileEncoder<W>(Arc<W>);

impl<W: WriteAt> Encode for RawFileEncoder<W> {
    type Encoded = ();

    fn encode(&mut self, piece: &FilledPiece) -> Result<(), SinkError> {
        for run in piece.runs() {
            if let Run::Data { at, bytes } = run {
                self.0.put(position_of(at), bytes)?;
            }
        }
        Ok(())
    }
}

/// A raw file is the one whose table is the identity.
pub(crate) fn position_of(at: DiskOffset) -> FileOffset {
    FileOffset(at.0)
}

/// See [`to_stream`].
#[derive(Debug)]
pub struct RawStream<W> {
    out: W,
    len: u64,
}

impl<W> RawStream<W> {
    /// What was written to.
    pub(crate) fn into_inner(self) -> W {
        self.out
    }
}

impl<W: Write> Sink for RawStream<W> {
    type Encoder = Untouched;

    fn encoder(&self) -> Untouched {
        Untouched
    }

    fn accept(&mut self, piece: &FilledPiece, (): ()) -> Result<(), SinkError> {
        for run in piece.runs() {
            match run {
                Run::Zeros(range) => zeros::write_to(&mut self.out, range.len()),
                Run::Data { bytes, .. } => self.out.write_all(bytes),
            }
            .map_err(|error| SinkError::from_io(Doing::Write, Place::Stream, error))?;
        }
        self.len = self.len.saturating_add(piece.range().len());
        Ok(())
    }

    fn complete(&mut self) -> Result<Artifact, SinkError> {
        self.out.flush().map_err(|error| SinkError::from_io(Doing::Write, Place::Stream, error))?;
        Ok(Artifact { len: self.len, sha256: None })
    }

    /// A stream has no name.
    fn publish(self) -> Result<(), SinkError> {
        Ok(())
    }

    fn digest_source(&self) -> DigestSource {
        DigestSource::Content
    }
}

/// The encoder of sinks that take pieces as they are.
#[derive(Clone, Copy, Debug)]
pub struct Untouched;

impl Encode for Untouched {
    type Encoded = ();

    fn encode(&mut self, _piece: &FilledPiece) -> Result<(), SinkError> {
        Ok(())
    }
}
