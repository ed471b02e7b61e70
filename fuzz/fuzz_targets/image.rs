//! See `vhdx_export_fuzz::image`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vhdx_export_fuzz::image(bytes));
