//! What a tensor is, apart from its values: a dtype and a shape, kept without the heap.

use crate::dtype::DType;
use smallvec::SmallVec;

/// A tensor's shape; up to six dimensions stay off the heap.
pub type Shape = SmallVec<[usize; 6]>;

/// A tensor's dtype and shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The element type.
    pub dtype: DType,
    /// The extent of each dimension; empty for a scalar.
    pub shape: Shape,
}

impl Descriptor {
    /// A descriptor of this dtype and shape.
    pub fn new(dtype: DType, shape: &[usize]) -> Self {
        Self { dtype, shape: Shape::from_slice(shape) }
    }

    /// How many elements the tensor has.
    ///
    /// # Panics
    /// If that is more than memory can hold: see [`elements`].
    pub fn elements(&self) -> usize {
        elements(self.dtype, &self.shape).expect("a tensor larger than memory")
    }
}

/// What the averages of a model are: of each tensor its dtype, and whose averages they are.
#[derive(Clone, Copy, Debug)]
pub struct Spec<'a> {
    /// The dtype of the averages of each tensor.
    pub dtypes: &'a [DType],
    /// How many averages each tensor has.
    pub horizons: usize,
    /// For each tensor, the index of the one whose averages it has: its own, or that of an earlier one that is the same
    /// memory under another name.
    pub owners: &'a [usize],
}

impl Spec<'_> {
    /// Whether a tensor has averages of its own.
    pub fn owns(&self, index: usize) -> bool {
        self.owners[index] == index
    }
}

/// How many elements a tensor has, unless their bytes would be more than memory can hold.
pub fn elements(dtype: DType, shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    let elements = shape.iter().try_fold(1, |product: usize, &extent| product.checked_mul(extent))?;
    let bytes = elements.checked_mul(dtype.size())?;
    isize::try_from(bytes).ok().map(|_| elements)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_beyond_memory_are_none_and_never_wrap() {
        for shape in [&[1 << 61][..], &[1 << 32, 1 << 32], &[usize::MAX], &[1 << 21, 1 << 21, 1 << 21, 1 << 21]] {
            assert_eq!(elements(DType::F64, shape), None, "{shape:?}");
        }
        assert_eq!(elements(DType::F64, &[1 << 59]), Some(1 << 59));
        assert_eq!(elements(DType::F64, &[1 << 40, 1 << 40, 0]), Some(0));
        assert_eq!(elements(DType::F64, &[]), Some(1));
    }
}
