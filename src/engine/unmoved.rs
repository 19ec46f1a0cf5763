//! Whether a parameter is its average, to the last bit.

use crate::dtype::{Param, Shadow, dispatch};
use crate::kernel;
use crate::kernel::view::View;

/// Elements that are compared at a time: a difference is mostly found among the first ones.
const PIECE: usize = 64;

/// Whether a parameter has other values than its average, which is as wide or wider; the two zeros are one value here, as an
/// average makes the one of the other.
pub fn differs(param: &View<'_>, average: &View<'_>) -> bool {
    assert_eq!(param.elements(), average.elements(), "an average and its parameter differ in length");
    dispatch!(average (average.dtype(), param.dtype()) as (S, P) => {
        let averages = average.as_slice::<S>().expect("averages lie in one piece");
        averages.chunks(PIECE).enumerate().any(|(chunk, averages)| !is::<S, P>(param, chunk * PIECE, averages))
    })
}

/// Whether a part of a parameter has these values.
fn is<S: Shadow, P: Param>(param: &View<'_>, start: usize, averages: &[S]) -> bool {
    let mut same = true;
    param.pieces(start..start + averages.len(), |at, piece: &[P]| {
        let mut wide = [S::zeroed(); PIECE];
        let wide = &mut wide[..piece.len()];
        kernel::widen(piece, wide);
        let mut pairs = wide.iter().zip(&averages[at - start..]);
        // What is not a number is no reason to say that it moved.
        same &= pairs.all(|(a, b)| a == b || (a.to_f64().is_nan() && b.to_f64().is_nan()));
    });
    same
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_of_either_sign_and_nan_have_not_moved() {
        let (param, average) = ([0.0_f32, -0.0, f32::NAN], [-0.0_f64, 0.0, -f64::NAN]);
        assert!(!differs(&View::from(&param[..]), &View::from(&average[..])));
    }

    #[test]
    fn an_average_that_would_be_rounded_to_its_parameter_has_moved() {
        let param = [half::bf16::ONE];
        assert!(differs(&View::from(&param[..]), &View::from(&[1.0_f32 + f32::EPSILON][..])));
        assert!(!differs(&View::from(&param[..]), &View::from(&[1.0_f32][..])));
    }

    #[test]
    fn every_element_counts() {
        let average = vec![0.5_f32; 1500];
        for place in [0, 63, 64, 1499] {
            let mut param = average.clone();
            param[place] = 0.0;
            assert!(differs(&View::from(&param[..]), &View::from(&average[..])), "{place}");
        }
    }
}
