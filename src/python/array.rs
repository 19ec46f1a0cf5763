//! One NumPy array: what it is, and where its memory lies.

use super::numbers::{Called, NONE, dtype, settle_dtype};
use super::snapshot::is_snapshot;
use crate::dtype::DType;
use crate::error::Error;
use crate::kernel::Layout;
use crate::kernel::view::{View, ViewMut};
use numpy::npyffi::{NPY_ARRAY_ALIGNED, NPY_ARRAY_WRITEABLE, PyArray_CheckExact, PyArrayObject, PyArrayObject_fields};
use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pyo3::ffi::{Py_TYPE, PyObject, PyTypeObject};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};
use smallvec::SmallVec;
use std::ffi::{c_char, c_int};
use std::ptr::NonNull;

/// Whether an array can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Writable,
    ReadOnly,
    /// A NumPy scalar, which stands for a 0-d array that an expression has left.
    Scalar,
}

/// What an array is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Parameter,
    /// Something else, which may be a snapshot of an average.
    Value,
}

/// Why an object is not read: it is refused, or Python code that it ran has raised an exception.
#[derive(Debug)]
pub enum Unfit {
    Refused(Error),
    Raised(PyErr),
}

impl From<Error> for Unfit {
    fn from(error: Error) -> Self {
        Unfit::Refused(error)
    }
}

impl From<PyErr> for Unfit {
    fn from(error: PyErr) -> Self {
        Unfit::Raised(error)
    }
}

impl From<Unfit> for PyErr {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Refused(error) => error.into(),
            Unfit::Raised(error) => error,
        }
    }
}

/// What was read of an array. It keeps nothing alive: whoever looks at the memory has to.
#[derive(Debug)]
pub struct Tensor {
    data: NonNull<u8>,
    layout: Layout,
    /// What NumPy calls the dtype: its number and byte order. Not the descriptor itself: letting go of an old one may run
    /// any Python code, in the middle of reading. Not a `Called`, which would take the room of two more fields.
    number: c_int,
    order: c_char,
    pub dtype: DType,
    /// Whether it was made of a scalar, `settle` says; the rest, `read`.
    pub access: Access,
}

// Of many small tensors a call reads little else, and that from memory.
const _: () = assert!(size_of::<Tensor>() <= 32);

// SAFETY: the pointer is followed only by `view` and `view_mut`, whose callers promise that the memory is there.
unsafe impl Send for Tensor {}
// SAFETY: as above.
unsafe impl Sync for Tensor {}

impl Default for Tensor {
    fn default() -> Self {
        Self {
            data: NonNull::dangling(),
            layout: Layout::new(DType::F64, &[0], &[1]).expect("nothing fits into memory"),
            number: NONE,
            order: 0,
            dtype: DType::F64,
            access: Access::ReadOnly,
        }
    }
}

const VALID: &str = "a NumPy array of float64, float32, float16, bfloat16, bool or an integer type, in the byte order \
                     of this machine";

