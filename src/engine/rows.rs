//! The averages of tensors that follow each other, as a pass takes them: one after the other, or split between threads.

use super::Buffer;
use super::places::{Kind, Place};
use super::split::Items;
use super::words::{Words, words};
use crate::dtype::{DType, Element};

/// The averages of tensors that follow each other, to be written: taken from the first one on.
#[derive(Debug)]
pub struct Rows<'a> {
    horizons: usize,
    places: &'a [Place],
    /// The rest of the block that the first place lies in, unless it begins one.
    rest: &'a mut [u64],
    /// The whole blocks after that.
    blocks: &'a mut [Words],
    /// Of the block after these, as much as is for these tensors.
    last: &'a mut [u64],
    large: &'a mut [Buffer],
}

impl<'a> Rows<'a> {
    /// All averages of a model, of which each tensor has so many.
    pub fn new(horizons: usize, places: &'a [Place], blocks: &'a mut [Words], large: &'a mut [Buffer]) -> Self {
        Self { horizons, places, rest: &mut [], blocks, last: &mut [], large }
    }

    /// The dtype of the next average, unless there is none or another tensor has it.
    #[inline]
    pub fn next_dtype(&self) -> Option<DType> {
        self.places.first()?.dtype
    }

    /// Takes the next average if it is one of this dtype.
    ///
    /// # Panics
    /// Unless `T` is as wide as that, and nobody else holds the memory.
    #[inline(always)]
    pub fn take<T: Element>(&mut self, dtype: DType) -> Option<&'a mut [T]> {
        assert_eq!(size_of::<T>(), dtype.size(), "{dtype} taken as {}", T::DTYPE);
        let (place, places) = self.places.split_first()?;
        if place.dtype != Some(dtype) {
            return None;
        }
        self.places = places;
        match place.kind {
            Kind::Small => {}
            Kind::Begins => self.begin(),
            Kind::Large => return Some(self.take_large()),
        }
        let elements = usize::from(place.elements);
        let (row, rest) = std::mem::take(&mut self.rest).split_at_mut(words(elements, size_of::<T>()));
        self.rest = rest;
        Some(&mut bytemuck::cast_slice_mut(row)[..elements])
    }

    /// Goes on to the next block.
    #[inline(never)]
    fn begin(&mut self) {
        self.rest = match std::mem::take(&mut self.blocks).split_first_mut() {
            None => std::mem::take(&mut self.last),
            Some((block, blocks)) => {
                self.blocks = blocks;
                owned(block)
            }
        };
    }

    #[inline(never)]
    fn take_large<T: Element>(&mut self) -> &'a mut [T] {
        let (buffer, large) = std::mem::take(&mut self.large).split_first_mut().expect("one for each place");
        self.large = large;
        buffer.as_mut_slice()
    }

    /// Passes over the next tensor if another one has its averages. Says whether it did.
    pub fn skip_tied(&mut self) -> bool {
        let tied = self.places.first().is_some_and(|place| place.dtype.is_none());
        if tied {
            self.places = &self.places[self.horizons..];
        }
        tied
    }
}

fn owned(block: &mut Words) -> &mut [u64] {
    block.get_mut().expect("nobody else holds it")
}

