//! The verbs at every level against single elements, and single elements against what is known of them.

use super::*;
use crate::nonfinite::NonFinite;
use half::{bf16, f16};
use scalar::element;
use std::io::{Write, stderr};
use std::sync::Once;

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

/// Every level that this machine has. One that it lacks is named on the terminal, past the test runner, which swallows
/// what tests print.
fn levels() -> impl Iterator<Item = Level> {
    static SAID: Once = Once::new();
    let (here, lacking): (Vec<_>, Vec<_>) = Level::ALL.iter().partition(|level| level.is_available());
    SAID.call_once(|| {
        if !lacking.is_empty() {
            let _ = writeln!(stderr(), "not tested, as this machine or this compiler lacks them: {lacking:?}");
        }
    });
    here.into_iter()
}

/// Lengths around those that a level takes at a time, around blocks and around stretches.
fn lengths() -> impl Iterator<Item = usize> + Clone {
    (0..5).chain(14..19).chain([31, 33, 255, 256, 257, 272, 513, 1023, 1024, 1025, 1300])
}

#[test]
fn pairs_are_counted_in_each_and_in_all() {
    let params: Vec<Vec<f32>> = [(40, 6), (7, 0), (300, 2), (1, 1), (64, 64)]
        .map(|(length, refused)| (0..length).map(|i| if i < refused { f32::NAN } else { 1.0 }).collect())
        .into();
    let mut rows: Vec<Vec<f64>> = params.iter().map(|params| vec![0.0; params.len()]).collect();
    let mut pairs: Vec<_> = rows.iter_mut().zip(&params).map(|(row, params)| Pair::new(row, &params[..])).collect();
    for (few, expected) in [(5, 73), (1, 6), (2, 6), (0, 0)] {
        let pairs = &mut pairs[..few];
        let before: Vec<u64> = pairs.iter().map(Pair::refused).collect();
        assert_eq!(average_pairs(pairs, Blend::new(0.5), NonFinite::Raise), expected);
        let found: Vec<u64> = pairs.iter().zip(before).map(|(pair, before)| pair.refused() - before).collect();
        assert_eq!(found, [6, 0, 2, 1, 64][..few]);
    }
}

/// Averages at every level with every policy, on both sides of ½, and compares with single elements.
fn blocks_agree<S: Shadow + Bits, P: Param>(of: impl Fn(f32) -> P + Copy) {
    for (level, length) in levels().flat_map(|level| lengths().map(move |length| (level, length))) {
        for on in NonFinite::ALL {
            for alphas in [[0.001, 0.7], [0.0, 1.0], [0.5, 0.499_999]] {
                let params: Vec<P> = accidents(length as u64 + 7, length).into_iter().map(of).collect();
                let blends = alphas.map(Blend::<S>::new);
                let mut rows =
                    [1, 2].map(|seed| -> Vec<S> { accidents(seed, length).into_iter().map(|x| S::widen(x)).collect() });
                let mut expected = rows.clone();
                let mut expected_count = 0;
                for i in 0..length {
                    let mut refused = false;
                    for (row, blend) in expected.iter_mut().zip(blends) {
                        let (value, refuse) = element(row[i], S::widen(params[i]), blend, on);
                        row[i] = value;
                        refused |= refuse;
                    }
                    expected_count += u64::from(refused);
                }
                let [first, second] = &mut rows;
                let count = level.average(&mut [first, second], &params, &blends, on);
                assert_eq!(count, expected_count, "{level:?}, {length}");
                for (x, y) in rows.concat().into_iter().zip(expected.concat()) {
                    // The payload of a NaN is the processor's choice.
                    assert!(x.bits() == y.bits() || x.is_nan() && y.is_nan(), "{level:?}, {length}: {x:?} {y:?}");
                }
            }
        }
    }
}

/// The bits of an average, to compare zeros by their signs too.
trait Bits: Copy {
    fn bits(self) -> u64;
    fn is_nan(self) -> bool;
}

impl Bits for f32 {
    fn bits(self) -> u64 {
        self.to_bits().into()
    }
    fn is_nan(self) -> bool {
        self.is_nan()
    }
}

