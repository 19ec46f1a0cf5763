//! Which decay an update uses: schedules as data, one documented function for each rule and for each peer's defaults.
//!
//! A schedule is a pure function of `t`, the number of the update, from 1. It gives `α = 1 - d` and not `d`: near 1 the
//! decay has lost the digits that the update needs. All arithmetic is in 64 bits, and the functions come from `libm`, so
//! that every platform gets the same bits.
//!
//! # Which one do I want?
//!
//! | the run | the schedule |
//! |---|---|
//! | a known number of steps | [`constant`](Schedule::constant), with `update_with_warmup` |
//! | a length that is not known yet | [`power`](Schedule::power): its horizon grows with the run, and it forgets the start by itself |
//! | the tail at a constant learning rate | [`swa`](Schedule::swa), from a late `start` |
//! | a teacher that is to freeze in the end | [`cosine`](Schedule::cosine) |
//! | counted in images or tokens | [`half_life`](Schedule::half_life), or [`edm`](Schedule::edm), which ramps up |
//! | begun with another library | the function with its name |
//!
//! `update_with_warmup` is for constant decays: [`constant`](Schedule::constant) and [`half_life`](Schedule::half_life).
//! It takes the smaller of the schedule's decay and `(1 + t)/(10 + t)` at every call, and not at first only: `swa` would
//! be no plain mean, `cosine` would not freeze, and `power` would not have a `sigma_rel` above .09. A constant `d` is
//! reached after `9/(1 - d) - 10` calls; decays that have not been reached yet give the same average.
//!
//! How long a memory? One with a half-life of a fiftieth of the run is a good start: [`decay_of`]`(steps / 50.0)`.
//! [`half_life_of`], [`lag`] and [`noise`] say what a decay means. When batches become κ times as large, `d` becomes
//! `d^κ` ([`scaled`]). For `power`, a `sigma_rel` of .05 to .10 is usual.

mod call;
mod checks;
mod data;
mod horizon;
mod json;
mod peers;
mod rules;

pub use call::Argument;
pub use data::Schedule;
pub use horizon::{decay_of, half_life_of, lag, noise, scaled};

/// `1 - (1+t)/(10+t)`, the warm-up of the original design, for update number `t`, counted from 1: an update with warm-up
/// uses the larger of this and the schedule's own α, so that the first decays are 2/11, 3/12, 4/13.
///
/// ```
/// use shrew_ema::schedule::warmup_alpha;
/// assert_eq!(warmup_alpha(1), 9.0 / 11.0);
/// assert_eq!(warmup_alpha(990), 0.009);
/// ```
pub fn warmup_alpha(t: u64) -> f64 {
    data::ratio_alpha(10.0, t as f64)
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
