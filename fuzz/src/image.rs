//! An edited image: it is refused, or all that it says of its disk is in order and can be read.

use vhdx_format::forge::{assert_extent_law, clip};
use vhdx_format::{DiskOffset, DiskRange, Extent, FileOffset, ImageKind, Layer, LayerContent};

use super::bytes::Choices;
use super::mutation;
use super::source;

/// More extents than this are not looked at; an edited bitmap of a small image makes far fewer.
const EXTENTS_MAX: usize = 20_000;

/// Opens an edited image, walks its disk, and reads both ends of what it stores.
pub fn image(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let base = mutation::base(&mut choices);
    let (from, len) = (choices.number(4), choices.number(4));
    let file = base.edited(&mut choices);
    if let Some(layer) = source::open_layer(&file) {
        check_counts(&layer);
        check_walk(&layer, from, len);
    }
}

fn check_counts(layer: &Layer) {
    let counts = layer.block_counts();
    let absent = counts.not_present + counts.undefined + counts.zero + counts.unmapped;
    let all = absent + counts.fully_present + counts.partially_present;
    let layout = layer.outline().layout();
    assert_eq!(all, layout.block_count(), "each block is counted once");
    let is_child = layer.outline().kind() == ImageKind::Differencing;
    assert_eq!(is_child, layer.outline().parent().is_some());
    assert!(is_child || counts.partially_present == 0, "{counts:?}");
}

fn check_walk(layer: &Layer, from: u64, len: u64) {
    let all = layer.outline().geometry().range();
    let extents: Vec<_> = extents(layer, all);
    if extents.len() == EXTENTS_MAX {
        return;
    }
    assert_extent_law(all, &extents);
    extents.iter().take(64).for_each(|extent| check_ends(layer, extent));
    let is_child = layer.outline().kind() == ImageKind::Differencing;
    let inherits = |extent: &Extent<LayerContent>| extent.content == LayerContent::Inherited;
    assert!(is_child || !extents.iter().any(inherits), "a base inherits");
    let from = from % all.len();
    let end = (from + len).min(all.len());
    let part = DiskRange::new(DiskOffset(from), DiskOffset(end));
    assert_eq!(self::extents(layer, part), clip(&extents, part), "{part} by itself");
}

fn extents(layer: &Layer, range: DiskRange) -> Vec<Extent<LayerContent>> {
    let extents = layer.extents(range).take(EXTENTS_MAX);
    extents.map(|extent| extent.expect("what was opened can be walked")).collect()
}

fn check_ends(layer: &Layer, extent: &Extent<LayerContent>) {
    let LayerContent::Stored(at) = extent.content else { return };
    let mut end = vec![0; extent.len.min(512) as usize];
    let last = FileOffset(at.0 + extent.len - end.len() as u64);
    for at in [at, last] {
        layer.bytes().read_exact_at(at, &mut end).expect("what is stored can be read");
    }
}
