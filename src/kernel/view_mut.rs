//! A tensor's memory, typed, to write: in parts, which threads may share out among them.

use super::layout::{Layout, fills, inside};
use super::part::Part;
use super::view::View;
use crate::dtype::{DType, Element};
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// A tensor's memory, to write.
#[derive(Debug)]
pub struct ViewMut<'a> {
    inner: View<'a>,
    memory: PhantomData<&'a mut [u8]>,
}

// SAFETY: a mutable view is an exclusive borrow of plain numbers, which may move to another thread.
unsafe impl Send for ViewMut<'_> {}

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

    /// A writable view of raw memory, laid out as in [`View::from_layout`].
    ///
    /// # Safety
    /// As for [`ViewMut::from_raw`]; the layout has to be one of this dtype.
    pub unsafe fn from_layout(data: NonNull<u8>, dtype: DType, layout: &'a Layout) -> Self {
        // SAFETY: as above.
        Self { inner: unsafe { View::from_layout(data, dtype, layout) }, memory: PhantomData }
    }

    /// A writable view of all of `memory`, shaped as in [`View::shaped`].
    ///
    /// # Errors
    /// [`Error::Config`] unless the shape has as many elements as the memory.
    pub fn shaped<T: Element>(memory: &'a mut [T], shape: &'a [usize]) -> Result<Self> {
        fills::<T>(memory.len(), shape)?;
        let ViewMut { inner, memory } = ViewMut::from(memory);
        Ok(Self { inner: inner.with_shape(shape), memory })
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

    /// All of it, to be written in parts.
    pub fn part(&mut self) -> Part<'_> {
        Part::whole(self)
    }
}

impl<'a, T: Element> From<&'a mut [T]> for ViewMut<'a> {
    fn from(slice: &'a mut [T]) -> Self {
        let elements = slice.len();
        // Not by way of a shared slice: a pointer that comes from one may not be written through.
        let data = NonNull::from(slice).cast();
        // SAFETY: these are the elements of the slice, which is borrowed exclusively for 'a.
        ViewMut { inner: unsafe { View::plain(data, T::DTYPE, elements) }, memory: PhantomData }
    }
}
