//! The EMA of a model that is held by handles: training values in the model, or averages, and never a mixture.

mod advice;
mod applied;
mod resume;
mod swap;
mod ties;

pub use applied::Applied;

use crate::backend::{Backend, HostMemory, Owners};
use crate::descriptor::Descriptor;
use crate::engine::Buffer;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::ledger::{self, Config, Ledger};
use crate::nonfinite::Report;
use crate::notice::Notice;
use std::fmt;

/// Exponential moving averages of a model's parameters.
///
/// The model is in one of two states. In *Training* it holds the training values, and [`update`](EMA::update) averages
/// them; [`apply`](EMA::apply) backs them up and writes the averages over them. In *Applied*, the model is evaluated, and
/// [`restore`](EMA::restore) puts the training values back, bit for bit. What would lose or mix values is refused:
/// updating or applying while Applied.
///
/// All checks of all tensors come before the first write, so that a refused call changes nothing.
///
/// Tied tensors, one memory under several names, have one average, which answers to each of the names. Should they part,
/// the next update that reads them parts the average, and each goes on from there.
///
/// After the first calls, `update`, `apply` and `restore` use their memory again and take none from the heap, as long as
/// the model keeps its shapes and ties. What does take some: an update that refuses elements, or that finds a snapshot
/// which [`shadow`](EMA::shadow) gave out; more than eight horizons or six dimensions; arrays of `ndarray` with gaps in
/// memory; with threads, rayon's queue, once for some sixty tasks handed over.
///
/// A training loop, with a model of `ndarray` arrays:
///
/// ```
/// use ndarray::arr1;
/// use shrew_ema::EMA;
/// use shrew_ema::backend::ndarray::{Handle, NdArray, share};
///
/// // A line through noisy points, by stochastic gradient descent with a rate that keeps it jittering.
/// let points: Vec<(f32, f32)> =
///     (0..256).map(|i| (i as f32 / 256.0, 2.0 * i as f32 / 256.0 + (i * 7919 % 11) as f32 / 11.0)).collect();
/// let weights = share(arr1(&[0.0_f32, 0.0]));
/// let params = vec![Handle::from(&weights)];
/// let mut ema = EMA::<NdArray>::new(params.clone(), 0.999)?;
///
/// for step in 0..4000 {
///     let (x, y) = points[step * 97 % 256];
///     {
///         let mut w = weights.write().unwrap();
///         let error = w[[0]] * x + w[[1]] - y;
///         w[[0]] -= 0.3 * error * x;
///         w[[1]] -= 0.3 * error;
///     } // the lock is given back before the update
///     ema.update_with_warmup(&params)?;
/// }
///
/// let loss = || {
///     let w = weights.read().unwrap();
///     points.iter().map(|&(x, y)| (w[[0]] * x + w[[1]] - y).powi(2)).sum::<f32>() / 256.0
/// };
/// let raw = loss();
/// let averaged = {
///     let _applied = ema.applied()?; // the averages are in the model until this guard goes
///     loss()
/// };
/// assert!(averaged < raw);
/// assert_eq!(loss(), raw);
/// # Ok::<(), shrew_ema::Error>(())
/// ```
pub struct EMA<B: Backend> {
    backend: B,
    params: Vec<B::Tensor>,
    ledger: Ledger,
    shadows: B::Shadows,
    backup: B::Backup,
    /// The owners of the model's memory, as a call found them.
    owners: Owners,
    /// Those of the memory that was backed up.
    backed_up: Vec<usize>,
    holds: Holds,
    /// The number of updates from which on the parameters are expected to move.
    expected: u64,
    /// Whether they have, as the look at one later update found.
    moved: Option<bool>,
    report: Report,
}

/// The parameters that a call averages.
pub(crate) enum Params<'a, T> {
    /// Those given, which may be others than those held.
    Given(&'a [T]),
    /// Those held.
    #[cfg(feature = "python")]
    Held,
    /// Those held, where a binding that reads them itself has found them to be what they were when they were last checked.
    #[cfg(feature = "python")]
    Known,
}

/// What the model holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Training,
    Averages {
        horizon: usize,
    },
    /// A write of the averages or of the backup was neither finished nor undone.
    Mixture {
        horizon: usize,
    },
}

impl<B: Backend> EMA<B> {
    /// Averages of `params`, starting as copies of them, in 64 bits, with a constant decay such as 0.999.
    ///
    /// # Errors
    /// [`Error::Config`] without a tensor or unless `decay` is a number in [0, 1]; [`Error::NonFinite`] if a parameter is
    /// NaN or infinite; [`Error::Layout`] if one can't be read; [`Error::Overlap`] if two share memory and are not the same.
    pub fn new(params: Vec<B::Tensor>, decay: f64) -> Result<Self>
    where
        B: Default,
    {
        Self::with_config(params, Config::new(decay)?)
    }

