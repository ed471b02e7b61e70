//! Other programs: they read what is written here, and what they write is read here.

use std::io::{Cursor, Read};

use proptest::prelude::*;
use zeekstd::{Decoder, EncodeOptions, FrameSizePolicy};

use crate::support::{cut, cut_content, file_of, open, whole};

fn zeekstd_file(content: &[u8], frame_len: u32, has_checksums: bool) -> Vec<u8> {
    let mut file = Vec::new();
    let options = EncodeOptions::new()
        .frame_size_policy(FrameSizePolicy::Uncompressed(frame_len))
        .checksum_flag(has_checksums);
    let mut encoder = options.into_encoder(&mut file).expect("an encoder");
    encoder.compress(content).expect("compressed");
    encoder.finish().expect("finished");
    file
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn zeekstd_reads_what_is_written_here((content, cuts) in cut_content()) {
        let file = file_of(cut(&content, &cuts));
        let mut found = Vec::new();
        let mut decoder = Decoder::new(Cursor::new(&file)).expect("a table");
        decoder.read_to_end(&mut found).expect("content");
        prop_assert!(found == content);
        let table = decoder.seek_table();
        prop_assert_eq!(table.num_frames() as usize, cuts.len() + 1);
        prop_assert_eq!(table.size_decomp(), content.len() as u64);
    }

    #[test]
    fn what_zeekstd_writes_is_read_here(
        (content, _) in cut_content(),
        frame_len in 100..20_000_u32,
        has_checksums in any::<bool>(),
    ) {
        let disk = open(&zeekstd_file(&content, frame_len, has_checksums));
        prop_assert!(whole(&disk) == content);
    }

    /// Who knows nothing of the table reads the file from front to back.
    #[test]
    fn any_zstd_decoder_reads_the_whole_file((content, cuts) in cut_content()) {
        let found = zstd::decode_all(&file_of(cut(&content, &cuts))[..]).expect("content");
        prop_assert!(found == content);
    }
}
