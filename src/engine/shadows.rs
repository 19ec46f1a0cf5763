//! The averages of a model in host memory: which memory is whose, and who else may hold it.

use super::Buffer;
use super::places::{BLOCK, Found, Place, Places};
use super::rows::Rows;
use super::split::Items;
use super::words::{SMALL, Words, words};
use crate::descriptor::{Shape, Spec};
use crate::dtype::DType;
use crate::error::Result;
use crate::kernel::view::View;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use triomphe::Arc;

/// The averages of a model in host memory: for each tensor, those of its horizons. Tied tensors, which are the same memory
/// under several names, have one set of averages between them.
#[derive(Debug)]
pub struct HostShadows {
    horizons: usize,
    owners: Vec<usize>,
    /// For each tensor those of its horizons.
    places: Vec<Place>,
    next: Places,
    /// For each tensor. Apart, as a pass has no use for them.
    shapes: Vec<Arc<Shape>>,
    /// What the small averages lie in.
    blocks: Vec<Words>,
    large: Vec<Buffer>,
    /// The elements of all tensors that have averages of their own.
    elements: usize,
    /// Whether somebody else may hold some of the memory: without that no pass has to ask for each large average.
    lent: AtomicBool,
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
    /// No averages yet, with room for those of a model.
    ///
    /// # Panics
    /// Unless there is at least one horizon, and an owner before it or itself for each tensor.
    pub fn with_room(spec: Spec<'_>) -> Self {
        assert!(spec.horizons > 0, "no horizon");
        assert_eq!(spec.owners.len(), spec.dtypes.len(), "an owner for each tensor");
        let mut owners = spec.owners.iter().enumerate();
        assert!(owners.all(|(index, &owner)| owner <= index && spec.owns(owner)), "an owner that owns nothing");
        Self {
            horizons: spec.horizons,
            owners: spec.owners.to_vec(),
            places: Vec::with_capacity(spec.owners.len() * spec.horizons),
            next: Places::default(),
            shapes: Vec::with_capacity(spec.owners.len()),
            blocks: Vec::new(),
            large: Vec::new(),
            elements: 0,
            lent: false.into(),
        }
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
                shadows.push(row)?;
            } else {
                row.for_each(drop);
                shadows.push_tied();
            }
        }
        shadows.lent = true.into();
        Ok(shadows)
    }

    /// The averages of one tensor at one horizon, to keep: they stay as they are, whatever comes, as a pass copies first what
    /// somebody else may still hold.
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

    /// Gives the next tensor its averages, one for each horizon, of which nobody has a clone.
    pub(super) fn push(&mut self, row: impl IntoIterator<Item = Buffer>) -> Result<()> {
        for (horizon, buffer) in row.into_iter().enumerate() {
            if horizon == 0 {
                self.shapes.push(buffer.shared_shape());
                self.elements += buffer.elements();
            }
            self.put(buffer)?;
        }
        Ok(())
    }

    /// Gives an average the next place: a small one is copied to where the others are.
    fn put(&mut self, buffer: Buffer) -> Result<()> {
        let words = buffer.as_words();
        if size_of_val(words) >= SMALL {
            self.places.push(self.next.large(buffer.dtype()));
            self.large.push(buffer);
            return Ok(());
        }
        let place = self.next.small(buffer.elements(), buffer.dtype());
        let Found::Small { block, word, .. } = place.find() else { unreachable!("it was asked for a small one") };
        if block == self.blocks.len() {
            self.blocks.push(Words::zeroed(BLOCK)?);
        }
        let block = self.blocks[block].get_mut().expect("nobody holds what is not complete");
        block[word..][..words.len()].copy_from_slice(words);
        self.places.push(place);
        Ok(())
    }

    /// Gives the next tensor those of its owner.
    pub(super) fn push_tied(&mut self) {
        self.places.extend((0..self.horizons).map(|_| self.next.tied()));
        self.shapes.push(self.shapes[self.owners[self.tensors()]].clone());
    }

    /// Whose averages each tensor has, and the averages of those in a range.
    pub(super) fn rows(&mut self, range: Range<usize>) -> (&[usize], Rows<'_>) {
        let all = Rows::new(self.horizons, &self.places, &mut self.blocks, &mut self.large);
        (&self.owners, all.split_at(range.end).0.split_at(range.start).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::view::View;

    const OWNERS: [usize; 2] = [0, 1];

    /// Of a small tensor and a large one.
    const LENGTHS: [usize; 2] = [3, 300];

    fn spec() -> Spec<'static> {
        Spec { dtypes: &[DType::F32, DType::F32], horizons: 2, owners: &OWNERS }
    }

    fn averages() -> Vec<Buffer> {
        let average = |value: usize| Buffer::copied(&View::from(&vec![value as f32; LENGTHS[value / 2]][..])).unwrap();
        (0..4).map(average).collect()
    }

    /// Averages that nobody else holds, or may hold.
    fn alone() -> HostShadows {
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
    fn small_averages_lie_together_and_keep_their_shapes() {
        let shadows = alone();
        assert_eq!((shadows.blocks.len(), shadows.large.len()), (1, 2));
        let shaped = |value: f32, shape: &[usize]| Buffer::copied(&View::shaped(&[value; 6], shape).unwrap()).unwrap();
        let given = vec![shaped(1.0, &[2, 3]), shaped(2.0, &[2, 3]), shaped(3.0, &[6, 1])];
        let spec = Spec { dtypes: &[DType::F32; 3], horizons: 1, owners: &[0, 0, 2] };
        let tied = HostShadows::of(given, spec).unwrap();
        let found: Vec<_> = (0..3).map(|index| tied.get(0, index)).collect();
        assert_eq!(found, [shaped(1.0, &[2, 3]), shaped(1.0, &[2, 3]), shaped(3.0, &[6, 1])]);
        assert_eq!(found[0].view().as_ptr(), tied.average(0, 1).as_ptr());
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
