//! What there is to look at: averages and counters.

use super::PyEma;
use crate::ema::EMA;
use crate::ledger::Ledger;
use crate::python::arguments::{self, Count};
use crate::python::snapshot::snapshot;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

#[pymethods]
impl PyEma {
    /// The average of one parameter, by name or index, at a horizon, as a read-only array of the parameter's shape.
    ///
    /// Nothing is copied, and the values stay as they are now: the next update writes into new memory while somebody
    /// holds such an array. One below 1 KB keeps up to 4 KB while it is held, as small averages share their memory.
    ///
    /// Raises `NamesError` for a name or an index that there is not, `ConfigError` for such a horizon.
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

    /// d of each horizon. Of a constant decay it is the number given, without any warm-up; of another schedule that of the
    /// last call, with its warm-up, and before there was one that of the first.
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

    /// Whether there are arrays to average: not after unpickling or loading without any, until `bind`.
    #[getter]
    fn is_bound(&self) -> bool {
        self.params().is_some()
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
            let bound = if self.is_bound() { "" } else { ", not bound" };
            format!("<EMA of {tensors} tensors, {decays}, num_updates={}{applied}{bound}>", ema.num_updates())
        })
    }
}
