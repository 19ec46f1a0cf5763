//! Where the elements of a strided tensor lie: one after the other, and within a memory.

use crate::descriptor;
use crate::dtype::Element;
use crate::error::{Error, Result};

/// Whether elements so strided lie one after the other.
pub fn contiguous(shape: &[usize], strides: &[isize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(strides).rev().all(|(&extent, &stride)| {
        // A dimension of extent 1 is never stepped along, so its stride may be anything.
        let fits = extent == 1 || stride == expected;
        expected *= extent as isize;
        fits
    })
}

/// Whether every element lies in a memory of `length` elements if the first one lies at `first`.
pub fn inside<T: Element>(length: usize, first: usize, shape: &[usize], strides: &[isize]) -> Result<()> {
    let refuse =
        |value: String| Err(Error::config("strides", value, "such that every element lies in the memory given"));
    match descriptor::elements(T::DTYPE, shape) {
        None => return refuse(format!("those of shape {shape:?}, larger than memory")),
        Some(0) => return Ok(()),
        Some(_) => {}
    }
    // In 128 bits a span can't overflow, and the sums are checked.
    let mut reach = Some((first as i128, first as i128));
    for (&extent, &stride) in shape.iter().zip(strides) {
        let span = (extent as i128 - 1) * stride as i128;
        reach = reach.and_then(|(low, high)| Some((low.checked_add(span.min(0))?, high.checked_add(span.max(0))?)));
    }
    match reach {
        Some((low, high)) if low >= 0 && high < length as i128 => Ok(()),
        Some((low, high)) => refuse(format!("elements {low} to {high} of {length}")),
        None => refuse(format!("{strides:?}, beyond all memory")),
    }
}
