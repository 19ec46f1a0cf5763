//! One NumPy array: what it is, and where its memory lies.

use super::fields::{ALIGNED, CONTIGUOUS, Fields, WRITEABLE};
use super::numbers::{NONE, dtype, settle_dtype};
use super::snapshot::is_snapshot;
use crate::dtype::DType;
use crate::error::Error;
use crate::kernel::Layout;
use crate::kernel::view::{View, ViewMut};
use numpy::npyffi::PyArray_CheckExact;
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
    dtype: DType,
    /// What `Fields::flags` gives; besides, whether the array was made of a scalar.
    flags: u16,
}

/// Whether an array was made of a scalar, which `settle` says; none of NumPy's own flags.
const SCALAR: u16 = 1 << 15;

const _: () = assert!((ALIGNED | CONTIGUOUS | WRITEABLE) & SCALAR == 0);

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
            flags: 0,
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
        self.flags &= !SCALAR;
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
                self.flags |= SCALAR;
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
        let scalar = self.flags & SCALAR;
        self.flags &= !SCALAR;
        // SAFETY: `settle` found an array there or put one there, or failed.
        let read = self.read_array(unsafe { object.cast_unchecked::<PyUntypedArray>() }, name, role);
        self.flags |= scalar;
        read
    }

    /// Reads an object again that mostly is what it was: a plain array, laid out and writeable as before. Says whether it is,
    /// and keeps what was read only then. This runs no Python code, and takes no reference.
    ///
    /// # Safety
    /// The object has to be a live one, while `class` is NumPy's class of arrays.
    #[inline(always)]
    pub unsafe fn recall(&mut self, py: Python<'_>, object: *mut PyObject, class: *mut PyTypeObject) -> bool {
        // SAFETY: every object has a type.
        if unsafe { Py_TYPE(object) } != class {
            return false;
        }
        // SAFETY: an array was just found there.
        let fields = unsafe { Fields::at(object) };
        !is_snapshot(py, fields) && self.take(fields)
    }

    #[inline]
    fn read_array<'n>(
        &mut self,
        array: &Bound<'_, PyUntypedArray>,
        name: impl Fn() -> &'n str,
        role: Role,
    ) -> Result<(), Unfit> {
        let fields = Fields::of(array);
        if role == Role::Parameter && is_snapshot(array.py(), fields) {
            let problem = "is a view of an average, which would be averaged into itself: give the parameter, or a copy";
            return Err(Error::Layout { index: None, name: name().to_owned(), problem: problem.to_owned() }.into());
        }
        if self.take(fields) { Ok(()) } else { self.read_anew(array, fields, name) }
    }

    /// Takes over where an array's memory is, if all else is as it is known.
    #[inline(always)]
    fn take(&mut self, fields: Fields<'_>) -> bool {
        let same =
            (self.number, self.order) == fields.called() && self.flags == fields.flags() && self.has_axes_of(fields);
        if same {
            self.place(fields);
        }
        same
    }

    /// Whether an array that has the same flags also has the axes that are known.
    #[inline(always)]
    fn has_axes_of(&self, fields: Fields<'_>) -> bool {
        let has_shape = match self.layout.only_extent() {
            Some(extent) => fields.only_extent() == Some(extent),
            None => self.layout.has_shape(fields.shape()),
        };
        // Most say themselves that their elements lie one after the other.
        has_shape && (self.flags & CONTIGUOUS != 0 || self.layout.has_strides(self.dtype.size(), fields.strides()))
    }

    #[inline(always)]
    fn place(&mut self, fields: Fields<'_>) {
        // Mostly the same: what is not written need not go back to memory.
        if !fields.begins_at(self.data) {
            self.data = fields.data().unwrap_or(NonNull::dangling());
        }
    }

    /// Looks at an array that is not laid out as it was, or has other flags.
    #[cold]
    fn read_anew<'n>(
        &mut self,
        array: &Bound<'_, PyUntypedArray>,
        fields: Fields<'_>,
        name: impl Fn() -> &'n str,
    ) -> Result<(), Unfit> {
        let called = fields.called();
        let Some(dtype) = dtype(called) else {
            return Err(refused(name(), &array.dtype().str()?.to_string(), VALID));
        };
        let refuse = |problem: &str| {
            Unfit::from(Error::Layout { index: None, name: name().to_owned(), problem: problem.to_owned() })
        };
        if fields.flags() & ALIGNED == 0 {
            return Err(refuse("is not aligned in memory: copy it with np.array(...)"));
        }
        self.layout = layout(dtype, fields.shape(), fields.strides()).map_err(refuse)?;
        self.dtype = dtype;
        (self.number, self.order) = called;
        // `take` goes by what the flag says, and so by nothing that was not found to be true here.
        self.flags = fields.flags() & if self.layout.is_contiguous() { !0 } else { !CONTIGUOUS };
        self.place(fields);
        Ok(())
    }

    /// The dtype.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Whether it can be written.
    pub fn access(&self) -> Access {
        if self.flags & SCALAR != 0 {
            Access::Scalar
        } else if self.flags & WRITEABLE != 0 {
            Access::Writable
        } else {
            Access::ReadOnly
        }
    }

    /// The extent of each dimension.
    pub fn shape(&self) -> &[usize] {
        self.layout.shape()
    }

    /// Whether an array lies elsewhere than what was read. What was made of a scalar lies nowhere in particular.
    pub fn is_apart(&self, array: &Bound<'_, PyUntypedArray>) -> bool {
        self.elements() > 0 && self.access() != Access::Scalar && !Fields::of(array).begins_at(self.data)
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

/// The layout of an array with this shape and these strides in bytes; else what is wrong with it.
#[cold]
fn layout(dtype: DType, shape: &[usize], strides: &[isize]) -> Result<Layout, &'static str> {
    let size = dtype.size() as isize;
    // Without elements nothing is stepped along, and NumPy calls any strides contiguous.
    let mut steps = shape.iter().zip(strides).filter(|&(&extent, _)| extent > 1 && !shape.contains(&0));
    if steps.any(|(_, &bytes)| bytes % size != 0) {
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
