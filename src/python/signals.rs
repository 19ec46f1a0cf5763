//! Long jobs without the interpreter: whether somebody has pressed Ctrl-C meanwhile.

use crate::error::Error;
use pyo3::prelude::*;
use std::time::{Duration, Instant};

/// Looks for signals now and then.
pub struct Signals {
    looked: Instant,
    raised: Option<PyErr>,
}

const PAUSE: Duration = Duration::from_millis(50);

impl Signals {
    pub fn new() -> Self {
        Self { looked: Instant::now(), raised: None }
    }

    /// Whether the job may go on.
    pub fn go_on(&mut self) -> bool {
        if self.looked.elapsed() >= PAUSE {
            self.looked = Instant::now();
            // Where the interpreter is ending there is nobody to be told.
            let raised = Python::try_attach(|py| py.check_signals().err()).flatten();
            self.raised = self.raised.take().or(raised);
        }
        self.raised.is_none()
    }

    /// The result of the job, or the exception that ended it.
    pub fn or<T>(self, result: Result<T, Error>) -> PyResult<T> {
        match (self.raised, result) {
            (Some(raised), Err(Error::Interrupted { .. })) => Err(raised),
            (_, result) => Ok(result?),
        }
    }
}
