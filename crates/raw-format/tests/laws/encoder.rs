//! What frames are made of, and that they do not depend on what was made before.

use raw_format::{FrameEncoder, zero_frame};

use crate::support::noise;

fn encode(encoder: &mut FrameEncoder, content: &[u8]) -> Vec<u8> {
    let mut frame = b"what was there before".to_vec();
    encoder.encode(content, &mut frame).expect("a frame");
    frame
}

#[test]
fn a_frame_states_its_length_has_a_checksum_and_no_dictionary() {
    let mut encoder = FrameEncoder::new(3).expect("an encoder");
    for content in [vec![0; 4096], b"abc".repeat(1000), noise(1, 5000), Vec::new()] {
        let frame = encode(&mut encoder, &content);
        let size = zstd::zstd_safe::get_frame_content_size(&frame).expect("a size");
        assert_eq!(size, u64::try_from(content.len()).ok());
        // RFC 8878, 3.1.1.1.1: bit 2 says that there is a checksum, bits 0 and 1 that there is a dictionary.
        assert_eq!(frame[4] & 0b111, 0b100);
        assert_eq!(zstd::bulk::decompress(&frame, content.len()).expect("content"), content);
    }
}

#[test]
fn zeros_give_the_same_frame_at_every_level() {
    for level in [-7, 0, 1, 3, 9, 22] {
        let mut encoder = FrameEncoder::new(level).expect("an encoder");
        assert_eq!(encode(&mut encoder, &vec![0; 70_000]), zero_frame(70_000));
        assert_eq!(encode(&mut encoder, &[]), zero_frame(0));
    }
}

#[test]
fn one_byte_among_zeros_is_no_frame_of_zeros() {
    let mut encoder = FrameEncoder::new(3).expect("an encoder");
    for at in [0, 4095, 4096, 9998, 9999] {
        let mut content = vec![0; 10_000];
        content[at] = 1;
        let frame = encode(&mut encoder, &content);
        assert_eq!(zstd::bulk::decompress(&frame, content.len()).expect("content"), content);
    }
}

#[test]
fn a_frame_does_not_depend_on_those_before_it() {
    for level in [1, 3, 9, 19] {
        let contents: Vec<_> =
            (0..12).map(|seed| [noise(seed, 60_000), b"some words ".repeat(9_000)].concat()).collect();
        let mut used = FrameEncoder::new(level).expect("an encoder");
        let forwards: Vec<_> = contents.iter().map(|content| encode(&mut used, content)).collect();
        for (content, frame) in contents.iter().zip(forwards).rev() {
            assert!(encode(&mut used, content) == frame, "after others, level {level}");
            let mut fresh = FrameEncoder::new(level).expect("an encoder");
            assert!(encode(&mut fresh, content) == frame, "as the first, level {level}");
        }
    }
}
