//! Random trees of images as a folder of a VM's backup holds them: one seed, one tree.
//!
//! What [`super::random::stack`] says of content, and besides: branches, folders and names, links in every wording,
//! dirty logs, torn headers, damaged tables, unknown regions and items, odd lengths. Every image stays readable and
//! every parent findable, by its stored path or by its identity.

use uuid::Uuid;

use super::random::{Random, dirty_log, fill_blocks, geometry};
use super::{Image, Item, Kind, Locator, Object, Order, Region, SparseFile, edit, edit_header, make_dirty};
use crate::geometry::BlockIndex;
use crate::offset::MIB;
use crate::wire::{header, region};
use crate::{BlockSize, SectorSize};

/// One image of a tree.
#[derive(Clone, Debug)]
pub struct Node {
    /// What its disk is made of.
    pub image: Image,
    /// Its file, with everything that befell it.
    pub file: SparseFile,
    /// The number of its parent, smaller than its own.
    pub parent: Option<usize>,
    /// Its name below the tree's folder, with `/` between folders.
    pub path: String,
}

/// The images from the base to node number `leaf`, for [`super::disk_of`].
#[must_use]
pub fn chain(tree: &[Node], leaf: usize) -> Vec<Image> {
    let up = std::iter::successors(Some(leaf), |&number| tree[number].parent);
    let mut images: Vec<Image> = up.map(|number| tree[number].image.clone()).collect();
    images.reverse();
    images
}

/// The tree of that seed. Most are small; some are deep, up to 64 images in a line, with disks of few MiB.
#[must_use]
pub fn tree(seed: u64) -> Vec<Node> {
    let mut random = Random::new(seed);
    let (depth, size_max) = match random.below(24) {
        0 => (17 + random.below(48), 2 * MIB),
        1..=4 => (6 + random.below(11), 4 * MIB),
        5 => (1 + random.below(4), 70 * MIB),
        _ => (1 + random.below(5), 12 * MIB),
    };
    let sector = random.one_of(&[SectorSize::B512, SectorSize::B4096]);
    let has_folders = random.once_in(2);
    let mut nodes: Vec<Node> = Vec::new();
    for number in 0..(depth + random.below(4)) as usize {
        let parent = match number {
            0 => None,
            _ if number < depth as usize => Some(number - 1),
            _ => Some(random.below(number as u64) as usize),
        };
        let folder = if has_folders { random.one_of(&["", "Virtual Hard Disks/", "Snapshots/"]) } else { "" };
        let path = format!("{folder}{}", file_name(seed, number));
        let image = image(seed, &mut random, &nodes, parent, &path, (sector, size_max));
        let file = file_of(&image, &mut random);
        nodes.push(Node { image, file, parent, path });
    }
    nodes
}

/// `web01.vhdx`, and its children as Hyper-V names them.
fn file_name(seed: u64, number: usize) -> String {
    if number == 0 {
        return "web01.vhdx".to_owned();
    }
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("file {seed} {number}").as_bytes());
    format!("web01_{}.avhdx", id.to_string().to_uppercase())
}

fn image(
    seed: u64,
    random: &mut Random,
    nodes: &[Node],
    parent: Option<usize>,
    path: &str,
    (sector, size_max): (SectorSize, u64),
) -> Image {
    let name = format!("tree {seed} {path}");
    let base = nodes.first().map(|base| base.image.geometry);
    let own = geometry(random, sector, size_max).or(base);
    let Some(own) = own else { unreachable!("size_max holds a sector") };
    let geometry = base.filter(|_| !random.once_in(6)).unwrap_or(own);
    let mut image = match parent {
        None if random.once_in(3) => Image::fixed(&name, geometry),
        None => Image::dynamic(&name, geometry),
        Some(parent) => {
            let locator = locator(random, nodes, parent, path);
            let child = Image::child(&name, &nodes[parent].image, "");
            Image { kind: Kind::Differencing(locator), geometry, ..child }
        }
    };
    let mib = if random.once_in(80) { 256 } else { random.one_of(&[1, 1, 1, 2, 2, 2, 4, 8, 16, 32]) };
    image.block_size = BlockSize::from_bytes(mib << 20).unwrap_or(BlockSize::MIN);
    image.placement.order = random.one_of(&[Order::Windows, Order::Shuffled(seed ^ u64::from(mib))]);
    let states: &[u8] = match image.kind {
        Kind::Differencing(_) => random.one_of(&[&[0, 0, 0, 7], &[0, 0, 1, 2, 3, 6, 7, 7, 7]]),
        Kind::Dynamic => &[0, 1, 2, 3, 6, 6],
        // QEMU's fixed images say zero of blocks that are there.
        Kind::Fixed => random.one_of(&[&[6], &[6, 2]]),
    };
    fill_blocks(&mut image, random, states);
    add_what_nobody_knows(&mut image, random);
    image
}

