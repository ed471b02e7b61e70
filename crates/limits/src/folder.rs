//! Bounds on folders that are searched. How many names are looked at is [`crate::Limit::NamesScanned`].

/// Deepest nesting of folders that is followed: far more than any VM layout has, and a bound on how much work a folder can
/// make of few names.
pub const DEPTH_MAX: usize = 32;
