//! The elements of a strided tensor that are read or written at a time, on the stack.

use crate::dtype::Element;
use std::mem::MaybeUninit;

/// How many there are at most.
pub(super) const PIECE: usize = 8192;

/// Room for them, from the start of a line of the caches on: whoever takes several at a time never takes them from two.
#[repr(align(64))]
pub(super) struct Piece<T>([MaybeUninit<T>; PIECE]);

impl<T: Element> Piece<T> {
    /// Not set to zero, which would take longer than a small tensor does.
    #[inline(always)]
    pub fn new() -> Self {
        Self([MaybeUninit::uninit(); PIECE])
    }

    /// Where they are to be put.
    #[inline(always)]
    pub fn places(&mut self) -> &mut [MaybeUninit<T>; PIECE] {
        &mut self.0
    }

    /// The first ones.
    ///
    /// # Safety
    /// They must have been written.
    #[inline(always)]
    pub unsafe fn written(&self, count: usize) -> &[T] {
        // SAFETY: what has been written is a value of T, as the caller promises.
        unsafe { std::slice::from_raw_parts(self.0[..count].as_ptr().cast(), count) }
    }

    /// The first ones, set to zero.
    pub fn zeroed(&mut self, count: usize) -> &mut [T] {
        let places = &mut self.0[..count];
        places.fill(MaybeUninit::zeroed());
        // SAFETY: all of them have just been written, and zero is a value of every element.
        unsafe { std::slice::from_raw_parts_mut(places.as_mut_ptr().cast(), count) }
    }
}
