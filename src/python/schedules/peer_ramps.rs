//! Other libraries' rules whose decay rises, with their names, arguments and defaults, as Python functions.

use super::super::arguments::{Count, Flag, Number};
use super::{Made, made, numbers, registers};
use crate::schedule::Schedule;
use pyo3::prelude::*;

registers!(torch_ema, tensorflow, diffusers, timm, k_diffusion, ema_pytorch, ultralytics, mmengine);

/// torch_ema and LitEma, and the `update_with_warmup` of the EMA here: d(t) = min(decay, (1 + t)/(10 + t)).
///
/// Parameters
/// ----------
/// decay : float
///     In [0, 1].
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> [round(schedules.torch_ema(0.9999).decay(t), 4) for t in (1, 2, 3)]
/// [0.1818, 0.25, 0.3077]
#[pyfunction]
#[pyo3(signature = (decay), text_signature = "(decay)")]
pub fn torch_ema(decay: Number) -> Made {
    numbers!(decay);
    made(Schedule::torch_ema(decay))
}

/// TensorFlow's `ExponentialMovingAverage` with `num_updates` from 0, and PaddleDetection's "threshold".
///
/// d(t) = min(decay, t/(9 + t)).
///
/// Parameters
/// ----------
/// decay : float
///     In [0, 1].
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> [round(schedules.tensorflow(0.999).decay(t), 4) for t in (1, 2, 3)]
/// [0.1, 0.1818, 0.25]
#[pyfunction]
#[pyo3(signature = (decay), text_signature = "(decay)")]
pub fn tensorflow(decay: Number) -> Made {
    numbers!(decay);
    made(Schedule::tensorflow(decay))
}

/// diffusers' `EMAModel`: copies while s = t - update_after_step - 1 is below 1, and then rises between two bounds.
///
/// d = (1 + s)/(10 + s), or 1 - (1 + s/inv_gamma)^-power with `use_ema_warmup`.
///
/// Parameters
/// ----------
/// decay : float, default 0.9999
///     The upper bound, in [0, 1].
/// min_decay : float, default 0.0
///     The lower bound, up to the upper one.
/// update_after_step : int, default 0
///     How many updates copy besides the first.
/// use_ema_warmup : bool, default False
///     Which of the two rules.
/// inv_gamma, power : float, defaults 1.0 and 2/3
///     Of the second rule; positive and finite.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> [round(schedules.diffusers().decay(t), 4) for t in (1, 2, 3)]
/// [0.0, 0.1818, 0.25]
/// >>> [round(schedules.diffusers(use_ema_warmup=True).decay(t), 4) for t in (1, 2, 3)]
/// [0.0, 0.37, 0.5193]
#[pyfunction]
#[pyo3(
    signature = (
        decay=Number::of(0.9999), min_decay=Number::of(0.0), update_after_step=Count::of(0),
        use_ema_warmup=Flag::of(false), inv_gamma=Number::of(1.0), power=Number::of(2.0 / 3.0)
    ),
    text_signature = "(decay=0.9999, min_decay=0.0, update_after_step=0, use_ema_warmup=False, inv_gamma=1.0, \
                      power=0.6666666666666666)"
)]
pub fn diffusers(
    decay: Number,
    min_decay: Number,
    update_after_step: Count,
    use_ema_warmup: Flag,
    inv_gamma: Number,
    power: Number,
) -> Made {
    numbers!(decay, min_decay, inv_gamma, power);
    let after = update_after_step.from(0, "update_after_step")?;
    made(Schedule::diffusers(decay, min_decay, after, use_ema_warmup.named("use_ema_warmup")?, inv_gamma, power))
}

/// timm's `ModelEmaV3` with `use_warmup`: copies while s = t - update_after_step - 1 is below 1, and then rises.
///
/// d = 1 - (1 + s/warmup_gamma)^-warmup_power between two bounds. Without `use_warmup`, timm does what `delayed` does
/// with `update_after_step + 1` copies.
///
/// Parameters
/// ----------
/// decay : float, default 0.9999
///     The upper bound, in [0, 1].
/// min_decay : float, default 0.0
///     The lower bound, up to the upper one.
/// update_after_step : int, default 0
///     How many updates copy besides the first.
/// warmup_gamma, warmup_power : float, defaults 1.0 and 2/3
///     Positive and finite.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> [round(schedules.timm().decay(t), 8) for t in (1, 2, 3, 1000)]
/// [0.0, 0.37003948, 0.51925014, 0.99]
#[pyfunction]
#[pyo3(
    signature = (
        decay=Number::of(0.9999), min_decay=Number::of(0.0), update_after_step=Count::of(0),
        warmup_gamma=Number::of(1.0), warmup_power=Number::of(2.0 / 3.0)
    ),
    text_signature = "(decay=0.9999, min_decay=0.0, update_after_step=0, warmup_gamma=1.0, \
                      warmup_power=0.6666666666666666)"
)]
pub fn timm(
    decay: Number,
    min_decay: Number,
    update_after_step: Count,
    warmup_gamma: Number,
    warmup_power: Number,
) -> Made {
    numbers!(decay, min_decay, warmup_gamma, warmup_power);
    let after = update_after_step.from(0, "update_after_step")?;
    made(Schedule::timm(decay, min_decay, after, warmup_gamma, warmup_power))
}

