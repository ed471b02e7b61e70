//! A line of `sha256sum`: the digest of an artifact and its name, for `sha256sum -c`.

use crate::ArtifactDigests;

/// The line for a file of that name, which lies beside the list.
///
/// Names with a backslash or the end of a line in them are written as GNU does: escaped, with a backslash in front.
#[must_use]
pub fn sums_line(digests: &ArtifactDigests, name: &str) -> String {
    let escaped = name.replace('\\', r"\\").replace('\n', r"\n").replace('\r', r"\r");
    let mark = if escaped == name { "" } else { "\\" };
    format!("{mark}{}  {escaped}\n", digests.sha256)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sha256Digest;

    #[test]
    fn names_are_escaped_as_gnu_does() {
        let digests = ArtifactDigests { sha256: Sha256Digest([0xab; 32]) };
        let hex = "ab".repeat(32);
        assert_eq!(sums_line(&digests, "web 01.raw"), format!("{hex}  web 01.raw\n"));
        assert_eq!(sums_line(&digests, "a\\b\nc"), format!("\\{hex}  a\\\\b\\nc\n"));
    }
}
