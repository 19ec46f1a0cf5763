//! The Python class: extracts, enters the gate, lets the crate do it, wraps.

use super::applied::Applied;
use super::arguments::{self, Count, Decays, Policy, Width};
use super::array::snapshot;
use super::backend::PythonModel;
use super::container::{Container, Held};
use super::error::{is_warning, warn_text};
use super::gate::Gate;
use super::state::{State, finish};
use crate::dtype::ShadowDType;
use crate::ema::EMA;
use crate::error::Result;
use crate::ledger::{Config, Ledger};
use crate::nonfinite::NonFinite;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::sync::atomic::AtomicU64;

/// Exponential moving averages of a model's NumPy arrays.
///
/// The average of each parameter starts as a copy of it, and each `update` moves it: `s + (1 - d)(p - s)`. In *Training*
/// the arrays hold the training values. `apply` backs them up and writes the averages over them, and in *Applied* the
/// model can be evaluated; `restore` puts the training values back, bit for bit.
///
/// Parameters
/// ----------
/// params : dict of str to array, or list or tuple of arrays
///     Arrays of float64, float32, float16 or bfloat16 (from ml_dtypes), of any shape and strides. Arrays of integers and
///     bools are not averaged: their value at the last average is kept. The container is kept and read again at every
///     call, so that entries may be replaced; of a subclass, the entries of the dict, list or tuple itself are read.
///     Entries of a list or tuple are called "0", "1" and so on.
/// decay : float or Schedule, or a list or tuple of such, default 0.999
///     d, in [0, 1], or a rule of `shrew_ema.schedules` for it. Several give as many averages, called horizons, in one
///     pass over the parameters.
/// shadow_dtype : {None, "float32", "float64"}
///     The dtype of the averages. None: float64 for float64 parameters, else float32.
/// nonfinite : {"raise", "skip", "propagate"}
///     What to do with an element whose new average is NaN or infinite. "raise" and "skip" keep its old average; "raise"
///     raises `NonFiniteError` once the pass is made, "skip" counts it in `skipped` and warns once, after the pass as well;
///     "propagate" stores it.
/// every : int, default 1
///     Average at every `every`th call only, with the decays of the calls between multiplied in: the horizon is the
///     same, and the cost is less.
/// start : int, default 0
///     The number of the call, from 1, that copies the parameters and with which averaging begins; earlier calls only
///     count. With 0, the construction is that copy. Schedules count from there.
///
/// Raises
/// ------
/// ConfigError
///     An argument is not valid.
/// NamesError
///     A key of the dict is not a string.
/// DTypeError, LayoutError
///     An entry is not an array that can be averaged.
/// NonFiniteError
///     A parameter is NaN or infinite, with nonfinite="raise".
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from shrew_ema import EMA
/// >>> params = {"w": np.array([1.0, 5.0])}
/// >>> ema = EMA(params, decay=0.9)
/// >>> params["w"] += 1.0
/// >>> ema.update()
/// >>> ema.shadow_values("w")
/// array([1.1, 5.1])
#[pyclass(frozen, weakref, name = "EMA", module = "shrew_ema")]
pub struct PyEma {
    params: Py<PyAny>,
    names: Py<PyTuple>,
    /// The index of each name.
    index: Py<PyDict>,
    gate: Gate<State>,
}

impl PyEma {
    /// Does a call behind the gate, and emits what advice it gave once the gate is left.
    fn call<T>(&self, py: Python<'_>, call: &'static str, work: impl FnOnce(&mut State) -> PyResult<T>) -> PyResult<T> {
        let (done, notices) = {
            let mut state = self.gate.enter(py, call)?;
            let done = work(&mut state);
            (done, state.ema.take_notices())
        };
        finish(py, done, &notices)
    }

    fn pass(
        &self,
        py: Python<'_>,
        call: &'static str,
        params: Option<&Bound<'_, PyAny>>,
        warmup: bool,
    ) -> PyResult<()> {
        let own = params.is_none();
        let container = params.unwrap_or(self.params.bind(py));
        self.call(py, call, |state| {
            state.with(container, own, |ema, given| ema.pass(call, (!own).then_some(given), warmup))
        })
    }

