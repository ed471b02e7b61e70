//! From a disk to one artifact: the copying half of `vhdx-export`.
//!
//! [`export`] reads a [`VirtualDisk`](vhdx_format::VirtualDisk) once, front to back, on several threads, and hands it
//! to a [`Sink`] in disk order. Sinks: [`raw`] (a sparse file, or a stream), [`compressed`] (the same bytes in frames of
//! zstd, gzip or xz), [`vhdx`] (a file, or a stream) and [`device`] (a block device).
//!
//! ```text
//! extents ─▶ pieces ─▶ read, find zeros, digest, encode ─▶ accept ─▶ follow (a thread each) ─▶ complete ─▶ publish
//! piece.rs             (threads) filled.rs, zeros.rs,      (in disk order)                    sync         a name
//!                      digesting.rs                        sink.rs     follow.rs              staged.rs    publish.rs
//! ```
//!
//! Promises:
//!
//! - *The whole disk or an error.* Extents that leave a gap, a read that fails, data where the table of a written image
//!   says there is none: each ends the export.
//! - *All or nothing.* A file is written as `NAME.partial` and gets its name when it is complete and durable; an
//!   unfinished sink that is dropped takes its partial file with it. A stream can not be taken back, and what a device
//!   held is gone; see [`device`].
//! - *Sources are safe.* A target that is one of them, under whatever name, is refused; see [`Target`] and
//!   [`device::DeviceTarget`].
//! - *Bounded memory.* 2 × (threads + followers + 1) buffers of 4 MiB, at least 16 with followers, whatever the disk; a run
//!   of zeros costs none. Each thread takes 256 KiB more where short runs are read together. What compressing adds is said at
//!   [`compressed`]; digests by blocks take 56 bytes for each 64 MiB of the disk, and 128 more where these hold data. By
//!   default there are no more threads than keep the buffers within 104 MiB.
//! - *Same input, same bytes*, whatever the number of threads, into a file or into a stream.
//!
//! What an image is, how a chain of them is read, what the user asked for and how progress is drawn is the business of
//! others.
//!
//! ```no_run
//! # fn run(disk: &dyn vhdx_format::VirtualDisk) -> Result<(), export_sinks::ExportError> {
//! use export_sinks::{Cancel, NoProgress, Options, Overwrite, Target, export, raw};
//!
//! let target = Target::new("web01.raw", Overwrite::Refuse);
//! let sink = raw::to_file(&target, disk)?;
//! let cancel = Cancel::new();
//! let received = export(disk, sink, &Options::default(), &NoProgress, &cancel)?;
//! // Here is the place to ask whether the sources changed.
//! let done = received.complete(&cancel)?.publish()?;
//! println!("{} bytes of data", done.content.data);
//! # Ok(())
//! # }
//! ```

mod blksum;
mod bmap;
mod cancel;
mod codec;
pub mod compressed;
mod compression;
mod copying;
pub mod device;
mod differences;
mod digest;
mod digesting;
mod discard;
mod drop_behind;
mod error;
mod export;
mod filled;
mod follow;
mod frames;
mod part;
mod piece;
mod pool;
mod progress;
mod publish;
pub mod raw;
mod sequence;
mod sharing;
pub mod sink;
mod space;
mod staged;
mod sums;
mod survey;
mod target;
pub mod vhdx;
mod zeros;

#[cfg(test)]
mod conformance;

pub use blksum::{BLOCK_LEN, BlockSums, MARK_LEN, Mark, RANGE_LEN, RangeSum};
pub use bmap::block_map;
pub use cancel::{Cancel, Cancelled};
pub use compression::{Compression, CompressionError, GzipLevel, Level, XzLevel, ZstdLevel};
pub use differences::{Difference, difference, differences};
pub use digest::{ArtifactDigests, ContentDigests, DigestChoice, NotADigest, RunDigest, Sha256Digest};
pub use discard::digest;
pub use error::{Doing, ExportError, Place, SinkError, SpaceError};
pub use export::{Completed, Export, Options, Received, export};
pub use filled::{FilledPiece, Run};
pub use follow::Follow;
pub use part::Part;
pub use pool::Pool;
pub use progress::{NoProgress, Progress, Tally};
pub use sharing::{NotShared, Reflink};
pub use sink::{Artifact, DigestSource, Encode, Sink};
pub use space::{free_room, stored_len};
pub use staged::{StagedFile, unpublish};
pub use sums::sums_line;
pub use survey::{Surveyed, survey};
pub use target::{FileIdentity, NotAFile, Overwrite, Readers, Target, TargetError};
