//! Whether both sides did the same work: each result's digest, held against every other of the same disk.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::disks::DiskName;
use super::job::{JobError, Runner};

/// What a command leaves behind, to be judged by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Leaves {
    /// An image that our program reads, at that place in the benchmark's folder.
    Image(&'static str),
    /// A raw image that the zstd command has to unpack.
    Packed(&'static str),
    /// A digest on standard output.
    Digest,
}

/// A digest of a disk's content.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Digest {
    kind: Kind,
    hex: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Sha256,
    Blksum,
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Sha256 => "sha256",
            Kind::Blksum => "blksum",
        };
        write!(f, "{kind}:{}", self.hex)
    }
}

/// Why a result is not taken for the disk.
#[derive(Debug, thiserror::Error)]
pub(super) enum EvidenceError {
    #[error(transparent)]
    Job(#[from] JobError),
    #[error("`{line}` printed no digest")]
    NoDigest { line: String },
    #[error("`{line}` gives another disk: {found}, where {known} was known of `{disk}`")]
    Differs { line: String, found: Digest, known: Digest, disk: &'static str },
}

/// All digests known so far, by the disk that they are of.
#[derive(Default)]
pub(super) struct Ledger(BTreeMap<(DiskName, Kind), Digest>);

impl Ledger {
    /// Judges what `line` left behind and printed, in `folder`, as a copy of `disk`.
    pub(super) fn judge(
        &mut self,
        runner: &Runner,
        folder: &Path,
        disk: DiskName,
        (line, leaves, printed): (&str, Leaves, &[u8]),
    ) -> Result<(), EvidenceError> {
        const UNPACKED: &str = "out/unpacked.raw";
        match leaves {
            Leaves::Digest => self.record(disk, line, printed),
            Leaves::Image(image) => self.judge_image(runner, folder, disk, (line, image)),
            Leaves::Packed(packed) => {
                runner.run(&format!("zstd -d -q -f {packed} -o {UNPACKED}"), folder)?;
                self.judge_image(runner, folder, disk, (line, UNPACKED))
            }
        }
    }

    /// Judges an image by what our program says of it.
    pub(super) fn judge_image(
        &mut self,
        runner: &Runner,
        folder: &Path,
        disk: DiskName,
        (line, image): (&str, &str),
    ) -> Result<(), EvidenceError> {
        let hash = runner.run(&format!("vhdx-export hash -q --digest blksum {image}"), folder)?;
        self.record(disk, line, &hash.stdout)
    }

    fn record(&mut self, disk: DiskName, line: &str, printed: &[u8]) -> Result<(), EvidenceError> {
        let found = digest_in(&String::from_utf8_lossy(printed))
            .ok_or_else(|| EvidenceError::NoDigest { line: line.to_owned() })?;
        let content = disk.content();
        let known = self.0.entry((content, found.kind)).or_insert_with(|| found.clone());
        if *known == found {
            return Ok(());
        }
        let known = known.clone();
        Err(EvidenceError::Differs { line: line.to_owned(), found, known, disk: content.name() })
    }
}

/// The first SHA-256 or blksum in a text, as our program and openssl print them.
fn digest_in(text: &str) -> Option<Digest> {
    text.split_whitespace().find_map(|word| {
        let (kind, hex) = match word.split_once(':') {
            Some(("blksum", hex)) => (Kind::Blksum, hex),
            Some(("sha256", hex)) => (Kind::Sha256, hex),
            _ => (Kind::Sha256, word),
        };
        let whole = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        whole.then(|| Digest { kind, hex: hex.to_owned() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_found_as_they_are_printed() {
        let hex = "0f".repeat(32);
        let sha256 = Some(Digest { kind: Kind::Sha256, hex: hex.clone() });
        assert_eq!(digest_in(&format!("sha256:{hex}\n")), sha256);
        assert_eq!(digest_in(&format!("SHA2-256(flat/five.raw)= {hex}\n")), sha256);
        assert_eq!(
            digest_in(&format!("blksum:{hex}\n")),
            Some(Digest { kind: Kind::Blksum, hex: hex.clone() })
        );
        assert_eq!(digest_in(&format!("{hex}0")), None);
        assert_eq!(digest_in("nothing"), None);
    }

    #[test]
    fn equal_disks_have_one_digest_of_each_kind_and_others_do_not_matter() {
        let mut ledger = Ledger::default();
        let mut record = |disk, kind: &str, digit: &str| {
            ledger.record(disk, "a line", format!("{kind}:{}", digit.repeat(64)).as_bytes())
        };
        assert!(record(DiskName::Five, "blksum", "a").is_ok());
        assert!(record(DiskName::Five, "sha256", "b").is_ok());
        assert!(record(DiskName::Huge, "blksum", "c").is_ok());
        assert!(record(DiskName::Plain, "blksum", "a").is_ok());
        let error = record(DiskName::Plain, "blksum", "d").unwrap_err().to_string();
        assert!(error.contains("a line") && error.contains("`five`"), "{error}");
    }
}
