//! Whether a parameter is still its average, to the last bit.

use crate::dtype::{Element, Param, dispatch};
use crate::kernel::view::View;
use crate::kernel::{self, Store};
use bytemuck::Zeroable;

/// Elements that are compared at a time: a difference is mostly found among the first ones.
const PIECE: usize = 512;

/// Whether a parameter has other bits than its average, cast to its dtype.
pub fn differs(param: &View<'_>, average: &View<'_>) -> bool {
    assert_eq!(param.elements(), average.elements(), "an average and its parameter differ in length");
    dispatch!(average (average.dtype(), param.dtype()) as (S, P) => {
        let averages = average.as_slice::<S>().expect("averages lie in one piece");
        let mut start = 0;
        averages.chunks(PIECE).any(|averages| {
            let mut cast = [P::zeroed(); PIECE];
            let cast = &mut cast[..averages.len()];
            kernel::narrow(averages, cast, Store::Cached);
            let same = is::<P>(param, start, cast);
            start += averages.len();
            !same
        })
    })
}

/// Whether a part of a parameter has these values.
fn is<P: Param>(param: &View<'_>, start: usize, values: &[P]) -> bool {
    let mut same = true;
    param.pieces(start..start + values.len(), |at, piece: &[P]| {
        same &= bits(piece) == bits(&values[at - start..][..piece.len()]);
    });
    same
}

fn bits<T: Element>(values: &[T]) -> &[u8] {
    bytemuck::cast_slice(values)
}
