//! Reading a whole disk for its digests alone: an export into a sink that keeps nothing.

use vhdx_format::VirtualDisk;

use crate::raw::Untouched;
use crate::{
    Artifact, Cancel, ContentDigests, DigestSource, ExportError, FilledPiece, Options, Progress, Sink,
    SinkError, export,
};

/// Reads the disk as [`export`] does, and writes nothing.
pub fn digest(
    disk: &dyn VirtualDisk,
    options: &Options,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<ContentDigests, ExportError> {
    Ok(export(disk, Discard, options, progress, cancel)?.complete(cancel)?.into_export().digests)
}

/// Takes everything and makes nothing.
struct Discard;

impl Sink for Discard {
    type Encoder = Untouched;

    fn encoder(&self) -> Untouched {
        Untouched
    }

    fn accept(&mut self, _piece: &FilledPiece, (): ()) -> Result<(), SinkError> {
        Ok(())
    }

    fn complete(&mut self) -> Result<Artifact, SinkError> {
        Ok(Artifact::default())
    }

    fn publish(self) -> Result<(), SinkError> {
        Ok(())
    }

    fn digest_source(&self) -> DigestSource {
        DigestSource::Sink
    }
}
