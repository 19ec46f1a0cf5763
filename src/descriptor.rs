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
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}
