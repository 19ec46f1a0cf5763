//! A dict, list or tuple of arrays, which is kept and read again at every call.

use super::arguments;
use super::array::{Role, Tensor};
use super::backend::PythonModel;
use crate::ema::EMA;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::names;
use numpy::PyUntypedArray;
use numpy::npyffi::{NpyTypes, get_type_object};
use pyo3::ffi::{PyDict_Next, PyList_GetItem, PyObject, PyTuple_GetItem};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use std::ptr::null_mut;

/// What is kept of a container: how to find each parameter in it.
pub struct Container {
    /// The names, in order; those of a list or tuple are the indices.
    names: Vec<Py<PyString>>,
    /// Unknown until there was a container.
    kind: Option<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Dict,
    Sequence,
}

impl Kind {
    fn of(container: &Bound<'_, PyAny>) -> Result<Self, Error> {
        if container.is_instance_of::<PyDict>() {
            return Ok(Kind::Dict);
        }
        if container.is_instance_of::<PyList>() || container.is_instance_of::<PyTuple>() {
            return Ok(Kind::Sequence);
        }
        let found = container.get_type().name().map_or("an object".to_owned(), |name| format!("a {name}"));
        Err(Error::config("params", found, "a dict, list or tuple of NumPy arrays"))
    }
}

/// The strong references that keep arrays alive during a call.
pub type Held = Vec<Py<PyAny>>;

impl Container {
    /// Looks at a container for the first time; also gives the names.
    pub fn new(container: &Bound<'_, PyAny>) -> PyResult<(Self, Vec<String>)> {
        let py = container.py();
        let kind = Kind::of(container)?;
        let mut names = Vec::new();
        match kind {
            Kind::Dict => {
                for key in container.cast::<PyDict>()?.keys() {
                    names.push(key.cast_into::<PyString>().map_err(|error| not_a_name(error.into_inner()))?);
                }
            }
            Kind::Sequence => {
                names.extend((0..length(container)?).map(|index| PyString::new(py, &index.to_string())));
            }
        }
        let texts = names.iter().map(text).collect::<PyResult<_>>()?;
        Ok((Self { names: names.into_iter().map(Bound::unbind).collect(), kind: Some(kind) }, texts))
    }

    /// The parameters of these names, in no container yet.
    pub fn of_names(py: Python<'_>, names: &[String]) -> Self {
        Self { names: names.iter().map(|name| PyString::new(py, name).unbind()).collect(), kind: None }
    }

    /// The same parameters in a container, which may be one of another kind. A list or tuple has those whose names are its
    /// indices in order.
    pub fn within(&self, container: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (py, kind) = (container.py(), Kind::of(container)?);
        if kind == Kind::Sequence {
            let names = self.names.iter().map(|name| text(name.bind(py))).collect::<PyResult<Vec<_>>>()?;
            let indices: Vec<String> = (0..length(container)?).map(|index| index.to_string()).collect();
            names::check(names.iter(), &indices)?;
            if names != indices {
                let valid = "a dict, as the names \"0\", \"1\", ... are averaged in another order";
                return Err(Error::config("params", "a list or tuple", valid).into());
            }
        }
        let own = if let Ok(dict) = container.cast() { self.keys(dict) } else { None };
        let names = own.unwrap_or_else(|| self.names.iter().map(|name| name.clone_ref(py)).collect());
        Ok(Self { names, kind: Some(kind) })
    }

    /// The dict's own strings, if they are the names in order: what is the same object is found without comparing.
    fn keys(&self, dict: &Bound<'_, PyDict>) -> Option<Vec<Py<PyString>>> {
        let keys = dict.keys();
        let each = keys.iter().zip(&self.names).map(|(key, name)| {
            let key = key.cast_into_exact::<PyString>().ok()?;
            let same = key.to_str().ok()? == name.to_str(dict.py()).ok()?;
            same.then(|| key.unbind())
        });
        (keys.len() == self.names.len()).then(|| each.collect()).flatten()
    }

