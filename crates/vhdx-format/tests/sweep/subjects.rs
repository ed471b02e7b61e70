//! The images that are damaged: small, valid, with one of everything that a reader tells apart.
//!
//! Each has a MiB in the file that nothing uses, since a block that is sent there is the damage that nobody notices.

use std::sync::Arc;

use uuid::{Uuid, uuid};
use vhdx_format::forge::{
    Block, Change, DirtyLog, Image, Item, Kind, LogEntry, Object, Region, Ring, SparseFile, disk_of,
    edit_header, make_dirty,
};
use vhdx_format::{BlockSize, Geometry, SectorSize};

use crate::fields::{self, Field};
use crate::outcome::RightDisk;

pub(crate) const MIB: u64 = 1 << 20;

/// An image to be damaged, in its chain.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    /// The chain's files, leaf first.
    pub(crate) files: Vec<Arc<Vec<u8>>>,
    /// Which of them is damaged.
    pub(crate) damaged: usize,
    pub(crate) right: RightDisk,
    /// Every byte of it that has a meaning, and every other one that is read.
    pub(crate) fields: Vec<Field>,
    /// Which of its fields are damaged.
    pub(crate) swept: fn(&str) -> bool,
}

impl Subject {
    /// A chain of images, base first, and their files.
    fn new(name: &'static str, images: &[Image], files: &[SparseFile], damaged: usize) -> Self {
        let leaf = images.last().expect("a leaf");
        let files: Vec<Vec<u8>> = files.iter().rev().map(|file| file.read(0, file.len() as usize)).collect();
        Self {
            name,
            damaged,
            right: RightDisk::new(leaf.geometry, disk_of(images)),
            fields: fields::of(&images[images.len() - 1 - damaged], &files[damaged]),
            files: files.into_iter().map(Arc::new).collect(),
            swept: |_| true,
        }
    }

    fn alone(name: &'static str, image: &Image, file: &SparseFile) -> Self {
        Self::new(name, std::slice::from_ref(image), std::slice::from_ref(file), 0)
    }

    /// The bytes that are damaged.
    pub(crate) fn file(&self) -> &Arc<Vec<u8>> {
        &self.files[self.damaged]
    }
}

/// A dynamic image with every state of a block, a last block that is cut by the end of the disk, a region and an item
/// that nobody knows.
pub(crate) fn dynamic() -> Subject {
    let image = dynamic_image(SectorSize::B512);
    Subject::alone("dynamic", &image, &image.build())
}

/// A fixed image: all its blocks are there.
pub(crate) fn fixed() -> Subject {
    let mut image = Image::fixed("fixed", geometry(MIB + 0x1000, SectorSize::B512));
    image.block_size = BlockSize::MIN;
    image.blocks.insert(0, Block::full(vec![(0, vec![0xF0; 0x3000])]));
    image.blocks.insert(1, Block::full(vec![(0, vec![0xF1; 0x1000])]));
    let places = image.places();
    let behind_the_gap = places[&Object::Block(1)].end;
    image.placement.fixed.insert(Object::Block(1), behind_the_gap);
    Subject::alone("fixed", &image, &image.build())
}

/// A child with blocks of every state and bitmaps, over [`dynamic`].
pub(crate) fn child() -> Subject {
    let (images, files) = family(SectorSize::B512);
    Subject::new("child", &images, &files, 0)
}

/// The parent of [`child`], damaged below it.
pub(crate) fn parent() -> Subject {
    let (images, files) = family(SectorSize::B512);
    Subject::new("parent", &images, &files, 1)
}

/// A child of 4096-byte sectors over a parent of the same.
pub(crate) fn large_sectors() -> Subject {
    let (images, files) = family(SectorSize::B4096);
    Subject::new("large sectors", &images, &files, 0)
}

/// An image whose tables lie in its log: an entry before the tail, some that later ones supersede, one with zero
/// descriptors, data descriptors in several, one entry that goes round the end of the ring, a torn one behind the newest.
pub(crate) fn dirty() -> Subject {
    let (image, file) = dirty_image();
    Subject::alone("dirty", &image, &file)
}

/// An image whose block table grows in three entries of its log, each of which would do for a disk: so a writer leaves it
/// that is killed. None of the entries says what the others say.
pub(crate) fn growing() -> Subject {
    let (image, file) = growing_image();
    Subject::alone("growing", &image, &file)
}

/// The same, but its older header says that the log is empty: so Microsoft's `openvmm` leaves an image that it has open.
pub(crate) fn growing_by_one_header() -> Subject {
    let (image, mut file) = growing_image();
    edit_header(&mut file, 0, |header| header[48..64].fill(0));
    let mut subject = Subject::alone("growing by one header", &image, &file);
    // The others are those of the first one.
    subject.swept = |field| field.starts_with("header");
    subject
}

