//! The averages of a model in host memory: which buffer is whose.

use super::Buffer;
use crate::descriptor::{Descriptor, Spec};
use crate::dtype::DType;
use crate::error::Result;

/// The averages of a model in host memory: for each tensor, one buffer for each horizon. Tied tensors, which are the same
/// memory under several names, have one set of buffers between them.
#[derive(Clone, Debug)]
pub struct HostShadows {
    horizons: usize,
    owners: Vec<usize>,
    /// For each tensor those of its horizons; empty ones where another tensor has them.
    buffers: Vec<Buffer>,
}

impl HostShadows {
    /// No averages yet, with room for those of a model.
    ///
    /// # Panics
    /// Unless there is at least one horizon, and an owner before it or itself for each tensor.
    pub fn with_room(spec: Spec<'_>) -> Self {
        assert!(spec.horizons > 0, "no horizon");
        assert_eq!(spec.owners.len(), spec.dtypes.len(), "an owner for each tensor");
        let mut owners = spec.owners.iter().enumerate();
        assert!(owners.all(|(index, &owner)| owner <= index && spec.owns(owner)), "an owner that owns nothing");
        let buffers = Vec::with_capacity(spec.owners.len() * spec.horizons);
        Self { horizons: spec.horizons, owners: spec.owners.to_vec(), buffers }
    }

    /// Averages that are there already: for each tensor those of its horizons. Those of a tensor that does not own any are
    /// dropped.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) if there is not enough.
    ///
    /// # Panics
    /// As [`HostShadows::with_room`], and unless there is a buffer for each tensor and horizon.
    pub fn of(averages: Vec<Buffer>, spec: Spec<'_>) -> Result<Self> {
        let mut shadows = Self::with_room(spec);
        assert_eq!(averages.len(), spec.owners.len() * spec.horizons, "a buffer for each tensor and horizon");
        for (at, buffer) in averages.into_iter().enumerate() {
            let owns = spec.owns(at / spec.horizons);
            shadows.buffers.push(if owns { buffer } else { nothing()? });
        }
        Ok(shadows)
    }

    /// The averages of one tensor at one horizon.
    ///
    /// # Panics
    /// Where there is no such horizon or tensor.
    pub fn get(&self, horizon: usize, index: usize) -> &Buffer {
        assert!(horizon < self.horizons, "horizon {horizon} of {}", self.horizons);
        &self.buffers[self.owners[index] * self.horizons + horizon]
    }

    /// The averages of one tensor at the first horizon, in 64 bits.
    ///
    /// # Panics
    /// Where there is no such tensor, or its averages are of another dtype.
    pub fn values(&self, index: usize) -> &[f64] {
        let buffer = self.get(0, index);
        let dtype = buffer.descriptor().dtype;
        assert_eq!(dtype, DType::F64, "the averages of tensor {index} are {dtype}: read them through a view");
        buffer.as_slice()
    }

    /// How many averages each tensor has.
    pub fn horizons(&self) -> usize {
        self.horizons
    }

    /// How many tensors have been given their averages.
    pub(super) fn tensors(&self) -> usize {
        self.buffers.len() / self.horizons
    }

    /// Whether a tensor has averages of its own.
    pub(super) fn owns(&self, index: usize) -> bool {
        self.owners[index] == index
    }

    /// Gives the next tensor its averages, one for each horizon.
    pub(super) fn push(&mut self, row: impl IntoIterator<Item = Buffer>) {
        self.buffers.extend(row);
    }

    /// Gives the next tensor those of its owner.
    pub(super) fn push_tied(&mut self) -> Result<()> {
        for _ in 0..self.horizons {
            self.buffers.push(nothing()?);
        }
        Ok(())
    }

    /// The buffers of the tensors in a range, one after the other.
    pub(super) fn rows(&mut self, range: std::ops::Range<usize>) -> (&[usize], &mut [Buffer]) {
        let buffers = &mut self.buffers[range.start * self.horizons..range.end * self.horizons];
        (&self.owners, buffers)
    }
}

/// What stands where another tensor has the averages.
pub(super) fn nothing() -> Result<Buffer> {
    Buffer::zeroed(Descriptor::new(DType::F32, &[0]))
}
