//! The rules whose decay rises as training goes on, as Python functions.

use super::super::arguments::{Count, Flag, Number};
use super::{Made, made, numbers, registers};
use crate::schedule::Schedule;
use pyo3::prelude::*;

registers!(ratio, inverse_power, exponential, annealing, cosine, edm);

/// A decay that rises as (1 + n)/(width + n), with n = max(0, t - delay), between two bounds.
///
/// Without delay and copies this is the warm-up of `EMA.update_with_warmup`: 2/11, 3/12, 4/13 and so on.
///
/// Parameters
/// ----------
/// decay : float, default 0.999
///     The upper bound of d, in [0, 1].
/// min_decay : float, default 0.0
///     The lower bound of d, up to the upper one.
/// width : float, default 10.0
///     How slowly d rises: it reaches 1 - 1/k after k·width updates, roughly. From 1 on, and finite.
/// delay : int, default 0
///     What is taken off the update's number.
/// copies : int, default 0
///     How many updates copy the parameters before the rule begins.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> warmup = schedules.ratio(0.999)
/// >>> [round(warmup.decay(t), 4) for t in (1, 2, 90, 10_000)]
/// [0.1818, 0.25, 0.91, 0.999]
#[pyfunction]
#[pyo3(
    signature = (decay=Number::of(0.999), min_decay=Number::of(0.0), width=Number::of(10.0), delay=Count::of(0), copies=Count::of(0)),
    text_signature = "(decay=0.999, min_decay=0.0, width=10.0, delay=0, copies=0)"
)]
pub fn ratio(decay: Number, min_decay: Number, width: Number, delay: Count, copies: Count) -> Made {
    numbers!(decay, min_decay, width);
    made(Schedule::ratio(decay, min_decay, width, delay.from(0, "delay")?, copies.from(0, "copies")?))
}

/// A decay that rises as 1 - (1 + n/inv_gamma)^-power, with n = max(0, t - delay), between two bounds.
///
/// Parameters
/// ----------
/// decay : float, default 0.9999
///     The upper bound of d, in [0, 1].
/// min_decay : float, default 0.0
///     The lower bound of d, up to the upper one.
/// inv_gamma : float, default 1.0
///     The unit of n, in updates; positive and finite.
/// power : float, default 2/3
///     How fast d rises; positive and finite. 2/3 reaches .999 at 31,600 updates, 3/4 at 10,000.
/// delay : int, default 0
///     What is taken off the update's number.
/// copies : int, default 0
///     How many updates copy the parameters before the rule begins.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> slow = schedules.inverse_power()
/// >>> [round(slow.decay(t), 8) for t in (1, 2, 999, 10_000_000)]
/// [0.37003948, 0.51925014, 0.99, 0.9999]
#[pyfunction]
#[pyo3(
    signature = (
        decay=Number::of(0.9999), min_decay=Number::of(0.0), inv_gamma=Number::of(1.0), power=Number::of(2.0 / 3.0),
        delay=Count::of(0), copies=Count::of(0)
    ),
    text_signature = "(decay=0.9999, min_decay=0.0, inv_gamma=1.0, power=0.6666666666666666, delay=0, copies=0)"
)]
pub fn inverse_power(
    decay: Number,
    min_decay: Number,
    inv_gamma: Number,
    power: Number,
    delay: Count,
    copies: Count,
) -> Made {
    numbers!(decay, min_decay, inv_gamma, power);
    let (delay, copies) = (delay.from(0, "delay")?, copies.from(0, "copies")?);
    made(Schedule::inverse_power(decay, min_decay, inv_gamma, power, delay, copies))
}

