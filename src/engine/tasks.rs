//! The verbs on tensors: small ones taken together, large ones divided over threads, strided ones taken by pieces.

use super::Buffer;
use super::rows::Rows;
use super::split::cut;
use crate::dtype::{Class, Element, Param, Shadow, dispatch};
use crate::kernel::part::Part;
use crate::kernel::scalar::Blend;
use crate::kernel::view::{View, ViewMut};
use crate::kernel::{self, Copies, Foresight, Pair, Store, ask_stretch};
use crate::nonfinite::{NonFinite, Report};
use smallvec::SmallVec;
use std::ops::Range;

/// The averages of one stretch of a tensor, one slice for each horizon; up to eight stay off the heap.
type Stretches<'a, S> = SmallVec<[&'a mut [S]; 8]>;

/// Tensors that the kernels are given at a time.
const ALIKE: usize = 32;

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

    /// Averages the parameters in a range into their averages, one for each α; those that are not their own owners are left
    /// out. The report counts the elements refused.
    pub fn average<'v>(
        &self,
        range: Range<usize>,
        mut rows: Rows<'_>,
        params: &impl Fn(usize) -> View<'v>,
        grain: usize,
        report: &Report,
    ) {
        let mut index = range.start;
        while index < range.end {
            let alike = self.alike(index..range.end, &mut rows, params, grain, report);
            index += alike;
            if alike == 0 {
                if !rows.skip_tied() {
                    report.refuse(index, self.single(&mut rows, &params(index), grain));
                }
                index += 1;
            }
        }
    }

    /// Averages, in one call of the kernels for every `ALIKE` of them, the first tensors of a range, as far as they are of the
    /// same dtypes and lie in one piece; gives their number. With small ones, what is done for each counts more than what is
    /// done for each element.
    fn alike<'v>(
        &self,
        range: Range<usize>,
        rows: &mut Rows<'_>,
        params: &impl Fn(usize) -> View<'v>,
        grain: usize,
        report: &Report,
    ) -> usize {
        let ([blend], Some(dtype)) = (&self.blends[..], rows.next_dtype()) else { return 0 };
        if dtype.class() == Class::Copied {
            return 0;
        }
        dispatch!(average (dtype, params(range.start).dtype()) as (S, P) => {
            let mut pairs = [(); ALIKE].map(|()| Pair::<S, P>::default());
            let mut left = range.clone();
            loop {
                let found = pair_up(left.clone(), rows, params, grain, &mut pairs);
                let pairs = &mut pairs[..found];
                if kernel::average_pairs(pairs, blend.rounded(), self.on) > 0 {
                    left.clone().zip(pairs).for_each(|(index, pair)| report.refuse(index, pair.refused()));
                }
                left.start += found;
                if found < ALIKE {
                    break left.start - range.start;
                }
            }
        })
    }

    /// Averages one parameter into the next averages; gives the number of elements refused.
    fn single(&self, rows: &mut Rows<'_>, param: &View<'_>, grain: usize) -> u64 {
        let dtype = rows.next_dtype().expect("an average is left");
        if dtype.class() == Class::Copied {
            assert_eq!(dtype, param.dtype(), "a copied tensor and its parameter differ in dtype");
            dispatch!(word dtype => W => for blend in &self.blends {
                let row = rows.take::<W>(dtype).expect("one for each weight");
                if *blend != Blend::Keep {
                    copy(row, param, Store::Cached, grain);
                }
            });
            return 0;
        }
        dispatch!(average (dtype, param.dtype()) as (S, P) => {
            let blends: SmallVec<[Blend<S>; 8]> = self.blends.iter().map(|blend| blend.rounded()).collect();
            let mut rows: Stretches<'_, S> = blends.iter().map(|_| rows.take(dtype).expect("one for each weight")).collect();
            assert_eq!(rows[0].len(), param.elements(), "an average and its parameter differ in length");
            let grain = coarse(grain, param);
            Averaging { param, blends: &blends, on: self.on, grain }.run::<P>(&mut rows, 0..param.elements())
        })
    }
}

