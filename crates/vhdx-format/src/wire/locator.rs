//! The parent locator item (MS-VHDX 2.6.2.6): a header, a table of key-value pairs, and their UTF-16LE texts.

use uuid::{Uuid, uuid};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Guid;

/// The locator type whose keys are described in 2.6.2.6.3.
pub(crate) const VHDX: Uuid = uuid!("B04AEFB7-D19E-4A81-B789-25B8E9445913");

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) locator_type: Guid,
    pub(crate) reserved: U16,
    pub(crate) key_value_count: U16,
}

/// Offsets count from the start of the item; lengths are in bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Entry {
    pub(crate) key_offset: U32,
    pub(crate) value_offset: U32,
    pub(crate) key_length: U16,
    pub(crate) value_length: U16,
}

const _: () = assert!(size_of::<Header>() == 20 && size_of::<Entry>() == 12);
