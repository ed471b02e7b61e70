//! What comes of opening a chain and reading its disk, held against the disk it should hold.

use std::fmt;

use vhdx_format::{
    Content, DiskOffset, DiskRange, Extent, FileOffset, Geometry, ImageError, Layer, LayerIndex, LayerStack,
    LinkError, OpenStack, ReadAt, VirtualDisk, read_extent,
};

use crate::subjects::MIB;

/// The disk that a chain should hold.
pub(crate) struct RightDisk {
    geometry: Geometry,
    bytes: Vec<u8>,
    /// How many bytes before each sector are not zero, and at last how many in all.
    nonzero_before: Vec<u64>,
}

impl RightDisk {
    pub(crate) fn new(geometry: Geometry, bytes: Vec<u8>) -> Self {
        let mut nonzero_before = vec![0];
        let mut nonzero = 0;
        for sector in bytes.chunks(SECTOR) {
            nonzero += sector.iter().filter(|byte| **byte != 0).count() as u64;
            nonzero_before.push(nonzero);
        }
        Self { geometry, bytes, nonzero_before }
    }

    /// Whether a run of whole sectors is zero.
    fn is_zero(&self, start: DiskOffset, end: DiskOffset) -> bool {
        let before = |at: DiskOffset| {
            assert!(at.0.is_multiple_of(SECTOR as u64), "runs are whole sectors");
            let last = self.nonzero_before.len() - 1;
            self.nonzero_before[last.min(at.0 as usize / SECTOR)]
        };
        before(start) == before(end)
    }

    /// What the disk has of an extent.
    fn part(&self, extent: &Extent<Content>) -> &[u8] {
        let end = self.bytes.len().min(extent.end().0 as usize);
        self.bytes.get(extent.start.0 as usize..end).unwrap_or_default()
    }
}

/// The smaller size of a sector.
const SECTOR: usize = 512;

/// What came of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    Same,
    Refused(Refusal),
    /// Other bytes, another size, or other sectors.
    Another,
}

/// Why a chain was not opened.
#[derive(Debug)]
pub(crate) enum Refusal {
    Image(ImageError),
    Link(LinkError),
    /// An image wants a parent that the chain does not have.
    Incomplete,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(error) => error.fmt(f),
            Self::Link(error) => error.fmt(f),
            Self::Incomplete => f.write_str("a parent is wanted"),
        }
    }
}

impl Refusal {
    /// Whether it says where: the structure with an offset, or with the lengths that do not fit together; the region, item
    /// or field that is not known, by name or GUID; or the two identities that differ. The words are looked at as well,
    /// since they are all that a user gets.
    pub(crate) fn has_position(&self) -> bool {
        let text = self.to_string();
        match self {
            Self::Image(ImageError::Corrupt(corruption)) => {
                text.contains(&corruption.structure.to_string())
                    && text.contains(&format!("at {}", corruption.at))
                    && corruption.at.to_string().starts_with("0x")
            }
            Self::Image(ImageError::Truncated { structure, .. } | ImageError::Limit { structure, .. }) => {
                text.contains(&structure.to_string()) && text.contains(|c: char| c.is_ascii_digit())
            }
            Self::Image(ImageError::NotVhdx) => text.contains("does not begin with"),
            Self::Image(ImageError::Unsupported(_)) => {
                text.contains(|c: char| c.is_ascii_digit()) || text.contains("marked incomplete")
            }
            // Nothing fails to be read here, and nobody writes to the image meanwhile.
            Self::Image(_) => false,
            Self::Link(_) => text.contains("wanted is") || text.contains("-byte sectors"),
            Self::Incomplete => true,
        }
    }
}

/// The one place that opens an image.
fn open(source: Box<dyn ReadAt>) -> Result<Layer, Refusal> {
    Layer::open(source).map_err(Refusal::Image)
}

/// Opens a chain, leaf first.
pub(crate) fn open_chain(sources: Vec<Box<dyn ReadAt>>) -> Result<LayerStack, Refusal> {
    let mut sources = sources.into_iter();
    let mut stack = OpenStack::new(open(sources.next().expect("a leaf"))?);
    for source in sources {
        stack.push(open(source)?).map_err(Refusal::Link)?;
    }
    stack.complete().map_err(|_| Refusal::Incomplete)
}

/// Opens a chain, leaf first, and reads all that its images store of the disk, `buf` by `buf`.
pub(crate) fn outcome(sources: Vec<Box<dyn ReadAt>>, right: &RightDisk, buf: &mut [u8]) -> Outcome {
    match open_chain(sources) {
        Ok(stack) if is_right(&stack, right, buf) => Outcome::Same,
        Ok(_) => Outcome::Another,
        Err(refusal) => Outcome::Refused(refusal),
    }
}

/// What was opened can be read from end to end, whatever it is.
fn is_right(stack: &LayerStack, right: &RightDisk, buf: &mut [u8]) -> bool {
    let mut is_right = *stack.geometry() == right.geometry;
    let mut at = DiskOffset(0);
    let end = DiskOffset(stack.geometry().size());
    for extent in stack.extents(DiskRange::new(at, end)) {
        let extent = extent.expect("what was opened can be walked");
        assert_eq!(extent.start, at, "extents are contiguous");
        at = extent.end();
        is_right &= match extent.content {
            Content::Zero => right.is_zero(extent.start, extent.end()),
            Content::Data { layer, at } => has_bytes(stack, layer, at, right.part(&extent), extent.len, buf),
        };
    }
    assert_eq!(at, end, "extents cover the disk");
    is_right
}

/// Reads `len` bytes of a layer and compares those that are expected.
fn has_bytes(
    stack: &LayerStack,
    layer: LayerIndex,
    at: FileOffset,
    expected: &[u8],
    len: u64,
    buf: &mut [u8],
) -> bool {
    let mut equal = true;
    for done in (0..len).step_by(buf.len()) {
        let piece = &mut buf[..(len - done).min(MIB) as usize];
        let content = Content::Data { layer, at: FileOffset(at.0 + done) };
        read_extent(stack, &content, piece).expect("what was opened can be read");
        let expected = expected.get(done as usize..).unwrap_or_default();
        equal &= expected.len() >= piece.len() && expected[..piece.len()] == *piece;
    }
    equal
}

/// A position as errors print it.
#[test]
fn positions_are_hexadecimal() {
    assert_eq!(FileOffset(0x3_0010).to_string(), "0x30010");
}
