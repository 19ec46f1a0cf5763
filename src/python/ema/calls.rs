//! The calls that read and write the model: update, apply, restore, finish.

use super::PyEma;
use crate::python::applied::Applied;
use crate::python::arguments::Count;
use pyo3::prelude::*;
use std::sync::atomic::AtomicU64;

#[pymethods]
impl PyEma {
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

    /// As `update`, with the decay min(d, (1 + t)/(10 + t)) at call number t, from 1 after `start`, which forgets the
    /// initial values faster: 2/11, 3/12, 4/13 and so on, until d is reached after 9/(1 - d) - 10 calls.
    ///
    /// It is meant for constant decays. The smaller decay is used at every call, so that a rule of
    /// `shrew_ema.schedules` which is larger for long, such as `swa`, does not come about.
    #[pyo3(signature = (params=None))]
    fn update_with_warmup(&self, py: Python<'_>, params: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.pass(py, "update_with_warmup", params, true)
    }

    /// Back up the training values and write the averages of a horizon over them, cast to nearest.
    ///
    /// Raises `StateError` while averages are applied, `LayoutError` if an array is read-only, `ConfigError` where there
    /// is no such horizon, and the errors of `update` if the parameters changed; nothing is done then.
    #[pyo3(signature = (horizon=Count::of(0)), text_signature = "($self, horizon=0)")]
    fn apply(&self, py: Python<'_>, horizon: Count) -> PyResult<()> {
        self.apply_horizon(py, horizon.index("horizon")?).map(drop)
    }

    /// Put the training values back, bit for bit; does nothing unless the averages are applied.
    ///
    /// They go into the arrays that the container holds now. Raises as `apply` does if these can't take them; the
    /// averages stay applied then, and the training values are kept.
    fn restore(&self, py: Python<'_>) -> PyResult<()> {
        self.restore_training(py, None)
    }

    /// A context in which the averages of a horizon are applied; leaving it restores the training values, also by an exception.
    ///
    /// >>> import numpy as np
    /// >>> from shrew_ema import EMA
    /// >>> params = {"w": np.array([1.0])}
    /// >>> ema = EMA(params, decay=0.5)
    /// >>> for _ in range(10):
    /// ...     params["w"] += 1.0
    /// ...     ema.update()
    /// >>> with ema.applied():
    /// ...     print(params["w"].round(3))
    /// [10.001]
    /// >>> params["w"]
    /// array([11.])
    #[pyo3(signature = (horizon=Count::of(0)), text_signature = "($self, horizon=0)")]
    fn applied(slf: Py<Self>, py: Python<'_>, horizon: Count) -> PyResult<Applied> {
        let horizon = horizon.index("horizon")?;
        slf.get().look(py, "applied", |ema| ema.ledger().check_horizon(horizon))??;
        Ok(Applied { ema: slf, horizon, application: AtomicU64::new(0) })
    }

    /// Finish on the averages of a horizon: write them for good, while they are applied as well, and forget the training
    /// values. While those of another horizon are applied, `StateError` is raised; else it raises as `apply` does.
    #[pyo3(signature = (horizon=Count::of(0)), text_signature = "($self, horizon=0)")]
    fn copy_to(&self, py: Python<'_>, horizon: Count) -> PyResult<()> {
        let horizon = horizon.index("horizon")?;
        self.write(py, "copy_to", horizon, |ema| ema.copy_horizon_to(horizon)).map(drop)
    }
}