/// Pairs the first parameters of a range with their averages, as far as they are of these dtypes and lie in one piece; gives
/// their number.
#[inline(never)]
fn pair_up<'p, 'r: 'p, 'v: 'p, S: Shadow, P: Param>(
    range: Range<usize>,
    rows: &mut Rows<'r>,
    params: &impl Fn(usize) -> View<'v>,
    grain: usize,
    pairs: &mut [Pair<'p, S, P>],
) -> usize {
    let mut count = 0;
    let alike = range.zip(pairs).map_while(|(index, pair)| Some((pair, params(index).as_few::<P>(grain)?)));
    rows.take_each(S::DTYPE, alike, |row, (pair, values)| {
        *pair = Pair::new(row, values);
        count += 1;
    });
    count
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
                let (mut left, mut right): (Stretches<'_, S>, Stretches<'_, S>) = halves.unzip();
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
        let mut foresight = Foresight::new(0);
        self.param.pieces(range, |at, params: &[P]| {
            let place = at - start..at - start + params.len();
            if let Some(later) = foresight.after(place.start, params.len()) {
                rows.iter().for_each(|row| ask_stretch(row, later, params.len()));
            }
            count += match &mut *rows {
                [row] => kernel::average(&mut [&mut row[place]], params, self.blends, self.on),
                rows => {
                    let mut stretches: Stretches<'_, S> = rows.iter_mut().map(|row| &mut row[place.clone()]).collect();
                    kernel::average(&mut stretches, params, self.blends, self.on)
                }
            };
        });
        count
    }
}

