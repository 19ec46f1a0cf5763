//! A schedule as data, and its arithmetic: one line a rule.

use super::{compound_alpha, horizon};
use libm::{cos, exp, expm1, log1p};
use std::f64::consts::PI;

/// The decay of every update, as data: it can be compared, printed and stored.
///
/// All of these give a number in [0, 1] at every update number `t` from 1 on. They are made by the functions below, which
/// check their arguments; what is matched out of one is therefore sound. So is one that is read, through serde:
///
/// ```
/// use shrew_ema::Schedule;
/// let ramp = Schedule::exponential(0.9999, 2000.0)?;
/// let text = r#"{"rule":"exponential","decay":"0x1.fff2e48e8a71ep-1","tau":"0x1.f400000000000p+10"}"#;
/// assert_eq!(serde_json::to_string(&ramp)?, text);
/// assert_eq!(serde_json::from_str::<Schedule>(text)?, ramp);
///
/// let wrong = serde_json::from_str::<Schedule>(r#"{"rule":"constant","decay":"0x1.0000000000000p+1"}"#);
/// assert_eq!(wrong.unwrap_err().to_string(), "constant: decay must be a number in [0, 1], got 2.0");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// See [`Schedule::constant`].
    #[non_exhaustive]
    Constant {
        /// d.
        decay: f64,
    },
    /// See [`Schedule::ratio`].
    #[non_exhaustive]
    Ratio {
        /// The upper bound.
        decay: f64,
        /// The lower bound, once the rule has begun.
        min_decay: f64,
        /// w.
        width: f64,
        /// What is taken off the update's number.
        delay: u64,
        /// Updates that copy before the rule begins.
        copies: u64,
    },
    /// See [`Schedule::inverse_power`].
    #[non_exhaustive]
    InversePower {
        /// The upper bound.
        decay: f64,
        /// The lower bound, once the rule has begun.
        min_decay: f64,
        /// γ, in updates.
        inv_gamma: f64,
        /// p.
        power: f64,
        /// What is taken off the update's number.
        delay: u64,
        /// Updates that copy before the rule begins.
        copies: u64,
    },
    /// See [`Schedule::exponential`].
    #[non_exhaustive]
    Exponential {
        /// The limit.
        decay: f64,
        /// τ, in updates.
        tau: f64,
    },
    /// See [`Schedule::mean_teacher`].
    #[non_exhaustive]
    MeanTeacher {
        /// The upper bound.
        decay: f64,
    },
    /// See [`Schedule::annealing`].
    #[non_exhaustive]
    Annealing {
        /// The lower bound of α.
        momentum: f64,
        /// γ, in updates.
        gamma: f64,
    },
    /// See [`Schedule::half_life`].
    #[non_exhaustive]
    HalfLife {
        /// The half-life, in any unit.
        half_life: f64,
        /// What one update adds, in the same unit.
        interval: f64,
    },
    /// See [`Schedule::edm`].
    #[non_exhaustive]
    RampedHalfLife {
        /// The half-life in images; infinity is no bound.
        half_life: f64,
        /// The share of the images seen so far that bounds the half-life; infinity is no bound.
        rampup_ratio: f64,
        /// Images an update.
        batch: f64,
        /// Whether the update's own images count as seen.
        inclusive: bool,
    },
    /// See [`Schedule::cosine`].
    #[non_exhaustive]
    Cosine {
        /// Updates until the decay is 1.
        steps: u64,
        /// The decay at the start.
        decay: f64,
    },
    /// See [`Schedule::swa`].
    #[non_exhaustive]
    Uniform {
        /// Updates from one average to the next.
        every: u64,
    },
    /// See [`Schedule::power_gamma`].
    #[non_exhaustive]
    Power {
        /// γ.
        gamma: f64,
    },
    /// See [`Schedule::delayed`].
    #[non_exhaustive]
    Delayed {
        /// d, from then on.
        decay: f64,
        /// Updates that copy.
        copies: u64,
    },
    /// See [`Schedule::uncompensated`].
    #[non_exhaustive]
    Uncompensated {
        /// What holds at the beats.
        inner: Box<Schedule>,
        /// Updates from one beat to the next.
        every: u64,
        /// The number of the first beat, from 1 to `every`.
        first: u64,
    },
}

impl Schedule {
    /// Whether the decay differs from one update to another.
    pub fn varies(&self) -> bool {
        !matches!(self, Schedule::Constant { .. } | Schedule::HalfLife { .. })
    }

