//! Other libraries' rules, each with its way of counting, so that what they began can be continued.

use super::Schedule;
use super::checks::{at_least_one, positive, unit, up_to};
use crate::error::Result;

/// Presets. `t` is the number of the call of `update`, from 1, as everywhere here; how the library counts is said where it
/// differs. The arguments have the library's names, and the values in parentheses are its defaults.
impl Schedule {
    /// torch's `AveragedModel` with `get_ema_multi_avg_fn` (.999), whose first call copies.
    ///
    /// # Errors
    /// Those of [`Schedule::delayed`].
    pub fn torch(decay: f64) -> Result<Self> {
        Self::delayed(decay, 1)
    }

    /// The original Rust design, torch_ema and LitEma: `min(decay, (1+t)/(10+t))`.
    ///
    /// # Errors
    /// Those of [`Schedule::ratio`].
    pub fn torch_ema(decay: f64) -> Result<Self> {
        Self::ratio(decay, 0.0, 10.0, 0, 0)
    }

    /// TensorFlow's `ExponentialMovingAverage` with `num_updates` from 0, and PaddleDetection's `threshold`:
    /// `min(decay, t/(9+t))`, first 1/10.
    ///
    /// # Errors
    /// Those of [`Schedule::ratio`].
    pub fn tensorflow(decay: f64) -> Result<Self> {
        Self::ratio(decay, 0.0, 10.0, 1, 0)
    }

    /// TensorFlow Addons' `MovingAverage` (.99, 0, false): copies before `start_step`, which counts from 0, and then
    /// `average_decay`, or `min(average_decay, (1+k)/(10+k))` from `k = 0` with `dynamic_decay`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) unless `average_decay` is a number in [0, 1].
    pub fn tensorflow_addons(average_decay: f64, start_step: u64, dynamic_decay: bool) -> Result<Self> {
        let decay = unit("average_decay", average_decay)?;
        if dynamic_decay {
            return Self::ratio(decay, 0.0, 10.0, start_step.saturating_add(1), start_step);
        }
        Self::delayed(decay, start_step)
    }

    /// Keras' optimizers with `use_ema` (.99), whose first step copies.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) unless `ema_momentum` is a number in [0, 1].
    pub fn keras(ema_momentum: f64) -> Result<Self> {
        Self::delayed(unit("ema_momentum", ema_momentum)?, 1)
    }

    /// d2go's `EMAUpdater` (.999, -1): `min(decay, (1+t)/(w+t))` with `w = decay_warm_up_factor`, or `decay` alone if
    /// that is negative.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) unless `decay` is a number in [0, 1] and the factor finite.
    pub fn d2go(decay: f64, decay_warm_up_factor: f64) -> Result<Self> {
        if decay_warm_up_factor < 0.0 {
            return Self::constant(decay);
        }
        // Below 1 the ratio exceeds 1, and the decay is the smaller one always; so it is at 1.
        let decay = unit("decay", decay)?;
        let width =
            if decay_warm_up_factor == 0.0 { 0.0 } else { positive("decay_warm_up_factor", decay_warm_up_factor)? };
        Self::ratio(decay, 0.0, width.max(1.0), 0, 0)
    }

    /// diffusers' `EMAModel` (.9999, 0, 0, false, 1, 2/3): with `s = t - update_after_step - 1`, a copy while `s < 1` and
    /// then `(1+s)/(10+s)`, or `1 - (1 + s/inv_gamma)^-power` with `use_ema_warmup`, between the two decays.
    ///
    /// # Errors
    /// Those of [`Schedule::inverse_power`].
    pub fn diffusers(
        decay: f64,
        min_decay: f64,
        update_after_step: u64,
        use_ema_warmup: bool,
        inv_gamma: f64,
        power: f64,
    ) -> Result<Self> {
        let copies = update_after_step.saturating_add(1);
        let warmup = Self::inverse_power(decay, min_decay, inv_gamma, power, copies, copies)?;
        if use_ema_warmup { Ok(warmup) } else { Self::ratio(decay, min_decay, 10.0, copies, copies) }
    }