    /// Averages of `params`, which are called "0", "1" and so on.
    ///
    /// # Errors
    /// As [`EMA::new`], and [`Error::DType`] if an average would be narrower than its parameter.
    pub fn with_config(params: Vec<B::Tensor>, config: Config) -> Result<Self>
    where
        B: Default,
    {
        let names = (0..params.len()).map(|index| index.to_string()).collect();
        Self::with_backend(B::default(), names, params, config)
    }

    /// Averages of tensors that have names, which messages and files use.
    ///
    /// # Errors
    /// As [`EMA::with_config`], and [`Error::Config`] if two tensors have one name.
    pub fn named(params: impl IntoIterator<Item = (String, B::Tensor)>, config: Config) -> Result<Self>
    where
        B: Default,
    {
        let (names, params) = params.into_iter().unzip();
        Self::with_backend(B::default(), names, params, config)
    }

    /// As [`EMA::named`], in a backend that has something to carry: threads, a stream, a module.
    ///
    /// # Errors
    /// As [`EMA::named`].
    ///
    /// # Panics
    /// Unless there is a name for each tensor.
    pub fn with_backend(backend: B, names: Vec<String>, params: Vec<B::Tensor>, config: Config) -> Result<Self> {
        assert_eq!(names.len(), params.len(), "a name for each tensor");
        let mut descriptors = Vec::with_capacity(params.len());
        let mut each = |_, dtype, shape: &[usize]| {
            descriptors.push(Descriptor::new(dtype, shape));
            Ok(())
        };
        backend.describe(&params, &mut each).map_err(|error| ledger::label(&names, error))?;
        let mut ledger = Ledger::new(names, descriptors, config)?;
        let mut owners = Owners::default();
        backend.owners(&params, &mut owners).map_err(|error| ledger.label(error))?;
        ledger.tie(owners.to_vec())?;
        let mut report = Report::new(params.len());
        let shadows = backend.shadows(&params, ledger.spec(), &report);
        let shadows = shadows.map_err(|error| ledger.label(error))?;
        ledger.check_start(&mut report)?;
        Ok(Self::around(backend, params, ledger, shadows, owners, report))
    }

    /// An EMA in Training, on these books and averages.
    fn around(
        backend: B,
        params: Vec<B::Tensor>,
        ledger: Ledger,
        shadows: B::Shadows,
        owners: Owners,
        report: Report,
    ) -> Self {
        let (backup, backed_up) = (B::Backup::default(), Vec::new());
        let (holds, expected, moved) = (Holds::Training, ledger.num_updates(), None);
        Self { backend, params, ledger, shadows, backup, owners, backed_up, holds, expected, moved, report }
    }

    /// Averages the parameters in: `s + (1 - d)(p - s)`. Call it after each step of the optimizer.
    ///
    /// `params` are mostly the handles of the construction; others of the same shapes and dtypes may be given. Those held are
    /// what [`EMA::apply`] writes: [`EMA::bind`] changes them, and a [`Notice`] says where they differ.
    ///
    /// # Errors
    /// [`Error::State`] while Applied; [`Error::Names`], [`Error::DType`] or [`Error::Shape`] if the parameters are not
    /// those of the construction; [`Error::Layout`] if one can't be read. Nothing is changed then.
    /// [`Error::NonFinite`] if some became NaN or infinite under [`NonFinite::Raise`](crate::NonFinite::Raise): the call
    /// is made and counted, and those elements kept their old averages.
    pub fn update(&mut self, params: &[B::Tensor]) -> Result<()> {
        self.pass("update", Params::Given(params), false)
    }

    /// As [`EMA::update`], with the decay `min(d, (1 + t)/(10 + t))`, which forgets the initial values faster. It is meant
    /// for constant decays: see [`schedule`](crate::schedule).
    ///
    /// # Errors
    /// As [`EMA::update`].
    pub fn update_with_warmup(&mut self, params: &[B::Tensor]) -> Result<()> {
        self.pass("update_with_warmup", Params::Given(params), true)
    }

