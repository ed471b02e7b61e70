//! Runs of a disk that have one answer, and the law they obey.
//!
//! The law, for every sequence of extents in this workspace: ascending, contiguous, covering exactly the range asked
//! for, never empty, and equal neighbours merged. [`Coalesced`] is the one place that merges; whoever produces extents
//! need only keep the first four.

use crate::{DiskOffset, DiskRange, FileOffset};

/// A run of the disk with one answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent<C> {
    /// Where the run starts on the disk.
    pub start: DiskOffset,
    /// Its length in bytes; never 0 in a sequence that obeys the law.
    pub len: u64,
    /// What the disk (or the layer) holds there.
    pub content: C,
}

impl<C> Extent<C> {
    /// First position behind the run.
    #[must_use]
    pub fn end(&self) -> DiskOffset {
        DiskOffset(self.start.0.saturating_add(self.len))
    }
}

/// What one image says about a run of the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LayerContent {
    /// The bytes lie in this image, contiguously from here.
    Stored(FileOffset),
    /// Zeros, whatever the parents hold.
    Zero,
    /// The parent answers (payload state 0, or a clear sector bit in state 7).
    Inherited,
}

/// Which image of a stack, counted from the leaf (0) down to the base.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LayerIndex(pub usize);

/// What the disk holds in a run, and where the bytes lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// The bytes lie in one image, contiguously.
    Data {
        /// The image that holds them.
        layer: LayerIndex,
        /// Where the run begins in it.
        at: FileOffset,
    },
    /// Zeros that no image stores.
    Zero,
}

impl Extent<Content> {
    /// The part of it in `range`, which lies in it: its bytes stay where they lie.
    #[must_use]
    pub fn part(&self, range: DiskRange) -> Self {
        let content = match self.content {
            Content::Zero => Content::Zero,
            Content::Data { layer, at } => {
                let skipped = range.start().since(self.start);
                Content::Data { layer, at: FileOffset(at.0.saturating_add(skipped)) }
            }
        };
        Self { start: range.start(), len: range.len(), content }
    }
}

/// Content that knows whether a neighbour carries it on.
pub trait Continues {
    /// Whether `next`, lying directly behind `len` bytes of `self`, is the same run going on.
    fn continues_into(&self, len: u64, next: &Self) -> bool;
}

impl Continues for LayerContent {
    fn continues_into(&self, len: u64, next: &Self) -> bool {
        match (self, next) {
            (Self::Stored(a), Self::Stored(b)) => a.checked_add(len) == Some(*b),
            (Self::Zero, Self::Zero) | (Self::Inherited, Self::Inherited) => true,
            _ => false,
        }
    }
}

impl Continues for Content {
    fn continues_into(&self, len: u64, next: &Self) -> bool {
        match (self, next) {
            (Self::Data { layer: la, at: a }, Self::Data { layer: lb, at: b }) => {
                la == lb && a.checked_add(len) == Some(*b)
            }
            (Self::Zero, Self::Zero) => true,
            _ => false,
        }
    }
}

/// Merges neighbours of a contiguous sequence that carry each other on. An error comes after the runs before it, and
/// ends the sequence.
#[derive(Debug)]
pub struct Coalesced<I, C, E> {
    inner: Option<I>,
    held: Option<Extent<C>>,
    failed: Option<E>,
}

impl<I, C, E> Coalesced<I, C, E> {
    /// Wraps a contiguous, ascending sequence without empty runs.
    pub fn new(inner: I) -> Self {
        Self { inner: Some(inner), held: None, failed: None }
    }
}

impl<I, C, E> Iterator for Coalesced<I, C, E>
where
    I: Iterator<Item = Result<Extent<C>, E>>,
    C: Continues,
{
    type Item = Result<Extent<C>, E>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(inner) = &mut self.inner {
            let next = match inner.next() {
                Some(Ok(next)) => next,
                ended => {
                    self.failed = ended.and_then(Result::err);
                    self.inner = None;
                    break;
                }
            };
            match &mut self.held {
                Some(held) if held.content.continues_into(held.len, &next.content) => {
                    held.len = held.len.saturating_add(next.len);
                }
                _ => {
                    if let Some(done) = self.held.replace(next) {
                        return Some(Ok(done));
                    }
                }
            }
        }
        self.held.take().map(Ok).or_else(|| self.failed.take().map(Err))
    }
}