    /// The arrays that a container holds now, and what was read of them.
    pub fn tensors(&self, container: &Bound<'_, PyAny>) -> PyResult<(Held, Vec<Tensor>)> {
        let (py, mut held, mut tensors) = (container.py(), Held::new(), Vec::new());
        self.hold(container, &mut held)?;
        self.settle(py, &mut held, &mut tensors)?;
        self.read(py, &held, &mut tensors)?;
        Ok((held, tensors))
    }

    /// Whether what a container holds now is what these books describe.
    pub fn check(&self, container: &Bound<'_, PyAny>, ledger: &Ledger) -> PyResult<()> {
        let (_held, tensors) = self.tensors(container)?;
        Ok(EMA::check_params(&PythonModel::default(), ledger, &tensors)?)
    }

    /// Reads again what a container holds, if that is what it was at the last call: under the same keys, plain arrays laid
    /// out as before. Says whether it is. No Python code runs, and no reference on an array is taken: what was read stands
    /// until some may run, or another thread.
    pub fn recall(&self, container: &Bound<'_, PyAny>, tensors: &mut [Tensor]) -> bool {
        let (py, count) = (container.py(), self.names.len());
        if tensors.len() != count {
            return false;
        }
        // SAFETY: the interpreter is held.
        let class = unsafe { get_type_object(py, NpyTypes::PyArray_Type) };
        // SAFETY: the container keeps alive what it holds, as nothing else runs. A dict holds no null.
        let recall = |tensor: &mut Tensor, object: *mut PyObject| unsafe { tensor.recall(py, object, class) };
        // Null is where a list or tuple holds nothing.
        let recall_entry = |tensor: &mut Tensor, entry: *mut PyObject| !entry.is_null() && recall(tensor, entry);
        // The lengths are those that the containers have, whatever a subclass says.
        match self.kind {
            Some(Kind::Dict) => container.cast::<PyDict>().is_ok_and(|dict| {
                let (mut at, mut key, mut value) = (0, null_mut(), null_mut());
                dict.len() == count
                    && self.names.iter().zip(tensors).all(|(name, tensor)| {
                        // SAFETY: it is a dict, which nothing changes meanwhile.
                        let found = unsafe { PyDict_Next(dict.as_ptr(), &mut at, &mut key, &mut value) };
                        found != 0 && key == name.as_ptr() && recall(tensor, value)
                    })
            }),
            Some(Kind::Sequence) => {
                let mut each = (0..).zip(tensors);
                if let Ok(list) = container.cast::<PyList>() {
                    // SAFETY: it is a list that has as many entries.
                    let mut recall = |(at, tensor)| recall_entry(tensor, unsafe { PyList_GetItem(list.as_ptr(), at) });
                    return list.len() == count && each.all(&mut recall);
                }
                container.cast::<PyTuple>().is_ok_and(|tuple| {
                    // SAFETY: it is a tuple that has as many entries.
                    let mut recall =
                        |(at, tensor)| recall_entry(tensor, unsafe { PyTuple_GetItem(tuple.as_ptr(), at) });
                    tuple.len() == count && each.all(&mut recall)
                })
            }
            None => false,
        }
    }

    /// The first parameter of which the container holds another array than was given elsewhere, on other memory, as far as that
    /// is told without running Python code.
    pub fn apart(&self, container: &Bound<'_, PyAny>, given: &[Tensor]) -> Option<usize> {
        let is_apart = |(object, given): (Bound<'_, PyAny>, &Tensor)| {
            object.cast::<PyUntypedArray>().is_ok_and(|array| given.is_apart(array))
        };
        if let Ok(dict) = container.cast::<PyDict>() {
            let mut each = dict.iter().zip(&self.names).zip(given);
            return each.position(|(((key, object), name), given)| key.is(name) && is_apart((object, given)));
        }
        match container.cast::<PyList>() {
            Ok(list) => list.iter().zip(given).position(is_apart),
            Err(_) => container.cast::<PyTuple>().ok()?.iter().zip(given).position(is_apart),
        }
    }

