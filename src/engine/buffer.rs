//! The memory of one average or one backup: any dtype, shared with snapshots, copied on the first write after one.

use crate::descriptor::Descriptor;
use crate::dtype::Element;
use crate::kernel::view::View;
use std::sync::Arc;

/// A tensor of our own, contiguous in logical order.
///
/// A clone shares the memory and never changes: whoever writes next writes into new memory.
#[derive(Clone, Debug)]
pub struct Buffer {
    descriptor: Descriptor,
    // Words of 64 bits are aligned for every dtype.
    words: Arc<Vec<u64>>,
}

impl Buffer {
    /// A tensor of zeros.
    pub fn zeroed(descriptor: Descriptor) -> Self {
        let bytes = descriptor.elements() * descriptor.dtype.size();
        Self { descriptor, words: Arc::new(vec![0; bytes.div_ceil(8)]) }
    }

    /// The dtype and the shape.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// How many elements there are.
    pub fn elements(&self) -> usize {
        self.descriptor.elements()
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
        assert_eq!(size_of::<T>(), self.descriptor.dtype.size(), "{} read as {}", self.descriptor.dtype, T::DTYPE);
        &bytemuck::cast_slice(&self.words)[..self.elements()]
    }

    /// The elements, to write; copies them first if somebody else holds them.
    ///
    /// # Panics
    /// Unless `T` is as wide as the dtype.
    pub fn as_mut_slice<T: Element>(&mut self) -> &mut [T] {
        assert_eq!(size_of::<T>(), self.descriptor.dtype.size(), "{} read as {}", self.descriptor.dtype, T::DTYPE);
        let elements = self.elements();
        &mut bytemuck::cast_slice_mut(Arc::make_mut(&mut self.words).as_mut_slice())[..elements]
    }

    /// A view, shaped.
    pub fn view(&self) -> View<'_> {
        View::over(&self.words, self.descriptor.dtype, &self.descriptor.shape)
    }
}
