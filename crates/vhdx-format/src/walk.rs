//! Walking one image from front to back: what it says about each run of its disk.
//!
//! **The rule that decides everything** (MS-VHDX 2.5.1.1): only payload state 0, and in state 7 sectors whose bit is 0,
//! fall through to the parent. States 1, 2 and 3 hide it and read as zeros. The bitmap is consulted in state 7 only.
//!
//! A cursor holds one page of the table and one of a bitmap, so memory depends neither on the disk's size nor on the
//! table's, and walking in order reads each page once.

use crate::geometry::{BlockIndex, ChunkIndex};
use crate::layer::Layer;
use crate::wire::bat::{ENTRY_LEN, Entry, state};
use crate::{DiskOffset, Extent, FileOffset, ImageError, LayerContent, Structure, bitmap};

/// A position in one image's answer, moving forward.
pub(crate) struct LayerCursor<'a> {
    layer: &'a Layer,
    bat: Page,
    bitmap: Page,
    /// Where the sector bitmap of the chunk that was last asked for lies.
    bitmap_at: Option<(ChunkIndex, FileOffset)>,
    run: Option<Extent<LayerContent>>,
}

impl<'a> LayerCursor<'a> {
    pub(crate) fn new(layer: &'a Layer) -> Self {
        Self { layer, bat: Page::default(), bitmap: Page::default(), bitmap_at: None, run: None }
    }

    /// A run that starts at `at` and ends at `limit` at the latest; never empty while `at < limit`. The run need not
    /// be the longest possible: merging is for [`crate::extent::Coalesced`].
    pub(crate) fn run_at(
        &mut self,
        at: DiskOffset,
        limit: DiskOffset,
    ) -> Result<Extent<LayerContent>, ImageError> {
        let run = match self.run {
            Some(run) if run.start <= at && at < run.end() => run,
            _ => self.find_run(at)?,
        };
        self.run = Some(run);
        let skipped = at.since(run.start);
        let content = match run.content {
            LayerContent::Stored(from) => LayerContent::Stored(FileOffset(from.0.saturating_add(skipped))),
            other => other,
        };
        Ok(Extent { start: at, len: run.end().min(limit).since(at), content })
    }

    fn find_run(&mut self, at: DiskOffset) -> Result<Extent<LayerContent>, ImageError> {
        let layout = self.layer.outline().layout();
        if at.0 >= layout.geometry().size() {
            return Ok(Extent { start: at, len: u64::MAX.saturating_sub(at.0), content: LayerContent::Zero });
        }
        let block = layout.block_at(at);
        let entry = self.entry(layout.payload_entry(block))?;
        let absent = if layout.is_differencing() { LayerContent::Inherited } else { LayerContent::Zero };
        let block_size = u64::from(layout.block_size().bytes());
        match entry.state() {
            state::NOT_PRESENT => Ok(self.blocks_from(at, block, absent, |last, next| last == next)),
            state::UNDEFINED | state::ZERO | state::UNMAPPED => {
                Ok(self.blocks_from(at, block, LayerContent::Zero, |last, next| last == next))
            }
            state::FULLY_PRESENT => {
                let content = LayerContent::Stored(self.in_block(entry, block, at));
                Ok(self.blocks_from(at, block, content, |last, next| {
                    last.0.checked_add(block_size) == Some(next.0)
                }))
            }
            state::PARTIALLY_PRESENT => self.sectors_from(at, block, entry),
            _ => Err(self.changed(layout.payload_entry(block))),
        }
    }

    /// The run from `at` through as many blocks behind `block` as `follows` says go on, looking no further than the
    /// page and the chunk.
    fn blocks_from(
        &self,
        at: DiskOffset,
        block: BlockIndex,
        content: LayerContent,
        follows: impl Fn(Entry, Entry) -> bool,
    ) -> Extent<LayerContent> {
        let layout = self.layer.outline().layout();
        let most = layout.next_chunk_start(block).0.min(layout.block_count()).saturating_sub(block.0);
        let entries = self.bat.words_from(layout.payload_entry(block).saturating_mul(ENTRY_LEN));
        let pairs =
            entries.clone().zip(entries.skip(1)).take(usize::try_from(most).unwrap_or(0).saturating_sub(1));
        let more = pairs.take_while(|(last, next)| follows(Entry(*last), Entry(*next))).count();
        let last = BlockIndex(block.0.saturating_add(u64::try_from(more).unwrap_or(0)));
        Extent { start: at, len: layout.block_range(last).end().since(at), content }
    }

