//! The books of an average: names, descriptors, schedules, counters, the share of the start. It knows no memory.
//!
//! Time is counted in calls: call number `start` copies the parameters, earlier ones read nothing, and from then on
//! `t = step - start`. Averages fall where `t` is a multiple of `every`, with the α of all the calls since the last
//! one, so that a longer interval does not make a longer horizon. With `start = 0` the construction is that copy.

mod checks;
mod config;
mod counters;
mod ties;

pub use checks::label;
pub use config::Config;
pub use counters::Counters;

use crate::descriptor::{Descriptor, Spec};
use crate::dtype::{Class, DType, ShadowDType};
use crate::error::{Error, Result};
use crate::names;
use crate::nonfinite::{NonFinite, Report};
use crate::notice::Notice;
use crate::schedule::{Schedule, compound_alpha, log_decay, share, warmup_alpha};

/// What a call has to do, as [`Ledger::plan`] says, and what [`Ledger::commit`] counts.
#[derive(Debug)]
#[must_use = "a call that is planned is done and then committed"]
pub struct Planned {
    /// Whether the parameters are read, in one pass with [`Ledger::alphas`]. Not before the start, between the beats, or
    /// with a decay of 1.
    pub reads: bool,
    beat: Beat,
    warmup: bool,
    /// Where the warm-up takes the place of a rule that varies by itself: α of the rule, and of the warm-up.
    overruled: Option<(f64, f64)>,
}

/// Where a call falls in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beat {
    BeforeStart,
    Copy,
    Between,
    Average,
}

#[derive(Clone, Debug)]
struct Horizon {
    schedule: Schedule,
    /// The sum of ln d over the averages since the copy.
    log_share: f64,
    /// The sum of ln d over the calls since the last average.
    log_window: f64,
}

/// Names, descriptors, schedules and counters.
#[derive(Clone, Debug)]
pub struct Ledger {
    names: Vec<String>,
    descriptors: Vec<Descriptor>,
    dtypes: Vec<DType>,
    owners: Vec<usize>,
    /// Whether any tensor has the averages of another.
    tied: bool,
    horizons: Vec<Horizon>,
    start: u64,
    every: u64,
    shadow_dtype: ShadowDType,
    nonfinite: NonFinite,
    step: u64,
    num_updates: u64,
    skipped: Vec<u64>,
    /// Of the planned call: what it averages with, and the sum of ln d with it in; for each horizon.
    alphas: Vec<f64>,
    windows: Vec<f64>,
    /// Whether the last call counted was one with warm-up.
    warmed: bool,
    said: Vec<Notice>,
    notices: Vec<Notice>,
}

impl Ledger {
    /// Books for the tensors described, at step 0.
    ///
    /// # Errors
    /// [`Error::Config`] without a tensor or if two have one name, [`Error::DType`] if an average would be narrower than
    /// its parameter.
    ///
    /// # Panics
    /// Unless there is a name for each descriptor.
    pub fn new(names: Vec<String>, descriptors: Vec<Descriptor>, config: Config) -> Result<Self> {
        assert_eq!(names.len(), descriptors.len(), "a name for each tensor");
        if names.is_empty() {
            return Err(Error::config("params", "none", "one tensor or more"));
        }
        names::check_different(&names)?;
        let Config { schedules, start, every, shadow_dtype, nonfinite } = config;
        let dtypes = names.iter().zip(&descriptors).map(|(name, d)| shadow_dtype.of(d.dtype, name));
        let dtypes = dtypes.collect::<Result<Vec<_>>>()?;
        let horizons = schedules.len();
        let mut ledger = Ledger {
            skipped: vec![0; names.len()],
            owners: (0..names.len()).collect(),
            tied: false,
            names,
            descriptors,
            dtypes,
            horizons: schedules
                .into_iter()
                .map(|schedule| Horizon { schedule, log_share: 0.0, log_window: 0.0 })
                .collect(),
            start,
            every,
            shadow_dtype,
            nonfinite,
            step: 0,
            num_updates: 0,
            alphas: vec![0.0; horizons],
            windows: vec![0.0; horizons],
            warmed: false,
            said: Vec::new(),
            notices: Vec::new(),
        };
        if ledger.dtypes.iter().all(|dtype| dtype.class() == Class::Copied) {
            ledger.notice(Notice::NothingAveraged);
        }
        for h in 0..horizons {
            let window = every as f64 * log_decay(ledger.horizons[h].schedule.alpha(1));
            ledger.advise_on_width(compound_alpha(window));
        }
        Ok(ledger)
    }