impl Tensor {
    /// Looks at what kind of object the parameter called `name()` is, and puts the array made of it in the place of a scalar,
    /// whose memory would be gone with that array. This may run any Python code, so that it comes before the facts of any
    /// array are read.
    #[inline]
    pub fn settle<'n>(
        &mut self,
        py: Python<'_>,
        object: &mut Py<PyAny>,
        name: impl Fn() -> &'n str,
    ) -> Result<(), Unfit> {
        self.access = Access::ReadOnly;
        // SAFETY: the pointer is that of a live object.
        if unsafe { PyArray_CheckExact(py, object.as_ptr()) } == 0 {
            return self.settle_other(py, object, name);
        }
        // SAFETY: an array was just found there.
        settle_dtype(unsafe { object.bind(py).cast_unchecked::<PyUntypedArray>() });
        Ok(())
    }

    /// Looks at what is no plain array: one of a subclass, a scalar, or nothing of ours.
    #[cold]
    fn settle_other<'n>(
        &mut self,
        py: Python<'_>,
        object: &mut Py<PyAny>,
        name: impl Fn() -> &'n str,
    ) -> Result<(), Unfit> {
        let found = object.bind(py);
        let class = found.get_type();
        if let Ok(array) = found.cast::<PyUntypedArray>() {
            if class.is_subclass(masked(py)?)? {
                return Err(refused(name(), "a masked array", "an array without a mask"));
            }
            settle_dtype(array);
            return Ok(());
        }
        if class.is_subclass(generic(py)?)? {
            // Whatever a subclass makes of it has to be an array.
            if let Ok(made) = found.call_method0("__array__")?.cast_into::<PyUntypedArray>() {
                settle_dtype(&made);
                self.access = Access::Scalar;
                *object = made.into_any().unbind();
                return Ok(());
            }
        }
        let is_container =
            found.is_instance_of::<PyDict>() || found.is_instance_of::<PyList>() || found.is_instance_of::<PyTuple>();
        let hint = if is_container {
            "; np.array makes one of numbers, and nested arrays go into the one container, as \"layer/weight\""
        } else if !found.is_instance_of::<PyType>() && found.hasattr("__array__").unwrap_or(false) {
            "; np.asarray makes one, of a torch tensor t.detach().numpy()"
        } else {
            ""
        };
        Err(refused(name(), &format!("no array but of type {}", class.name()?), &format!("{VALID}{hint}")))
    }

    /// Reads the facts of an array that was settled. This runs no Python code, and so nothing that is read is outdated
    /// before the interpreter is given away.
    #[inline]
    pub fn read<'n>(&mut self, object: &Bound<'_, PyAny>, name: impl Fn() -> &'n str, role: Role) -> Result<(), Unfit> {
        let scalar = self.access == Access::Scalar;
        // SAFETY: `settle` found an array there or put one there, or failed.
        self.read_array(unsafe { object.cast_unchecked::<PyUntypedArray>() }, name, role)?;
        if scalar {
            self.access = Access::Scalar;
        }
        Ok(())
    }

    /// Reads an object again that mostly is what it was: a plain array, laid out as before. Says whether it is, and keeps what
    /// was read only then. This runs no Python code, and takes no reference.
    ///
    /// # Safety
    /// The object has to be a live one, while `class` is NumPy's class of arrays.
    #[inline(always)]
    pub unsafe fn recall(&mut self, py: Python<'_>, object: *mut PyObject, class: *mut PyTypeObject) -> bool {
        // SAFETY: every object has a type.
        if unsafe { Py_TYPE(object) } != class {
            return false;
        }
        // SAFETY: an array was just found there, see `read_array`.
        let fields = unsafe { &(*object.cast::<PyArrayObject>()).fields };
        !is_average(py, fields) && self.take(fields)
    }

    #[inline]
    fn read_array<'n>(
        &mut self,
        array: &Bound<'_, PyUntypedArray>,
        name: impl Fn() -> &'n str,
        role: Role,
    ) -> Result<(), Unfit> {
        // SAFETY: a `PyUntypedArray` is NumPy's struct, alive while it is borrowed; whoever could change it needs the
        // interpreter, which this thread holds.
        let fields = unsafe { &(*array.as_array_ptr()).fields };
        if role == Role::Parameter && is_average(array.py(), fields) {
            let problem = "is a view of an average, which would be averaged into itself: give the parameter, or a copy";
            return Err(Error::Layout { index: None, name: name().to_owned(), problem: problem.to_owned() }.into());
        }
        if self.take(fields) { Ok(()) } else { self.read_anew(array, fields, name) }
    }

    /// Takes over where an array's memory is, if it has the dtype and the layout that are known.
    #[inline(always)]
    fn take(&mut self, fields: &Fields) -> bool {
        let same = (self.number, self.order) == called(fields)
            && fields.flags & NPY_ARRAY_ALIGNED != 0
            && self.is_laid_out_as(fields);
        if same {
            self.place(fields);
        }
        same
    }

    /// Whether an array is laid out as the one that was read last.
    #[inline(always)]
    fn is_laid_out_as(&self, fields: &Fields) -> bool {
        let size = self.dtype.size();
        if fields.nd == 1 {
            // SAFETY: NumPy keeps an extent, which is not negative, and a stride of each axis.
            return self.layout.is_axis(size, unsafe { (*fields.dimensions as usize, *fields.strides) });
        }
        let (shape, strides) = axes(fields);
        self.layout.is(size, shape, strides)
    }

    #[inline]
    fn place(&mut self, fields: &Fields) {
        let data = NonNull::new(fields.data.cast()).unwrap_or(NonNull::dangling());
        let access = if fields.flags & NPY_ARRAY_WRITEABLE == 0 { Access::ReadOnly } else { Access::Writable };
        // Mostly the same: what is not written need not go back to memory.
        if (self.data, self.access) != (data, access) {
            (self.data, self.access) = (data, access);
        }
    }

    /// Looks at an array that is not laid out as it was.
    #[cold]
    fn read_anew<'n>(
        &mut self,
        array: &Bound<'_, PyUntypedArray>,
        fields: &Fields,
        name: impl Fn() -> &'n str,
    ) -> Result<(), Unfit> {
        let called = called(fields);
        let Some(dtype) = dtype(called) else {
            return Err(refused(name(), &array.dtype().str()?.to_string(), VALID));
        };
        let refuse = |problem: &str| {
            Unfit::from(Error::Layout { index: None, name: name().to_owned(), problem: problem.to_owned() })
        };
        if fields.flags & NPY_ARRAY_ALIGNED == 0 {
            return Err(refuse("is not aligned in memory: copy it with np.array(...)"));
        }
        let (shape, strides) = axes(fields);
        self.layout = layout(dtype, shape, strides).map_err(refuse)?;
        self.dtype = dtype;
        (self.number, self.order) = called;
        self.place(fields);
        Ok(())
    }

    /// The extent of each dimension.
    pub fn shape(&self) -> &[usize] {
        self.layout.shape()
    }

    /// Whether an array lies elsewhere than what was read. What was made of a scalar lies nowhere in particular.
    pub fn is_apart(&self, array: &Bound<'_, PyUntypedArray>) -> bool {
        // SAFETY: as in `read_array`.
        let data = unsafe { (*array.as_array_ptr()).fields.data };
        self.elements() > 0 && self.access != Access::Scalar && self.data.as_ptr() != data.cast()
    }

    /// How many elements there are.
    #[inline]
    pub fn elements(&self) -> usize {
        self.layout.elements()
    }

    /// The array's memory, to read.
    ///
    /// # Safety
    /// Since the array was read, neither it nor its memory may have gone or changed its layout, nor may they during 'a.
    pub unsafe fn view(&self) -> View<'_> {
        // SAFETY: NumPy's own description of its memory, which is as it was: the caller says so.
        unsafe { View::from_layout(self.data, self.dtype, &self.layout) }
    }

    /// The array's memory, to write.
    ///
    /// # Safety
    /// As for [`Tensor::view`]; the array has to be writable, and nobody else may hold a view of its memory.
    pub unsafe fn view_mut(&self) -> ViewMut<'_> {
        // SAFETY: as in `view`; the caller promises to be alone.
        unsafe { ViewMut::from_layout(self.data, self.dtype, &self.layout) }
    }
}

