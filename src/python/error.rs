//! The crate's errors and notices as the package's Python classes.

use crate::error::Error;
use crate::notice::Notice;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyKeyboardInterrupt, PyMemoryError, PyOSError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyModule, PyTuple};
use std::ffi::CString;

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        Python::attach(|py| raise(py, error).unwrap_or_else(|failure| failure))
    }
}

/// The Python exception of an error: the finished message first, then what it was made of.
fn raise(py: Python<'_>, error: Error) -> PyResult<PyErr> {
    let message = error.to_string();
    let mut cause = None;
    let (class, mut details): (_, Vec<Bound<'_, PyAny>>) = match error {
        Error::Memory { .. } => return Ok(PyMemoryError::new_err(message)),
        Error::Config { argument, value, valid } => (
            "ConfigError",
            vec![argument.into_bound_py_any(py)?, value.into_bound_py_any(py)?, valid.into_bound_py_any(py)?],
        ),
        Error::Names { missing, unexpected } => {
            ("NamesError", vec![PyTuple::new(py, missing)?.into_any(), PyTuple::new(py, unexpected)?.into_any()])
        }
        Error::Key { key, .. } => {
            ("NamesError", vec![PyTuple::empty(py).into_any(), PyTuple::new(py, [key])?.into_any()])
        }
        Error::Shape { name, expected, found } => (
            "ShapeError",
            vec![
                name.into_bound_py_any(py)?,
                PyTuple::new(py, expected)?.into_any(),
                PyTuple::new(py, found)?.into_any(),
            ],
        ),
        Error::DType { name, found, valid } => (
            "DTypeError",
            vec![name.into_bound_py_any(py)?, found.into_bound_py_any(py)?, valid.into_bound_py_any(py)?],
        ),
        Error::Layout { name, problem, .. } => {
            ("LayoutError", vec![name.into_bound_py_any(py)?, problem.into_bound_py_any(py)?])
        }
        Error::Overlap { names: (name, other), problem, .. } => (
            "LayoutError",
            vec![name.into_bound_py_any(py)?, format!("and \"{other}\" {problem}").into_bound_py_any(py)?],
        ),
        Error::State { call, state, .. } => {
            ("StateError", vec![call.into_bound_py_any(py)?, state.into_bound_py_any(py)?])
        }
        Error::Interrupted { .. } => return Ok(PyKeyboardInterrupt::new_err(message)),
        Error::Checkpoint { path, problem, os } => {
            // As Python has names of files, whatever their bytes.
            let path = path.into_os_string();
            // The system's error with its number, from which Python makes FileNotFoundError and the like.
            cause = os.map(|number| PyOSError::new_err((number, problem.clone(), path.clone())));
            ("CheckpointError", vec![path.into_bound_py_any(py)?, problem.into_bound_py_any(py)?])
        }
        Error::NonFinite { tensors, .. } => {
            let counts = PyDict::new(py);
            for (name, count) in tensors {
                counts.set_item(name, count)?;
            }
            ("NonFiniteError", vec![counts.into_any()])
        }
    };
    details.insert(0, message.into_bound_py_any(py)?);
    let class = classes(py)?.getattr(class)?;
    let raised = PyErr::from_value(class.call1(PyTuple::new(py, details)?)?);
    raised.set_cause(py, cause);
    Ok(raised)
}

/// The module of the classes. Loaded with the package, since nothing can be imported when an interpreter ends.
pub fn classes(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static CLASSES: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let load = || PyResult::Ok(PyModule::import(py, "shrew_ema.errors")?.unbind());
    Ok(CLASSES.get_or_try_init(py, load)?.bind(py))
}

/// Warns of a notice, where the Python code that called is.
pub fn warn(py: Python<'_>, notice: &Notice) -> PyResult<()> {
    warn_text(py, &notice.to_string())
}

/// As [`warn`], of any text.
pub fn warn_text(py: Python<'_>, text: &str) -> PyResult<()> {
    let class = classes(py)?.getattr("EMAWarning")?;
    PyErr::warn(py, &class, &CString::new(text.replace('\0', " "))?, 1)
}

/// Whether an exception is a warning of ours that was made one.
pub fn is_warning(py: Python<'_>, error: &PyErr) -> bool {
    classes(py).and_then(|classes| classes.getattr("EMAWarning")).is_ok_and(|class| error.is_instance(py, &class))
}
