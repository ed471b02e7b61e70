//! What raw disks and seekable zstd files keep to: against content kept in memory, against other programs, and against
//! files that lie. One module per idea.

#![expect(clippy::panic, reason = "in a test's own functions, too, a panic is how the test fails")]

mod disk;
mod encoder;
mod hostile;
mod large;
mod oracles;
mod raw;
mod support;
mod zero_frame;
