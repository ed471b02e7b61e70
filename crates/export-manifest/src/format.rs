//! The formats that a disk is read from and written in.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a disk lies in a file, or that it lies on a device.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Format {
    /// A VHDX image.
    #[serde(rename = "vhdx")]
    Vhdx,
    /// The bare bytes.
    #[serde(rename = "raw")]
    Raw,
    /// The bare bytes in seekable frames of zstd.
    #[serde(rename = "raw.zst")]
    RawZst,
    /// The bare bytes in members of gzip.
    #[serde(rename = "raw.gz")]
    RawGz,
    /// The bare bytes in streams of xz.
    #[serde(rename = "raw.xz")]
    RawXz,
    /// The bare bytes on a block device.
    #[serde(rename = "device")]
    Device,
}

impl Format {
    /// Its name, which of a file's format is also the suffix of its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vhdx => "vhdx",
            Self::Raw => "raw",
            Self::RawZst => "raw.zst",
            Self::RawGz => "raw.gz",
            Self::RawXz => "raw.xz",
            Self::Device => "device",
        }
    }

    /// Whether the file has the disk's bytes and no others, one for one.
    #[must_use]
    pub fn is_bare(self) -> bool {
        matches!(self, Self::Raw | Self::Device)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
