//! How to average, as data: the ledger takes it apart at construction.

use crate::dtype::ShadowDType;
use crate::error::{Error, Result};
use crate::nonfinite::NonFinite;
use crate::schedule::Schedule;

/// How to average: the schedules and when to apply them, the averages' dtype, and what to do with NaN.
///
/// ```
/// use shrew_ema::{Config, NonFinite, ShadowDType};
/// let config = Config::new(0.999)?.shadow_dtype(ShadowDType::Auto).nonfinite(NonFinite::Skip);
/// assert!(Config::new(f64::NAN).is_err());
/// # Ok::<(), shrew_ema::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub(super) schedules: Vec<Schedule>,
    pub(super) start: u64,
    pub(super) every: u64,
    pub(super) shadow_dtype: ShadowDType,
    pub(super) nonfinite: NonFinite,
}

impl Config {
    /// One average of constant decay, in 64 bits, at every call.
    ///
    /// # Errors
    /// [`Error::Config`] unless `decay` is a number in [0, 1].
    pub fn new(decay: f64) -> Result<Self> {
        Self::horizons([Schedule::constant(decay)?])
    }

    /// One average of any schedule, or several in one pass, one for each.
    ///
    /// # Errors
    /// [`Error::Config`] without a schedule.
    ///
    /// ```
    /// use shrew_ema::{Averages, Config, Schedule, View};
    /// let (fast, slow) = (Schedule::mean_teacher(0.9)?, Schedule::power(0.1)?);
    /// let config = Config::horizons([fast, slow])?.start(100).every(10)?;
    /// let mut averages = Averages::new(&[View::from(&[0.0][..])], config)?;
    /// for step in 1..=1000 {
    ///     averages.update(&[View::from(&[f64::from(step)][..])])?;
    /// }
    /// let of = |horizon| averages.shadow(0, horizon).map(|view| view.as_slice::<f64>().unwrap()[0]);
    /// assert!((of(0)? - 990.0).abs() < 10.0 && (of(1)? - 900.0).abs() < 10.0);
    /// # Ok::<(), shrew_ema::Error>(())
    /// ```
    pub fn horizons(schedules: impl IntoIterator<Item = Schedule>) -> Result<Self> {
        let schedules: Vec<_> = schedules.into_iter().collect();
        if schedules.is_empty() {
            return Err(Error::config("decay", "an empty list", "at least one decay or schedule"));
        }
        Ok(Self { schedules, start: 0, every: 1, shadow_dtype: ShadowDType::F64, nonfinite: NonFinite::Raise })
    }

    /// Call number `start` copies the parameters, and earlier calls read nothing; 0: the construction is that copy.
    pub fn start(self, start: u64) -> Self {
        Self { start, ..self }
    }

    /// Averages at every `every`th call after the copy, with the decay of all the calls since the last.
    ///
    /// # Errors
    /// [`Error::Config`] if `every` is 0.
    pub fn every(self, every: u64) -> Result<Self> {
        if every == 0 {
            return Err(Error::config("every", every, "at least 1"));
        }
        Ok(Self { every, ..self })
    }

    /// The dtype of the averages.
    pub fn shadow_dtype(self, shadow_dtype: ShadowDType) -> Self {
        Self { shadow_dtype, ..self }
    }

    /// What to do with elements that are NaN or infinite.
    pub fn nonfinite(self, nonfinite: NonFinite) -> Self {
        Self { nonfinite, ..self }
    }
}