/// A decay that approaches its limit exponentially: d(t) = decay·(1 - e^(-t/tau)).
///
/// Parameters
/// ----------
/// decay : float, default 0.9999
///     The limit of d, in [0, 1].
/// tau : float, default 2000.0
///     After how many updates 63% of the limit are reached; positive and finite.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> ramp = schedules.exponential(0.9999, tau=2000)
/// >>> [round(ramp.decay(t), 8) for t in (1, 100, 2000, 10_000)]
/// [0.00049983, 0.0487657, 0.63205735, 0.99316273]
#[pyfunction]
#[pyo3(
    signature = (decay=Number::of(0.9999), tau=Number::of(2000.0)),
    text_signature = "(decay=0.9999, tau=2000.0)"
)]
pub fn exponential(decay: Number, tau: Number) -> Made {
    numbers!(decay, tau);
    made(Schedule::exponential(decay, tau))
}

/// A weight of the newest parameters that falls to a bound: α(t) = max(momentum, gamma/(gamma + t - 1)).
///
/// The first update copies.
///
/// Parameters
/// ----------
/// momentum : float, default 0.0002
///     The lower bound of α = 1 - d, in [0, 1].
/// gamma : float, default 100.0
///     After how many updates α is ½; positive and finite.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> annealing = schedules.annealing(0.0002, gamma=100)
/// >>> [annealing.alpha(t) for t in (1, 101, 1_000_000)]
/// [1.0, 0.5, 0.0002]
#[pyfunction]
#[pyo3(
    signature = (momentum=Number::of(0.0002), gamma=Number::of(100.0)),
    text_signature = "(momentum=0.0002, gamma=100.0)"
)]
pub fn annealing(momentum: Number, gamma: Number) -> Made {
    numbers!(momentum, gamma);
    made(Schedule::annealing(momentum, gamma))
}

/// A decay that rises to 1 over the run: d(t) = 1 - (1 - decay)(cos(πk/steps) + 1)/2, with k = t - 1.
///
/// After `steps` updates nothing moves any more. The teachers of BYOL (Grill et al. 2020, arXiv 2006.07733) and DINO.
///
/// Parameters
/// ----------
/// steps : int
///     Updates until the decay is 1, from 1 on.
/// decay : float, default 0.996
///     The decay at the start, in [0, 1].
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> cosine = schedules.cosine(1000)
/// >>> [round(cosine.decay(t), 6) for t in (1, 501, 1001)]
/// [0.996, 0.998, 1.0]
#[pyfunction]
#[pyo3(signature = (steps, decay=Number::of(0.996)), text_signature = "(steps, decay=0.996)")]
pub fn cosine(steps: Count, decay: Number) -> Made {
    numbers!(decay);
    made(Schedule::cosine(steps.from(1, "steps")?, decay))
}

/// A half-life in images that grows with the images seen: d = ½^(batch/h), h = min(half_life, rampup_ratio·n).
///
/// n is the number of images seen before the update. (Karras et al. 2022, arXiv 2206.00364.)
///
/// Parameters
/// ----------
/// half_life : float, default 500000.0
///     In images; above 0, and infinity is no bound.
/// rampup_ratio : float, default 0.05
///     The share of the images seen that bounds the half-life; above 0, and infinity is no bound. One of the two must be
///     finite.
/// batch : float, default 512.0
///     Images an update; positive and finite.
/// inclusive : bool, default False
///     Whether n counts the images of the update itself.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> edm = schedules.edm(half_life=500_000, rampup_ratio=0.05, batch=512)
/// >>> [round(edm.decay(t), 9) for t in (1, 11, 1001, 1_000_000)]
/// [0.0, 0.25, 0.986232704, 0.999290469]
#[pyfunction]
#[pyo3(
    signature = (
        half_life=Number::of(500_000.0), rampup_ratio=Number::of(0.05), batch=Number::of(512.0),
        inclusive=Flag::of(false)
    ),
    text_signature = "(half_life=500000.0, rampup_ratio=0.05, batch=512.0, inclusive=False)"
)]
pub fn edm(half_life: Number, rampup_ratio: Number, batch: Number, inclusive: Flag) -> Made {
    numbers!(half_life, rampup_ratio, batch);
    made(Schedule::edm(half_life, rampup_ratio, batch, inclusive.named("inclusive")?))
}