impl Items for Rows<'_> {
    fn tensors(&self) -> usize {
        self.places.len() / self.horizons
    }

    fn split_at(self, tensors: usize) -> (Self, Self) {
        let Self { horizons, places, rest, blocks, last, large } = self;
        let (left, right) = places.split_at(tensors * horizons);
        let rows = |places, rest, blocks, last, large| Self { horizons, places, rest, blocks, last, large };
        let (Some(start), Some(cut)) = (left.first(), right.first()) else {
            let all = rows(places, rest, blocks, last, large);
            let none = rows(&[], &mut [], &mut [], &mut [], &mut []);
            return if right.is_empty() { (all, none) } else { (none, all) };
        };
        let (large, large_right) = large.split_at_mut((cut.large - start.large) as usize);
        let word = usize::from(cut.word);
        if cut.block == start.block && start.word > 0 {
            let (rest, rest_right) = rest.split_at_mut(word - usize::from(start.word));
            let left = rows(left, rest, &mut [], &mut [], large);
            return (left, rows(right, rest_right, blocks, last, large_right));
        }
        // The first of the whole blocks is the one that begins with the first place, or the one after that place's.
        let whole = (cut.block - start.block) as usize - usize::from(start.word > 0);
        let (blocks, others) = blocks.split_at_mut(whole);
        if word == 0 {
            let left = rows(left, rest, blocks, &mut [], large);
            return (left, rows(right, &mut [], others, last, large_right));
        }
        // The block that is cut is whole, or the last one.
        let (block, others, last) = match others.split_first_mut() {
            Some((block, others)) => (owned(block), others, last),
            None => (last, Default::default(), Default::default()),
        };
        let (end, rest_right) = block.split_at_mut(word);
        (rows(left, rest, blocks, end, large), rows(right, rest_right, others, last, large_right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::Descriptor;
    use crate::engine::places::{BLOCK, Found, Places};

    const HORIZONS: usize = 2;

    /// The lengths of tensors, none where another one has the averages: small ones that fill several blocks, and all else
    /// between, before and after them.
    fn lengths() -> Vec<Option<usize>> {
        let small = |count| (0..count).map(|index| Some(100 + 10 * index));
        let others = [Some(0), Some(300), None, Some(255), Some(0)];
        let odd = [Some(3), Some(500), None, Some(4), Some(254), Some(0), Some(1)];
        others.into_iter().chain(small(9)).chain(others).chain(odd).chain(small(8)).chain(others).collect()
    }

    /// Averages of these lengths, all zero.
    fn memory(lengths: &[Option<usize>]) -> (Vec<Place>, Vec<Words>, Vec<Buffer>) {
        let (mut places, mut all, mut blocks, mut large) = (Places::default(), Vec::new(), Vec::new(), Vec::new());
        for length in lengths.iter().flat_map(|length| [length; HORIZONS]) {
            all.push(match *length {
                None => places.tied(),
                Some(length) if length < 255 => places.small(length, DType::F32),
                Some(length) => {
                    large.push(Buffer::zeroed(Descriptor::new(DType::F32, &[length])).unwrap());
                    places.large(DType::F32)
                }
            });
            if let Found::Small { block, .. } = all[all.len() - 1].find() {
                blocks.resize_with(block + 1, || Words::zeroed(BLOCK).unwrap());
            }
        }
        (all, blocks, large)
    }

    /// Marks every average that is left with the next number.
    fn mark(mut rows: Rows<'_>, next: &mut f32, lengths: &[Option<usize>]) {
        assert_eq!(rows.tensors(), lengths.len());
        for length in lengths {
            let Some(length) = *length else {
                assert!(rows.next_dtype().is_none() && rows.take::<f32>(DType::F32).is_none() && rows.skip_tied());
                continue;
            };
            assert!(!rows.skip_tied());
            for _ in 0..HORIZONS {
                assert_eq!(rows.next_dtype(), Some(DType::F32));
                assert!(rows.take::<f64>(DType::F64).is_none());
                let row = rows.take::<f32>(DType::F32).unwrap();
                assert_eq!(row.len(), length);
                assert!(row.iter().all(|&value| value == 0.0), "taken twice");
                row.fill(*next);
                *next += 1.0;
            }
        }
        assert!(rows.next_dtype().is_none() && rows.take::<f32>(DType::F32).is_none() && !rows.skip_tied());
    }

    #[test]
    fn every_average_is_taken_once_however_the_tensors_are_split() {
        let lengths = lengths();
        let (places, mut blocks, mut large) = memory(&lengths);
        assert!(blocks.len() > 3);
        let mut expected = (blocks.iter().map(|block| block.copied().unwrap()).collect::<Vec<_>>(), large.clone());
        mark(Rows::new(HORIZONS, &places, &mut expected.0, &mut expected.1), &mut 1.0, &lengths);
        let count = lengths.len();
        for (a, b, c) in (0..=count).flat_map(|c| (0..=c).flat_map(move |b| (0..=b).map(move |a| (a, b, c)))) {
            blocks.iter_mut().for_each(|block| owned(block).fill(0));
            large.iter_mut().for_each(|buffer| buffer.as_mut_bytes().fill(0));
            let (left, last) = Rows::new(HORIZONS, &places, &mut blocks, &mut large).split_at(c);
            // From either side, as a part is split again.
            let (first, middle, third) = if c % 2 == 0 {
                let (left, third) = left.split_at(b);
                let (first, middle) = left.split_at(a);
                (first, middle, third)
            } else {
                let (first, right) = left.split_at(a);
                let (middle, third) = right.split_at(b - a);
                (first, middle, third)
            };
            let mut next = 1.0;
            for (rows, range) in [(first, 0..a), (middle, a..b), (third, b..c), (last, c..count)] {
                mark(rows, &mut next, &lengths[range]);
            }
            assert!((&blocks, &large) == (&expected.0, &expected.1), "split at {a}, {b} and {c}");
        }
    }
}
