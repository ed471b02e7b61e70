//! A forged file as a source that counts what is read of it, and opening it: the one place that opens images here.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vhdx_format::forge::SparseFile;
use vhdx_format::{FileOffset, ImageError, Layer, Outline, ReadAt};

/// Longer tables are read and walked in honest work, a second for the 512 MiB of the largest disk in small blocks; a
/// fuzzer learns nothing from it that shorter ones do not teach. 1 MiB.
const TABLE_ENTRIES_MAX: u64 = 1 << 17;

/// What an image came to.
pub(crate) enum Opened {
    /// All of it is in order.
    Layer(Box<Layer>),
    /// The outline is; the table is longer than what is looked at here.
    Outline,
    /// It is refused.
    Refused(ImageError),
}

/// Opens a file, and holds what was read of it to the length of the file: no structure is read twice over.
pub(crate) fn open(file: &SparseFile) -> Opened {
    let read = Arc::new(AtomicU64::new(0));
    let source = Counting { file: file.clone(), read: Arc::clone(&read) };
    let opened = match Outline::open(Box::new(source)) {
        Ok(outline) if outline.layout().entry_count() > TABLE_ENTRIES_MAX => Opened::Outline,
        Ok(outline) => match Layer::from_outline(outline) {
            Ok(layer) => Opened::Layer(Box::new(layer)),
            Err(error) => Opened::Refused(error),
        },
        Err(error) => Opened::Refused(error),
    };
    let read = read.load(Ordering::Relaxed);
    assert!(read <= file.len() + (1 << 20), "{read} bytes were read of a file of {}", file.len());
    opened
}

/// Opens a file whose table is not too long to be looked at.
pub(crate) fn open_layer(file: &SparseFile) -> Option<Layer> {
    match open(file) {
        Opened::Layer(layer) => Some(*layer),
        Opened::Outline => None,
        Opened::Refused(error) => {
            // Every word of it.
            let _ = format!("{error} {error:?}");
            None
        }
    }
}

struct Counting {
    file: SparseFile,
    read: Arc<AtomicU64>,
}

impl ReadAt for Counting {
    fn read_exact_at(&self, at: FileOffset, buf: &mut [u8]) -> io::Result<()> {
        self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        let end = at.0.checked_add(buf.len() as u64);
        assert!(
            end.is_some_and(|end| end <= self.file.len()),
            "reads {} bytes at {at}, past the end",
            buf.len()
        );
        self.file.read_exact_at(at, buf)
    }

    fn byte_len(&self) -> io::Result<u64> {
        self.file.byte_len()
    }
}
