//! Small valid images, and edits of them that a reader can not tell by a checksum.
//!
//! An input is: which image, what is sealed again, then edits until the bytes end. An edit names a structure, so that
//! few bytes reach deep; what is sealed lets the reader look behind the checksums.

use std::sync::OnceLock;

use uuid::Uuid;
use vhdx_format::forge::random::{dirty_log, stack};
use vhdx_format::forge::{
    Block, Change, Image, Item, LogEntry, Object, Order, Region, Ring, SparseFile, make_dirty, with_checksum,
};
use vhdx_format::{BlockSize, Geometry, SectorSize};

use super::bytes::{Choices, u32_at};

const MIB: u64 = 1 << 20;
const HEADERS: [u64; 2] = [0x1_0000, 0x2_0000];
const REGION_TABLES: [u64; 2] = [0x3_0000, 0x4_0000];
const SECTOR: u64 = 4096;

/// Rings longer than this are not sealed again; nor are more bytes than four laps of one.
const RING_MAX: u64 = 4 * MIB;

/// An image to start from, and where an edit finds its structures.
pub(crate) struct Base {
    pub(crate) file: SparseFile,
    log: u64,
    metadata: u64,
    bat: u64,
    bitmap: Option<u64>,
}

/// Chains to start from, base first. Every image on its own is one to start from as well.
pub(crate) fn chains() -> &'static [Vec<Base>] {
    static CHAINS: OnceLock<Vec<Vec<Base>>> = OnceLock::new();
    CHAINS.get_or_init(|| {
        let mut chains = vec![plain_chain(false), plain_chain(true), odd_chain()];
        chains.extend((1..=5).map(|seed| random_chain(seed, false)));
        chains.extend((6..=9).map(|seed| random_chain(seed, true)));
        chains
    })
}

