//! Slices of a file by positions that may be anything, and the checksum that all structures share.

use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// `len` bytes from `at` on, if the file has them.
pub(super) fn slice(bytes: &[u8], at: usize, len: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(len)?)
}

/// The structure at `at`, if the file holds it whole.
pub(super) fn get<T: FromBytes + Unaligned + KnownLayout + Immutable>(bytes: &[u8], at: usize) -> Option<&T> {
    T::ref_from_prefix(bytes.get(at..)?).ok().map(|(value, _)| value)
}

/// A stored position; one that this machine cannot address is behind every end.
pub(super) fn position(stored: u64) -> usize {
    usize::try_from(stored).unwrap_or(usize::MAX)
}

/// The same for a stored length.
pub(super) fn length(stored: u32) -> usize {
    usize::try_from(stored).unwrap_or(usize::MAX)
}

/// A position or length for a message.
pub(super) fn offset(at: usize) -> u64 {
    u64::try_from(at).unwrap_or(u64::MAX)
}

/// CRC-32 as in zip (not the CRC-32C of VHDX) with the four bytes at `field` taken as zero.
pub(super) fn checksum(bytes: &[u8], field: usize) -> u32 {
    let (before, rest) = bytes.split_at_checked(field).unwrap_or((bytes, &[]));
    let (own, behind) = rest.split_at_checked(4).unwrap_or((rest, &[]));
    let mut crc = crc32fast::Hasher::new();
    crc.update(before);
    crc.update([0; 4].get(..own.len()).unwrap_or(&[]));
    crc.update(behind);
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_of_zip_with_its_own_field_zero() {
        assert_eq!(checksum(b"123456789", 9), 0xCBF4_3926);
        assert_eq!(checksum(b"12\x00\x00\x00\x00789", 2), checksum(b"123456789", 2));
        assert_eq!(checksum(b"", 0), 0);
        assert_eq!(checksum(&[0; 18], 1), 0x671B_CF4D, "an empty object slot");
    }

    #[test]
    fn slices_stop_at_the_end_whatever_is_asked() {
        assert_eq!(slice(b"abc", 1, 2), Some(&b"bc"[..]));
        assert_eq!(slice(b"abc", 1, 3), None);
        assert_eq!(slice(b"abc", usize::MAX, 1), None);
        assert_eq!(slice(b"abc", 1, usize::MAX), None);
    }
}
