//! What the name of a file says of its format: of one that is written, and of one that is read.
//!
//! Nothing looks at the content of a file to find out: that of a bare disk is the guest's.

use std::path::Path;

use export_manifest::Format;

/// Suffixes of images that are no bare disks: compressed, they are no bare disk either.
const IMAGES: [&str; 9] = ["vhdx", "avhdx", "vhd", "avhd", "vhds", "qcow2", "vmdk", "vdi", "ova"];

/// The format of a file of that name; `None` if the name does not say.
pub(crate) fn of_name(path: &Path) -> Option<Format> {
    let packed =
        |format| (!IMAGES.contains(&suffix(Path::new(path.file_stem()?)).as_str())).then_some(format);
    match suffix(path).as_str() {
        "vhdx" => Some(Format::Vhdx),
        "raw" | "img" => Some(Format::Raw),
        "zst" => packed(Format::RawZst),
        "gz" => packed(Format::RawGz),
        "xz" => packed(Format::RawXz),
        _ => None,
    }
}

/// The program that unpacks a file of that name.
pub(crate) fn unpacker(path: &Path) -> Option<&'static str> {
    match suffix(path).as_str() {
        "zst" => Some("zstd"),
        "gz" => Some("gzip"),
        "xz" => Some("xz"),
        _ => None,
    }
}

fn suffix(path: &Path) -> String {
    path.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_suffix_decides_and_the_one_before_may_object() {
        for (name, format) in [
            ("a.vhdx", Some(Format::Vhdx)),
            ("a.raw", Some(Format::Raw)),
            ("a.IMG", Some(Format::Raw)),
            ("a.raw.zst", Some(Format::RawZst)),
            ("web01.2024.zst", Some(Format::RawZst)),
            ("a.zst", Some(Format::RawZst)),
            ("a.img.gz", Some(Format::RawGz)),
            ("a.raw.xz", Some(Format::RawXz)),
            ("a.vhdx.zst", None),
            ("a.QCOW2.gz", None),
            ("a.avhdx", None),
            ("a", None),
            ("raw", None),
        ] {
            assert_eq!(of_name(Path::new(name)), format, "{name}");
        }
    }
}
