//! A read-only array over the memory of an average, and how it is known when it comes back.

use super::fields::Fields;
use super::numbers::number;
use crate::engine::Buffer;
use numpy::PyUntypedArray;
use numpy::npyffi::{NPY_ARRAY_CARRAY_RO, NpyTypes, PY_ARRAY_API, PyArrayObject, get_type_object};
use pyo3::ffi::PyObject;
use pyo3::prelude::*;
use smallvec::SmallVec;
use std::ffi::c_int;
use std::ptr::NonNull;

/// Keeps the memory of a snapshot alive. It is the base of the array, and being no array itself it keeps NumPy from
/// ever making that array writable.
#[pyclass(frozen, module = "shrew_ema._core")]
pub struct Snapshot {
    buffer: Buffer,
}

/// Whether an array's memory is that of a snapshot: directly, or through any number of views.
#[inline]
pub fn is_snapshot(py: Python<'_>, array: Fields<'_>) -> bool {
    array.base().is_some_and(|base| keeps_snapshot(py, base))
}

/// The same of what keeps the memory of an array alive. Without recursion, as a chain of views may be long.
fn keeps_snapshot(py: Python<'_>, mut base: NonNull<PyObject>) -> bool {
    loop {
        // SAFETY: an array keeps its base alive, and that one its own, while the first array is borrowed.
        let object = unsafe { Bound::from_borrowed_ptr(py, base.as_ptr()) };
        let Ok(array) = object.cast::<PyUntypedArray>() else { return object.is_instance_of::<Snapshot>() };
        match Fields::of(array).base() {
            Some(next) => base = next,
            None => return false,
        }
    }
}

/// A read-only array over the memory of a buffer; nothing is copied.
pub fn snapshot(py: Python<'_>, buffer: Buffer) -> PyResult<Bound<'_, PyAny>> {
    let number = number(buffer.dtype()).expect("averages have dtypes of NumPy's own");
    let mut dimensions: SmallVec<[isize; 6]> = buffer.shape().iter().map(|&extent| extent as isize).collect();
    let base = Bound::new(py, Snapshot { buffer })?;
    let data = base.get().buffer.view().as_ptr();
    // SAFETY: the memory holds that many elements of that dtype, contiguous and aligned, and never changes: a buffer is
    // copied before it is written while it is shared. The two calls take over the references that they are given, and
    // the base outlives the array.
    unsafe {
        let array = PY_ARRAY_API.PyArray_NewFromDescr(
            py,
            get_type_object(py, NpyTypes::PyArray_Type),
            PY_ARRAY_API.PyArray_DescrFromType(py, number),
            dimensions.len() as c_int,
            dimensions.as_mut_ptr(),
            std::ptr::null_mut(),
            data.cast_mut().cast(),
            NPY_ARRAY_CARRAY_RO,
            std::ptr::null_mut(),
        );
        let array = Bound::from_owned_ptr_or_err(py, array)?;
        if PY_ARRAY_API.PyArray_SetBaseObject(py, array.as_ptr().cast::<PyArrayObject>(), base.into_ptr()) < 0 {
            return Err(PyErr::fetch(py));
        }
        Ok(array)
    }
}