    /// `d(t)`, for update number `t`, counted from 1.
    ///
    /// # Panics
    /// If `t` is 0.
    pub fn decay(&self, t: u64) -> f64 {
        assert!(t > 0, "updates are counted from 1");
        match self {
            Schedule::Constant { decay } => *decay,
            Schedule::Ratio { copies, .. } | Schedule::InversePower { copies, .. } if t <= *copies => 0.0,
            Schedule::Ratio { decay, min_decay, width, delay, .. } => {
                let n = n(t, *delay);
                ((1.0 + n) / (width + n)).max(*min_decay).min(*decay)
            }
            Schedule::InversePower { decay, min_decay, inv_gamma, power, delay, .. } => {
                (-expm1(-power * log1p(n(t, *delay) / inv_gamma))).max(*min_decay).min(*decay)
            }
            Schedule::Exponential { decay, tau } => -decay * expm1(-(t as f64) / tau),
            Schedule::MeanTeacher { decay } => decay.min(1.0 - 1.0 / t as f64),
            Schedule::HalfLife { half_life, interval } => exp(-interval * horizon::rate(*half_life)),
            Schedule::RampedHalfLife { half_life, rampup_ratio, batch, inclusive } => {
                let half_life = ramped(*half_life, rampup_ratio * seen(*batch, *inclusive, t));
                exp(-batch * horizon::rate(half_life))
            }
            Schedule::Uniform { every } if t % every == 0 => (t / every) as f64 / ((t / every) as f64 + 1.0),
            Schedule::Power { gamma } => exp((gamma + 1.0) * log1p(-1.0 / t as f64)),
            Schedule::Delayed { decay, copies } if t > *copies => *decay,
            Schedule::Uncompensated { inner, every, first } if t % every == first % every => inner.decay(t),
            Schedule::Annealing { .. }
            | Schedule::Cosine { .. }
            | Schedule::Uniform { .. }
            | Schedule::Delayed { .. }
            | Schedule::Uncompensated { .. } => 1.0 - self.alpha(t),
        }
    }

    /// `α(t) = 1 - d(t)`, without cancellation, for update number `t`, counted from 1.
    ///
    /// # Panics
    /// If `t` is 0.
    pub fn alpha(&self, t: u64) -> f64 {
        assert!(t > 0, "updates are counted from 1");
        let time = t as f64;
        match self {
            // Exact for every decay from ½ on (Sterbenz), and the nearest number otherwise.
            Schedule::Constant { decay } => 1.0 - decay,
            Schedule::Ratio { copies, .. } | Schedule::InversePower { copies, .. } if t <= *copies => 1.0,
            Schedule::Ratio { decay, min_decay, width, delay, .. } => {
                clamp(ratio_alpha(*width, n(t, *delay)), *min_decay, *decay)
            }
            // Not by way of `pow`: a small n/γ is lost when it is added to 1.
            Schedule::InversePower { decay, min_decay, inv_gamma, power, delay, .. } => {
                clamp(exp(-power * log1p(n(t, *delay) / inv_gamma)), *min_decay, *decay)
            }
            // 1 - d(1 - e^x) = (1 - d) + d·e^x, a sum of positive numbers.
            Schedule::Exponential { decay, tau } => (1.0 - decay) + decay * exp(-time / tau),
            Schedule::MeanTeacher { decay } => (1.0 - decay).max(1.0 / time),
            Schedule::Annealing { momentum, gamma } => momentum.max(gamma / (gamma + (time - 1.0))),
            Schedule::HalfLife { half_life, interval } => compound_alpha(-interval * horizon::rate(*half_life)),
            Schedule::RampedHalfLife { half_life, rampup_ratio, batch, inclusive } => {
                let half_life = ramped(*half_life, rampup_ratio * seen(*batch, *inclusive, t));
                compound_alpha(-batch * horizon::rate(half_life))
            }
            Schedule::Cosine { steps, .. } if t > *steps => 0.0,
            Schedule::Cosine { steps, decay } => (1.0 - decay) * (cos(PI * (time - 1.0) / *steps as f64) + 1.0) / 2.0,
            Schedule::Uniform { every } if t % every == 0 => 1.0 / ((t / every) as f64 + 1.0),
            Schedule::Uniform { .. } => 0.0,
            // At t = 1 the logarithm is -∞, and α is 1.
            Schedule::Power { gamma } => -expm1((gamma + 1.0) * log1p(-1.0 / time)),
            Schedule::Delayed { copies, .. } if t <= *copies => 1.0,
            Schedule::Delayed { decay, .. } => 1.0 - decay,
            Schedule::Uncompensated { inner, every, first } if t % every == first % every => inner.alpha(t),
            Schedule::Uncompensated { .. } => 0.0,
        }
    }
}

/// `1 - (1+n)/(w+n)`.
pub(super) fn ratio_alpha(width: f64, n: f64) -> f64 {
    (width - 1.0) / (width + n)
}

/// The update's number less a delay, from 0.
fn n(t: u64, delay: u64) -> f64 {
    t.saturating_sub(delay) as f64
}

/// α for a decay within bounds.
fn clamp(alpha: f64, min_decay: f64, decay: f64) -> f64 {
    alpha.min(1.0 - min_decay).max(1.0 - decay)
}

/// Images seen at update number `t`.
fn seen(batch: f64, inclusive: bool, t: u64) -> f64 {
    batch * (if inclusive { t } else { t - 1 }) as f64
}

/// The smaller of two half-lives, and not 0. A ramp is NaN where it has no bound and nothing was seen.
fn ramped(half_life: f64, ramp: f64) -> f64 {
    half_life.min(ramp).max(1e-8)
}
