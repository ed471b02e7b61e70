//! Sinks for the bare bytes of the disk: what the guest sees at position n is byte n of the artifact.

use std::io::Write;
use std::sync::Arc;

use vhdx_format::{DiskOffset, DiskRange, FileOffset, VirtualDisk};

use crate::sharing::Sharing;
use crate::sink::{DigestSource, Placeable, Stage, WriteAt};
use crate::{
    Artifact, Doing, Encode, ExportError, FilledPiece, Place, Run, Sink, SinkError, StagedFile, Target, zeros,
};

/// A sparse file of exactly the disk's size. Runs of zeros of 64 KiB and more become holes where the file system knows
/// them.
///
/// Before the first byte, the target is checked, and the file system must have room for all bytes that images store and
/// that it can not share with them.
pub fn to_file(target: &Target, disk: &dyn VirtualDisk) -> Result<RawFile, ExportError> {
    target.check()?;
    let stage = StagedFile::create(target)?;
    let sharing = Sharing::find(target.reflink(), &stage, disk)?;
    let len = disk.geometry().size();
    if target.checks_space() {
        stage.require_up_to(len, || Ok(sharing.expect(disk)?.copied))?;
    }
    Ok(RawFile::new(stage, len)?.sharing(sharing))
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
    sharing: Arc<Sharing>,
}

impl<S: Stage> RawFile<S> {
    /// Writes a disk of `len` bytes into an empty file in the making.
    pub fn new(stage: S, len: u64) -> Result<Self, SinkError> {
        stage.set_len(len)?;
        Ok(Self { stage, len, sharing: Arc::default() })
    }

    pub(crate) fn sharing(self, sharing: Sharing) -> Self {
        Self { sharing: Arc::new(sharing), ..self }
    }
}

impl<S: Stage> Sink for RawFile<S> {
    type Encoder = RawFileEncoder<S::Writer>;

    fn encoder(&self) -> Self::Encoder {
        RawFileEncoder { out: self.stage.writer(), sharing: Arc::clone(&self.sharing) }
    }

    /// Nothing to do: the bytes are where they belong.
    fn accept(&mut self, _piece: &FilledPiece, (): ()) -> Result<(), SinkError> {
        Ok(())
    }

    fn complete(&mut self) -> Result<Artifact, SinkError> {
        self.stage.sync()?;
        Ok(Artifact { len: self.len, sha256: None, shared: self.sharing.shared() })
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
pub struct RawFileEncoder<W> {
    out: Arc<W>,
    sharing: Arc<Sharing>,
}

impl<W: WriteAt> Encode for RawFileEncoder<W> {
    type Encoded = ();

    fn place(&mut self, run: &Placeable<'_>) -> Result<DiskRange, SinkError> {
        self.sharing.place(&*self.out, run, position_of(run.start))
    }

    fn encode(&mut self, piece: &FilledPiece) -> Result<(), SinkError> {
        for run in piece.unplaced_runs() {
            if let Run::Data { at, bytes } = run {
                self.out.put(position_of(at), bytes)?;
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
        Ok(Artifact { len: self.len, sha256: None, shared: 0 })
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
