//! Where the elements of a tensor lie: one after the other or strided, and within a memory.

use crate::descriptor;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use smallvec::SmallVec;

/// The shape of a tensor and how its elements lie in memory, worked out once for any number of views.
///
/// Small, as a pass over many small tensors reads one for each: most of those have one axis, which says nothing more.
#[derive(Clone, Debug)]
pub struct Layout {
    elements: usize,
    /// None where there is one dimension and the elements lie one after the other.
    axes: Option<Box<Axes>>,
}

#[derive(Clone, Debug)]
struct Axes {
    /// The extents of all dimensions, then their strides.
    all: SmallVec<[usize; 8]>,
    contiguous: bool,
}

impl Axes {
    #[inline]
    fn shape(&self) -> &[usize] {
        &self.all[..self.all.len() / 2]
    }

    #[inline]
    fn strides(&self) -> &[isize] {
        bytemuck::cast_slice(&self.all[self.all.len() / 2..])
    }
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
        let axes = || Axes {
            all: shape.iter().chain(bytemuck::cast_slice(strides)).copied().collect(),
            contiguous: elements == 0 || contiguous(shape, strides),
        };
        let plain = matches!((shape, strides), ([_], [1]));
        Some(Self { elements, axes: (!plain).then(|| Box::new(axes())) })
    }

    /// The extent of each dimension.
    #[inline]
    pub fn shape(&self) -> &[usize] {
        self.axes.as_ref().map_or(std::slice::from_ref(&self.elements), |axes| axes.shape())
    }

    /// The only extent, of elements that lie one after the other in one dimension.
    #[inline]
    pub fn only_extent(&self) -> Option<usize> {
        self.axes.is_none().then_some(self.elements)
    }

    /// Whether this is its shape.
    #[inline]
    pub fn has_shape(&self, shape: &[usize]) -> bool {
        same(shape, self.shape(), |&extent| extent)
    }

    /// Whether these are its strides in bytes, of elements of so many.
    #[inline]
    pub fn has_strides(&self, size: usize, strides: &[isize]) -> bool {
        let known = self.axes.as_ref().map_or(&[1][..], |axes| axes.strides());
        same(strides, known, |stride| stride.wrapping_mul(size as isize))
    }

    /// Whether the elements lie one after the other.
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        self.axes.as_ref().is_none_or(|axes| axes.contiguous)
    }

    /// How many elements there are.
    #[inline]
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// The shape, and the strides unless the elements lie one after the other; none where they do, along the only dimension.
    #[inline]
    pub(super) fn axes(&self) -> Option<(&[usize], Option<&[isize]>)> {
        self.axes.as_ref().map(|axes| (axes.shape(), if axes.contiguous { None } else { Some(axes.strides()) }))
    }
}

/// Whether what was found is what is known of each axis. By hand, as comparing two slices is a call, and this is done for each
/// tensor at each update.
#[inline]
fn same<T: PartialEq>(found: &[T], known: &[T], each: impl Fn(&T) -> T) -> bool {
    found.len() == known.len() && (0..known.len()).all(|axis| found[axis] == each(&known[axis]))
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
