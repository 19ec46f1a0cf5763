//! What outlives a process: files, state dicts, pickles; and the way back to a model.

use super::PyEma;
use crate::checkpoint::{self, Checkpoint};
use crate::ema::EMA;
use crate::engine::Buffer;
use crate::ledger::Ledger;
use crate::python::arguments::{FilePath, Flag, SavedDType};
use crate::python::backend::PythonModel;
use crate::python::container::Container;
use crate::python::signals::Signals;
use crate::python::state::finish;
use crate::python::stored;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

#[pymethods]
impl PyEma {
    /// Save the averages as a model file, with all that `load` needs to go on to the bit.
    ///
    /// The file is a safetensors file: its keys are the names of the parameters, and schedules and counters are in its metadata.
    /// Whatever the arrays hold now, it is the averages that are saved. It is written under another name, flushed to the disk
    /// and renamed, so that a crash leaves the old file or the new one. Several horizons become as many files,
    /// "ema.h0.safetensors" and so on for "ema.safetensors". Updates by other threads go on meanwhile, and what is saved
    /// is from one moment; of two saves at once, the one that ends later wins.
    ///
    /// A symbolic link stays one, and the file that it leads to is written. A file that was made read-only is not replaced.
    ///
    /// With a `dtype`, such as "bfloat16", averages are rounded to it: a model to ship, which `load` refuses to resume from.
    ///
    /// Raises `CheckpointError` if the file can't be written or is read-only, `ConfigError` for a dtype that is none or wider than the
    /// averages.
    ///
    /// >>> import numpy as np, os, tempfile
    /// >>> from shrew_ema import EMA
    /// >>> params = {"w": np.zeros(3)}
    /// >>> ema = EMA(params, decay=0.5)
    /// >>> for _ in range(10):
    /// ...     params["w"] += 1.0
    /// ...     ema.update()
    /// >>> with tempfile.TemporaryDirectory() as folder:
    /// ...     ema.save(os.path.join(folder, "ema.safetensors"))
    /// ...     resumed = EMA.load(os.path.join(folder, "ema.safetensors"), params)
    /// >>> resumed.shadow_values("w").round(3), resumed.num_updates
    /// (array([9.001, 9.001, 9.001]), 10)
    #[pyo3(signature = (path, *, dtype=None))]
    fn save(&self, py: Python<'_>, path: FilePath, dtype: Option<SavedDType>) -> PyResult<()> {
        let path = path.0;
        let dtype = dtype.map(|dtype| dtype.0);
        // Advice comes first, so that a warning that is made an error stops the call in time.
        self.call(py, "save", |state| {
            checkpoint::check_rounding(state.ema.ledger(), dtype)?;
            state.ema.advise_on_shares();
            match self.bound(py, "save").map(|bound| state.advise_on_rest(&bound, 0)) {
                // An interrupt is none of these.
                Ok(Err(error)) if !error.is_instance_of::<PyException>(py) => Err(error),
                // No reason not to save: what can't be looked at may be all that is wrong with the model.
                _ => Ok(()),
            }
        })?;
        let (ledger, averages) = self.kept(py, "save")?;
        let mut signals = Signals::new();
        let horizons = ledger.horizons();
        let export = |horizon: usize, index: usize| Ok(averages[index * horizons + horizon].clone());
        let saved = py.detach(|| checkpoint::save(&path, &ledger, dtype, &export, &mut || signals.go_on()));
        signals.or(saved)
    }

    /// The EMA that was saved, bound to `params`: as if the training had never stopped.
    ///
    /// `params` is a dict, list or tuple of arrays of the names, dtypes and shapes that were averaged, in any order; their
    /// values are not read. Everything else (decays, counters, policies) comes from the file. Without `params` the EMA is
    /// bound to none: averages can be looked at, and `bind` gives it parameters. A path under which several horizons were saved
    /// gives all of them, the path of one file that horizon alone.
    ///
    /// `resume=False` takes averages that were rounded by `save(dtype=...)` as they are: another training from there on.
    ///
    /// Raises `CheckpointError` if there is no such file or it is damaged, cut short, rounded, or of another program;
    /// `NamesError`, `DTypeError` or `ShapeError` if these are not the parameters that were averaged; `LayoutError` if two
    /// share memory and are not the same array.
    #[staticmethod]
    #[pyo3(signature = (path, params=None, *, resume=Flag::of(true)), text_signature = "(path, params=None, *, resume=True)")]
    fn load(py: Python<'_>, path: FilePath, params: Option<&Bound<'_, PyAny>>, resume: Flag) -> PyResult<Self> {
        let path = path.0;
        let resume = resume.named("resume")?;
        let known = params.map(Container::new).transpose()?;
        let opened = py.detach(|| Checkpoint::open(&path))?;
        let opened = if resume { opened } else { opened.accept_rounded() };
        let books = opened.books(known.as_ref().map(|(_, names)| &names[..]))?;
        let container = match (known, params) {
            (Some((container, _)), Some(params)) => {
                container.check(params, &books.ledger)?;
                container
            }
            _ => Container::of_names(py, books.ledger.names()),
        };
        let mut signals = Signals::new();
        let averages = py.detach(|| opened.averages(&books, &mut || signals.go_on()));
        let averages = signals.or(averages)?;
        Self::resumed(py, books.ledger, averages, container, params.map(|params| params.clone().unbind()))
    }

