//! The memory of one average or one backup: any dtype, shared with snapshots, copied on the first write after one.

use super::words::{Words, words};
use crate::descriptor::{self, Descriptor, Shape};
use crate::dtype::{DType, Element, Shadow, dispatch};
use crate::error::{Error, Result};
use crate::kernel::view::View;
use crate::kernel::{self, Store};
use triomphe::Arc;

/// A tensor of our own, contiguous in logical order.
///
/// A clone shares the memory and never changes: whoever writes next writes into new memory. Equal is what has one dtype, one
/// shape and the same bits.
#[derive(Clone, Debug)]
pub struct Buffer {
    // Words of 64 bits are aligned for every dtype.
    words: Words,
    /// The word that they begin with: not the first one where it is one of several in a memory.
    first: u32,
    dtype: DType,
    elements: usize,
    /// Apart, as a pass has no use for it.
    shape: Arc<Shape>,
}

// Of many small tensors a backup reads little else, and that from memory.
const _: () = assert!(size_of::<Buffer>() <= 48);

impl Buffer {
    /// A tensor of zeros.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough.
    pub fn zeroed(descriptor: Descriptor) -> Result<Self> {
        let Descriptor { dtype, shape } = descriptor;
        let elements = descriptor::elements(dtype, &shape).ok_or(Error::Memory { bytes: usize::MAX })?;
        let words = Words::zeroed(words(elements, dtype.size()))?;
        Ok(Self { words, first: 0, dtype, elements, shape: Arc::new(shape) })
    }

    /// A tensor in a part of a memory, which it shares: from this word on.
    ///
    /// # Panics
    /// Unless the memory has as many words as it takes.
    pub(super) fn within(memory: &Words, first: usize, dtype: DType, shape: &Arc<Shape>) -> Self {
        let elements = descriptor::elements(dtype, shape).expect("it is in memory");
        assert!(first + words(elements, dtype.size()) <= memory.as_slice().len(), "more than the memory has");
        let first = u32::try_from(first).expect("not far into it");
        Self { words: memory.clone(), first, dtype, elements, shape: shape.clone() }
    }

    /// A tensor with the values of another, bit for bit.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough.
    pub fn copied(view: &View<'_>) -> Result<Self> {
        let mut buffer = Self::zeroed(view.descriptor())?;
        dispatch!(word view.dtype() => W => view.gather(0, buffer.as_mut_slice::<W>()));
        Ok(buffer)
    }

    /// Makes sure that nobody else holds the memory, by a copy if need be, so that a write needs no memory.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough.
    #[inline]
    pub fn own(&mut self) -> Result<()> {
        if self.words.is_unique() { Ok(()) } else { self.part() }
    }

    #[cold]
    fn part(&mut self) -> Result<()> {
        self.words = Words::of(self.as_words())?;
        self.first = 0;
        Ok(())
    }

    /// The element type.
    #[inline]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The extent of each dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The same, to keep.
    pub(super) fn shared_shape(&self) -> Arc<Shape> {
        self.shape.clone()
    }

