//! What a disk or a file holds, in a few bytes, at a price that goes with the data and not with the zeros.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::SeekFrom;
use sha2::{Digest, Sha256};

const BLOCK: usize = 64 << 10;
static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// A digest of bytes and their number. Equal for equal bytes, whether zeros came as bytes or as a hole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Content {
    pub(crate) len: u64,
    digest: String,
}

/// Takes bytes in order.
struct Digester {
    outer: Sha256,
    block: Vec<u8>,
    zero_blocks: u64,
    len: u64,
}

impl Digester {
    fn new() -> Self {
        Self { outer: Sha256::new(), block: Vec::with_capacity(BLOCK), zero_blocks: 0, len: 0 }
    }

    fn bytes(&mut self, mut bytes: &[u8]) {
        self.len += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.block.len()));
            bytes = later;
            if now.len() == BLOCK {
                self.whole(now);
                continue;
            }
            self.block.extend_from_slice(now);
            if self.block.len() == BLOCK {
                let block = std::mem::take(&mut self.block);
                self.whole(&block);
                self.block = block;
                self.block.clear();
            }
        }
    }

    fn zeros(&mut self, mut len: u64) {
        let to_border = ((BLOCK - self.block.len()) as u64).min(len);
        if !self.block.is_empty() {
            self.bytes(&ZEROS[..to_border as usize]);
            len -= to_border;
        }
        self.zero_blocks += len / BLOCK as u64;
        self.len += len / BLOCK as u64 * BLOCK as u64;
        self.bytes(&ZEROS[..(len % BLOCK as u64) as usize]);
    }

    fn whole(&mut self, block: &[u8]) {
        if block == ZEROS {
            self.zero_blocks += 1;
            return;
        }
        self.end_zeros();
        self.outer.update(block);
    }

    fn end_zeros(&mut self) {
        self.outer.update(self.zero_blocks.to_le_bytes());
        self.zero_blocks = 0;
    }

    fn finish(mut self) -> Content {
        self.end_zeros();
        self.outer.update(&self.block);
        Content { len: self.len, digest: hex(self.outer) }
    }
}

impl Content {
    /// Of bytes in memory.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut digester = Digester::new();
        digester.bytes(bytes);
        digester.finish()
    }

    /// Of everything that a reader gives.
    pub(crate) fn read(reader: &mut dyn Read) -> Self {
        let mut digester = Digester::new();
        each_part(reader, |part| digester.bytes(part));
        digester.finish()
    }
}

/// SHA-256 in hex, and the content, of everything that a reader gives.
pub(crate) fn sha256_and_content(reader: &mut dyn Read) -> (String, Content) {
    let (mut sha256, mut digester) = (Sha256::new(), Digester::new());
    each_part(reader, |part| {
        sha256.update(part);
        digester.bytes(part);
    });
    (hex(sha256), digester.finish())
}

/// Of a file; holes cost nothing.
pub(crate) fn content_of(path: &Path) -> Content {
    let mut file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let len = file.metadata().unwrap().len();
    let mut digester = Digester::new();
    let mut at = 0;
    while at < len {
        let data = next_data(&file, at).unwrap_or(len).min(len);
        digester.zeros(data - at);
        at = data;
        if at < len {
            let hole = rustix::fs::seek(&file, SeekFrom::Hole(at)).unwrap_or(len).min(len);
            rustix::fs::seek(&file, SeekFrom::Start(at)).unwrap();
            each_part(&mut (&mut file).take(hole - at), |part| digester.bytes(part));
            at = hole;
        }
    }
    digester.finish()
}

/// Where the next data is; none where a hole goes up to the end.
fn next_data(file: &File, at: u64) -> Option<u64> {
    match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(data) => Some(data),
        Err(rustix::io::Errno::NXIO) => None,
        // A file system without holes.
        Err(_) => Some(at),
    }
}

fn each_part(reader: &mut dyn Read, mut take: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return,
            Ok(len) => take(&buffer[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => panic!("reading: {error}"),
        }
    }
}

fn hex(digest: Sha256) -> String {
    use std::fmt::Write as _;
    digest.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[test]
fn zeros_are_the_same_as_bytes_and_as_a_hole() {
    let mut bytes = vec![0; 300_000];
    bytes[150_000] = 1;
    let mut by_runs = Digester::new();
    by_runs.zeros(150_000);
    by_runs.bytes(&[1]);
    by_runs.zeros(149_999);
    assert_eq!(by_runs.finish(), Content::of(&bytes));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sparse");
    let file = File::create(&path).unwrap();
    file.set_len(300_000).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[1], 150_000).unwrap();
    assert_eq!(content_of(&path), Content::of(&bytes));

    bytes.swap(150_000, 150_001);
    assert_ne!(content_of(&path), Content::of(&bytes));
}
