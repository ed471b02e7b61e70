//! Writes VM configurations, valid or not: for tests and fixtures, never for users' data.
//!
//! [`hvs`] writes the binary store, [`xml`] the older form, [`vm`] the keys of a VM and of its checkpoints, [`history`]
//! all that a VM leaves which has lived a while. Nothing is
//! validated: what is asked for is what comes out. The formats are written here a second time, from the bytes up, and
//! share no layout with the readers, so that a mistake in one of them shows.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::indexing_slicing,
    reason = "its inputs are the tests' own, so a mistake should stop the test that makes it"
)]

pub mod history;
pub mod hvs;
pub mod vm;
pub mod xml;
