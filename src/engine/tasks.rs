//! The verbs on one tensor: divided over threads where it is large, taken by pieces where it is strided.

use super::Buffer;
use super::split::cut;
use crate::dtype::{Class, Element, Param, Shadow, dispatch};
use crate::kernel::part::Part;
use crate::kernel::scalar::Blend;
use crate::kernel::view::{View, ViewMut};
use crate::kernel::{self, Store};
use crate::nonfinite::NonFinite;
use smallvec::SmallVec;
use std::ops::Range;

/// The averages of one stretch of a tensor, one slice for each horizon; up to eight stay off the heap.
type Rows<'a, S> = SmallVec<[&'a mut [S]; 8]>;

/// What a pass does to every tensor.
pub struct Pass {
    /// The weights of each horizon.
    blends: SmallVec<[Blend<f64>; 8]>,
    on: NonFinite,
}

impl Pass {
    /// With one α for each horizon.
    ///
    /// # Panics
    /// Unless each is in [0, 1].
    pub fn new(alphas: &[f64], on: NonFinite) -> Self {
        Self { blends: alphas.iter().map(|&alpha| Blend::new(alpha)).collect(), on }
    }

    /// Averages a parameter into its shadows, one for each α; gives the number of elements refused.
    pub fn average(&self, shadows: &mut [Buffer], param: &View<'_>, grain: usize) -> u64 {
        let dtype = shadows[0].descriptor().dtype;
        assert_eq!(shadows[0].elements(), param.elements(), "a shadow and its parameter differ in length");
        if dtype.class() == Class::Copied {
            assert_eq!(dtype, param.dtype(), "a copied tensor and its parameter differ in dtype");
            for (shadow, _) in shadows.iter_mut().zip(&self.blends).filter(|&(_, blend)| *blend != Blend::Keep) {
                copy(shadow, param, Store::Cached, grain);
            }
            return 0;
        }
        let range = 0..param.elements();
        dispatch!(average (dtype, param.dtype()) as (S, P) => match (shadows, &self.blends[..]) {
            // The common case, and with small tensors the time that it takes to make two lists counts.
            ([shadow], [blend]) => {
                let work = Averaging { param, blends: &[blend.rounded::<S>()], on: self.on, grain };
                work.run::<P>(&mut [shadow.as_mut_slice()], range)
            }
            (shadows, blends) => {
                let blends: SmallVec<[Blend<S>; 8]> = blends.iter().map(|blend| blend.rounded()).collect();
                let mut rows: Rows<'_, S> = shadows.iter_mut().map(Buffer::as_mut_slice).collect();
                Averaging { param, blends: &blends, on: self.on, grain }.run::<P>(&mut rows, range)
            }
        })
    }
}

/// A parameter being averaged.
struct Averaging<'a, S> {
    param: &'a View<'a>,
    blends: &'a [Blend<S>],
    on: NonFinite,
    grain: usize,
}

impl<S: Shadow> Averaging<'_, S> {
    /// Averages a range of the elements into as long rows.
    fn run<P: Param>(&self, rows: &mut [&mut [S]], range: Range<usize>) -> u64 {
        if range.len() > self.grain {
            if let Some(middle) = cut(range.clone(), self.param.unit(), self.grain) {
                let halves = rows.iter_mut().map(|row| row.split_at_mut(middle - range.start));
                let (mut left, mut right): (Rows<'_, S>, Rows<'_, S>) = halves.unzip();
                let (a, b) = rayon::join(
                    || self.run::<P>(&mut left, range.start..middle),
                    || self.run::<P>(&mut right, middle..range.end),
                );
                return a + b;
            }
        }
        if let Some(params) = self.param.as_slice::<P>() {
            return kernel::average(rows, &params[range], self.blends, self.on);
        }
        let (start, mut count) = (range.start, 0);
        self.param.pieces(range, |at, params: &[P]| {
            let place = at - start..at - start + params.len();
            count += match &mut *rows {
                [row] => kernel::average(&mut [&mut row[place]], params, self.blends, self.on),
                rows => {
                    let mut stretches: Rows<'_, S> = rows.iter_mut().map(|row| &mut row[place.clone()]).collect();
                    kernel::average(&mut stretches, params, self.blends, self.on)
                }
            };
        });
        count
    }
}

/// Fills a shadow with its parameter's values; gives the number of those that are NaN or infinite.
pub fn fill(shadow: &mut Buffer, param: &View<'_>) -> u64 {
    let dtype = shadow.descriptor().dtype;
    let mut refused = 0;
    dispatch!(average (dtype, param.dtype()) as (S, P) => {
        let into = shadow.as_mut_slice::<S>();
        param.pieces(0..into.len(), |at, params: &[P]| {
            refused += kernel::widen(params, &mut into[at..][..params.len()]);
        });
    });
    refused
}

/// Copies a tensor of the same dtype, bit for bit.
pub fn copy(into: &mut Buffer, from: &View<'_>, store: Store, grain: usize) {
    assert_eq!(into.descriptor().dtype, from.dtype(), "a copy of another dtype");
    assert_eq!(into.elements(), from.elements(), "a copy of another length");
    dispatch!(word from.dtype() => W => divide(into.as_mut_slice::<W>(), 0, from.unit(), grain, &|start, stretch| {
        from.pieces(start..start + stretch.len(), |at, values: &[W]| {
            kernel::copy(values, &mut stretch[at - start..][..values.len()], store);
        });
    }));
}

/// Calls `work(start, stretch)` for a slice that begins at `start`, in parallel where it is long.
fn divide<T: Element>(
    slice: &mut [T],
    start: usize,
    unit: usize,
    grain: usize,
    work: &(impl Fn(usize, &mut [T]) + Sync),
) {
    match cut(start..start + slice.len(), unit, grain) {
        None => work(start, slice),
        Some(middle) => {
            let (left, right) = slice.split_at_mut(middle - start);
            rayon::join(|| divide(left, start, unit, grain, work), || divide(right, middle, unit, grain, work));
        }
    }
}

/// Writes a tensor into another one, cast to that one's dtype.
pub fn assign(into: &mut ViewMut<'_>, from: &View<'_>, store: Store, grain: usize) {
    let dtype = into.as_view().dtype();
    assert_eq!(into.as_view().elements(), from.elements(), "source and target differ in length");
    if dtype == from.dtype() {
        dispatch!(word dtype => W => spread(into.part(), grain, &|start, into: &mut [W]| {
            from.pieces(start..start + into.len(), |at, values: &[W]| {
                kernel::copy(values, &mut into[at - start..][..values.len()], store);
            });
        }));
    } else {
        dispatch!(average (from.dtype(), dtype) as (S, P) => spread(into.part(), grain, &|start, into: &mut [P]| {
            from.pieces(start..start + into.len(), |at, averages: &[S]| {
                kernel::narrow(averages, &mut into[at - start..][..averages.len()], store);
            });
        }));
    }
}

/// Calls `produce(start, values)` for every piece of a part, in parallel where it is large.
fn spread<T: Element>(part: Part<'_>, grain: usize, produce: &(impl Fn(usize, &mut [T]) + Sync)) {
    let part = match cut(part.range(), part.unit(), grain) {
        None => part,
        Some(middle) => match part.split_at(middle) {
            Ok((left, right)) => {
                rayon::join(|| spread(left, grain, produce), || spread(right, grain, produce));
                return;
            }
            Err(whole) => whole,
        },
    };
    part.fill(produce);
}
