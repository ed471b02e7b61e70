//! What a guest would read from described images, told from the description alone: a naive model to test readers with.

use super::{Block, Image};

/// The disk of a stack of images, base first: the whole of it, so for small disks.
#[must_use]
pub fn disk_of(stack: &[Image]) -> Vec<u8> {
    let mut disk = Vec::new();
    for image in stack {
        lay_over(&mut disk, image);
    }
    disk
}

/// Turns the disk below an image into the disk with it on top (MS-VHDX 2.5.1.1): states 1 to 3 hide what is below and
/// read as zeros, 6 holds the block, 7 the sectors of its set. Raw table entries are not taken into account.
pub fn lay_over(disk: &mut Vec<u8>, image: &Image) {
    disk.resize(image.geometry.size() as usize, 0);
    let sector_len = u64::from(image.geometry.logical_sector().bytes());
    image.each_block(|number, block| {
        let start = (number * u64::from(image.block_size.bytes())) as usize;
        let end = disk.len().min(start + image.block_size.bytes() as usize);
        let Some(visible) = disk.get_mut(start..end) else { return };
        match block.state {
            1..=3 => visible.fill(0),
            6 => visible.copy_from_slice(&content(block, visible.len())),
            7 => {
                let content = content(block, visible.len());
                let size = sector_len as usize;
                for (sector, (to, from)) in visible.chunks_mut(size).zip(content.chunks(size)).enumerate() {
                    if block.sectors.contains(sector as u64) {
                        to.copy_from_slice(from);
                    }
                }
            }
            _ => {}
        }
    });
}

/// The first `len` bytes of the room that a block has in its file.
fn content(block: &Block, len: usize) -> Vec<u8> {
    let mut content = vec![0; len];
    for (at, bytes) in &block.data {
        let room = content.get_mut(*at as usize..).unwrap_or_default();
        for (to, from) in room.iter_mut().zip(bytes) {
            *to = *from;
        }
    }
    content
}
