//! A word beforehand where a SHA-256 will take much longer than everything else.

use std::time::{Duration, Instant};

use export_sinks::{Sha256Digest, stored_len};
use vhdx_format::VirtualDisk;

use crate::disk::Disk;
use crate::failure::Failure;
use crate::units::{show_duration, show_size};

/// Longest time for a SHA-256 that goes without saying.
const SLOW: Duration = Duration::from_mins(1);

/// A disk of which little is stored is copied in no time, but a SHA-256 takes the time of all its zeros.
pub(crate) fn warning(disk: &Disk, is_wanted: bool) -> Result<Option<String>, Failure> {
    let size = disk.geometry().size();
    let time = sha256_time(size);
    if !is_wanted || time < SLOW {
        return Ok(None);
    }
    let stored = stored_len(disk).map_err(|error| disk.read_failure(error))?;
    // Copying and digesting run side by side, at about the same speed for what is stored.
    let is_sparse = stored < size / 4;
    Ok(is_sparse.then(|| {
        format!(
            "SHA-256 over all {}, zeros included, takes about {}; --digest blksum takes the time of the {} that are stored",
            show_size(size),
            show_duration(time),
            show_size(stored),
        )
    }))
}

/// How long a SHA-256 of that many bytes takes here, judged by a little.
pub(crate) fn sha256_time(len: u64) -> Duration {
    let sample = vec![0; 8 << 20];
    let start = Instant::now();
    std::hint::black_box(Sha256Digest::of(std::hint::black_box(&sample)));
    let nanos = start.elapsed().as_nanos() * u128::from(len) / sample.len() as u128;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