impl Bits for f64 {
    fn bits(self) -> u64 {
        self.to_bits()
    }
    fn is_nan(self) -> bool {
        self.is_nan()
    }
}

#[test]
fn every_level_averages_as_single_elements_are() {
    blocks_agree::<f32, f32>(|x| x);
    blocks_agree::<f32, f16>(f16::from_f32);
    blocks_agree::<f32, bf16>(bf16::from_f32);
    blocks_agree::<f64, f64>(f64::from);
    blocks_agree::<f64, f32>(|x| x);
    blocks_agree::<f64, f16>(f16::from_f32);
    blocks_agree::<f64, bf16>(bf16::from_f32);
}

/// Narrows at every level, in the caches and past them, from and to every alignment.
fn narrowing_agrees<S: Shadow, P: Param + PartialEq>(of: impl Fn(f32) -> S + Copy) {
    for (level, length) in levels().flat_map(|level| lengths().map(move |length| (level, length))) {
        let averages: Vec<S> = accidents(length as u64 + 3, length + 3).into_iter().map(of).collect();
        for (store, skip) in [(Store::Cached, 0), (Store::Streamed, 0), (Store::Streamed, 1), (Store::Streamed, 3)] {
            let averages = &averages[skip..][..length];
            let mut into = vec![P::from_f32(7.0); length + 6];
            level.narrow(averages, &mut into[skip..][..length], store);
            for (i, (&found, &from)) in into[skip..][..length].iter().zip(averages).enumerate() {
                let expected: P = from.narrow();
                let same = bytemuck::bytes_of(&found) == bytemuck::bytes_of(&expected);
                assert!(
                    same || found.to_f64().is_nan() && expected.to_f64().is_nan(),
                    "{level:?} {store:?}: {i} of {length}"
                );
            }
            assert!(into[..skip].iter().chain(&into[skip + length..]).all(|&x| x == P::from_f32(7.0)), "nothing else");
        }
    }
}

#[test]
fn every_level_narrows_as_single_elements_are() {
    narrowing_agrees::<f32, f16>(|x| x * 1e4);
    narrowing_agrees::<f32, bf16>(|x| x);
    narrowing_agrees::<f64, f16>(|x| f64::from(x) * 1.234e4);
    narrowing_agrees::<f64, bf16>(|x| f64::from(x) * 1.234);
    narrowing_agrees::<f64, f32>(|x| f64::from(x) * 1.234);
}

#[test]
fn every_level_widens_as_single_elements_are() {
    for (level, length) in levels().flat_map(|level| lengths().map(move |length| (level, length))) {
        let params: Vec<f16> = accidents(length as u64, length).into_iter().map(f16::from_f32).collect();
        let mut into = vec![0.0_f64; length];
        let refused = level.widen(&params, &mut into);
        assert_eq!(refused, params.iter().filter(|p| !p.is_finite()).count() as u64);
        assert!(into.iter().zip(&params).all(|(s, p)| *s == p.to_f64() || s.is_nan() && p.is_nan()), "{level:?}");
    }
}

#[test]
fn streamed_copies_write_what_they_are_given_and_nothing_else() {
    for length in lengths().chain([5000]) {
        for skip in 0..4 {
            let from: Vec<u16> = (0..length as u16 + 4).collect();
            let mut into = vec![0xffff; length + 8];
            Copies::new(Store::Streamed).copy(&from[4..], &mut into[skip..][..length]);
            assert_eq!(into[skip..][..length], from[4..]);
            assert!(into[..skip].iter().chain(&into[skip + length..]).all(|&x| x == 0xffff));
        }
    }
}

#[test]
fn a_level_that_the_machine_lacks_is_refused() {
    for &level in Level::ALL.iter().filter(|level| !level.is_available()) {
        assert!(std::panic::catch_unwind(|| level.widen(&[1.0_f32], &mut [0.0_f32])).is_err());
    }
    assert!(Level::best().is_available() && Level::Baseline.is_available());
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
