//! What to compress with and how hard, as typed choices that are valid once they are there, and as text.
//!
//! The codecs themselves are `codec.rs`.

use std::fmt;
use std::str::FromStr;

/// How to compress a bare disk.
///
/// Each thread needs working memory besides its buffers (see [`crate::compressed`]). What is compressed at a time is never
/// longer than 4 MiB, so there is a bound on it whatever the level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    /// Frames of zstd with a table of them behind. Each thread takes less than 4 MiB up to level 6, 11 MiB at level 9 and
    /// 66 MiB at most, which levels 13 to 15 and 20 to 22 come close to: libzstd is told how long the content is and takes
    /// no larger tables than that calls for. Levels from 19 on take many times the time of the usual one.
    Zstd(ZstdLevel),
    /// Members of gzip. Each thread takes less than 1 MiB. A cell of zeros still takes 4 KiB: gzip can do no better than
    /// a thousandth.
    Gzip(GzipLevel),
    /// Streams of xz, with a CRC-64 each. Each thread takes up to 48 MiB (level 4 and above), 32 MiB (level 3) or less.
    /// What levels 7 to 9 add to level 6 is a dictionary of more than 8 MiB; none here is larger than what is compressed
    /// at a time, so they give the same bytes as level 6.
    Xz(XzLevel),
}

/// A level of compression, from `MIN` to `MAX`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Level<const MIN: u8, const MAX: u8, const DEFAULT: u8>(u8);

/// A level of zstd: 1 to 22, and 3 where nothing is said.
pub type ZstdLevel = Level<1, 22, 3>;

/// A level of gzip: 1 to 9, and 6 where nothing is said.
pub type GzipLevel = Level<1, 9, 6>;

/// A level of xz: 0 to 9, and 6 where nothing is said.
pub type XzLevel = Level<0, 9, 6>;

impl<const MIN: u8, const MAX: u8, const DEFAULT: u8> Level<MIN, MAX, DEFAULT> {
    /// That level; `None` if it is out of bounds.
    #[must_use]
    pub const fn new(level: u8) -> Option<Self> {
        if level >= MIN && level <= MAX { Some(Self(level)) } else { None }
    }

    /// The level.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The level that is written behind the name of a codec, or the usual one if none is.
    fn parse(codec: &'static str, text: Option<&str>) -> Result<Self, CompressionError> {
        let Some(text) = text else { return Ok(Self::default()) };
        let is_number = text.bytes().all(|digit| digit.is_ascii_digit());
        let level = text.parse().ok().filter(|_| is_number).and_then(Self::new);
        level.ok_or_else(|| CompressionError::Level { codec, level: text.to_owned(), min: MIN, max: MAX })
    }
}

impl<const MIN: u8, const MAX: u8, const DEFAULT: u8> Default for Level<MIN, MAX, DEFAULT> {
    fn default() -> Self {
        const { assert!(MIN <= DEFAULT && DEFAULT <= MAX) };
        Self(DEFAULT)
    }
}

/// A text names no compression.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CompressionError {
    /// There is none of that name.
    #[error("`{0}` is no compression: it is zstd, gzip or xz, alone or with a level as in `zstd:3`")]
    Unknown(String),
    /// It has no such level.
    #[error("{codec} has no level `{level}`: its levels are {min} to {max}")]
    Level {
        /// What was named.
        codec: &'static str,
        /// The level as it was written.
        level: String,
        /// The lowest level.
        min: u8,
        /// The highest level.
        max: u8,
    },
}

/// `zstd`, or `zstd:3`; likewise `gzip` and `xz`.
impl FromStr for Compression {
    type Err = CompressionError;

    fn from_str(text: &str) -> Result<Self, CompressionError> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level)),
            None => (text, None),
        };
        match name {
            "zstd" => Level::parse("zstd", level).map(Self::Zstd),
            "gzip" => Level::parse("gzip", level).map(Self::Gzip),
            "xz" => Level::parse("xz", level).map(Self::Xz),
            _ => Err(CompressionError::Unknown(text.to_owned())),
        }
    }
}

/// As it is parsed, with the level.
impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zstd(level) => write!(f, "zstd:{}", level.get()),
            Self::Gzip(level) => write!(f, "gzip:{}", level.get()),
            Self::Xz(level) => write!(f, "xz:{}", level.get()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_alone_means_the_usual_level() {
        for (name, with_level) in [("zstd", "zstd:3"), ("gzip", "gzip:6"), ("xz", "xz:6")] {
            assert_eq!(name.parse::<Compression>().unwrap().to_string(), with_level);
            assert_eq!(name.parse::<Compression>(), with_level.parse());
        }
    }

    #[test]
    fn levels_end_where_the_codecs_end() {
        for (name, min, max) in [("zstd", 1, 22), ("gzip", 1, 9), ("xz", 0, 9)] {
            for level in 0..=30_u8 {
                let text = format!("{name}:{level}");
                match text.parse::<Compression>() {
                    Ok(parsed) => {
                        assert!((min..=max).contains(&level), "{text}");
                        assert_eq!(parsed.to_string(), text);
                    }
                    Err(error) => {
                        assert!(!(min..=max).contains(&level), "{text}");
                        let expected =
                            format!("{name} has no level `{level}`: its levels are {min} to {max}");
                        assert_eq!(error.to_string(), expected);
                    }
                }
            }
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "zip", "ZSTD", "zst", " zstd", ":3", "lz4:1"] {
            assert_eq!(text.parse::<Compression>(), Err(CompressionError::Unknown(text.to_owned())));
        }
        for text in ["zstd:", "zstd:+3", "zstd:-3", "zstd:3 ", "zstd:3:4", "zstd:259", "zstd:three"] {
            let error = text.parse::<Compression>().unwrap_err();
            assert!(matches!(error, CompressionError::Level { codec: "zstd", .. }), "{text}");
        }
    }
}
