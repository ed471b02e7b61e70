//! The archive: one folder with everything in it, packed so that the same files give the same bytes.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use super::moment::Moment;
use super::tree::Tree;
use super::{DistError, PathBuf};

/// A compressed tar archive of `tree` below `folder`. Whoever unpacks it owns the files.
pub(super) fn of(tree: &Tree, folder: &str, moment: Moment) -> Result<Vec<u8>, DistError> {
    let packed = || -> io::Result<Vec<u8>> {
        let mut archive = Builder::new(Vec::new());
        for (name, entry) in tree.iter() {
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::Regular);
            header.set_mode(entry.mode);
            header.set_mtime(moment.seconds());
            header.set_size(entry.bytes.len() as u64);
            archive.append_data(&mut header, format!("{folder}/{name}"), entry.bytes.as_slice())?;
        }
        gzip(&archive.into_inner()?)
    };
    packed().map_err(|source| DistError::Write { path: PathBuf::from(format!("{folder}.tar.gz")), source })
}

/// As `gzip -9n` does it: without a name and a time.
pub(super) fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}
