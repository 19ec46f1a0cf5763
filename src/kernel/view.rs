//! A tensor's memory, typed: however it is strided, its elements are read and written in logical (C) order.

use super::layout::{contiguous, inside};
use crate::descriptor::{self, Descriptor, Shape};
use crate::dtype::{DType, Element};
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// A tensor's memory, to read.
///
/// ```
/// use shrew_ema::View;
/// let view = View::from(&[1.0_f32, 2.0, 3.0][..]);
/// assert_eq!((view.dtype().name(), view.shape()), ("float32", &[3][..]));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    data: NonNull<u8>,
    dtype: DType,
    elements: usize,
    /// None for a plain slice, whose only extent is `elements`.
    shape: Option<&'a [usize]>,
    /// None where the elements lie one after the other.
    pub(super) strides: Option<&'a [isize]>,
    memory: PhantomData<&'a [u8]>,
}

/// A tensor's memory, to write.
#[derive(Debug)]
pub struct ViewMut<'a> {
    inner: View<'a>,
    memory: PhantomData<&'a mut [u8]>,
}

// SAFETY: a view is a shared borrow of plain numbers, which any thread may read.
unsafe impl Send for View<'_> {}
// SAFETY: as above; a view has no interior mutability.
unsafe impl Sync for View<'_> {}
// SAFETY: a mutable view is an exclusive borrow of plain numbers, which may move to another thread.
unsafe impl Send for ViewMut<'_> {}

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
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The address of the first element.
    pub fn as_ptr(&self) -> *const u8 {
        self.data.as_ptr()
    }

    /// How many elements there are.
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

    /// The elements, if they lie one after the other.
    ///
    /// # Panics
    /// Unless `T` is as wide as the dtype.
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

    /// Copies the elements from number `start` on, in logical order, until `into` is full.
    ///
    /// # Panics
    /// Unless `T` is as wide as the dtype and there are that many elements.
    pub fn gather<T: Element>(&self, start: usize, into: &mut [T]) {
        if let Some(slice) = self.as_slice() {
            return into.copy_from_slice(&slice[start..][..into.len()]);
        }
        let data = self.data.cast::<T>().as_ptr();
        let mut into = into;
        self.runs(start, into.len(), |offset, stride, count| {
            let (run, rest) = std::mem::take(&mut into).split_at_mut(count);
            for (i, value) in run.iter_mut().enumerate() {
                // SAFETY: `runs` gives only offsets of elements of this tensor, which the constructors promise to be
                // readable and aligned, and of this width.
                *value = unsafe { *data.offset(offset + i as isize * stride) };
            }
            into = rest;
        });
    }

    fn check_width<T: Element>(&self) {
        assert_eq!(size_of::<T>(), self.dtype.size(), "{} read as {}", self.dtype, T::DTYPE);
    }

    /// Calls `visit(offset, stride, count)` for each run along the last dimension in `start..start + count`.
    fn runs(&self, start: usize, count: usize, mut visit: impl FnMut(isize, isize, usize)) {
        assert!(start.checked_add(count).is_some_and(|end| end <= self.elements), "elements outside the tensor");
        let shape = self.shape();
        let Some(strides) = self.strides else { return visit(start as isize, 1, count) };
        // Strides are kept only where there is at least one dimension: a scalar is contiguous.
        let last = shape.len() - 1;
        let mut at = Shape::from_elem(0, shape.len());
        let mut rest = start;
        for axis in (0..shape.len()).rev() {
            at[axis] = rest % shape[axis];
            rest /= shape[axis];
        }
        let mut left = count;
        while left > 0 {
            let offset = at.iter().zip(strides).map(|(&i, &stride)| i as isize * stride).sum();
            let run = left.min(shape[last] - at[last]);
            visit(offset, strides[last], run);
            left -= run;
            at[last] += run;
            for axis in (1..shape.len()).rev() {
                if at[axis] < shape[axis] {
                    break;
                }
                at[axis] = 0;
                at[axis - 1] += 1;
            }
        }
    }
}

impl<'a, T: Element> From<&'a [T]> for View<'a> {
    fn from(slice: &'a [T]) -> Self {
        View {
            data: NonNull::from(slice).cast(),
            dtype: T::DTYPE,
            elements: slice.len(),
            shape: None,
            strides: None,
            memory: PhantomData,
        }
    }
}

impl<'a> ViewMut<'a> {
    /// A writable view of raw memory, laid out as in [`View::from_raw`].
    ///
    /// # Safety
    /// For `'a`, every element must be writable at that place and aligned, and not be read or written through a Rust
    /// reference.
    ///
    /// # Panics
    /// As [`View::from_raw`] does.
    pub unsafe fn from_raw(data: NonNull<u8>, dtype: DType, shape: &'a [usize], strides: &'a [isize]) -> Self {
        // SAFETY: what this function asks of its caller is more than what the other one asks.
        Self { inner: unsafe { View::from_raw(data, dtype, shape, strides) }, memory: PhantomData }
    }

