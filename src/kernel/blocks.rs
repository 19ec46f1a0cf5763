//! The bodies of the verbs, written once and compiled for each level: block after block, through a buffer on the stack.

use super::STRETCH;
use super::ahead::{ask, ask_after, ask_line};
use super::scalar::{Blend, element, far, near};
use super::stream::{Store, fence, first_line, stream};
use super::work::Work;
use crate::dtype::{Element, Param, Shadow};
use crate::nonfinite::NonFinite;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Elements that are averaged, tested and only then stored.
const BLOCK: usize = 32;

/// The same where fewer than that are left.
const LANES: usize = 8;

/// Elements that are narrowed before they are streamed.
const NARROWED: usize = 256;

/// A block of results that is not yet in its place. Not set to zero, which would take longer than a small tensor does.
struct Buffer<T>([MaybeUninit<T>; NARROWED]);

impl<T: Element> Buffer<T> {
    #[inline(always)]
    fn new() -> Self {
        Self([MaybeUninit::uninit(); NARROWED])
    }

    /// The first elements.
    ///
    /// # Safety
    /// They must have been written.
    #[inline(always)]
    unsafe fn first(&self, count: usize) -> &[T] {
        // SAFETY: what is written is a value of T, as the caller promises.
        unsafe { std::slice::from_raw_parts(self.0[..count].as_ptr().cast(), count) }
    }
}

/// A row of averages, the parameters to average into it, and how many elements were refused.
#[derive(Debug)]
pub struct Pair<'r, S, P> {
    row: &'r mut [S],
    params: &'r [P],
    refused: u64,
}

impl<S, P> Default for Pair<'_, S, P> {
    fn default() -> Self {
        Self { row: &mut [], params: &[], refused: 0 }
    }
}

impl<'r, S, P> Pair<'r, S, P> {
    /// Asks for the memory where both begin, so that it is there once several pairs have been made.
    ///
    /// # Panics
    /// Unless the row is as long as `params`.
    #[inline]
    pub fn new(row: &'r mut [S], params: &'r [P]) -> Self {
        // Not both in the message, for which they would have to be in memory.
        assert!(row.len() == params.len(), "a row and the parameters differ in length");
        ask_line(row.as_ptr());
        ask_line(params.as_ptr());
        Self { row, params, refused: 0 }
    }

    /// How many elements were refused.
    #[inline]
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

/// Averages pair after pair; see [`average_pairs`](super::average_pairs).
pub(super) struct Average<'p, 'r, S, P> {
    pairs: &'p mut [Pair<'r, S, P>],
    blend: Blend<S>,
    on: NonFinite,
    /// Where elements that are refused are marked: a bit for each.
    marks: Option<&'p mut [u64]>,
}

impl<'p, 'r, S, P> Average<'p, 'r, S, P> {
    /// # Panics
    /// Unless there is a bit for each element if there are marks.
    #[inline]
    pub fn new(pairs: &'p mut [Pair<'r, S, P>], blend: Blend<S>, on: NonFinite, marks: Option<&'p mut [u64]>) -> Self {
        let enough = |marks: &&mut [u64]| pairs.iter().all(|pair| 64 * marks.len() >= pair.params.len());
        assert!(marks.as_ref().is_none_or(enough), "too few marks");
        Self { pairs, blend, on, marks }
    }
}

impl<S: Shadow, P: Param> Work for Average<'_, '_, S, P> {
    type Output = u64;

    #[inline(always)]
    fn run(self) -> u64 {
        let Self { pairs, blend, on, marks } = self;
        match blend {
            Blend::Keep => 0,
            Blend::Near { a, .. } => each(pairs, blend, on, marks, |s, p| near(s, p, a)),
            Blend::Far { b, .. } => each(pairs, blend, on, marks, |s, p| far(s, p, b)),
            Blend::Copy => each(pairs, blend, on, marks, |_, p| p),
        }
    }
}

