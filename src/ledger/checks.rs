//! Whether what a call was given is what the books describe.

use super::Ledger;
use crate::dtype::DType;
use crate::error::{Error, Result};

impl Ledger {
    /// Whether a horizon exists.
    ///
    /// # Errors
    /// [`Error::Config`] if not.
    pub fn check_horizon(&self, horizon: usize) -> Result<()> {
        if horizon < self.horizons.len() {
            return Ok(());
        }
        Err(Error::config(
            "horizon",
            horizon,
            match self.horizons.len() {
                1 => "0, the only one".to_owned(),
                all => format!("an index from 0 to {}", all - 1),
            },
        ))
    }

    /// Whether an index exists.
    ///
    /// # Errors
    /// [`Error::Key`] if not.
    pub fn check_index(&self, index: usize) -> Result<()> {
        if index < self.names.len() {
            return Ok(());
        }
        Err(Error::Key { key: index.to_string(), valid: format!("the indices are 0 to {}", self.names.len() - 1) })
    }

    /// Whether there are as many tensors as names.
    ///
    /// # Errors
    /// [`Error::Names`] if not.
    pub fn check_count(&self, count: usize) -> Result<()> {
        if count == self.names.len() {
            return Ok(());
        }
        let missing = self.names.iter().skip(count).cloned().collect();
        let unexpected = (self.names.len()..count).map(|index| index.to_string()).collect();
        Err(Error::Names { missing, unexpected })
    }

    /// Whether the tensor at an index is what it was.
    ///
    /// # Errors
    /// [`Error::DType`] or [`Error::Shape`] if not.
    ///
    /// # Panics
    /// Where there is no such tensor.
    #[inline]
    pub fn check(&self, index: usize, dtype: DType, shape: &[usize]) -> Result<()> {
        let expected = &self.descriptors[index];
        // By hand, as comparing two slices is a call, and this is done for each tensor at each update.
        let same = dtype == expected.dtype
            && shape.len() == expected.shape.len()
            && shape.iter().zip(&expected.shape).all(|(found, known)| found == known);
        if same { Ok(()) } else { self.refuse(index, dtype, shape) }
    }

    /// What is wrong with a tensor.
    #[cold]
    fn refuse(&self, index: usize, dtype: DType, shape: &[usize]) -> Result<()> {
        let expected = &self.descriptors[index];
        if dtype != expected.dtype {
            return Err(Error::DType {
                name: self.names[index].clone(),
                found: dtype.name().to_owned(),
                valid: expected.dtype.name().to_owned(),
            });
        }
        Err(Error::Shape { name: self.names[index].clone(), expected: expected.shape.to_vec(), found: shape.to_vec() })
    }

    /// Puts the names into what a backend said of tensors by their indices.
    pub fn label(&self, error: Error) -> Error {
        label(&self.names, error)
    }
}

/// Puts the names into what a backend said of tensors by their indices.
pub fn label(names: &[String], error: Error) -> Error {
    match error {
        Error::Layout { index: Some(index), problem, .. } => {
            Error::Layout { index: Some(index), name: names[index].clone(), problem }
        }
        Error::Overlap { indices, problem, .. } => {
            Error::Overlap { indices, names: (names[indices.0].clone(), names[indices.1].clone()), problem }
        }
        other => other,
    }
}