    /// The names, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The descriptors of the parameters, in order.
    pub fn descriptors(&self) -> &[Descriptor] {
        &self.descriptors
    }

    /// The dtypes of the averages, in order.
    pub fn dtypes(&self) -> &[DType] {
        &self.dtypes
    }

    /// What the averages are.
    pub fn spec(&self) -> Spec<'_> {
        Spec { dtypes: &self.dtypes, horizons: self.horizons.len(), owners: &self.owners }
    }

    /// What to do with elements that are NaN or infinite.
    pub fn nonfinite(&self) -> NonFinite {
        self.nonfinite
    }

    /// Calls counted so far.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Averages made so far; the copy at `start` is none.
    pub fn num_updates(&self) -> u64 {
        self.num_updates
    }

    /// How many averages each tensor has.
    pub fn horizons(&self) -> usize {
        self.horizons.len()
    }

    /// The schedule of a horizon.
    ///
    /// # Panics
    /// Where there is no such horizon.
    pub fn schedule(&self, horizon: usize) -> &Schedule {
        &self.horizons[horizon].schedule
    }

    /// The decay of a horizon: of a constant schedule the one given, of another the one of the last call, with its
    /// warm-up, and until there was one the first.
    ///
    /// # Panics
    /// Where there is no such horizon.
    pub fn decay(&self, horizon: usize) -> f64 {
        let schedule = &self.horizons[horizon].schedule;
        let t = self.step.saturating_sub(self.start);
        match schedule {
            Schedule::Constant { decay } => *decay,
            _ if t > 0 && self.warmed => schedule.decay(t).min(1.0 - warmup_alpha(t)),
            _ => schedule.decay(t.max(1)),
        }
    }

    /// `∏ d`: the share of the initial values that is still in the averages of a horizon.
    ///
    /// # Panics
    /// Where there is no such horizon.
    pub fn initial_share(&self, horizon: usize) -> f64 {
        share(self.horizons[horizon].log_share)
    }

    /// The elements refused so far, for each tensor that has any.
    pub fn skipped(&self) -> impl Iterator<Item = (&str, u64)> {
        let all = self.names.iter().map(String::as_str).zip(self.skipped.iter().copied());
        all.filter(|&(_, count)| count > 0)
    }

    /// What the next call has to do. Nothing is counted before [`Ledger::commit`].
    pub fn plan(&mut self, warmup: bool) -> Planned {
        let step = self.step + 1;
        let beat = match step.checked_sub(self.start) {
            None => Beat::BeforeStart,
            Some(0) => Beat::Copy,
            Some(t) if t % self.every == 0 => Beat::Average,
            Some(_) => Beat::Between,
        };
        let t = step.saturating_sub(self.start);
        let mut overruled = None;
        for (h, horizon) in self.horizons.iter().enumerate() {
            let (alpha, window) = match beat {
                Beat::BeforeStart => (0.0, 0.0),
                Beat::Copy => (1.0, 0.0),
                Beat::Between | Beat::Average => {
                    let own = horizon.schedule.alpha(t);
                    let own = if warmup {
                        let quickest = own.max(warmup_alpha(t));
                        if own < quickest && horizon.schedule.varies() {
                            overruled = Some((own, quickest));
                        }
                        quickest
                    } else {
                        own
                    };
                    let window = horizon.log_window + log_decay(own);
                    // By way of logarithms only where there is more than one call to compound.
                    let alpha = if self.every == 1 { own } else { compound_alpha(window) };
                    (if beat == Beat::Average { alpha } else { 0.0 }, window)
                }
            };
            self.alphas[h] = alpha;
            self.windows[h] = window;
        }
        Planned { reads: self.alphas.iter().any(|&alpha| alpha > 0.0), beat, warmup, overruled }
    }

    /// α of the planned call, for each horizon.
    pub fn alphas(&self) -> &[f64] {
        &self.alphas
    }

    /// Counts the planned call, which has been done, and the elements that it refused.
    ///
    /// # Errors
    /// [`Error::NonFinite`] if it refused any under [`NonFinite::Raise`]; the call is counted all the same.
    pub fn commit(&mut self, call: &'static str, planned: Planned, report: &mut Report) -> Result<()> {
        self.step += 1;
        self.warmed = planned.warmup;
        for (horizon, &window) in self.horizons.iter_mut().zip(&self.windows) {
            match planned.beat {
                Beat::BeforeStart => {}
                // The parameters at this call are the start now, and nothing is left of those at construction.
                Beat::Copy => horizon.log_share = f64::NEG_INFINITY,
                Beat::Between => horizon.log_window = window,
                Beat::Average => {
                    horizon.log_share += window;
                    horizon.log_window = 0.0;
                }
            }
        }
        if let Some((rule, warmup)) = planned.overruled {
            self.notice(Notice::WarmupOverRule { decay: 1.0 - rule, warmup: 1.0 - warmup });
        }
        if planned.beat == Beat::Average {
            self.num_updates += 1;
            (0..self.alphas.len()).for_each(|h| self.advise_on_width(self.alphas[h]));
        }
        let refused = report.drain();
        for &(index, count) in &refused {
            self.skipped[index] += count;
        }
        match self.nonfinite {
            _ if refused.is_empty() => Ok(()),
            NonFinite::Raise => Err(Error::NonFinite {
                call,
                outcome: "these kept their old averages, all others are updated, and the call is counted",
                tensors: self.named(&refused),
            }),
            NonFinite::Skip | NonFinite::Propagate => {
                let tensors = self.named(&refused);
                self.notice(Notice::Skipped { tensors });
                Ok(())
            }
        }
    }

    /// Whether the parameters that the averages were made of may be so.
    ///
    /// # Errors
    /// [`Error::NonFinite`] if some are NaN or infinite under [`NonFinite::Raise`].
    pub fn check_start(&self, report: &mut Report) -> Result<()> {
        let found = report.drain();
        if found.is_empty() || self.nonfinite != NonFinite::Raise {
            return Ok(());
        }
        Err(Error::NonFinite {
            call: "construction",
            outcome: "no averages were made; nonfinite=\"skip\" or \"propagate\" allows it",
            tensors: self.named(&found),
        })
    }

    /// Advice on using the averages of a horizon now.
    pub fn advise_on_share(&mut self, horizon: usize) {
        let share = self.initial_share(horizon);
        if share > 0.05 {
            let horizon = (self.horizons.len() > 1).then_some(horizon);
            self.notice(Notice::EarlyAverages { horizon, share });
        }
    }

    /// The same of every horizon.
    pub fn advise_on_shares(&mut self) {
        (0..self.horizons.len()).for_each(|horizon| self.advise_on_share(horizon));
    }

    /// Advice on parameters that so many updates have found unmoved.
    pub fn advise_on_rest(&mut self, updates: u64) {
        self.notice(Notice::Unmoved { updates });
    }

    /// Advice on a tensor that is not the one held.
    pub fn advise_on_replaced(&mut self, index: usize) {
        self.notice(Notice::Replaced { name: self.names[index].clone() });
    }

    /// The advice that has come up since the last call of this.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    fn advise_on_width(&mut self, alpha: f64) {
        // 0.9999 itself is fine, and 1 - 0.9999 is a rounding error below 1e-4.
        if 0.0 < alpha && alpha < 1e-4 * (1.0 - 1e-9) && self.dtypes.contains(&DType::F32) {
            self.notice(Notice::NarrowShadow { decay: 1.0 - alpha });
        }
    }

    fn notice(&mut self, notice: Notice) {
        if !self.said.iter().any(|said| said.is_like(&notice)) {
            log::warn!("{notice}");
            self.said.push(notice.clone());
            self.notices.push(notice);
        }
    }

    fn named(&self, counts: &[(usize, u64)]) -> Vec<(String, u64)> {
        counts.iter().map(|&(index, count)| (self.names[index].clone(), count)).collect()
    }
}