#[inline(always)]
fn each<S: Shadow, P: Param>(
    pairs: &mut [Pair<'_, S, P>],
    blend: Blend<S>,
    on: NonFinite,
    mut marks: Option<&mut [u64]>,
    value: impl Fn(S, S) -> S + Copy,
) -> u64 {
    let mut all = 0;
    for pair in pairs {
        let mut at = 0;
        // Apart from the loops over what is finite, which are as short as they can be with one way out.
        // SAFETY: it begins at 0, and a block ends within the pair.
        while let Err(block) = unsafe { blocks(pair, at, value) } {
            at = block.end;
            let (row, params) = (&mut pair.row[block.clone()], &pair.params[block.clone()]);
            let count = mend(row, params, blend, on, block.start, marks.as_deref_mut());
            pair.refused += count;
            all += count;
        }
    }
    all
}

/// Writes the new averages from element `at` on, up to a block in which not all of them are finite: that is left as it is, and
/// its elements are named.
///
/// # Safety
/// The pair must have at least `at` elements.
#[inline(always)]
unsafe fn blocks<S: Shadow, P: Param>(
    Pair { row, params, .. }: &mut Pair<'_, S, P>,
    at: usize,
    value: impl Fn(S, S) -> S + Copy,
) -> Result<(), Range<usize>> {
    let both = (row.as_mut_ptr(), params.as_ptr(), row.len());
    // SAFETY: the pair borrows as many elements of both, as `Pair::new` has asked, and the caller says the rest.
    unsafe {
        let at = whole::<S, P, BLOCK>(both, at, value)?;
        let at = whole::<S, P, LANES>(both, at, value)?;
        whole::<S, P, 1>(both, at, value)?;
    }
    Ok(())
}

/// The same of as many blocks of one length as there are; gives the number of the first element after them. By address and with
/// one length, as counting what is left of two slices takes half as long as to average a short block.
///
/// # Safety
/// The row and the parameters must have so many elements, of which `at` is at most the number, and nobody else may look at
/// those of the row.
#[inline(always)]
unsafe fn whole<S: Shadow, P: Param, const N: usize>(
    (row, params, length): (*mut S, *const P, usize),
    mut at: usize,
    value: impl Fn(S, S) -> S + Copy,
) -> Result<usize, Range<usize>> {
    // What is short is mostly in a cache.
    let asks = N == BLOCK && length >= STRETCH;
    while at + N <= length {
        // SAFETY: there are as many, the caller says.
        let (s, p) = unsafe { (&mut *row.add(at).cast::<[S; N]>(), &*params.add(at).cast::<[P; N]>()) };
        if !block(s, p, value) {
            return Err(at..at + N);
        }
        // After the block: before it, of memory that is in no cache, it took a twentieth longer.
        if asks {
            ask_after(s);
            ask_after(p);
        }
        at += N;
    }
    Ok(at)
}

/// Writes the new averages of a block if all of them are finite; else leaves it and says false.
#[inline(always)]
fn block<S: Shadow, P: Param, const N: usize>(
    row: &mut [S; N],
    params: &[P; N],
    value: impl Fn(S, S) -> S + Copy,
) -> bool {
    let mut finite = true;
    let mut new = *row;
    for i in 0..N {
        new[i] = value(row[i], S::widen(params[i]));
        finite &= new[i].finite();
    }
    if finite {
        *row = new;
    }
    finite
}

/// Averages the block from an element on, one element at a time, marking and counting those that are refused.
#[cold]
#[inline(never)]
fn mend<S: Shadow, P: Param>(
    row: &mut [S],
    params: &[P],
    blend: Blend<S>,
    on: NonFinite,
    at: usize,
    mut marks: Option<&mut [u64]>,
) -> u64 {
    let mut count = 0;
    for (at, (s, &p)) in (at..).zip(row.iter_mut().zip(params)) {
        let (value, refuse) = element(*s, S::widen(p), blend, on);
        *s = value;
        if refuse {
            count += 1;
            if let Some(marks) = &mut marks {
                marks[at / 64] |= 1 << (at % 64);
            }
        }
    }
    count
}

/// See [`widen`](super::widen).
pub(super) struct Widen<'r, S, P> {
    params: &'r [P],
    into: &'r mut [S],
}

impl<'r, S, P> Widen<'r, S, P> {
    /// # Panics
    /// Unless both have the same length.
    #[inline]
    pub fn new(params: &'r [P], into: &'r mut [S]) -> Self {
        assert_eq!(params.len(), into.len(), "from and into differ in length");
        Self { params, into }
    }
}

impl<S: Shadow, P: Param> Work for Widen<'_, S, P> {
    type Output = u64;

    #[inline(always)]
    fn run(self) -> u64 {
        let mut refused = 0;
        for (out, &p) in self.into.iter_mut().zip(self.params) {
            *out = S::widen(p);
            refused += u64::from(!out.finite());
        }
        refused
    }
}

/// See [`narrow`](super::narrow).
pub(super) struct Narrow<'r, S, P> {
    averages: &'r [S],
    into: &'r mut [P],
    store: Store,
}

impl<'r, S, P> Narrow<'r, S, P> {
    /// # Panics
    /// Unless both have the same length.
    #[inline]
    pub fn new(averages: &'r [S], into: &'r mut [P], store: Store) -> Self {
        assert_eq!(averages.len(), into.len(), "from and into differ in length");
        Self { averages, into, store }
    }
}

impl<S: Shadow, P: Param> Work for Narrow<'_, S, P> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { mut averages, mut into, store } = self;
        if store == Store::Cached {
            return narrow(averages, into);
        }
        let mut buffer = Buffer::<P>::new();
        // A short block comes first, so that all others begin where a line of the caches does.
        let mut next = first_line(into.as_ptr()).min(into.len());
        while !into.is_empty() {
            let (now, later) = averages.split_at(next);
            let (place, rest) = std::mem::take(&mut into).split_at_mut(next);
            ask(averages, 0, next);
            for (out, &s) in buffer.0.iter_mut().zip(now) {
                out.write(s.narrow());
            }
            // SAFETY: so many have just been written.
            stream(unsafe { buffer.first(next) }, place);
            (averages, into) = (later, rest);
            next = into.len().min(NARROWED);
        }
        fence();
    }
}

#[inline(always)]
fn narrow<S: Shadow, P: Param>(averages: &[S], into: &mut [P]) {
    for (at, into) in (0..).step_by(NARROWED).zip(into.chunks_mut(NARROWED)) {
        ask(averages, at, NARROWED);
        for (out, &s) in into.iter_mut().zip(&averages[at..]) {
            *out = s.narrow();
        }
    }
}
