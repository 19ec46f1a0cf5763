//! Schedules in Python: the class, one function for each rule and each peer, and the helpers.

mod helpers;
mod peer_ramps;
mod peers;
mod ramps;
mod rules;

use super::arguments::{Count, shown};
use crate::error::Error;
use crate::schedule::{Argument, Schedule};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyModule, PyTuple};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The decay of every update: a rule of `shrew_ema.schedules` with its arguments.
///
/// Schedules are made by the functions of that module. They are data and never change: they can be compared, hashed,
/// pickled and copied, and what they print makes them again.
///
/// Examples
/// --------
/// >>> from shrew_ema import schedules
/// >>> ramp = schedules.exponential(decay=0.999, tau=1000.0)
/// >>> round(ramp.decay(693), 4)
/// 0.4994
/// >>> ramp
/// schedules.exponential(decay=0.999, tau=1000.0)
/// >>> ramp == schedules.exponential(0.999, 1000)
/// True
#[pyclass(frozen, eq, name = "Schedule", module = "shrew_ema")]
#[derive(PartialEq)]
pub struct PySchedule(pub Schedule);

#[pymethods]
impl PySchedule {
    /// d of update number t, an integer from 1 on.
    #[pyo3(signature = (t))]
    fn decay(&self, t: Count) -> Result<f64, Error> {
        Ok(self.0.decay(t.from(1, "t")?))
    }

    /// 1 - d of update number t, an integer from 1 on, with all its digits, of which d near 1 has lost some.
    #[pyo3(signature = (t))]
    fn alpha(&self, t: Count) -> Result<f64, Error> {
        Ok(self.0.alpha(t.from(1, "t")?))
    }

    fn __hash__(&self) -> u64 {
        // Equal schedules print alike, and others do not.
        let mut hasher = DefaultHasher::new();
        self.0.to_string().hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (constructor, arguments) = self.0.call();
        let arguments = arguments.into_iter().map(|(name, argument)| match argument {
            Argument::Number(f64::INFINITY) => Ok(format!("{name}=float(\"inf\")")),
            _ => PyResult::Ok(format!("{name}={}", object(py, argument)?.repr()?)),
        });
        Ok(format!("schedules.{constructor}({})", arguments.collect::<PyResult<Vec<_>>>()?.join(", ")))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let (constructor, arguments) = self.0.call();
        let arguments = arguments.into_iter().map(|(_, argument)| object(py, argument));
        let arguments = PyTuple::new(py, arguments.collect::<PyResult<Vec<_>>>()?)?;
        Ok((PyModule::import(py, "shrew_ema.schedules")?.getattr(constructor)?, arguments))
    }
}

fn object<'py>(py: Python<'py>, argument: Argument<'_>) -> PyResult<Bound<'py, PyAny>> {
    match argument {
        Argument::Number(value) => value.into_bound_py_any(py),
        Argument::Count(value) => value.into_bound_py_any(py),
        Argument::Flag(value) => value.into_bound_py_any(py),
        Argument::Schedule(inner) => PySchedule(inner.clone()).into_bound_py_any(py),
    }
}

type Made = Result<PySchedule, Error>;

/// Wraps what the crate has checked.
fn made(schedule: Result<Schedule, Error>) -> Made {
    schedule.map(PySchedule)
}

/// The schedule in the argument `inner`.
fn inner(value: &Bound<'_, PyAny>) -> Result<Schedule, Error> {
    match value.cast::<PySchedule>() {
        Ok(schedule) => Ok(schedule.get().0.clone()),
        Err(_) => Err(Error::config("inner", shown(value), "a schedule")),
    }
}

/// Each of these arguments as a number, named after itself.
macro_rules! numbers {
    ($($argument:ident),+) => {
        $(let $argument = $argument.named(stringify!($argument))?;)+
    };
}
use numbers;

/// Puts all of it into the compiled module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PySchedule>()?;
    rules::register(module)?;
    ramps::register(module)?;
    peers::register(module)?;
    peer_ramps::register(module)?;
    helpers::register(module)
}

/// Defines a function that adds functions to a module.
macro_rules! registers {
    ($($function:ident),+ $(,)?) => {
        pub(super) fn register(module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
            use pyo3::prelude::*;
            $(module.add_function(wrap_pyfunction!($function, module)?)?;)+
            Ok(())
        }
    };
}
use registers;