    /// A call that writes averages. Advice comes first, so that a warning that is made an error stops it in time.
    fn write(
        &self,
        py: Python<'_>,
        call: &'static str,
        horizon: usize,
        work: impl FnOnce(&mut EMA<PythonModel>) -> Result<()> + Send,
    ) -> PyResult<u64> {
        self.call(py, call, |state| {
            state.ema.ledger().check_horizon(horizon)?;
            state.ema.advise(horizon);
            Ok(())
        })?;
        self.call(py, call, |state| {
            state.with(self.params.bind(py), true, |ema, _| work(ema))?;
            state.applications += 1;
            Ok(state.applications)
        })
    }

    fn look<T>(&self, py: Python<'_>, call: &'static str, at: impl FnOnce(&EMA<PythonModel>) -> T) -> PyResult<T> {
        Ok(at(&self.gate.enter(py, call)?.ema))
    }

    /// Something of each horizon.
    fn each<'py>(
        &self,
        py: Python<'py>,
        call: &'static str,
        of: impl Fn(&Ledger, usize) -> f64,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let all: Vec<f64> =
            self.look(py, call, |ema| (0..ema.ledger().horizons()).map(|h| of(ema.ledger(), h)).collect())?;
        PyTuple::new(py, all)
    }

    /// `apply`, for the method and for the context; gives the number of this application.
    pub(super) fn apply_horizon(&self, py: Python<'_>, horizon: usize) -> PyResult<u64> {
        self.write(py, "apply", horizon, |ema| ema.apply_horizon(horizon))
    }

    /// `restore`, likewise; after this application only, if one is given.
    pub(super) fn restore_training(&self, py: Python<'_>, application: Option<u64>) -> PyResult<()> {
        self.call(py, "restore", |state| {
            let other = application.is_some_and(|number| number != state.applications);
            if other || !state.ema.is_applied() {
                return Ok(());
            }
            state.with(self.params.bind(py), true, |ema, _| ema.restore())
        })
    }
}

