//! The verbs on slices: average, widen, narrow; in [`view`], the memory that they work on; in [`overlap`], what of it is
//! shared.
//!
//! Everything goes through blocks of [`BLOCK`] elements that stay in the first-level cache: a block is computed into a
//! buffer on the stack together with the test for NaN and infinity, and only then copied to its place. A store that
//! selects, element by element, becomes a masked store with some instruction sets and costs up to four times as much.

mod layout;
pub mod overlap;
pub mod scalar;
pub mod view;

use crate::dtype::{Param, Shadow};
use crate::nonfinite::NonFinite;
use scalar::{Blend, element, far, near};

/// Elements in a block.
pub const BLOCK: usize = 256;

/// Averages `params` into every row, row `h` with the weights `blends[h]`, and counts the elements refused by any row.
///
/// # Panics
/// Unless there is one row for each blend, each as long as `params`.
pub fn average<S: Shadow, P: Param>(rows: &mut [&mut [S]], params: &[P], blends: &[Blend<S>], on: NonFinite) -> u64 {
    assert_eq!(rows.len(), blends.len(), "a row for each blend");
    assert!(rows.iter().all(|row| row.len() == params.len()), "rows and parameters differ in length");
    let mut buffer = [S::zeroed(); BLOCK];
    let mut count = 0;
    for start in (0..params.len()).step_by(BLOCK) {
        let params = &params[start..params.len().min(start + BLOCK)];
        let mut refused = None;
        for (row, &blend) in rows.iter_mut().zip(blends) {
            let row = &mut row[start..start + params.len()];
            if !block(row, params, blend, &mut buffer) {
                mend(row, params, blend, on, refused.get_or_insert([false; BLOCK]));
            }
        }
        count += refused.map_or(0, |refused| refused.iter().filter(|&&refused| refused).count() as u64);
    }
    count
}

/// Averages a block if every new average is finite; else leaves it and says false.
#[inline(always)]
fn block<S: Shadow, P: Param>(row: &mut [S], params: &[P], blend: Blend<S>, buffer: &mut [S; BLOCK]) -> bool {
    match blend {
        Blend::Keep => true,
        Blend::Near { a, .. } => fill(row, params, buffer, |s, p| near(s, p, a)),
        Blend::Far { b, .. } => fill(row, params, buffer, |s, p| far(s, p, b)),
        Blend::Copy => fill(row, params, buffer, |_, p| p),
    }
}

#[inline(always)]
fn fill<S: Shadow, P: Param>(row: &mut [S], params: &[P], buffer: &mut [S; BLOCK], value: impl Fn(S, S) -> S) -> bool {
    let mut finite = true;
    for ((out, &s), &p) in buffer.iter_mut().zip(&*row).zip(params) {
        *out = value(s, S::widen(p));
        finite &= out.finite();
    }
    if finite {
        row.copy_from_slice(&buffer[..row.len()]);
    }
    finite
}

/// Averages a block one element at a time, marking those that are refused.
#[cold]
fn mend<S: Shadow, P: Param>(row: &mut [S], params: &[P], blend: Blend<S>, on: NonFinite, refused: &mut [bool; BLOCK]) {
    for ((s, &p), refused) in row.iter_mut().zip(params).zip(refused) {
        let (value, refuse) = element(*s, S::widen(p), blend, on);
        *s = value;
        *refused |= refuse;
    }
}

/// Writes each of `params` in the shadow's type, exactly, and counts those that are NaN or infinite.
///
/// # Panics
/// Unless both have the same length.
pub fn widen<S: Shadow, P: Param>(params: &[P], into: &mut [S]) -> u64 {
    assert_eq!(params.len(), into.len(), "from and into differ in length");
    let mut refused = 0;
    for (out, &p) in into.iter_mut().zip(params) {
        *out = S::widen(p);
        refused += u64::from(!out.finite());
    }
    refused
}