/// k-diffusion's `EMAWarmup`: d = 1 - (1 + e/inv_gamma)^-power between two bounds, with e = max(0, t - 1 - start_at).
///
/// Parameters
/// ----------
/// inv_gamma, power : float, defaults 1.0 and 1.0
///     Positive and finite.
/// min_value, max_value : float, defaults 0.0 and 1.0
///     The bounds, in [0, 1].
/// start_at : int, default 0
///     How many updates stay at the beginning of the rise besides the first.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> [round(schedules.k_diffusion(power=2/3).decay(t), 8) for t in (1, 2, 3)]
/// [0.0, 0.37003948, 0.51925014]
#[pyfunction]
#[pyo3(
    signature = (
        inv_gamma=Number::of(1.0), power=Number::of(1.0), min_value=Number::of(0.0), max_value=Number::of(1.0),
        start_at=Count::of(0)
    ),
    text_signature = "(inv_gamma=1.0, power=1.0, min_value=0.0, max_value=1.0, start_at=0)"
)]
pub fn k_diffusion(inv_gamma: Number, power: Number, min_value: Number, max_value: Number, start_at: Count) -> Made {
    numbers!(inv_gamma, power, min_value, max_value);
    made(Schedule::k_diffusion(inv_gamma, power, min_value, max_value, start_at.from(0, "start_at")?))
}

/// ema-pytorch's `EMA`: acts at updates 1, 1 + update_every and so on only, without making up for those between.
///
/// With s = t - update_after_step - 1 it copies while s is below 1, and then d = 1 - (1 + s/inv_gamma)^-power between
/// two bounds.
///
/// Parameters
/// ----------
/// beta : float, default 0.9999
///     The upper bound, in [0, 1].
/// update_after_step : int, default 100
///     The number of the update after which averaging begins.
/// update_every : int, default 10
///     Updates from one action to the next, from 1 on.
/// inv_gamma, power : float, defaults 1.0 and 2/3
///     Positive and finite.
/// min_value : float, default 0.0
///     The lower bound, up to the upper one.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> [round(schedules.ema_pytorch().decay(t), 8) for t in (101, 102, 111, 112, 121)]
/// [0.0, 1.0, 0.79781999, 1.0, 0.86862266]
#[pyfunction]
#[pyo3(
    signature = (
        beta=Number::of(0.9999), update_after_step=Count::of(100), update_every=Count::of(10),
        inv_gamma=Number::of(1.0), power=Number::of(2.0 / 3.0), min_value=Number::of(0.0)
    ),
    text_signature = "(beta=0.9999, update_after_step=100, update_every=10, inv_gamma=1.0, \
                      power=0.6666666666666666, min_value=0.0)"
)]
pub fn ema_pytorch(
    beta: Number,
    update_after_step: Count,
    update_every: Count,
    inv_gamma: Number,
    power: Number,
    min_value: Number,
) -> Made {
    numbers!(beta, inv_gamma, power, min_value);
    let after = update_after_step.from(0, "update_after_step")?;
    made(Schedule::ema_pytorch(beta, after, update_every.from(1, "update_every")?, inv_gamma, power, min_value))
}

/// ultralytics' `ModelEMA`, and mindone's: d(t) = decay·(1 - e^(-t/tau)).
///
/// Parameters
/// ----------
/// decay : float, default 0.9999
///     In [0, 1].
/// tau : float, default 2000.0
///     In updates; positive and finite.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> [round(schedules.ultralytics().decay(t), 8) for t in (1, 100, 2000, 10_000)]
/// [0.00049983, 0.0487657, 0.63205735, 0.99316273]
#[pyfunction]
#[pyo3(
    signature = (decay=Number::of(0.9999), tau=Number::of(2000.0)),
    text_signature = "(decay=0.9999, tau=2000.0)"
)]
pub fn ultralytics(decay: Number, tau: Number) -> Made {
    numbers!(decay, tau);
    made(Schedule::ultralytics(decay, tau))
}

/// mmengine's `MomentumAnnealingEMA`, whose first update copies: 1 - d(t) = max(momentum, gamma/(gamma + t - 1)).
///
/// Parameters
/// ----------
/// momentum : float, default 0.0002
///     In [0, 1].
/// gamma : float, default 100.0
///     In updates; positive and finite.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> [schedules.mmengine().decay(t) for t in (1, 101, 1_000_000)]
/// [0.0, 0.5, 0.9998]
#[pyfunction]
#[pyo3(
    signature = (momentum=Number::of(0.0002), gamma=Number::of(100.0)),
    text_signature = "(momentum=0.0002, gamma=100.0)"
)]
pub fn mmengine(momentum: Number, gamma: Number) -> Made {
    numbers!(momentum, gamma);
    made(Schedule::mmengine(momentum, gamma))
}