/// The link to a parent: its identity in any wording, and a path that leads to it, to another image or nowhere.
fn locator(random: &mut Random, nodes: &[Node], parent: usize, path: &str) -> Locator {
    let id = nodes[parent].image.ids.data_write;
    let linked = match random.below(4) {
        0 => Locator::empty().pair("parent_linkage", &id.to_string().to_uppercase()),
        1 => Locator::empty().linkage(Uuid::max()).linkage2(id),
        _ => Locator::empty().linkage2(Uuid::nil()).linkage(id),
    };
    let truth = relative(path, &nodes[parent].path);
    let (_, parent_name) = split(&nodes[parent].path);
    let other = random.below(nodes.len() as u64) as usize;
    match random.below(8) {
        0 | 1 => linked.relative_path(&format!(".\\{truth}")),
        2 => linked.relative_path(&truth.to_uppercase()),
        3 => linked.relative_path(&truth.replace('\\', "/")),
        4 => linked.relative_path(".\\gone\\before.vhdx"),
        5 => linked.relative_path(&relative(path, &nodes[other].path)),
        6 => linked.absolute_path(&format!("D:\\VMs\\{parent_name}")),
        _ => linked.volume_path(&format!("\\\\?\\Volume{{{}}}\\{parent_name}", Uuid::nil())),
    }
}

/// The way from one file to another, in Windows' notation.
fn relative(from: &str, to: &str) -> String {
    let (from_folder, _) = split(from);
    let (to_folder, name) = split(to);
    match (from_folder, to_folder) {
        (from, to) if from == to => name.to_owned(),
        ("", to) => format!("{to}\\{name}"),
        (_, "") => format!("..\\{name}"),
        (_, to) => format!("..\\{to}\\{name}"),
    }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Regions and items that a reader may ignore, and header numbers that it must compare.
fn add_what_nobody_knows(image: &mut Image, random: &mut Random) {
    let unknown = |number| Uuid::new_v5(&Uuid::NAMESPACE_OID, &[number]);
    for number in 0..random.below(4).saturating_sub(1) as u8 {
        let bytes = random.bytes(5000);
        image.extra_regions.push(Region { id: unknown(number), required: 0, len: 1 << 20, bytes });
    }
    for number in 0..random.below(4).saturating_sub(1) as u8 {
        let len = random.one_of(&[0, 1, 70_000]);
        let flags = u32::from(number % 2);
        let at = random.below(image.standard_items().len() as u64) as usize;
        image.items_mut().insert(at, Item::new(unknown(number), flags, &random.bytes(len)));
    }
    image.regions_required = random.once_in(2);
    image.log_len = random.one_of(&[1, 1, 2]) << 20;
    image.metadata_len = random.one_of(&[1, 1, 3]) << 20;
    image.sequence_numbers = random.one_of(&[[7, 8], [8, 7], [u64::MAX, 1], [1, u64::MAX], [5, 5]]);
}

/// Builds the file and lets things happen to it that leave it readable.
fn file_of(image: &Image, random: &mut Random) -> SparseFile {
    let mut file = image.build();
    match random.below(5) {
        0 => file.set_len(needed_len(image)),
        1 => file.set_len(file.len() + 512 * random.below(3000)),
        _ => {}
    }
    if random.once_in(4) {
        let at = region::OFFSETS[random.below(2) as usize] + random.below(region::LEN as u64);
        edit(&mut file, at, 1, |byte| byte[0] ^= 0x10);
    }
    if random.once_in(3) {
        let log = dirty_log(image, &file, random.number());
        make_dirty(&mut file, &log);
    }
    damage_headers(image, &mut file, random);
    file
}

/// Where the file may end: the last block is needed only as far as the disk goes.
fn needed_len(image: &Image) -> u64 {
    let ends = image.places().into_iter().map(|(object, range)| match object {
        Object::Block(number) => range.start + image.layout().block_range(BlockIndex(number)).len(),
        _ => range.end,
    });
    ends.max().unwrap_or(MIB).max(MIB)
}

/// A newer header that was torn while it was written, or an older one from before the last changes.
fn damage_headers(image: &Image, file: &mut SparseFile, random: &mut Random) {
    let [first, second] = image.sequence_numbers;
    let newer = usize::from(second > first);
    match random.below(4) {
        0 => edit(file, header::OFFSETS[newer] + 4000, 90, |bytes| bytes.fill(0xEE)),
        1 if first != second => edit_header(file, 1 - newer, |older| {
            older[16..64].fill(0x77);
        }),
        _ => {}
    }
}
