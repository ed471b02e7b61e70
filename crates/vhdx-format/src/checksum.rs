//! CRC-32C over a structure whose own checksum field counts as zero, the one checksum of the format.

use crate::Problem;

/// CRC-32C (Castagnoli) of `bytes`, with the four bytes from `field` on taken as zero.
///
/// Panics are impossible: a `field` past the end simply has nothing to blank.
pub(crate) fn with_blank_field(bytes: &[u8], field: usize) -> u32 {
    let (before, rest) = bytes.split_at_checked(field).unwrap_or((bytes, &[]));
    let (blanked, after) = rest.split_at_checked(4).unwrap_or((rest, &[]));
    let zeros = [0; 4];
    let crc = crc32c::crc32c(before);
    let crc = crc32c::crc32c_append(crc, zeros.get(..blanked.len()).unwrap_or(&zeros));
    crc32c::crc32c_append(crc, after)
}

/// Whether `found`, the field's own value, is the checksum of the structure in `bytes`.
pub(crate) fn verify(bytes: &[u8], found: u32) -> Result<(), Problem> {
    let expected = with_blank_field(bytes, FIELD);
    if expected == found { Ok(()) } else { Err(Problem::Checksum { expected, found }) }
}

/// Byte offset of the checksum field, the same in headers, region tables and log entries.
pub(crate) const FIELD: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_castagnoli() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c::crc32c(&[0xFF; 32]), 0x62A8_AB43);
        let counted: Vec<u8> = (0..=0x1F).collect();
        assert_eq!(crc32c::crc32c(&counted), 0x46DD_794E);
    }

    #[test]
    fn ignores_its_own_field() {
        let mut bytes = *b"abcdEFGHijkl";
        let crc = with_blank_field(&bytes, 4);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(with_blank_field(&bytes, 4), crc);
        assert_eq!(with_blank_field(&bytes, 4), crc32c::crc32c(b"abcd\0\0\0\0ijkl"));
    }
}
