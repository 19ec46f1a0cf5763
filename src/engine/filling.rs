//! How a model gets its averages, one tensor after the other: small ones are copied to where the others are.

use super::places::{BLOCK, Found, Places, SMALL};
use super::words::Words;
use super::{Buffer, HostShadows};
use crate::descriptor::Spec;
use crate::error::Result;

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
    /// As [`HostShadows::with_room`], and unless there is a buffer for each tensor and horizon, all of a tensor of one shape and
    /// of the dtype that it has in the specification.
    pub fn of(averages: Vec<Buffer>, spec: Spec<'_>) -> Result<Self> {
        let mut shadows = Self::with_room(spec);
        assert_eq!(averages.len(), spec.owners.len() * spec.horizons, "a buffer for each tensor and horizon");
        let mut averages = averages.into_iter();
        while shadows.tensors() < spec.owners.len() {
            let (row, index) = (averages.by_ref().take(spec.horizons), shadows.tensors());
            if spec.owns(index) {
                let dtype = spec.dtypes[index];
                shadows.push(row.inspect(|buffer| assert_eq!(buffer.dtype(), dtype, "averages of another dtype")))?;
            } else {
                row.for_each(drop);
                shadows.push_tied();
            }
        }
        shadows.lent = true.into();
        Ok(shadows)
    }

    /// Gives the next tensor its averages, one for each horizon, of which nobody has a clone.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) if there is not enough; the next tensor is still this one then.
    ///
    /// # Panics
    /// Unless they are of one shape.
    pub(super) fn push(&mut self, row: impl IntoIterator<Item = Buffer>) -> Result<()> {
        let (places, large, next) = (self.places.len(), self.large.len(), self.next);
        let mut first = None;
        for buffer in row {
            let (shape, _) = first.get_or_insert_with(|| (buffer.shared_shape(), buffer.elements()));
            assert_eq!(buffer.shape(), &shape[..], "averages of one tensor that differ in shape");
            if let Err(error) = self.put(buffer) {
                self.places.truncate(places);
                self.large.truncate(large);
                self.next = next;
                return Err(error);
            }
        }
        let (shape, elements) = first.expect("one for each horizon");
        self.shapes.push(shape);
        self.elements += elements;
        self.close();
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
        // Somebody may hold it, of what was there before.
        self.blocks[block].own()?;
        let block = self.blocks[block].get_mut().expect("it is owned");
        block[word..][..words.len()].copy_from_slice(words);
        self.places.push(place);
        Ok(())
    }

    /// Gives the next tensor those of its owner.
    pub(super) fn push_tied(&mut self) {
        self.places.extend((0..self.horizons).map(|_| self.next.tied()));
        self.shapes.push(self.shapes[self.owners[self.tensors()]].clone());
        self.close();
    }

    /// Once there are the averages of all tensors, leaves the last block as long as it is filled: whoever has one of few small
    /// averages is to have not much more.
    fn close(&mut self) {
        if self.tensors() == self.owners.len() {
            if let Some(last) = self.blocks.last_mut() {
                // Without the memory for that it may stay long.
                if let Ok(short) = Words::of(&last.as_slice()[..self.next.filled()]) {
                    *last = short;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::shadows::tests::{alone, averages, spec};
    use super::*;
    use crate::dtype::DType;
    use crate::kernel::view::View;

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
    fn what_is_held_of_averages_that_are_not_complete_stays_as_it_is() {
        let mut shadows = HostShadows::with_room(spec());
        let mut given = averages()
            .into_iter()
            .map(|buffer| Buffer::copied(&View::shaped(&[buffer.as_slice::<f32>()[0]; 3], &[3]).unwrap()).unwrap());
        shadows.push(given.by_ref().take(2)).unwrap();
        let (held, copy) = (shadows.get(1, 0), shadows.clone());
        shadows.push(given).unwrap();
        assert!(held == averages()[1] && copy.get(1, 0) == held && shadows.get(1, 0) == held);
        assert_eq!(shadows.get(0, 1).as_slice::<f32>(), [2.0; 3]);
        let mut copy = copy;
        copy.push([held.clone(), averages().swap_remove(0)]).unwrap();
        assert!(copy.get(0, 1) == held && shadows.get(0, 1).as_slice::<f32>() == [2.0; 3]);
        assert!(copy.get(0, 0) == averages()[0] && copy.get(1, 0) == held);
    }

    #[test]
    #[should_panic = "differ in shape"]
    fn averages_of_one_tensor_have_one_shape() {
        let mut given = averages();
        given.swap(1, 2);
        let _ = HostShadows::of(given, spec());
    }

    #[test]
    #[should_panic = "averages of another dtype"]
    fn averages_have_the_dtype_that_they_are_to_have() {
        let _ = HostShadows::of(averages(), Spec { dtypes: &[DType::F32, DType::I32], ..spec() });
    }

    #[test]
    fn one_of_few_small_averages_is_held_with_these_alone() {
        assert_eq!(alone().blocks[0].as_slice().len(), 2 * 2);
    }
}