/// One image of one chain.
pub(crate) fn base(choices: &mut Choices<'_>) -> &'static Base {
    let chain = &chains()[usize::from(choices.byte()) % chains().len()];
    &chain[usize::from(choices.byte()) % chain.len()]
}

impl Base {
    fn of(image: &Image, file: SparseFile) -> Self {
        let place = |object| image.offset_of(object);
        Self {
            file,
            log: place(Object::Log).unwrap_or(MIB),
            metadata: place(Object::Metadata).unwrap_or(2 * MIB),
            bat: place(Object::Bat).unwrap_or(3 * MIB),
            bitmap: place(Object::Bitmap(0)),
        }
    }

    /// The file with every edit that the choices name until they end.
    pub(crate) fn edited(&self, choices: &mut Choices<'_>) -> SparseFile {
        let unsealed = choices.byte();
        let mut file = self.file.clone();
        while !choices.is_empty() {
            self.edit(&mut file, choices);
        }
        seal(&mut file, unsealed);
        file
    }

    /// As many edits as the first choice says.
    pub(crate) fn edited_a_little(&self, choices: &mut Choices<'_>) -> SparseFile {
        let unsealed = choices.byte();
        let mut file = self.file.clone();
        for _ in 0..choices.byte() % 8 {
            self.edit(&mut file, choices);
        }
        seal(&mut file, unsealed);
        file
    }

    fn edit(&self, file: &mut SparseFile, choices: &mut Choices<'_>) {
        match choices.byte() % 16 {
            0 => both(file, HEADERS, choices, 80),
            1 => put(file, HEADERS[0], choices, 80),
            2 => put(file, HEADERS[1], choices, 80),
            3 => both(file, REGION_TABLES, choices, 200),
            4 => put(file, REGION_TABLES[0], choices, 200),
            5 => put(file, REGION_TABLES[1], choices, 200),
            6 => put(file, self.metadata, choices, 32 * 9),
            7 => put(file, self.metadata + 0x1_0000, choices, 0x400),
            8 => put(file, self.bat, choices, 64),
            9 => self.put_entry(file, choices),
            10 => put(file, self.bitmap.unwrap_or(self.bat), choices, 1024),
            11 => put(file, self.log + choices.number(1) * SECTOR, choices, 0x100),
            12 => set_len(file, choices),
            13 => put(file, choices.number(2) * 512, choices, 512),
            14 => put(file, 0, choices, 520),
            _ => put_log_entry(file, choices),
        }
    }

    /// A table entry as a state and a place in whole MiBs.
    fn put_entry(&self, file: &mut SparseFile, choices: &mut Choices<'_>) {
        let (index, state) = (choices.number(2) % 4200, choices.number(1) & 7);
        let entry = choices.number(2) << 20 | state;
        file.write(self.bat + index * 8, &entry.to_le_bytes());
    }
}

/// The same edit in both copies of a structure, so that neither stands in for the other.
fn both(file: &mut SparseFile, at: [u64; 2], choices: &mut Choices<'_>, reach: usize) {
    let offset = choices.below(reach) as u64;
    let bytes = choices.patch();
    for at in at {
        file.write(at + offset, bytes);
    }
}

fn put(file: &mut SparseFile, at: u64, choices: &mut Choices<'_>, reach: usize) {
    let offset = choices.below(reach) as u64;
    file.write(at + offset, choices.patch());
}

/// Any length up to 64 TiB: a file in memory is as sparse as it likes.
fn set_len(file: &mut SparseFile, choices: &mut Choices<'_>) {
    let sectors = choices.number(3);
    file.set_len(sectors << (choices.byte() % 22));
}

/// A whole log entry, with the number and the tail that the choices say.
fn put_log_entry(file: &mut SparseFile, choices: &mut Choices<'_>) {
    let Some(ring) = Ring::of(file).filter(|ring| (MIB..=RING_MAX).contains(&ring.len) && ring.at < 1 << 46)
    else {
        return;
    };
    let entry = log_entry(choices, &guid_of(file), file.len());
    let position = choices.number(1) * SECTOR;
    ring.put(file, position, &entry.to_bytes());
}

/// The GUID of the log that header 1 states.
pub(crate) fn guid_of(file: &SparseFile) -> Uuid {
    Uuid::from_slice_le(&file.read(HEADERS[0] + 48, 16)).expect("16 bytes")
}

/// An entry of few changes; lengths of files in steps that matter.
pub(crate) fn log_entry(choices: &mut Choices<'_>, log: &Uuid, file_len: u64) -> LogEntry {
    let shape = choices.byte();
    let len = |step: u8| match step & 3 {
        0 => file_len / MIB * MIB,
        1 => file_len.next_multiple_of(MIB) + MIB,
        2 => 0,
        _ => file_len,
    };
    LogEntry {
        log: *log,
        sequence_number: choices.number(1),
        tail: (choices.number(1) * SECTOR) as u32,
        flushed: len(shape),
        last: len(shape >> 2),
        changes: (0..shape >> 4 & 7).map(|_| change(choices)).collect(),
    }
}

fn change(choices: &mut Choices<'_>) -> Change {
    let kind = choices.byte();
    let at = choices.number(2) * SECTOR;
    match kind % 3 {
        0 => Change::Zero { at, len: choices.number(2) * SECTOR },
        1 => Change::Data { at, bytes: vec![kind; SECTOR as usize] },
        _ => Change::Data { at, bytes: choices.patch().to_vec() },
    }
}

/// Seals again what the bits of `unsealed` leave to be sealed: headers, region tables, log entries.
pub(crate) fn seal(file: &mut SparseFile, unsealed: u8) {
    for which in 0..2 {
        if unsealed & 1 << which == 0 {
            seal_at(file, HEADERS[which], 4096);
        }
        if unsealed & 4 << which == 0 {
            seal_at(file, REGION_TABLES[which], 0x1_0000);
        }
    }
    if unsealed & 16 == 0 {
        seal_log(file);
    }
}

fn seal_at(file: &mut SparseFile, at: u64, len: usize) {
    let sealed = with_checksum(file.read(at, len));
    file.write(at + 4, &sealed[4..8]);
}

/// Makes the checksum right of whatever claims to be an entry and to end inside the ring.
fn seal_log(file: &mut SparseFile) {
    let Some(ring) = Ring::of(file) else { return };
    if !(SECTOR..=RING_MAX).contains(&ring.len)
        || ring.at.checked_add(ring.len).is_none_or(|end| end > file.len())
    {
        return;
    }
    let mut budget = 4 * ring.len;
    let within = |page: &u64| (ring.at..ring.at + ring.len).contains(page);
    let pages: Vec<u64> = file.pages().filter(within).collect();
    for at in pages.into_iter().filter(|at| at.is_multiple_of(SECTOR)) {
        let head = file.read(at, 64);
        let len = u32_at(&head, 8);
        if !head.starts_with(b"loge") || len < 64 || len > ring.len.min(budget) {
            continue;
        }
        budget -= len;
        seal_entry(file, ring, at - ring.at, len as usize);
    }
}

/// One entry, which may go on at the beginning of the ring.
fn seal_entry(file: &mut SparseFile, ring: Ring, position: u64, len: usize) {
    let straight = ((ring.len - position) as usize).min(len);
    let mut bytes = file.read(ring.at + position, straight);
    bytes.extend(file.read(ring.at, len - straight));
    let sealed = with_checksum(bytes);
    file.write(ring.at + position + 4, &sealed[4..8]);
}

fn mib(count: u32) -> BlockSize {
    BlockSize::from_bytes(count << 20).expect("a possible block size")
}

fn geometry(size: u64, sector: SectorSize) -> Geometry {
    Geometry::new(size, sector, SectorSize::B4096).expect("a possible disk")
}

fn bases(images: &[Image], dirty: Option<u64>) -> Vec<Base> {
    let built = images.iter().map(|image| {
        let mut file = image.build();
        if let Some(seed) = dirty {
            let log = dirty_log(image, &file, seed);
            make_dirty(&mut file, &log);
        }
        Base::of(image, file)
    });
    built.collect()
}

/// A base, a child with sectors of its own, and a grandchild.
fn plain_chain(dirty: bool) -> Vec<Base> {
    let mut base = Image::dynamic("base", geometry(2 * MIB + 512, SectorSize::B512));
    base.block_size = mib(1);
    base.blocks.insert(1, Block::full(vec![(100, vec![0xD1; 5000])]));
    base.blocks.insert(2, Block::anchored(3, vec![(0, vec![0xD3; 600])]));
    let mut child = Image::child("child", &base, "base.vhdx");
    child.block_size = mib(2);
    child.blocks.insert(0, Block::partial([0, 1, 5].into_iter().collect(), vec![(0, vec![0xC0; 4096])]));
    child.blocks.insert(1, Block::absent(2));
    let mut leaf = Image::child("leaf", &child, "child.avhdx");
    leaf.block_size = mib(1);
    leaf.blocks.insert(0, Block::partial((0..2048).step_by(2).collect(), vec![(512, vec![0xB0; 512])]));
    leaf.blocks.insert(2, Block::full(vec![(0, vec![0xB2; 512])]));
    bases(&[base, child, leaf], dirty.then_some(3))
}

/// Sectors of 4096 bytes, a fixed base, equal headers, what nobody knows, a child that is longer than its parent.
fn odd_chain() -> Vec<Base> {
    let mut base = Image::fixed("odd base", geometry(3 * MIB, SectorSize::B4096));
    base.block_size = mib(1);
    base.sequence_numbers = [5, 5];
    base.extra_regions = vec![Region { id: Uuid::max(), required: 0, len: 1 << 20, bytes: vec![7; 64] }];
    base.items_mut().push(Item::new(Uuid::max(), 0, &[9; 600]));
    let mut child = Image::child("odd child", &base, "base.vhdx");
    child.geometry = geometry(5 * MIB, SectorSize::B4096);
    child.placement.order = Order::Shuffled(5);
    child.blocks.insert(0, Block::partial((3..200).collect(), vec![(9000, vec![0xC0; 9000])]));
    bases(&[base, child], None)
}

fn random_chain(seed: u64, dirty: bool) -> Vec<Base> {
    let mut images = stack(seed, 3, 2 * MIB);
    for image in &mut images {
        // Smaller blocks make smaller files; nothing else hangs on it.
        image.block_size = image.block_size.min(mib(4));
        image
            .blocks
            .retain(|_, block| block.data.iter().all(|(at, bytes)| at + (bytes.len() as u64) < 4 * MIB));
    }
    bases(&images, dirty.then_some(seed))
}
