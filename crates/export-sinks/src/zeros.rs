//! Zeros: finding them in data, and writing them where nothing else will do.

use std::io::{self, Write};

/// What zeros are looked for in, in bytes: the page and the block of the usual file systems. Smaller holes can not
/// exist, so looking closer gains nothing.
const UNIT: usize = 4 << 10;

/// Shortest run of zeros that is left out, in bytes. A shorter hole saves less than it costs: each one is two more
/// extents of the file and one more write. It is also the default unit in which file systems with sub-block
/// allocation and most RAID stripes place data.
pub(crate) const HOLE_MIN: usize = 64 << 10;

/// Zeros to write from.
static ZEROS: [u8; 256 << 10] = [0; 256 << 10];

/// A run of bytes that are all zero, or are to be treated as data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    /// Length in bytes, never 0.
    pub len: usize,
    /// Whether every byte is zero.
    pub zero: bool,
}

/// Cuts `bytes` into alternating spans that cover it. Zeros become a span of their own where they are at least
/// [`HOLE_MIN`] long or all there is.
///
/// A run at an edge gets no discount for what may lie beyond: whether the neighbour goes on with zeros is not known
/// here, and the loss is at most twice [`HOLE_MIN`] in 4 MiB.
pub(crate) fn spans(bytes: &[u8]) -> Vec<Span> {
    let mut close = Vec::new();
    for unit in bytes.chunks(UNIT) {
        push(&mut close, Span { len: unit.len(), zero: is_zero(unit) });
    }
    if close.len() == 1 {
        return close;
    }
    let mut spans = Vec::new();
    for span in close {
        push(&mut spans, Span { zero: span.zero && span.len >= HOLE_MIN, ..span });
    }
    spans
}

fn push(spans: &mut Vec<Span>, next: Span) {
    match spans.last_mut() {
        Some(last) if last.zero == next.zero => last.len = last.len.saturating_add(next.len),
        _ => spans.push(next),
    }
}

/// Whether every byte is zero. Comparing with zeros is `memcmp`, which beats any loop over bytes.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(ZEROS.len()).all(|part| Some(part) == ZEROS.get(..part.len()))
}

/// Calls `write` with zeros, `len` bytes in all.
pub(crate) fn each_part<E>(mut len: u64, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    while len > 0 {
        let part = usize::try_from(len).ok().and_then(|len| ZEROS.get(..len)).unwrap_or(&ZEROS);
        write(part)?;
        len = len.saturating_sub(part.len() as u64);
    }
    Ok(())
}

/// Writes `len` zeros.
pub(crate) fn write_to(out: &mut dyn Write, len: u64) -> io::Result<()> {
    each_part(len, |part| out.write_all(part))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes made of runs, most of them on unit boundaries.
    fn runs() -> impl Strategy<Value = Vec<u8>> {
        let run = (0_u8..3, prop_oneof![4 => (1_usize..40).prop_map(|n| n * UNIT), 1 => 1_usize..20_000]);
        prop::collection::vec(run, 1..12).prop_map(|runs| {
            runs.into_iter().flat_map(|(byte, len)| vec![byte.saturating_sub(1); len]).collect()
        })
    }

    proptest! {
        #[test]
        fn spans_alternate_cover_and_never_call_data_zero(bytes in runs()) {
            let spans = spans(&bytes);
            prop_assert_eq!(spans.iter().map(|span| span.len).sum::<usize>(), bytes.len());
            prop_assert!(spans.windows(2).all(|pair| pair[0].zero != pair[1].zero));
            let mut at = 0;
            for span in &spans {
                let part = &bytes[at..at + span.len];
                if span.zero {
                    prop_assert!(part.iter().all(|&byte| byte == 0));
                    prop_assert!(span.len >= HOLE_MIN || spans.len() == 1);
                }
                at += span.len;
            }
        }

        /// Any aligned 64 KiB of zeros lies in a zero span.
        #[test]
        fn no_long_run_of_zeros_is_missed(bytes in runs()) {
            let mut in_zeros = Vec::new();
            for span in spans(&bytes) {
                in_zeros.resize(in_zeros.len() + span.len, span.zero);
            }
            for start in (0..bytes.len()).step_by(UNIT) {
                let Some(window) = bytes.get(start..start + HOLE_MIN) else { break };
                if window.iter().all(|&byte| byte == 0) {
                    prop_assert!(in_zeros[start..start + HOLE_MIN].iter().all(|&zero| zero), "at {}", start);
                }
            }
        }

        #[test]
        fn as_many_zeros_are_written_as_asked_for(len in 0_u64..2_000_000) {
            let mut out = Vec::new();
            write_to(&mut out, len).unwrap();
            prop_assert_eq!(out.len() as u64, len);
            prop_assert!(is_zero(&out));
        }
    }

    #[test]
    fn one_set_bit_is_found_at_either_end() {
        let mut bytes = vec![0; 300 << 10];
        assert!(is_zero(&bytes));
        for at in [0, bytes.len() - 1] {
            bytes[at] = 1;
            assert!(!is_zero(&bytes));
            bytes[at] = 0;
        }
    }
}