/// Fills a shadow with its parameter's values; gives the number of those that are NaN or infinite.
pub fn fill(shadow: &mut Buffer, param: &View<'_>) -> u64 {
    let dtype = shadow.dtype();
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
///
/// # Panics
/// Unless both have the same length, and `W` is as wide as the dtype.
pub fn copy<W: Element>(into: &mut [W], from: &View<'_>, store: Store, grain: usize) {
    assert_eq!(into.len(), from.elements(), "a copy of another length");
    divide(into, 0, from.unit(), coarse(grain, from), &|start, stretch| {
        let mut copies = Copies::new(store);
        from.pieces(start..start + stretch.len(), |at, values: &[W]| {
            copies.copy(values, &mut stretch[at - start..][..values.len()]);
        });
    });
}

/// The elements of a task. Of a tensor that is walked in tiles it is about all that a thread gets: each takes a short run out of
/// every column, and what the processor reads ahead of a shorter one is another thread's.
fn coarse(grain: usize, tensor: &View<'_>) -> usize {
    // The caller alone is not to start any threads by asking for their number.
    if grain == usize::MAX || tensor.unit() == 1 {
        return grain;
    }
    grain.max(tensor.elements().div_ceil(rayon::current_num_threads()))
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
    // What goes through the stack is to stay in the caches until it is put in its place.
    let produced = if into.as_view().is_direct() { store } else { Store::Cached };
    let grain = coarse(grain, &into.as_view());
    if dtype == from.dtype() {
        dispatch!(word dtype => W => spread(into.part(), from.as_slice::<W>(), store, grain, &|start, into: &mut [W]| {
            let mut copies = Copies::new(produced);
            from.pieces(start..start + into.len(), |at, values: &[W]| {
                copies.copy(values, &mut into[at - start..][..values.len()]);
            });
        }));
    } else {
        dispatch!(average (from.dtype(), dtype) as (S, P) => {
            spread(into.part(), from.as_slice::<S>(), store, grain, &|start, into: &mut [P]| {
                from.pieces(start..start + into.len(), |at, averages: &[S]| {
                    kernel::narrow(averages, &mut into[at - start..][..averages.len()], produced);
                });
            });
        });
    }
}

/// Calls `produce(start, values)` for every piece of a part, in parallel where it is large. Where it is made of `source`, that
/// is asked for before.
fn spread<T: Element, F: Element>(
    part: Part<'_>,
    source: Option<&[F]>,
    store: Store,
    grain: usize,
    produce: &(impl Fn(usize, &mut [T]) + Sync),
) {
    let part = match cut(part.range(), part.unit(), grain) {
        None => part,
        Some(middle) => match part.split_at(middle) {
            Ok((left, right)) => {
                rayon::join(
                    || spread(left, source, store, grain, produce),
                    || spread(right, source, store, grain, produce),
                );
                return;
            }
            Err(whole) => whole,
        },
    };
    let mut foresight = Foresight::new(part.range().start);
    part.fill(store, |start, values| {
        if let (Some(later), Some(source)) = (foresight.after(start, values.len()), source) {
            ask_stretch(source, later, values.len());
        }
        produce(start, values);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::{Descriptor, Spec};
    use crate::dtype::DType;
    use crate::engine::{Engine, HostShadows, pool};

    /// Averages a strided parameter, or one that is copied, into averages of three elements.
    fn average_into_three(dtype: DType, param: &View<'_>) {
        let spec = Spec { dtypes: &[dtype], horizons: 1, owners: &[0] };
        let average = Buffer::zeroed(Descriptor::new(dtype, &[3])).unwrap();
        let mut shadows = HostShadows::of(vec![average], spec).unwrap();
        let report = Report::new(1);
        Engine::new().average(&mut shadows, 0..1, |_| *param, &[0.5], NonFinite::Raise, &report).unwrap();
    }

    #[test]
    fn a_strided_tensor_between_others_is_averaged_into_its_own() {
        let memories = [1.0_f32, 2.0, 3.0].map(|value| [value; 6]);
        let views = [
            View::from(&memories[0][..3]),
            View::strided(&memories[1], 0, &[3], &[2]).unwrap(),
            View::from(&memories[2][..3]),
        ];
        let averages = [(); 3].map(|()| Buffer::zeroed(Descriptor::new(DType::F32, &[3])).unwrap());
        let spec = Spec { dtypes: &[DType::F32; 3], horizons: 1, owners: &[0, 1, 2] };
        let mut shadows = HostShadows::of(averages.into(), spec).unwrap();
        let report = Report::new(3);
        Engine::new().average(&mut shadows, 0..3, |index| views[index], &[0.5], NonFinite::Raise, &report).unwrap();
        let found = [0, 1, 2].map(|index| shadows.get(0, index));
        let expected = [0.5_f32, 1.0, 1.5].map(|value| Buffer::copied(&View::from(&[value; 3][..])).unwrap());
        assert_eq!(found, expected);
    }

    #[test]
    #[should_panic = "an average and its parameter differ in length"]
    fn a_parameter_of_another_length_is_a_mistake() {
        average_into_three(DType::F32, &View::strided(&[1.0_f32; 8], 0, &[4], &[2]).unwrap());
    }

    #[test]
    #[should_panic = "a copied tensor and its parameter differ in dtype"]
    fn a_copied_parameter_of_another_dtype_is_a_mistake() {
        average_into_three(DType::I32, &View::from(&[1_u32; 3][..]));
    }

    #[test]
    fn a_thread_gets_one_share_of_what_is_walked_in_tiles() {
        let memory = vec![0_f32; 256 * 4096];
        let turned = View::strided(&memory, 0, &[256, 4096], &[1, 256]).unwrap();
        let tasks = |view: &View<'_>, grain| pool::get(4).unwrap().install(|| coarse(grain, view));
        assert_eq!(tasks(&turned, 1000), 256 * 1024);
        assert_eq!(tasks(&turned, 512 * 1024), 512 * 1024);
        assert_eq!(tasks(&turned, usize::MAX), usize::MAX);
        assert_eq!(tasks(&View::from(&memory[..]), 1000), 1000);
    }
}
