//! The memory of one average or one backup: any dtype, shared with snapshots, copied on the first write after one.

use crate::descriptor::{self, Descriptor};
use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::kernel::view::View;
use std::sync::Arc;

/// A tensor of our own, contiguous in logical order.
///
/// A clone shares the memory and never changes: whoever writes next writes into new memory.
#[derive(Clone, Debug)]
pub struct Buffer {
    descriptor: Descriptor,
    elements: usize,
    // Words of 64 bits are aligned for every dtype.
    words: Arc<Vec<u64>>,
}

impl Buffer {
    /// A tensor of zeros.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough.
    pub fn zeroed(descriptor: Descriptor) -> Result<Self> {
        let Descriptor { dtype, shape } = &descriptor;
        let elements = descriptor::elements(*dtype, shape).ok_or(Error::Memory { bytes: usize::MAX })?;
        let bytes = elements * dtype.size();
        let words = bytemuck::allocation::try_zeroed_slice_box(bytes.div_ceil(8));
        let words = words.map_err(|()| Error::Memory { bytes })?.into_vec();
        Ok(Self { descriptor, elements, words: Arc::new(words) })
    }

    /// Makes sure that nobody else holds the memory, by a copy if need be, so that a write needs no memory.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough.
    pub fn own(&mut self) -> Result<()> {
        if Arc::strong_count(&self.words) > 1 {
            let mut words = Vec::new();
            let bytes = size_of_val(&self.words[..]);
            words.try_reserve_exact(self.words.len()).map_err(|_| Error::Memory { bytes })?;
            words.extend_from_slice(&self.words);
            self.words = Arc::new(words);
        }
        Ok(())
    }

    /// The dtype and the shape.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// How many elements there are.
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// Whether a tensor has this dtype and this shape.
    pub fn is_like(&self, other: &View<'_>) -> bool {
        self.descriptor.dtype == other.dtype() && self.descriptor.shape[..] == *other.shape()
    }

    /// The elements.
    ///
    /// # Panics
    /// Unless `T` is as wide as the dtype.
    pub fn as_slice<T: Element>(&self) -> &[T] {
        self.check_width::<T>();
        &bytemuck::cast_slice(&self.words)[..self.elements]
    }

    /// The elements, to write; copies them first if somebody else holds them.
    ///
    /// # Panics
    /// Unless `T` is as wide as the dtype.
    pub fn as_mut_slice<T: Element>(&mut self) -> &mut [T] {
        self.check_width::<T>();
        &mut bytemuck::cast_slice_mut(Arc::make_mut(&mut self.words).as_mut_slice())[..self.elements]
    }

    fn check_width<T: Element>(&self) {
        let dtype = self.descriptor.dtype;
        assert_eq!(size_of::<T>(), dtype.size(), "{dtype} read as {}", T::DTYPE);
    }

    /// A view, shaped.
    pub fn view(&self) -> View<'_> {
        View::over(&self.words, self.descriptor.dtype, &self.descriptor.shape)
    }
}
