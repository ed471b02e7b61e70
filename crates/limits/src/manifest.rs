//! Bounds on manifests, whose length is bounded by [`crate::Limit::ManifestSize`]: a short text may ask for very many
//! elements, each of which takes far more memory than text.

/// Files of a chain: as many as [`crate::Limit::ChainDepth`] can be raised to.
pub const LINKS_MAX: usize = 1024;

/// Warnings: more than anybody reads.
pub const WARNINGS_MAX: usize = 16 << 10;

/// Ranges of the largest disk there is: 64 TiB in ranges of 64 MiB.
pub const RANGES_MAX: usize = 1 << 20;
