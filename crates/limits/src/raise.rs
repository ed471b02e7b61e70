//! The limits that a user may raise, by name.

use std::fmt;
use std::str::FromStr;

/// A limit that a user may raise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// Images in one chain.
    ChainDepth,
    /// Key-value pairs of a parent locator.
    LocatorPairs,
    /// Bytes of one metadata item.
    MetadataSize,
    /// Bytes of a log that is replayed.
    LogSize,
    /// Names looked at in one search.
    NamesScanned,
    /// Bytes of a VM configuration.
    ConfigurationSize,
    /// Bytes of a manifest.
    ManifestSize,
}

/// What a limit counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Images, pairs or names.
    Pieces,
}

/// What is known of a limit.
struct Facts {
    name: &'static str,
    unit: Unit,
    usual: u64,
    most: u64,
    reason: &'static str,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ChainDepth,
        Self::LocatorPairs,
        Self::MetadataSize,
        Self::LogSize,
        Self::NamesScanned,
        Self::ConfigurationSize,
        Self::ManifestSize,
    ];

    const fn facts(self) -> Facts {
        match self {
            Self::ChainDepth => Facts {
                name: "chain-depth",
                unit: Unit::Pieces,
                usual: 256,
                most: 1024,
                reason: "images in one chain, leaf and base included. Hyper-V allows 50 checkpoints, backup software \
                         has left chains of more than a hundred, and Microsoft's own reader stops at 256. Each image \
                         takes an open file and two table pages",
            },
            Self::LocatorPairs => Facts {
                name: "locator-pairs",
                unit: Unit::Pieces,
                usual: 256,
                most: 65_535,
                reason: "key-value pairs in an image's link to its parent. Windows writes five, and Microsoft's own \
                         reader stops at 256; the format has no room for more than 65535",
            },
            Self::MetadataSize => Facts {
                name: "metadata-size",
                unit: Unit::Bytes,
                usual: 1 << 20,
                most: 64 << 20,
                reason: "bytes of one metadata item. The format allows 1 MiB (MS-VHDX 2.6.1.2), and Windows writes a \
                         few hundred bytes; an item is read as a whole",
            },
            Self::LogSize => Facts {
                name: "log-size",
                unit: Unit::Bytes,
                usual: 64 << 20,
                most: 4095 << 20,
                reason: "bytes of the logs of a chain that are replayed, all together. Every log that Windows, Hyper-V or Disk2vhd is known to have \
                         made has 1 MiB; replaying takes up to two and a half times its length in memory",
            },
            Self::NamesScanned => Facts {
                name: "names-scanned",
                unit: Unit::Pieces,
                usual: 100_000,
                most: 100_000_000,
                reason: "names looked at in one search for images and configurations. A folder of 200 VMs with all \
                         their checkpoints has some thousands; a search that meets a hundred thousand was started in the \
                         wrong place, and would read a file server for hours",
            },
            Self::ConfigurationSize => Facts {
                name: "configuration-size",
                unit: Unit::Bytes,
                usual: 64 << 20,
                most: 1 << 30,
                reason: "bytes of a VM configuration (of XML, half as many, which grow as they are decoded). Real ones \
                         are below 100 KiB; a file is held in memory as a whole, and a .vmrs with the memory of a guest \
                         should not be",
            },
            Self::ManifestSize => Facts {
                name: "manifest-size",
                unit: Unit::Bytes,
                usual: 512 << 20,
                most: 4 << 30,
                reason: "bytes of a manifest. A disk of 64 TiB without a zero in it has a million ranges of some 350 \
                         bytes each",
            },
        }
    }

    /// The name a user knows it by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// What it counts.
    #[must_use]
    pub const fn unit(self) -> Unit {
        self.facts().unit
    }

    /// The value where nobody raises it.
    #[must_use]
    pub const fn usual(self) -> u64 {
        self.facts().usual
    }

    /// The highest value it can be raised to: behind it, the format itself ends or other bounds would have to move.
    #[must_use]
    pub const fn most(self) -> u64 {
        self.facts().most
    }

    /// What it bounds, and the argument for its usual value.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        self.facts().reason
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Limit {
    type Err = UnknownLimit;

    fn from_str(text: &str) -> Result<Self, UnknownLimit> {
        Self::ALL.into_iter().find(|limit| limit.name() == text).ok_or(UnknownLimit)
    }
}

/// No limit has that name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no limit of that name")]
pub struct UnknownLimit;

/// A limit can not have that value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{limit} can be from {} to {}", limit.usual(), limit.most())]
pub struct OutOfRange {
    /// The limit.
    pub limit: Limit,
}

/// The limits to keep to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Limits([u64; Limit::ALL.len()]);

impl Default for Limits {
    /// What is enough for every file that is known to be sound.
    fn default() -> Self {
        Self(Limit::ALL.map(Limit::usual))
    }
}

impl Limits {
    /// The value of a limit.
    #[must_use]
    pub fn of(&self, limit: Limit) -> u64 {
        let values = Limit::ALL.into_iter().zip(self.0);
        values.filter(|(other, _)| *other == limit).map(|(_, value)| value).sum()
    }

    /// Raises a limit to `value`: never below what it usually is, so that nobody breaks sound files, nor above its most.
    pub fn raise(&mut self, limit: Limit, value: u64) -> Result<(), OutOfRange> {
        if !(limit.usual()..=limit.most()).contains(&value) {
            return Err(OutOfRange { limit });
        }
        for (other, slot) in Limit::ALL.into_iter().zip(&mut self.0) {
            if other == limit {
                *slot = value;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_listed_once_and_found_by_its_name() {
        for (index, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit.name().parse(), Ok(limit));
            assert!(!Limit::ALL[..index].contains(&limit));
            assert!(limit.usual() < limit.most());
        }
        assert_eq!("depth".parse::<Limit>(), Err(UnknownLimit));
    }

    #[test]
    fn only_the_limit_that_is_raised_changes() {
        for raised in Limit::ALL {
            let mut limits = Limits::default();
            assert_eq!(limits.raise(raised, raised.most()), Ok(()));
            for limit in Limit::ALL {
                let expected = if limit == raised { limit.most() } else { limit.usual() };
                assert_eq!(limits.of(limit), expected);
            }
        }
    }

    #[test]
    fn no_limit_goes_below_its_usual_value_or_above_its_most() {
        for limit in Limit::ALL {
            let mut limits = Limits::default();
            for value in [0, limit.usual() - 1, limit.most() + 1, u64::MAX] {
                assert_eq!(limits.raise(limit, value), Err(OutOfRange { limit }));
            }
            assert_eq!(limits, Limits::default());
        }
    }
}
