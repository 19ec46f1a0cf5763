//! A tensor's memory, typed, to read: however it is strided, its elements come in logical (C) order.

use super::BLOCK;
use super::layout::{Layout, contiguous, fills, inside};
use super::piece::{PIECE, Piece};
use super::run;
use super::walk::Walk;
use crate::descriptor::{self, Descriptor};
use crate::dtype::{DType, Element};
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;

pub use super::view_mut::ViewMut;

/// A tensor's memory, to read.
///
/// ```
/// use shrew_ema::View;
/// let view = View::from(&[1.0_f32, 2.0, 3.0][..]);
/// assert_eq!((view.dtype().name(), view.shape()), ("float32", &[3][..]));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub(super) data: NonNull<u8>,
    dtype: DType,
    elements: usize,
    /// None for a plain slice, whose only extent is `elements`.
    shape: Option<&'a [usize]>,
    /// None where the elements lie one after the other.
    pub(super) strides: Option<&'a [isize]>,
    memory: PhantomData<&'a [u8]>,
}

// SAFETY: a view is a shared borrow of plain numbers, which any thread may read.
unsafe impl Send for View<'_> {}
// SAFETY: as above; a view has no interior mutability.
unsafe impl Sync for View<'_> {}

impl<'a> View<'a> {
    /// A view of raw memory: the element with index `i` lies `Σ i[k] * strides[k]` elements after `data`.
    ///
    /// # Safety
    /// For `'a`, every element must be readable at that place, aligned and initialised, and not be written through a
    /// Rust reference.
    ///
    /// # Panics
    /// Unless there is a stride for each dimension, and the elements' bytes are at most `isize::MAX`.
    pub unsafe fn from_raw(data: NonNull<u8>, dtype: DType, shape: &'a [usize], strides: &'a [isize]) -> Self {
        assert_eq!(shape.len(), strides.len(), "a stride for each dimension");
        let elements = descriptor::elements(dtype, shape).expect("a tensor larger than memory");
        let strides = (elements > 0 && !contiguous(shape, strides)).then_some(strides);
        Self { data, dtype, elements, shape: Some(shape), strides, memory: PhantomData }
    }

    /// A view of raw memory that is laid out as has been worked out before.
    ///
    /// # Safety
    /// As for [`View::from_raw`]; the layout has to be one of this dtype.
    #[inline]
    pub unsafe fn from_layout(data: NonNull<u8>, dtype: DType, layout: &'a Layout) -> Self {
        let (shape, strides) = layout.axes().map_or((None, None), |(shape, strides)| (Some(shape), strides));
        Self { data, dtype, elements: layout.elements(), shape, strides, memory: PhantomData }
    }

    /// A contiguous tensor at the start of `words`, whose bytes are taken as `dtype`.
    ///
    /// # Panics
    /// Unless `words` has room for all elements.
    pub fn over(words: &'a [u64], dtype: DType, shape: &'a [usize]) -> Self {
        let elements = descriptor::elements(dtype, shape).filter(|n| n * dtype.size() <= size_of_val(words));
        let elements = elements.unwrap_or_else(|| panic!("{shape:?} of {dtype} does not fit"));
        // Words are aligned for every dtype, and every bit pattern is a number of every dtype.
        Self {
            data: NonNull::from(words).cast(),
            dtype,
            elements,
            shape: Some(shape),
            strides: None,
            memory: PhantomData,
        }
    }

    /// A view of all of `memory`, shaped: in logical (C) order.
    ///
    /// ```
    /// use shrew_ema::View;
    /// assert_eq!(View::shaped(&[1.0_f32; 6], &[2, 3])?.shape(), [2, 3]);
    /// # Ok::<(), shrew_ema::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] unless the shape has as many elements as the memory.
    #[inline]
    pub fn shaped<T: Element>(memory: &'a [T], shape: &'a [usize]) -> Result<Self> {
        fills::<T>(memory.len(), shape)?;
        Ok(View::from(memory).with_shape(shape))
    }

    /// The same memory, shaped: as [`fills`] has found that it can be.
    #[inline]
    pub(super) fn with_shape(self, shape: &'a [usize]) -> Self {
        Self { shape: Some(shape), ..self }
    }

    /// A view of elements that lie one after the other.
    ///
    /// # Safety
    /// As for [`View::from_raw`].
    #[inline]
    pub(super) unsafe fn plain(data: NonNull<u8>, dtype: DType, elements: usize) -> Self {
        Self { data, dtype, elements, shape: None, strides: None, memory: PhantomData }
    }