    /// timm's `ModelEmaV3` with `use_warmup` (.9999, 0, 0, 1, 2/3): with `s = t - update_after_step - 1`, a copy while
    /// `s < 1` and then `1 - (1 + s/warmup_gamma)^-warmup_power` between the two decays. Without `use_warmup` it is
    /// [`Schedule::delayed`] by `update_after_step + 1`.
    ///
    /// # Errors
    /// Those of [`Schedule::inverse_power`], with the names that timm gives the arguments.
    pub fn timm(
        decay: f64,
        min_decay: f64,
        update_after_step: u64,
        warmup_gamma: f64,
        warmup_power: f64,
    ) -> Result<Self> {
        let (gamma, power) = (positive("warmup_gamma", warmup_gamma)?, positive("warmup_power", warmup_power)?);
        let copies = update_after_step.saturating_add(1);
        Self::inverse_power(decay, min_decay, gamma, power, copies, copies)
    }

    /// k-diffusion's `EMAWarmup` (1, 1, 0, 1, 0), whose epoch is 0 at the first update and until `start_at`:
    /// `1 - (1 + epoch/inv_gamma)^-power` between the two values.
    ///
    /// # Errors
    /// Those of [`Schedule::inverse_power`], with the names that k-diffusion gives the arguments.
    pub fn k_diffusion(inv_gamma: f64, power: f64, min_value: f64, max_value: f64, start_at: u64) -> Result<Self> {
        let max_value = unit("max_value", max_value)?;
        let min_value = up_to("min_value", min_value, max_value)?;
        Self::inverse_power(max_value, min_value, inv_gamma, power, start_at.saturating_add(1), 0)
    }

    /// ema-pytorch's `EMA` (.9999, 100, 10, 1, 2/3, 0), which does something at calls 1, `1 + update_every` and so on
    /// only, and does not make up for those between: with `s = t - update_after_step - 1`, a copy while `s < 1`, and
    /// then `1 - (1 + s/inv_gamma)^-power` between the two values. (Older releases copied once more.)
    ///
    /// # Errors
    /// Those of [`Schedule::inverse_power`], with the names that ema-pytorch gives the arguments.
    pub fn ema_pytorch(
        beta: f64,
        update_after_step: u64,
        update_every: u64,
        inv_gamma: f64,
        power: f64,
        min_value: f64,
    ) -> Result<Self> {
        let beta = unit("beta", beta)?;
        let min_value = up_to("min_value", min_value, beta)?;
        let every = at_least_one("update_every", update_every)?;
        let copies = update_after_step.saturating_add(1);
        Self::uncompensated(Self::inverse_power(beta, min_value, inv_gamma, power, copies, copies)?, every, 1)
    }

    /// ignite's `EMAHandler` (.0002, 1): `α = momentum` at every `interval`th iteration, and no change between.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) unless `momentum` is in [0, 1] and `interval` at least 1.
    pub fn ignite(momentum: f64, interval: u64) -> Result<Self> {
        let inner = Self::constant(1.0 - unit("momentum", momentum)?)?;
        let interval = at_least_one("interval", interval)?;
        Self::uncompensated(inner, interval, interval)
    }

    /// Composer's `EMA` with a half-life, both in batches (1000, 1): `½^(update_interval/half_life)` at every
    /// `update_interval`th batch.
    ///
    /// # Errors
    /// Those of [`Schedule::half_life`], and unless `update_interval` is at least 1.
    pub fn composer(half_life: f64, update_interval: u64) -> Result<Self> {
        let interval = at_least_one("update_interval", update_interval)?;
        Self::uncompensated(Self::half_life(half_life, interval as f64)?, interval, interval)
    }

    /// ultralytics' `ModelEMA` and mindone (.9999, 2000): `decay·(1 - e^(-t/tau))`.
    ///
    /// # Errors
    /// Those of [`Schedule::exponential`].
    pub fn ultralytics(decay: f64, tau: f64) -> Result<Self> {
        Self::exponential(decay, tau)
    }

    /// mmengine's `MomentumAnnealingEMA` (.0002, 100), whose first call copies.
    ///
    /// # Errors
    /// Those of [`Schedule::annealing`].
    pub fn mmengine(momentum: f64, gamma: f64) -> Result<Self> {
        Self::annealing(momentum, gamma)
    }

    /// EDM2's traditional average (.09): as [`Schedule::edm`], with no bound but a ratio of the images seen, those of
    /// this update included.
    ///
    /// # Errors
    /// Those of [`Schedule::edm`].
    pub fn edm2(rampup_ratio: f64, batch: f64) -> Result<Self> {
        Self::edm(f64::INFINITY, rampup_ratio, batch, true)
    }
}
