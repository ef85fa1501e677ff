//! Write buffers of streamed objects, of which only so many are large.
//!
//! All large ones are slices of one allocation, which is made when the first is needed and freed when all are back. It is
//! too large for the allocator to keep it afterwards: many single ones would leave their memory in its free lists.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;

use super::staging::ALIGNMENT;

/// Bytes of a large piece. An object that is received quickly has two of them in memory.
const LARGE: usize = 512 * 1024;
/// Bytes of a small piece.
const SMALL: usize = 32 * 1024;
/// Large pieces of all uploads together. Further uploads write smaller pieces, and more often.
const MAX_LARGE: usize = 64;
/// If no more of the large pieces than this were in use at once, they are kept for the next uploads.
const KEPT: usize = 8;

/// The large pieces that all uploads of a store share.
#[derive(Debug, Default)]
pub(super) struct Pieces(Mutex<Slab>);

#[derive(Debug, Default)]
struct Slab {
    /// Empty and aligned, so that they can be written past the page cache. The last ones are used first.
    free: Vec<BytesMut>,
    in_use: usize,
    most_in_use: usize,
}

impl Pieces {
    fn take(self: &Arc<Self>) -> Option<Large> {
        let mut slab = self.slab();
        if slab.free.is_empty() && slab.in_use == 0 {
            slab.free = slices();
        }
        let bytes = slab.free.pop()?;
        slab.in_use += 1;
        slab.most_in_use = slab.most_in_use.max(slab.in_use);
        Some(Large { bytes, pieces: Arc::clone(self) })
    }

    fn give_back(&self, mut bytes: BytesMut) {
        bytes.clear();
        let mut slab = self.slab();
        slab.free.push(bytes);
        slab.in_use -= 1;
        if slab.in_use == 0 && slab.most_in_use > KEPT {
            *slab = Slab::default();
        }
    }

    fn slab(&self) -> MutexGuard<'_, Slab> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One allocation, cut into pieces.
fn slices() -> Vec<BytesMut> {
    let mut rest = BytesMut::with_capacity(MAX_LARGE * LARGE + ALIGNMENT);
    let start = rest.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
    rest = rest.split_off(start);
    let cut = |_| {
        let next = rest.split_off(LARGE);
        std::mem::replace(&mut rest, next)
    };
    (0..MAX_LARGE).map(cut).collect()
}

/// A write buffer.
pub(super) enum Piece {
    Small(Vec<u8>),
    Large(Large),
}

/// A large write buffer, which returns to the others when it is dropped.
pub(super) struct Large {
    bytes: BytesMut,
    pieces: Arc<Pieces>,
}

impl Default for Piece {
    /// A small one, which has allocated nothing yet.
    fn default() -> Self {
        Self::Small(Vec::new())
    }
}

impl Piece {
    pub(super) fn is_large(&self) -> bool {
        matches!(self, Self::Large(_))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Small(bytes) => bytes,
            Self::Large(large) => &large.bytes,
        }
    }

    /// Bytes that still fit, in a piece that begins at offset `at` of its file. If that is not aligned, the next one
    /// will be.
    pub(super) fn room(&self, at: u64) -> usize {
        let size = if self.is_large() { LARGE } else { SMALL };
        let over = usize::try_from(at % ALIGNMENT as u64).unwrap_or_default();
        (size - over).saturating_sub(self.bytes().len())
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        match self {
            Self::Small(own) => own.extend_from_slice(bytes),
            Self::Large(large) => large.bytes.extend_from_slice(bytes),
        }
    }

    /// Makes a small piece large, if there is a large one to be had.
    pub(super) fn enlarge(&mut self, pieces: &Arc<Pieces>) -> bool {
        let Self::Small(bytes) = self else { return false };
        let Some(mut large) = pieces.take() else { return false };
        large.bytes.extend_from_slice(bytes);
        *self = Self::Large(large);
        true
    }

    pub(super) fn clear(&mut self) {
        match self {
            Self::Small(bytes) => bytes.clear(),
            Self::Large(large) => large.bytes.clear(),
        }
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        self.pieces.give_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn large(pieces: &Arc<Pieces>) -> Option<Piece> {
        let mut piece = Piece::default();
        piece.enlarge(pieces).then_some(piece)
    }

    #[test]
    fn large_pieces_are_aligned_bounded_and_used_again() {
        let pieces = Arc::new(Pieces::default());
        let mut all: Vec<Piece> = std::iter::from_fn(|| large(&pieces)).collect();
        assert_eq!(all.len(), MAX_LARGE);
        for (seed, piece) in (0..).zip(&mut all) {
            assert!(piece.bytes().as_ptr().align_offset(ALIGNMENT) == 0 && piece.room(0) == LARGE);
            piece.extend(&vec![seed; LARGE]);
            assert_eq!((piece.room(0), piece.bytes().as_ptr().align_offset(ALIGNMENT)), (0, 0));
        }
        assert!((0..).zip(&all).all(|(seed, piece)| piece.bytes().iter().all(|byte| *byte == seed)));
        all.pop();
        let again = large(&pieces).unwrap();
        assert!(again.bytes().is_empty() && large(&pieces).is_none());
        drop((all, again));
        assert!(pieces.slab().free.is_empty(), "the memory of many is given back");
        drop((large(&pieces), large(&pieces)));
        assert_eq!(pieces.slab().free.len(), MAX_LARGE, "that of few is kept");
    }

    #[test]
    fn after_an_unaligned_end_pieces_become_aligned_again() {
        let mut piece = Piece::default();
        piece.extend(b"abc");
        assert_eq!((piece.room(0), piece.room(5000)), (SMALL - 3, SMALL - 3 - 904));
    }
}
