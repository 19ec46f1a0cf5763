//! What an EMA is in Python behind its gate: the crate's EMA, and the container that is read into it at each call.

use super::array::Tensor;
use super::backend::PythonModel;
use super::container::{Container, Held};
use super::error::warn;
use crate::ema::{EMA, Params};
use crate::error::Result;
use crate::notice::Notice;
use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;

/// What the gate guards.
pub struct State {
    pub ema: EMA<PythonModel>,
    pub container: Container,
    /// References on the arrays of the call under way; empty between calls.
    pub held: Held,
    /// Weak references on them, of a call that releases the interpreter; empty between calls.
    pub pins: Vec<Py<PyWeakrefReference>>,
    /// What was read of the arrays given to `update(params)`.
    pub given: Vec<Tensor>,
    /// The first parameter that the last update was given on other memory than the container has it.
    pub elsewhere: Option<usize>,
    /// Whether what was last read of the own container is what is averaged, and too little to release the interpreter for.
    pub settled: bool,
    /// How often averages were applied, so that a context restores only what it applied itself.
    pub applications: u64,
}

impl State {
    /// Reads `container`, its own or another, and calls `work` with the EMA and what was read.
    pub fn with<'py>(
        &mut self,
        container: &Bound<'py, PyAny>,
        own: bool,
        work: impl FnOnce(&mut EMA<PythonModel>, Params<'_, Tensor>) -> Result<()> + Send,
    ) -> PyResult<()> {
        let done = self.with_held(container, own, work);
        self.pins.clear();
        self.held.clear();
        done
    }

    /// Advises where nobody trains the arrays of the container.
    pub fn advise_on_rest(&mut self, container: &Bound<'_, PyAny>, horizon: usize) -> PyResult<()> {
        if self.ema.may_rest(horizon) {
            self.with(container, true, |ema, _| ema.advise_on_rest(horizon))?;
        }
        Ok(())
    }

    fn with_held<'py>(
        &mut self,
        container: &Bound<'py, PyAny>,
        own: bool,
        work: impl FnOnce(&mut EMA<PythonModel>, Params<'_, Tensor>) -> Result<()> + Send,
    ) -> PyResult<()> {
        let py = container.py();
        let State { ema, container: known, held, pins, given, settled, .. } = self;
        if own && std::mem::take(settled) && known.recall(container, ema.params_mut()) {
            *settled = true;
            // As below, no other thread runs, nor any Python code, which could let go of what the container holds.
            return Ok(work(ema, Params::Known)?);
        }
        pins.clear();
        known.hold(container, held)?;
        let tensors = if own { ema.params_mut() } else { &mut *given };
        known.settle(py, held, tensors)?;
        known.read(py, held, tensors)?;
        if !PythonModel::is_long(tensors.iter().map(Tensor::elements).sum()) {
            // Too short to be worth a switch: no other thread runs, so the arrays stay as they were read.
            work(ema, if own { Params::Held } else { Params::Given(given) })?;
            *settled |= own;
            return Ok(());
        }
        // A weak reference makes `resize(refcheck=False)` in another thread fail, instead of freeing the memory. Making one
        // may run a finalizer, so the facts are read again.
        for array in &*held {
            pins.push(PyWeakrefReference::new(array.bind(py))?.unbind());
        }
        known.read(py, held, tensors)?;
        Ok(py.detach(|| work(ema, if own { Params::Held } else { Params::Given(given) }))?)
    }
}

/// Emits what advice has come up, with the gate left: warnings run Python code, which may want other locks. The result of
/// the call itself counts more.
pub fn finish<T>(py: Python<'_>, result: PyResult<T>, notices: &[Notice]) -> PyResult<T> {
    let warned = notices.iter().try_for_each(|notice| warn(py, notice));
    result.and_then(|value| warned.map(|()| value))
}