    /// A writable view of a part of `memory`, laid out as in [`View::strided`].
    ///
    /// # Errors
    /// [`Error::Config`] if some element would lie outside `memory`.
    ///
    /// # Panics
    /// Unless there is a stride for each dimension.
    pub fn strided<T: Element>(
        memory: &'a mut [T],
        first: usize,
        shape: &'a [usize],
        strides: &'a [isize],
    ) -> Result<Self> {
        inside::<T>(memory.len(), first, shape, strides)?;
        let start = first.min(memory.len());
        let data = NonNull::from(memory).cast::<T>();
        // SAFETY: the offset is at most the length. `inside` found every element in `memory`, which is borrowed
        // exclusively for 'a.
        Ok(unsafe { Self::from_raw(data.add(start).cast(), T::DTYPE, shape, strides) })
    }

    /// The same memory, to read.
    pub fn as_view(&self) -> View<'_> {
        self.inner
    }

    /// The elements, if they lie one after the other.
    ///
    /// # Panics
    /// Unless `T` is as wide as the dtype.
    pub fn as_mut_slice<T: Element>(&mut self) -> Option<&mut [T]> {
        self.inner.check_width::<T>();
        if self.inner.strides.is_some() {
            return None;
        }
        if self.inner.elements == 0 {
            return Some(&mut []);
        }
        // SAFETY: as in `View::as_slice`, and the borrow is exclusive: the constructors take the memory so, and this
        // call takes the view so.
        Some(unsafe { std::slice::from_raw_parts_mut(self.inner.data.cast::<T>().as_ptr(), self.inner.elements) })
    }

    /// Copies `from` into the elements from number `start` on, in logical order.
    ///
    /// # Panics
    /// Unless `T` is as wide as the dtype and there are that many elements.
    pub fn scatter<T: Element>(&mut self, start: usize, from: &[T]) {
        if let Some(slice) = self.as_mut_slice() {
            return slice[start..][..from.len()].copy_from_slice(from);
        }
        let data = self.inner.data.cast::<T>().as_ptr();
        let mut from = from;
        self.inner.runs(start, from.len(), |offset, stride, count| {
            let (run, rest) = from.split_at(count);
            for (i, &value) in run.iter().enumerate() {
                // SAFETY: `runs` gives only offsets of elements of this tensor, which the constructors promise to be
                // writable and aligned, and of this width.
                unsafe { *data.offset(offset + i as isize * stride) = value };
            }
            from = rest;
        });
    }
}

impl<'a, T: Element> From<&'a mut [T]> for ViewMut<'a> {
    fn from(slice: &'a mut [T]) -> Self {
        let elements = slice.len();
        // Not by way of a shared slice: a pointer that comes from one may not be written through.
        let data = NonNull::from(slice).cast();
        let inner = View { data, dtype: T::DTYPE, elements, shape: None, strides: None, memory: PhantomData };
        ViewMut { inner, memory: PhantomData }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logical order, the slow and obvious way.
    fn naive(memory: &[u16], first: usize, shape: [usize; 3], strides: [isize; 3]) -> Vec<u16> {
        let mut out = Vec::new();
        for i in 0..shape[0] as isize {
            for j in 0..shape[1] as isize {
                for k in 0..shape[2] as isize {
                    let at = first as isize + i * strides[0] + j * strides[1] + k * strides[2];
                    out.push(memory[at as usize]);
                }
            }
        }
        out
    }

    #[test]
    fn every_order_is_walked_in_logical_order_from_every_start() {
        let memory: Vec<u16> = (0..200).collect();
        for (first, strides) in [
            (0, [12, 4, 1]),
            (0, [1, 3, 15]),
            (199, [-50, -7, -1]),
            (100, [-20, 3, -1]),
            (7, [0, 0, 0]),
            (0, [50, 9, 2]),
        ] {
            let shape = [3, 5, 4];
            let view = View::strided(&memory, first, &shape, &strides).unwrap();
            let expected = naive(&memory, first, shape, strides);
            for start in 0..=60 {
                for end in start..=60 {
                    let mut out = vec![0_u16; end - start];
                    view.gather(start, &mut out);
                    assert_eq!(out, expected[start..end], "{strides:?} {start}..{end}");
                }
            }
        }
    }

    #[test]
    fn scatter_writes_where_gather_reads() {
        let shape = [3, 5, 4];
        let strides = [-60, 1, 10];
        let mut memory = vec![0_u16; 200];
        let values: Vec<u16> = (1..=60).collect();
        let mut view = ViewMut::strided(&mut memory, 150, &shape, &strides).unwrap();
        view.scatter(0, &values[..17]);
        view.scatter(17, &values[17..]);
        let mut back = vec![0; 60];
        view.as_view().gather(0, &mut back);
        assert_eq!(back, values);
        assert_eq!(memory.iter().filter(|&&x| x != 0).count(), 60, "and nowhere else");
    }

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
    #[should_panic(expected = "does not fit")]
    fn a_view_larger_than_its_words_panics() {
        View::over(&[], DType::F64, &[1 << 61]);
    }

    #[test]
    #[should_panic(expected = "elements outside the tensor")]
    fn reading_past_the_end_panics() {
        View::strided(&[1_u8, 2, 3, 4], 0, &[2], &[2]).unwrap().gather(1, &mut [0_u8; 2]);
    }

    #[test]
    #[should_panic(expected = "float32 read as uint16")]
    fn reading_in_another_width_panics() {
        View::from(&[1_f32][..]).as_slice::<u16>();
    }
}
