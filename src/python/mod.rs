//! The Python extension module `shrew_ema._core`.
//!
//! With `kernel`, this is the only room for `unsafe`. Nothing below it knows Python: a call is extracted here, done by
//! the crate, and its result wrapped here.

mod applied;
mod arguments;
mod array;
mod backend;
mod container;
mod decays;
mod ema;
mod error;
mod fields;
mod gate;
mod numbers;
mod schedules;
mod signals;
mod snapshot;
mod state;
mod stored;

use pyo3::prelude::*;
use pyo3::type_object::PyTypeInfo;

// Not declared safe without the interpreter lock: the facts of an array are read while it is held.
#[pymodule(name = "_core", gil_used = true)]
fn core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    error::classes(module.py())?;
    // A class that is made at first use is made while arrays are read, and what is made may set off the garbage collector.
    snapshot::Snapshot::type_object(module.py());
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<ema::PyEma>()?;
    module.add_function(wrap_pyfunction!(ema::unpickled, module)?)?;
    schedules::register(module)
}