/// What NumPy's struct of an array has.
type Fields = PyArrayObject_fields;

/// Whether an array's memory is that of an average.
#[inline]
fn is_average(py: Python<'_>, fields: &Fields) -> bool {
    // SAFETY: whoever has the fields of an array keeps it alive.
    !fields.base.is_null() && unsafe { is_snapshot(py, fields.base) }
}

/// What NumPy calls an array's dtype.
#[inline]
fn called(fields: &Fields) -> Called {
    // SAFETY: an array always has a descriptor, which lives as long as it.
    unsafe { ((*fields.descr).fields.type_num, (*fields.descr).fields.byteorder) }
}

/// An array's shape, and its strides in bytes.
#[inline]
fn axes(fields: &Fields) -> (&[usize], &[isize]) {
    let dimensions = usize::try_from(fields.nd).unwrap_or(0);
    if dimensions == 0 {
        // Of a scalar the two pointers may be null.
        return (&[], &[]);
    }
    // SAFETY: NumPy keeps `nd` extents and strides at these places, no extent negative.
    unsafe {
        (
            std::slice::from_raw_parts(fields.dimensions.cast::<usize>(), dimensions),
            std::slice::from_raw_parts(fields.strides, dimensions),
        )
    }
}

/// The layout of an array with this shape and these strides in bytes; else what is wrong with it.
#[cold]
fn layout(dtype: DType, shape: &[usize], strides: &[isize]) -> Result<Layout, &'static str> {
    let size = dtype.size() as isize;
    if shape.iter().zip(strides).any(|(&extent, &bytes)| extent > 1 && bytes % size != 0) {
        return Err("has strides that are not multiples of its element size: copy it with np.array(...)");
    }
    let strides: SmallVec<[isize; 6]> = strides.iter().map(|&bytes| bytes / size).collect();
    Layout::new(dtype, shape, &strides).ok_or("has more elements than memory can hold")
}

fn refused(name: &str, found: &str, valid: &str) -> Unfit {
    Error::DType { name: name.to_owned(), found: found.to_owned(), valid: valid.to_owned() }.into()
}

fn masked(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "numpy.ma", "MaskedArray")
}

fn generic(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "numpy", "generic")
}
