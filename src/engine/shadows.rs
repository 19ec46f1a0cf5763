//! The averages of a model in host memory: which memory is whose, and who else may hold it.

use super::Buffer;
use super::places::{Found, Place, Places};
use super::rows::Rows;
use super::split::Items;
use super::unmoved::differs;
use super::words::{Words, words};
use crate::descriptor::Shape;
use crate::dtype::{Class, DType};
use crate::error::Result;
use crate::kernel::view::View;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use triomphe::Arc;

/// The averages of a model in host memory: for each tensor, those of its horizons. Tied tensors, which are the same memory
/// under several names, have one set of averages between them.
#[derive(Debug)]
pub struct HostShadows {
    pub(super) horizons: usize,
    pub(super) owners: Vec<usize>,
    /// For each tensor those of its horizons.
    pub(super) places: Vec<Place>,
    pub(super) next: Places,
    /// For each tensor. Apart, as a pass has no use for them.
    pub(super) shapes: Vec<Arc<Shape>>,
    /// What the small averages lie in.
    pub(super) blocks: Vec<Words>,
    pub(super) large: Vec<Buffer>,
    /// The elements of all tensors that have averages of their own.
    pub(super) elements: usize,
    /// Whether somebody else may hold some of the memory: without that no pass has to ask about each piece of it.
    pub(super) lent: AtomicBool,
}

impl Clone for HostShadows {
    /// Shares the memory until either is written.
    fn clone(&self) -> Self {
        self.lent.store(true, Relaxed);
        Self {
            horizons: self.horizons,
            owners: self.owners.clone(),
            places: self.places.clone(),
            next: self.next,
            shapes: self.shapes.clone(),
            blocks: self.blocks.clone(),
            large: self.large.clone(),
            elements: self.elements,
            lent: true.into(),
        }
    }
}

impl HostShadows {
    /// The averages of one tensor at one horizon, to keep: they stay as they are, whatever comes, as a pass copies first what
    /// somebody else may still hold. Small ones have up to 4 KB of memory in common, which stay as long as one of them is held.
    ///
    /// # Panics
    /// Where there is no such horizon or tensor.
    pub fn get(&self, horizon: usize, index: usize) -> Buffer {
        self.lent.store(true, Relaxed);
        match self.place(horizon, index).find() {
            Found::Large(number) => self.large[number].clone(),
            Found::Small { block, word, dtype, .. } => {
                Buffer::within(&self.blocks[block], word, dtype, &self.shapes[index])
            }
            Found::Tied => unreachable!("an owner has its own"),
        }
    }

