//! A stack of edited images: it is refused, or its disk is the one that a list of sectors says it is.

use vhdx_format::forge::{SparseFile, assert_extent_law, clip};
use vhdx_format::{
    Content, DiskOffset, DiskRange, Extent, LayerStack, OpenStack, VirtualDisk, read_disk, read_header,
};

use super::bytes::Choices;
use super::chain_model::{Model, ZERO, lies_at, stacked};
use super::log_model::{Place, Replay, replay};
use super::mutation::chains;
use super::source;

/// Reads happen at the ends of this many extents.
const READS_MAX: usize = 24;

/// Stacks two or three edited images and compares their disk with the model's.
pub fn chain(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let chain = &chains()[usize::from(choices.byte()) % chains().len()];
    let (skipped, part) = (usize::from(choices.byte()), (choices.number(3), choices.number(3)));
    let depth = 2 + skipped % (chain.len() - 1);
    let files: Vec<_> = chain[..depth].iter().rev().map(|base| base.edited_a_little(&mut choices)).collect();
    if let Some(stack) = stack(&files) {
        check(&stack, &files, part);
    }
}

/// Opens the files, leaf first, if they are a stack.
fn stack(files: &[SparseFile]) -> Option<LayerStack> {
    let mut layers = files.iter().map(source::open_layer);
    let mut stack = OpenStack::new(layers.next()??);
    for layer in layers {
        stack.push(layer?).ok()?;
    }
    stack.complete().ok()
}

fn check(stack: &LayerStack, files: &[SparseFile], (from, len): (u64, u64)) {
    let replayed: Vec<_> = files.iter().map(replayed).collect();
    let models: Vec<_> = replayed.iter().map(Model::of).collect();
    check_links(&models, files);
    assert_eq!(stack.geometry().size(), models[0].disk_size());
    if !models.iter().all(Model::is_small) {
        return;
    }
    let all = stack.geometry().range();
    let extents = extents(stack, all);
    assert_extent_law(all, &extents);
    let sector_size = models[0].sector_size();
    let wanted = stacked((0..).zip(&models).map(|(layer, model)| model.sectors(layer)).collect());
    assert!(expanded(&extents, sector_size) == wanted, "the disk is not the model's");
    let from = DiskOffset(from % all.len());
    let part = DiskRange::new(from, DiskOffset((from.0 + len).min(all.len())));
    assert_eq!(self::extents(stack, part), clip(&extents, part), "{part} by itself");
    for extent in extents.iter().take(READS_MAX) {
        for at in [extent.start.0, extent.end().0 - sector_size] {
            check_sector(stack, &models, wanted[(at / sector_size) as usize], at, sector_size);
        }
    }
}

fn extents(stack: &LayerStack, range: DiskRange) -> Vec<Extent<Content>> {
    stack.extents(range).map(|extent| extent.expect("what was opened can be walked")).collect()
}

/// The file with its log written into it.
fn replayed(file: &SparseFile) -> SparseFile {
    let header = read_header(file).expect("the file was opened");
    let Some(guid) = header.log_guid else { return file.clone() };
    let place = Place { at: header.log_at.0, len: header.log_len, guid: guid.to_bytes_le() };
    match replay(file, &place) {
        Replay::Done(replayed) => *replayed,
        Replay::Refused => panic!("the model refuses a log that the reader replays"),
    }
}

/// Each parent is the one that its child names.
fn check_links(models: &[Model<'_>], files: &[SparseFile]) {
    for (child, parent) in models.iter().zip(&files[1..]) {
        let found = read_header(parent).expect("the file was opened").data_write_guid;
        assert!(child.wants(&found.to_string()), "{found} is not the parent");
    }
}

/// What the extents say of each sector.
fn expanded(extents: &[Extent<Content>], sector_size: u64) -> Vec<u64> {
    let mut sectors = Vec::new();
    for extent in extents {
        let offsets = (0..extent.len / sector_size).map(|sector| sector * sector_size);
        match extent.content {
            Content::Data { layer, at } => {
                sectors.extend(offsets.map(|offset| lies_at(layer.0, at.0 + offset)));
            }
            Content::Zero => sectors.extend(offsets.map(|_| ZERO)),
        }
    }
    sectors
}

fn check_sector(stack: &LayerStack, models: &[Model<'_>], wanted: u64, at: u64, sector_size: u64) {
    let len = sector_size as usize;
    let layer = (wanted >> 56) as usize;
    let wanted =
        if wanted == ZERO { vec![0; len] } else { models[layer].read(wanted & !lies_at(255, 0), len) };
    let mut found = vec![0x55; len];
    read_disk(stack, DiskOffset(at), &mut found).expect("the disk can be read");
    assert!(found == wanted, "the sector at {at:#x}");
}
