//! Digests, as types that do not convert into each other: of what a guest sees, and of the file that was written.
//!
//! Mixing up the two is the classic bug of checksums for images: `sha256sum` of a compressed image says nothing of the
//! disk in it. How block digests are put together is `blksum.rs`.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use vhdx_format::{DiskRange, FileOffset, ReadAt};

use crate::blksum::BlockSums;

/// A SHA-256, of whatever the field that holds it says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256Digest(pub [u8; 32]);

impl Sha256Digest {
    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Of a whole file, read from front to back by position, through the handle that the caller has.
    pub fn of_source(source: &dyn ReadAt) -> io::Result<Self> {
        let mut hashed = Hashed::default();
        let mut buffer = vec![0; 1 << 20];
        let (mut at, end) = (0_u64, source.byte_len()?);
        while at < end {
            let len = buffer.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
            let (part, _) = buffer.split_at_mut(len);
            source.read_exact_at(FileOffset(at), part)?;
            hashed.0.update(&*part);
            at = at.saturating_add(len as u64);
        }
        Ok(hashed.finish())
    }

    pub(crate) fn finish(hasher: Sha256) -> Self {
        Self(hasher.finalize().into())
    }
}

/// 64 lower-case hexadecimal digits, as `sha256sum` prints them.
impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text is no SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not 64 lower-case hexadecimal digits")]
pub struct NotADigest;

impl FromStr for Sha256Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(NotADigest);
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| NotADigest)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| NotADigest)?;
        }
        Ok(Self(bytes))
    }
}

/// The digits, as a string.
impl Serialize for Sha256Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What to compute while a disk is copied. What is not asked for costs nothing.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "any of them may be wanted without the others")]
pub struct DigestChoice {
    /// SHA-256 of the content. Serial by nature: it takes the time of the whole virtual size.
    pub sha256: bool,
    /// Block digests of the content, and all that is made of them. Parallel; zeros are nearly free.
    pub blksum: bool,
    /// SHA-256 of each run of data, for a block map.
    pub runs: bool,
    /// SHA-256 of the artifact. That of a bare disk is its content's, and there only if that is asked for.
    pub artifact: bool,
}

impl DigestChoice {
    /// Whether anything is, so that all of the disk has to be read.
    #[must_use]
    pub fn any(self) -> bool {
        self.sha256 || self.blksum || self.runs || self.artifact
    }
}

/// Digests of the bytes that a guest sees, 0 to the virtual size, zeros included: equal for every format of the disk.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ContentDigests {
    /// What `head -c SIZE DEVICE | sha256sum` prints of a restored disk.
    pub sha256: Option<Sha256Digest>,
    /// The digests made of block digests.
    pub blocks: Option<BlockSums>,
    /// Each run of data, ascending; whatever lies between is zeros.
    pub runs: Option<Vec<RunDigest>>,
}

/// The SHA-256 of a run of data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunDigest {
    /// Where it lies: whole multiples of 4 KiB unless it ends with the disk, never longer than a piece (4 MiB).
    pub range: DiskRange,
    /// Of its bytes.
    pub sha256: Sha256Digest,
}

/// Digests of the file or stream that was written, byte by byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArtifactDigests {
    /// What `sha256sum` prints of the artifact.
    pub sha256: Sha256Digest,
}

/// A place to write to that keeps nothing but the digest of what it is given.
#[derive(Default, Debug)]
pub(crate) struct Hashed(Sha256);

impl Hashed {
    pub(crate) fn finish(self) -> Sha256Digest {
        Sha256Digest::finish(self.0)
    }
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_digest_of_its_bytes_however_long() {
        for len in [0, 1, 1 << 20, (2 << 20) + 7] {
            let bytes: Vec<u8> = (0..=255).cycle().take(len).collect();
            assert_eq!(Sha256Digest::of_source(&bytes).unwrap(), Sha256Digest::of(&bytes));
        }
    }

    #[test]
    fn a_digest_is_written_and_read_as_sha256sum_does() {
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Sha256Digest::of(b"").to_string(), text);
        assert_eq!(text.parse(), Ok(Sha256Digest::of(b"")));
        let multibyte = "é".repeat(32);
        for wrong in [
            "",
            &text[1..],
            &format!("{text}0"),
            &text.replace('e', "g"),
            &text.to_uppercase(),
            &format!("+{}", &text[1..]),
            &multibyte,
        ] {
            assert_eq!(wrong.parse::<Sha256Digest>(), Err(NotADigest), "{wrong}");
        }
    }
}
