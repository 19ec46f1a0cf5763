//! Arguments of the Python class as the crate's types; what is not valid is refused by name.

use crate::dtype::ShadowDType;
use crate::error::Error;
use crate::nonfinite::NonFinite;
use numpy::{PyArrayDescr, PyArrayDescrMethods};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyInt, PyString, PyType};

fn shown(value: &Bound<'_, PyAny>) -> String {
    value.repr().map_or("?".to_owned(), |text| text.to_string())
}

/// A number, and neither a bool nor a string, however well that would convert.
pub struct Decay(pub f64);

impl FromPyObject<'_, '_> for Decay {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        static REAL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        let real = REAL.import(value.py(), "numbers", "Real")?;
        // An integer beyond every float is a real number too, but not one in [0, 1].
        let number = value.is_instance(real)? && !value.is_instance_of::<PyBool>();
        match value.extract() {
            Ok(decay) if number => Ok(Decay(decay)),
            _ => Err(Error::config("decay", shown(&value), "a number in [0, 1]").into()),
        }
    }
}

/// What NumPy takes for float32 or float64.
pub struct Width(pub ShadowDType);

impl FromPyObject<'_, '_> for Width {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let dtype = PyArrayDescr::new(value.py(), &*value).ok();
        let dtype = dtype.filter(|dtype| dtype.is_native_byteorder() == Some(true));
        match dtype.map(|dtype| (dtype.kind(), dtype.itemsize())) {
            Some((b'f', 4)) => Ok(Width(ShadowDType::F32)),
            Some((b'f', 8)) => Ok(Width(ShadowDType::F64)),
            _ => Err(Error::config("shadow_dtype", shown(&value), "None, \"float32\" or \"float64\"").into()),
        }
    }
}

/// The name of a policy.
pub struct Policy(pub NonFinite);

impl FromPyObject<'_, '_> for Policy {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        match value.extract::<String>().ok().as_deref() {
            Some("raise") => Ok(Policy(NonFinite::Raise)),
            Some("skip") => Ok(Policy(NonFinite::Skip)),
            Some("propagate") => Ok(Policy(NonFinite::Propagate)),
            _ => {
                let valid = "\"raise\", \"skip\" or \"propagate\"";
                Err(Error::config("nonfinite", shown(&value), valid).into())
            }
        }
    }
}

/// The index of a parameter that is named, or numbered from 0.
pub fn index(key: &Bound<'_, PyAny>, places: &Bound<'_, PyDict>) -> PyResult<usize> {
    let refuse = |valid| Err(Error::Key { key: shown(key), valid }.into());
    if key.is_instance_of::<PyString>() {
        if let Some(place) = places.get_item(key)? {
            return place.extract();
        }
        let names: Vec<_> = places.iter().take(5).map(|(name, _)| format!("\"{name}\"")).collect();
        let more = if places.len() > 5 { ", ..." } else { "" };
        return refuse(format!("the names are {}{more}", names.join(", ")));
    }
    if key.is_instance_of::<PyInt>() && !key.is_instance_of::<PyBool>() {
        return match key.extract::<usize>() {
            Ok(index) if index < places.len() => Ok(index),
            _ => refuse(format!("the indices are 0 to {}", places.len() - 1)),
        };
    }
    refuse("a name or an index is a str or an int".to_owned())
}
