//! The Python context in which averages are applied.

use super::ema::PyEma;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// The context of `EMA.applied`.
#[pyclass(frozen, module = "shrew_ema._core")]
pub struct Applied {
    pub(super) ema: Py<PyEma>,
    pub(super) horizon: usize,
}

#[pymethods]
impl Applied {
    fn __enter__(&self, py: Python<'_>) -> PyResult<Py<PyEma>> {
        self.ema.get().apply_horizon(py, self.horizon)?;
        Ok(self.ema.clone_ref(py))
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.ema.get().restore_training(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        visit.call(&self.ema)
    }
}