    /// Takes a reference to each array that the container holds now, in the order of the names.
    pub fn hold(&self, container: &Bound<'_, PyAny>, held: &mut Held) -> PyResult<()> {
        held.clear();
        let kind = Kind::of(container)?;
        match (kind, self.kind.unwrap_or(kind)) {
            (Kind::Dict, Kind::Dict) => self.hold_dict(container.cast()?, held),
            (Kind::Sequence, Kind::Sequence) => self.hold_sequence(container, held),
            (Kind::Dict, Kind::Sequence) => {
                Err(Error::config("params", "a dict", "a list or tuple, as at construction").into())
            }
            (Kind::Sequence, Kind::Dict) => {
                Err(Error::config("params", "a list or tuple", "a dict, as at construction").into())
            }
        }
    }

    fn hold_dict(&self, dict: &Bound<'_, PyDict>, held: &mut Held) -> PyResult<()> {
        let py = dict.py();
        if dict.len() == self.names.len() {
            // Mostly the keys are the very strings seen at construction, in the same order.
            let same = dict.iter().zip(&self.names).all(|((key, value), name)| {
                held.push(value.unbind());
                key.is(name.bind(py))
            });
            if same {
                return Ok(());
            }
            held.clear();
        }
        let mut missing = Vec::new();
        for name in &self.names {
            match dict.get_item(name.bind(py))? {
                Some(value) => held.push(value.unbind()),
                None => missing.push(text(name.bind(py))?),
            }
        }
        if missing.is_empty() && dict.len() == self.names.len() {
            return Ok(());
        }
        let known = PyDict::new(py);
        for name in &self.names {
            known.set_item(name.bind(py), ())?;
        }
        let mut unexpected = Vec::new();
        for key in dict.keys() {
            if !known.contains(&key)? {
                unexpected.push(text(&key.cast_into().map_err(|error| not_a_name(error.into_inner()))?)?);
            }
        }
        held.clear();
        Err(Error::Names { missing, unexpected }.into())
    }

    fn hold_sequence(&self, sequence: &Bound<'_, PyAny>, held: &mut Held) -> PyResult<()> {
        if let Ok(list) = sequence.cast::<PyList>() {
            held.extend(list.iter().map(Bound::unbind));
        } else {
            held.extend(sequence.cast::<PyTuple>()?.iter().map(Bound::unbind));
        }
        if held.len() == self.names.len() {
            return Ok(());
        }
        let py = sequence.py();
        let missing = self.names.iter().skip(held.len()).map(|name| text(name.bind(py))).collect::<PyResult<_>>()?;
        let unexpected = (self.names.len()..held.len()).map(|index| index.to_string()).collect();
        held.clear();
        Err(Error::Names { missing, unexpected }.into())
    }

    /// Looks at what kind of objects are held, which may run Python code; scalars give way to the arrays made of them.
    pub fn settle(&self, py: Python<'_>, held: &mut Held, tensors: &mut Vec<Tensor>) -> PyResult<()> {
        tensors.resize_with(held.len(), Tensor::default);
        for ((object, name), tensor) in held.iter_mut().zip(&self.names).zip(tensors) {
            tensor.settle(py, object, || name.to_str(py).unwrap_or("?"))?;
        }
        Ok(())
    }

    /// Reads what the held arrays are now, which runs none.
    pub fn read(&self, py: Python<'_>, held: &Held, tensors: &mut [Tensor]) -> PyResult<()> {
        for ((object, name), tensor) in held.iter().zip(&self.names).zip(tensors) {
            tensor.read(object.bind(py), || name.to_str(py).unwrap_or("?"), Role::Parameter)?;
        }
        Ok(())
    }
}

/// How many entries a list or tuple has, whatever a subclass says.
fn length(sequence: &Bound<'_, PyAny>) -> PyResult<usize> {
    match sequence.cast::<PyList>() {
        Ok(list) => Ok(list.len()),
        Err(_) => Ok(sequence.cast::<PyTuple>()?.len()),
    }
}

/// A name as Rust has it; Python allows surrogates in a string, which no text has.
fn text(name: &Bound<'_, PyString>) -> PyResult<String> {
    name.to_str().map(str::to_owned).map_err(|_| not_a_name(name.clone().into_any()).into())
}

fn not_a_name(key: Bound<'_, PyAny>) -> Error {
    let class = key.get_type().name().map_or("?".to_owned(), |name| name.to_string());
    let valid = format!("it is of type {class}, and the keys of a dict of parameters are strings of valid Unicode");
    Error::Key { key: arguments::shown(&key), valid }
}
