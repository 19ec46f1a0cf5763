//! State dicts: what is kept of an EMA as plain Python objects, out and in.

use super::arguments::shown;
use super::array::{Role, Tensor, Unfit};
use super::container::Held;
use super::snapshot::snapshot;
use crate::checkpoint::{Document, Entry, Problem, books, check_set, check_ties, read_document, write_document};
use crate::descriptor::Descriptor;
use crate::engine::Buffer;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::names;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::path::Path;

const BOOKS: &str = "shrew_ema";
const AVERAGES: &str = "averages";

/// The books of each horizon as JSON, and the averages of each by name. Tied names have one array between them.
pub fn write<'py>(py: Python<'py>, books: &Ledger, averages: &[Buffer]) -> PyResult<Bound<'py, PyDict>> {
    let (documents, columns) = (PyList::empty(py), PyList::empty(py));
    let spec = books.spec();
    for horizon in 0..spec.horizons {
        documents.append(write_document(books, horizon, None, None))?;
        let mut arrays: Vec<Bound<'py, PyAny>> = Vec::with_capacity(spec.owners.len());
        for (index, &owner) in spec.owners.iter().enumerate() {
            arrays.push(match arrays.get(owner) {
                Some(array) => array.clone(),
                None => snapshot(py, plain(&averages[index * spec.horizons + horizon])?)?,
            });
        }
        let column = PyDict::new(py);
        for (name, array) in books.names().iter().zip(arrays) {
            column.set_item(name, array)?;
        }
        columns.append(column)?;
    }
    let all = PyDict::new(py);
    all.set_item(BOOKS, documents)?;
    all.set_item(AVERAGES, columns)?;
    Ok(all)
}

/// An average as others can read it: an array may have any byte for true, and files and state dicts have only one.
fn plain(average: &Buffer) -> Result<Buffer, Error> {
    let mut average = average.clone();
    if average.has_odd_bools() {
        average.own()?;
        average.as_mut_bytes().iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
    }
    Ok(average)
}

/// The books and the averages, with the tensors in the order of `names` if any are given.
pub fn read(state_dict: &Bound<'_, PyAny>, names: Option<&[String]>) -> PyResult<(Ledger, Vec<Buffer>)> {
    let (documents, columns) = parts(state_dict)?;
    let documents = documents.iter().map(|text| read_document(text)).collect::<Result<Vec<Document>, _>>();
    let documents = documents.and_then(|documents| check_set(&documents).map(|()| documents)).map_err(at)?;
    if let Some(dtype) = documents[0].rounded_to().map_err(at)? {
        let problem = format!("holds averages that were rounded to {dtype}, as no state dict does");
        return Err(at(Problem::Content(problem)).into());
    }
    let mut arrays = Vec::with_capacity(columns.len());
    for column in &columns {
        arrays.push(Column::settled(column)?);
    }
    // From here to the end no other Python code runs, so that the arrays stay as they are read.
    for column in &mut arrays {
        column.read(state_dict.py())?;
    }
    let stored: Vec<_> = arrays.iter().map(Column::stored).collect();
    let (documents, stored): (Vec<_>, Vec<_>) =
        documents.iter().zip(&stored).map(|(document, stored)| (document, &stored[..])).unzip();
    let in_column = |(_, problem)| at(problem);
    let books = books(&documents, &stored, names).map_err(in_column)?;
    let mut averages = Vec::with_capacity(stored.len() * books.ledger.names().len());
    for index in 0..books.ledger.names().len() {
        for (column, places) in arrays.iter().zip(&books.places) {
            averages.push(column.value(places[index])?);
        }
    }
    check_ties(&books.ledger, &averages).map_err(in_column)?;
    Ok((books.ledger, averages))
}

fn at(problem: Problem) -> Error {
    problem.at(Path::new("state_dict"))
}

/// What can't be an average is no parameter, whatever else it may be.
fn of_state(unfit: Unfit) -> PyErr {
    let problem = match unfit {
        Unfit::Refused(Error::DType { name, found, valid }) => {
            format!("has an average \"{name}\" that is {found}, expected {valid}")
        }
        Unfit::Refused(Error::Layout { name, problem, .. }) => format!("has an average \"{name}\" that {problem}"),
        other => return other.into(),
    };
    at(Problem::Content(problem)).into()
}

/// The texts and the dicts of arrays of a state dict.
fn parts<'py>(state_dict: &Bound<'py, PyAny>) -> PyResult<(Vec<String>, Vec<Bound<'py, PyDict>>)> {
    let refuse = |problem: &str| Err(at(Problem::Content(problem.to_owned())).into());
    let Ok(state_dict) = state_dict.cast::<PyDict>() else { return refuse("is no dict, as EMA.state_dict() gives it") };
    let (Some(documents), Some(columns)) = (state_dict.get_item(BOOKS)?, state_dict.get_item(AVERAGES)?) else {
        return refuse("is no state dict of an EMA: it has no \"shrew_ema\" and \"averages\"");
    };
    let (Ok(documents), Ok(columns)) =
        (documents.extract::<Vec<String>>(), columns.extract::<Vec<Bound<'py, PyDict>>>())
    else {
        return refuse("has no list of texts under \"shrew_ema\" and of dicts under \"averages\"");
    };
    if documents.is_empty() || documents.len() != columns.len() {
        return refuse("has not one text and one dict for each horizon");
    }
    Ok((documents, columns))
}

/// The arrays of one horizon.
struct Column {
    names: Vec<String>,
    held: Held,
    tensors: Vec<Tensor>,
}

impl Column {
    /// Takes references to the arrays and looks at what they are, which may run any Python code.
    fn settled(column: &Bound<'_, PyDict>) -> PyResult<Self> {
        let mut all = Column { names: Vec::new(), held: Held::new(), tensors: Vec::new() };
        for (key, value) in column.iter() {
            let Ok(name) = key.extract() else {
                return Err(at(Problem::Content(format!("has an average of {}, which is no name", shown(&key)))).into());
            };
            all.names.push(name);
            all.held.push(value.unbind());
        }
        // A dict may tell apart what is one name: texts of a class that compares them in its own way.
        if let Some(name) = names::repeated(all.names.iter()) {
            return Err(at(Problem::Content(format!("has an average \"{name}\" twice"))).into());
        }
        for (object, name) in all.held.iter_mut().zip(&all.names) {
            let mut tensor = Tensor::default();
            tensor.settle(column.py(), object, || name).map_err(of_state)?;
            all.tensors.push(tensor);
        }
        Ok(all)
    }

    fn read(&mut self, py: Python<'_>) -> PyResult<()> {
        for ((object, name), tensor) in self.held.iter().zip(&self.names).zip(&mut self.tensors) {
            tensor.read(object.bind(py), || name, Role::Value).map_err(of_state)?;
        }
        Ok(())
    }

    fn stored(&self) -> Vec<Entry> {
        let described = self.tensors.iter().map(|tensor| Descriptor::new(tensor.dtype(), tensor.shape()));
        let each = self.names.iter().cloned().zip(described);
        each.map(|(name, descriptor)| Entry { name, descriptor }).collect()
    }

    fn value(&self, place: usize) -> Result<Buffer, Error> {
        // SAFETY: the array is held by `self`, and has not changed since it was read: no Python code has run.
        let buffer = Buffer::copied(&unsafe { self.tensors[place].view() })?;
        if buffer.has_odd_bools() {
            let problem = format!("has an average \"{}\" of bools that are neither true nor false", self.names[place]);
            return Err(at(Problem::Content(problem)));
        }
        Ok(buffer)
    }
}
