//! The file header: which of its two copies is current, and what it says.

use super::bytes;
use super::error::{Problem, StoreError, Structure, Warnings};
use super::wire::{self, FileHeader};

/// What the reader needs of the current header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) log_at: usize,
    pub(super) log_size: usize,
    pub(super) log_header_size: usize,
}

/// The current header, or `None` with a warning if neither copy is valid: the object tables lie at a fixed place, so
/// there is still something to read. Fails for a version that is not known here.
pub(super) fn current(file: &[u8], warnings: &mut Warnings) -> Result<Option<Header>, StoreError> {
    let [first, second] = wire::HEADER_OFFSETS;
    let (first, second) = (valid(file, 0, first, warnings), valid(file, 1, second, warnings));
    let (at, header) = match (first, second) {
        (Some(first), Some(second)) => newer(first, second, warnings),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => {
            warnings.push(0, Problem::NoValidHeader);
            return Ok(None);
        }
    };
    check_version(at, header, warnings)?;
    let alignment = header.alignment.get();
    if !alignment.is_power_of_two() || !(0x1000..=0x1_0000).contains(&alignment) {
        warnings.push(at.saturating_add(22), Problem::Alignment(alignment));
    }
    Ok(Some(Header {
        version: header.version.get(),
        log_at: bytes::position(header.log_offset.get()),
        log_size: bytes::position(header.log_size.get()),
        log_header_size: bytes::length(header.log_header_size.get()),
    }))
}

type Placed<'a> = (usize, &'a FileHeader);

fn valid<'a>(file: &'a [u8], copy: u8, at: usize, warnings: &mut Warnings) -> Option<Placed<'a>> {
    let structure = Structure::FileHeader(copy);
    let whole = bytes::slice(file, at, size_of::<FileHeader>());
    let (Some(whole), Some(header)) = (whole, bytes::get::<FileHeader>(file, at)) else {
        let (need, have) = (size_of::<FileHeader>(), file.len().saturating_sub(at));
        let (need, have) = (bytes::offset(need), bytes::offset(have));
        warnings.push(at, Problem::Truncated { structure, need, have });
        return None;
    };
    let (expected, found) = (wire::HEADER_SIGNATURE, header.signature.get());
    if found != expected {
        warnings.push(at, Problem::Signature { structure, expected, found });
        return None;
    }
    let (expected, found) = (bytes::checksum(whole, wire::checksum_at::HEADER), header.checksum.get());
    if found != expected {
        warnings.push(at.saturating_add(4), Problem::Checksum { structure, expected, found });
        return None;
    }
    Some((at, header))
}

/// The one of the later sequence, which wraps. Of equal ones the first: the format calls them corruption, and both say
/// the same in all likelihood.
fn newer<'a>(first: Placed<'a>, second: Placed<'a>, warnings: &mut Warnings) -> Placed<'a> {
    let (a, b) = (first.1.sequence.get(), second.1.sequence.get());
    if a == b {
        warnings.push(second.0.saturating_add(8), Problem::EqualSequences(a));
    }
    if is_later(b, a) { second } else { first }
}

/// Whether `a` comes after `b`, counted in a circle of 2^16.
pub(super) fn is_later(a: u16, b: u16) -> bool {
    (1..=0x7FFF).contains(&a.wrapping_sub(b))
}

/// 0x400 is the only version seen in real files. Those from 0x200 on have the same layout, the ones before do not;
/// later minor versions are expected to be readable.
fn check_version(at: usize, header: &FileHeader, warnings: &mut Warnings) -> Result<(), StoreError> {
    let at = at.saturating_add(10);
    match header.version.get() {
        0x400 => Ok(()),
        version @ 0x200..=0x4FF => {
            warnings.push(at, Problem::Version(version));
            Ok(())
        }
        found => Err(StoreError::Version { at: bytes::offset(at), found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_compared_in_a_circle() {
        assert!(is_later(1, 0) && !is_later(0, 1) && !is_later(5, 5));
        assert!(is_later(0, 0xFFFF) && !is_later(0xFFFF, 0));
        assert!(is_later(0x7FFF, 0) && !is_later(0, 0x7FFF));
        assert!(!is_later(0x8000, 0) && !is_later(0, 0x8000), "opposite points have no order");
    }
}
