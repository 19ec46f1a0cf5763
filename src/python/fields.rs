//! What NumPy's struct of an array says, read as it is: no Python code runs, and no reference is taken.

use numpy::PyUntypedArray;
use numpy::npyffi::{NPY_ARRAY_ALIGNED, NPY_ARRAY_C_CONTIGUOUS, NPY_ARRAY_WRITEABLE};
use numpy::npyffi::{PyArrayObject, PyArrayObject_fields};
use pyo3::ffi::PyObject;
use pyo3::prelude::*;
use std::ffi::{c_char, c_int};
use std::ptr::NonNull;

/// What NumPy calls a dtype: its number and byte order.
pub type Called = (c_int, c_char);

/// The array can be read and written with instructions for its dtype.
pub const ALIGNED: u16 = NPY_ARRAY_ALIGNED as u16;
/// Its elements lie one after the other.
pub const CONTIGUOUS: u16 = NPY_ARRAY_C_CONTIGUOUS as u16;
/// It can be written.
pub const WRITEABLE: u16 = NPY_ARRAY_WRITEABLE as u16;

/// The fields of an array that is alive. Whoever could change them needs the interpreter, which this thread holds.
#[derive(Clone, Copy)]
pub struct Fields<'a>(&'a PyArrayObject_fields);

impl<'a> Fields<'a> {
    /// Those of an array, to be forgotten before any Python code runs.
    #[inline]
    pub fn of(array: &'a Bound<'_, PyUntypedArray>) -> Self {
        // SAFETY: it is an array, and borrowed; the caller has the interpreter.
        unsafe { Self::at(array.as_ptr()) }
    }

    /// # Safety
    /// An array has to be there, alive for 'a, which nothing changes meanwhile: no Python code may run.
    #[inline(always)]
    pub unsafe fn at(object: *mut PyObject) -> Self {
        // SAFETY: the caller says so.
        Self(unsafe { &(*object.cast::<PyArrayObject>()).fields })
    }

    /// What NumPy calls the dtype.
    #[inline]
    pub fn called(self) -> Called {
        // SAFETY: an array always has a descriptor, which lives as long as it.
        unsafe { ((*self.0.descr).fields.type_num, (*self.0.descr).fields.byteorder) }
    }

    /// Which of the three flags it has.
    #[inline(always)]
    pub fn flags(self) -> u16 {
        self.0.flags as u16 & (ALIGNED | CONTIGUOUS | WRITEABLE)
    }

    /// Where its memory is, if it has any.
    #[inline(always)]
    pub fn data(self) -> Option<NonNull<u8>> {
        NonNull::new(self.0.data.cast())
    }

    /// Whether its memory begins there.
    #[inline(always)]
    pub fn begins_at(self, data: NonNull<u8>) -> bool {
        self.0.data.cast() == data.as_ptr()
    }

    /// What keeps its memory alive, if that is not its own.
    #[inline(always)]
    pub fn base(self) -> Option<NonNull<PyObject>> {
        NonNull::new(self.0.base)
    }

    /// The extent of its only axis, if it has one.
    #[inline(always)]
    pub fn only_extent(self) -> Option<usize> {
        // SAFETY: NumPy keeps an extent of each axis, none negative.
        (self.0.nd == 1).then(|| unsafe { *self.0.dimensions } as usize)
    }

    /// Its shape.
    #[inline]
    pub fn shape(self) -> &'a [usize] {
        // SAFETY: NumPy keeps an extent of each axis, none negative.
        unsafe { self.axes(self.0.dimensions.cast()) }
    }

    /// Its strides in bytes.
    #[inline]
    pub fn strides(self) -> &'a [isize] {
        // SAFETY: NumPy keeps a stride of each axis.
        unsafe { self.axes(self.0.strides) }
    }

    /// # Safety
    /// As much has to be there as the array has axes.
    #[inline]
    unsafe fn axes<T>(self, each: *const T) -> &'a [T] {
        match usize::try_from(self.0.nd) {
            // SAFETY: the caller says so.
            Ok(dimensions @ 1..) => unsafe { std::slice::from_raw_parts(each, dimensions) },
            // Of an array without axes the pointer may be null.
            _ => &[],
        }
    }
}
