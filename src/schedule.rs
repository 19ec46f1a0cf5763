//! Which decay an update uses: pure functions of the update's number, one for each rule, in 64 bits.
//!
//! A rule gives `α = 1 - d`, not `d`: near 1 the decay has lost the digits that the update needs. The functions come
//! from `libm`, so that every platform gets the same bits.

use crate::error::{Error, Result};

/// The decay of every update, as data: it can be compared, printed and stored.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// The same decay at every update: see [`Schedule::constant`].
    Constant {
        /// The decay, in [0, 1].
        decay: f64,
    },
}

impl Schedule {
    /// `d(t) = decay`.
    ///
    /// # Errors
    /// [`Error::Config`] unless `decay` is a number in [0, 1].
    ///
    /// ```
    /// use shrew_ema::schedule::Schedule;
    /// assert_eq!(Schedule::constant(0.999)?.decay(7), 0.999);
    /// assert_eq!(
    ///     Schedule::constant(1.5).unwrap_err().to_string(),
    ///     "decay must be a number in [0, 1], got 1.5"
    /// );
    /// # Ok::<(), shrew_ema::Error>(())
    /// ```
    pub fn constant(decay: f64) -> Result<Self> {
        // NaN fails every comparison, and so is refused here too.
        if (0.0..=1.0).contains(&decay) {
            Ok(Schedule::Constant { decay })
        } else {
            Err(Error::config("decay", format_args!("{decay:?}"), "a number in [0, 1]"))
        }
    }

    /// The decay of update number `t`, counted from 1.
    pub fn decay(&self, _t: u64) -> f64 {
        match self {
            Schedule::Constant { decay } => *decay,
        }
    }

    /// `1 - d(t)`, without cancellation, for update number `t`, counted from 1.
    pub fn alpha(&self, _t: u64) -> f64 {
        match self {
            // Exact for every decay from ½ on (Sterbenz), and the nearest number otherwise.
            Schedule::Constant { decay } => 1.0 - decay,
        }
    }

    /// The decay if every update has the same one.
    pub fn base(&self) -> Option<f64> {
        match self {
            Schedule::Constant { decay } => Some(*decay),
        }
    }
}

/// `1 - (1+t)/(10+t)`, the warm-up of the original design, for update number `t`, counted from 1: an update with warm-up
/// uses the larger of this and the schedule's own α, so that the first decays are 2/11, 3/12, 4/13.
///
/// ```
/// use shrew_ema::schedule::warmup_alpha;
/// assert_eq!(warmup_alpha(1), 9.0 / 11.0);
/// assert_eq!(warmup_alpha(990), 0.009);
/// ```
pub fn warmup_alpha(t: u64) -> f64 {
    9.0 / (10.0 + t as f64)
}

/// `ln d` of one update: sums of it are the decay of several.
pub fn log_decay(alpha: f64) -> f64 {
    libm::log1p(-alpha)
}

/// α of several updates at once, from the sum of their [`log_decay`]s: `1 - ∏ dᵢ`.
///
/// ```
/// use shrew_ema::schedule::{compound_alpha, log_decay};
/// let ten = compound_alpha(10.0 * log_decay(1e-4));
/// assert!((ten - 0.0009995501199790025_f64).abs() < 1e-18);
/// ```
pub fn compound_alpha(log_decays: f64) -> f64 {
    -libm::expm1(log_decays)
}

/// `∏ dᵢ`, from the sum of the [`log_decay`]s: the share of the initial values that is still in an average.
pub fn share(log_decays: f64) -> f64 {
    libm::exp(log_decays)
}
