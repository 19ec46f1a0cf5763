//! Arguments of the Python class as the crate's types; what is not valid is refused by name.

use crate::dtype::{Class, DType, ShadowDType};
use crate::error::Error;
use crate::nonfinite::NonFinite;
use numpy::{PyArrayDescr, PyArrayDescrMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyInt, PyString, PyType};
use std::path::PathBuf;

/// A value as Python prints it.
pub fn shown(value: &Bound<'_, PyAny>) -> String {
    const LONGEST: usize = 80;
    match value.repr().map(|text| text.to_string()) {
        Ok(text) if text.chars().count() > LONGEST => text.chars().take(LONGEST).chain("...".chars()).collect(),
        Ok(text) => text,
        // Such as an integer of more digits than Python writes.
        Err(_) => value.get_type().name().map_or("?".to_owned(), |name| format!("an object of type {name}")),
    }
}

/// A number, and neither a bool nor a string, however well that would convert.
pub fn number(value: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    static REAL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let real = REAL.import(value.py(), "numbers", "Real")?;
    // NumPy counts a span of time among the integers.
    let is_number = value.is_instance(real)?
        && !value.is_instance_of::<PyBool>()
        && value.get_type().name()?.to_str()? != "timedelta64";
    // An integer beyond every float is a real number too, but no argument's.
    Ok(if is_number { value.extract().ok() } else { None })
}

/// What was given, as text, where it was not of the right kind: which argument it is, only the function knows.
pub struct Given<T>(Result<T, String>);

/// A number.
pub type Number = Given<f64>;
/// A count, from 0 on.
pub type Count = Given<u64>;
/// Yes or no.
pub type Flag = Given<bool>;

impl<T> Given<T> {
    /// A default.
    pub const fn of(value: T) -> Self {
        Given(Ok(value))
    }

    fn or_refuse(self, argument: &'static str, valid: &str) -> Result<T, Error> {
        self.0.map_err(|value| Error::config(argument, value, valid))
    }
}

impl Number {
    /// The number; what it may be, the crate checks.
    pub fn named(self, argument: &'static str) -> Result<f64, Error> {
        self.or_refuse(argument, "a number")
    }
}

impl Count {
    /// The count, which may be `least` or more.
    pub fn from(self, least: u64, argument: &'static str) -> Result<u64, Error> {
        let value = match self.0 {
            Ok(count) if count >= least => return Ok(count),
            Ok(count) => count.to_string(),
            Err(value) => value,
        };
        Err(Error::config(argument, value, format!("an integer from {least} on")))
    }

    /// An index, such as a horizon's.
    pub fn index(self, argument: &'static str) -> Result<usize, Error> {
        // What does not fit is beyond every index, and refused as such.
        Ok(usize::try_from(self.from(0, argument)?).unwrap_or(usize::MAX))
    }
}

impl Flag {
    /// The flag.
    pub fn named(self, argument: &'static str) -> Result<bool, Error> {
        self.or_refuse(argument, "True or False")
    }
}

impl FromPyObject<'_, '_> for Number {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        Ok(Given(number(&value)?.ok_or_else(|| shown(&value))))
    }
}

impl FromPyObject<'_, '_> for Count {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let count = if value.is_instance_of::<PyBool>() { None } else { value.extract().ok() };
        Ok(Given(count.ok_or_else(|| shown(&value))))
    }
}

impl FromPyObject<'_, '_> for Flag {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        Ok(Given(value.cast::<PyBool>().map(|flag| flag.is_true()).map_err(|_| shown(&value))))
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

/// What names a file: text, or something that gives text.
pub struct FilePath(pub PathBuf);

impl FromPyObject<'_, '_> for FilePath {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let valid = "a str or an os.PathLike";
        value.extract().map(FilePath).map_err(|error: PyErr| match error.is_instance_of::<PyTypeError>(value.py()) {
            true => Error::config("path", shown(&value), valid).into(),
            false => error,
        })
    }
}

/// A float dtype, by its name or as NumPy has it.
pub struct SavedDType(pub DType);

impl FromPyObject<'_, '_> for SavedDType {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        // NumPy knows bfloat16 as a name only once somebody has imported it.
        let name = value.extract::<String>().ok().filter(|name| DType::named(name).is_some()).or_else(|| {
            let dtype = PyArrayDescr::new(value.py(), &*value).ok()?;
            let native = dtype.is_native_byteorder() != Some(false);
            native.then(|| dtype.typeobj().name().ok().map(|name| name.to_string())).flatten()
        });
        match name.and_then(|name| DType::named(&name)).filter(|dtype| dtype.class() == Class::Averaged) {
            Some(dtype) => Ok(SavedDType(dtype)),
            None => {
                let valid = "None, \"float64\", \"float32\", \"float16\" or \"bfloat16\"";
                Err(Error::config("dtype", shown(&value), valid).into())
            }
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
    let refuse = |valid| {
        let text = key.cast::<PyString>().ok().and_then(|text| text.to_str().ok()).map(str::to_owned);
        Err(Error::Key { key: text.unwrap_or_else(|| shown(key)), valid }.into())
    };
    if key.is_instance_of::<PyString>() {
        if let Some(place) = places.get_item(key)? {
            return place.extract();
        }
        let names: Vec<_> = places.iter().take(5).map(|(name, _)| format!("\"{name}\"")).collect();
        let more = if places.len() > 5 { ", ..." } else { "" };
        return refuse(format!("the names are {}{more}", names.join(", ")));
    }
    if !key.is_instance_of::<PyBool>() && (key.is_instance_of::<PyInt>() || key.hasattr("__index__")?) {
        return match key.extract::<usize>() {
            Ok(index) if index < places.len() => Ok(index),
            _ => refuse(format!("the indices are 0 to {}", places.len() - 1)),
        };
    }
    refuse("a name or an index is a str or an int".to_owned())
}
