//! A line of `sha256sum`: the digest of an artifact and its name, for `sha256sum -c`.

use std::ffi::OsStr;

use crate::ArtifactDigests;

/// The line for a file of that name, which lies beside the list. The name is written as it is, text or not.
///
/// Names with a backslash or the end of a line in them are written as GNU does: escaped, with a backslash in front.
#[must_use]
pub fn sums_line(digests: &ArtifactDigests, name: &OsStr) -> Vec<u8> {
    let mut escaped = Vec::new();
    for byte in name.as_encoded_bytes() {
        match byte {
            b'\\' => escaped.extend(br"\\"),
            b'\n' => escaped.extend(br"\n"),
            b'\r' => escaped.extend(br"\r"),
            byte => escaped.push(*byte),
        }
    }
    let mark = if escaped == name.as_encoded_bytes() { "" } else { "\\" };
    let mut line = format!("{mark}{}  ", digests.sha256).into_bytes();
    line.append(&mut escaped);
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sha256Digest;

    #[test]
    fn names_are_escaped_as_gnu_does() {
        let digests = ArtifactDigests { sha256: Sha256Digest([0xab; 32]) };
        let line = |name: &str| String::from_utf8(sums_line(&digests, OsStr::new(name))).unwrap();
        let hex = "ab".repeat(32);
        assert_eq!(line("web 01.raw"), format!("{hex}  web 01.raw\n"));
        assert_eq!(line("a\\b\nc"), format!("\\{hex}  a\\\\b\\nc\n"));
    }
}
