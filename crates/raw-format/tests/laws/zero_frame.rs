//! The frame of zeros made by hand: what other decoders say of it.

use std::io::Write;
use std::process::{Command, Stdio};

use raw_format::{FRAME_LEN, zero_frame, zero_frame_len};

const LENGTHS: [u32; 18] = [
    0,
    1,
    255,
    256,
    511,
    512,
    4097,
    65_791,
    65_792,
    64 << 10,
    (128 << 10) - 1,
    128 << 10,
    (128 << 10) + 1,
    1_000_003,
    FRAME_LEN - 512,
    FRAME_LEN,
    FRAME_LEN + 1,
    64 << 20,
];

#[test]
fn libzstd_decodes_it_to_zeros_of_its_length() {
    for len in LENGTHS {
        let frame = zero_frame(len);
        assert_eq!(zstd::zstd_safe::get_frame_content_size(&frame).expect("a size"), Some(u64::from(len)));
        let mut content = vec![0xAA; len as usize + 1];
        let found = zstd::bulk::decompress_to_buffer(&frame, &mut content).expect("zeros");
        assert_eq!(found, len as usize);
        assert!(content[..found].iter().all(|byte| *byte == 0), "{len}");
    }
}

#[test]
fn its_length_is_known_without_making_it() {
    for len in LENGTHS.into_iter().chain(0..1000) {
        assert_eq!(zero_frame(len).len(), zero_frame_len(len), "{len}");
    }
}

/// If libzstd did not look at the checksum, the test above would say nothing about it.
#[test]
fn libzstd_refuses_it_with_another_checksum() {
    let mut frame = zero_frame(FRAME_LEN);
    *frame.last_mut().expect("a byte") ^= 1;
    let mut content = vec![0; FRAME_LEN as usize];
    zstd::bulk::decompress_to_buffer(&frame, &mut content).expect_err("a wrong checksum");
}

#[test]
fn the_zstd_program_accepts_it() {
    if Command::new("zstd").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("skipped: there is no zstd program here");
        return;
    }
    for len in LENGTHS {
        let mut program =
            Command::new("zstd").args(["-q", "-t"]).stdin(Stdio::piped()).spawn().expect("zstd starts");
        let mut input = program.stdin.take().expect("a pipe");
        input.write_all(&zero_frame(len)).expect("the frame fits into the pipe");
        drop(input);
        assert!(program.wait().expect("zstd ends").success(), "{len}");
    }
}
