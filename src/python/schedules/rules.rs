//! The rules that keep one decay or an exact mean, as Python functions.

use super::super::arguments::{Count, Number};
use super::{Made, inner as schedule_in, made, numbers, registers};
use crate::schedule::Schedule;
use pyo3::prelude::*;

registers!(constant, half_life, delayed, mean_teacher, swa, power, power_gamma, uncompensated);

/// The same decay at every update: d(t) = decay.
///
/// Parameters
/// ----------
/// decay : float, default 0.999
///     d, in [0, 1].
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> schedules.constant(0.9).decay(7)
/// 0.9
#[pyfunction]
#[pyo3(signature = (decay=Number::of(0.999)), text_signature = "(decay=0.999)")]
pub fn constant(decay: Number) -> Made {
    numbers!(decay);
    made(Schedule::constant(decay))
}

/// A constant decay by its half-life: d = ½^(interval/half_life).
///
/// Half of what is in the average is left after `half_life`, whatever the unit: updates, images, tokens, seconds.
///
/// Parameters
/// ----------
/// half_life : float
///     Above 0; infinity keeps the start for ever.
/// interval : float, default 1.0
///     What one update adds, in the same unit; positive and finite.
///
/// Examples
/// --------
/// Batches of 512 images and a half-life of 500,000 images:
///
/// >>> from shrew_ema import schedules
/// >>> round(schedules.half_life(500_000, interval=512).decay(1), 9)
/// 0.999290469
#[pyfunction]
#[pyo3(signature = (half_life, interval=Number::of(1.0)), text_signature = "(half_life, interval=1.0)")]
pub fn half_life(half_life: Number, interval: Number) -> Made {
    numbers!(half_life, interval);
    made(Schedule::half_life(half_life, interval))
}

/// Copies first, and a constant decay from then on.
///
/// Parameters
/// ----------
/// decay : float, default 0.999
///     d after the copies, in [0, 1].
/// copies : int, default 1
///     How many updates copy the parameters, from 0 on.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> late = schedules.delayed(0.999, copies=2)
/// >>> [late.decay(t) for t in (1, 2, 3, 4)]
/// [0.0, 0.0, 0.999, 0.999]
#[pyfunction]
#[pyo3(signature = (decay=Number::of(0.999), copies=Count::of(1)), text_signature = "(decay=0.999, copies=1)")]
pub fn delayed(decay: Number, copies: Count) -> Made {
    numbers!(decay);
    made(Schedule::delayed(decay, copies.from(0, "copies")?))
}

/// The mean of all parameters so far, until that is slower than a decay: d(t) = min(decay, 1 - 1/t).
///
/// The initial parameters count for nothing. With a decay of 1 it stays the plain mean. (Tarvainen and Valpola 2017,
/// arXiv 1703.01780, who count from 0.)
///
/// Parameters
/// ----------
/// decay : float, default 0.999
///     The upper bound of d, in [0, 1].
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> teacher = schedules.mean_teacher(0.999)
/// >>> [teacher.decay(t) for t in (1, 2, 4, 5000)]
/// [0.0, 0.5, 0.75, 0.999]
#[pyfunction]
#[pyo3(signature = (decay=Number::of(0.999)), text_signature = "(decay=0.999)")]
pub fn mean_teacher(decay: Number) -> Made {
    numbers!(decay);
    made(Schedule::mean_teacher(decay))
}

/// Stochastic weight averaging: the plain mean of the parameters at the start and at every `every`th update from there.
///
/// α = 1/(m + 1) at t = m·every, and no change between. Begin late, with the `start` of the EMA, to average the tail of
/// a run at a constant learning rate. (Izmailov et al. 2018, arXiv 1803.05407; Polyak and Ruppert.)
///
/// Parameters
/// ----------
/// every : int, default 1
///     Updates from one average to the next, from 1 on.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> swa = schedules.swa(every=100)
/// >>> [swa.alpha(t) for t in (99, 100, 200, 300)]
/// [0.0, 0.5, 0.3333333333333333, 0.25]
#[pyfunction]
#[pyo3(signature = (every=Count::of(1)), text_signature = "(every=1)")]
pub fn swa(every: Count) -> Made {
    made(Schedule::swa(every.from(1, "every")?))
}

/// Power-function averaging, by the width of its profile relative to the run's length.
///
/// The horizon is always the same share of the run so far, and the start is forgotten at the first update; see
/// `power_gamma` for the formula. γ is the largest root of γ³ + 7γ² + (16 - σ⁻²)γ + (12 - σ⁻²) = 0. (Karras et al. 2024,
/// arXiv 2312.02696, section 3.1.)
///
/// Parameters
/// ----------
/// sigma_rel : float
///     σ, above 0 and below 12^-½ = 0.288675; 0.05 to 0.10 are usual.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> schedules.power(sigma_rel=0.05)
/// schedules.power_gamma(gamma=16.97219860230345)
/// >>> round(schedules.power(0.05).decay(1000), 10)
/// 0.9821795063
#[pyfunction]
#[pyo3(signature = (sigma_rel), text_signature = "(sigma_rel)")]
pub fn power(sigma_rel: Number) -> Made {
    numbers!(sigma_rel);
    made(Schedule::power(sigma_rel))
}

/// Power-function averaging: d(t) = (1 - 1/t)^(gamma + 1).
///
/// The weight of the parameters at time τ grows as τ^gamma. (Karras et al. 2024, arXiv 2312.02696.)
///
/// Parameters
/// ----------
/// gamma : float
///     γ, finite and from 0 on; 0 is the plain mean.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> [schedules.power_gamma(1.0).decay(t) for t in (1, 2, 4)]
/// [0.0, 0.25, 0.5625]
#[pyfunction]
#[pyo3(signature = (gamma), text_signature = "(gamma)")]
pub fn power_gamma(gamma: Number) -> Made {
    numbers!(gamma);
    made(Schedule::power_gamma(gamma))
}

/// Another schedule at every `every`th update only, and no change between.
///
/// That is what libraries do that average less often without making up for it: the horizon is `every` times as long. The
/// `every` of the EMA keeps the horizon instead.
///
/// Parameters
/// ----------
/// inner : Schedule
///     What holds at these updates, by their own numbers. It may itself be such a schedule, and so on: at most 16 nest,
///     counting the innermost one.
/// every : int
///     Updates from one of them to the next, from 1 on.
/// first : int, optional
///     The number of the first of them, from 1 to `every`; without it, `every`.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> sparse = schedules.uncompensated(schedules.constant(0.9), every=10)
/// >>> [sparse.decay(t) for t in (9, 10, 11, 20)]
/// [1.0, 0.9, 1.0, 0.9]
#[pyfunction]
#[pyo3(signature = (inner, every, first=None), text_signature = "(inner, every, first=None)")]
pub fn uncompensated(inner: &Bound<'_, PyAny>, every: Count, first: Option<Count>) -> Made {
    let every = every.from(1, "every")?;
    let first = first.map_or(Ok(every), |first| first.from(1, "first"))?;
    made(Schedule::uncompensated(schedule_in(inner)?, every, first))
}
