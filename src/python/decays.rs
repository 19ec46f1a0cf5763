//! The argument `decay`: a number or a schedule, or several of these.

use super::arguments::{number, shown};
use super::schedules::PySchedule;
use crate::error::Error;
use crate::schedule::Schedule;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

/// One schedule for each horizon, out of a number, a schedule, or a list or tuple of these.
pub struct Decays(pub Vec<Schedule>);

impl Decays {
    /// Of one constant decay.
    pub fn of(decay: f64) -> Self {
        Decays(Schedule::constant(decay).into_iter().collect())
    }
}

impl FromPyObject<'_, '_> for Decays {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let one = |value: &Bound<'_, PyAny>| {
            if let Ok(schedule) = value.cast::<PySchedule>() {
                return Ok(schedule.get().0.clone());
            }
            match number(value)? {
                Some(decay) => Ok(Schedule::constant(decay)?),
                None => {
                    let valid = "a number in [0, 1], a schedule, or a list of such";
                    Err(PyErr::from(Error::config("decay", shown(value), valid)))
                }
            }
        };
        if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
            return value.try_iter()?.map(|entry| one(&entry?)).collect::<PyResult<_>>().map(Decays);
        }
        Ok(Decays(vec![one(&value)?]))
    }
}
