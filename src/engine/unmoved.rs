//! Whether a parameter is its average, to the last bit.

use crate::dtype::{Element, Param, Shadow, dispatch};
use crate::kernel::view::View;

/// Elements of a strided parameter that are compared at a time.
const PIECE: usize = 64;

/// Whether a parameter has other values than its average, which is as wide or wider; the two zeros are one value here, as an
/// average makes the one of the other.
pub fn differs(param: &View<'_>, average: &View<'_>) -> bool {
    assert_eq!(param.elements(), average.elements(), "an average and its parameter differ in length");
    dispatch!(average (average.dtype(), param.dtype()) as (S, P) => {
        let averages = average.as_slice::<S>().expect("averages lie in one piece");
        match param.as_slice::<P>() {
            Some(params) => !same(params, averages),
            None => averages.chunks(PIECE).enumerate().any(|(piece, averages)| {
                let mut params = [P::from_f32(0.0); PIECE];
                let params = &mut params[..averages.len()];
                gather(param, piece * PIECE, params);
                !same(params, averages)
            }),
        }
    })
}

/// Reads some elements, as words of their width: to walk a tensor is much code, and so there is less of it.
fn gather<P: Element>(param: &View<'_>, start: usize, into: &mut [P]) {
    dispatch!(word P::DTYPE => W => param.gather::<W>(start, bytemuck::cast_slice_mut(into)));
}

/// Whether each parameter is its average. What is not a number is no reason to say that it is not.
fn same<S: Shadow, P: Param>(params: &[P], averages: &[S]) -> bool {
    params.iter().zip(averages).all(|(&param, &average)| {
        let param = S::widen(param);
        param == average || (param.to_f64().is_nan() && average.to_f64().is_nan())
    })
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
    fn what_lies_apart_in_memory_is_compared_in_the_order_of_its_elements() {
        let memory = [1.0_f32, 9.0, 2.0, 9.0, 3.0];
        let param = View::strided(&memory, 0, &[3], &[2]).unwrap();
        assert!(!differs(&param, &View::from(&[1.0_f32, 2.0, 3.0][..])));
        assert!(differs(&param, &View::from(&[1.0_f32, 9.0, 2.0][..])));
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
