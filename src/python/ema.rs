//! The Python class: extracts, enters the gate, lets the crate do it, wraps.

use super::arguments::{self, Decay, Policy, Width};
use super::array::{Access, Tensor, snapshot};
use super::backend::PythonModel;
use super::container::{Container, Held};
use super::error::{warn, warn_text};
use super::gate::Gate;
use crate::dtype::ShadowDType;
use crate::ema::EMA;
use crate::error::Result;
use crate::ledger::Config;
use crate::nonfinite::NonFinite;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyWeakrefReference};

/// What the gate guards.
struct State {
    ema: EMA<PythonModel>,
    container: Container,
    /// References on the arrays of the call under way; empty between calls.
    held: Held,
    /// What was read of the arrays given to `update(params)`.
    given: Vec<Tensor>,
}

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
///     bools are not averaged: their latest value is kept. The container is kept and read again at every call, so that
///     entries may be replaced. Entries of a list or tuple are called "0", "1" and so on.
/// decay : float
///     d, in [0, 1].
/// shadow_dtype : {None, "float32", "float64"}
///     The dtype of the averages. None: float64 for float64 parameters, else float32.
/// nonfinite : {"raise", "skip", "propagate"}
///     What to do with an element whose new average is NaN or infinite. "raise" and "skip" keep its old average; "raise"
///     raises `NonFiniteError` once the pass is made, "skip" counts it in `skipped`; "propagate" stores it.
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

impl State {
    /// Reads `container`, its own or another, and calls `work` with the EMA and what was read of another.
    fn with<'py>(
        &mut self,
        container: &Bound<'py, PyAny>,
        own: bool,
        work: impl FnOnce(&mut EMA<PythonModel>, &[Tensor]) -> Result<()> + Send,
    ) -> PyResult<()> {
        let done = self.with_held(container, own, work);
        self.held.clear();
        done
    }

    fn with_held<'py>(
        &mut self,
        container: &Bound<'py, PyAny>,
        own: bool,
        work: impl FnOnce(&mut EMA<PythonModel>, &[Tensor]) -> Result<()> + Send,
    ) -> PyResult<()> {
        let py = container.py();
        let State { ema, container: known, held, given } = self;
        known.hold(container, held)?;
        known.read(py, held, if own { ema.params_mut() } else { &mut *given })?;
        let read = if own { ema.params() } else { &given[..] };
        if !PythonModel::is_large(read.iter().map(Tensor::elements).sum()) {
            // Too short to be worth a switch: no other thread runs, so the arrays stay as they were read.
            return Ok(work(ema, given)?);
        }
        // A weak reference makes `resize(refcheck=False)` in another thread fail, instead of freeing the memory. NumPy
        // scalars take none, and can't be resized.
        let arrays = held.iter().zip(read).filter(|(_, tensor)| tensor.access != Access::Scalar);
        let pins = arrays.map(|(array, _)| PyWeakrefReference::new(array.bind(py)).map(Bound::unbind));
        let pins = pins.collect::<PyResult<Vec<_>>>()?;
        let done = py.detach(|| work(ema, given));
        drop(pins);
        Ok(done?)
    }

    /// Emits what advice has come up; the result of the call itself counts more.
    fn finish<T>(&mut self, py: Python<'_>, result: PyResult<T>) -> PyResult<T> {
        let notices = self.ema.take_notices();
        let warned = notices.iter().try_for_each(|notice| warn(py, notice));
        result.and_then(|value| warned.map(|()| value))
    }
}

impl PyEma {
    fn pass(
        &self,
        py: Python<'_>,
        call: &'static str,
        params: Option<&Bound<'_, PyAny>>,
        warmup: bool,
    ) -> PyResult<()> {
        let mut state = self.gate.enter(py, call)?;
        let own = params.is_none();
        let container = params.unwrap_or(self.params.bind(py));
        let done = state.with(container, own, |ema, given| ema.pass(call, (!own).then_some(given), warmup));
        state.finish(py, done)
    }

    /// A call that writes the model. Advice comes first, so that a warning that is made an error stops it in time.
    fn write(
        &self,
        py: Python<'_>,
        call: &'static str,
        work: impl FnOnce(&mut EMA<PythonModel>) -> Result<()> + Send,
    ) -> PyResult<()> {
        let mut state = self.gate.enter(py, call)?;
        if call != "restore" {
            state.ema.advise();
            state.finish(py, Ok(()))?;
        }
        let done = state.with(self.params.bind(py), true, |ema, _| work(ema));
        state.finish(py, done)
    }

    fn look<T>(&self, py: Python<'_>, call: &'static str, at: impl FnOnce(&EMA<PythonModel>) -> T) -> PyResult<T> {
        Ok(at(&self.gate.enter(py, call)?.ema))
    }

    fn average<'py>(&self, py: Python<'py>, call: &'static str, index: usize) -> PyResult<Bound<'py, PyAny>> {
        let buffer = self.look(py, call, |ema| ema.shadow(index, 0))??;
        snapshot(py, buffer)
    }
}

