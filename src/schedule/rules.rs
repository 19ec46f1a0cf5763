//! The rules: each a constructor that says its formula and checks its arguments.

use super::Schedule;
use super::checks::{above_zero, at_least_one, bounded, positive, unit, up_to};
use crate::error::{Error, Result};

/// How deep schedules may nest: whatever walks down one, or reads one from a file, needs no more of the stack.
pub(super) const MAX_NESTED: usize = 16;

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
        Ok(Schedule::Constant { decay: unit("decay", decay)? })
    }

    /// `d(t) = clamp((1+n)/(width+n), min_decay, decay)` with `n = max(0, t - delay)`, after `copies` updates that copy.
    ///
    /// Without delay and copies this is the warm-up of the original design, whose first decays are 2/11, 3/12, 4/13.
    ///
    /// # Errors
    /// [`Error::Config`] unless `decay` is a number in [0, 1], `min_decay` one up to it, and `width` finite and at
    /// least 1.
    ///
    /// ```
    /// use shrew_ema::schedule::Schedule;
    /// let warmup = Schedule::ratio(0.999, 0.0, 10.0, 0, 0)?;
    /// assert_eq!((warmup.decay(1), warmup.decay(2), warmup.decay(100_000)), (2.0 / 11.0, 0.25, 0.999));
    /// # Ok::<(), shrew_ema::Error>(())
    /// ```
    pub fn ratio(decay: f64, min_decay: f64, width: f64, delay: u64, copies: u64) -> Result<Self> {
        let decay = unit("decay", decay)?;
        let min_decay = up_to("min_decay", min_decay, decay)?;
        let width = bounded("width", width, "a finite number from 1 on", |width| width >= 1.0 && width.is_finite())?;
        Ok(Schedule::Ratio { decay, min_decay, width, delay, copies })
    }

    /// `d(t) = clamp(1 - (1 + n/inv_gamma)^-power, min_decay, decay)` with `n = max(0, t - delay)`, after `copies`
    /// updates that copy.
    ///
    /// # Errors
    /// [`Error::Config`] unless `decay` is a number in [0, 1], `min_decay` one up to it, and the other two positive and
    /// finite.
    ///
    /// ```
    /// use shrew_ema::schedule::Schedule;
    /// let slow = Schedule::inverse_power(0.9999, 0.0, 1.0, 2.0 / 3.0, 1, 1)?;
    /// assert_eq!(slow.decay(1), 0.0);
    /// assert!((slow.decay(2) - 0.37003948).abs() < 1e-8);
    /// assert!((slow.decay(1000) - 0.99).abs() < 1e-12);
    /// # Ok::<(), shrew_ema::Error>(())
    /// ```
    pub fn inverse_power(
        decay: f64,
        min_decay: f64,
        inv_gamma: f64,
        power: f64,
        delay: u64,
        copies: u64,
    ) -> Result<Self> {
        let decay = unit("decay", decay)?;
        let min_decay = up_to("min_decay", min_decay, decay)?;
        let (inv_gamma, power) = (positive("inv_gamma", inv_gamma)?, positive("power", power)?);
        Ok(Schedule::InversePower { decay, min_decay, inv_gamma, power, delay, copies })
    }

    /// `d(t) = decay·(1 - e^(-t/tau))`.
    ///
    /// # Errors
    /// [`Error::Config`] unless `decay` is a number in [0, 1] and `tau` is positive and finite.
    ///
    /// ```
    /// use shrew_ema::schedule::Schedule;
    /// let ramp = Schedule::exponential(0.9999, 2000.0)?;
    /// assert!((ramp.decay(1) - 0.00049983).abs() < 1e-8 && (ramp.decay(10_000) - 0.99316273).abs() < 1e-8);
    /// # Ok::<(), shrew_ema::Error>(())
    /// ```
    pub fn exponential(decay: f64, tau: f64) -> Result<Self> {
        Ok(Schedule::Exponential { decay: unit("decay", decay)?, tau: positive("tau", tau)? })
    }

    /// `d(t) = min(decay, 1 - 1/t)`: the mean of all parameters so far, without the initial ones, until that is slower
    /// than `decay` (Tarvainen and Valpola 2017, arXiv 1703.01780, who count from 0).
    ///
    /// # Errors
    /// [`Error::Config`] unless `decay` is a number in [0, 1].
    ///
    /// ```
    /// use shrew_ema::schedule::Schedule;
    /// let teacher = Schedule::mean_teacher(0.999)?;
    /// assert_eq!((teacher.decay(1), teacher.decay(2), teacher.decay(5000)), (0.0, 0.5, 0.999));
    /// # Ok::<(), shrew_ema::Error>(())
    /// ```
    pub fn mean_teacher(decay: f64) -> Result<Self> {
        Ok(Schedule::MeanTeacher { decay: unit("decay", decay)? })
    }

    /// `α(t) = max(momentum, gamma/(gamma + t - 1))`, a copy at first.
    ///
    /// # Errors
    /// [`Error::Config`] unless `momentum` is a number in [0, 1] and `gamma` is positive and finite.
    ///
    /// ```
    /// use shrew_ema::schedule::Schedule;
    /// let annealing = Schedule::annealing(0.0002, 100.0)?;
    /// assert_eq!((annealing.alpha(1), annealing.alpha(101), annealing.alpha(1_000_000)), (1.0, 0.5, 0.0002));
    /// # Ok::<(), shrew_ema::Error>(())
    /// ```
    pub fn annealing(momentum: f64, gamma: f64) -> Result<Self> {
        Ok(Schedule::Annealing { momentum: unit("momentum", momentum)?, gamma: positive("gamma", gamma)? })
    }

    /// `d = ½^(interval/half_life)`: half of what was in the average is left after `half_life`, whatever the unit.
    ///
    /// # Errors
    /// [`Error::Config`] unless both are above 0, and `interval` finite.
    ///
    /// ```
    /// use shrew_ema::schedule::Schedule;
    /// assert!((Schedule::half_life(10.0, 1.0)?.decay(1) - 0.9330329915).abs() < 1e-10);
    /// # Ok::<(), shrew_ema::Error>(())
    /// ```
    pub fn half_life(half_life: f64, interval: f64) -> Result<Self> {
        let (half_life, interval) = (above_zero("half_life", half_life)?, positive("interval", interval)?);
        Ok(Schedule::HalfLife { half_life, interval })
    }

    /// The half-life of EDM, in images, which grows with the images seen: `h = min(half_life, rampup_ratio·n)`,
    /// `d = ½^(batch/max(h, 1e-8))`, where `n` is the number of images seen, without those of this update unless
    /// `inclusive`. Either bound may be infinite (Karras et al. 2022, arXiv 2206.00364).
    ///
    /// # Errors
    /// [`Error::Config`] unless all are above 0, `batch` is finite and not both bounds are infinite.
    ///
    /// ```
    /// use shrew_ema::schedule::Schedule;
    /// let edm = Schedule::edm(500_000.0, 0.05, 512.0, false)?;
    /// assert!((edm.decay(2) - 9.53674316e-7).abs() < 1e-14); // 512 images seen
    /// assert!((edm.decay(1_000_001) - 0.999290469123).abs() < 1e-12);
    /// # Ok::<(), shrew_ema::Error>(())
    /// ```
    pub fn edm(half_life: f64, rampup_ratio: f64, batch: f64, inclusive: bool) -> Result<Self> {
        let half_life = above_zero("half_life", half_life)?;
        let valid = "a number above 0, and finite where the half_life is not";
        let rampup_ratio =
            bounded("rampup_ratio", rampup_ratio, valid, |ratio| ratio > 0.0 && ratio.min(half_life).is_finite())?;
        Ok(Schedule::RampedHalfLife { half_life, rampup_ratio, batch: positive("batch", batch)?, inclusive })
    }

    /// `d(t) = 1 - (1 - decay)(cos(πk/steps) + 1)/2` with `k = t - 1`: from `decay` to 1 (BYOL, Grill et al. 2020,
    /// arXiv 2006.07733, and DINO). From then on nothing moves.
    ///
    /// # Errors
    /// [`Error::Config`] unless `decay` is a number in [0, 1] and `steps` at least 1.
    ///
    /// ```
    /// use shrew_ema::schedule::Schedule;
    /// let cosine = Schedule::cosine(1000, 0.996)?;
    /// assert!((cosine.alpha(1) - 0.004).abs() < 1e-17 && (cosine.alpha(501) - 0.002).abs() < 1e-17);
    /// assert_eq!(cosine.alpha(1001), 0.0);
    /// # Ok::<(), shrew_ema::Error>(())
    /// ```
    pub fn cosine(steps: u64, decay: f64) -> Result<Self> {
        Ok(Schedule::Cosine { steps: at_least_one("steps", steps)?, decay: unit("decay", decay)? })
    }

    /// The plain mean of the parameters at the start and at every `every`th update from there: `α = 1/(m + 1)` at
    /// `t = m·every`, and no change between (stochastic weight averaging, Izmailov et al. 2018, arXiv 1803.05407;
    /// Polyak and Ruppert). Begin late, with the `start` of the EMA, to average the tail of a run.
    ///
    /// # Errors
    /// [`Error::Config`] if `every` is 0.
    ///
    /// ```
    /// use shrew_ema::schedule::Schedule;
    /// let swa = Schedule::swa(100)?;
    /// assert_eq!((swa.alpha(99), swa.alpha(100), swa.alpha(200)), (0.0, 0.5, 1.0 / 3.0));
    /// # Ok::<(), shrew_ema::Error>(())
    /// ```
    pub fn swa(every: u64) -> Result<Self> {
        Ok(Schedule::Uniform { every: at_least_one("every", every)? })
    }

    /// Power-function averaging, by its relative width: see [`Schedule::power_gamma`]. γ is the largest root of
    /// `γ³ + 7γ² + (16 - σ⁻²)γ + (12 - σ⁻²) = 0`, where `σ² = (γ+1)/((γ+2)²(γ+3))` (Karras et al. 2024,
    /// arXiv 2312.02696, §3.1).
    ///
    /// # Errors
    /// [`Error::Config`] unless `0 < sigma_rel < 12^-½`, about 0.2887, beyond which γ would be negative.
    ///
    /// ```
    /// use shrew_ema::schedule::Schedule;
    /// let Schedule::Power { gamma, .. } = Schedule::power(0.05)? else { unreachable!() };
    /// assert!((gamma - 16.97219860230345).abs() < 1e-12);
    /// # Ok::<(), shrew_ema::Error>(())
    /// ```
    pub fn power(sigma_rel: f64) -> Result<Self> {
        let valid = "above 0 and below 12^-1/2 = 0.288675...";
        let sigma_rel = bounded("sigma_rel", sigma_rel, valid, |sigma| sigma > 0.0 && sigma * sigma * 12.0 < 1.0)?;
        Self::power_gamma(gamma_of(sigma_rel))
    }

    /// Power-function averaging: the weight of the parameters at time `τ` grows as `τ^γ`, `d(t) = (1 - 1/t)^(γ+1)`, so
    /// that the first update copies and the horizon is always the same share of the run (Karras et al. 2024).
    ///
    /// # Errors
    /// [`Error::Config`] unless `gamma` is a finite number from 0 on.
    ///
    /// ```
    /// use shrew_ema::schedule::Schedule;
    /// let power = Schedule::power_gamma(16.97219860230345)?;
    /// assert_eq!(power.decay(1), 0.0);
    /// assert!((power.decay(1000) - 0.9821795062966565).abs() < 1e-15);
    /// # Ok::<(), shrew_ema::Error>(())
    /// ```
    pub fn power_gamma(gamma: f64) -> Result<Self> {
        let gamma = bounded("gamma", gamma, "a finite number from 0 on", |gamma| gamma >= 0.0 && gamma.is_finite())?;
        Ok(Schedule::Power { gamma })
    }

    /// The first `copies` updates copy the parameters, and from then on `d(t) = decay`.
    ///
    /// # Errors
    /// [`Error::Config`] unless `decay` is a number in [0, 1].
    ///
    /// ```
    /// use shrew_ema::schedule::Schedule;
    /// let late = Schedule::delayed(0.999, 2)?;
    /// assert_eq!((late.decay(1), late.decay(2), late.decay(3)), (0.0, 0.0, 0.999));
    /// # Ok::<(), shrew_ema::Error>(())
    /// ```
    pub fn delayed(decay: f64, copies: u64) -> Result<Self> {
        Ok(Schedule::Delayed { decay: unit("decay", decay)?, copies })
    }

    /// `inner` at every `every`th update, the first of them number `first`, and no change between: what peers do that
    /// average less often without making up for it, so that the horizon is `every` times as long (ignite's interval,
    /// ema-pytorch's `update_every`). The EMA's own `every` keeps the horizon instead.
    ///
    /// # Errors
    /// [`Error::Config`] if `every` is 0, unless `first` is from 1 to `every`, or if `inner` is such a schedule of such
    /// schedules, sixteen deep.
    ///
    /// ```
    /// use shrew_ema::schedule::Schedule;
    /// let sparse = Schedule::uncompensated(Schedule::constant(0.9)?, 10, 10)?;
    /// assert_eq!((sparse.decay(9), sparse.decay(10), sparse.decay(20)), (1.0, 0.9, 0.9));
    /// # Ok::<(), shrew_ema::Error>(())
    /// ```
    pub fn uncompensated(inner: Schedule, every: u64, first: u64) -> Result<Self> {
        let every = at_least_one("every", every)?;
        if !(1..=every).contains(&first) {
            return Err(Error::config("first", first, format!("from 1 to {every}")));
        }
        let nested = std::iter::successors(Some(&inner), |inner| match inner {
            Schedule::Uncompensated { inner, .. } => Some(&**inner),
            _ => None,
        });
        let deep = nested.count();
        if deep > MAX_NESTED {
            let valid = format!("a schedule that nests fewer than {MAX_NESTED} deep");
            return Err(Error::config("inner", format_args!("one that nests {} deep", deep - 1), valid));
        }
        Ok(Schedule::Uncompensated { inner: Box::new(inner), every, first })
    }
}

/// The γ of a σ_rel below 12^-½: Newton's method from above on a convex cubic, which falls to the largest root.
fn gamma_of(sigma_rel: f64) -> f64 {
    let inverse = 1.0 / (sigma_rel * sigma_rel);
    // So narrow that the square is lost: γ is 1/σ to the last digit, and anything as large copies.
    let mut gamma = (1.0 / sigma_rel).min(f64::MAX);
    loop {
        let value = ((gamma + 7.0) * gamma + (16.0 - inverse)) * gamma + (12.0 - inverse);
        let slope = (3.0 * gamma + 14.0) * gamma + (16.0 - inverse);
        let next = gamma - value / slope;
        if next >= gamma || !next.is_finite() {
            return gamma.max(0.0);
        }
        gamma = next;
    }
}
