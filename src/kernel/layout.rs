//! Where the elements of a tensor lie: one after the other or strided, and within a memory.

use crate::descriptor;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use smallvec::SmallVec;

/// The shape of a tensor and how its elements lie in memory, worked out once for any number of views.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The extents of all dimensions, then their strides. Short, as a pass over many small tensors reads one for each.
    axes: SmallVec<[usize; 4]>,
    elements: usize,
    contiguous: bool,
}

impl Layout {
    /// The element with index `i` lies `Σ i[k] * strides[k]` elements after the first one. None if there are more elements
    /// than memory can hold.
    ///
    /// # Panics
    /// Unless there is a stride for each dimension.
    pub fn new(dtype: DType, shape: &[usize], strides: &[isize]) -> Option<Self> {
        assert_eq!(shape.len(), strides.len(), "a stride for each dimension");
        let elements = descriptor::elements(dtype, shape)?;
        let contiguous = elements == 0 || contiguous(shape, strides);
        let axes = shape.iter().chain(bytemuck::cast_slice(strides)).copied().collect();
        Some(Self { axes, elements, contiguous })
    }

    /// The extent of each dimension.
    #[inline]
    pub fn shape(&self) -> &[usize] {
        &self.axes[..self.axes.len() / 2]
    }

    /// The steps in memory, in elements.
    #[inline]
    pub fn strides(&self) -> &[isize] {
        bytemuck::cast_slice(&self.axes[self.axes.len() / 2..])
    }

    /// Whether it is that of elements of so many bytes with this shape, and these strides in bytes.
    #[inline]
    pub fn is(&self, size: usize, shape: &[usize], strides: &[isize]) -> bool {
        let (axes, all) = (&self.axes[..], shape.len());
        // By hand, as comparing two slices is a call, and this is done for each tensor at each update.
        axes.len() == 2 * all
            && strides.len() == all
            && (0..all).all(|axis| {
                shape[axis] == axes[axis] && strides[axis] == (axes[all + axis] as isize).wrapping_mul(size as isize)
            })
    }

    /// How many elements there are.
    #[inline]
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// The strides, unless the elements lie one after the other.
    #[inline]
    pub(super) fn steps(&self) -> Option<&[isize]> {
        if self.contiguous { None } else { Some(self.strides()) }
    }
}

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

/// Whether elements so strided surely share no memory: each step goes over all that those within it span.
pub fn apart(shape: &[usize], strides: &[isize]) -> bool {
    let axes = shape.iter().zip(strides).filter(|&(&extent, _)| extent > 1);
    let mut axes: SmallVec<[_; 6]> = axes.map(|(&extent, &stride)| (extent, stride.unsigned_abs())).collect();
    axes.sort_unstable_by_key(|&(_, stride)| stride);
    nested(1, &axes)
}

/// Whether each axis, of an extent and a stride and the nearest first, steps over all that the inner ones and a run within
/// them span, so that no two runs can meet.
pub fn nested(run: usize, axes: &[(usize, usize)]) -> bool {
    let mut span = run;
    axes.iter().all(|&(extent, stride)| {
        let over = stride >= span;
        span += stride * (extent - 1);
        over
    })
}

/// Whether a shape has as many elements as a memory.
#[inline]
pub fn fills<T: Element>(length: usize, shape: &[usize]) -> Result<()> {
    if descriptor::elements(T::DTYPE, shape) == Some(length) {
        return Ok(());
    }
    Err(Error::config("shape", format!("{shape:?}"), format!("one of {length} elements, as the memory has")))
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
