//! The verbs on one tensor: divided over threads where it is large, gathered by pieces where it is strided.

use super::Buffer;
use super::split::cut;
use crate::dtype::{Class, Element, Param, Shadow, dispatch};
use crate::kernel::scalar::Blend;
use crate::kernel::view::{View, ViewMut};
use crate::kernel::{self, BLOCK};
use crate::nonfinite::NonFinite;
use smallvec::SmallVec;

/// The averages of one stretch of a tensor, one slice for each horizon; up to eight stay off the heap.
type Rows<'a, S> = SmallVec<[&'a mut [S]; 8]>;

/// Elements that pass over the stack at a time, from or to a tensor that does not lie in one piece.
const PIECE: usize = 4 * BLOCK;

/// Averages a parameter into its shadows, one for each α; gives the number of elements refused.
pub fn average(shadows: &mut [Buffer], param: &View<'_>, alphas: &[f64], on: NonFinite, grain: usize) -> u64 {
    let dtype = shadows[0].descriptor().dtype;
    assert_eq!(shadows[0].elements(), param.elements(), "a shadow and its parameter differ in length");
    if dtype.class() == Class::Copied {
        assert_eq!(dtype, param.dtype(), "a copied tensor and its parameter differ in dtype");
        for (shadow, _) in shadows.iter_mut().zip(alphas).filter(|&(_, &alpha)| alpha > 0.0) {
            copy(shadow, param, grain);
        }
        return 0;
    }
    dispatch!(average (dtype, param.dtype()) as (S, P) => {
        let blends: SmallVec<[Blend<S>; 8]> = alphas.iter().map(|&alpha| Blend::new(alpha)).collect();
        let rows = shadows.iter_mut().map(Buffer::as_mut_slice).collect();
        average_rows::<S, P>(rows, param, 0, &blends, on, grain)
    })
}

fn average_rows<S: Shadow, P: Param>(
    mut rows: Rows<'_, S>,
    param: &View<'_>,
    start: usize,
    blends: &[Blend<S>],
    on: NonFinite,
    grain: usize,
) -> u64 {
    let elements = rows[0].len();
    if let Some(middle) = cut(elements, grain) {
        let (left, right): (Rows<'_, S>, Rows<'_, S>) = rows.into_iter().map(|row| row.split_at_mut(middle)).unzip();
        let (a, b) = rayon::join(
            || average_rows::<S, P>(left, param, start, blends, on, grain),
            || average_rows::<S, P>(right, param, start + middle, blends, on, grain),
        );
        return a + b;
    }
    if let Some(params) = param.as_slice::<P>() {
        return kernel::average(&mut rows, &params[start..][..elements], blends, on);
    }
    let mut piece = [P::zeroed(); PIECE];
    (0..elements)
        .step_by(PIECE)
        .map(|at| {
            let piece = &mut piece[..PIECE.min(elements - at)];
            param.gather(start + at, piece);
            let mut rows: Rows<'_, S> = rows.iter_mut().map(|row| &mut row[at..][..piece.len()]).collect();
            kernel::average(&mut rows, piece, blends, on)
        })
        .sum()
}

/// Fills a shadow with its parameter's values; gives the number of those that are NaN or infinite.
pub fn fill(shadow: &mut Buffer, param: &View<'_>) -> u64 {
    let dtype = shadow.descriptor().dtype;
    dispatch!(average (dtype, param.dtype()) as (S, P) => widen::<S, P>(shadow.as_mut_slice(), param))
}

fn widen<S: Shadow, P: Param>(into: &mut [S], param: &View<'_>) -> u64 {
    let mut piece = [P::zeroed(); PIECE];
    let pieces = into.chunks_mut(PIECE).enumerate();
    pieces
        .map(|(i, into)| {
            let piece = &mut piece[..into.len()];
            param.gather(i * PIECE, piece);
            kernel::widen(piece, into)
        })
        .sum()
}

/// Copies a tensor of the same dtype, bit for bit.
pub fn copy(into: &mut Buffer, from: &View<'_>, grain: usize) {
    assert_eq!(into.descriptor().dtype, from.dtype(), "a copy of another dtype");
    assert_eq!(into.elements(), from.elements(), "a copy of another length");
    dispatch!(word from.dtype() => W => {
        divide::<W>(into.as_mut_slice(), 0, grain, &|start, piece| from.gather(start, piece));
    });
}

/// Writes a tensor into another one, cast to that one's dtype.
pub fn assign(into: &mut ViewMut<'_>, from: &View<'_>, grain: usize) {
    let dtype = into.as_view().dtype();
    assert_eq!(into.as_view().elements(), from.elements(), "source and target differ in length");
    if dtype == from.dtype() {
        dispatch!(word dtype => W => spread::<W>(into, grain, &|start, piece| from.gather(start, piece)));
    } else {
        dispatch!(average (from.dtype(), dtype) as (S, P) => {
            spread::<P>(into, grain, &|start, piece| narrow::<S, P>(from, start, piece));
        });
    }
}

fn narrow<S: Shadow, P: Param>(from: &View<'_>, start: usize, into: &mut [P]) {
    if let Some(averages) = from.as_slice::<S>() {
        return kernel::narrow(&averages[start..][..into.len()], into);
    }
    let mut piece = [S::zeroed(); PIECE];
    for (i, into) in into.chunks_mut(PIECE).enumerate() {
        let piece = &mut piece[..into.len()];
        from.gather(start + i * PIECE, piece);
        kernel::narrow(piece, into);
    }
}

/// Calls `produce(start, piece)` for every stretch of the target.
fn spread<T: Element>(into: &mut ViewMut<'_>, grain: usize, produce: &(impl Fn(usize, &mut [T]) + Sync)) {
    if let Some(slice) = into.as_mut_slice() {
        return divide(slice, 0, grain, produce);
    }
    // A strided target is not divided: its stretches interleave in memory.
    let elements = into.as_view().elements();
    let mut piece = [T::zeroed(); PIECE];
    for start in (0..elements).step_by(PIECE) {
        let piece = &mut piece[..PIECE.min(elements - start)];
        produce(start, piece);
        into.scatter(start, piece);
    }
}

/// Calls `produce(start, piece)` for a slice that begins at `start`, in parallel where it is long.
fn divide<T: Element>(into: &mut [T], start: usize, grain: usize, produce: &(impl Fn(usize, &mut [T]) + Sync)) {
    match cut(into.len(), grain) {
        None => produce(start, into),
        Some(middle) => {
            let (left, right) = into.split_at_mut(middle);
            rayon::join(|| divide(left, start, grain, produce), || divide(right, start + middle, grain, produce));
        }
    }
}
