//! What no program could beat here: how fast one core computes SHA-256, and how fast a new file takes in bytes or gets room.
//!
//! A digest of a whole disk is serial, and a file system lets one thread at a time write into a file, so more cores do not
//! move either.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::disks::DiskName;
use super::place::Input;
use super::statistics::quotient;

/// In pieces of that many bytes, as the program works.
const PIECE: usize = 4 << 20;
/// Bytes for one measurement.
const LEN: u64 = 1 << 30;
/// The best of so many counts.
const TIMES: usize = 3;

/// Seconds that one GiB takes.
#[derive(Serialize)]
pub(super) struct Limits {
    place: String,
    sha256: f64,
    write: f64,
    allocate: f64,
}

impl Limits {
    /// Measures them in `folder`, which `place` is a name for.
    pub(super) fn measure(place: &str, folder: &Path) -> io::Result<Self> {
        let piece = vec![0x5A; PIECE];
        let sha256 = best(|| Ok(digest(&piece)))?;
        let write = best(|| fill(&piece, &folder.join("limit")))?;
        let allocate = best(|| allocate(&folder.join("limit")))?;
        Ok(Self { place: place.to_owned(), sha256, write, allocate })
    }

    /// What they mean for the disk of five.
    pub(super) fn line(&self) -> String {
        let size = DiskName::Five.disk().size;
        let data = Input::Flat(DiskName::Five).room();
        let seconds = |per_gib: f64, bytes| per_gib * quotient(bytes, 1 << 30);
        let rate = |per_gib: f64| quotient(1 << 30, 1_000_000_000) / per_gib;
        format!(
            "limits on {}: SHA-256 {:.2} GB/s, so {:.2} s for the disk of `five`; writing a file {:.2} GB/s, so {:.2} s for \
             its data; giving it room {:.2} GB/s, so {:.2} s\n",
            self.place,
            rate(self.sha256),
            seconds(self.sha256, size),
            rate(self.write),
            seconds(self.write, data),
            rate(self.allocate),
            seconds(self.allocate, data),
        )
    }
}

/// The shortest of the times that a work says it took.
fn best(mut work: impl FnMut() -> io::Result<Duration>) -> io::Result<f64> {
    let mut best = Duration::MAX;
    for _ in 0..TIMES {
        best = best.min(work()?);
    }
    Ok(best.as_secs_f64())
}

fn pieces(piece: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::repeat_n(piece, usize::try_from(LEN).unwrap_or(usize::MAX) / PIECE)
}

fn digest(piece: &[u8]) -> Duration {
    let start = Instant::now();
    let mut hasher = Sha256::new();
    pieces(piece).for_each(|piece| hasher.update(piece));
    std::hint::black_box(hasher.finalize());
    start.elapsed()
}

/// Removing the file again is not a part of it.
fn fill(piece: &[u8], path: &Path) -> io::Result<Duration> {
    let mut file = File::create(path)?;
    let start = Instant::now();
    let filled = pieces(piece).try_for_each(|piece| file.write_all(piece));
    let took = start.elapsed();
    std::fs::remove_file(path)?;
    filled.map(|()| took)
}

fn allocate(path: &Path) -> io::Result<Duration> {
    let file = File::create(path)?;
    let start = Instant::now();
    let allocated = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, LEN);
    let took = start.elapsed();
    std::fs::remove_file(path)?;
    Ok(allocated.map(|()| took)?)
}
