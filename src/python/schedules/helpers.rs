//! What a decay means, and which one another batch size needs, as Python functions.

use super::super::arguments::Number;
use super::{numbers, registers};
use crate::error::Error;
use crate::schedule;
use pyo3::prelude::*;

registers!(half_life_of, decay_of, lag, noise, scaled);

/// After how many updates half of what was in the average is left: ln ½ / ln d.
///
/// Parameters
/// ----------
/// decay : float
///     d, from 0 on and below 1.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> round(schedules.half_life_of(0.999), 1)
/// 692.8
#[pyfunction]
#[pyo3(signature = (decay), text_signature = "(decay)")]
pub fn half_life_of(decay: Number) -> Result<f64, Error> {
    numbers!(decay);
    schedule::half_life_of(decay)
}

/// The decay with a half-life of so many updates: ½^(1/half_life).
///
/// Parameters
/// ----------
/// half_life : float
///     In updates; above 0.
///
/// Examples
/// --------
/// A fiftieth of a run of 35,000 steps:
///
/// >>> from shrew_ema import schedules
/// >>> round(schedules.decay_of(35_000 / 50), 5)
/// 0.99901
#[pyfunction]
#[pyo3(signature = (half_life), text_signature = "(half_life)")]
pub fn decay_of(half_life: Number) -> Result<f64, Error> {
    numbers!(half_life);
    schedule::decay_of(half_life)
}

/// How many updates the average is behind a parameter that moves steadily: d/(1 - d).
///
/// Parameters
/// ----------
/// decay : float
///     d, from 0 on and below 1.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> round(schedules.lag(0.999))
/// 999
#[pyfunction]
#[pyo3(signature = (decay), text_signature = "(decay)")]
pub fn lag(decay: Number) -> Result<f64, Error> {
    numbers!(decay);
    schedule::lag(decay)
}

/// The standard deviation that the average leaves of independent noise of standard deviation 1: √((1 - d)/(1 + d)).
///
/// Parameters
/// ----------
/// decay : float
///     d, from 0 on and below 1.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> round(schedules.noise(0.999), 5)
/// 0.02237
#[pyfunction]
#[pyo3(signature = (decay), text_signature = "(decay)")]
pub fn noise(decay: Number) -> Result<f64, Error> {
    numbers!(decay);
    schedule::noise(decay)
}

/// The decay for batches `kappa` times as large, which see the data so much faster: d^kappa.
///
/// (Busbridge et al. 2023, arXiv 2307.13813.)
///
/// Parameters
/// ----------
/// decay : float
///     d at the old batch size, from 0 on and below 1.
/// kappa : float
///     The new batch size over the old one; positive and finite.
///
/// Examples
/// --------
/// From batches of 32 to batches of 256:
///
/// >>> from shrew_ema import schedules
/// >>> round(schedules.scaled(0.9999, 256 / 32), 8)
/// 0.99920028
#[pyfunction]
#[pyo3(signature = (decay, kappa), text_signature = "(decay, kappa)")]
pub fn scaled(decay: Number, kappa: Number) -> Result<f64, Error> {
    numbers!(decay, kappa);
    schedule::scaled(decay, kappa)
}
