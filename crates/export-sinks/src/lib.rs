//! export-sinks
