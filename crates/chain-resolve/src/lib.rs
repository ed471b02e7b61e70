//! chain-resolve