fn growing_image() -> (Image, SparseFile) {
    let mut image = Image::dynamic("growing", geometry(3 * MIB + 0x3000, SectorSize::B512));
    image.block_size = BlockSize::MIN;
    image.blocks = (0..4).map(|n| (n, Block::full(vec![(0, vec![0x60 + n as u8; 0x2000])]))).collect();
    let mut file = image.build();
    let table = image.offset_of(Object::Bat).expect("a block table");
    let whole = file.read(table, 0x1000);
    let ring = Ring::of(&file).expect("a header");
    // The table in the file has the first block, and each entry adds one.
    let with_blocks = |count: usize| [&whole[..8 * count], &vec![0; 0x1000 - 8 * count]].concat();
    file.write(table, &with_blocks(1));
    let mut position = 0;
    for count in 2..=4 {
        let entry = LogEntry {
            log: GROWING,
            sequence_number: 0x1_0000_0000 + count as u64,
            tail: 0,
            flushed: file.len(),
            last: file.len(),
            changes: vec![Change::Data { at: table, bytes: with_blocks(count) }],
        };
        position = ring.put(&mut file, position, &entry.to_bytes());
    }
    for which in 0..2 {
        edit_header(&mut file, which, |header| header[48..64].copy_from_slice(&GROWING.to_bytes_le()));
    }
    (image, file)
}

const GROWING: Uuid = uuid!("0a0b0c0d-1111-2222-3333-445566778899");

fn dirty_image() -> (Image, SparseFile) {
    let image = dynamic_image(SectorSize::B512);
    let clean = image.build();
    let data = image.offset_of(Object::Block(1)).expect("block 1 has room");
    let mut file = clean.clone();
    let ring_len = u64::from(image.log_len);
    make_dirty(
        &mut file,
        &DirtyLog {
            // Near the end, so that the third entry goes round it.
            start: ring_len - 0x6000,
            sectors: image.metadata_sectors(&clean),
            sectors_per_entry: 3,
            zeroed: std::iter::once(data + 0x8000..data + 0xA000).collect(),
            superseded: true,
            before_tail: vec![data],
            torn: true,
            foreign: true,
            ..DirtyLog::default()
        },
    );
    (image, file)
}

fn geometry(size: u64, sector: SectorSize) -> Geometry {
    Geometry::new(size, sector, SectorSize::B4096).expect("a possible disk")
}

fn dynamic_image(sector: SectorSize) -> Image {
    let mut image = Image::dynamic("dynamic", geometry(6 * MIB + 0x3000, sector));
    image.block_size = BlockSize::MIN;
    image.blocks = [
        (1, Block::full(vec![(0, vec![0xD1; 0x5000]), (0xF_F000, vec![0xDF; 0x1000])])),
        (2, Block::absent(1)),
        (3, Block::absent(2)),
        (4, Block::absent(3)),
        (6, Block::full(vec![(0, vec![0xD6; 0x3000])])),
    ]
    .into();
    let unknown = uuid!("5eed5eed-0000-4000-8000-000000000001");
    image.extra_regions = vec![Region { id: unknown, required: 0, len: 1 << 20, bytes: vec![0x5E; 64] }];
    image.items_mut().push(Item::new(unknown, 0, &[0x5E; 24]));
    with_a_gap(&mut image, Object::Block(6));
    image
}

/// A child over [`dynamic_image`], base first, and their files.
fn family(sector: SectorSize) -> (Vec<Image>, Vec<SparseFile>) {
    let parent = dynamic_image(sector);
    let mut child = Image::child("child", &parent, "dynamic.vhdx");
    assert!(matches!(child.kind, Kind::Differencing(_)));
    child.block_size = BlockSize::MIN;
    let some = |sectors: &[u64]| sectors.iter().copied().collect();
    child.blocks = [
        (0, Block::full(vec![(0, vec![0xC0; 0x2000])])),
        (1, Block::partial(some(&[0, 3, 9, 10]), vec![(0, vec![0xC1; 0x1_0000])])),
        (3, Block::absent(2)),
        (5, Block::partial(some(&[7, 255]), vec![(0, vec![0xC5; 0x10_0000])])),
    ]
    .into();
    with_a_gap(&mut child, Object::Block(5));
    let files = vec![parent.build(), child.build()];
    (vec![parent, child], files)
}

/// Moves an object, the last in the file, one MiB on.
fn with_a_gap(image: &mut Image, last: Object) {
    let at = image.offset_of(last).expect("it has a place");
    image.placement.fixed.insert(last, at + MIB);
}