    /// A view of a part of `memory`, in any order: the element with index `i` is `memory[first + Σ i[k] * strides[k]]`.
    ///
    /// # Errors
    /// [`Error::Config`] if some element would lie outside `memory`.
    ///
    /// # Panics
    /// Unless there is a stride for each dimension.
    pub fn strided<T: Element>(
        memory: &'a [T],
        first: usize,
        shape: &'a [usize],
        strides: &'a [isize],
    ) -> Result<Self> {
        inside::<T>(memory.len(), first, shape, strides)?;
        let data = NonNull::from(memory).cast::<T>();
        // SAFETY: the offset is at most the length. `inside` found every element in `memory`, whose borrow lasts
        // for 'a; without elements nothing is ever read.
        Ok(unsafe { Self::from_raw(data.add(first.min(memory.len())).cast(), T::DTYPE, shape, strides) })
    }

    /// The element type.
    #[inline]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The address of the first element.
    #[inline]
    pub fn as_ptr(&self) -> *const u8 {
        self.data.as_ptr()
    }

    /// How many elements there are.
    #[inline]
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// The extent of each dimension; a plain slice has one.
    pub fn shape(&self) -> &[usize] {
        self.shape.unwrap_or(std::slice::from_ref(&self.elements))
    }

    /// The dtype and the shape.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.dtype, self.shape())
    }

    /// Whether its pieces are taken where they lie, and not through the stack: they are long.
    pub fn is_direct(&self) -> bool {
        self.strides.is_none_or(|strides| Walk::new(self.shape(), strides).plain() >= BLOCK)
    }

    /// The elements, if they lie one after the other.
    ///
    /// # Panics
    /// Unless `T` is as wide as the dtype.
    #[inline]
    pub fn as_slice<T: Element>(&self) -> Option<&'a [T]> {
        self.check_width::<T>();
        if self.strides.is_some() {
            return None;
        }
        if self.elements == 0 {
            // Whose address may be anything.
            return Some(&[]);
        }
        // SAFETY: the constructors promise `elements` initialised, aligned elements of this width, readable for 'a,
        // and every bit pattern is a value of an `Element`.
        Some(unsafe { std::slice::from_raw_parts(self.data.cast::<T>().as_ptr(), self.elements) })
    }

    /// The elements, if they are of type `T` and lie one after the other, at least one and at most `limit`.
    #[inline]
    pub fn as_few<T: Element>(&self, limit: usize) -> Option<&'a [T]> {
        // Whether they are strided comes first, as whoever makes the view has mostly just looked.
        if self.strides.is_none() && self.dtype == T::DTYPE && (1..=limit).contains(&self.elements) {
            self.as_slice()
        } else {
            None
        }
    }

    /// Calls `visit(start, values)` for piece after piece of a range of the elements, in whatever order suits the memory:
    /// each piece has some that follow each other in logical order, from number `start` on.
    ///
    /// # Panics
    /// Unless `T` is as wide as the dtype and there are such elements.
    pub fn pieces<T: Element>(&self, range: Range<usize>, mut visit: impl FnMut(usize, &[T])) {
        if let Some(slice) = self.as_slice() {
            return visit(range.start, &slice[range]);
        }
        self.strided_pieces(range, visit);
    }

    /// The same of a strided tensor. A call of its own, as its piece of the stack would otherwise be one of every caller,
    /// and of those that wait for other threads there may be many at a time.
    #[inline(never)]
    fn strided_pieces<T: Element>(&self, range: Range<usize>, mut visit: impl FnMut(usize, &[T])) {
        let walk = self.walk(&range);
        let data = self.data.cast::<T>().as_ptr();
        let tiled = walk.tiled(&range);
        let mut piece = Piece::new();
        for range in [range.start..tiled.start, tiled.end..range.end] {
            if walk.plain() >= BLOCK {
                let mut at = range.start;
                walk.runs(range, |offset, _, count| {
                    // SAFETY: the run is one of elements of this tensor, which the constructors promise to be readable,
                    // aligned and initialised for 'a, and of this width; its stride is 1.
                    visit(at, unsafe { std::slice::from_raw_parts(data.offset(offset), count) });
                    at += count;
                });
                continue;
            }
            for at in range.clone().step_by(PIECE) {
                let mut places = &mut piece.places()[..];
                walk.runs(at..range.end.min(at + PIECE), |offset, stride, count| {
                    let (now, rest) = std::mem::take(&mut places).split_at_mut(count);
                    places = rest;
                    // SAFETY: `runs` gives only elements of this tensor, as above.
                    unsafe { run::read(data.wrapping_offset(offset), stride, now) };
                });
                // SAFETY: as many have been written as there are in the range.
                visit(at, unsafe { piece.written(PIECE.min(range.end - at)) });
            }
        }
        walk.tiles(tiled, data, |tile| {
            // SAFETY: `tiles` gives only elements of this tensor, as above.
            unsafe { tile.read(data, piece.places()) };
            // SAFETY: each element of the tile has been written.
            let values = unsafe { piece.written(tile.elements()) };
            tile.stretches(walk.unit, |start, part| visit(start, &values[part]));
        });
    }

    /// Copies the elements from number `start` on, in logical order, until `into` is full.
    ///
    /// # Panics
    /// Unless `T` is as wide as the dtype and there are that many elements.
    pub fn gather<T: Element>(&self, start: usize, into: &mut [T]) {
        let end = start.checked_add(into.len()).expect("elements outside the tensor");
        self.pieces(start..end, |at, values| into[at - start..][..values.len()].copy_from_slice(values));
    }

    /// Where a range of the elements should begin and end so that it can be taken in an order that suits the memory: at a
    /// multiple of this.
    pub fn unit(&self) -> usize {
        self.strides.map_or(1, |strides| Walk::new(self.shape(), strides).cuts())
    }

    #[inline]
    pub(super) fn check_width<T: Element>(&self) {
        assert_eq!(size_of::<T>(), self.dtype.size(), "{} read as {}", self.dtype, T::DTYPE);
    }

    /// How to walk through a strided tensor.
    pub(super) fn walk(&self, range: &Range<usize>) -> Walk {
        assert!(range.start <= range.end && range.end <= self.elements, "elements outside the tensor");
        Walk::new(self.shape(), self.strides.unwrap_or(&[]))
    }
}

