//! A sink that keeps nothing: for reading a whole disk for its digests alone.

use crate::raw::Untouched;
use crate::{Artifact, DigestSource, FilledPiece, Sink, SinkError};

/// Takes everything and makes nothing.
#[derive(Clone, Copy, Default, Debug)]
pub struct Discard;

impl Sink for Discard {
    type Encoder = Untouched;

    fn encoder(&self) -> Untouched {
        Untouched
    }

    fn accept(&mut self, _piece: &FilledPiece, (): ()) -> Result<(), SinkError> {
        Ok(())
    }

    fn complete(&mut self) -> Result<Artifact, SinkError> {
        Ok(Artifact { len: 0, sha256: None })
    }

    fn publish(self) -> Result<(), SinkError> {
        Ok(())
    }

    fn digest_source(&self) -> DigestSource {
        DigestSource::Sink
    }
}
