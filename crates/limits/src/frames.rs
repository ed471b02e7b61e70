//! Bounds on frames and their number, each with the argument for its value.
//!
//! The first is what this project writes, the next two are the seekable format's own. The others are this program's,
//! on what it reads: going over one of them is reported as that.

/// Length in bytes of the content of a frame that this project writes: the pieces that disks are exported in, so that
/// reading a piece back takes one frame and nothing else. 4 MiB.
pub const FRAME_LEN: u32 = 4 << 20;

/// Longest content of a frame in the seekable format, in bytes: 1 GiB.
pub const FORMAT_CONTENT_MAX: u32 = 1 << 30;

/// Most frames that a table in the seekable format lists.
pub const FORMAT_FRAMES_MAX: u32 = 0x0800_0000;

/// Longest content of a frame that is read, in bytes: 64 MiB. Whoever wants one byte of a frame needs all of it in
/// memory, once for each thread. Writers of the seekable format make frames of a few MiB; this leaves room for sixteen
/// times [`FRAME_LEN`].
pub const CONTENT_LEN_MAX: u32 = 64 << 20;

/// Longest frame that is read, in bytes as it lies in the file: 65 MiB. Content that can not be compressed grows by
/// 1/256 at worst, so no honest frame of [`CONTENT_LEN_MAX`] comes near.
pub const PACKED_LEN_MAX: u32 = 65 << 20;

/// Most frames without content that are read. Each of them is looked at when the file is opened, and may be as long as
/// [`PACKED_LEN_MAX`]: a file of holes must not take minutes there. Writers make one, at the end, or none. 16.
pub const EMPTY_FRAMES_MAX: u32 = 16;

/// Most frames that are read. The largest disk there is, 64 TiB, in frames of [`FRAME_LEN`] has half as many, and a
/// table of so many takes less than 300 MiB of memory (with checksums less than 420 MiB).
pub const FRAMES_MAX: u32 = 1 << 25;