    /// The run of sectors with equal bits from `at`, looking no further than the block and the bitmap's page.
    fn sectors_from(
        &mut self,
        at: DiskOffset,
        block: BlockIndex,
        entry: Entry,
    ) -> Result<Extent<LayerContent>, ImageError> {
        let layout = self.layer.outline().layout();
        let bits = layout.bits_from(at);
        let base = self.bitmap_of(layout.chunk_of(block))?;
        self.bitmap.load(self.layer, Structure::SectorBitmap, base, bits.start / 8)?;
        let page_bit = self.bitmap.at.saturating_mul(8);
        let (from, to) = (bits.start.saturating_sub(page_bit), bits.end.saturating_sub(page_bit));
        let (present, sectors) = bitmap::run(&self.bitmap.bytes, from, to)
            .ok_or_else(|| self.changed(layout.payload_entry(block)))?;
        let content = if present {
            LayerContent::Stored(self.in_block(entry, block, at))
        } else {
            LayerContent::Inherited
        };
        // A caller may ask from the middle of a sector; the run still ends at a sector's end.
        Ok(Extent { start: at, len: layout.end_of_sectors(at, sectors).since(at), content })
    }

    fn in_block(&self, entry: Entry, block: BlockIndex, at: DiskOffset) -> FileOffset {
        FileOffset(
            entry.file_offset().saturating_add(at.since(self.layer.outline().layout().block_start(block))),
        )
    }

    fn bitmap_of(&mut self, chunk: ChunkIndex) -> Result<FileOffset, ImageError> {
        if let Some((known, at)) = self.bitmap_at
            && known == chunk
        {
            return Ok(at);
        }
        // Read by itself: through the page it would push out the page of the chunk's payload entries.
        let index = self.layer.outline().layout().bitmap_entry(chunk);
        let entry_at = index.saturating_mul(ENTRY_LEN);
        let file_at = FileOffset(self.layer.outline().regions.bat.at.0.saturating_add(entry_at));
        let mut word = [0; 8];
        self.layer
            .bytes()
            .read_exact_at(file_at, &mut word)
            .map_err(ImageError::reading(Structure::Bat, file_at))?;
        let entry = Entry(u64::from_le_bytes(word));
        if entry.state() != state::BITMAP_PRESENT {
            return Err(self.changed(index));
        }
        let at = FileOffset(entry.file_offset());
        self.bitmap_at = Some((chunk, at));
        Ok(at)
    }

    fn entry(&mut self, index: u64) -> Result<Entry, ImageError> {
        let at = index.saturating_mul(ENTRY_LEN);
        self.bat.load(self.layer, Structure::Bat, self.layer.outline().regions.bat.at, at)?;
        let word = self.bat.words_from(at).next();
        word.map(Entry).ok_or_else(|| self.changed(index))
    }

    /// The table was in order when the image was opened, so only a file that changes under us gets here.
    fn changed(&self, entry: u64) -> ImageError {
        let at = self.layer.outline().regions.bat.at.0.saturating_add(entry.saturating_mul(ENTRY_LEN));
        ImageError::Changed { structure: Structure::Bat, at: FileOffset(at) }
    }
}

/// A piece of the table or of a bitmap. Both have whole MiBs, so a page never reaches past their end.
#[derive(Default)]
struct Page {
    /// Where `base` lies in the file: which table or bitmap the page is of.
    base: FileOffset,
    /// First byte of the page, counted from `base`.
    at: u64,
    bytes: Vec<u8>,
}

/// 64 KiB: 8192 entries, or the bits of 256 MiB in 512-byte sectors.
const PAGE_LEN: usize = 1 << 16;

impl Page {
    /// Makes the byte at `at` from `base` available.
    fn load(
        &mut self,
        layer: &Layer,
        structure: Structure,
        base: FileOffset,
        at: u64,
    ) -> Result<(), ImageError> {
        let page_at = at & !0xFFFF;
        if !self.bytes.is_empty() && self.base == base && self.at == page_at {
            return Ok(());
        }
        let file_at = FileOffset(base.0.saturating_add(page_at));
        self.bytes.resize(PAGE_LEN, 0);
        let read = layer.bytes().read_exact_at(file_at, &mut self.bytes);
        if let Err(error) = read {
            self.bytes.clear();
            return Err(ImageError::reading(structure, file_at)(error));
        }
        (self.base, self.at) = (base, page_at);
        Ok(())
    }

    /// The 64-bit words from the byte at `at` (counted from `base`) to the end of the page.
    fn words_from(&self, at: u64) -> impl Iterator<Item = u64> + Clone + '_ {
        let in_page = usize::try_from(at.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let (words, _) = self.bytes.get(in_page..).unwrap_or(&[]).as_chunks::<8>();
        words.iter().map(|word| u64::from_le_bytes(*word))
    }
}
