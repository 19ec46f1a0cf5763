//! The bodies of the verbs, written once and compiled for each level: block after block, through a buffer on the stack.

use super::level::Work;
use super::scalar::{Blend, element, far, near};
use super::stream::{Store, fence, first_line, stream};
use crate::dtype::{Element, Param, Shadow};
use crate::nonfinite::NonFinite;
use std::mem::MaybeUninit;

/// How far one row is averaged before the next one is: with several, the parameters come from the first-level cache.
const STRETCH: usize = 1024;

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
        let mut count = 0;
        let mut start = 0;
        while start < params.len() {
            let params = &params[start..params.len().min(start + STRETCH)];
            let mut refused: Option<[bool; STRETCH]> = None;
            for (row, &blend) in rows.iter_mut().zip(blends) {
                let row = &mut row[start..start + params.len()];
                let mut mend = |row: &mut [S], params: &[P], at: usize| {
                    let refused = refused.get_or_insert([false; STRETCH]);
                    mend(row, params, blend, on, &mut refused[at..]);
                };
                match blend {
                    Blend::Keep => {}
                    Blend::Near { a, .. } => blocks(row, params, |s, p| near(s, p, a), &mut mend),
                    Blend::Far { b, .. } => blocks(row, params, |s, p| far(s, p, b), &mut mend),
                    Blend::Copy => blocks(row, params, |_, p| p, &mut mend),
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
    value: impl Fn(S, S) -> S + Copy,
    mend: &mut impl FnMut(&mut [S], &[P], usize),
) {
    let mut at = 0;
    while let (Some(s), Some(p)) = (row[at..].first_chunk_mut::<BLOCK>(), params[at..].first_chunk()) {
        if !block(s, p, value) {
            mend(s, p, at);
        }
        at += BLOCK;
    }
    while let (Some(s), Some(p)) = (row[at..].first_chunk_mut::<LANES>(), params[at..].first_chunk()) {
        if !block(s, p, value) {
            mend(s, p, at);
        }
        at += LANES;
    }
    while let (Some(s), Some(p)) = (row[at..].first_chunk_mut::<1>(), params[at..].first_chunk()) {
        if !block(s, p, value) {
            mend(s, p, at);
        }
        at += 1;
    }
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
            next = into.len().min(NARROWED);
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