impl<'a, T: Element> From<&'a [T]> for View<'a> {
    fn from(slice: &'a [T]) -> Self {
        // SAFETY: these are the elements of the slice, which is borrowed for 'a.
        unsafe { View::plain(NonNull::from(slice).cast(), T::DTYPE, slice.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_that_leaves_its_memory_is_refused() {
        let memory = [0_u8; 10];
        for (first, shape, strides) in [(0, [11], [1]), (0, [2], [-1]), (9, [2], [1]), (0, [2], [isize::MAX])] {
            let refusal = View::strided(&memory, first, &shape, &strides).unwrap_err();
            assert!(refusal.to_string().starts_with("strides must be such that"), "{refusal}");
        }
        assert_eq!(View::strided(&memory, 99, &[0], &[1]).unwrap().elements(), 0);
        let huge = [usize::MAX - 1, usize::MAX - 1];
        for (shape, strides) in [(huge, [isize::MIN; 2]), (huge, [isize::MAX; 2]), ([1 << 32, 1 << 32], [0, 0])] {
            assert!(View::strided(&memory, 0, &shape, &strides).is_err());
        }
        assert_eq!(View::strided(&memory, 0, &[1 << 40, 1 << 40, 0], &[1, 1, 1]).unwrap().elements(), 0);
    }

    #[test]
    fn a_shape_has_as_many_elements_as_its_memory() {
        let mut memory = [0_u8; 6];
        for shape in [&[6][..], &[2, 3], &[1, 6, 1]] {
            assert_eq!(View::shaped(&memory, shape).unwrap().shape(), shape);
            assert_eq!(ViewMut::shaped(&mut memory, shape).unwrap().as_view().shape(), shape);
        }
        for shape in [&[][..], &[5], &[2, 2], &[0, 6], &[7], &[1 << 63, 2, 3], &[usize::MAX, usize::MAX]] {
            let refusal = View::shaped(&memory, shape).unwrap_err().to_string();
            assert!(refusal.starts_with("shape must be one of 6 elements, as the memory has"), "{refusal}");
            assert_eq!(ViewMut::shaped(&mut memory, shape).unwrap_err().to_string(), refusal);
        }
        assert_eq!(View::shaped(&[0_u8], &[]).unwrap().elements(), 1);
        assert_eq!(View::shaped(&[0_u8; 0], &[3, 0]).unwrap().elements(), 0);
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn a_view_larger_than_its_words_panics() {
        View::over(&[], DType::F64, &[1 << 61]);
    }

    #[test]
    #[should_panic(expected = "float32 read as uint16")]
    fn reading_in_another_width_panics() {
        View::from(&[1_f32][..]).as_slice::<u16>();
    }
}