    /// Bind the EMA to other parameters of the same names, dtypes and shapes: the arrays of `params` are averaged and
    /// written from now on. Their values are not read. Arrays that are tied here, and have different averages, are
    /// averaged under each name; `apply` refuses them.
    ///
    /// Raises `StateError` while averages are applied; `NamesError`, `DTypeError` or `ShapeError` if these are not the
    /// parameters that are averaged; `LayoutError` if two share memory and are not the same array.
    fn bind(&self, py: Python<'_>, params: &Bound<'_, PyAny>) -> PyResult<()> {
        let old = self.call(py, "bind", |state| {
            state.ema.check_training("bind", "restore() first, or the training values would be lost")?;
            let container = state.container.within(params)?;
            container.check(params, state.ema.ledger())?;
            state.container = container;
            state.elsewhere = None;
            state.ema.expect_moves();
            Ok(self.params().replace(params.clone().unbind()))
        });
        // What was bound before may run code when it goes, which is no concern of the gate's.
        old.map(drop)
    }

    /// All that `load_state_dict` needs to go on to the bit, as a dict of plain lists, text and read-only arrays, to be
    /// kept in some other checkpoint. Whatever the arrays of the model hold now, it has the averages.
    fn state_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (ledger, averages) = self.kept(py, "state_dict")?;
        stored::write(py, &ledger, &averages)
    }

    /// Go on from what `state_dict` gave for an EMA of the same parameters: decays, counters, policies and averages become
    /// what they were there.
    ///
    /// Raises `CheckpointError` if it is no state dict or is damaged, `StateError` while averages are applied; `NamesError`,
    /// `DTypeError` or `ShapeError` if it is of other parameters. Nothing is changed then.
    fn load_state_dict(&self, py: Python<'_>, state_dict: &Bound<'_, PyAny>) -> PyResult<()> {
        let own: Vec<String> = self.names.bind(py).extract()?;
        let (mut ledger, averages) = stored::read(state_dict, Some(&own))?;
        // Advice comes first here too.
        finish(py, Ok(()), &ledger.take_notices())?;
        self.call(py, "load_state_dict", |state| {
            state.ema.check_training("load_state_dict", "restore() first, or the training values would be lost")?;
            state.ema.exchange(ledger, averages)?;
            state.elsewhere = None;
            Ok(())
        })
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let unpickled = py.import("shrew_ema._core")?.getattr("_unpickled")?;
        Ok((unpickled, PyTuple::new(py, [self.state_dict(py)?])?))
    }

    fn __copy__(&self, py: Python<'_>) -> PyResult<Self> {
        let (ledger, averages) = self.kept(py, "copy")?;
        Self::unbound(py, ledger, averages)
    }

    fn __deepcopy__(&self, py: Python<'_>, _memo: &Bound<'_, PyAny>) -> PyResult<Self> {
        // Averages are shared until one of the two writes.
        self.__copy__(py)
    }
}

impl PyEma {
    /// The books and the averages as they are at this moment.
    fn kept(&self, py: Python<'_>, call: &'static str) -> PyResult<(Ledger, Vec<Buffer>)> {
        let state = self.gate.enter(py, call)?;
        Ok((state.ema.ledger().clone(), state.ema.averages()?))
    }

    /// An EMA that is bound to no parameters.
    fn unbound(py: Python<'_>, ledger: Ledger, averages: Vec<Buffer>) -> PyResult<Self> {
        let container = Container::of_names(py, ledger.names());
        Self::resumed(py, ledger, averages, container, None)
    }

    fn resumed(
        py: Python<'_>,
        ledger: Ledger,
        averages: Vec<Buffer>,
        container: Container,
        params: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let mut ema = EMA::with_books(PythonModel::default(), Vec::new(), ledger, averages)?;
        let notices = ema.take_notices();
        let made = Self::around(py, ema, container, params)?;
        finish(py, Ok(made), &notices)
    }
}

/// What a pickle calls: an EMA that is bound to no parameters.
#[pyfunction]
#[pyo3(name = "_unpickled")]
pub fn unpickled(state_dict: &Bound<'_, PyAny>) -> PyResult<PyEma> {
    let py = state_dict.py();
    let (ledger, averages) = stored::read(state_dict, None)?;
    PyEma::unbound(py, ledger, averages)
}
