//! The on-disk structures of MS-VHDX as plain bytes: layout only, no judgement.
//!
//! Everything is packed and little-endian; GUIDs are kept as the 16 bytes on disk. Whether a value makes sense is for
//! the validated twin one level up to say. Readers, the writer and the forge share these definitions.

pub(crate) mod bat;
pub(crate) mod header;
pub(crate) mod identifier;
pub(crate) mod locator;
pub(crate) mod log;
pub(crate) mod metadata;
pub(crate) mod region;

use uuid::Uuid;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A GUID as stored: the first three fields little-endian, the last eight bytes in text order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(transparent)]
pub(crate) struct Guid([u8; 16]);

impl Guid {
    pub(crate) fn get(self) -> Uuid {
        Uuid::from_bytes_le(self.0)
    }
}

impl From<Uuid> for Guid {
    fn from(id: Uuid) -> Self {
        Self(id.to_bytes_le())
    }
}

/// The structure at the beginning of `bytes`, if they are long enough.
pub(crate) fn prefix<T: FromBytes + Unaligned + KnownLayout + Immutable>(bytes: &[u8]) -> Option<&T> {
    T::ref_from_prefix(bytes).ok().map(|(value, _)| value)
}