    /// The averages of one tensor at one horizon, of which no clone is made.
    ///
    /// # Panics
    /// Where there is no such horizon or tensor.
    pub(crate) fn average(&self, horizon: usize, index: usize) -> View<'_> {
        match self.place(horizon, index).find() {
            Found::Large(number) => self.large[number].view(),
            Found::Small { block, word, elements, dtype } => {
                let words = &self.blocks[block].as_slice()[word..][..words(elements, dtype.size())];
                View::over(words, dtype, &self.shapes[index])
            }
            Found::Tied => unreachable!("an owner has its own"),
        }
    }

    /// Whether a parameter has other values than its average at a horizon; what is not averaged never has.
    pub(crate) fn differs(&self, horizon: usize, index: usize, param: &View<'_>) -> bool {
        let average = self.average(horizon, index);
        average.dtype().class() == Class::Averaged && differs(param, &average)
    }

    fn place(&self, horizon: usize, index: usize) -> &Place {
        assert!(horizon < self.horizons, "horizon {horizon} of {}", self.horizons);
        &self.places[self.owners[index] * self.horizons + horizon]
    }

    /// The shape of the averages of one tensor.
    #[inline]
    pub(crate) fn shape(&self, index: usize) -> &[usize] {
        &self.shapes[index]
    }

    /// The averages of one tensor at the first horizon, in 64 bits.
    ///
    /// # Panics
    /// Where there is no such tensor, or its averages are of another dtype.
    pub fn values(&self, index: usize) -> &[f64] {
        let average = self.average(0, index);
        let dtype = average.dtype();
        assert_eq!(dtype, DType::F64, "the averages of tensor {index} are {dtype}: read them through a view");
        average.as_slice().expect("averages lie in one piece")
    }

    /// How many averages each tensor has.
    pub fn horizons(&self) -> usize {
        self.horizons
    }

    /// How many tensors have been given their averages.
    pub(super) fn tensors(&self) -> usize {
        self.shapes.len()
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
        let elements = |place: &Place| match place.find() {
            Found::Small { elements, .. } => elements,
            Found::Large(number) => self.large[number].elements(),
            Found::Tied => 0,
        };
        self.places[range.start * self.horizons..range.end * self.horizons]
            .iter()
            .step_by(self.horizons)
            .map(elements)
            .sum()
    }

    /// Makes sure that nobody else holds any of the memory, by copies if need be, so that no write needs memory.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) if there is not enough.
    pub(super) fn own(&mut self) -> Result<()> {
        if *self.lent.get_mut() {
            self.blocks.iter_mut().try_for_each(Words::own)?;
            self.large.iter_mut().try_for_each(Buffer::own)?;
            *self.lent.get_mut() = false;
        }
        Ok(())
    }

    /// Whose averages each tensor has, and the averages of those in a range.
    pub(super) fn rows(&mut self, range: Range<usize>) -> (&[usize], Rows<'_>) {
        let all = Rows::new(self.horizons, &self.places, &mut self.blocks, &mut self.large);
        (&self.owners, all.split_at(range.end).0.split_at(range.start).1)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::descriptor::Spec;
    use crate::kernel::view::View;

    const OWNERS: [usize; 2] = [0, 1];

    /// Of a small tensor and a large one.
    const LENGTHS: [usize; 2] = [3, 300];

    pub(in crate::engine) fn spec() -> Spec<'static> {
        Spec { dtypes: &[DType::F32, DType::F32], horizons: 2, owners: &OWNERS }
    }

    pub(in crate::engine) fn averages() -> Vec<Buffer> {
        let average = |value: usize| Buffer::copied(&View::from(&vec![value as f32; LENGTHS[value / 2]][..])).unwrap();
        (0..4).map(average).collect()
    }

    /// Averages that nobody else holds, or may hold.
    pub(in crate::engine) fn alone() -> HostShadows {
        let mut shadows = HostShadows::of(averages(), spec()).unwrap();
        shadows.own().unwrap();
        shadows
    }

    fn all(shadows: &HostShadows) -> Vec<Buffer> {
        let each = |index| (0..2).map(move |horizon| shadows.get(horizon, index));
        (0..2).flat_map(each).collect()
    }

    /// Writes every average, without taking memory.
    fn write(shadows: &mut HostShadows) {
        let places: Vec<_> = (0..4).map(|i| shadows.average(i % 2, i / 2).as_ptr()).collect();
        let (_, mut rows) = shadows.rows(0..2);
        for place in places {
            let row = rows.take::<f32>(DType::F32).unwrap();
            row.fill(7.0);
            assert_eq!(row.as_ptr().cast(), place);
        }
    }

    #[test]
    fn whoever_may_hold_memory_is_remembered_until_all_is_owned() {
        let given = averages();
        let mut from_others = HostShadows::of(given.clone(), spec()).unwrap();
        let mut with_snapshot = alone();
        let snapshot = with_snapshot.get(1, 1);
        let mut original = alone();
        let mut copy = original.clone();
        let kept = copy.clone();
        for shadows in [&mut from_others, &mut with_snapshot, &mut original, &mut copy] {
            assert!(*shadows.lent.get_mut());
            assert_eq!(all(shadows), given);
            shadows.own().unwrap();
            assert!(!*shadows.lent.get_mut());
            write(shadows);
        }
        assert!(snapshot == given[3] && given == averages() && all(&kept) == given);
    }

    #[test]
    fn what_only_looks_makes_no_holder() {
        let mut shadows = alone();
        assert_eq!(shadows.average(1, 0).as_slice::<f32>(), Some(&[1.0; 3][..]));
        assert!(!*shadows.lent.get_mut());
        write(&mut shadows);
    }

    #[test]
    fn one_that_is_held_costs_a_block_and_no_more() {
        let average = |index: usize| Buffer::copied(&View::from(&[index as f32; 64][..])).unwrap();
        let (dtypes, owners): (Vec<_>, Vec<_>) = (0..100).map(|index| (DType::F32, index)).unzip();
        let spec = Spec { dtypes: &dtypes, horizons: 1, owners: &owners };
        let mut shadows = HostShadows::of((0..100).map(average).collect(), spec).unwrap();
        shadows.own().unwrap();
        let before: Vec<_> = (0..100).map(|index| shadows.average(0, index).as_ptr()).collect();
        let held = shadows.get(0, 20);
        shadows.own().unwrap();
        let moved = (0..100).filter(|&index| shadows.average(0, index).as_ptr() != before[index]);
        assert_eq!(moved.collect::<Vec<_>>(), (16..32).collect::<Vec<_>>());
        assert!(held == average(20) && shadows.get(0, 20) == average(20) && shadows.get(0, 31) == average(31));
    }

    #[test]
    fn elements_are_those_of_owners_once_for_all_horizons() {
        let shadows = alone();
        assert_eq!((shadows.elements(0..2), shadows.elements(0..1), shadows.elements(1..1)), (303, 3, 0));
        let tied = HostShadows::of(averages(), Spec { owners: &[0, 0], ..spec() }).unwrap();
        assert_eq!((tied.elements(0..2), tied.elements(1..2)), (3, 0));
    }
}
