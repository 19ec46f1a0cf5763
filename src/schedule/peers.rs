//! Other libraries' rules, each with its way of counting, so that what they began can be continued.

use super::Schedule;
use crate::error::Result;

/// Presets. `t` is the number of the call of `update`, from 1, as everywhere here; how the library counts is said where it
/// differs. The defaults are the library's.
impl Schedule {
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

    /// TensorFlow Addons' `MovingAverage` with a dynamic decay (.99): copies before `start_step` (0), and then
    /// `min(decay, (1+k)/(10+k))` from `k = 0`.
    ///
    /// # Errors
    /// Those of [`Schedule::ratio`].
    pub fn tensorflow_addons(decay: f64, start_step: u64) -> Result<Self> {
        Self::ratio(decay, 0.0, 10.0, start_step + 1, 0)
    }

    /// d2go: `min(decay, (1+t)/(width+t))`, with a decay of .999.
    ///
    /// # Errors
    /// Those of [`Schedule::ratio`].
    pub fn d2go(decay: f64, width: f64) -> Result<Self> {
        Self::ratio(decay, 0.0, width, 0, 0)
    }

    /// diffusers' `EMAModel` without `use_ema_warmup` (.9999, 0, 0): with `s = t - update_after_step - 1`, a copy while
    /// `s < 1` and then `(1+s)/(10+s)` between the two decays.
    ///
    /// # Errors
    /// Those of [`Schedule::ratio`].
    pub fn diffusers(decay: f64, min_decay: f64, update_after_step: u64) -> Result<Self> {
        Self::ratio(decay, min_decay, 10.0, update_after_step + 1, 1)
    }

    /// diffusers' `EMAModel` with `use_ema_warmup` (.9999, 0, 0, 1, 2/3), and timm's `ModelEmaV3` with its own
    /// (.9999, 0, 0, 1, 2/3): with `s = t - update_after_step - 1`, a copy while `s < 1` and then
    /// `1 - (1 + s/inv_gamma)^-power` between the two decays.
    ///
    /// # Errors
    /// Those of [`Schedule::inverse_power`].
    pub fn timm(decay: f64, min_decay: f64, update_after_step: u64, inv_gamma: f64, power: f64) -> Result<Self> {
        Self::inverse_power(decay, min_decay, inv_gamma, power, update_after_step + 1)
    }

    /// k-diffusion's `EMAWarmup` (1, 1, 0, 1, 0), whose epoch is 0 at the first update:
    /// `1 - (1 + (t - 1 - start_at)/inv_gamma)^-power` between the two values.
    ///
    /// # Errors
    /// Those of [`Schedule::inverse_power`].
    pub fn k_diffusion(inv_gamma: f64, power: f64, min_value: f64, max_value: f64, start_at: u64) -> Result<Self> {
        Self::inverse_power(max_value, min_value, inv_gamma, power, start_at + 1)
    }

    /// ema-pytorch's `EMA` (.9999, 100, 10, 1, 2/3, 0), which averages at calls 1, `1 + update_every` and so on and does
    /// not make up for those between: the rule of timm at these.
    ///
    /// # Errors
    /// Those of [`Schedule::inverse_power`] and of [`Schedule::uncompensated`].
    pub fn ema_pytorch(
        beta: f64,
        update_after_step: u64,
        update_every: u64,
        inv_gamma: f64,
        power: f64,
        min_value: f64,
    ) -> Result<Self> {
        let inner = Self::inverse_power(beta, min_value, inv_gamma, power, update_after_step + 1)?;
        Self::uncompensated(inner, update_every, 1)
    }

    /// ignite's `EMAHandler` with an interval: `α = momentum` at every `interval`th iteration, and no change between.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) unless `momentum` is in [0, 1] and `interval` at least 1.
    pub fn ignite(momentum: f64, interval: u64) -> Result<Self> {
        Self::uncompensated(Self::constant(1.0 - momentum)?, interval, interval)
    }

    /// ultralytics' `ModelEMA` (.9999, 2000): `decay·(1 - e^(-t/tau))`.
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

    /// EDM2's traditional average: as [`Schedule::edm`], with no bound but a ratio (.09) of the images seen, those of
    /// this update included.
    ///
    /// # Errors
    /// Those of [`Schedule::edm`].
    pub fn edm2(rampup_ratio: f64, batch: f64) -> Result<Self> {
        Self::edm(f64::INFINITY, rampup_ratio, batch, true)
    }
}
