//! What NumPy calls dtypes: numbers, of which that of bfloat16 is known once it was met.

use super::fields::{Called, Fields};
use crate::dtype::DType;
use numpy::{PyArrayDescr, PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;
use std::ffi::{c_int, c_long};
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

/// NumPy's numbers of its types. Of two C types of one width, `long` comes first: it is what NumPy calls by the width.
const NUMBERS: [(c_int, DType); 14] = {
    const LONG: (DType, DType) =
        if size_of::<c_long>() == 8 { (DType::I64, DType::U64) } else { (DType::I32, DType::U32) };
    [
        (11, DType::F32),
        (12, DType::F64),
        (23, DType::F16),
        (0, DType::Bool),
        (1, DType::I8),
        (2, DType::U8),
        (3, DType::I16),
        (4, DType::U16),
        (7, LONG.0),
        (8, LONG.1),
        (5, DType::I32),
        (6, DType::U32),
        (9, DType::I64),
        (10, DType::U64),
    ]
};

/// NumPy's number of a dtype, if it is of NumPy's own.
pub fn number(dtype: DType) -> Option<c_int> {
    NUMBERS.iter().find(|&&(_, known)| known == dtype).map(|&(number, _)| number)
}

/// The dtype of this number and byte order, if it is one of ours and in this machine's order.
pub fn dtype((number, order): Called) -> Option<DType> {
    // NumPy mostly writes '=' for what is native, '|' where there is no order, and at times the order itself.
    let native = if cfg!(target_endian = "little") { b'<' } else { b'>' };
    if ![b'=', b'|', native].contains(&(order as u8)) {
        return None;
    }
    if number == BFLOAT16.load(Relaxed) {
        return Some(DType::BF16);
    }
    NUMBERS.iter().find(|&&(known, _)| known == number).map(|&(_, dtype)| dtype)
}

/// The number of no type; -1 is one that several have.
pub const NONE: c_int = c_int::MIN;

/// The number of bfloat16, which is registered with NumPy at run time and differs from process to process: once it was met.
static BFLOAT16: AtomicI32 = AtomicI32::new(NONE);

/// The first number of those that are registered at run time.
const REGISTERED: c_int = 256;

/// Makes sure that bfloat16 is known by its number if this array is of it.
#[inline]
pub fn settle_dtype(array: &Bound<'_, PyUntypedArray>) {
    let (number, _) = Fields::of(array).called();
    if number >= REGISTERED && number != BFLOAT16.load(Relaxed) {
        meet(&array.dtype());
    }
}

/// Looks whether a type that was registered is bfloat16, by its name: that may run Python code.
#[cold]
fn meet(dtype: &Bound<'_, PyArrayDescr>) {
    if dtype.itemsize() == 2 && dtype.typeobj().name().is_ok_and(|name| name == "bfloat16") {
        BFLOAT16.store(dtype.num(), Relaxed);
    }
}