    /// The dtype and the shape.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.dtype, &self.shape)
    }

    /// How many elements there are.
    #[inline]
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// Whether a tensor has this dtype and this shape.
    pub fn is_like(&self, other: &View<'_>) -> bool {
        self.dtype == other.dtype() && self.shape[..] == *other.shape()
    }

    /// The elements.
    ///
    /// # Panics
    /// Unless `T` is as wide as the dtype.
    pub fn as_slice<T: Element>(&self) -> &[T] {
        self.check_width::<T>();
        &bytemuck::cast_slice(self.as_words())[..self.elements]
    }

    /// The elements, to write; copies them first if somebody else holds them.
    ///
    /// # Panics
    /// Unless `T` is as wide as the dtype, and if there is no memory for a copy: see [`Buffer::own`].
    #[inline]
    pub fn as_mut_slice<T: Element>(&mut self) -> &mut [T] {
        self.check_width::<T>();
        let elements = self.elements;
        &mut bytemuck::cast_slice_mut(self.as_mut_words())[..elements]
    }

    /// The words that have the elements, and nothing else.
    #[inline]
    pub(super) fn as_words(&self) -> &[u64] {
        let count = self.count();
        &self.words.as_slice()[self.first as usize..][..count]
    }

    /// How many words have elements.
    #[inline]
    fn count(&self) -> usize {
        words(self.elements, self.dtype.size())
    }

    /// The elements as they lie in memory.
    pub fn as_bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(self.as_words())[..self.elements * self.dtype.size()]
    }

    /// The elements as they lie in memory, to write; copies them first if somebody else holds them.
    pub fn as_mut_bytes(&mut self) -> &mut [u8] {
        let bytes = self.elements * self.dtype.size();
        &mut bytemuck::cast_slice_mut(self.as_mut_words())[..bytes]
    }

    #[inline]
    fn as_mut_words(&mut self) -> &mut [u64] {
        self.own().unwrap_or_else(|error| panic!("{error}"));
        let (first, count) = (self.first as usize, self.count());
        &mut self.words.get_mut().expect("nobody else holds it now")[first..][..count]
    }

    /// Calls `visit` for piece after piece of the bytes that the elements have as `dtype`: their own, or one that an
    /// average may be written as. No piece has more than `most` bytes.
    ///
    /// # Errors
    /// The first of `visit`.
    ///
    /// # Panics
    /// If it is another dtype.
    pub fn bytes<E>(
        &self,
        dtype: DType,
        most: usize,
        mut visit: impl FnMut(&[u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let own = self.dtype;
        if dtype == own {
            return self.as_bytes().chunks(most).try_for_each(visit);
        }
        dispatch!(average (own, dtype) as (S, P) => {
            let pieces = self.as_slice::<S>().chunks(most / size_of::<P>());
            let mut narrowed = Vec::new();
            for piece in pieces {
                narrowed.resize(piece.len(), <P as bytemuck::Zeroable>::zeroed());
                kernel::narrow(piece, &mut narrowed, Store::Cached);
                visit(bytemuck::cast_slice(&narrowed))?;
            }
        });
        Ok(())
    }

    /// Whether no finite element becomes infinite when it is written as `dtype`, one that [`Buffer::bytes`] takes.
    ///
    /// # Panics
    /// If it is another dtype.
    pub fn fits(&self, dtype: DType) -> bool {
        let own = self.dtype;
        dtype == own
            || dispatch!(average (own, dtype) as (S, P) => {
                self.as_slice::<S>().iter().all(|&s| !s.finite() || S::widen(Shadow::narrow::<P>(s)).finite())
            })
    }

    /// The elements as the averages of parameters of this dtype, which is exact.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough.
    ///
    /// # Panics
    /// Unless averages may be of `dtype`, and parameters of the own one.
    pub fn widened(&self, dtype: DType) -> Result<Self> {
        let own = self.dtype;
        let mut wide = Buffer::zeroed(Descriptor::new(dtype, &self.shape))?;
        dispatch!(average (dtype, own) as (S, P) => {
            kernel::widen(self.as_slice::<P>(), wide.as_mut_slice::<S>());
        });
        Ok(wide)
    }

    /// Whether there are bools that are neither true nor false: an array may have any byte for true.
    pub(crate) fn has_odd_bools(&self) -> bool {
        self.dtype == DType::Bool && self.as_bytes().iter().any(|&byte| byte > 1)
    }

    #[inline]
    fn check_width<T: Element>(&self) {
        let dtype = self.dtype;
        assert_eq!(size_of::<T>(), dtype.size(), "{dtype} read as {}", T::DTYPE);
    }

    /// A view, shaped.
    pub fn view(&self) -> View<'_> {
        View::over(self.as_words(), self.dtype, &self.shape)
    }
}

impl PartialEq for Buffer {
    fn eq(&self, other: &Self) -> bool {
        (self.dtype, &self.shape, self.as_bytes()) == (other.dtype, &other.shape, other.as_bytes())
    }
}

impl Eq for Buffer {}
