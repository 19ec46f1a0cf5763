//! The Python context in which averages are applied.

use super::ema::PyEma;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::sync::atomic::{AtomicU64, Ordering};

/// The context of `EMA.applied`.
#[pyclass(frozen, module = "shrew_ema._core")]
pub struct Applied {
    pub(super) ema: Py<PyEma>,
    pub(super) horizon: usize,
    /// The number of the application that this context made; 0 is none.
    pub(super) application: AtomicU64,
}

#[pymethods]
impl Applied {
    fn __enter__(&self, py: Python<'_>) -> PyResult<Py<PyEma>> {
        let application = self.ema.get().apply_horizon(py, self.horizon)?;
        self.application.store(application, Ordering::Relaxed);
        Ok(self.ema.clone_ref(py))
    }

    #[pyo3(signature = (*exception))]
    fn __exit__(&self, py: Python<'_>, exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        // Never what somebody else applied meanwhile.
        let restored = self.ema.get().restore_training(py, Some(self.application.load(Ordering::Relaxed)));
        if let (Err(error), Ok(cause)) = (&restored, exception.get_item(1)) {
            // Python chains an exception that is raised in Python; one that comes from here has to be told.
            error.value(py).setattr("__context__", cause)?;
        }
        restored
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        visit.call(&self.ema)
    }
}
