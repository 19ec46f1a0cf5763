//! Stores that go past the caches, for large copies: the memory that they write is not read before it is overwritten.

use super::ahead::LINE;
use crate::dtype::Element;

/// Whether what is written stays in the caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// It does: right for what fits into them.
    Cached,
    /// It goes past them, where the architecture has a way to.
    Streamed,
}

/// How many elements come before the first one that begins a line.
#[inline(always)]
pub(super) fn first_line<T: Element>(into: *const T) -> usize {
    let address = into.addr();
    (address.next_multiple_of(LINE) - address) / size_of::<T>()
}

/// Copies piece after piece, bit for bit. Once it goes, other threads see what went past the caches: to wait for that after
/// each piece takes long where pieces are short.
#[derive(Debug)]
pub struct Copies {
    store: Store,
}

impl Copies {
    /// Copies that are stored so.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// How they are stored.
    pub(super) fn store(&self) -> Store {
        self.store
    }

    /// Copies one piece.
    ///
    /// # Panics
    /// Unless both have the same length.
    pub fn copy<T: Element>(&mut self, from: &[T], into: &mut [T]) {
        match self.store {
            Store::Cached => lines::<T, false>(from, into),
            Store::Streamed => {
                let head = first_line(into.as_ptr()).min(into.len());
                let (from_head, from) = from.split_at(head);
                let (into_head, into) = into.split_at_mut(head);
                // A call of the C library for nothing takes long where pieces are short.
                if head > 0 {
                    into_head.copy_from_slice(from_head);
                }
                stream(from, into);
            }
        }
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        if self.store == Store::Streamed {
            fence();
        }
    }
}

/// Copies whole lines past the caches, and what does not begin or fill one as usual. [`fence`] has to follow.
///
/// # Panics
/// Unless both have the same length.
#[inline(always)]
pub(super) fn stream<T: Element>(from: &[T], into: &mut [T]) {
    if into.as_ptr().addr() % LINE == 0 { lines::<T, true>(from, into) } else { into.copy_from_slice(from) }
}

/// Copies line after line, past the caches if these are aligned. In the caches too this is faster than the C library's
/// way, which leaves longer copies to an instruction that some processors are slow at.
///
/// # Panics
/// Unless both have the same length.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn lines<T: Element, const PAST: bool>(from: &[T], into: &mut [T]) {
    use super::ahead::ask;
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_storeu_si128, _mm_stream_si128};
    assert_eq!(from.len(), into.len(), "from and into differ in length");
    assert!(!PAST || into.as_ptr().addr() % LINE == 0, "lines that are not aligned");
    let (lines, each) = (size_of_val(into) / LINE, LINE / size_of::<T>());
    let (source, target) = (from.as_ptr().cast::<__m128i>(), into.as_mut_ptr().cast::<__m128i>());
    for line in 0..lines {
        ask(from, line * each, each);
        // SAFETY: both are as long as so many lines of four such words, the target is aligned if that is needed, and SSE2,
        // which these instructions are of, is a part of x86-64.
        unsafe {
            let words = [0, 1, 2, 3].map(|word| _mm_loadu_si128(source.add(4 * line + word)));
            for (word, value) in words.into_iter().enumerate() {
                let place = target.add(4 * line + word);
                if PAST { _mm_stream_si128(place, value) } else { _mm_storeu_si128(place, value) }
            }
        }
    }
    let done = lines * each;
    if done < into.len() {
        into[done..].copy_from_slice(&from[done..]);
    }
}

/// Copies; there is no better way here.
///
/// # Panics
/// Unless both have the same length.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn lines<T: Element, const PAST: bool>(from: &[T], into: &mut [T]) {
    into.copy_from_slice(from);
}

/// Makes streamed stores visible to other threads before whatever this one stores next.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn fence() {
    // SAFETY: SSE, which this instruction is of, is a part of x86-64.
    unsafe { std::arch::x86_64::_mm_sfence() }
}

/// Nothing has to be waited for here.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn fence() {}
