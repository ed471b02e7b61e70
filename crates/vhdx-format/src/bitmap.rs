//! Sector bitmaps: runs of equal bits, least significant bit first (MS-VHDX 2.4).

/// The bit at `from` and how many equal bits follow it, itself included, up to `to`. Both count from the start of
/// `bits`; a `from` at or past `to` or the end has no run.
pub(crate) fn run(bits: &[u8], from: u64, to: u64) -> Option<(bool, u64)> {
    let end = to.min(u64::try_from(bits.len()).ok()?.saturating_mul(8));
    let value = word_at(bits, from)? & 1 == 1;
    let mut at = from;
    while at < end {
        // Bits past the word's own 64 - shift come in as the value's opposite, and so end the run inside the word.
        let word = word_at(bits, at)?;
        let held = 64_u64.saturating_sub(at & 7).min(64);
        let equal = u64::from(if value { word.trailing_ones() } else { word.trailing_zeros() }).min(held);
        at = at.saturating_add(equal);
        if equal < held {
            break;
        }
    }
    (from < end).then(|| (value, at.min(end).saturating_sub(from)))
}

/// Up to 64 bits from bit `at` on, in the low bits; zeros where the slice ends.
fn word_at(bits: &[u8], at: u64) -> Option<u64> {
    let rest = bits.get(usize::try_from(at >> 3).ok()?..)?;
    let word = match rest.first_chunk::<8>() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    Some(word >> (at & 7))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_are_what_single_bits_say(
            bits in prop::collection::vec(prop_oneof![Just(0_u8), Just(0xFF), any::<u8>()], 1..60),
            from in 0_u64..480,
            to in 0_u64..480,
        ) {
            let bit = |n: u64| bits[(n / 8) as usize] >> (n % 8) & 1 == 1;
            let end = to.min(bits.len() as u64 * 8);
            let expected = (from < end)
                .then(|| (bit(from), (from..end).take_while(|n| bit(*n) == bit(from)).count() as u64));
            prop_assert_eq!(run(&bits, from, to), expected);
        }
    }

    /// A slice of a real child: 56 sectors in two runs, as in a file of Hyper-V.
    #[test]
    fn reads_the_least_significant_bit_first() {
        let bits = [0xFF, 0xFF, 0xFF, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0];
        assert_eq!(run(&bits, 0, 80), Some((true, 24)));
        assert_eq!(run(&bits, 24, 80), Some((false, 8)));
        assert_eq!(run(&bits, 32, 80), Some((true, 32)));
        assert_eq!(run(&[0b0000_0110], 0, 8), Some((false, 1)));
    }
}
