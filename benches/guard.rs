//! Times averages against the same arithmetic without the test for NaN and infinity, at every level, and prints the pairs
//! for the table, as JSON.

use shrew_ema::NonFinite;
use shrew_ema::kernel::Level;
use shrew_ema::kernel::scalar::{Blend, far, near};
use std::time::Instant;

/// 128 MiB for the averages and as many for the parameters: beyond the caches of most machines.
const ELEMENTS: usize = 1 << 25;
/// The two sides take turns after so many, some 300 µs: what disturbs the machine for longer then disturbs both.
const STRETCH: usize = 1 << 19;
/// Each side of ½ has its own formula, and so its own loop.
const BRANCHES: [(&str, f64); 2] = [("small α", 0.001), ("large α", 0.7)];
const TARGET: f64 = 1.03;
/// Pairs that do not count come first.
const WARM_UP: usize = 3;
const PAIRS: usize = 31;

/// The loop without the test, as one would write it.
#[inline(always)]
fn bare(row: &mut [f32], params: &[f32], blend: Blend<f32>) {
    let each = row.iter_mut().zip(params);
    match blend {
        Blend::Near { a, .. } => each.for_each(|(s, &p)| *s = near(*s, p, a)),
        Blend::Far { b, .. } => each.for_each(|(s, &p)| *s = far(*s, p, b)),
        Blend::Keep | Blend::Copy => unreachable!("neither does any arithmetic"),
    }
}

/// The loop with the instructions that the kernels of each level have.
mod at {
    use super::{Blend, bare};

    /// # Safety
    /// The machine has to have AVX2.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    pub unsafe fn avx2(row: &mut [f32], params: &[f32], blend: Blend<f32>) {
        bare(row, params, blend);
    }

    /// # Safety
    /// The machine has to have AVX-512 with its parts BW, DQ and VL.
    #[cfg(target_arch = "x86_64")]
    #[rustversion::attr(since(1.89), target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl"))]
    pub unsafe fn avx512(row: &mut [f32], params: &[f32], blend: Blend<f32>) {
        bare(row, params, blend);
    }
}

/// One pass without the test. The level has to be available.
fn unguarded(level: Level, row: &mut [f32], params: &[f32], blend: Blend<f32>) {
    assert!(level.is_available(), "this machine has no {level:?}");
    match level {
        Level::Baseline => bare(row, params, blend),
        // SAFETY: the level is available.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { at::avx2(row, params, blend) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { at::avx512(row, params, blend) },
        other => panic!("{other:?} has no loop here"),
    }
}

/// One pass as the crate makes it; how many elements it refused.
fn guarded(level: Level, row: &mut [f32], params: &[f32], blend: Blend<f32>) -> u64 {
    level.average(&mut [row], params, &[blend], NonFinite::Raise)
}

/// Makes sure that the two differ in the test and in nothing else.
fn check(level: Level, blend: Blend<f32>) {
    let mut params: Vec<f32> = (0..1000).map(|i| 1.0 + i as f32 / 1000.0).collect();
    let (mut with, mut without) = (vec![1.5; 1000], vec![1.5; 1000]);
    assert_eq!(guarded(level, &mut with, &params, blend), 0);
    unguarded(level, &mut without, &params, blend);
    assert_eq!(with, without, "{level:?}");
    params[700] = f32::NAN;
    assert_eq!(guarded(level, &mut with, &params, blend), 1);
    unguarded(level, &mut without, &params, blend);
    assert!(with[700].is_finite() && without[700].is_nan(), "{level:?}");
}

/// Seconds of a pass of ours and of one of the other: two rounds, in which the sides change places.
///
/// So both do all the stretches, and none finds in a cache what it needs: all others have come in between.
fn pair(level: Level, row: &mut [f32], params: &[f32], blend: Blend<f32>) -> (f64, f64) {
    let (mut ours, mut theirs) = (0.0, 0.0);
    for round in 0..2 {
        for (index, (row, params)) in row.chunks_mut(STRETCH).zip(params.chunks(STRETCH)).enumerate() {
            let began = Instant::now();
            if (index + round) % 2 == 0 {
                assert_eq!(guarded(level, row, params, blend), 0);
                ours += began.elapsed().as_secs_f64();
            } else {
                unguarded(level, row, params, blend);
                theirs += began.elapsed().as_secs_f64();
            }
        }
    }
    (ours, theirs)
}

fn main() {
    // A filter is meant for the benchmarks that have several things to choose from.
    if std::env::args().skip(1).any(|argument| argument != "--bench") {
        return;
    }
    let params: Vec<f32> = (0..ELEMENTS).map(|i| 1.0 + (i * 7919 % 65_536) as f32 / 65_536.0).collect();
    // Both sides work on one memory, or one might have the better pages.
    let mut row = vec![1.5_f32; ELEMENTS];
    for &level in Level::ALL {
        if !level.is_available() {
            println!(
                r#"{{"fact": "the non-finite guard was not measured at {level:?}: this machine or this compiler lacks it"}}"#
            );
            continue;
        }
        for (branch, alpha) in BRANCHES {
            let blend = Blend::new(alpha);
            check(level, blend);
            let mut measured = || pair(level, &mut row, &params, blend);
            (0..WARM_UP).for_each(|_| _ = measured());
            let pairs: Vec<_> = (0..PAIRS).map(|_| measured()).map(|(a, b)| format!("[{a}, {b}]")).collect();
            println!(
                r#"{{"case": "the non-finite guard, {level:?}, {branch}", "against": "the kernel without it", "target": {TARGET}, "pairs": [{}]}}"#,
                pairs.join(", ")
            );
        }
    }
}
