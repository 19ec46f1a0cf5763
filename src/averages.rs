//! Averages of plain memory: a ledger and host shadows, updated from [`View`]s, without handles on a model.

use crate::engine::{Buffer, Engine, HostShadows};
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::kernel::view::{View, ViewMut};
use crate::ledger::{Config, Ledger};
use crate::nonfinite::Report;
use crate::notice::Notice;

/// Averages of slices or of any other host memory, for trainers whose parameters have no handle that could be kept.
///
/// ```
/// use shrew_ema::{Averages, Config, View};
/// let mut weights = vec![1.0_f32, 2.0];
/// let mut averages = Averages::new(&[View::from(&weights[..])], Config::new(0.9)?)?;
/// weights[0] = 2.0;
/// averages.update(&[View::from(&weights[..])])?;
/// assert!((averages.shadow_values(0)[0] - 1.1).abs() < 1e-15);
/// averages.copy_to(&mut [(&mut weights[..]).into()], 0)?; // finish on the average
/// assert_eq!(weights, [1.1, 2.0]);
/// # Ok::<(), shrew_ema::Error>(())
/// ```
///
/// Memory that is given twice is averaged twice, to the same values: only handles can tell whether it stays so. Writing
/// needs no check, as two [`ViewMut`]s never share memory.
#[derive(Debug)]
pub struct Averages {
    ledger: Ledger,
    shadows: HostShadows,
    engine: Engine,
    report: Report,
}

impl Averages {
    /// Averages that start as copies of `params`, which are called "0", "1" and so on.
    ///
    /// # Errors
    /// [`Error::Config`] without a tensor, [`Error::DType`] if an average would be narrower than its parameter,
    /// [`Error::NonFinite`] if a parameter is NaN or infinite under [`NonFinite::Raise`](crate::NonFinite::Raise).
    pub fn new(params: &[View<'_>], config: Config) -> Result<Self> {
        let names = (0..params.len()).map(|index| index.to_string());
        Self::named(names.zip(params.iter().copied()), config)
    }

    /// As [`Averages::new`], with names, which messages and files use.
    ///
    /// # Errors
    /// As [`Averages::new`], and [`Error::Config`] if two tensors have one name.
    pub fn named<'v>(params: impl IntoIterator<Item = (String, View<'v>)>, config: Config) -> Result<Self> {
        let (names, views): (Vec<_>, Vec<_>) = params.into_iter().unzip();
        let descriptors = views.iter().map(View::descriptor).collect();
        let ledger = Ledger::new(names, descriptors, config)?;
        let engine = Engine::default();
        let mut report = Report::new(views.len());
        let shadows = engine.shadows(|index| views[index], ledger.spec(), &report)?;
        ledger.check_start(&mut report)?;
        Ok(Self { ledger, shadows, engine, report })
    }

    /// Averages of these books: for each tensor those of its horizons. Tensors that were tied are so no longer.
    pub(crate) fn resume(mut ledger: Ledger, averages: Vec<Buffer>) -> Result<Self> {
        ledger.tie((0..ledger.names().len()).collect())?;
        let shadows = HostShadows::of(averages, ledger.spec())?;
        let report = Report::new(ledger.names().len());
        Ok(Self { ledger, shadows, engine: Engine::default(), report })
    }

    /// With another way of spreading work over threads.
    pub fn engine(self, engine: Engine) -> Self {
        Self { engine, ..self }
    }

    /// Averages the parameters in: `s + (1 - d)(p - s)`.
    ///
    /// # Errors
    /// [`Error::Names`], [`Error::DType`] or [`Error::Shape`] if the parameters are not those of the construction;
    /// nothing is changed then. [`Error::NonFinite`] if some became NaN or infinite under
    /// [`NonFinite::Raise`](crate::NonFinite::Raise): the call is made and counted, and those kept their old averages.
    pub fn update(&mut self, params: &[View<'_>]) -> Result<()> {
        self.pass("update", params.len(), |index| params[index], false)
    }

    /// As [`Averages::update`], with the decay `min(d, (1 + t)/(10 + t))`. It is meant for constant decays: see
    /// [`schedule`](crate::schedule).
    ///
    /// # Errors
    /// As [`Averages::update`].
    pub fn update_with_warmup(&mut self, params: &[View<'_>]) -> Result<()> {
        self.pass("update_with_warmup", params.len(), |index| params[index], true)
    }

    /// Either update, of parameters that need not lie in a list of views.
    pub(crate) fn pass<'v>(
        &mut self,
        call: &'static str,
        count: usize,
        params: impl Fn(usize) -> View<'v> + Sync,
        warmup: bool,
    ) -> Result<()> {
        self.check(count, &params)?;
        let planned = self.ledger.plan(warmup);
        if planned.reads {
            let (alphas, on) = (self.ledger.alphas(), self.ledger.nonfinite());
            self.engine.average(&mut self.shadows, 0..count, params, alphas, on, &self.report)?;
        }
        self.ledger.commit(call, planned, &mut self.report)
    }

    /// Writes the averages of a horizon into the parameters, cast to nearest.
    ///
    /// # Errors
    /// As [`Averages::update`], before the first write; [`Error::Config`] where there is no such horizon.
    pub fn copy_to(&mut self, params: &mut [ViewMut<'_>], horizon: usize) -> Result<()> {
        self.ledger.check_horizon(horizon)?;
        self.check(params.len(), |index| params[index].as_view())?;
        self.ledger.advise_on_share(horizon);
        for (index, param) in params.iter_mut().enumerate() {
            self.engine.assign(param, &self.shadows.average(horizon, index));
        }
        Ok(())
    }

    fn check<'v>(&self, count: usize, params: impl Fn(usize) -> View<'v>) -> Result<()> {
        self.ledger.check_count(count)?;
        (0..count).try_for_each(|index| {
            let view = params(index);
            self.ledger.check(index, view.dtype(), view.shape())
        })
    }

    /// The average of one tensor at one horizon.
    ///
    /// # Errors
    /// [`Error::Key`] or [`Error::Config`] where there is none.
    pub fn shadow(&self, index: usize, horizon: usize) -> Result<View<'_>> {
        self.ledger.check_index(index)?;
        self.ledger.check_horizon(horizon)?;
        Ok(self.shadows.average(horizon, index))
    }

    /// The same, to keep.
    pub(crate) fn buffer(&self, index: usize, horizon: usize) -> Buffer {
        self.shadows.get(horizon, index)
    }

    /// Advises on using the averages of one horizon now, for what hands them out in its own way.
    #[cfg(feature = "burn")]
    pub(crate) fn advise_on_share(&mut self, horizon: usize) {
        self.ledger.advise_on_share(horizon);
    }

    /// Advises on using the averages of any horizon now.
    pub(crate) fn advise_on_shares(&mut self) {
        self.ledger.advise_on_shares();
    }

    /// The average of one tensor, in 64 bits as by default.
    ///
    /// # Panics
    /// Where there is no such tensor, or the average is not of 64 bits: [`Averages::shadow`] does not.
    pub fn shadow_values(&self, index: usize) -> &[f64] {
        self.shadows.values(index)
    }

    /// Names, counters, and what is left of the start.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The advice that has come up since the last call of this.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        self.ledger.take_notices()
    }
}
