//! Zeroed memory of whole words, shared by those who hold it: where it lies, and whether one may write to it.

use crate::error::{Error, Result};
use crate::kernel;
#[cfg(target_os = "linux")]
use memmap2::Advice;
use memmap2::MmapMut;
use std::iter::repeat_n;
use std::ops::Range;
use triomphe::Arc;

/// Memory of 64-bit words. A clone is another holder of the same memory.
#[derive(Clone, Debug)]
pub enum Words {
    /// Right after the count of its holders: to ask for the one brings the other along.
    Near(Arc<[u64]>),
    Heap(Arc<Lines>),
    /// In pages of its own: large ones take less looking up, which a pass over a large model notices. NumPy asks for such
    /// ones as well.
    Pages(Arc<MmapMut>),
}

/// Words that begin a line of the caches, so that wide registers are stored into one line and not into two.
#[derive(Debug)]
pub struct Lines {
    words: Box<[u64]>,
    place: Range<usize>,
}

/// Bytes from which on memory begins a line.
const LINES_FROM: usize = 1 << 10;

/// Bytes from which on memory is in pages of its own: two of the larger size that x86-64 has.
const PAGED_FROM: usize = 4 << 20;

/// Words of a line of the caches.
const LINE: usize = kernel::LINE / size_of::<u64>();

/// The words that so many elements of so many bytes fill.
#[inline]
pub fn words(elements: usize, size: usize) -> usize {
    (elements * size).div_ceil(size_of::<u64>())
}

impl Lines {
    fn zeroed(words: usize) -> Option<Self> {
        let room = bytemuck::allocation::try_zeroed_slice_box::<u64>(words + LINE - 1).ok()?;
        let address = room.as_ptr().addr() / size_of::<u64>();
        let first = address.next_multiple_of(LINE) - address;
        Some(Self { words: room, place: first..first + words })
    }

    #[inline]
    fn as_slice(&self) -> &[u64] {
        &self.words[self.place.clone()]
    }

    #[inline]
    fn as_mut_slice(&mut self) -> &mut [u64] {
        &mut self.words[self.place.clone()]
    }
}

impl Words {
    /// So many words, all zero, that nobody else holds.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough.
    pub fn zeroed(words: usize) -> Result<Self> {
        let bytes = words.checked_mul(size_of::<u64>()).ok_or(Error::Memory { bytes: usize::MAX })?;
        let scarce = || Error::Memory { bytes };
        if bytes < LINES_FROM {
            let near = Arc::try_from_header_and_iter((), repeat_n(0, words));
            return Ok(Words::Near(near.map_err(|_| scarce())?.into()));
        }
        if bytes < PAGED_FROM {
            return Ok(Words::Heap(Arc::new(Lines::zeroed(words).ok_or_else(scarce)?)));
        }
        let pages = MmapMut::map_anon(bytes).map_err(|_| scarce())?;
        #[cfg(target_os = "linux")]
        // A system without large pages says no, and gives small ones.
        let _ = pages.advise(Advice::HugePage);
        Ok(Words::Pages(Arc::new(pages)))
    }

    /// Makes sure that nobody else holds them, by a copy if need be.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough.
    #[inline]
    pub fn own(&mut self) -> Result<()> {
        if self.is_unique() { Ok(()) } else { self.part() }
    }

    #[cold]
    fn part(&mut self) -> Result<()> {
        *self = Self::of(self.as_slice())?;
        Ok(())
    }

    /// Words of these values, that nobody else holds.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough.
    pub fn of(words: &[u64]) -> Result<Self> {
        let mut copy = Self::zeroed(words.len())?;
        copy.get_mut().expect("it was just made").copy_from_slice(words);
        Ok(copy)
    }

    /// The words.
    #[inline]
    pub fn as_slice(&self) -> &[u64] {
        match self {
            Words::Near(words) => words,
            Words::Heap(lines) => lines.as_slice(),
            // Pages are aligned for words, and there are whole ones.
            Words::Pages(pages) => bytemuck::cast_slice(pages),
        }
    }

    /// Whether nobody else holds them.
    #[inline]
    pub fn is_unique(&self) -> bool {
        match self {
            Words::Near(words) => words.is_unique(),
            Words::Heap(lines) => lines.is_unique(),
            Words::Pages(pages) => pages.is_unique(),
        }
    }

    /// The words to write, unless somebody else holds them.
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut [u64]> {
        match self {
            Words::Near(words) => Arc::get_mut(words),
            Words::Heap(lines) => Arc::get_mut(lines).map(Lines::as_mut_slice),
            Words::Pages(pages) => Arc::get_mut(pages).map(|pages| bytemuck::cast_slice_mut(pages)),
        }
    }
}

impl PartialEq for Words {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Words {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_every_kind_are_zero_shared_and_copied() {
        for count in [0, 1, 2, 127, 128, 129, PAGED_FROM / 8 - 1, PAGED_FROM / 8, PAGED_FROM / 8 + 3] {
            let mut words = Words::zeroed(count).unwrap();
            assert_eq!(matches!(words, Words::Near(_)), count * 8 < LINES_FROM);
            assert_eq!(matches!(words, Words::Pages(_)), count * 8 >= PAGED_FROM);
            assert!(words.as_slice().len() == count && words.as_slice().iter().all(|&word| word == 0));
            let line = words.as_slice().as_ptr().addr() % kernel::LINE;
            assert!(count * 8 < LINES_FROM || line == 0, "{count} at {line}");
            words.get_mut().unwrap().iter_mut().enumerate().for_each(|(i, word)| *word = i as u64);
            let (holder, mut copy) = (words.clone(), Words::of(words.as_slice()).unwrap());
            assert!(!words.is_unique() && words.get_mut().is_none() && copy.is_unique());
            assert!(copy == words && copy.as_slice().len() == count);
            assert!(Words::zeroed(count).unwrap() == Words::zeroed(count).unwrap());
            copy.get_mut().unwrap().iter_mut().for_each(|word| *word = 7);
            assert!(holder.as_slice().iter().enumerate().all(|(i, &word)| word == i as u64));
            drop(holder);
            assert!(words.is_unique() && words.get_mut().is_some());
        }
    }

    #[test]
    fn more_than_there_is_is_refused() {
        for words in [usize::MAX, usize::MAX / 8, 1 << 55] {
            assert!(matches!(Words::zeroed(words), Err(Error::Memory { .. })), "{words}");
        }
    }
}