/// Writes each of `averages` in the parameter's type, to nearest, ties to even, rounded once.
///
/// # Panics
/// Unless both have the same length.
pub fn narrow<S: Shadow, P: Param>(averages: &[S], into: &mut [P]) {
    assert_eq!(averages.len(), into.len(), "from and into differ in length");
    for (out, &s) in into.iter_mut().zip(averages) {
        *out = s.narrow();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values with every kind of accident in them, so dense that blocks of every mixture occur.
    fn accidents(seed: u64, length: usize) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        (0..length)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                match state % 401 {
                    0 => f32::NAN,
                    1 => f32::INFINITY,
                    2 => f32::NEG_INFINITY,
                    3 => f32::MAX,
                    4 => f32::MIN,
                    5 => -0.0,
                    6 => f32::MIN_POSITIVE / 8.0,
                    _ => (state >> 32) as f32 / 2e9 - 1.0,
                }
            })
            .collect()
    }

    #[test]
    fn blocks_give_the_bits_and_the_count_of_single_elements() {
        let lengths = (0..20).chain([255, 256, 257, 511, 512, 513, 1000, 1023, 1024, 1025]);
        for length in lengths {
            for on in [NonFinite::Raise, NonFinite::Skip, NonFinite::Propagate] {
                for alphas in [[0.001, 0.7], [0.0, 1.0], [0.5, 0.499_999], [1.0, 1e-9]] {
                    let params = accidents(length as u64 + 7, length);
                    let blends = alphas.map(Blend::<f32>::new);
                    let mut rows = [accidents(1, length), accidents(2, length)];
                    let mut expected = rows.clone();
                    let mut expected_count = 0;
                    for i in 0..length {
                        let mut refused = false;
                        for (row, blend) in expected.iter_mut().zip(blends) {
                            let (value, refuse) = element(row[i], params[i], blend, on);
                            row[i] = value;
                            refused |= refuse;
                        }
                        expected_count += u64::from(refused);
                    }
                    let [first, second] = &mut rows;
                    let count = average(&mut [first, second], &params, &blends, on);
                    assert_eq!(count, expected_count);
                    for (row, expected) in rows.iter().zip(&expected) {
                        for (x, y) in row.iter().zip(expected) {
                            // The payload of a NaN is the processor's choice.
                            assert!(x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan(), "{x} {y}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn an_element_is_never_poisoned_unless_asked() {
        let near = Blend::new(0.1);
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(element(1.0, bad, near, NonFinite::Raise), (1.0, true));
            assert_eq!(element(1.0, bad, near, NonFinite::Skip), (1.0, true));
            assert!(!element(1.0, bad, near, NonFinite::Propagate).0.is_finite());
            assert_eq!(element(bad, 3.0, near, NonFinite::Skip), (3.0, false));
        }
        assert_eq!(element(f64::INFINITY, f64::INFINITY, near, NonFinite::Raise), (f64::INFINITY, false));
        assert!(element(f64::INFINITY, f64::NEG_INFINITY, near, NonFinite::Raise).1);
    }

    #[test]
    fn a_difference_that_overflows_is_averaged_all_the_same() {
        let (value, refused) = element(f32::MAX, f32::MIN, Blend::new(0.25), NonFinite::Raise);
        assert!(!refused && (value / f32::MAX - 0.5).abs() < 1e-6, "{value}");
        let (value, refused) = element(f32::MAX, f32::MIN, Blend::new(0.75), NonFinite::Raise);
        assert!(!refused && (value / f32::MAX + 0.5).abs() < 1e-6, "{value}");
    }

    #[test]
    fn a_constant_parameter_never_moves_its_average() {
        for s in accidents(3, 2000).into_iter().filter(|s| s.is_finite()) {
            for alpha in [1e-7, 0.1, 0.5, 0.9, 1.0] {
                assert_eq!(element(s, s, Blend::new(alpha), NonFinite::Raise), (s, false));
            }
        }
    }
}
