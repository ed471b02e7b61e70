//! Codecs: what makes a frame of a cell of the disk. Each frame stands for itself, and frames behind each other are a
//! valid file of their format.
//!
//! What is cut into cells, where frames go and what follows them is `frames.rs`.

mod gzip;
mod xz;
mod zstd;

use std::io;

use crate::Compression;

/// Compresses cells, one after the other. The same content gives the same bytes, whatever was encoded before.
pub(crate) trait Codec: Send {
    /// Compresses `content`, of at most 4 MiB, into one frame. `out` holds the frame and nothing else afterwards; the
    /// room it has is used again.
    fn encode(&mut self, content: &[u8], out: &mut Vec<u8>) -> io::Result<()>;
}

/// The codec for that choice. Fails only where memory runs out.
pub(crate) fn codec(compression: Compression) -> io::Result<Box<dyn Codec>> {
    Ok(match compression {
        Compression::Zstd(level) => Box::new(zstd::Zstd::new(level)?),
        Compression::Gzip(level) => Box::new(gzip::Gzip::new(level)),
        Compression::Xz(level) => Box::new(xz::Xz::new(level)),
    })
}

/// How much room a frame is given at a time, in bytes.
const ROOM: usize = 64 << 10;

/// What a compressor says that stopped although it had room.
fn stuck() -> io::Error {
    io::Error::other("the compressor does not go on")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CELL: usize = 4 << 20;

    fn encoded(compression: &str, content: &[u8]) -> Vec<u8> {
        let mut out = vec![1, 2, 3];
        codec(compression.parse().unwrap()).unwrap().encode(content, &mut out).unwrap();
        out
    }

    /// Bytes that no codec makes shorter.
    fn incompressible(len: usize) -> Vec<u8> {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        (0..len.div_ceil(8)).flat_map(|_| next()).take(len).collect()
    }

    #[test]
    fn a_codec_keeps_nothing_of_what_it_encoded_before() {
        for compression in ["zstd:1", "zstd:19", "gzip:1", "gzip:9", "xz:0", "xz:6"] {
            let mut codec = codec(compression.parse().unwrap()).unwrap();
            let contents = [incompressible(100_000), vec![7; 300_000], vec![0; 512], incompressible(512)];
            let mut out = Vec::new();
            for content in contents.iter().chain(contents.iter().rev()) {
                codec.encode(content, &mut out).unwrap();
                assert!(out == encoded(compression, content), "{compression}");
            }
        }
    }

    #[test]
    fn what_can_not_be_compressed_grows_by_a_hundredth_at_most() {
        let content = incompressible(CELL);
        for compression in ["zstd:1", "zstd:3", "gzip:1", "gzip:6", "gzip:9", "xz:0", "xz:6"] {
            let len = encoded(compression, &content).len();
            assert!(len <= CELL + CELL / 100, "{compression}: {len}");
        }
    }

    #[test]
    fn a_cell_of_zeros_costs_next_to_nothing() {
        for (compression, most) in [("zstd", 200), ("gzip", 4500), ("xz", 1000)] {
            let len = encoded(compression, &vec![0; CELL]).len();
            assert!(len < most, "{compression}: {len}");
        }
    }

    #[test]
    fn larger_dictionaries_of_xz_would_gain_nothing() {
        let mut content = incompressible(100_000);
        content.extend_from_within(..);
        assert!(encoded("xz:9", &content) == encoded("xz:6", &content));
    }
}
