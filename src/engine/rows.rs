//! The averages of tensors that follow each other, as a pass takes them: one after the other, or split between threads.

use super::Buffer;
use super::places::{Kind, Place};
use super::split::Items;
use super::words::Words;
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
    pub fn take<T: Element>(&mut self, dtype: DType) -> Option<&'a mut [T]> {
        let mut taken = None;
        self.take_each(dtype, std::iter::once(()), |row, ()| taken = Some(row));
        taken
    }

    /// Takes the next averages as long as they are of this dtype, each with one of `partners`, of which one more may be asked for
    /// than averages are taken.
    ///
    /// # Panics
    /// As [`Rows::take`].
    #[inline(always)]
    pub fn take_each<T: Element, P>(
        &mut self,
        dtype: DType,
        partners: impl Iterator<Item = P>,
        mut each: impl FnMut(&'a mut [T], P),
    ) {
        assert_eq!(size_of::<T>(), dtype.size(), "{dtype} taken as {}", T::DTYPE);
        // Of their own, so that they stay in registers.
        let (mut places, mut rest) = (self.places.iter(), std::mem::take(&mut self.rest));
        for partner in partners {
            let Some(place) = places.as_slice().first().filter(|place| place.dtype == Some(dtype)) else { break };
            places.next();
            let row;
            (row, rest) = if place.kind == Kind::Small { next(rest, place) } else { self.next_other(rest, place) };
            each(row, partner);
        }
        (self.places, self.rest) = (places.as_slice(), rest);
    }

    /// Takes an average that is not the next one of the same block; also gives what then is left of a block.
    #[cold]
    #[inline(never)]
    fn next_other<T: Element>(&mut self, rest: &'a mut [u64], place: &Place) -> (&'a mut [T], &'a mut [u64]) {
        if place.kind == Kind::Large {
            return (next_large(&mut self.large), rest);
        }
        next(begin(&mut self.blocks, &mut self.last), place)
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

/// Takes a small average of what is left of a block; gives the rest, too.
#[inline(always)]
fn next<'a, T: Element>(rest: &'a mut [u64], place: &Place) -> (&'a mut [T], &'a mut [u64]) {
    let (row, later) = rest.split_at_mut(place.words.into());
    (&mut bytemuck::cast_slice_mut(row)[..place.elements.into()], later)
}

/// Goes on to the next block.
fn begin<'a>(blocks: &mut &'a mut [Words], last: &mut &'a mut [u64]) -> &'a mut [u64] {
    match std::mem::take(blocks).split_first_mut() {
        None => std::mem::take(last),
        Some((block, others)) => {
            *blocks = others;
            owned(block)
        }
    }
}

/// Takes a large average.
fn next_large<'a, T: Element>(large: &mut &'a mut [Buffer]) -> &'a mut [T] {
    let (buffer, others) = std::mem::take(large).split_first_mut().expect("one for each place");
    *large = others;
    buffer.as_mut_slice()
}

fn owned(block: &mut Words) -> &mut [u64] {
    block.get_mut().expect("nobody else holds it")
}

impl Items for Rows<'_> {
    fn tensors(&self) -> usize {
        self.places.len() / self.horizons
    }

    fn split_at(self, tensors: usize) -> (Self, Self) {
        let (left, right) = self.places.split_at(tensors * self.horizons);
        let (Some(start), Some(cut)) = (left.first(), right.first()) else {
            let none = Self::new(self.horizons, &[], &mut [], &mut []);
            return if right.is_empty() { (self, none) } else { (none, self) };
        };
        let (large, large_right) = self.large.split_at_mut((cut.large - start.large) as usize);
        let mut first = Self { places: left, large, ..Self::new(self.horizons, &[], &mut [], &mut []) };
        let mut second = Self { places: right, large: large_right, ..Self::new(self.horizons, &[], &mut [], &mut []) };
        // Past the first word of a block, `rest` is what follows in it, and the whole blocks are those after it.
        let (begun, word) = (usize::from(start.word > 0), usize::from(cut.word));
        if begun > 0 && cut.block == start.block {
            (first.rest, second.rest) = self.rest.split_at_mut(word - usize::from(start.word));
            (second.blocks, second.last) = (self.blocks, self.last);
            return (first, second);
        }
        first.rest = self.rest;
        (first.blocks, second.blocks) = self.blocks.split_at_mut((cut.block - start.block) as usize - begun);
        if word == 0 {
            second.last = self.last;
            return (first, second);
        }
        // The block that is cut is a whole one, or the last one.
        let block = match std::mem::take(&mut second.blocks).split_first_mut() {
            None => self.last,
            Some((block, blocks)) => {
                (second.blocks, second.last) = (blocks, self.last);
                owned(block)
            }
        };
        (first.last, second.rest) = block.split_at_mut(word);
        (first, second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::Descriptor;
    use crate::engine::places::{BLOCK, Found, Places, SMALL};

    const HORIZONS: usize = 2;

    /// Elements of 32 bits that are just no small average any more: the last word of a small one would end there.
    const FEW: usize = SMALL / 4 - 1;

    /// The lengths of tensors, none where another one has the averages: small ones that fill several blocks, and all else
    /// between, before and after them.
    fn lengths() -> Vec<Option<usize>> {
        let small = |count| (0..count).map(|index| Some(100 + 10 * index));
        let others = [Some(0), Some(300), None, Some(FEW), Some(0)];
        let odd = [Some(3), Some(500), None, Some(4), Some(FEW - 1), Some(0), Some(1)];
        others.into_iter().chain(small(9)).chain(others).chain(odd).chain(small(8)).chain(others).collect()
    }

    /// Averages of these lengths, all zero.
    fn memory(lengths: &[Option<usize>]) -> (Vec<Place>, Vec<Words>, Vec<Buffer>) {
        let (mut places, mut all, mut blocks, mut large) = (Places::default(), Vec::new(), Vec::new(), Vec::new());
        for length in lengths.iter().flat_map(|length| [length; HORIZONS]) {
            all.push(match *length {
                None => places.tied(),
                Some(length) if length < FEW => places.small(length, DType::F32),
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
        let mut expected =
            (blocks.iter().map(|block| Words::of(block.as_slice()).unwrap()).collect::<Vec<_>>(), large.clone());
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
