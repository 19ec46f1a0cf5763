//! A part of a tensor to write: of elements that follow each other in logical order, and that nobody else may touch.

use super::BLOCK;
use super::layout::apart;
use super::piece::{PIECE, Piece};
use super::run;
use super::stream::{Copies, Store};
use super::view::{View, ViewMut};
use crate::dtype::Element;
use std::marker::PhantomData;
use std::ops::Range;

/// A part of a tensor to write.
#[derive(Debug)]
pub struct Part<'a> {
    tensor: View<'a>,
    range: Range<usize>,
    memory: PhantomData<&'a mut [u8]>,
}

// SAFETY: a part is an exclusive borrow of plain numbers, which may move to another thread: `split_at` makes two of one only
// where no element of the one is one of the other.
unsafe impl Send for Part<'_> {}

impl<'a> Part<'a> {
    pub(super) fn whole(view: &'a mut ViewMut<'_>) -> Self {
        let tensor = view.as_view();
        Self { range: 0..tensor.elements(), tensor, memory: PhantomData }
    }

    /// The numbers of its elements, in logical order.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// See [`View::unit`].
    pub fn unit(&self) -> usize {
        self.tensor.unit()
    }

    /// Two parts, the second one from the element of this number on; the whole one where elements may share memory.
    ///
    /// # Panics
    /// Unless the number is one of this part, or of the one after it.
    pub fn split_at(self, middle: usize) -> Result<(Self, Self), Self> {
        assert!(self.range.contains(&middle) || middle == self.range.end, "an element outside of the part");
        let Self { tensor, range, .. } = self;
        if tensor.strides.is_some_and(|strides| !apart(tensor.shape(), strides)) {
            return Err(Self { tensor, range, memory: PhantomData });
        }
        let part = |range| Self { tensor, range, memory: PhantomData };
        Ok((part(range.start..middle), part(middle..range.end)))
    }

    /// Calls `produce(start, values)` for piece after piece, in whatever order suits the memory, and writes what it puts
    /// into `values`: the elements from number `start` on. What does not lie in one piece is stored as `store` says, where it
    /// can be.
    ///
    /// # Panics
    /// Unless `T` is as wide as the dtype.
    pub fn fill<T: Element>(self, store: Store, mut produce: impl FnMut(usize, &mut [T])) {
        let Self { tensor, range, .. } = self;
        tensor.check_width::<T>();
        let data = tensor.data.cast::<T>().as_ptr();
        if tensor.strides.is_none() {
            if range.is_empty() {
                return;
            }
            // SAFETY: the constructors of the tensor promise its elements aligned, writable and of this width, and it lies
            // in one piece; those of the range are borrowed exclusively.
            let slice = unsafe { std::slice::from_raw_parts_mut(data.add(range.start), range.len()) };
            return produce(range.start, slice);
        }
        Self { tensor, range, memory: PhantomData }.fill_strided(store, produce);
    }

    /// The same of a strided tensor; a call of its own, as that of [`View::pieces`] is.
    #[inline(never)]
    fn fill_strided<T: Element>(self, store: Store, mut produce: impl FnMut(usize, &mut [T])) {
        let Self { tensor, range, .. } = self;
        let data = tensor.data.cast::<T>().as_ptr();
        let walk = tensor.walk(&range);
        let tiled = walk.tiled(&range);
        let mut piece = Piece::new();
        // No more than are asked for: to clear all of it would take longer than a small tensor does.
        let piece = piece.zeroed(PIECE.min(range.len()));
        for range in [range.start..tiled.start, tiled.end..range.end] {
            if walk.plain() >= BLOCK {
                let mut at = range.start;
                walk.runs(range, |offset, _, count| {
                    // SAFETY: as in `fill`: the run is one of elements of the range, and its stride is 1.
                    produce(at, unsafe { std::slice::from_raw_parts_mut(data.offset(offset), count) });
                    at += count;
                });
                continue;
            }
            for at in range.clone().step_by(PIECE) {
                let piece = &mut piece[..PIECE.min(range.end - at)];
                produce(at, piece);
                let mut values = &*piece;
                walk.runs(at..at + values.len(), |offset, stride, count| {
                    let (now, rest) = values.split_at(count);
                    values = rest;
                    // SAFETY: `runs` gives only elements of the range, as above.
                    unsafe { run::write(now, data.wrapping_offset(offset), stride) };
                });
            }
        }
        let mut copies = Copies::new(store);
        walk.tiles(tiled, data, |tile| {
            let piece = &mut piece[..tile.elements()];
            tile.stretches(walk.unit, |start, part| produce(start, &mut piece[part]));
            // SAFETY: `tiles` gives only elements of the range, as above.
            unsafe { tile.write(data, piece, &mut copies) };
        });
    }
}
