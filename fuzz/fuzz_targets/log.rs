//! See `vhdx_export_fuzz::log`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vhdx_export_fuzz::log(bytes));
