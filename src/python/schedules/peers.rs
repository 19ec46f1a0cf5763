//! Other libraries' rules that keep one decay, with their names, arguments and defaults, as Python functions.

use super::super::arguments::{Count, Flag, Number};
use super::{Made, made, numbers, registers};
use crate::schedule::Schedule;
use pyo3::prelude::*;

registers!(torch, keras, tensorflow_addons, d2go, ignite, composer, edm2);

/// torch's `AveragedModel` with `get_ema_multi_avg_fn`: the first update copies, and then d = decay.
///
/// Parameters
/// ----------
/// decay : float, default 0.999
///     In [0, 1].
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> [schedules.torch().decay(t) for t in (1, 2)]
/// [0.0, 0.999]
#[pyfunction]
#[pyo3(signature = (decay=Number::of(0.999)), text_signature = "(decay=0.999)")]
pub fn torch(decay: Number) -> Made {
    numbers!(decay);
    made(Schedule::torch(decay))
}

/// The optimizers of Keras 3 with `use_ema`: the first update copies, and then d = ema_momentum.
///
/// Parameters
/// ----------
/// ema_momentum : float, default 0.99
///     In [0, 1].
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> [schedules.keras().decay(t) for t in (1, 2)]
/// [0.0, 0.99]
#[pyfunction]
#[pyo3(signature = (ema_momentum=Number::of(0.99)), text_signature = "(ema_momentum=0.99)")]
pub fn keras(ema_momentum: Number) -> Made {
    numbers!(ema_momentum);
    made(Schedule::keras(ema_momentum))
}

/// TensorFlow Addons' `MovingAverage`: copies before `start_step`, and then d = average_decay.
///
/// Parameters
/// ----------
/// average_decay : float, default 0.99
///     In [0, 1].
/// start_step : int, default 0
///     How many updates copy.
/// dynamic_decay : bool, default False
///     Whether d = min(average_decay, (1 + k)/(10 + k)), with k = 0 at the first update that does not copy.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> addons = schedules.tensorflow_addons(start_step=1, dynamic_decay=True)
/// >>> [round(addons.decay(t), 4) for t in (1, 2, 3)]
/// [0.0, 0.1, 0.1818]
#[pyfunction]
#[pyo3(
    signature = (average_decay=Number::of(0.99), start_step=Count::of(0), dynamic_decay=Flag::of(false)),
    text_signature = "(average_decay=0.99, start_step=0, dynamic_decay=False)"
)]
pub fn tensorflow_addons(average_decay: Number, start_step: Count, dynamic_decay: Flag) -> Made {
    numbers!(average_decay);
    let (start_step, dynamic_decay) = (start_step.from(0, "start_step")?, dynamic_decay.named("dynamic_decay")?);
    made(Schedule::tensorflow_addons(average_decay, start_step, dynamic_decay))
}

/// d2go's `EMAUpdater`: d(t) = min(decay, (1 + t)/(w + t)), or decay alone.
///
/// Parameters
/// ----------
/// decay : float, default 0.999
///     In [0, 1].
/// decay_warm_up_factor : float, default -1.0
///     w; decay alone if it is negative.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> schedules.d2go().decay(1), round(schedules.d2go(decay_warm_up_factor=10).decay(1), 4)
/// (0.999, 0.1818)
#[pyfunction]
#[pyo3(
    signature = (decay=Number::of(0.999), decay_warm_up_factor=Number::of(-1.0)),
    text_signature = "(decay=0.999, decay_warm_up_factor=-1.0)"
)]
pub fn d2go(decay: Number, decay_warm_up_factor: Number) -> Made {
    numbers!(decay, decay_warm_up_factor);
    made(Schedule::d2go(decay, decay_warm_up_factor))
}

/// ignite's `EMAHandler`: d = 1 - momentum at every `interval`th update, and no change between.
///
/// Parameters
/// ----------
/// momentum : float, default 0.0002
///     In [0, 1].
/// interval : int, default 1
///     From 1 on.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> [schedules.ignite(momentum=0.5, interval=2).decay(t) for t in (1, 2, 3, 4)]
/// [1.0, 0.5, 1.0, 0.5]
#[pyfunction]
#[pyo3(
    signature = (momentum=Number::of(0.0002), interval=Count::of(1)),
    text_signature = "(momentum=0.0002, interval=1)"
)]
pub fn ignite(momentum: Number, interval: Count) -> Made {
    numbers!(momentum);
    made(Schedule::ignite(momentum, interval.from(1, "interval")?))
}

/// Composer's `EMA` by its half-life: d = ½^(update_interval/half_life) at every `update_interval`th update.
///
/// Parameters
/// ----------
/// half_life : float, default 1000.0
///     In batches; above 0.
/// update_interval : int, default 1
///     In batches, from 1 on.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> round(schedules.composer(half_life=10).decay(1), 10)
/// 0.9330329915
#[pyfunction]
#[pyo3(
    signature = (half_life=Number::of(1000.0), update_interval=Count::of(1)),
    text_signature = "(half_life=1000.0, update_interval=1)"
)]
pub fn composer(half_life: Number, update_interval: Count) -> Made {
    numbers!(half_life);
    made(Schedule::composer(half_life, update_interval.from(1, "update_interval")?))
}

/// EDM2's traditional average: a half-life of `rampup_ratio` of the images seen, those of the update included.
///
/// Parameters
/// ----------
/// rampup_ratio : float, default 0.09
///     Positive and finite.
/// batch : float, default 2048.0
///     Images an update; positive and finite. It cancels out.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> [round(schedules.edm2().decay(t), 6) for t in (1, 10, 1000)]
/// [0.000452, 0.462937, 0.992328]
#[pyfunction]
#[pyo3(
    signature = (rampup_ratio=Number::of(0.09), batch=Number::of(2048.0)),
    text_signature = "(rampup_ratio=0.09, batch=2048.0)"
)]
pub fn edm2(rampup_ratio: Number, batch: Number) -> Made {
    numbers!(rampup_ratio, batch);
    made(Schedule::edm2(rampup_ratio, batch))
}