    /// One call of `update` or its like.
    pub(crate) fn pass(&mut self, call: &'static str, params: Params<'_, B::Tensor>, warmup: bool) -> Result<()> {
        self.check_training(call, "restore() first, or the average would be averaged into itself")?;
        let (params, replaced, known) = match params {
            Params::Given(given) => (given, self.backend.replaced(&self.params, given), false),
            #[cfg(feature = "python")]
            Params::Held => (&self.params[..], None, false),
            #[cfg(feature = "python")]
            Params::Known => (&self.params[..], None, true),
        };
        if !known {
            check(&self.backend, &self.ledger, params)?;
        }
        let planned = self.ledger.plan(warmup);
        let mut moved = None;
        if planned.reads {
            let parted = ties::part(&self.backend, &mut self.ledger, &mut self.shadows, params);
            parted.map_err(|error| self.ledger.label(error))?;
            if self.is_time_to_look() {
                moved = Some(self.labelled(self.backend.moved(params, &self.shadows, 0))?);
            }
            let (alphas, on) = (self.ledger.alphas(), self.ledger.nonfinite());
            let average = self.backend.average(&mut self.shadows, params, alphas, on, &self.report);
            if let Err(error) = average {
                // What a call that is not counted refused is no news to the next one.
                self.report.drain();
                return Err(self.ledger.label(error));
            }
        }
        if let Some(index) = replaced {
            self.ledger.advise_on_replaced(index);
        }
        self.moved = moved.or(self.moved);
        self.ledger.commit(call, planned, &mut self.report)
    }

    /// Holds other handles from now on, on the tensors that [`EMA::apply`] is to write: those of a model that was made anew,
    /// or whose tensors were replaced. Their values are not read.
    ///
    /// # Errors
    /// [`Error::State`] while Applied; the errors of [`EMA::update`] unless these are the parameters that are averaged;
    /// [`Error::Overlap`] if two share memory and are not the same. Nothing is changed then.
    pub fn bind(&mut self, params: Vec<B::Tensor>) -> Result<()> {
        self.check_training("bind", "restore() first, or the training values would be lost")?;
        Self::check_params(&self.backend, &self.ledger, &params)?;
        self.params = params;
        self.expect_moves();
        Ok(())
    }

    /// The average of one tensor at one horizon. Later updates do not change what was given out.
    ///
    /// # Errors
    /// [`Error::Key`] or [`Error::Config`] where there is none.
    pub fn shadow(&self, index: usize, horizon: usize) -> Result<Buffer> {
        self.ledger.check_index(index)?;
        self.ledger.check_horizon(horizon)?;
        self.labelled(self.backend.export(&self.shadows, horizon, index))
    }

    /// The decay, of the first horizon where there are several: see [`Ledger::decay`].
    pub fn decay(&self) -> f64 {
        self.ledger.decay(0)
    }

    /// How many averages were made.
    pub fn num_updates(&self) -> u64 {
        self.ledger.num_updates()
    }

    /// Whether the model holds averages, and not the training values.
    pub fn is_applied(&self) -> bool {
        self.holds != Holds::Training
    }

    /// The handles that [`EMA::apply`] writes.
    pub fn params(&self) -> &[B::Tensor] {
        &self.params
    }

    /// The handles, for a binding that reads a live container into them before each call.
    #[cfg(feature = "python")]
    pub(crate) fn params_mut(&mut self) -> &mut Vec<B::Tensor> {
        &mut self.params
    }

    /// Names, counters, and what is left of the start.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The advice that has come up since the last call of this.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        self.ledger.take_notices()
    }

    fn labelled<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| self.ledger.label(error))
    }
}

/// Whether the parameters are those that the books describe. A function, so that it borrows no more than it reads.
fn check<B: Backend>(backend: &B, ledger: &Ledger, params: &[B::Tensor]) -> Result<()> {
    ledger.check_count(params.len())?;
    let mut each = |index, dtype, shape: &[usize]| ledger.check(index, dtype, shape);
    backend.describe(params, &mut each).map_err(|error| ledger.label(error))
}

impl<B: HostMemory> EMA<B> {
    /// The average of one tensor, in 64 bits as by default.
    ///
    /// # Panics
    /// Where there is no such tensor, or the average is not of 64 bits: [`EMA::shadow`] does not.
    pub fn shadow_values(&self, index: usize) -> &[f64] {
        self.shadows.values(index)
    }
}

impl<B: Backend> fmt::Debug for EMA<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EMA")
            .field("tensors", &self.params.len())
            .field("decay", &self.decay())
            .field("num_updates", &self.num_updates())
            .field("is_applied", &self.is_applied())
            .finish_non_exhaustive()
    }
}

impl<B: Backend> Drop for EMA<B> {
    fn drop(&mut self) {
        if self.is_applied() {
            log::warn!(
                "an EMA is dropped while its averages are applied, and the training values with it: call restore() before, \
                 or copy_to() to finish on the averages"
            );
        }
    }
}