#[pymethods]
impl PyEma {
    #[new]
    #[pyo3(
        signature = (
            params, decay=Decays::of(0.999), *, shadow_dtype=None, nonfinite=Policy(NonFinite::Raise),
            every=Count::of(1), start=Count::of(0)
        ),
        text_signature = "(params, decay=0.999, *, shadow_dtype=None, nonfinite='raise', every=1, start=0)"
    )]
    fn new(
        params: &Bound<'_, PyAny>,
        decay: Decays,
        shadow_dtype: Option<Width>,
        nonfinite: Policy,
        every: Count,
        start: Count,
    ) -> PyResult<Self> {
        let py = params.py();
        let (container, names) = Container::new(params)?;
        let width = shadow_dtype.map_or(ShadowDType::Auto, |width| width.0);
        let config = Config::horizons(decay.0)?.shadow_dtype(width).nonfinite(nonfinite.0);
        let config = config.every(every.from(1, "every")?)?.start(start.from(0, "start")?);
        let tuple = PyTuple::new(py, &names)?;
        let index = PyDict::new(py);
        for (place, name) in tuple.iter().enumerate() {
            index.set_item(name, place)?;
        }
        let (mut held, mut tensors) = (Held::new(), Vec::new());
        container.hold(params, &mut held)?;
        container.settle(py, &held, &mut tensors)?;
        container.read(py, &held, &mut tensors)?;
        let mut ema = EMA::with_backend(PythonModel::default(), names, tensors, config)?;
        held.clear();
        let notices = ema.take_notices();
        let gate = Gate::new(State { ema, container, held, given: Vec::new(), applications: 0 });
        finish(py, Ok(()), &notices)?;
        Ok(PyEma { params: params.clone().unbind(), names: tuple.unbind(), index: index.unbind(), gate })
    }

    /// Average the parameters in; call it after each step of the optimizer.
    ///
    /// `params` may be another container of arrays with the same names, shapes and dtypes; the one of the construction
    /// stays bound.
    ///
    /// Raises `StateError` while the averages are applied, `NamesError`, `ShapeError` or `DTypeError` if the parameters
    /// changed; nothing is done then. `NonFiniteError`, with nonfinite="raise", says that the call was made and counted
    /// and that the elements it names kept their old averages.
    #[pyo3(signature = (params=None))]
    fn update(&self, py: Python<'_>, params: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.pass(py, "update", params, false)
    }

    /// As `update`, with the decay min(d, (1 + t)/(10 + t)) at call number t, from 1, which forgets the initial values
    /// faster: 2/11, 3/12, 4/13 and so on.
    #[pyo3(signature = (params=None))]
    fn update_with_warmup(&self, py: Python<'_>, params: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.pass(py, "update_with_warmup", params, true)
    }

    /// Back up the training values and write the averages of a horizon over them, cast to nearest.
    ///
    /// Raises `StateError` while averages are applied, `LayoutError` if an array is read-only, `ConfigError` where there
    /// is no such horizon, and the errors of `update` if the parameters changed; nothing is done then.
    #[pyo3(signature = (horizon=Count::of(0)), text_signature = "($self, horizon=0)")]
    fn apply(&self, py: Python<'_>, horizon: Count) -> PyResult<()> {
        self.apply_horizon(py, horizon.index("horizon")?).map(drop)
    }

    /// Put the training values back, bit for bit; does nothing unless the averages are applied.
    ///
    /// They go into the arrays that the container holds now. Raises as `apply` does if these can't take them; the
    /// averages stay applied then, and the training values are kept.
    fn restore(&self, py: Python<'_>) -> PyResult<()> {
        self.restore_training(py, None)
    }

    /// A context in which the averages of a horizon are applied; leaving it restores the training values, also by an exception.
    ///
    /// >>> import numpy as np
    /// >>> from shrew_ema import EMA
    /// >>> params = {"w": np.array([1.0])}
    /// >>> ema = EMA(params, decay=0.5)
    /// >>> for _ in range(10):
    /// ...     params["w"] += 1.0
    /// ...     ema.update()
    /// >>> with ema.applied():
    /// ...     print(params["w"].round(3))
    /// [10.001]
    /// >>> params["w"]
    /// array([11.])
    #[pyo3(signature = (horizon=Count::of(0)), text_signature = "($self, horizon=0)")]
    fn applied(slf: Py<Self>, py: Python<'_>, horizon: Count) -> PyResult<Applied> {
        let horizon = horizon.index("horizon")?;
        slf.get().look(py, "applied", |ema| ema.ledger().check_horizon(horizon))??;
        Ok(Applied { ema: slf, horizon, application: AtomicU64::new(0) })
    }

    /// Finish on the averages of a horizon: write them for good, while they are applied as well, and forget the training
    /// values. While those of another horizon are applied, `StateError` is raised; else it raises as `apply` does.
    #[pyo3(signature = (horizon=Count::of(0)), text_signature = "($self, horizon=0)")]
    fn copy_to(&self, py: Python<'_>, horizon: Count) -> PyResult<()> {
        let horizon = horizon.index("horizon")?;
        self.write(py, "copy_to", horizon, |ema| ema.copy_horizon_to(horizon)).map(drop)
    }

    /// The average of one parameter, by name or index, at a horizon, as a read-only array of the parameter's shape.
    ///
    /// Nothing is copied, and the values stay as they are now: the next update writes into new memory while somebody
    /// holds such an array. Raises `NamesError` for a name or an index that there is not, `ConfigError` for such a
    /// horizon.
    #[pyo3(signature = (key, horizon=Count::of(0)), text_signature = "($self, key, horizon=0)")]
    fn shadow_values<'py>(&self, key: &Bound<'py, PyAny>, horizon: Count) -> PyResult<Bound<'py, PyAny>> {
        let (index, horizon) = (arguments::index(key, self.index.bind(key.py()))?, horizon.index("horizon")?);
        let buffer = self.look(key.py(), "shadow_values", |ema| ema.shadow(index, horizon))??;
        snapshot(key.py(), buffer)
    }

    /// All averages of a horizon, by name; see `shadow_values`.
    #[pyo3(signature = (horizon=Count::of(0)), text_signature = "($self, horizon=0)")]
    fn averages<'py>(&self, py: Python<'py>, horizon: Count) -> PyResult<Bound<'py, PyDict>> {
        let horizon = horizon.index("horizon")?;
        let state = self.gate.enter(py, "averages")?;
        let all = PyDict::new(py);
        for (index, name) in self.names.bind(py).iter().enumerate() {
            all.set_item(name, snapshot(py, state.ema.shadow(index, horizon)?)?)?;
        }
        Ok(all)
    }

    /// d of the first horizon, as in `decays`.
    #[getter]
    fn decay(&self, py: Python<'_>) -> PyResult<f64> {
        self.look(py, "decay", EMA::decay)
    }

    /// d of each horizon: of a constant decay the number given, of another schedule that of the last call, with its
    /// warm-up, and until there was one that of the first.
    #[getter]
    fn decays<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.each(py, "decays", Ledger::decay)
    }

    /// How many averages were made.
    #[getter]
    fn num_updates(&self, py: Python<'_>) -> PyResult<u64> {
        self.look(py, "num_updates", EMA::num_updates)
    }

    /// How many calls of `update` and `update_with_warmup` were counted.
    #[getter]
    fn step(&self, py: Python<'_>) -> PyResult<u64> {
        self.look(py, "step", |ema| ema.ledger().step())
    }

    /// The names of the parameters.
    #[getter]
    fn names(&self, py: Python<'_>) -> Py<PyTuple> {
        self.names.clone_ref(py)
    }

    /// The share of the initial values that is still in the averages of the first horizon: the product of all decays
    /// used.
    #[getter]
    fn initial_share(&self, py: Python<'_>) -> PyResult<f64> {
        self.look(py, "initial_share", |ema| ema.ledger().initial_share(0))
    }

    /// The share of the initial values of each horizon, as in `initial_share`.
    #[getter]
    fn initial_shares<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.each(py, "initial_shares", Ledger::initial_share)
    }

    /// How many elements were refused as NaN or infinite, for each parameter that had any.
    #[getter]
    fn skipped<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = PyDict::new(py);
        for (name, count) in self.gate.enter(py, "skipped")?.ema.ledger().skipped() {
            counts.set_item(name, count)?;
        }
        Ok(counts)
    }

    /// Whether the arrays hold the averages.
    #[getter]
    fn is_applied(&self, py: Python<'_>) -> PyResult<bool> {
        self.look(py, "is_applied", EMA::is_applied)
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.names.bind(py).len()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let tensors = self.__len__(py);
        let decays = match &self.each(py, "repr", Ledger::decay)? {
            one if one.len() == 1 => format!("decay={}", one.get_item(0)?.repr()?),
            all => format!("decays={}", all.repr()?),
        };
        self.look(py, "repr", |ema| {
            let applied = if ema.is_applied() { ", applied" } else { "" };
            format!("<EMA of {tensors} tensors, {decays}, num_updates={}{applied}>", ema.num_updates())
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        visit.call(&self.params)
    }
}

impl Drop for PyEma {
    fn drop(&mut self) {
        let text = "an EMA went while its averages were applied, and the training values with it: call restore() \
                    before, or copy_to() to finish on the averages";
        if !self.gate.get_mut().ema.is_applied() {
            return;
        }
        let _ = Python::try_attach(|py| {
            // An exception may be on its way; it is not for this warning to swallow.
            let pending = PyErr::take(py);
            if let Err(error) = warn_text(py, text) {
                // Where the interpreter is ending there may be no warnings any more, which is nobody's concern.
                if is_warning(py, &error) {
                    error.write_unraisable(py, None);
                }
            }
            if let Some(pending) = pending {
                pending.restore(py);
            }
        });
    }
}
