//! How far back an average reaches: half-life, lag, noise, and the decay of another batch size.

use libm::{expm1, log1p, pow, sqrt};
use std::f64::consts::LN_2;

/// Updates after which half of what was in the average is left: `ln ½ / ln d`.
///
/// ```
/// use shrew_ema::schedule::half_life;
/// assert!((half_life(0.999) - 692.8).abs() < 0.05);
/// assert_eq!(half_life(0.5), 1.0);
/// ```
pub fn half_life(decay: f64) -> f64 {
    // For decays near 1, ln d by way of 1 - d, which is exact there.
    -LN_2 / log1p(decay - 1.0)
}

/// The decay with a half-life of so many updates: `½^(1/h)`.
///
/// ```
/// use shrew_ema::schedule::{decay_of, half_life};
/// assert_eq!(decay_of(1.0), 0.5);
/// assert!((half_life(decay_of(700.0)) - 700.0).abs() < 1e-9);
/// ```
pub fn decay_of(half_life: f64) -> f64 {
    1.0 + expm1(-LN_2 / half_life)
}

/// How many updates the average is behind a parameter that moves steadily: `d / (1 - d)`.
///
/// ```
/// use shrew_ema::schedule::lag;
/// assert!((lag(0.999) - 999.0).abs() < 1e-9);
/// ```
pub fn lag(decay: f64) -> f64 {
    decay / (1.0 - decay)
}

/// The standard deviation that is left of independent noise of standard deviation 1: `√((1 - d)/(1 + d))`.
///
/// ```
/// use shrew_ema::schedule::noise;
/// assert!((noise(0.999) - 0.02237).abs() < 1e-5);
/// ```
pub fn noise(decay: f64) -> f64 {
    sqrt((1.0 - decay) / (1.0 + decay))
}

/// The decay for batches `kappa` times as large, which see the data `kappa` times as fast: `d^κ` (Busbridge et al.
/// 2023, arXiv 2307.13813).
///
/// ```
/// use shrew_ema::schedule::scaled;
/// assert!((scaled(0.9999, 8.0) - 0.99920028).abs() < 1e-8);
/// ```
pub fn scaled(decay: f64, kappa: f64) -> f64 {
    if decay > 0.5 { 1.0 + expm1(kappa * log1p(decay - 1.0)) } else { pow(decay, kappa) }
}

/// `-ln d` from a half-life, which keeps the digits that a decay near 1 loses.
pub(super) fn rate(half_life: f64) -> f64 {
    LN_2 / half_life
}

