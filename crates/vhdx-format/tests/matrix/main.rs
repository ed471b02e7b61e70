//! What the reader says of every case that the format's description knows, and of files that break it: the exact
//! error with its place, or the right bytes. One module per structure; `rows` holds the valid and the classic cases.

#![expect(clippy::panic, reason = "in a test's own functions, too, a panic is how the test fails")]

mod blocks;
mod file_and_headers;
mod locator;
mod log;
mod metadata;
mod regions;
mod robustness;
mod rows;
mod support;
