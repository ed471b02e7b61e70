//! Getting zeros onto a device that holds old data: the ways to do it, best first.
//!
//! Which of them a device knows is found out by asking, once: after a failure a way is not tried again.

use std::sync::atomic::{AtomicUsize, Ordering};

use vhdx_format::{DiskOffset, DiskRange};

use super::Medium;
use crate::raw::position_of;
use crate::{SinkError, zeros};

/// A way to zero a range without sending zeros.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clearing {
    /// Give its room back. Of a block device Linux promises that it reads as zeros then, or refuses.
    Punch,
    /// Zero it and keep its room; Linux sends the zeros itself where the device has no command for it.
    ZeroRange,
}

const WAYS: [Clearing; 2] = [Clearing::Punch, Clearing::ZeroRange];

/// The ways that have not failed yet. The last one, writing zeros, is none of them: whether it fails decides.
#[derive(Default, Debug)]
pub(super) struct Ladder(AtomicUsize);

impl Ladder {
    /// Makes a range read as zeros. Parts of sectors at its ends are written.
    pub(super) fn zero<M: Medium>(&self, medium: &M, range: DiskRange) -> Result<(), SinkError> {
        let whole = whole_sectors(range, u64::from(medium.sector_size()));
        write_zeros(medium, DiskRange::new(range.start(), whole.start()))?;
        if !self.clear(medium, whole) {
            write_zeros(medium, whole)?;
        }
        write_zeros(medium, DiskRange::new(whole.end(), range.end()))
    }

    /// Whether a way was found.
    ///
    /// It does not matter why a way failed: if the device is broken, the next one fails too, and the last one says so.
    fn clear<M: Medium>(&self, medium: &M, range: DiskRange) -> bool {
        if range.is_empty() {
            return true;
        }
        let first = self.0.load(Ordering::Relaxed);
        for (index, way) in WAYS.into_iter().enumerate().skip(first) {
            if medium.clear(way, range).is_ok() {
                return true;
            }
            self.0.fetch_max(index.saturating_add(1), Ordering::Relaxed);
        }
        false
    }
}

/// The whole sectors of a range; empty, at its end, where it holds none.
fn whole_sectors(range: DiskRange, sector: u64) -> DiskRange {
    let start = range.start().0.checked_next_multiple_of(sector).unwrap_or(u64::MAX);
    let end = range.end().0.saturating_sub(range.end().0.checked_rem(sector).unwrap_or(0));
    let start = DiskOffset(start).min(range.end());
    if end <= start.0 {
        return DiskRange::new(range.end(), range.end());
    }
    DiskRange::new(start, DiskOffset(end))
}

/// Writes zeros over a range.
pub(super) fn write_zeros<M: Medium>(medium: &M, range: DiskRange) -> Result<(), SinkError> {
    let mut at = range.start();
    zeros::each_part(range.len(), |part| {
        medium.put(position_of(at), part)?;
        at = DiskOffset(at.0.saturating_add(part.len() as u64));
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whole_sectors_lie_inside_and_leave_less_than_a_sector_at_each_end(
            start in 0_u64..50_000,
            len in 0_u64..50_000,
            sector in prop_oneof![Just(512_u64), Just(4096)],
        ) {
            let range = DiskRange::new(DiskOffset(start), DiskOffset(start + len));
            let whole = whole_sectors(range, sector);
            prop_assert!(range.start() <= whole.start() && whole.end() <= range.end());
            if whole.is_empty() {
                prop_assert_eq!(whole.start(), range.end());
                prop_assert!(len < 2 * sector);
            } else {
                prop_assert!([whole.start().0, whole.end().0].iter().all(|at| at.is_multiple_of(sector)));
                prop_assert!(whole.start().0 - start < sector && start + len - whole.end().0 < sector);
            }
        }
    }
}
