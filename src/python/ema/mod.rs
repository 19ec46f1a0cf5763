//! The Python class: its construction and its end, and what its methods have in common.

mod calls;
mod files;
mod looks;

pub use files::unpickled;

use super::arguments::{Count, Policy, Width};
use super::backend::PythonModel;
use super::container::{Container, Held};
use super::decays::Decays;
use super::error::{is_warning, warn_text};
use super::gate::Gate;
use super::state::{State, finish};
use crate::dtype::ShadowDType;
use crate::ema::EMA;
use crate::error::Error;
use crate::ledger::{Config, Ledger};
use crate::nonfinite::NonFinite;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::sync::{Mutex, MutexGuard, PoisonError};

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
///     "propagate" stores it, as infinity or NaN.
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
///     An entry is not an array that can be averaged, or shares memory with another one that is not the same array.
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
    /// None until an EMA that was loaded without parameters is bound to some.
    params: Mutex<Option<Py<PyAny>>>,
    pub(super) names: Py<PyTuple>,
    /// The index of each name.
    index: Py<PyDict>,
    pub(super) gate: Gate<State>,
}

impl PyEma {
    /// An EMA and the container that it is bound to, if it is.
    fn around(
        py: Python<'_>,
        ema: EMA<PythonModel>,
        container: Container,
        params: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let names = PyTuple::new(py, ema.ledger().names())?;
        let index = PyDict::new(py);
        for (place, name) in names.iter().enumerate() {
            index.set_item(name, place)?;
        }
        let gate = Gate::new(State {
            ema,
            container,
            held: Held::new(),
            pins: Vec::new(),
            given: Vec::new(),
            elsewhere: None,
            settled: false,
            applications: 0,
        });
        Ok(PyEma { params: Mutex::new(params), names: names.unbind(), index: index.unbind(), gate })
    }

    /// The container that the EMA is bound to.
    fn bound<'py>(&self, py: Python<'py>, call: &'static str) -> Result<Bound<'py, PyAny>, Error> {
        let unbound = Error::State { call, state: "this EMA is bound to no parameters", advice: "bind(params) first" };
        self.params().as_ref().map(|params| params.bind(py).clone()).ok_or(unbound)
    }

    /// The place of the container. Held with the interpreter and for no longer than it takes to look or to exchange it, so
    /// that nobody ever waits for it.
    fn params(&self) -> MutexGuard<'_, Option<Py<PyAny>>> {
        self.params.lock().unwrap_or_else(PoisonError::into_inner)
    }

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
        self.call(py, call, |state| {
            let bound = self.bound(py, call)?;
            let given = params.filter(|params| !params.is(&bound));
            let step = state.ema.ledger().step();
            let done =
                state.with(given.unwrap_or(&bound), given.is_none(), |ema, params| ema.pass(call, params, warmup));
            // Also by a call that was counted and then raised.
            if state.ema.ledger().step() > step {
                state.elsewhere = given.and_then(|_| state.container.apart(&bound, &state.given));
            }
            done
        })
    }

    /// A call that writes averages. Advice comes first, so that a warning that is made an error stops it in time.
    fn write(
        &self,
        py: Python<'_>,
        call: &'static str,
        horizon: usize,
        work: impl FnOnce(&mut EMA<PythonModel>) -> Result<(), Error> + Send,
    ) -> PyResult<u64> {
        self.call(py, call, |state| {
            let bound = self.bound(py, call)?;
            state.ema.ledger().check_horizon(horizon)?;
            state.advise_on_rest(&bound, horizon)?;
            if let Some(index) = state.elsewhere.filter(|_| !state.ema.is_applied()) {
                state.ema.advise_on_replaced(index);
            }
            state.ema.advise(horizon);
            Ok(())
        })?;
        self.call(py, call, |state| {
            state.with(&self.bound(py, call)?, true, |ema, _| work(ema))?;
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
            state.with(&self.bound(py, "restore")?, true, |ema, _| ema.restore())
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
        let (_held, tensors) = container.tensors(params)?;
        let mut ema = EMA::with_backend(PythonModel::default(), names, tensors, config)?;
        let notices = ema.take_notices();
        let made = Self::around(py, ema, container, Some(params.clone().unbind()))?;
        finish(py, Ok(made), &notices)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // Never found locked, see `params`; if it were, the container would be kept for a while longer.
        self.params.try_lock().map_or(Ok(()), |params| visit.call(&*params))
    }
}

impl Drop for PyEma {
    fn drop(&mut self) {
        let text = "an EMA was dropped while its averages were applied, and the training values with it: call restore() \
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
