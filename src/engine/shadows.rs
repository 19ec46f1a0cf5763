//! The averages of a model in host memory: which buffer is whose.

use super::Buffer;
use crate::descriptor::{Descriptor, Spec};
use crate::dtype::DType;
use crate::error::Result;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The averages of a model in host memory: for each tensor, one buffer for each horizon. Tied tensors, which are the same
/// memory under several names, have one set of buffers between them.
#[derive(Debug)]
pub struct HostShadows {
    horizons: usize,
    owners: Vec<usize>,
    /// For each tensor those of its horizons; empty ones where another tensor has them.
    buffers: Vec<Buffer>,
    /// The elements of all tensors that have averages of their own.
    elements: usize,
    /// Whether somebody else may hold some of the buffers: without that no pass has to ask each of them.
    lent: AtomicBool,
}

impl Clone for HostShadows {
    /// Shares the memory until either is written.
    fn clone(&self) -> Self {
        self.lent.store(true, Relaxed);
        Self {
            horizons: self.horizons,
            owners: self.owners.clone(),
            buffers: self.buffers.clone(),
            elements: self.elements,
            lent: true.into(),
        }
    }
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
        let (horizons, owners) = (spec.horizons, spec.owners.to_vec());
        Self { horizons, owners, buffers, elements: 0, lent: false.into() }
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
        let mut averages = averages.into_iter();
        while shadows.tensors() < spec.owners.len() {
            let row = averages.by_ref().take(spec.horizons);
            if spec.owns(shadows.tensors()) {
                shadows.push(row);
            } else {
                row.for_each(drop);
                shadows.push_tied()?;
            }
        }
        shadows.lent = true.into();
        Ok(shadows)
    }

    /// The averages of one tensor at one horizon. A clone of them stays as it is, whatever comes.
    ///
    /// # Panics
    /// Where there is no such horizon or tensor.
    pub fn get(&self, horizon: usize, index: usize) -> &Buffer {
        self.lent.store(true, Relaxed);
        self.average(horizon, index)
    }

    /// The same, of which no clone is made.
    #[inline]
    pub(crate) fn average(&self, horizon: usize, index: usize) -> &Buffer {
        assert!(horizon < self.horizons, "horizon {horizon} of {}", self.horizons);
        &self.buffers[self.owners[index] * self.horizons + horizon]
    }

    /// The averages of one tensor at the first horizon, in 64 bits.
    ///
    /// # Panics
    /// Where there is no such tensor, or its averages are of another dtype.
    pub fn values(&self, index: usize) -> &[f64] {
        let buffer = self.average(0, index);
        let dtype = buffer.dtype();
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

    /// The elements of the tensors in a range that have averages of their own, once for all horizons.
    pub(super) fn elements(&self, range: Range<usize>) -> usize {
        // Mostly all of them, which are not added up again.
        if range.len() == self.tensors() {
            return self.elements;
        }
        range.map(|index| self.buffers[index * self.horizons].elements()).sum()
    }

    /// Makes sure that nobody else holds any of the memory, by copies if need be, so that no write needs memory.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) if there is not enough.
    pub(super) fn own(&mut self) -> Result<()> {
        if *self.lent.get_mut() {
            self.buffers.iter_mut().try_for_each(Buffer::own)?;
            *self.lent.get_mut() = false;
        }
        Ok(())
    }

    /// Gives the next tensor its averages, one for each horizon, of which nobody has a clone.
    pub(super) fn push(&mut self, row: impl IntoIterator<Item = Buffer>) {
        let before = self.buffers.len();
        self.buffers.extend(row);
        self.elements += self.buffers[before].elements();
    }

    /// Gives the next tensor those of its owner.
    pub(super) fn push_tied(&mut self) -> Result<()> {
        for _ in 0..self.horizons {
            self.buffers.push(nothing()?);
        }
        Ok(())
    }

    /// The buffers of the tensors in a range, one after the other.
    pub(super) fn rows(&mut self, range: Range<usize>) -> (&[usize], &mut [Buffer]) {
        let buffers = &mut self.buffers[range.start * self.horizons..range.end * self.horizons];
        (&self.owners, buffers)
    }
}

/// What stands where another tensor has the averages.
pub(super) fn nothing() -> Result<Buffer> {
    Buffer::zeroed(Descriptor::new(DType::F32, &[0]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::view::View;

    const OWNERS: [usize; 2] = [0, 1];

    fn spec() -> Spec<'static> {
        Spec { dtypes: &[DType::F32, DType::F32], horizons: 2, owners: &OWNERS }
    }

    fn averages() -> Vec<Buffer> {
        (0..4).map(|value| Buffer::copied(&View::from(&[value as f32; 3][..])).unwrap()).collect()
    }

    /// Averages that nobody else holds, or may hold.
    fn alone() -> HostShadows {
        let mut shadows = HostShadows::of(averages(), spec()).unwrap();
        shadows.own().unwrap();
        shadows
    }

    /// Whether a write needs no memory, for any buffer.
    fn is_ready(shadows: &mut HostShadows) -> bool {
        let place = |buffer: &mut Buffer| buffer.as_bytes().as_ptr() == buffer.as_mut_bytes().as_ptr();
        shadows.rows(0..2).1.iter_mut().all(place)
    }

    #[test]
    fn whoever_may_hold_a_buffer_is_remembered_until_all_are_owned() {
        let given = averages();
        let mut from_others = HostShadows::of(given.clone(), spec()).unwrap();
        let mut with_snapshot = alone();
        let snapshot = with_snapshot.get(1, 1).clone();
        let mut original = alone();
        let mut copy = original.clone();
        for shadows in [&mut from_others, &mut with_snapshot, &mut original, &mut copy] {
            assert!(*shadows.lent.get_mut());
            shadows.own().unwrap();
            assert!(!*shadows.lent.get_mut() && is_ready(shadows));
        }
        assert!(snapshot.as_slice::<f32>() == [3.0; 3] && given == averages());
    }

    #[test]
    fn what_only_looks_makes_no_holder() {
        let mut shadows = alone();
        assert_eq!(shadows.average(1, 0).as_slice::<f32>(), [1.0; 3]);
        assert!(!*shadows.lent.get_mut() && is_ready(&mut shadows));
    }

    #[test]
    fn elements_are_those_of_owners_once_for_all_horizons() {
        let shadows = alone();
        assert_eq!((shadows.elements(0..2), shadows.elements(0..1), shadows.elements(1..1)), (6, 3, 0));
        let tied = HostShadows::of(averages(), Spec { owners: &[0, 0], ..spec() }).unwrap();
        assert_eq!((tied.elements(0..2), tied.elements(1..2)), (3, 0));
    }
}
