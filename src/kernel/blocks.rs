//! The bodies of the verbs, written once and compiled for each level: block after block, through a buffer on the stack.

use super::BLOCK;
use super::level::Work;
use super::scalar::{Blend, element, far, near};
use super::stream::{Store, fence, first_line, stream};
use crate::dtype::{Element, Param, Shadow};
use crate::nonfinite::NonFinite;
use std::mem::MaybeUninit;

/// How far one row is averaged before the next one is: with several, the parameters come from the first-level cache.
const STRETCH: usize = 4 * BLOCK;

/// Elements of a shorter block that are done at a time: a number that the compiler knows makes them a few instructions.
const LANES: usize = 16;

/// A block of results that is not yet in its place. Not set to zero, which would take longer than a small tensor does.
struct Buffer<T>([MaybeUninit<T>; BLOCK]);

impl<T: Element> Buffer<T> {
    #[inline(always)]
    fn new() -> Self {
        Self([MaybeUninit::uninit(); BLOCK])
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

/// See [`average`](super::average).
pub(super) struct Average<'r, 'a, S, P> {
    pub rows: &'r mut [&'a mut [S]],
    pub params: &'r [P],
    pub blends: &'r [Blend<S>],
    pub on: NonFinite,
}

impl<S: Shadow, P: Param> Work for Average<'_, '_, S, P> {
    type Output = u64;

    #[inline(always)]
    fn run(self) -> u64 {
        let Self { rows, params, blends, on } = self;
        let mut buffer = Buffer::new();
        let mut count = 0;
        let mut start = 0;
        while start < params.len() {
            let params = &params[start..params.len().min(start + STRETCH)];
            let mut refused: Option<[bool; STRETCH]> = None;
            for (row, &blend) in rows.iter_mut().zip(blends) {
                let row = &mut row[start..start + params.len()];
                let buffer = &mut buffer;
                let mut mend = |row: &mut [S], params: &[P], at: usize| {
                    let refused = refused.get_or_insert([false; STRETCH]);
                    mend(row, params, blend, on, &mut refused[at..]);
                };
                match blend {
                    Blend::Keep => {}
                    Blend::Near { a, .. } => blocks(row, params, buffer, |s, p| near(s, p, a), &mut mend),
                    Blend::Far { b, .. } => blocks(row, params, buffer, |s, p| far(s, p, b), &mut mend),
                    Blend::Copy => blocks(row, params, buffer, |_, p| p, &mut mend),
                }
            }
            // Looked at where they are: to move the marks takes longer than to average a small tensor.
            if let Some(refused) = &refused {
                count += refused.iter().filter(|&&refused| refused).count() as u64;
            }
            start += STRETCH;
        }
        count
    }
}

/// Writes the new averages of every block in which all of them are finite, and gives the others to `mend`.
#[inline(always)]
fn blocks<S: Shadow, P: Param>(
    row: &mut [S],
    params: &[P],
    buffer: &mut Buffer<S>,
    value: impl Fn(S, S) -> S + Copy,
    mend: &mut impl FnMut(&mut [S], &[P], usize),
) {
    let mut at = 0;
    while at < params.len() {
        let end = params.len().min(at + BLOCK);
        let (row, params) = (&mut row[at..end], &params[at..end]);
        if !block(row, params, buffer, value) {
            mend(row, params, at);
        }
        at = end;
    }
}

/// Writes the new averages of a block if all of them are finite; else leaves it and says false.
#[inline(always)]
fn block<S: Shadow, P: Param>(
    row: &mut [S],
    params: &[P],
    buffer: &mut Buffer<S>,
    value: impl Fn(S, S) -> S + Copy,
) -> bool {
    if let (Ok(row), Ok(params)) = (<&mut [S; BLOCK]>::try_from(&mut *row), <&[P; BLOCK]>::try_from(params)) {
        let finite = compute(row, params, &mut buffer.0, value);
        if finite {
            // SAFETY: `compute` has written all of them.
            row.copy_from_slice(unsafe { buffer.first(BLOCK) });
        }
        return finite;
    }
    let mut finite = true;
    let mut at = 0;
    while at + LANES <= row.len() {
        let (s, p, out) = (&row[at..at + LANES], &params[at..at + LANES], &mut buffer.0[at..at + LANES]);
        finite &= compute::<S, P, LANES>(known(s), known(p), out.try_into().expect("so many"), value);
        at += LANES;
    }
    while at < row.len() {
        finite &= buffer.0[at].write(value(row[at], S::widen(params[at]))).finite();
        at += 1;
    }
    if finite {
        // SAFETY: all of them have been written.
        row.copy_from_slice(unsafe { buffer.first(row.len()) });
    }
    finite
}

/// A chunk whose length the compiler knows.
#[inline(always)]
fn known<T, const N: usize>(chunk: &[T]) -> &[T; N] {
    chunk.try_into().expect("a chunk is so long")
}

/// Computes as many new averages as the compiler is told, and whether all of them are finite.
#[inline(always)]
fn compute<S: Shadow, P: Param, const N: usize>(
    row: &[S; N],
    params: &[P; N],
    out: &mut [MaybeUninit<S>; N],
    value: impl Fn(S, S) -> S,
) -> bool {
    let mut finite = true;
    for i in 0..N {
        finite &= out[i].write(value(row[i], S::widen(params[i]))).finite();
    }
    finite
}

/// Averages a block one element at a time, marking those that are refused.
#[cold]
#[inline(never)]
fn mend<S: Shadow, P: Param>(row: &mut [S], params: &[P], blend: Blend<S>, on: NonFinite, refused: &mut [bool]) {
    for ((s, &p), refused) in row.iter_mut().zip(params).zip(refused) {
        let (value, refuse) = element(*s, S::widen(p), blend, on);
        *s = value;
        *refused |= refuse;
    }
}

/// See [`widen`](super::widen).
pub(super) struct Widen<'r, S, P> {
    pub params: &'r [P],
    pub into: &'r mut [S],
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
    pub averages: &'r [S],
    pub into: &'r mut [P],
    pub store: Store,
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
        let mut next = first_line(into).min(into.len());
        while !into.is_empty() {
            let (now, later) = averages.split_at(next);
            let (place, rest) = std::mem::take(&mut into).split_at_mut(next);
            for (out, &s) in buffer.0.iter_mut().zip(now) {
                out.write(s.narrow());
            }
            // SAFETY: so many have just been written.
            stream(unsafe { buffer.first(next) }, place);
            (averages, into) = (later, rest);
            next = into.len().min(BLOCK);
        }
        fence();
    }
}

#[inline(always)]
fn narrow<S: Shadow, P: Param>(averages: &[S], into: &mut [P]) {
    for (out, &s) in into.iter_mut().zip(averages) {
        *out = s.narrow();
    }
}