#[pymethods]
impl PyEma {
    #[new]
    #[pyo3(signature = (params, decay=Decay(0.999), *, shadow_dtype=None, nonfinite=Policy(NonFinite::Raise)))]
    #[pyo3(text_signature = "(params, decay=0.999, *, shadow_dtype=None, nonfinite='raise')")]
    fn new(params: &Bound<'_, PyAny>, decay: Decay, shadow_dtype: Option<Width>, nonfinite: Policy) -> PyResult<Self> {
        let py = params.py();
        let (container, names) = Container::new(params)?;
        let width = shadow_dtype.map_or(ShadowDType::Auto, |width| width.0);
        let config = Config::new(decay.0)?.shadow_dtype(width).nonfinite(nonfinite.0);
        let (mut held, mut tensors) = (Held::new(), Vec::new());
        container.hold(params, &mut held)?;
        container.read(py, &held, &mut tensors)?;
        let tuple = PyTuple::new(py, &names)?;
        let index = PyDict::new(py);
        for (place, name) in tuple.iter().enumerate() {
            index.set_item(name, place)?;
        }
        let ema = EMA::with_backend(PythonModel::default(), names, tensors, config)?;
        held.clear();
        let mut state = State { ema, container, held, given: Vec::new() };
        state.finish(py, Ok(()))?;
        let gate = Gate::new(state);
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

    /// Back up the training values and write the averages over them, cast to nearest.
    ///
    /// Raises `StateError` while the averages are applied, `LayoutError` if an array is read-only, and the errors of
    /// `update` if the parameters changed; nothing is done then.
    fn apply(&self, py: Python<'_>) -> PyResult<()> {
        self.write(py, "apply", EMA::apply)
    }

    /// Put the training values back, bit for bit; does nothing unless the averages are applied.
    ///
    /// They go into the arrays that the container holds now. Raises as `apply` does if these can't take them; the
    /// averages stay applied then, and the training values are kept.
    fn restore(&self, py: Python<'_>) -> PyResult<()> {
        if !self.is_applied(py)? {
            return Ok(());
        }
        self.write(py, "restore", EMA::restore)
    }

    /// A context in which the averages are applied; leaving it restores the training values, also by an exception.
    ///
    /// >>> import numpy as np
    /// >>> from shrew_ema import EMA
    /// >>> params = {"w": np.array([1.0])}
    /// >>> ema = EMA(params, decay=0.5)
    /// >>> params["w"] += 2.0
    /// >>> ema.update_with_warmup()
    /// >>> with ema.applied():
    /// ...     print(params["w"].round(3))
    /// [2.636]
    /// >>> params["w"]
    /// array([3.])
    fn applied(slf: Py<Self>) -> Applied {
        Applied { ema: slf }
    }

    /// Finish on the averages: write them for good. While they are applied, they stay, and the training values are
    /// forgotten. Raises as `apply` does.
    fn copy_to(&self, py: Python<'_>) -> PyResult<()> {
        self.write(py, "copy_to", EMA::copy_to)
    }

    /// The average of one parameter, by name or index, as a read-only array of the parameter's shape.
    ///
    /// Nothing is copied, and the values stay as they are now: the next update writes into new memory while somebody
    /// holds such an array. Raises `NamesError` for a name or an index that there is not.
    fn shadow_values<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let index = arguments::index(key, self.index.bind(key.py()))?;
        self.average(key.py(), "shadow_values", index)
    }

    /// All averages, by name; see `shadow_values`.
    fn averages<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let state = self.gate.enter(py, "averages")?;
        let all = PyDict::new(py);
        for (index, name) in self.names.bind(py).iter().enumerate() {
            all.set_item(name, snapshot(py, state.ema.shadow(index, 0)?)?)?;
        }
        Ok(all)
    }

    /// d, without warm-up.
    #[getter]
    fn decay(&self, py: Python<'_>) -> PyResult<f64> {
        self.look(py, "decay", EMA::decay)
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

    /// The share of the initial values that is still in the averages: the product of all decays used.
    #[getter]
    fn initial_share(&self, py: Python<'_>) -> PyResult<f64> {
        self.look(py, "initial_share", |ema| ema.ledger().initial_share(0))
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
        self.look(py, "repr", |ema| {
            let applied = if ema.is_applied() { ", applied" } else { "" };
            format!("<EMA of {tensors} tensors, decay={:?}, num_updates={}{applied}>", ema.decay(), ema.num_updates())
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
        let _ = Python::try_attach(|py| {
            let warned = self.is_applied(py).and_then(|applied| if applied { warn_text(py, text) } else { Ok(()) });
            if let Err(error) = warned {
                error.write_unraisable(py, None);
            }
        });
    }
}

/// The context of `EMA.applied`.
#[pyclass(frozen, module = "shrew_ema._core")]
pub struct Applied {
    ema: Py<PyEma>,
}

#[pymethods]
impl Applied {
    fn __enter__(&self, py: Python<'_>) -> PyResult<Py<PyEma>> {
        self.ema.get().apply(py)?;
        Ok(self.ema.clone_ref(py))
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.ema.get().restore(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        visit.call(&self.ema)
    }
}
