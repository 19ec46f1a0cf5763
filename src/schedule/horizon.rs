//! How far back an average reaches: half-life, lag, noise, and the decay of another batch size.

use super::checks::{above_zero, below_one, positive};
use crate::error::Result;
use libm::{exp2, log, log1p, pow, sqrt};
use std::f64::consts::LN_2;

/// Updates after which half of what was in the average is left: `ln ½ / ln d`.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) unless `decay` is in [0, 1); at 1 nothing ever leaves.
///
/// ```
/// use shrew_ema::schedule::half_life_of;
/// assert!((half_life_of(0.999)? - 692.8).abs() < 0.05);
/// assert_eq!(half_life_of(0.5)?, 1.0);
/// # Ok::<(), shrew_ema::Error>(())
/// ```
pub fn half_life_of(decay: f64) -> Result<f64> {
    let decay = below_one("decay", decay)?;
    // For decays near 1, ln d by way of 1 - d, which is exact there.
    Ok(-LN_2 / if decay > 0.5 { log1p(decay - 1.0) } else { log(decay) })
}

/// The decay with a half-life of so many updates: `½^(1/h)`.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) unless `half_life` is above 0.
///
/// ```
/// use shrew_ema::schedule::{decay_of, half_life_of};
/// assert_eq!(decay_of(1.0)?, 0.5);
/// assert!((half_life_of(decay_of(700.0)?)? - 700.0).abs() < 1e-9);
/// # Ok::<(), shrew_ema::Error>(())
/// ```
pub fn decay_of(half_life: f64) -> Result<f64> {
    Ok(exp2(-1.0 / above_zero("half_life", half_life)?))
}

/// How many updates the average is behind a parameter that moves steadily: `d / (1 - d)`.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) unless `decay` is in [0, 1).
///
/// ```
/// use shrew_ema::schedule::lag;
/// assert!((lag(0.999)? - 999.0).abs() < 1e-9);
/// # Ok::<(), shrew_ema::Error>(())
/// ```
pub fn lag(decay: f64) -> Result<f64> {
    let decay = below_one("decay", decay)?;
    Ok(decay / (1.0 - decay))
}

/// The standard deviation that is left of independent noise of standard deviation 1: `√((1 - d)/(1 + d))`.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) unless `decay` is in [0, 1).
///
/// ```
/// use shrew_ema::schedule::noise;
/// assert!((noise(0.999)? - 0.02237).abs() < 1e-5);
/// # Ok::<(), shrew_ema::Error>(())
/// ```
pub fn noise(decay: f64) -> Result<f64> {
    let decay = below_one("decay", decay)?;
    Ok(sqrt((1.0 - decay) / (1.0 + decay)))
}

/// The decay for batches `kappa` times as large, which see the data `kappa` times as fast: `d^κ` (Busbridge et al.
/// 2023, arXiv 2307.13813).
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) unless `decay` is in [0, 1) and `kappa` positive and finite.
///
/// ```
/// use shrew_ema::schedule::scaled;
/// assert!((scaled(0.9999, 8.0)? - 0.99920028).abs() < 1e-8);
/// # Ok::<(), shrew_ema::Error>(())
/// ```
pub fn scaled(decay: f64, kappa: f64) -> Result<f64> {
    Ok(pow(below_one("decay", decay)?, positive("kappa", kappa)?))
}

/// `-ln d` from a half-life, which keeps the digits that a decay near 1 loses.
pub(super) fn rate(half_life: f64) -> f64 {
    LN_2 / half_life
}
