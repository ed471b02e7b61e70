//! From measured runs to the numbers that are shown.

use serde::Serialize;

/// What one run of a command took.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(super) struct Sample {
    /// Seconds from its start to its end.
    pub(super) wall: f64,
    /// What only GNU time tells.
    #[serde(flatten)]
    pub(super) usage: Option<Usage>,
}

/// What a command and all that it started used.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(super) struct Usage {
    /// Seconds on a processor, in the program and in the kernel.
    pub(super) cpu: f64,
    /// The most memory that one process had at a time, in KiB.
    pub(super) peak_kib: u64,
}

/// The middle of several runs. Each number is a median of its own.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(super) struct Middle {
    pub(super) wall: f64,
    pub(super) cpu: Option<f64>,
    /// The worst of all runs: a bound on memory that holds in most of them is none.
    pub(super) peak_kib: Option<u64>,
}

impl Middle {
    /// `None` without any sample.
    pub(super) fn of(samples: &[Sample]) -> Option<Self> {
        let usages = || samples.iter().filter_map(|sample| sample.usage);
        Some(Self {
            wall: median(samples.iter().map(|sample| sample.wall))?,
            cpu: median(usages().map(|usage| usage.cpu)),
            peak_kib: usages().map(|usage| usage.peak_kib).max(),
        })
    }
}

/// One count over another, to be shown.
#[expect(clippy::cast_precision_loss, reason = "a few digits of it are shown")]
pub(super) fn quotient(count: u64, unit: u64) -> f64 {
    count as f64 / unit as f64
}

/// The middle value, or the mean of the two in the middle.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some(f64::midpoint(values[last / 2], values[last.div_ceil(2)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(wall: f64, usage: Option<(f64, u64)>) -> Sample {
        Sample { wall, usage: usage.map(|(cpu, peak_kib)| Usage { cpu, peak_kib }) }
    }

    #[test]
    fn the_median_is_in_the_middle_in_whatever_order() {
        assert_eq!(median([3.0, 1.0, 100.0].into_iter()), Some(3.0));
        assert_eq!(median([4.0, 1.0, 2.0, 100.0].into_iter()), Some(3.0));
        assert_eq!(median([7.0].into_iter()), Some(7.0));
        assert_eq!(median(std::iter::empty()), None);
    }

    #[test]
    fn memory_is_the_worst_and_the_rest_the_middle() {
        let samples =
            [sample(1.0, Some((9.0, 300))), sample(5.0, Some((1.0, 100))), sample(2.0, Some((2.0, 200)))];
        assert_eq!(Middle::of(&samples), Some(Middle { wall: 2.0, cpu: Some(2.0), peak_kib: Some(300) }));
    }

    #[test]
    fn what_was_not_measured_is_not_made_up() {
        assert_eq!(Middle::of(&[]), None);
        assert_eq!(Middle::of(&[sample(1.0, None)]), Some(Middle { wall: 1.0, cpu: None, peak_kib: None }));
    }
}
